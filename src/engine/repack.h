/*
 * Copies the blobs of packs that are still needed into new packs, proving each of them on the way.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/bits.h"
#include "engine/pack_blobs.h"
#include "engine/progress.h"
#include "engine/stored_files.h"
#include "repo/lock.h"
#include "repo/writer.h"

struct repack {
    struct repo *repo;
    struct lock *lock; /* may be NULL */
    const struct pack_blobs *blobs;
    const struct bits *keep;          /* by position in the loaded index */
    bool compress_all;                /* leave no blob uncompressed, even where that makes it longer */
    struct engine_progress *progress; /* counts packs, and bytes read */
    /* A blob that cannot be copied: its pack must stay. Called under a lock, from any thread. */
    void (*damaged)(void *ctx, const struct id *pack, const char *message);
    void *ctx;
};

struct repack_pack {
    struct id id;
    uint32_t number; /* in the index */
    uint64_t bytes;
    bool failed; /* out: could not be copied whole */
};

/* Puts every blob of these packs that `keep` has into the writer. Damage makes the pack `failed`; -1 when the writer
 * failed or the work was stopped. Nothing is durable before writer_flush(). */
int repack_run(const struct repack *job, struct writer *w, struct repack_pack *packs, size_t count, struct err *err);
