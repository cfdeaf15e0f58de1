/*
 * A set of small numbers (positions in the loaded index), one bit each. Setting and reading may happen from several
 * threads at once.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/mem.h"

struct bits {
    _Atomic uint64_t *words;
    size_t count;
};

static inline void bits_init(struct bits *b, size_t count)
{
    b->count = count;
    b->words = mem_zalloc((count / 64 + 1) * sizeof *b->words);
}
static inline void bits_release(struct bits *b)
{
    free((void *)(uintptr_t)b->words);
    b->words = NULL;
    b->count = 0;
}
static inline bool bits_get(const struct bits *b, size_t i)
{
    return atomic_load_explicit(&b->words[i / 64], memory_order_relaxed) >> (i % 64) & 1;
}
/* Says whether it was set before: of several threads that set it at once, one gets false. */
static inline bool bits_set(struct bits *b, size_t i)
{
    uint64_t mask = UINT64_C(1) << (i % 64);
    return (atomic_fetch_or_explicit(&b->words[i / 64], mask, memory_order_relaxed) & mask) != 0;
}
static inline void bits_clear(struct bits *b, size_t i)
{
    atomic_fetch_and_explicit(&b->words[i / 64], ~(UINT64_C(1) << (i % 64)), memory_order_relaxed);
}
