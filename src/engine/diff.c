#include "engine/diff.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/usage.h"
#include "engine/walk.h"
#include "os/interrupt.h"

enum { PATH_BYTES_MAX = 16 << 20, JSON_KEEP_BYTES = 1 << 20 };

struct diff {
    struct repo *repo;
    struct codec *codec;
    const struct diff_options *options;
    struct diff_stats *stats;
    struct buf json, path;
    struct bits before, after; /* blobs met on either side, by their position in the index */
    struct id *common;         /* sub-trees that both have */
    size_t common_count, common_cap;
};

static struct walk_tree *load(struct diff *d, const struct id *id, struct err *err)
{
    struct walk_tree *t = walk_tree_load(d->repo, d->codec, id, &d->json, err);
    buf_shrink(&d->json, JSON_KEEP_BYTES);
    if (t == NULL)
        err_wrap(err, "cannot compare the directory '%s'", d->path.len > 0 ? buf_cstr(&d->path) : "/");
    return t;
}

static void mark(struct diff *d, struct bits *side, enum blob_type type, const struct id *id)
{
    size_t position = index_position(d->repo->index, type, id);
    if (position != SIZE_MAX)
        bits_set(side, position);
}

static void mark_node(struct diff *d, struct bits *side, const struct node *n)
{
    for (size_t i = 0; i < n->content_count; i++)
        mark(d, side, BLOB_DATA, &n->content[i]);
    if (n->type == NODE_DIR && n->has_subtree)
        mark(d, side, BLOB_TREE, &n->subtree);
}

static int report(struct diff *d, unsigned change, bool is_dir, struct err *err)
{
    size_t len = d->path.len;
    if (d->options->change == NULL)
        return 0;
    if (is_dir)
        buf_append_byte(&d->path, '/');
    int result = d->options->change(d->options->ctx, change, buf_cstr(&d->path), err);
    d->path.len = len;
    return result;
}

static size_t path_push(struct diff *d, const struct node *n)
{
    size_t len = d->path.len;
    buf_append_byte(&d->path, '/');
    buf_append(&d->path, n->name, n->name_len);
    return len;
}

static void count(struct diff_side *side, const struct node *n)
{
    if (n->type == NODE_FILE)
        side->files++;
    else if (n->type == NODE_DIR)
        side->dirs++;
    else
        side->others++;
}

/* --- what only one side has --- */

struct one_side {
    struct diff *diff;
    unsigned change;
    struct bits *bits;
    struct diff_side *side;
    size_t base_len; /* of the path of the directory that is walked */
};

static int visit_one_side(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct one_side *o = ctx;
    struct diff *d = o->diff;
    (void)dir;
    d->path.len = o->base_len;
    buf_append_str(&d->path, path);
    count(o->side, n);
    mark_node(d, o->bits, n);
    int result = report(d, o->change, n->type == NODE_DIR, err);
    d->path.len = o->base_len;
    return result;
}

static int only_one_side(struct diff *d, const struct node *n, unsigned change, struct err *err)
{
    bool added = change == DIFF_ADDED;
    struct one_side o = {.diff = d,
                         .change = change,
                         .bits = added ? &d->after : &d->before,
                         .side = added ? &d->stats->added : &d->stats->removed};
    size_t len = path_push(d, n);
    o.base_len = d->path.len;
    count(o.side, n);
    mark_node(d, o.bits, n);
    int result = report(d, change, n->type == NODE_DIR, err);
    if (result == 0 && n->type == NODE_DIR && n->has_subtree) {
        struct walk_visitor visitor = {.ctx = &o, .entry = visit_one_side};
        result = walk_run(d->repo, &n->subtree, 0, &visitor, err);
    }
    d->path.len = len;
    return result;
}

/* --- what both have --- */

static bool same_content(const struct node *a, const struct node *b)
{
    return a->content_count == b->content_count &&
           (a->content_count == 0 || memcmp(a->content, b->content, a->content_count * sizeof *a->content) == 0);
}

static unsigned compare(const struct diff *d, const struct node *a, const struct node *b)
{
    unsigned change = a->type != b->type ? DIFF_TYPE : 0;
    if (a->type == NODE_FILE && b->type == NODE_FILE && !same_content(a, b))
        return change | DIFF_CONTENT | (node_metadata_equal(a, b) ? DIFF_BITROT : 0);
    bool same_subtree = a->has_subtree == b->has_subtree && (!a->has_subtree || id_equal(&a->subtree, &b->subtree));
    if (d->options->metadata && (!node_metadata_equal(a, b) || !same_content(a, b) || !same_subtree))
        change |= DIFF_METADATA;
    return change;
}

static void add_common(struct diff *d, const struct id *tree)
{
    if (d->common_count == d->common_cap) {
        d->common_cap = d->common_cap * 2 + 64;
        d->common = mem_array(d->common, d->common_cap, sizeof *d->common);
    }
    d->common[d->common_count++] = *tree;
}

/* A pair of directories that is being compared. The pairs on the way down lie on the heap: trees may be deep. */
struct pair {
    struct pair *up;
    struct walk_tree *a, *b;
    size_t i, k;     /* next entries */
    size_t path_len; /* to go back to when it is done */
};

static int push(struct diff *d, struct pair **top, const struct id *a, const struct id *b, size_t path_len,
                struct err *err)
{
    struct pair *p = mem_zalloc(sizeof *p);
    *p = (struct pair){.up = *top, .path_len = path_len};
    *top = p;
    p->a = load(d, a, err);
    p->b = p->a != NULL ? load(d, b, err) : NULL;
    return p->b != NULL ? 0 : -1;
}

