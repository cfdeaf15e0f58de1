/*
 * Reads packs whole and proves every byte of them: the header decrypts and says what the index says, its blobs fill the
 * pack without a gap, every blob decrypts, decompresses and hashes to its ID. Where header and index do not agree, the
 * pack's name must be the hash of its contents besides. Memory: one window and one blob a thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/bits.h"
#include "engine/pack_blobs.h"
#include "engine/progress.h"
#include "engine/stored_files.h"
#include "repo/lock.h"
#include "repo/repo.h"

/* One thing that is wrong. Called under one lock, from any thread. */
struct verify_reporter {
    void *ctx;
    /* The pack as a whole. pack: its number in the index. index_differs: its header and the index do not agree. */
    void (*pack)(void *ctx, uint32_t pack, bool index_differs, const char *what);
    /* One blob, by its position in the loaded index; `bad` has its bit already. */
    void (*blob)(void *ctx, size_t position, const struct err *why);
};

/*
 * packs: numbers in r->index of packs that are in `files`. Sets the bit of every entry whose blob cannot be read. -1
 * only for an interrupt, a lost lock (may be NULL) or lack of resources; damage is reported. progress counts packs and
 * bytes.
 */
int verify_packs(struct repo *r, struct lock *lock, const uint32_t *packs, size_t count, const struct pack_blobs *blobs,
                 const struct stored_files *files, struct bits *bad, const struct verify_reporter *reporter,
                 struct engine_progress *progress, struct err *err);
