/* tar as one of the formats of a dump; sink/tar.h does the work. */
#include <stdlib.h>
#include "base/mem.h"
#include "engine/archive.h"
#include "sink/tar.h"

struct tar_archive {
    struct archive base;
    struct tar *tar;
};

static struct tar *tar_of(struct archive *a)
{
    return ((struct tar_archive *)a)->tar;
}

static int write_out(void *ctx, const void *p, size_t len, struct err *err)
{
    return archive_put(ctx, p, len, err);
}

static int begin(struct archive *a, const struct node *n, const char *path, const char *link_to, struct err *err)
{
    return tar_begin(tar_of(a), n, path, link_to, err);
}

static int data(struct archive *a, const void *p, size_t len, struct err *err)
{
    return tar_data(tar_of(a), p, len, err);
}

static int end(struct archive *a, struct err *err)
{
    return tar_end(tar_of(a), err);
}

static int finish(struct archive *a, struct err *err)
{
    return tar_finish(tar_of(a), err);
}

static void release(struct archive *a)
{
    tar_free(tar_of(a));
    free(a);
}

static const struct archive_format TAR = {
    .hard_links = true, .begin = begin, .data = data, .end = end, .finish = finish, .free = release};

struct archive *archive_tar_new(archive_write_fn *write, void *ctx)
{
    struct tar_archive *t = mem_zalloc(sizeof *t);
    t->base = (struct archive){.format = &TAR, .write = write, .write_ctx = ctx};
    t->tar = tar_new(write_out, t);
    return &t->base;
}
