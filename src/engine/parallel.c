#include "engine/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "os/interrupt.h"
#include "os/pool.h"

struct run {
    _Atomic size_t next;
    _Atomic unsigned next_worker;
    _Atomic bool stop;
    size_t count;
    struct lock *lock;
    parallel_fn *fn;
    void *ctx;
    pthread_mutex_t mutex; /* guards err */
    struct err err;
};

int engine_check_stop(struct lock *lock, struct err *err)
{
    if (os_check_interrupt(err) != 0)
        return -1;
    return lock != NULL ? lock_check(lock, err) : 0;
}

unsigned parallel_threads(const struct repo *r)
{
    return r->options.threads != 0 ? r->options.threads : os_cpu_count();
}

static void run_failed(struct run *run, const struct err *err)
{
    pthread_mutex_lock(&run->mutex);
    if (!atomic_exchange(&run->stop, true))
        run->err = *err;
    pthread_mutex_unlock(&run->mutex);
}

static void run_loop(void *arg, unsigned pool_worker)
{
    struct run *run = arg;
    /* One pool thread may run two of these loops, one after the other; the number of a loop is what is unique. */
    unsigned worker = atomic_fetch_add(&run->next_worker, 1);
    (void)pool_worker;
    while (!atomic_load(&run->stop)) {
        size_t item = atomic_fetch_add(&run->next, 1);
        if (item >= run->count)
            break;
        struct err err = {0};
        if (engine_check_stop(run->lock, &err) != 0 || run->fn(run->ctx, worker, item, &err) != 0)
            run_failed(run, &err);
    }
}

int parallel_run(unsigned threads, size_t count, struct lock *lock, parallel_fn *fn, void *ctx, struct err *err)
{
    struct run run = {.count = count, .lock = lock, .fn = fn, .ctx = ctx, .mutex = PTHREAD_MUTEX_INITIALIZER};
    if (threads > count)
        threads = (unsigned)count;
    if (threads <= 1) {
        run_loop(&run, 0);
    } else {
        struct pool *pool = pool_new(threads, threads);
        for (unsigned i = 0; i < threads; i++)
            pool_submit(pool, run_loop, &run);
        pool_free(pool);
    }
    pthread_mutex_destroy(&run.mutex);
    if (!atomic_load(&run.stop))
        return 0;
    if (err != NULL)
        *err = run.err;
    return -1;
}

int codecs_new(struct codec ***out, const struct repo *r, unsigned count, struct err *err)
{
    struct codec **codecs = mem_zalloc(count * sizeof *codecs);
    for (unsigned i = 0; i < count; i++) {
        codecs[i] = codec_new(r, err);
        if (codecs[i] == NULL) {
            codecs_free(codecs, count);
            return -1;
        }
    }
    *out = codecs;
    return 0;
}

void codecs_free(struct codec **codecs, unsigned count)
{
    if (codecs == NULL)
        return;
    for (unsigned i = 0; i < count; i++)
        if (codecs[i] != NULL)
            codec_free(codecs[i]);
    free(codecs);
}
