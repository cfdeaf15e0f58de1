/*
 * Invariants, under `lock`:
 * - A unit is on the stack exactly when it is SCAN_WAITING and was pushed. It is SCAN_RUNNING on at most one thread,
 * which   alone touches its records until it is SCAN_DONE.
 * - Whoever runs a unit of a directory may read the names of the directories above it: the walk leaves those later.
 */
#include "source/scan.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/pool.h"
#include "source/scan_work.h"

enum { THREADS_MAX = 64 };

struct scan {
    struct scan_rules rules;
    struct scan_dir root;
    struct scan_worker *walk_worker;
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    struct scan_unit *top;
    size_t ahead_entries, ahead_bytes;
    unsigned idle; /* threads that wait for `work` */
    bool full;     /* enough is ahead; until it has gone down by a quarter */
    bool stop;
    bool walk_waits;
    pthread_t threads[THREADS_MAX];
    unsigned thread_count;
};

/* ---- the stack */

static void push(struct scan *s, struct scan_unit *u)
{
    u->above = NULL;
    u->below = s->top;
    if (s->top != NULL)
        s->top->above = u;
    s->top = u;
}

static void take_off(struct scan *s, struct scan_unit *u)
{
    if (u->above != NULL)
        u->above->below = u->below;
    else
        s->top = u->below;
    if (u->below != NULL)
        u->below->above = u->above;
    u->above = u->below = NULL;
}

static void push_children(struct scan *s, struct scan_chunk *chunk)
{
    for (size_t i = chunk->child_count; i-- > 0;)
        if (chunk->children[i].unit.state == SCAN_WAITING)
            push(s, &chunk->children[i].unit);
}

static void account(struct scan *s, const struct scan_chunk *chunk)
{
    s->ahead_entries += chunk->count;
    s->ahead_bytes += chunk->bytes;
    if (s->ahead_entries >= SCAN_AHEAD_ENTRIES || s->ahead_bytes >= SCAN_AHEAD_BYTES)
        s->full = true;
}

/* Pushes what the unit has found, and tells those who wait. */
static void unit_is_done(struct scan *s, struct scan_unit *u)
{
    struct scan_unit *old_top = s->top;
    if (u->chunk == NULL) {
        s->ahead_bytes += u->dir->names_bytes;
        for (size_t i = u->dir->chunk_count; i-- > 0;) {
            if (u->dir->chunks[i].unit.state == SCAN_WAITING) {
                push(s, &u->dir->chunks[i].unit);
            } else {
                account(s, &u->dir->chunks[i]);
                push_children(s, &u->dir->chunks[i]);
            }
        }
    } else {
        account(s, u->chunk);
        push_children(s, u->chunk);
    }
    u->state = SCAN_DONE;
    if (s->idle > 0 && s->top != old_top && !s->full)
        pthread_cond_broadcast(&s->work);
    if (s->walk_waits)
        pthread_cond_signal(&s->done);
}

static void run(struct scan_worker *w, struct scan_unit *u)
{
    if (u->chunk == NULL)
        scan_work_list(w, u->dir);
    else
        scan_work_stat(w, u->chunk);
}

/* Runs a unit that was just taken off the stack. Called, and returns, with the lock held. */
static void run_unlocked(struct scan *s, struct scan_worker *w, struct scan_unit *u)
{
    u->state = SCAN_RUNNING;
    pthread_mutex_unlock(&s->lock);
    run(w, u);
    pthread_mutex_lock(&s->lock);
    unit_is_done(s, u);
}

/* ---- threads */

static void *scanner_main(void *arg)
{
    struct scan *s = arg;
    struct scan_worker *w = scan_worker_new(&s->rules);
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (s->top == NULL || s->full) {
            s->idle++;
            pthread_cond_wait(&s->work, &s->lock);
            s->idle--;
            continue;
        }
        struct scan_unit *u = s->top;
        take_off(s, u);
        run_unlocked(s, w, u);
    }
    pthread_mutex_unlock(&s->lock);
    scan_worker_free(w);
    return NULL;
}

/* Without a single thread the walk does it all itself. */
static void start_threads(struct scan *s, unsigned count)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (s->thread_count < count && s->thread_count < THREADS_MAX &&
           pthread_create(&s->threads[s->thread_count], NULL, scanner_main, s) == 0)
        s->thread_count++;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

