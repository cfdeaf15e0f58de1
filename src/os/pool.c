#include "os/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include "base/mem.h"

/*
 * Invariants, under `mutex`: `count` tasks wait in the ring at `head`; `running` are being run. A worker sleeps on
 * `work` only while count == 0; a submitter sleeps on `room` only while count == cap; pool_wait sleeps on `idle` until
 * both are 0.
 */
struct task {
    pool_fn *fn;
    void *arg;
};

struct pool {
    pthread_mutex_t mutex;
    pthread_cond_t work, room, idle;
    struct task *ring;
    size_t cap, head, count, running;
    bool closing;
    unsigned threads, started;
    pthread_t *ids;
};

unsigned os_cpu_count(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n > 0 ? (unsigned)n : 1;
}

static void *worker_main(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->mutex);
    unsigned worker = p->started++;
    for (;;) {
        while (p->count == 0 && !p->closing)
            pthread_cond_wait(&p->work, &p->mutex);
        if (p->count == 0)
            break;
        struct task t = p->ring[p->head];
        p->head = (p->head + 1) % p->cap;
        p->count--;
        p->running++;
        pthread_cond_signal(&p->room);
        pthread_mutex_unlock(&p->mutex);
        t.fn(t.arg, worker);
        pthread_mutex_lock(&p->mutex);
        p->running--;
        if (p->running == 0 && p->count == 0)
            pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

struct pool *pool_new(unsigned threads, size_t queue_max)
{
    struct pool *p = mem_zalloc(sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->room, NULL);
    pthread_cond_init(&p->idle, NULL);
    p->cap = queue_max > 0 ? queue_max : 1;
    p->ring = mem_array(NULL, p->cap, sizeof *p->ring);
    p->ids = mem_array(NULL, threads > 0 ? threads : 1, sizeof *p->ids);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    for (unsigned i = 0; i < threads || i == 0; i++) {
        if (pthread_create(&p->ids[i], NULL, worker_main, p) != 0)
            break;
        p->threads++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (p->threads == 0)
        mem_alloc((size_t)-1); /* a process that cannot have one thread has no memory left: the same end */
    return p;
}

unsigned pool_size(const struct pool *p)
{
    return p->threads;
}

static void put_task(struct pool *p, pool_fn *fn, void *arg)
{
    p->ring[(p->head + p->count) % p->cap] = (struct task){fn, arg};
    p->count++;
    pthread_cond_signal(&p->work);
}

void pool_submit(struct pool *p, pool_fn *fn, void *arg)
{
    pthread_mutex_lock(&p->mutex);
    while (p->count == p->cap)
        pthread_cond_wait(&p->room, &p->mutex);
    put_task(p, fn, arg);
    pthread_mutex_unlock(&p->mutex);
}

bool pool_try_submit(struct pool *p, pool_fn *fn, void *arg)
{
    pthread_mutex_lock(&p->mutex);
    bool room = p->count < p->cap;
    if (room)
        put_task(p, fn, arg);
    pthread_mutex_unlock(&p->mutex);
    return room;
}

void pool_wait(struct pool *p)
{
    pthread_mutex_lock(&p->mutex);
    while (p->count > 0 || p->running > 0)
        pthread_cond_wait(&p->idle, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->mutex);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->threads; i++)
        pthread_join(p->ids[i], NULL);
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->room);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
    free(p->ring);
    free(p->ids);
    free(p);
}
