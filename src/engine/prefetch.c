#include "engine/prefetch.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "base/mem.h"

/* Invariants: a slot's depth, position and id change only while it is FREE or WANTED; a helper owns it while LOADING;
 * `tree` and `failure` are valid while READY. A LOADING slot that is dropped becomes `dropped` and is freed by its
 * helper. */
enum { LEVELS = 16, AHEAD = 4, SLOTS = LEVELS * AHEAD, JSON_KEEP_BYTES = 1 << 20 };

enum slot_state { FREE, WANTED, LOADING, READY };

struct slot {
    enum slot_state state;
    bool dropped;
    unsigned depth;
    size_t position;
    struct id id;
    struct walk_tree *tree; /* NULL: failed */
    struct err failure;
};

struct helper {
    struct prefetch *owner;
    struct codec *codec;
    struct buf json;
    pthread_t thread;
};

struct prefetch {
    struct repo *repo;
    pthread_mutex_t mutex;
    pthread_cond_t wanted, ready;
    bool ending;
    struct slot slots[SLOTS];
    struct helper *helpers;
    unsigned helper_count;
};

/* The wanted slot that the walk will need first: the deepest, then the first by position. */
static struct slot *next_wanted(struct prefetch *p)
{
    struct slot *best = NULL;
    for (struct slot *s = p->slots; s < p->slots + SLOTS; s++) {
        if (s->state != WANTED)
            continue;
        if (best == NULL || s->depth > best->depth || (s->depth == best->depth && s->position < best->position))
            best = s;
    }
    return best;
}

static void clear_slot(struct slot *s)
{
    walk_tree_unref(s->tree);
    s->tree = NULL;
    s->state = FREE;
    s->dropped = false;
}

static void load_slot(struct helper *h, struct slot *s)
{
    struct prefetch *p = h->owner;
    struct id id = s->id;
    s->state = LOADING;
    pthread_mutex_unlock(&p->mutex);
    struct err failure = {0};
    struct walk_tree *tree = walk_tree_load(p->repo, h->codec, &id, &h->json, &failure);
    buf_shrink(&h->json, JSON_KEEP_BYTES);
    pthread_mutex_lock(&p->mutex);
    s->tree = tree;
    s->failure = failure;
    s->state = READY;
    if (s->dropped)
        clear_slot(s);
    pthread_cond_broadcast(&p->ready);
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    struct prefetch *p = h->owner;
    pthread_mutex_lock(&p->mutex);
    while (!p->ending) {
        struct slot *s = next_wanted(p);
        if (s != NULL)
            load_slot(h, s);
        else
            pthread_cond_wait(&p->wanted, &p->mutex);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

static bool start_helper(struct prefetch *p)
{
    struct helper *h = &p->helpers[p->helper_count];
    h->owner = p;
    h->codec = codec_new(p->repo, NULL);
    if (h->codec == NULL)
        return false;
    buf_init(&h->json, TREE_MAX_BYTES);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&h->thread, NULL, helper_main, h);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) {
        codec_free(h->codec);
        return false;
    }
    p->helper_count++;
    return true;
}

struct prefetch *prefetch_new(struct repo *r, unsigned threads)
{
    struct prefetch *p = mem_zalloc(sizeof *p);
    p->repo = r;
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->wanted, NULL);
    pthread_cond_init(&p->ready, NULL);
    p->helpers = mem_zalloc(threads * sizeof *p->helpers);
    while (p->helper_count < threads && start_helper(p))
        ;
    if (p->helper_count == 0) {
        prefetch_free(p);
        return NULL;
    }
    return p;
}

void prefetch_free(struct prefetch *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->mutex);
    p->ending = true;
    pthread_cond_broadcast(&p->wanted);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->helper_count; i++) {
        pthread_join(p->helpers[i].thread, NULL);
        codec_free(p->helpers[i].codec);
        buf_release(&p->helpers[i].json);
    }
    for (struct slot *s = p->slots; s < p->slots + SLOTS; s++)
        walk_tree_unref(s->tree);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->wanted);
    pthread_cond_destroy(&p->ready);
    free(p->helpers);
    free(p);
}

static struct slot *level(struct prefetch *p, unsigned depth)
{
    return p->slots + (size_t)(depth % LEVELS) * AHEAD;
}

/* A place at this depth. Places that a directory LEVELS above or below holds are taken over: the walk will not come
 * back to that one for long. */
static struct slot *free_place(struct prefetch *p, unsigned depth)
{
    for (struct slot *s = level(p, depth); s < level(p, depth) + AHEAD; s++) {
        if (s->state != FREE && s->state != LOADING && s->depth != depth)
            clear_slot(s);
        if (s->state == FREE)
            return s;
    }
    return NULL;
}

bool prefetch_want(struct prefetch *p, unsigned depth, size_t position, const struct id *id)
{
    pthread_mutex_lock(&p->mutex);
    struct slot *s = free_place(p, depth);
    if (s != NULL) {
        s->state = WANTED;
        s->depth = depth;
        s->position = position;
        s->id = *id;
        pthread_cond_signal(&p->wanted);
    }
    pthread_mutex_unlock(&p->mutex);
    return s != NULL;
}

static struct slot *find_slot(struct prefetch *p, unsigned depth, size_t position)
{
    for (struct slot *s = level(p, depth); s < level(p, depth) + AHEAD; s++)
        if (s->state != FREE && !s->dropped && s->depth == depth && s->position == position)
            return s;
    return NULL;
}

bool prefetch_take(struct prefetch *p, unsigned depth, size_t position, struct walk_tree **out, struct err *err)
{
    pthread_mutex_lock(&p->mutex);
    struct slot *s = find_slot(p, depth, position);
    while (s != NULL && s->state == LOADING)
        pthread_cond_wait(&p->ready, &p->mutex);
    bool taken = s != NULL && s->state == READY;
    if (taken) {
        *out = s->tree;
        s->tree = NULL;
        if (*out == NULL && err != NULL)
            *err = s->failure;
    }
    if (s != NULL)
        clear_slot(s);
    pthread_mutex_unlock(&p->mutex);
    return taken;
}

void prefetch_drop(struct prefetch *p, unsigned depth, size_t position)
{
    pthread_mutex_lock(&p->mutex);
    for (struct slot *s = level(p, depth); s < level(p, depth) + AHEAD; s++) {
        if (s->state == FREE || s->depth != depth || s->position > position)
            continue;
        if (s->state == LOADING)
            s->dropped = true;
        else
            clear_slot(s);
    }
    pthread_mutex_unlock(&p->mutex);
}
