#include "run/watched_source.h"

#include <stdlib.h>
#include "base/mem.h"
#include "run/dump_sizes.h"
#include "run/size_map.h"

struct watched {
    struct source source;
    struct source *inner;
    struct size_map *sizes;
    struct dump_sizes *dumps;
    bool failed;
};

/* Stands between the inner source and the sink, for one push. */
struct watched_sink {
    struct sink sink;
    struct sink *inner;
    struct size_map *sizes;
    struct dump_sizes *dumps;
    bool failed;
};

static int note(struct watched_sink *w, int rc)
{
    w->failed = w->failed || rc != 0;
    return rc;
}

static int watched_dir_begin(struct sink *s, const struct node *dir, struct err *err)
{
    struct watched_sink *w = (struct watched_sink *)s;
    size_map_dir_begin(w->sizes, dir->name, dir->name_len);
    return note(w, w->inner->ops->dir_begin(w->inner, dir, err));
}

static int watched_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                         struct err *err)
{
    struct watched_sink *w = (struct watched_sink *)s;
    if (content != NULL)
        size_map_entry(w->sizes, node->name, node->name_len, node->size);
    if (content == NULL || !content->is_dump)
        return note(w, w->inner->ops->entry(w->inner, node, path, content, err));
    struct sink_content dump = dump_sizes_watch(w->dumps, path, node->size, content);
    return note(w, w->inner->ops->entry(w->inner, node, path, &dump, err));
}

static int watched_dir_end(struct sink *s, struct err *err)
{
    struct watched_sink *w = (struct watched_sink *)s;
    size_map_dir_end(w->sizes);
    return note(w, w->inner->ops->dir_end(w->inner, err));
}

static const struct node *watched_known(struct sink *s, const char *name, size_t name_len, const struct stat *st)
{
    struct watched_sink *w = (struct watched_sink *)s;
    return w->inner->ops->known != NULL ? w->inner->ops->known(w->inner, name, name_len, st) : NULL;
}

static const struct sink_ops SINK_OPS = {
    .dir_begin = watched_dir_begin, .entry = watched_entry, .dir_end = watched_dir_end, .known = watched_known};

static int watched_start(struct source *s, const struct sink_reporter *reporter, struct err *err)
{
    struct watched *w = (struct watched *)s;
    int rc = source_start(w->inner, reporter, err);
    w->failed = w->failed || rc != 0;
    return rc;
}

static int watched_push(struct source *s, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    struct watched *w = (struct watched *)s;
    struct watched_sink between = {.sink = {.ops = &SINK_OPS}, .inner = sink, .sizes = w->sizes, .dumps = w->dumps};
    int rc = source_push(w->inner, &between.sink, reporter, err);
    w->failed = w->failed || (rc != 0 && !between.failed);
    return rc;
}

static void watched_free(struct source *s)
{
    struct watched *w = (struct watched *)s;
    source_free(w->inner);
    size_map_free(w->sizes);
    dump_sizes_free(w->dumps);
    free(w);
}

static const struct source_ops OPS = {.start = watched_start, .push = watched_push, .free = watched_free};

struct source *watched_source_new(struct source *inner)
{
    struct watched *w = mem_zalloc(sizeof *w);
    w->source = (struct source){.ops = &OPS, .strict = inner->strict};
    strlist_copy(&w->source.paths, &inner->paths);
    w->inner = inner;
    w->sizes = size_map_new();
    w->dumps = dump_sizes_new();
    return &w->source;
}

bool watched_source_failed(const struct source *s)
{
    return ((const struct watched *)s)->failed;
}

struct record_path *watched_source_take_paths(struct source *s, size_t max, size_t *count_out)
{
    return size_map_take(((struct watched *)s)->sizes, max, count_out);
}

struct record_dump *watched_source_take_dumps(struct source *s, size_t *count_out)
{
    return dump_sizes_take(((struct watched *)s)->dumps, count_out);
}
