/*
 * Counters of long work, for a progress line. The engine writes them, another thread may read them at any time. Every
 * function here takes NULL for "nobody looks".
 */
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct engine_progress {
    _Atomic(const char *) stage;              /* a literal: "reading packs"; NULL before the first stage */
    _Atomic uint64_t done, total;             /* in the stage's own unit; total 0: unknown */
    _Atomic uint64_t bytes_done, bytes_total; /* bytes_total 0: the stage does not count bytes */
};

static inline void engine_progress_stage(struct engine_progress *p, const char *stage, uint64_t total,
                                         uint64_t bytes_total)
{
    if (p == NULL)
        return;
    atomic_store(&p->done, 0);
    atomic_store(&p->bytes_done, 0);
    atomic_store(&p->total, total);
    atomic_store(&p->bytes_total, bytes_total);
    atomic_store(&p->stage, stage);
}

static inline void engine_progress_add(struct engine_progress *p, uint64_t items, uint64_t bytes)
{
    if (p == NULL)
        return;
    atomic_fetch_add_explicit(&p->done, items, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->bytes_done, bytes, memory_order_relaxed);
}
