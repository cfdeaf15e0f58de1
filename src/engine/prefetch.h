/*
 * Trees loaded ahead of a walk by helper threads: a fixed number of places, keyed by the depth of the directory they
 * are wanted in and their position there. The walk (one thread) wants, takes and drops; helpers load the deepest first,
 * as that is what the walk needs next.
 */
#pragma once
#include "engine/walk.h"

struct prefetch;

/* NULL when no helper could be started: the walk then loads everything itself. */
struct prefetch *prefetch_new(struct repo *r, unsigned threads);
void prefetch_free(struct prefetch *p); /* NULL is nothing */

/* Asks for the tree of the entry at `position` in the directory at `depth`. False when there is no free place at this
 * depth: ask again later. */
bool prefetch_want(struct prefetch *p, unsigned depth, size_t position, const struct id *id);
/* Takes what was wanted. False when it was not wanted or has not been begun (it is then forgotten): load it yourself.
 * True: *out is the tree (the caller's), or NULL with *err set. Waits for one that is being loaded. */
bool prefetch_take(struct prefetch *p, unsigned depth, size_t position, struct walk_tree **out, struct err *err);
/* Forgets everything wanted at this depth up to and including `position`. */
void prefetch_drop(struct prefetch *p, unsigned depth, size_t position);
