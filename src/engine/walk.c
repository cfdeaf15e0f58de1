#include "engine/walk.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/prefetch.h"
#include "os/interrupt.h"

enum { JSON_KEEP_BYTES = 1 << 20, PATH_MAX_BYTES = 16 << 20, REMOTE_PREFETCH_THREADS = 4 };

struct walk_tree *walk_tree_load(struct repo *r, struct codec *c, const struct id *id, struct buf *json,
                                 struct err *err)
{
    struct walk_tree *t = mem_zalloc(sizeof *t);
    atomic_init(&t->refs, 1);
    buf_clear(json);
    if (repo_consume_tree(r, c, id, json, &t->tree, err) < 0) {
        free(t);
        return NULL;
    }
    return t;
}

struct walk_tree *walk_tree_ref(struct walk_tree *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void walk_tree_unref(struct walk_tree *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    tree_release(&t->tree);
    free(t);
}

/* A directory on the way down. */
struct frame {
    struct walk_dir dir;
    size_t next;     /* the entry to visit next */
    size_t ahead;    /* the first entry not yet looked at for loading ahead */
    size_t path_len; /* of this directory, without a trailing slash */
};

struct walk {
    struct repo *repo;
    struct codec *codec;
    struct prefetch *prefetch; /* NULL: none */
    const struct walk_visitor *visitor;
    struct buf json, path;
    struct frame **stack; /* pointers: visitors keep addresses of walk_dir while it is entered */
    size_t depth, cap;
};

static const char *path_of(struct walk *w, size_t len)
{
    w->path.len = len;
    return len == 0 ? "/" : buf_cstr(&w->path);
}

static const char *append_name(struct walk *w, const struct frame *f, const struct node *n)
{
    w->path.len = f->path_len;
    buf_append_byte(&w->path, '/');
    buf_append(&w->path, n->name, n->name_len);
    return buf_cstr(&w->path);
}

/* Has the next sub-directories of this directory loaded by the helpers. */
static void want_ahead(struct walk *w, struct frame *f)
{
    if (w->prefetch == NULL)
        return;
    if (f->ahead < f->next)
        f->ahead = f->next;
    const struct tree *t = &f->dir.tree->tree;
    for (; f->ahead < t->count; f->ahead++) {
        const struct node *n = &t->nodes[f->ahead];
        if (n->type == NODE_DIR && n->has_subtree && !prefetch_want(w->prefetch, f->dir.depth, f->ahead, &n->subtree))
            return;
    }
}

static struct walk_tree *load(struct walk *w, const struct frame *parent, const struct id *id, struct err *err)
{
    struct walk_tree *t = NULL;
    if (w->prefetch != NULL && parent != NULL &&
        prefetch_take(w->prefetch, parent->dir.depth, parent->next - 1, &t, err))
        return t;
    t = walk_tree_load(w->repo, w->codec, id, &w->json, err);
    buf_shrink(&w->json, JSON_KEEP_BYTES);
    return t;
}

static int report_broken(struct walk *w, const struct id *id, const struct err *why, struct err *err)
{
    const char *path = path_of(w, w->path.len);
    if (w->visitor->broken != NULL)
        return w->visitor->broken(w->visitor->ctx, path, id, why, err);
    if (err != NULL)
        *err = *why;
    char hex[ID_SHORT_CHARS + 1];
    return err_wrap(err, "cannot read directory '%s' (tree %s)", path, id_to_short(id, hex));
}

/* Goes down into the tree `id`; w->path is the directory's path. */
static int push(struct walk *w, const struct node *node, const struct id *id, struct err *err)
{
    struct frame *parent = w->depth > 0 ? w->stack[w->depth - 1] : NULL;
    struct err why = {0};
    struct walk_tree *tree = NULL;
    if (w->depth > WALK_DEPTH_MAX)
        err_set(&why, ERR_UNSUPPORTED, "directories are nested more than %d deep", WALK_DEPTH_MAX);
    else
        tree = load(w, parent, id, &why);
    if (tree == NULL)
        return report_broken(w, id, &why, err);

    struct frame *f = mem_zalloc(sizeof *f);
    f->dir = (struct walk_dir){.parent = parent != NULL ? &parent->dir : NULL,
                               .node = node,
                               .tree = tree,
                               .id = id,
                               .depth = (unsigned)w->depth};
    f->path_len = w->path.len;
    if (w->visitor->enter != NULL && w->visitor->enter(w->visitor->ctx, &f->dir, path_of(w, f->path_len), err) < 0) {
        walk_tree_unref(tree);
        free(f);
        return -1;
    }
    if (w->depth == w->cap) {
        w->cap = w->cap * 2 + 16;
        w->stack = mem_array(w->stack, w->cap, sizeof *w->stack);
    }
    w->stack[w->depth++] = f;
    want_ahead(w, f);
    return 0;
}

static int pop(struct walk *w, bool failed, struct err *err)
{
    struct frame *f = w->stack[--w->depth];
    int result = 0;
    if (w->visitor->leave != NULL)
        result = w->visitor->leave(w->visitor->ctx, &f->dir, path_of(w, f->path_len), failed, err);
    if (w->prefetch != NULL)
        prefetch_drop(w->prefetch, f->dir.depth, SIZE_MAX);
    walk_tree_unref(f->dir.tree);
    free(f);
    return result;
}

static int visit_next(struct walk *w, struct frame *f, struct err *err)
{
    const struct node *n = &f->dir.tree->tree.nodes[f->next++];
    const char *path = append_name(w, f, n);
    int verdict = w->visitor->entry(w->visitor->ctx, &f->dir, n, path, err);
    if (verdict < 0)
        return -1;
    if (n->type != NODE_DIR)
        return 0;
    int result = 0;
    if (verdict == WALK_GO && n->has_subtree)
        result = push(w, n, &n->subtree, err);
    else if (w->prefetch != NULL)
        prefetch_drop(w->prefetch, f->dir.depth, f->next - 1);
    want_ahead(w, f);
    return result;
}

static int walk_all(struct walk *w, struct err *err)
{
    while (w->depth > 0) {
        if (os_check_interrupt(err) < 0)
            return -1;
        struct frame *f = w->stack[w->depth - 1];
        int result = f->next < f->dir.tree->tree.count ? visit_next(w, f, err) : pop(w, false, err);
        if (result < 0)
            return -1;
    }
    return 0;
}

int walk_run(struct repo *r, const struct id *root, unsigned prefetch_threads, const struct walk_visitor *visitor,
             struct err *err)
{
    struct walk w = {.repo = r, .visitor = visitor, .codec = codec_new(r, err)};
    if (w.codec == NULL)
        return -1;
    buf_init(&w.json, TREE_MAX_BYTES);
    buf_init(&w.path, PATH_MAX_BYTES);
    if (prefetch_threads > 0)
        w.prefetch = prefetch_new(r, prefetch_threads);
    int result = push(&w, NULL, root, err);
    if (result == 0)
        result = walk_all(&w, err);
    while (w.depth > 0)
        pop(&w, true, NULL);
    prefetch_free(w.prefetch);
    codec_free(w.codec);
    buf_release(&w.json);
    buf_release(&w.path);
    free(w.stack);
    return result;
}

unsigned walk_prefetch_threads(const struct repo *r)
{
    return r->store->features & STORE_CHEAP_READS ? 1 : REMOTE_PREFETCH_THREADS;
}

/* Steps from *tree to the entry called name[0 … len): *node is set. */
static int find_step(struct repo *r, struct codec *c, struct buf *json, const struct id *root, const char *name,
                     size_t len, struct walk_tree **tree, const struct node **node, struct err *err)
{
    const struct id *id = *node == NULL ? root : &(*node)->subtree;
    if (*node != NULL && ((*node)->type != NODE_DIR || !(*node)->has_subtree))
        return err_set(err, ERR_NOT_FOUND, "'%s' is no directory", (*node)->name);
    struct walk_tree *next = walk_tree_load(r, c, id, json, err);
    walk_tree_unref(*tree);
    *tree = next;
    *node = NULL;
    if (next == NULL)
        return -1;
    *node = tree_find(&next->tree, name, len);
    return *node != NULL ? 0 : err_set(err, ERR_NOT_FOUND, "there is no '%.*s'", (int)len, name);
}

int walk_find(struct repo *r, const struct id *root, const char *path, struct walk_tree **tree_out,
              const struct node **node_out, struct err *err)
{
    *tree_out = NULL;
    *node_out = NULL;
    struct codec *c = codec_new(r, err);
    if (c == NULL)
        return -1;
    struct buf json;
    buf_init(&json, TREE_MAX_BYTES);
    int result = 0;
    const char *p = path;
    while (result == 0 && *(p += strspn(p, "/")) != '\0') {
        size_t len = strcspn(p, "/");
        result = find_step(r, c, &json, root, p, len, tree_out, node_out, err);
        p += len;
    }
    if (result < 0) {
        walk_tree_unref(*tree_out);
        *tree_out = NULL;
        *node_out = NULL;
        err_wrap(err, "cannot find '%s' in the snapshot", path);
    }
    buf_release(&json);
    codec_free(c);
    return result;
}

int walk_find_dir(struct repo *r, const struct id *root, const char *path, struct id *out, struct err *err)
{
    struct walk_tree *tree;
    const struct node *node;
    if (walk_find(r, root, path, &tree, &node, err) < 0)
        return -1;
    int result = 0;
    if (node == NULL)
        *out = *root;
    else if (node->type == NODE_DIR && node->has_subtree)
        *out = node->subtree;
    else
        result =
            err_set(err, ERR_USAGE, "'%s' in the snapshot is a %s, no directory", path, node_type_name(node->type));
    walk_tree_unref(tree);
    return result;
}
