/*
 * Takes packs out of the index and then off the store.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/progress.h"
#include "engine/stored_files.h"
#include "repo/lock.h"
#include "repo/repo.h"

struct drop_result {
    uint64_t packs, pack_bytes; /* removed */
    uint64_t index_removed, index_written;
};

/* Removes these packs from the store, in parallel. No index may name them. One that is gone already is no error. */
int drop_unnamed_packs(struct repo *r, struct lock *lock, const struct stored_file *packs, size_t count,
                       struct engine_progress *progress, struct drop_result *out, struct err *err);

/*
 * Removes these packs (sorted by ID; bytes 0: not on the store any more) from index and store. Index files that name
 * none of them stay as they are, unless merge_small: then many small ones become few. Adds to *out, also when it fails.
 *
 * Safe at any point: index files that replace others are durable before those are removed, and a pack is removed only
 * when no index file names it. ERR_NO_SPACE when not even the smallest index file can be rewritten; what needed no
 * space is done then.
 */
int drop_packs(struct repo *r, struct lock *lock, const struct stored_file *packs, size_t count, bool merge_small,
               struct engine_progress *progress, struct drop_result *out, struct err *err);
