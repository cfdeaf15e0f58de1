/*
 * Looking at things that may hang: a dead network drive, a server that answers nobody. The work is done by a process of
 * its own, which writes what it found as bytes; whoever waits gives up after a while, also when that process hangs in
 * the kernel and cannot even be killed. Where other threads are at work, the function must need no lock that one of
 * them might hold (allocating memory is fine).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"

struct bounded;

/* Runs in the child. What it appends to `out` is handed over when it returns; nothing else of it is seen. */
typedef void bounded_fn(void *ctx, struct buf *out);

enum { BOUNDED_OUTPUT_MAX_BYTES = 4 << 20 };

/* Starts `fn`; several may run at once. timeout_ms counts from here. */
int bounded_start(struct bounded **out, bounded_fn *fn, void *ctx, uint64_t timeout_ms, struct err *err);
/* Waits and appends what it wrote. ERR_TIMEOUT: stopped, nothing is appended; ERR_FAILED: it died; ERR_INTERRUPTED.
 * Frees b either way. */
int bounded_finish(struct bounded *b, struct buf *out, struct err *err);
/* Both at once. */
int bounded_run(bounded_fn *fn, void *ctx, uint64_t timeout_ms, struct buf *out, struct err *err);
