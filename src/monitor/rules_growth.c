/*
 * What grew, or shrank: sources, and below them their dumps, or the paths that the record names. Of a directory and
 * something in it that is most of its change only the inner one is named. Shrinking is growing, the other way round:
 * all of it is found as growth from the smaller run to the larger one, and only the words differ.
 */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "monitor/rules_internal.h"
#include "os/file.h"

enum { LINES_MAX = 8, TEXT_MAX_BYTES = 8192, SMALLEST_BYTES = 1000 };

struct growth {
    const char *name;
    const char *source; /* of paths: whose; NULL: it is a source */
    uint64_t large, small;
    bool at_most; /* `small` is a bound: it was too small to be named then */
    bool hidden;
};
struct growth_list {
    struct growth *items;
    size_t count;
};

static void add(struct growth_list *l, struct growth g)
{
    if (g.large < g.small || g.large - g.small < SMALLEST_BYTES)
        return;
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    l->items[l->count++] = g;
}

static const struct record_source *find_source(const struct record *r, const char *name)
{
    for (size_t i = 0; i < r->source_count; i++)
        if (strcmp(r->sources[i].name, name) == 0)
            return &r->sources[i];
    return NULL;
}

/* What it has there. A full list names only what was larger than its smallest, and none names what was lighter than a
 * hundredth of its source (run/size_map.h). */
static uint64_t bytes_of_path(const struct record_source *s, const char *path, bool *at_most_out)
{
    uint64_t smallest = UINT64_MAX;
    *at_most_out = false;
    for (size_t i = 0; s != NULL && i < s->path_count; i++) {
        if (strcmp(s->paths[i].path, path) == 0)
            return s->paths[i].bytes;
        smallest = s->paths[i].bytes < smallest ? s->paths[i].bytes : smallest;
    }
    if (s == NULL || s->path_count == 0)
        return 0;
    *at_most_out = true;
    return s->path_count < RECORD_PATHS_MAX ? s->bytes / 100 : smallest;
}

static uint64_t bytes_of_dump(const struct record_source *s, const char *path)
{
    for (size_t i = 0; s != NULL && i < s->dump_count; i++)
        if (strcmp(s->dumps[i].path, path) == 0)
            return s->dumps[i].bytes;
    return 0;
}

static void compare_source(const struct record_source *large, const struct record_source *small, struct growth_list *l)
{
    add(l, (struct growth){.name = large->name, .large = large->bytes, .small = small != NULL ? small->bytes : 0});
    bool was_empty = small == NULL || small->bytes == 0;
    /* Paths and dumps that only one of both runs names say nothing. */
    for (size_t i = 0; (was_empty || small->path_count > 0) && i < large->path_count; i++) {
        struct growth g = {.name = large->paths[i].path, .source = large->name, .large = large->paths[i].bytes};
        g.small = bytes_of_path(small, g.name, &g.at_most);
        if (strcmp(g.name, large->name) != 0)
            add(l, g);
    }
    for (size_t i = 0; (was_empty || small->dump_count > 0) && i < large->dump_count; i++) {
        struct growth g = {.name = large->dumps[i].path, .source = large->name, .large = large->dumps[i].bytes};
        g.small = bytes_of_dump(small, g.name);
        if (strcmp(g.name, large->name) != 0)
            add(l, g);
    }
}

static bool explains(const struct growth *inner, const struct growth *outer)
{
    bool inside = outer->source == NULL
                      ? inner->source != NULL && strcmp(inner->source, outer->name) == 0
                      : inner->source != NULL && strcmp(inner->source, outer->source) == 0 &&
                            strcmp(inner->name, outer->name) != 0 && os_path_is_below(inner->name, outer->name);
    return inside && inner->large - inner->small >= (outer->large - outer->small) / 10 * 8;
}

static void hide_explained(struct growth_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < l->count && !l->items[i].hidden; k++)
            l->items[i].hidden = k != i && explains(&l->items[k], &l->items[i]);
}

static int largest_first(const void *a, const void *b)
{
    const struct growth *x = a, *y = b;
    uint64_t grown = x->large - x->small, other = y->large - y->small;
    return grown > other ? -1 : grown < other ? 1 : strcmp(x->name, y->name);
}

/* "8.6 GB, was at most 120 MB"; the other way round "at most 120 MB, was 8.6 GB". */
static void append_sizes(struct buf *text, const struct growth *g, bool shrank)
{
    char large[BYTES_TEXT_BYTES], small[BYTES_TEXT_BYTES];
    const char *bound = g->at_most ? "at most " : "";
    bytes_text(g->large, large);
    bytes_text(g->small, small);
    if (shrank)
        buf_printf(text, "%s%s, was %s", g->small > 0 ? bound : "", g->small > 0 ? small : "not there", large);
    else
        buf_printf(text, "%s, %s%s%s", large, g->small > 0 ? "was " : "", g->small > 0 ? bound : "",
                   g->small > 0 ? small : "new");
}

static char *in_words(struct growth_list *l, bool shrank)
{
    struct buf text;
    size_t lines = 0;
    char more[BYTES_TEXT_BYTES];
    buf_init(&text, TEXT_MAX_BYTES);
    for (size_t i = 0; i < l->count && lines < LINES_MAX; i++) {
        const struct growth *g = &l->items[i];
        if (g->hidden)
            continue;
        buf_printf(&text, "%s%c%s %s: ", lines++ > 0 ? "\n" : "", shrank ? '-' : '+',
                   bytes_text(g->large - g->small, more), g->name);
        append_sizes(&text, g, shrank);
    }
    char *out = lines > 0 ? mem_strdup(buf_cstr(&text)) : NULL;
    buf_release(&text);
    return out;
}

static char *details(const struct record *small, const struct record *large, bool shrank)
{
    struct growth_list l = {0};
    for (size_t i = 0; i < large->source_count; i++)
        compare_source(&large->sources[i], find_source(small, large->sources[i].name), &l);
    hide_explained(&l);
    if (l.count > 0)
        qsort(l.items, l.count, sizeof *l.items, largest_first);
    char *out = in_words(&l, shrank);
    free(l.items);
    return out;
}

char *growth_details(const struct record *before, const struct record *now)
{
    return details(before, now, false);
}

char *shrink_details(const struct record *before, const struct record *now)
{
    return details(now, before, true);
}
