/*
 * For tests of sources that are strict: a sink that reads every file at once and keeps what it got, or why it got
 * nothing; and a reporter whose warnings are kept too.
 */
#pragma once
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "sink/sink.h"

enum { COLLECTED_MAX = 16 };

struct collected {
    char *path;
    struct buf bytes;
    struct err err; /* why it is not stored */
    enum sink_cut cut;
    struct node node;
};

struct collector {
    struct sink sink;
    struct sink_reporter reporter;
    struct collected files[COLLECTED_MAX];
    size_t count;
    int depth;
    struct buf warnings; /* "PATH: WHAT\n" */
    size_t step;         /* bytes a read */
};

static inline void collector_unreadable(void *ctx, const char *path, const struct err *err)
{
    struct collector *c = ctx;
    buf_printf(&c->warnings, "unreadable %s: %s\n", path, err->message);
}

static inline void collector_warning(void *ctx, const char *path, const char *what)
{
    struct collector *c = ctx;
    buf_printf(&c->warnings, "%s: %s\n", path, what);
}

static inline int collector_dir_begin(struct sink *s, const struct node *dir, struct err *err)
{
    (void)dir;
    (void)err;
    ((struct collector *)s)->depth++;
    return 0;
}

static inline int collector_dir_end(struct sink *s, struct err *err)
{
    (void)err;
    ((struct collector *)s)->depth--;
    return 0;
}

static inline void collect(struct collected *f, struct sink_content *content, size_t step)
{
    struct sink_stream stream;
    char *room = mem_alloc(step);
    int64_t n = content->open(content->ctx, 1, &f->node, &stream, &f->err);
    if (n == 0) {
        f->cut = stream.cut;
        while ((n = stream.read(stream.state, room, step, &f->err)) > 0)
            buf_append(&f->bytes, room, (size_t)n);
        if (n == 0 && stream.finish(stream.state, &f->node, &f->err) == SINK_FINISH_OK)
            f->err = (struct err){0};
        stream.close(stream.state);
    }
    free(room);
}

static inline int collector_entry(struct sink *s, const struct node *node, const char *path,
                                  struct sink_content *content, struct err *err)
{
    struct collector *c = (struct collector *)s;
    if (c->count == COLLECTED_MAX)
        return err_set(err, ERR_FAILED, "too many files for the test");
    struct collected *f = &c->files[c->count++];
    *f = (struct collected){.path = mem_strdup(path), .node = *node};
    buf_init(&f->bytes, 64 << 20);
    if (content != NULL) {
        collect(f, content, c->step);
        content->release(content->ctx);
    }
    return 0;
}

static inline void collector_init(struct collector *c, size_t step)
{
    static const struct sink_ops ops = {
        .dir_begin = collector_dir_begin, .entry = collector_entry, .dir_end = collector_dir_end};
    *c = (struct collector){.sink = {.ops = &ops}, .step = step};
    c->reporter = (struct sink_reporter){.ctx = c, .unreadable = collector_unreadable, .warning = collector_warning};
    buf_init(&c->warnings, 1 << 20);
}

/* NULL: there is none of this path. */
static inline const struct collected *collector_find(const struct collector *c, const char *path)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->files[i].path, path) == 0)
            return &c->files[i];
    return NULL;
}

static inline void collector_release(struct collector *c)
{
    for (size_t i = 0; i < c->count; i++) {
        free(c->files[i].path);
        buf_release(&c->files[i].bytes);
    }
    buf_release(&c->warnings);
}
