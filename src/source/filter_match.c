/*
 * Patterns are cleaned and split once. A path is split once per question; most patterns are turned down by the length
 * or the first bytes of their last component alone.
 *
 * What it rests on: a pattern matches a path when its components, "**" standing for any number of them, match
 * consecutive components of the path, which need not be the last ones. So a pattern matches "dir/name" when it matches
 * "dir" or when a match ends exactly at "name". filter_dir works out for a whole directory the first half, and all but
 * the last component of the second.
 */
#include "source/filter.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "source/filter_pattern.h"
#include "source/glob.h"

/* One component of a path. */
struct comp {
    const char *p;
    size_t len;
};

/* A path's components. The text is a copy that ends with a free place for one name more. */
struct split_path {
    struct comp *comps;
    size_t count, cap;
    bool rooted;
    struct buf text;
};

/* A pattern that can match something in one directory. */
struct candidate {
    const struct pattern *pattern;
    uint32_t len;       /* of the last component's text */
    unsigned char kind; /* of the last component */
    unsigned char edge; /* its first byte; of a suffix the last */
    bool negated;
    bool above;    /* it matches the directory itself, and so everything in it */
    bool by_parts; /* it has a "**": all components must be looked at, not only the last */
};

struct filter_dir_list {
    struct split_path path;
    struct candidate *candidates; /* in the order of the patterns */
    size_t count, cap;
    struct buf name; /* the last name asked for, in lower case */
};

static bool part_matches(const struct part *part, const char *s, size_t len)
{
    switch (part->kind) {
    case PART_LITERAL:
        return len == part->len && memcmp(s, part->text, len) == 0;
    case PART_ANY:
    case PART_DOUBLE:
        return true;
    case PART_PREFIX:
        return len >= part->len && memcmp(s, part->text, part->len) == 0;
    case PART_SUFFIX:
        return len >= part->len && memcmp(s + len - part->len, part->text, part->len) == 0;
    case PART_GLOB:
        break;
    }
    return glob_match(part->text, part->len, s, len);
}

/* Do the pattern's first `part_count` components match comps that end at `comp_count`? */
static bool ends_at(const struct pattern *p, size_t part_count, const struct comp *comps, size_t comp_count)
{
    while (part_count > 0) {
        const struct part *part = &p->parts[part_count - 1];
        if (part->kind == PART_DOUBLE) {
            for (size_t end = comp_count + 1; end-- > 0;)
                if (ends_at(p, part_count - 1, comps, end))
                    return true;
            return false;
        }
        if (comp_count == 0 || !part_matches(part, comps[comp_count - 1].p, comps[comp_count - 1].len))
            return false;
        part_count--;
        comp_count--;
    }
    return !p->rooted || comp_count == 0;
}

static bool matches_anywhere(const struct pattern *p, const struct split_path *path)
{
    if (p->rooted && !path->rooted)
        return false;
    for (size_t end = 1; end <= path->count; end++)
        if (ends_at(p, p->count, path->comps, end))
            return true;
    return false;
}

static void add_comp(struct split_path *path, const char *p, size_t len)
{
    if (path->count + 1 >= path->cap) { /* always a free place behind the last */
        path->cap = path->cap == 0 ? 32 : path->cap * 2;
        path->comps = mem_array(path->comps, path->cap, sizeof *path->comps);
    }
    path->comps[path->count++] = (struct comp){p, len};
}

static void split(struct split_path *path, const char *text, int case_rule)
{
    buf_clear(&path->text);
    filter_append_cased(&path->text, text, strlen(text), case_rule);
    const char *s = buf_cstr(&path->text);
    path->count = 0;
    path->rooted = s[0] == '/';
    if (path->rooted)
        s++;
    for (;;) {
        size_t len = strcspn(s, "/");
        add_comp(path, s, len);
        if (s[len] == '\0')
            return;
        s += len + 1;
    }
}

static void split_init(struct split_path *path)
{
    *path = (struct split_path){0};
    buf_init(&path->text, FILTER_TEXT_MAX_BYTES);
}

static void split_release(struct split_path *path)
{
    free(path->comps);
    buf_release(&path->text);
}

static bool list_matches(const struct pattern_list *l, const struct split_path *path)
{
    bool matched = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct pattern *p = &l->items[i];
        if (p->negated == matched && matches_anywhere(p, path)) {
            matched = !p->negated;
            if (matched && !l->has_negated)
                return true;
        }
    }
    return matched;
}

bool filter_match(const struct filter *f, const char *path)
{
    bool matched = false;
    struct split_path s;
    split_init(&s);
    for (int c = 0; c < CASE_COUNT && !matched && path[0] != '\0'; c++) {
        if (f->lists[c].count == 0)
            continue;
        split(&s, path, c);
        matched = list_matches(&f->lists[c], &s);
    }
    split_release(&s);
    return matched;
}

/* Could a pattern match something at or below the path? A relative one always, a rooted one when it agrees with the
 * path as far as both go, up to a "**". */
static bool may_match_below(const struct pattern *p, const struct split_path *path)
{
    if (!p->rooted)
        return true;
    if (!path->rooted)
        return false;
    for (size_t i = 0; i < p->count && i < path->count && p->parts[i].kind != PART_DOUBLE; i++)
        if (!part_matches(&p->parts[i], path->comps[i].p, path->comps[i].len))
            return false;
    return true;
}