int scan_new(struct scan **out, const struct files_options *options, const struct targets *targets,
             const struct sink_reporter *reporter, struct err *err)
{
    struct scan *s = mem_zalloc(sizeof *s);
    if (scan_rules_make(&s->rules, options, reporter, err) != 0) {
        free(s);
        return -1;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->done, NULL);
    s->walk_worker = scan_worker_new(&s->rules);
    s->root.unit.dir = &s->root;
    s->root.name = "";
    s->root.target = &targets->root;
    s->root.whole = targets->root.given;
    s->root.follow = true;
    struct stat st;
    if (stat("/", &st) == 0)
        s->root.device_id = st.st_dev;
    push(s, &s->root.unit);
    start_threads(s, options->threads > 0 ? options->threads : os_cpu_count());
    *out = s;
    return 0;
}

struct scan_dir *scan_root(struct scan *s)
{
    return &s->root;
}

/* ---- the walk's side */

static void need(struct scan *s, struct scan_unit *u)
{
    pthread_mutex_lock(&s->lock);
    if (u->state == SCAN_WAITING) {
        take_off(s, u);
        run_unlocked(s, s->walk_worker, u);
    }
    while (u->state != SCAN_DONE) {
        s->walk_waits = true;
        pthread_cond_wait(&s->done, &s->lock);
    }
    s->walk_waits = false;
    pthread_mutex_unlock(&s->lock);
}

static void less_ahead(struct scan *s, size_t entries, size_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->ahead_entries -= entries;
    s->ahead_bytes -= bytes;
    bool resume =
        s->full && s->ahead_entries <= SCAN_AHEAD_ENTRIES / 4 * 3 && s->ahead_bytes <= SCAN_AHEAD_BYTES / 4 * 3;
    if (resume) {
        s->full = false;
        if (s->idle > 0)
            pthread_cond_broadcast(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
}

/* The names of the directories that the walk is in don't count as ahead of it. */
bool scan_list(struct scan *s, struct scan_dir *dir)
{
    need(s, &dir->unit);
    less_ahead(s, 0, dir->names_bytes);
    dir->names_bytes = 0;
    return !dir->failed;
}

void scan_stat(struct scan *s, struct scan_chunk *chunk)
{
    need(s, &chunk->unit);
}

static void release_chunk(struct scan_chunk *chunk)
{
    free(chunk->entries);
    free(chunk->children);
    chunk->entries = NULL;
    chunk->children = NULL;
    chunk->count = chunk->child_count = chunk->bytes = 0;
}

static void release_dir(struct scan_dir *dir)
{
    for (size_t i = 0; i < dir->chunk_count; i++)
        release_chunk(&dir->chunks[i]);
    if (dir->chunks != &dir->only)
        free(dir->chunks);
    free(dir->names);
    dir->chunks = NULL;
    dir->names = NULL;
    dir->chunk_count = dir->name_count = dir->names_bytes = 0;
}

void scan_leave_chunk(struct scan *s, struct scan_chunk *chunk)
{
    less_ahead(s, chunk->count, chunk->bytes);
    release_chunk(chunk);
}

void scan_leave_dir(struct scan_dir *dir)
{
    release_dir(dir);
}

/* The next child that has not been released; each is given once. */
static struct scan_dir *next_child(struct scan_dir *dir)
{
    for (size_t i = 0; i < dir->chunk_count; i++) {
        struct scan_chunk *chunk = &dir->chunks[i];
        if (chunk->child_released < chunk->child_count)
            return &chunk->children[chunk->child_released++];
    }
    return NULL;
}

/* Without recursion: directories can be nested deeper than a stack is. */
static void release_tree(struct scan_dir *dir)
{
    while (dir != NULL) {
        struct scan_dir *child = next_child(dir);
        if (child != NULL) {
            dir = child;
            continue;
        }
        release_dir(dir);
        dir = dir->parent;
    }
}

void scan_free(struct scan *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->thread_count; i++)
        pthread_join(s->threads[i], NULL);
    release_tree(&s->root);
    scan_worker_free(s->walk_worker);
    scan_rules_release(&s->rules);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->done);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
