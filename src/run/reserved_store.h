/* A store around another one that leaves some of the disk's space alone: packs are not written into it, and it does not
 * count as free. What is small, or makes room again (locks, indexes, snapshots, everything that is removed), goes
 * through. Thread-safe. */
#pragma once
#include "store/store.h"

/* Owns inner. Without STORE_FREE_SPACE, or with nothing to reserve: inner itself. */
struct store *reserved_store_new(struct store *inner, uint64_t reserve_bytes);
/* From now on all space may be used: for pruning, which needs some to make some. Any store may be given. */
void reserved_store_lift(struct store *s);
