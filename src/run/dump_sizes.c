/*
 * Invariant: `mutex` guards each dump's bytes and is_whole; the list itself belongs to the thread that pushes.
 */
#include "run/dump_sizes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

struct dump {
    struct dump_sizes *all;
    struct sink_content inner;
    char *path;
    uint64_t bytes;
    bool is_whole;
};

struct dump_sizes {
    pthread_mutex_t mutex;
    struct dump **items;
    size_t count;
};

/* A stream of one, with the inner one's state. */
struct dump_stream {
    struct dump *dump;
    struct sink_stream inner;
};

struct dump_sizes *dump_sizes_new(void)
{
    struct dump_sizes *d = mem_zalloc(sizeof *d);
    pthread_mutex_init(&d->mutex, NULL);
    return d;
}

void dump_sizes_free(struct dump_sizes *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->count; i++) {
        free(d->items[i]->path);
        free(d->items[i]);
    }
    free(d->items);
    pthread_mutex_destroy(&d->mutex);
    free(d);
}

static void set(struct dump *d, bool is_whole, uint64_t bytes)
{
    pthread_mutex_lock(&d->all->mutex);
    d->is_whole = is_whole;
    d->bytes = bytes;
    pthread_mutex_unlock(&d->all->mutex);
}

static int64_t stream_read(void *state, void *p, size_t cap, struct err *err)
{
    const struct dump_stream *s = state;
    return s->inner.read(s->inner.state, p, cap, err);
}

static uint64_t stream_hole(void *state)
{
    const struct dump_stream *s = state;
    return s->inner.hole(s->inner.state);
}

static int stream_skip(void *state, uint64_t bytes, struct err *err)
{
    const struct dump_stream *s = state;
    return s->inner.skip(s->inner.state, bytes, err);
}

static enum sink_finish stream_finish(void *state, struct node *node, struct err *err)
{
    const struct dump_stream *s = state;
    enum sink_finish outcome = s->inner.finish(s->inner.state, node, err);
    if (outcome == SINK_FINISH_OK)
        set(s->dump, true, node->size);
    return outcome;
}

static void stream_close(void *state)
{
    struct dump_stream *s = state;
    s->inner.close(s->inner.state);
    free(s);
}

static int dump_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    struct dump *d = ctx;
    struct sink_stream inner = {0};
    set(d, false, 0);
    if (d->inner.open(d->inner.ctx, attempt, node, &inner, err) != 0)
        return -1;
    struct dump_stream *s = mem_alloc(sizeof *s);
    *s = (struct dump_stream){.dump = d, .inner = inner};
    *out = inner;
    out->state = s;
    out->read = stream_read;
    out->hole = inner.hole != NULL ? stream_hole : NULL;
    out->skip = inner.skip != NULL ? stream_skip : NULL;
    out->finish = stream_finish;
    out->close = stream_close;
    return 0;
}

static void dump_release(void *ctx)
{
    const struct dump *d = ctx;
    if (d->inner.release != NULL)
        d->inner.release(d->inner.ctx);
}

struct sink_content dump_sizes_watch(struct dump_sizes *all, const char *path, uint64_t bytes,
                                     const struct sink_content *inner)
{
    struct dump *d = mem_alloc(sizeof *d);
    *d = (struct dump){.all = all, .inner = *inner, .path = mem_strdup(path), .bytes = bytes, .is_whole = true};
    all->items = mem_array(all->items, all->count + 1, sizeof(struct dump *));
    all->items[all->count++] = d;
    struct sink_content content = *inner;
    content.ctx = d;
    content.open = dump_open;
    content.release = dump_release;
    return content;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct record_dump *)a)->path, ((const struct record_dump *)b)->path);
}

struct record_dump *dump_sizes_take(struct dump_sizes *d, size_t *count_out)
{
    struct record_dump *out = mem_array(NULL, d->count + 1, sizeof *out);
    size_t count = 0;
    for (size_t i = 0; i < d->count; i++) {
        if (!d->items[i]->is_whole)
            continue;
        out[count++] = (struct record_dump){.path = d->items[i]->path, .bytes = d->items[i]->bytes};
        d->items[i]->path = NULL;
        d->items[i]->is_whole = false;
    }
    qsort(out, count, sizeof *out, by_path);
    *count_out = count;
    return out;
}
