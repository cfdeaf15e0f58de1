#include "engine/damage.h"

#include <string.h>

#include "engine/parallel.h"
#include "engine/tree_stack.h"

bool damage_blob_lost(const struct index *ix, const struct bits *bad, enum blob_type type, const struct id *id)
{
    size_t position = index_position(ix, type, id);
    if (position == SIZE_MAX)
        return true;
    for (; position < index_loaded_count(ix); position++) {
        const struct index_entry *e = index_loaded(ix, position);
        if (index_entry_type(e) != type || !id_equal(&e->id, id))
            break;
        if (!bits_get(bad, position))
            return false;
    }
    return true;
}

struct search {
    struct repo *repo;
    struct lock *lock;
    struct codec *codec;
    const struct bits *bad;
    struct bits clean; /* trees (by position) below which nothing is lost */
    struct tree_stack stack;
    const struct snapshot *snapshot;
    damage_fn *fn;
    void *ctx;
};

static void touched(struct search *s)
{
    for (size_t i = 0; i < s->stack.depth; i++)
        s->stack.frames[i].touched = true;
}

static void lost_dir(struct search *s, const struct id *tree, const char *path)
{
    touched(s);
    struct damage d = {.snapshot = s->snapshot, .path = path, .is_dir = true, .blob = *tree, .lost = 1, .parts = 1};
    s->fn(s->ctx, &d);
}

static void visit_file(struct search *s, const struct node *node)
{
    struct damage d = {.snapshot = s->snapshot, .parts = node->content_count};
    for (size_t i = 0; i < node->content_count; i++)
        if (damage_blob_lost(s->repo->index, s->bad, BLOB_DATA, &node->content[i]) && d.lost++ == 0)
            d.blob = node->content[i];
    if (d.lost == 0)
        return;
    d.path = tree_stack_path(&s->stack, node->name, node->name_len);
    touched(s);
    s->fn(s->ctx, &d);
}

/* Opens a directory unless nothing below it is lost, or all of it is. */
static void enter(struct search *s, const struct id *tree, const char *name, size_t name_len)
{
    size_t position = index_position(s->repo->index, BLOB_TREE, tree);
    if (position != SIZE_MAX && bits_get(&s->clean, position))
        return;
    if (!damage_blob_lost(s->repo->index, s->bad, BLOB_TREE, tree) &&
        tree_stack_push(&s->stack, s->repo, s->codec, tree, name, name_len, NULL) == 0)
        return;
    lost_dir(s, tree, s->stack.depth == 0 ? "/" : tree_stack_path(&s->stack, name, name_len));
}

static void leave(struct search *s)
{
    struct tree_frame *f = tree_stack_top(&s->stack);
    if (!f->touched)
        bits_set(&s->clean, index_position(s->repo->index, BLOB_TREE, &f->id));
    tree_stack_pop(&s->stack);
}

static int search_snapshot(struct search *s, struct err *err)
{
    static const struct id NO_TREE = {0};
    enter(s, &s->snapshot->tree, "", 0);
    while (s->stack.depth > 0) {
        struct tree_frame *f = tree_stack_top(&s->stack);
        if (f->next == f->tree.count) {
            leave(s);
            continue;
        }
        if (engine_check_stop(s->lock, err) != 0)
            return -1;
        const struct node *node = &f->tree.nodes[f->next++];
        visit_file(s, node);
        if (node->has_subtree)
            enter(s, &node->subtree, node->name, node->name_len);
        else if (node->type == NODE_DIR)
            lost_dir(s, &NO_TREE, tree_stack_path(&s->stack, node->name, node->name_len));
    }
    return 0;
}

int damage_find(struct repo *r, struct lock *lock, const struct snapshot_list *snapshots, const struct bits *bad,
                damage_fn *fn, void *ctx, struct err *err)
{
    struct search s = {.repo = r, .lock = lock, .bad = bad, .fn = fn, .ctx = ctx};
    s.codec = codec_new(r, err);
    if (s.codec == NULL)
        return -1;
    bits_init(&s.clean, index_loaded_count(r->index));
    tree_stack_init(&s.stack);
    int rc = 0;
    for (size_t i = 0; i < snapshots->count && rc == 0; i++) {
        s.snapshot = &snapshots->items[i];
        rc = search_snapshot(&s, err);
    }
    tree_stack_release(&s.stack);
    bits_release(&s.clean);
    codec_free(s.codec);
    return rc;
}
