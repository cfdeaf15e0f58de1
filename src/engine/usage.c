/*
 * Invariants, under `mutex`: `pending` holds positions of trees that nobody has loaded yet, each at most once in the
 * whole walk (its bit in `used` is set by the one who pushes it). `active` workers are inside a tree and may still
 * push. The walk is over when nothing is pending and nobody is active.
 */
#include "engine/usage.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/parallel.h"

struct walk {
    struct repo *repo;
    struct lock *lock;
    struct codec **codecs;
    struct bits *used;
    const struct usage_reporter *reporter;
    struct engine_progress *progress;
    pthread_mutex_t mutex, report_mutex;
    pthread_cond_t more;
    size_t *pending;
    size_t count, cap;
    unsigned active;
    bool stop;
};

/* A worker's list of the trees that it found inside one tree. */
struct found {
    size_t *positions;
    size_t count, cap;
};

static void found_add(struct found *f, size_t position)
{
    if (f->count == f->cap) {
        f->cap = f->cap == 0 ? 64 : f->cap * 2;
        f->positions = mem_array(f->positions, f->cap, sizeof *f->positions);
    }
    f->positions[f->count++] = position;
}

static int missing_blob(struct walk *w, enum blob_type type, const struct id *id, const struct id *tree,
                        struct err *err)
{
    char hex[ID_HEX_BYTES], tree_hex[ID_HEX_BYTES];
    if (w->reporter == NULL && tree == NULL)
        return err_set(err, ERR_CORRUPT, "the tree of a snapshot, %s, is in no index", id_to_hex(id, hex));
    if (w->reporter == NULL)
        return err_set(err, ERR_CORRUPT, "%s blob %s, which tree %.8s needs, is in no index", blob_type_name(type),
                       id_to_hex(id, hex), id_to_hex(tree, tree_hex));
    pthread_mutex_lock(&w->report_mutex);
    w->reporter->missing(w->reporter->ctx, type, id, tree);
    pthread_mutex_unlock(&w->report_mutex);
    return 0;
}

static int bad_tree(struct walk *w, const struct id *id, struct err *err)
{
    if (w->reporter == NULL)
        return -1;
    pthread_mutex_lock(&w->report_mutex);
    w->reporter->bad_tree(w->reporter->ctx, id, err);
    pthread_mutex_unlock(&w->report_mutex);
    err_clear(err);
    return 0;
}

static int need_tree(struct walk *w, const struct id *id, const struct id *parent, struct found *found, struct err *err)
{
    size_t position = index_position(w->repo->index, BLOB_TREE, id);
    if (position == SIZE_MAX)
        return missing_blob(w, BLOB_TREE, id, parent, err);
    if (!bits_set(w->used, position))
        found_add(found, position);
    return 0;
}

static int need_data(struct walk *w, const struct node *node, const struct id *tree, struct err *err)
{
    for (size_t i = 0; i < node->content_count; i++) {
        size_t position = index_position(w->repo->index, BLOB_DATA, &node->content[i]);
        if (position != SIZE_MAX)
            bits_set(w->used, position);
        else if (missing_blob(w, BLOB_DATA, &node->content[i], tree, err) != 0)
            return -1;
    }
    return 0;
}

static int visit_nodes(struct walk *w, const struct id *id, const struct tree *tree, struct found *found,
                       struct err *err)
{
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; i < tree->count; i++) {
        const struct node *node = &tree->nodes[i];
        if (node->type == NODE_DIR && !node->has_subtree) {
            err_set(err, ERR_CORRUPT, "tree %s: directory '%s' has no subtree", id_to_hex(id, hex), node->name);
            if (bad_tree(w, id, err) != 0)
                return -1;
        }
        if (node->has_subtree && need_tree(w, &node->subtree, id, found, err) != 0)
            return -1;
        if (need_data(w, node, id, err) != 0)
            return -1;
    }
    return 0;
}

static int visit_tree(struct walk *w, unsigned worker, size_t position, struct buf *json, struct found *found,
                      struct err *err)
{
    struct id id = index_loaded(w->repo->index, position)->id;
    struct tree tree;
    if (engine_check_stop(w->lock, err) != 0)
        return -1;
    engine_progress_add(w->progress, 1, 0);
    if (repo_consume_tree(w->repo, w->codecs[worker], &id, json, &tree, err) != 0)
        return bad_tree(w, &id, err);
    int rc = visit_nodes(w, &id, &tree, found, err);
    tree_release(&tree);
    buf_shrink(json, 4 << 20);
    return rc;
}

/* Called with the mutex held. */
static void push_found(struct walk *w, struct found *found)
{
    if (w->count + found->count > w->cap) {
        w->cap = (w->count + found->count) * 2;
        w->pending = mem_array(w->pending, w->cap, sizeof *w->pending);
    }
    for (size_t i = found->count; i-- > 0;) /* so that they come off in the order of the tree */
        w->pending[w->count++] = found->positions[i];
    found->count = 0;
}

static int walk_worker(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct walk *w = ctx;
    struct found found = {0};
    struct buf json;
    int rc = 0;
    (void)item;
    buf_init(&json, TREE_MAX_BYTES);
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (w->count == 0 && w->active > 0 && !w->stop)
            pthread_cond_wait(&w->more, &w->mutex);
        if (w->count == 0 || w->stop)
            break;
        size_t position = w->pending[--w->count];
        w->active++;
        pthread_mutex_unlock(&w->mutex);
        rc = visit_tree(w, worker, position, &json, &found, err);
        pthread_mutex_lock(&w->mutex);
        w->active--;
        push_found(w, &found);
        w->stop |= rc != 0;
        if (w->count > 0 || w->active == 0 || w->stop)
            pthread_cond_broadcast(&w->more);
        if (rc != 0)
            break;
    }
    pthread_mutex_unlock(&w->mutex);
    free(found.positions);
    buf_release(&json);
    return rc;
}

static int push_roots(struct walk *w, const struct id *roots, size_t root_count, struct err *err)
{
    struct found found = {0};
    int rc = 0;
    for (size_t i = 0; i < root_count && rc == 0; i++)
        rc = need_tree(w, &roots[i], NULL, &found, err);
    push_found(w, &found);
    free(found.positions);
    return rc;
}

int usage_walk(struct repo *r, struct lock *lock, const struct id *roots, size_t root_count, struct bits *used,
               const struct usage_reporter *reporter, struct engine_progress *progress, struct err *err)
{
    unsigned threads = parallel_threads(r);
    struct walk w = {
        .repo = r,
        .lock = lock,
        .used = used,
        .reporter = reporter,
        .progress = progress,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
        .report_mutex = PTHREAD_MUTEX_INITIALIZER,
        .more = PTHREAD_COND_INITIALIZER,
    };
    int rc = codecs_new(&w.codecs, r, threads, err);
    if (rc == 0)
        rc = push_roots(&w, roots, root_count, err);
    if (rc == 0) /* one item a thread: each works until the whole walk is over */
        rc = parallel_run(threads, threads, lock, walk_worker, &w, err);
    codecs_free(w.codecs, threads);
    free(w.pending);
    pthread_cond_destroy(&w.more);
    pthread_mutex_destroy(&w.report_mutex);
    pthread_mutex_destroy(&w.mutex);
    return rc;
}

struct id *usage_roots(const struct snapshot_list *snapshots)
{
    struct id *roots = mem_array(NULL, snapshots->count + 1, sizeof *roots);
    for (size_t i = 0; i < snapshots->count; i++)
        roots[i] = snapshots->items[i].tree;
    return roots;
}
