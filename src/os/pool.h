/*
 * A pool of worker threads and a bounded queue of tasks. Tasks run in the order submitted, each on some worker.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct pool;
/* worker: 0 … pool_size()-1, for contexts kept per thread. */
typedef void pool_fn(void *arg, unsigned worker);

/* The number of CPUs this process may use (its affinity mask), at least 1. */
unsigned os_cpu_count(void);

/* queue_max: how many tasks may wait before pool_submit blocks. Threads start with all signals blocked. */
struct pool *pool_new(unsigned threads, size_t queue_max);
unsigned pool_size(const struct pool *p);
/* Blocks while the queue is full. Must not be called from a task (it could wait for itself); tasks use pool_try_submit.
 */
void pool_submit(struct pool *p, pool_fn *fn, void *arg);
/* False, and nothing done, when the queue is full. */
bool pool_try_submit(struct pool *p, pool_fn *fn, void *arg);
/* Waits until every submitted task has run. */
void pool_wait(struct pool *p);
/* Waits, then ends the threads. NULL is nothing. */
void pool_free(struct pool *p);
