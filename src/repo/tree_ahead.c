#include "repo/tree_ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include "base/mem.h"

/*
 * Invariants, under `mutex`
 *  1. `stack` links exactly the trees in state WAITING, those that the walk comes to first on top.
 *  2. ahead_bytes is the memory of trees that are LOADED and were not asked for yet.
 *  3. A tree that is LOADING is never freed: ahead_tree_done waits for it.
 */
enum state { WAITING, LOADING, LOADED, FAILED };

struct ahead_tree {
    struct id id;
    enum state state;
    bool taken; /* asked for: no longer counts against the budget */
    size_t bytes;
    struct tree tree;
    struct err *error;           /* why it FAILED */
    struct ahead_tree *children; /* of the tree's directories, in order */
    size_t child_count;
    const struct node **child_nodes;  /* whose subtree children[i] is; ascending by address */
    struct ahead_tree *above, *below; /* in the stack */
};

/* What a loader keeps of its buffer for the text: a directory with very many files needs a large one, once. */
enum { JSON_KEEP_BYTES = 1 << 20 };

struct tree_ahead {
    struct repo *repo;
    size_t budget_bytes, ahead_bytes;
    pthread_mutex_t mutex;
    pthread_cond_t work, loaded;
    struct ahead_tree *stack;
    bool closing;
    struct ahead_tree *root;
    struct codec *codec; /* the walking thread's */
    struct buf json;
    pthread_t *threads;
    unsigned thread_count;
};

static void push(struct tree_ahead *ta, struct ahead_tree *at)
{
    at->above = NULL;
    at->below = ta->stack;
    if (ta->stack != NULL)
        ta->stack->above = at;
    ta->stack = at;
}

static void unlink_waiting(struct tree_ahead *ta, struct ahead_tree *at)
{
    if (at->above != NULL)
        at->above->below = at->below;
    else
        ta->stack = at->below;
    if (at->below != NULL)
        at->below->above = at->above;
}

static void make_children(struct ahead_tree *at)
{
    size_t count = 0;
    for (size_t i = 0; i < at->tree.count; i++)
        count += at->tree.nodes[i].has_subtree;
    if (count == 0)
        return;
    at->children = mem_zalloc(count * sizeof *at->children);
    at->child_nodes = mem_array(NULL, count, sizeof *at->child_nodes);
    for (size_t i = 0; i < at->tree.count; i++) {
        if (!at->tree.nodes[i].has_subtree)
            continue;
        at->child_nodes[at->child_count] = &at->tree.nodes[i];
        at->children[at->child_count++].id = at->tree.nodes[i].subtree;
    }
}

/* Loads a tree that is marked LOADING, with the mutex not held; then publishes it and puts its subtrees on the stack.
 */
static void load(struct tree_ahead *ta, struct ahead_tree *at, struct codec *codec, struct buf *json)
{
    struct err err;
    bool ok = repo_consume_tree(ta->repo, codec, &at->id, json, &at->tree, &err) == 0;
    buf_shrink(json, JSON_KEEP_BYTES);
    if (ok) {
        make_children(at);
        at->bytes = at->tree.arena.total_bytes + at->tree.count * sizeof(struct node) + at->child_count * sizeof *at;
    }
    pthread_mutex_lock(&ta->mutex);
    if (ok) {
        for (size_t i = at->child_count; i > 0; i--)
            push(ta, &at->children[i - 1]);
        ta->ahead_bytes += at->bytes;
    } else {
        at->error = mem_copy(&err, sizeof err);
    }
    at->state = ok ? LOADED : FAILED;
    pthread_cond_broadcast(&ta->loaded);
    if (ta->stack != NULL)
        pthread_cond_broadcast(&ta->work);
    pthread_mutex_unlock(&ta->mutex);
}

static void *loader_main(void *arg)
{
    struct tree_ahead *ta = arg;
    struct codec *codec = codec_new(ta->repo, NULL);
    struct buf json;
    buf_init(&json, REPO_BLOB_MAX_BYTES);
    pthread_mutex_lock(&ta->mutex);
    while (codec != NULL && !ta->closing) {
        if (ta->stack == NULL || ta->ahead_bytes >= ta->budget_bytes) {
            pthread_cond_wait(&ta->work, &ta->mutex);
            continue;
        }
        struct ahead_tree *at = ta->stack;
        unlink_waiting(ta, at);
        at->state = LOADING;
        pthread_mutex_unlock(&ta->mutex);
        load(ta, at, codec, &json);
        pthread_mutex_lock(&ta->mutex);
    }
    pthread_mutex_unlock(&ta->mutex);
    buf_release(&json);
    codec_free(codec);
    return NULL;
}

