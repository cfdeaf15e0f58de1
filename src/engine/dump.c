#include "engine/dump.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/archive.h"
#include "sink/inode_paths.h"
#include "engine/walk.h"

struct dump {
    struct content_stream *stream;
    struct archive *archive;
    struct inode_paths inodes;
    struct dump_progress *progress;
    char *base; /* path of the dumped directory, without slashes at its ends; "" for the root */
    content_write_fn *write;
    void *write_ctx;
};

/* --- one file --- */

static int write_plain(void *ctx, const void *p, size_t len, struct err *err)
{
    struct dump *d = ctx;
    atomic_fetch_add(&d->progress->bytes, len);
    return d->write(d->write_ctx, p, len, err);
}

static int dump_file(struct dump *d, const struct node *n, struct err *err)
{
    atomic_fetch_add(&d->progress->files, 1);
    return content_stream_run(d->stream, n->content, n->content_count, write_plain, d, err);
}

/* --- archives --- */

static int write_content(void *ctx, const void *p, size_t len, struct err *err)
{
    struct dump *d = ctx;
    atomic_fetch_add(&d->progress->bytes, len);
    return archive_data(d->archive, p, len, err);
}

static int add_entry(struct dump *d, const struct node *n, const char *path, struct err *err)
{
    if (n->type == NODE_SOCKET || n->type == NODE_IRREGULAR) {
        atomic_fetch_add(&d->progress->left_out, 1);
        return 0;
    }
    atomic_fetch_add(&d->progress->files, 1);
    char *first = NULL;
    if (d->archive->format->hard_links && n->type != NODE_DIR)
        first = inode_paths_see(&d->inodes, n, path);
    int result = archive_begin(d->archive, n, path, first, err);
    if (result == 0 && n->type == NODE_FILE && first == NULL)
        result = content_stream_run(d->stream, n->content, n->content_count, write_content, d, err);
    if (result == 0)
        result = archive_end(d->archive, err);
    free(first);
    return result < 0 ? err_wrap(err, "cannot dump '%s'", path) : 0;
}

static int visit_entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct dump *d = ctx;
    (void)dir;
    char *full = *d->base != '\0' ? mem_printf("%s%s", d->base, path) : mem_strdup(path + 1);
    int result = add_entry(d, n, full, err);
    free(full);
    return result;
}

static int dump_archive(struct dump *d, struct repo *r, const struct id *root, const struct node *top, struct err *err)
{
    if (top != NULL && add_entry(d, top, d->base, err) < 0)
        return -1;
    struct walk_visitor visitor = {.ctx = d, .entry = visit_entry};
    if (walk_run(r, root, walk_prefetch_threads(r), &visitor, err) < 0)
        return -1;
    return archive_finish(d->archive, err);
}

/* "//a/b/" → "a/b" */
static char *trimmed(const char *path)
{
    path += strspn(path, "/");
    size_t len = strlen(path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    return mem_strndup(path, len);
}

static int check_kind(const struct node *n, const char *path, struct err *err)
{
    if (n == NULL || n->type == NODE_FILE || (n->type == NODE_DIR && n->has_subtree))
        return 0;
    return err_set(err, ERR_USAGE, "cannot dump '%s': it is a %s, neither a file nor a directory", path,
                   node_type_name(n->type));
}

int dump_is_archive(struct repo *r, const struct id *root, const char *path, bool *out, struct err *err)
{
    struct walk_tree *tree;
    const struct node *node;
    if (walk_find(r, root, path, &tree, &node, err) < 0)
        return -1;
    int result = check_kind(node, path, err);
    *out = node == NULL || node->type == NODE_DIR;
    walk_tree_unref(tree);
    return result;
}

int dump_run(struct repo *r, const struct dump_options *options, content_write_fn *write, void *ctx,
             struct dump_progress *progress, struct err *err)
{
    struct walk_tree *tree;
    const struct node *node;
    if (walk_find(r, options->root, options->path, &tree, &node, err) < 0)
        return -1;
    struct dump d = {.progress = progress, .write = write, .write_ctx = ctx, .base = trimmed(options->path)};
    int result = check_kind(node, options->path, err);
    if (result == 0) {
        d.stream = content_stream_new(r, options->threads, err);
        result = d.stream != NULL ? 0 : -1;
    }
    if (result == 0 && node != NULL && node->type == NODE_FILE) {
        result = dump_file(&d, node, err);
    } else if (result == 0) {
        d.archive = options->format == DUMP_ZIP ? archive_zip_new(write, ctx) : archive_tar_new(write, ctx);
        result = dump_archive(&d, r, node != NULL ? &node->subtree : options->root, node, err);
    }
    archive_free(d.archive);
    inode_paths_release(&d.inodes);
    content_stream_free(d.stream);
    walk_tree_unref(tree);
    free(d.base);
    return result;
}
