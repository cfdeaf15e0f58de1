/*
 * A tree of directories and files, of which the light ones are folded into their parents.
 *
 * Invariants:
 *   - the bytes of all nodes together are those of all entries;
 *   - the directories that are open now are nodes, all on one path from the root, up to SIZE_MAP_DEPTH_MAX;
 *   - no node that has ended is lighter than `floor`, unless it has children;
 *   - there are at most SIZE_MAP_NODES_MAX nodes: when they are that many, the lightest go and the floor rises. It
 *     never falls, so that what was once too light is folded at once: each entry costs the same, whatever their number.
 */
#include "run/size_map.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

enum { NODES_KEPT = SIZE_MAP_NODES_MAX / 2, PATH_MAX_BYTES = 64 << 10, LIGHTEST_SHARE = 100 };

struct size_node {
    struct size_node *parent, *child, *next; /* its children in the opposite order of their coming */
    char *name;
    uint64_t bytes; /* of what lies in it and has no node */
    bool open;
    bool passed; /* it has had one directory in it, and nothing else */
    bool mixed;  /* it has had more */
};

struct size_map {
    struct size_node root; /* "/": without a name */
    struct size_node *at;  /* the directory that is open */
    size_t depth, beyond;  /* of `at`; and how many directories deeper than it counts we are */
    size_t count;          /* nodes, without the root */
    uint64_t floor, total;
};

struct size_map *size_map_new(void)
{
    struct size_map *m = mem_zalloc(sizeof *m);
    m->root.open = true;
    m->at = &m->root;
    return m;
}

/* Depth is bounded, and so is recursion. */
static void free_children(struct size_node *n)
{
    while (n->child != NULL) {
        struct size_node *child = n->child;
        n->child = child->next;
        free_children(child);
        free(child->name);
        free(child);
    }
}

void size_map_free(struct size_map *m)
{
    if (m == NULL)
        return;
    free_children(&m->root);
    free(m);
}

/* --- folding --- */

static void fold(struct size_map *m, struct size_node **link)
{
    struct size_node *n = *link;
    *link = n->next;
    n->parent->bytes += n->bytes;
    free(n->name);
    free(n);
    m->count--;
}

static bool is_leaf(const struct size_node *n)
{
    return n->child == NULL && !n->open;
}

/* Everything below it that has ended and is lighter than `limit`; `allowed`: of those that are just as heavy, so many
 * too. Children first, since their parents may then be leaves. */
static void fold_light(struct size_map *m, struct size_node *dir, uint64_t limit, size_t *allowed)
{
    struct size_node **link = &dir->child;
    while (*link != NULL) {
        struct size_node *n = *link;
        fold_light(m, n, limit, allowed);
        bool goes = is_leaf(n) && n->bytes < limit;
        if (!goes && is_leaf(n) && n->bytes == limit && *allowed > 0) {
            goes = true;
            --*allowed;
        }
        if (goes)
            fold(m, link);
        else
            link = &n->next;
    }
}

static size_t collect_leaves(const struct size_node *dir, uint64_t *out, size_t count)
{
    for (const struct size_node *n = dir->child; n != NULL; n = n->next) {
        if (is_leaf(n))
            out[count++] = n->bytes;
        count = collect_leaves(n, out, count);
    }
    return count;
}

static int by_bytes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Room for another node. There always is some: the open ones are fewer than what is kept. */
static void make_room(struct size_map *m)
{
    uint64_t sizes[SIZE_MAP_NODES_MAX];
    while (m->count > NODES_KEPT) {
        size_t count = collect_leaves(&m->root, sizes, 0), too_many = m->count - NODES_KEPT;
        if (count == 0)
            return;
        if (too_many > count)
            too_many = count;
        qsort(sizes, count, sizeof *sizes, by_bytes);
        uint64_t limit = sizes[too_many - 1];
        size_t lighter = 0;
        while (sizes[lighter] < limit)
            lighter++;
        size_t allowed = too_many - lighter;
        fold_light(m, &m->root, limit, &allowed);
        if (limit > m->floor)
            m->floor = limit;
    }
}

/* --- counting --- */

static struct size_node *add(struct size_map *m, const char *name, size_t name_len, uint64_t bytes, bool open)
{
    if (m->count >= SIZE_MAP_NODES_MAX)
        make_room(m);
    struct size_node *n = mem_alloc(sizeof *n);
    *n = (struct size_node){
        .parent = m->at, .next = m->at->child, .name = mem_strndup(name, name_len), .bytes = bytes, .open = open};
    m->at->child = n;
    m->count++;
    return n;
}