struct tree_ahead *tree_ahead_new(struct repo *r, unsigned threads, size_t budget_bytes, struct err *err)
{
    struct codec *codec = codec_new(r, err);
    if (codec == NULL)
        return NULL;
    struct tree_ahead *ta = mem_zalloc(sizeof *ta);
    ta->repo = r;
    ta->budget_bytes = budget_bytes;
    ta->codec = codec;
    buf_init(&ta->json, REPO_BLOB_MAX_BYTES);
    pthread_mutex_init(&ta->mutex, NULL);
    pthread_cond_init(&ta->work, NULL);
    pthread_cond_init(&ta->loaded, NULL);
    ta->threads = mem_array(NULL, threads, sizeof *ta->threads);
    /* Fewer threads than asked for, or none, only make it slower. */
    while (ta->thread_count < threads && pthread_create(&ta->threads[ta->thread_count], NULL, loader_main, ta) == 0)
        ta->thread_count++;
    return ta;
}

struct ahead_tree *tree_ahead_root(struct tree_ahead *ta, const struct id *id)
{
    struct ahead_tree *at = mem_zalloc(sizeof *at);
    at->id = *id;
    ta->root = at;
    pthread_mutex_lock(&ta->mutex);
    push(ta, at);
    pthread_cond_broadcast(&ta->work);
    pthread_mutex_unlock(&ta->mutex);
    return at;
}

int ahead_tree_get(struct tree_ahead *ta, struct ahead_tree *at, const struct tree **out, struct err *err)
{
    pthread_mutex_lock(&ta->mutex);
    if (at->state == WAITING) {
        unlink_waiting(ta, at);
        at->state = LOADING;
        pthread_mutex_unlock(&ta->mutex);
        load(ta, at, ta->codec, &ta->json);
        pthread_mutex_lock(&ta->mutex);
    }
    while (at->state == LOADING)
        pthread_cond_wait(&ta->loaded, &ta->mutex);
    if (at->state == LOADED && !at->taken) {
        at->taken = true;
        ta->ahead_bytes -= at->bytes;
        pthread_cond_broadcast(&ta->work);
    }
    bool ok = at->state == LOADED;
    pthread_mutex_unlock(&ta->mutex);
    if (ok)
        *out = &at->tree;
    else if (err != NULL)
        *err = *at->error;
    return ok ? 0 : -1;
}

struct ahead_tree *ahead_tree_child(struct ahead_tree *at, const struct node *dir)
{
    size_t low = 0, high = at->child_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at->child_nodes[middle] == dir)
            return &at->children[middle];
        if (at->child_nodes[middle] < dir)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct id *ahead_tree_id(const struct ahead_tree *at)
{
    return &at->id;
}

/* Frees what a tree holds, and its descendants. Called with the mutex held. */
static void release(struct tree_ahead *ta, struct ahead_tree *at)
{
    if (at->state == WAITING)
        unlink_waiting(ta, at);
    while (at->state == LOADING)
        pthread_cond_wait(&ta->loaded, &ta->mutex);
    if (at->state == LOADED && !at->taken)
        ta->ahead_bytes -= at->bytes;
    for (size_t i = 0; i < at->child_count; i++)
        release(ta, &at->children[i]);
    if (at->state == LOADED)
        tree_release(&at->tree);
    free(at->children);
    free(at->child_nodes);
    free(at->error);
    /* It stays where it is, empty, until its parent goes. */
    *at = (struct ahead_tree){.state = FAILED};
}

void ahead_tree_done(struct tree_ahead *ta, struct ahead_tree *at)
{
    pthread_mutex_lock(&ta->mutex);
    release(ta, at);
    pthread_cond_broadcast(&ta->work);
    pthread_mutex_unlock(&ta->mutex);
    if (at == ta->root) {
        free(at);
        ta->root = NULL;
    }
}

void tree_ahead_free(struct tree_ahead *ta)
{
    if (ta == NULL)
        return;
    if (ta->root != NULL)
        ahead_tree_done(ta, ta->root);
    pthread_mutex_lock(&ta->mutex);
    ta->closing = true;
    pthread_cond_broadcast(&ta->work);
    pthread_mutex_unlock(&ta->mutex);
    for (unsigned i = 0; i < ta->thread_count; i++)
        pthread_join(ta->threads[i], NULL);
    pthread_cond_destroy(&ta->loaded);
    pthread_cond_destroy(&ta->work);
    pthread_mutex_destroy(&ta->mutex);
    buf_release(&ta->json);
    codec_free(ta->codec);
    free(ta->threads);
    free(ta);
}
