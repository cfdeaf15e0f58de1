#include "engine/copy_match.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Each snapshot is known by its own ID and by that of its original. */
struct known {
    struct id id;
    const struct snapshot *snapshot;
};

struct copy_match {
    struct known *known; /* sorted by ID */
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return id_compare(&((const struct known *)a)->id, &((const struct known *)b)->id);
}

struct copy_match *copy_match_new(const struct snapshot_list *list)
{
    struct copy_match *m = mem_zalloc(sizeof *m);
    m->known = mem_array(NULL, list->count * 2 + 1, sizeof *m->known);
    for (size_t i = 0; i < list->count; i++) {
        const struct snapshot *s = &list->items[i];
        m->known[m->count++] = (struct known){s->id, s};
        if (s->has_original)
            m->known[m->count++] = (struct known){s->original, s};
    }
    qsort(m->known, m->count, sizeof *m->known, compare);
    return m;
}

void copy_match_free(struct copy_match *m)
{
    if (m == NULL)
        return;
    free(m->known);
    free(m);
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

/* In any order. */
static bool same_set(const struct strlist *a, const struct strlist *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < b->count; i++)
        if (!strlist_contains(a, b->items[i]))
            return false;
    return true;
}

static bool alike(const struct snapshot *a, const struct snapshot *b)
{
    return a->time.tv_sec == b->time.tv_sec && a->time.tv_nsec == b->time.tv_nsec && id_equal(&a->tree, &b->tree) &&
           same_text(a->hostname, b->hostname) && same_text(a->username, b->username) && a->uid == b->uid &&
           a->gid == b->gid && same_set(&a->paths, &b->paths) && same_set(&a->tags, &b->tags) &&
           strlist_equal(&a->excludes, &b->excludes);
}

/* The first that is known by this ID; the others follow it. */
static size_t first_known(const struct copy_match *m, const struct id *id)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (id_compare(&m->known[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct snapshot *copy_match_find(const struct copy_match *m, const struct snapshot *s)
{
    const struct id *id = s->has_original ? &s->original : &s->id;
    for (size_t i = first_known(m, id); i < m->count && id_equal(&m->known[i].id, id); i++)
        if (alike(m->known[i].snapshot, s))
            return m->known[i].snapshot;
    return NULL;
}
