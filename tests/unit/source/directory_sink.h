/* For tests of sources: a sink that writes what it is given into a directory, as a restore would find it. */
#pragma once
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "sink/sink.h"

struct directory_sink {
    struct sink sink;
    struct sink_reporter reporter;
    char path[8192];    /* of the directory that is open */
    struct buf reports; /* "unreadable PATH: WHY", "warning PATH: WHAT", a line each */
    size_t read_step;
    unsigned most_attempts; /* of any file */
    uint64_t fingerprint;   /* of the last file that has one, as it was stored */
    /* Called before and in the middle of reading a file with a fingerprint. */
    void (*meanwhile)(void *ctx, unsigned attempt);
    void *meanwhile_ctx;
    bool only_names; /* open nothing, as when the parent snapshot has it all */
};

static inline void directory_sink_report(struct directory_sink *d, const char *kind, const char *path, const char *what)
{
    buf_printf(&d->reports, "%s %s: %s\n", kind, path, what);
}

static inline void directory_sink_unreadable(void *ctx, const char *path, const struct err *err)
{
    directory_sink_report(ctx, "unreadable", path, err->message);
}

static inline void directory_sink_warning(void *ctx, const char *path, const char *what)
{
    directory_sink_report(ctx, "warning", path, what);
}

static inline void directory_sink_enter(struct directory_sink *d, const char *name)
{
    size_t len = strlen(d->path);
    snprintf(d->path + len, sizeof d->path - len, "/%s", name);
}

static inline void directory_sink_leave(struct directory_sink *d)
{
    *strrchr(d->path, '/') = '\0';
}

static inline int directory_sink_dir_begin(struct sink *s, const struct node *dir, struct err *err)
{
    struct directory_sink *d = (struct directory_sink *)s;
    directory_sink_enter(d, dir->name);
    return mkdir(d->path, 0755) == 0 ? 0 : err_set(err, ERR_FAILED, "'%s' is there already", d->path);
}

static inline int directory_sink_dir_end(struct sink *s, struct err *err)
{
    (void)err;
    directory_sink_leave((struct directory_sink *)s);
    return 0;
}

static inline enum sink_finish directory_sink_read(struct directory_sink *d, struct sink_content *c, unsigned attempt,
                                                   struct node *node, struct err *err)
{
    struct sink_stream s = {0};
    if (d->meanwhile != NULL && c->by_fingerprint)
        d->meanwhile(d->meanwhile_ctx, attempt);
    if (c->open(c->ctx, attempt, node, &s, err) != 0) {
        unlink(d->path); /* of the attempt before */
        return SINK_FINISH_ERROR;
    }
    int fd = open(d->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, node_mode_to_permissions(node->mode));
    char *room = mem_alloc(d->read_step);
    int64_t n;
    while ((n = s.read(s.state, room, d->read_step, err)) > 0)
        if (write(fd, room, (size_t)n) != n)
            abort();
    enum sink_finish outcome = n < 0 ? SINK_FINISH_ERROR : s.finish(s.state, node, err);
    s.close(s.state);
    close(fd);
    free(room);
    if (outcome == SINK_FINISH_ERROR)
        unlink(d->path);
    if (attempt > d->most_attempts)
        d->most_attempts = attempt;
    return outcome;
}

static inline int directory_sink_entry(struct sink *sink, const struct node *node, const char *path,
                                       struct sink_content *content, struct err *err)
{
    struct directory_sink *d = (struct directory_sink *)sink;
    struct node copy = *node;
    int rc = 0;
    (void)err;
    directory_sink_enter(d, node->name);
    if (node->type == NODE_SYMLINK) {
        char *target = mem_strndup(node->link_target, node->link_target_len);
        rc = symlink(target, d->path);
        free(target);
    } else if (content != NULL && !d->only_names) {
        struct err why = {0};
        enum sink_finish outcome = SINK_FINISH_AGAIN;
        for (unsigned attempt = 1; outcome == SINK_FINISH_AGAIN; attempt++)
            outcome = directory_sink_read(d, content, attempt, &copy, &why);
        if (outcome == SINK_FINISH_ERROR && why.code != ERR_NOT_FOUND)
            d->reporter.unreadable(d->reporter.ctx, path, &why);
    }
    if (content != NULL && content->by_fingerprint)
        d->fingerprint = copy.inode;
    if (content != NULL && content->release != NULL)
        content->release(content->ctx);
    directory_sink_leave(d);
    return rc;
}

static inline void directory_sink_make(struct directory_sink *d, const char *path)
{
    static const struct sink_ops ops = {
        .dir_begin = directory_sink_dir_begin, .entry = directory_sink_entry, .dir_end = directory_sink_dir_end};
    *d = (struct directory_sink){.sink = {&ops}, .read_step = 100000};
    d->reporter =
        (struct sink_reporter){.ctx = d, .unreadable = directory_sink_unreadable, .warning = directory_sink_warning};
    snprintf(d->path, sizeof d->path, "%s", path);
    buf_init(&d->reports, 1 << 20);
}
