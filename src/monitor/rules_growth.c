/*
 * What grew: sources, and below them the paths that the record names. Of a directory and something in it that is most
 * of its growth only the inner one is named.
 */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "monitor/rules_internal.h"
#include "os/file.h"

enum { LINES_MAX = 8, TEXT_MAX_BYTES = 8192, SMALLEST_BYTES = 1000 };

struct growth {
    const char *name;
    const char *source; /* of paths: whose; NULL: it is a source */
    uint64_t now, before;
    bool at_most; /* `before` is a bound: it was too small to be named then */
    bool hidden;
};
struct growth_list {
    struct growth *items;
    size_t count;
};

static void add(struct growth_list *l, struct growth g)
{
    if (g.now < g.before || g.now - g.before < SMALLEST_BYTES)
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

/* What it had then. A full list names only what was larger than its smallest, and none names what was lighter than a
 * hundredth of its source (run/size_map.h). */
static uint64_t bytes_before(const struct record_source *s, const char *path, bool *at_most_out)
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

static void compare_source(const struct record_source *now, const struct record_source *then, struct growth_list *l)
{
    add(l, (struct growth){.name = now->name, .now = now->bytes, .before = then != NULL ? then->bytes : 0});
    /* Paths that only one of both runs names say nothing. */
    if (then != NULL && then->path_count == 0 && then->bytes > 0)
        return;
    for (size_t i = 0; i < now->path_count; i++) {
        struct growth g = {.name = now->paths[i].path, .source = now->name, .now = now->paths[i].bytes};
        g.before = bytes_before(then, g.name, &g.at_most);
        if (strcmp(g.name, now->name) != 0)
            add(l, g);
    }
}

static bool explains(const struct growth *inner, const struct growth *outer)
{
    bool inside = outer->source == NULL
                      ? inner->source != NULL && strcmp(inner->source, outer->name) == 0
                      : inner->source != NULL && strcmp(inner->source, outer->source) == 0 &&
                            strcmp(inner->name, outer->name) != 0 && os_path_is_below(inner->name, outer->name);
    return inside && inner->now - inner->before >= (outer->now - outer->before) / 10 * 8;
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
    uint64_t grown = x->now - x->before, other = y->now - y->before;
    return grown > other ? -1 : grown < other ? 1 : strcmp(x->name, y->name);
}

static char *in_words(struct growth_list *l)
{
    struct buf text;
    size_t lines = 0;
    char more[RULES_TEXT_BYTES], now[RULES_TEXT_BYTES], before[RULES_TEXT_BYTES];
    buf_init(&text, TEXT_MAX_BYTES);
    for (size_t i = 0; i < l->count && lines < LINES_MAX; i++) {
        const struct growth *g = &l->items[i];
        if (g->hidden)
            continue;
        const char *was = g->before == 0 ? "new" : rules_bytes(g->before, before);
        buf_printf(&text, "%s+%s %s: %s, %s%s", lines++ > 0 ? "\n" : "", rules_bytes(g->now - g->before, more), g->name,
                   rules_bytes(g->now, now),
                   g->before == 0 ? ""
                   : g->at_most   ? "was at most "
                                  : "was ",
                   was);
    }
    char *out = lines > 0 ? mem_strdup(buf_cstr(&text)) : NULL;
    buf_release(&text);
    return out;
}

char *growth_details(const struct record *before, const struct record *now)
{
    struct growth_list l = {0};
    for (size_t i = 0; i < now->source_count; i++)
        compare_source(&now->sources[i], find_source(before, now->sources[i].name), &l);
    hide_explained(&l);
    if (l.count > 0)
        qsort(l.items, l.count, sizeof *l.items, largest_first);
    char *out = in_words(&l);
    free(l.items);
    return out;
}