static bool list_may_match_below(const struct pattern_list *l, const struct split_path *path)
{
    bool may = false;
    for (size_t i = 0; i < l->count; i++) {
        const struct pattern *p = &l->items[i];
        if (!p->negated)
            may = may || may_match_below(p, path);
        else if (may && matches_anywhere(p, path))
            may = false;
    }
    return may;
}

bool filter_may_match_below(const struct filter *f, const char *dir_path)
{
    if (dir_path[0] == '\0' || strcmp(dir_path, "/") == 0)
        return !filter_is_empty(f);
    bool may = false;
    struct split_path s;
    split_init(&s);
    for (int c = 0; c < CASE_COUNT && !may; c++) {
        split(&s, dir_path, c);
        may = list_may_match_below(&f->lists[c], &s);
    }
    split_release(&s);
    return may;
}

/* ---- many names of one directory */

static bool has_double(const struct pattern *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->parts[i].kind == PART_DOUBLE)
            return true;
    return false;
}

static struct candidate make_candidate(const struct pattern *p)
{
    const struct part *last = &p->parts[p->count - 1];
    struct candidate c = {.pattern = p, .len = last->len, .kind = (unsigned char)last->kind, .negated = p->negated};
    if (last->len > 0)
        c.edge = (unsigned char)last->text[last->kind == PART_SUFFIX ? last->len - 1 : 0];
    c.by_parts = has_double(p);
    return c;
}

/* Leaves out the patterns that can match nothing in the directory. */
static void enter_list(struct filter_dir_list *d, const struct pattern_list *l, const char *dir_path, int case_rule)
{
    split(&d->path, dir_path, case_rule);
    if (strcmp(dir_path, "/") == 0)
        d->path.count = 0; /* "/" is one empty component by itself, but none in front of a name */
    if (l->count > d->cap) {
        d->cap = l->count;
        d->candidates = mem_array(d->candidates, d->cap, sizeof *d->candidates);
    }
    d->count = 0;
    for (size_t i = 0; i < l->count; i++) {
        const struct pattern *p = &l->items[i];
        struct candidate c = make_candidate(p);
        if (p->rooted && !d->path.rooted)
            continue;
        c.above = matches_anywhere(p, &d->path);
        if (c.above || c.by_parts || ends_at(p, p->count - 1, d->path.comps, d->path.count))
            d->candidates[d->count++] = c;
    }
}

void filter_dir_enter(struct filter_dir *d, const struct filter *f, const char *dir_path)
{
    if (d->lists == NULL) {
        d->lists = mem_zalloc(CASE_COUNT * sizeof *d->lists);
        for (int c = 0; c < CASE_COUNT; c++) {
            split_init(&d->lists[c].path);
            buf_init(&d->lists[c].name, FILTER_TEXT_MAX_BYTES);
        }
    }
    d->filter = f;
    for (int c = 0; c < CASE_COUNT; c++)
        if (f->lists[c].count > 0)
            enter_list(&d->lists[c], &f->lists[c], dir_path, c);
}

/* Turns most names down without a call. */
static inline bool last_may_match(const struct candidate *c, const char *name, size_t len)
{
    switch (c->kind) {
    case PART_LITERAL:
        return len == c->len && (unsigned char)name[0] == c->edge;
    case PART_PREFIX:
        return len >= c->len && (unsigned char)name[0] == c->edge;
    case PART_SUFFIX:
        return len >= c->len && (unsigned char)name[len - 1] == c->edge;
    default:
        return true;
    }
}

static bool candidate_matches(const struct candidate *c, const struct split_path *path)
{
    const struct comp *last = &path->comps[path->count - 1];
    const struct pattern *p = c->pattern;
    if (c->above)
        return true;
    if (!last_may_match(c, last->p, last->len) || !part_matches(&p->parts[p->count - 1], last->p, last->len))
        return false;
    return !c->by_parts || ends_at(p, p->count, path->comps, path->count);
}

static bool dir_list_matches(const struct filter_dir_list *d, bool has_negated)
{
    bool matched = false;
    for (size_t i = 0; i < d->count; i++) {
        const struct candidate *c = &d->candidates[i];
        if (c->negated == matched && candidate_matches(c, &d->path)) {
            matched = !c->negated;
            if (matched && !has_negated)
                return true;
        }
    }
    return matched;
}

bool filter_dir_match(struct filter_dir *d, const char *name, size_t name_len)
{
    for (int c = 0; c < CASE_COUNT; c++) {
        const struct pattern_list *l = &d->filter->lists[c];
        struct filter_dir_list *in = &d->lists[c];
        if (l->count == 0 || in->count == 0)
            continue;
        struct comp *last = &in->path.comps[in->path.count];
        *last = (struct comp){name, name_len};
        if (c == CASE_IGNORED) {
            buf_clear(&in->name);
            filter_append_cased(&in->name, name, name_len, CASE_IGNORED);
            *last = (struct comp){buf_cstr(&in->name), in->name.len};
        }
        in->path.count++;
        bool matched = dir_list_matches(in, l->has_negated);
        in->path.count--;
        if (matched)
            return true;
    }
    return false;
}

void filter_dir_release(struct filter_dir *d)
{
    for (int c = 0; d->lists != NULL && c < CASE_COUNT; c++) {
        split_release(&d->lists[c].path);
        free(d->lists[c].candidates);
        buf_release(&d->lists[c].name);
    }
    free(d->lists);
    *d = (struct filter_dir){0};
}
