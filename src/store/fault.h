/*
 * A store around another one that misbehaves on call N, for tests. Calls are numbered from 1, across all functions that
 * reach the inner store (all but store_spool_discard and store_free); the number used is counted even when nothing
 * fails, so that a test can run once to learn the count and then once for every N. Thread-safe.
 */
#pragma once
#include "store/store.h"

enum store_fault {
    STORE_FAULT_NONE,
    STORE_FAULT_FAIL,     /* the call does nothing and returns ERR_IO; so does every later one (a lost disk) */
    STORE_FAULT_ONCE,     /* only that one call fails */
    STORE_FAULT_TEAR,     /* a write writes a part, then fails; a read returns ERR_IO; then all fail */
    STORE_FAULT_NO_SPACE, /* writes fail with ERR_NO_SPACE from call N on; reads and removals work */
    STORE_FAULT_LATE,     /* the call is carried out, but fails all the same (its answer was lost); then all fail */
    STORE_FAULT_DELAY     /* the call takes STORE_FAULT_DELAY_MS longer, and works */
};
enum { STORE_FAULT_DELAY_MS = 300 };

/* Owns inner. */
struct store *store_fault_new(struct store *inner, enum store_fault kind, unsigned long call);
unsigned long store_fault_calls(const struct store *s); /* how many calls there were */
/* The environment variable CLAWBACK_TEST_FAULT="KIND:N" (KIND: fail, once, tear, no-space, late, delay) wraps every
 * store that store_open() makes (tests of whole commands); with CLAWBACK_TEST_FAULT_COUNT=FILE, with or without the
 * other, the number of calls is written to FILE when the store is freed. A KIND:N that cannot be read fails every call,
 * so that no test passes by a slip of the pen. Without the variables: inner itself. */
struct store *store_fault_from_environment(struct store *inner);
