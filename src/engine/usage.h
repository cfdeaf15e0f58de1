/*
 * Which blobs do these trees need? A parallel walk that loads each tree once and keeps one bit per entry of the loaded
 * index.
 */
#pragma once
#include <stddef.h>
#include "base/err.h"
#include "engine/bits.h"
#include "engine/progress.h"
#include "repo/lock.h"
#include "repo/repo.h"

/* What a caller hears of that goes on in spite of damage. Called under one lock, from any thread. */
struct usage_reporter {
    void *ctx;
    /* A tree that is needed cannot be loaded or is malformed: nothing below it is known. */
    void (*bad_tree)(void *ctx, const struct id *tree, const struct err *why);
    /* A blob that is needed is in no index. `tree` needs it; NULL for the root tree of a snapshot. */
    void (*missing)(void *ctx, enum blob_type type, const struct id *blob, const struct id *tree);
};

/*
 * Walks everything below the roots (IDs of trees). For each blob needed, sets the bit at index_position(): of a blob
 * with several copies, the first one's. `used` has index_loaded_count() bits and is cleared by the caller.
 *
 * Without a reporter the first damage ends the walk: ERR_CORRUPT, naming the blob. With one, only an interrupt or a
 * lost lock (lock may be NULL) do. progress counts trees.
 */
int usage_walk(struct repo *r, struct lock *lock, const struct id *roots, size_t root_count, struct bits *used,
               const struct usage_reporter *reporter, struct engine_progress *progress, struct err *err);

/* The root trees of snapshots; the caller frees. */
struct id *usage_roots(const struct snapshot_list *snapshots);