static void pop(struct diff *d, struct pair **top)
{
    struct pair *p = *top;
    *top = p->up;
    d->path.len = p->path_len;
    walk_tree_unref(p->a);
    walk_tree_unref(p->b);
    free(p);
}

static int both_sides(struct diff *d, struct pair **top, const struct node *a, const struct node *b, struct err *err)
{
    mark_node(d, &d->before, a);
    mark_node(d, &d->after, b);
    size_t len = path_push(d, b);
    unsigned change = compare(d, a, b);
    d->stats->changed_files += (change & DIFF_CONTENT) != 0;
    if (change != 0 && report(d, change, b->type == NODE_DIR, err) < 0)
        return -1;
    bool dirs = a->type == NODE_DIR && b->type == NODE_DIR && a->has_subtree && b->has_subtree;
    if (dirs && !id_equal(&a->subtree, &b->subtree))
        return push(d, top, &a->subtree, &b->subtree, len, err);
    if (dirs)
        add_common(d, &a->subtree);
    d->path.len = len;
    return 0;
}

static int compare_names(const struct node *a, const struct node *b)
{
    size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->name, b->name, len);
    return order != 0 ? order : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static int step(struct diff *d, struct pair **top, struct err *err)
{
    struct pair *p = *top;
    const struct node *a = p->i < p->a->tree.count ? &p->a->tree.nodes[p->i] : NULL;
    const struct node *b = p->k < p->b->tree.count ? &p->b->tree.nodes[p->k] : NULL;
    if (a == NULL && b == NULL) {
        pop(d, top);
        return 0;
    }
    int order = a == NULL ? 1 : b == NULL ? -1 : compare_names(a, b);
    p->i += order <= 0;
    p->k += order >= 0;
    if (order < 0)
        return only_one_side(d, a, DIFF_REMOVED, err);
    if (order > 0)
        return only_one_side(d, b, DIFF_ADDED, err);
    return both_sides(d, top, a, b, err);
}

static int compare_trees(struct diff *d, const struct id *from, const struct id *to, struct err *err)
{
    struct pair *top = NULL;
    int result = push(d, &top, from, to, 0, err);
    while (result == 0 && top != NULL) {
        result = os_check_interrupt(err);
        if (result == 0)
            result = step(d, &top, err);
    }
    while (top != NULL)
        pop(d, &top);
    return result;
}

/* --- blobs --- */

static void count_blob(struct diff_side *side, const struct index_entry *e)
{
    if (index_entry_type(e) == BLOB_TREE)
        side->tree_blobs++;
    else
        side->data_blobs++;
    side->bytes += e->raw_length != 0 ? e->raw_length : e->length - CIPHER_OVERHEAD_BYTES;
}

static int count_blobs(struct diff *d, struct err *err)
{
    const struct index *ix = d->repo->index;
    struct bits shared;
    bits_init(&shared, index_loaded_count(ix));
    int result = 0;
    if (d->common_count > 0)
        result = usage_walk(d->repo, NULL, d->common, d->common_count, &shared, NULL, NULL, err);
    for (size_t i = 0; i < index_loaded_count(ix) && result == 0; i++) {
        bool before = bits_get(&d->before, i), after = bits_get(&d->after, i);
        if (before == after || bits_get(&shared, i))
            continue;
        count_blob(after ? &d->stats->added : &d->stats->removed, index_loaded(ix, i));
    }
    bits_release(&shared);
    return result;
}

static int begin(struct diff *d, struct repo *r, const struct diff_options *options, struct diff_stats *stats,
                 struct err *err)
{
    *stats = (struct diff_stats){0};
    *d = (struct diff){.repo = r, .options = options, .stats = stats, .codec = codec_new(r, err)};
    if (d->codec == NULL)
        return -1;
    buf_init(&d->json, TREE_MAX_BYTES);
    buf_init(&d->path, PATH_BYTES_MAX);
    bits_init(&d->before, index_loaded_count(r->index));
    bits_init(&d->after, index_loaded_count(r->index));
    return 0;
}

static void end(struct diff *d)
{
    bits_release(&d->before);
    bits_release(&d->after);
    buf_release(&d->json);
    buf_release(&d->path);
    codec_free(d->codec);
    free(d->common);
}

static int compare_roots(struct diff *d, const struct id *from, const struct id *to, struct err *err)
{
    mark(d, &d->before, BLOB_TREE, from);
    mark(d, &d->after, BLOB_TREE, to);
    return id_equal(from, to) ? 0 : compare_trees(d, from, to, err);
}

int diff_run(struct repo *r, const struct id *from, const struct id *to, const struct diff_options *options,
             struct diff_stats *out, struct err *err)
{
    struct diff d;
    if (begin(&d, r, options, out, err) != 0)
        return -1;
    int result = compare_roots(&d, from, to, err);
    if (result == 0)
        result = count_blobs(&d, err);
    end(&d);
    return result;
}

int diff_added_blobs(struct repo *r, const struct id *from, const struct id *to, struct bits *added, struct err *err)
{
    static const struct diff_options QUIETLY = {0};
    struct diff d;
    struct diff_stats stats;
    if (begin(&d, r, &QUIETLY, &stats, err) != 0)
        return -1;
    int result = compare_roots(&d, from, to, err);
    for (size_t i = 0; i < index_loaded_count(r->index) && result == 0; i++)
        if (bits_get(&d.after, i) && !bits_get(&d.before, i))
            bits_set(added, i);
    end(&d);
    return result;
}