void size_map_dir_begin(struct size_map *m, const char *name, size_t name_len)
{
    if (m->depth == SIZE_MAP_DEPTH_MAX) {
        m->beyond++;
        return;
    }
    m->at->mixed = m->at->mixed || m->at->passed;
    m->at->passed = true;
    m->at = add(m, name, name_len, 0, true);
    m->depth++;
}

void size_map_dir_end(struct size_map *m)
{
    if (m->beyond > 0) {
        m->beyond--;
        return;
    }
    struct size_node *n = m->at;
    if (n == &m->root)
        return;
    n->open = false;
    m->at = n->parent;
    m->depth--;
    if (n->child == NULL && n->bytes <= m->floor)
        fold(m, &m->at->child); /* the newest child of its parent */
}

void size_map_entry(struct size_map *m, const char *name, size_t name_len, uint64_t bytes)
{
    m->total += bytes;
    m->at->mixed = true;
    /* Below the depth that is looked at, names would not be those of paths. */
    if (bytes <= m->floor || m->beyond > 0)
        m->at->bytes += bytes;
    else
        add(m, name, name_len, bytes, false);
}

/* --- what is left --- */

static size_t collect(struct size_node *dir, struct size_node **out, size_t count)
{
    if (dir->bytes > 0)
        out[count++] = dir;
    for (struct size_node *n = dir->child; n != NULL; n = n->next)
        count = collect(n, out, count);
    return count;
}

/* Where the tree begins to branch: what lies above it is only the way there. */
static struct size_node *base_of(struct size_map *m)
{
    struct size_node *n = &m->root;
    while (!n->mixed && n->child != NULL)
        n = n->child;
    return n;
}

static size_t depth_of(const struct size_node *n)
{
    size_t depth = 0;
    for (; n->parent != NULL; n = n->parent)
        depth++;
    return depth;
}

/* The lightest that can be folded; of equal ones the deepest, so that small things meet in their directories. The
 * order of the tree decides the rest. */
static struct size_node *lightest(struct size_node **nodes, size_t count, const struct size_node *base)
{
    struct size_node *found = NULL;
    for (size_t i = 0; i < count; i++)
        if (nodes[i] != base && (found == NULL || nodes[i]->bytes < found->bytes ||
                                 (nodes[i]->bytes == found->bytes && depth_of(nodes[i]) > depth_of(found))))
            found = nodes[i];
    return found;
}

/* Its bytes go up, though it may stay for its children's sake. */
static size_t give_up(struct size_node **nodes, size_t count, struct size_node *n)
{
    bool parent_is_there = n->parent->bytes > 0;
    n->parent->bytes += n->bytes;
    n->bytes = 0;
    for (size_t i = 0; i < count; i++)
        if (nodes[i] == n) {
            if (!parent_is_there) {
                nodes[i] = n->parent;
                return count;
            }
            memmove(&nodes[i], &nodes[i + 1], (count - i - 1) * sizeof *nodes);
            break;
        }
    return count - 1;
}

static char *path_of(const struct size_node *n)
{
    const struct size_node *up[SIZE_MAP_DEPTH_MAX + 2];
    size_t depth = 0;
    struct buf out;
    for (; n->parent != NULL; n = n->parent)
        up[depth++] = n;
    buf_init(&out, PATH_MAX_BYTES);
    if (depth == 0)
        buf_append_byte(&out, '/');
    while (depth > 0) {
        buf_append_byte(&out, '/');
        buf_append_str(&out, up[--depth]->name);
    }
    char *path = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return path;
}

static int heaviest_first(const void *a, const void *b)
{
    const struct record_path *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return strcmp(x->path, y->path);
}

struct record_path *size_map_take(struct size_map *m, size_t max, size_t *count_out)
{
    struct size_node *base = base_of(m), *n;
    size_t none = 0;
    fold_light(m, base, m->total / LIGHTEST_SHARE, &none); /* most of them, at once */
    struct size_node **nodes = mem_array(NULL, m->count + 2, sizeof *nodes);
    size_t count = collect(base, nodes, 0);
    while ((n = lightest(nodes, count, base)) != NULL && (count > max || n->bytes < m->total / LIGHTEST_SHARE))
        count = give_up(nodes, count, n);
    struct record_path *paths = mem_array(NULL, count + 1, sizeof *paths);
    for (size_t i = 0; i < count; i++) {
        assert(nodes[i] != NULL);
        paths[i] = (struct record_path){.path = path_of(nodes[i]), .bytes = nodes[i]->bytes};
    }
    qsort(paths, count, sizeof *paths, heaviest_first);
    free(nodes);
    *count_out = count;
    return paths;
}
