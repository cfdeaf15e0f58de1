/*
 * The same work on many items, on several threads.
 */
#pragma once
#include <stddef.h>
#include "base/err.h"
#include "repo/lock.h"
#include "repo/repo.h"

/* worker: 0 … threads-1. -1 ends the whole run: no further items are begun. */
typedef int parallel_fn(void *ctx, unsigned worker, size_t item, struct err *err);

/* Calls fn for every item 0 … count-1, in ascending order of beginning. Returns -1 with the first error that any of
 * them gave. Before each item an interrupt and a lost lock (lock may be NULL) end the run as errors. */
int parallel_run(unsigned threads, size_t count, struct lock *lock, parallel_fn *fn, void *ctx, struct err *err);

/* How many threads work on this repository. */
unsigned parallel_threads(const struct repo *r);

/* One codec for each thread. */
int codecs_new(struct codec ***out, const struct repo *r, unsigned count, struct err *err);
void codecs_free(struct codec **codecs, unsigned count);

/* An interrupt or a lost lock (may be NULL) as an error: what every loop over something long asks. */
int engine_check_stop(struct lock *lock, struct err *err);
