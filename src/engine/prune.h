/*
 * Removing what no snapshot needs.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/progress.h"
#include "repo/lock.h"
#include "repo/repo.h"

enum prune_limit_kind { PRUNE_LIMIT_PERCENT, PRUNE_LIMIT_BYTES, PRUNE_LIMIT_NONE };
/* How much unused data may stay: a share of what the repository holds afterwards, bytes, or any amount. */
struct prune_limit {
    enum prune_limit_kind kind;
    double percent; /* 0 … 100 */
    uint64_t bytes;
};
/* "5%", "200M", "0", "unlimited". ERR_USAGE. */
int prune_limit_parse(const char *text, struct prune_limit *out, struct err *err);

struct prune_options {
    struct prune_limit max_unused;
    uint64_t max_repack_bytes; /* 0: no packs are repacked; UINT64_MAX: any number */
    bool repack_small, repack_cacheable_only, repack_uncompressed;
    bool dry_run;
    const struct id *ignore_snapshots; /* as if these were gone already (a dry run of forget and prune together) */
    size_t ignore_count;
};

/* Numbers of the plan (complete when `planned` is called) and of what was done. Bytes of blobs are as stored, with
 * their entry in the pack's header; bytes of packs are file sizes. */
struct prune_result {
    uint64_t snapshots;
    uint64_t packs_before, bytes_before;
    uint64_t used_blobs, used_bytes, duplicate_blobs, duplicate_bytes, unused_blobs, unused_bytes;
    uint64_t unreferenced_packs, unreferenced_bytes; /* in no index */
    uint64_t missing_packs;                          /* named by the index, not there, and not needed */
    /* plan */
    uint64_t delete_packs, delete_blobs, delete_bytes;
    uint64_t repack_packs, repack_blobs, repack_bytes, repack_drop_blobs,
        repack_drop_bytes; /* all of them; those left out */
    uint64_t keep_packs, remaining_unused_bytes;
    /* done */
    uint64_t packs_removed, bytes_removed, packs_repacked, packs_written, bytes_written;
    uint64_t index_removed, index_written;
    uint64_t packs_damaged;  /* could not be repacked, or hold damaged copies: still there */
    uint64_t packs_no_space; /* not repacked for lack of free space */
    uint64_t packs_after, bytes_after;
    bool executed;
};

struct prune_reporter {
    void *ctx;
    /* The plan is made, nothing is changed yet. May be NULL. */
    void (*planned)(void *ctx, const struct prune_result *plan);
    /* A pack holds a damaged blob that is needed; it is kept. From any thread, one at a time. May be NULL. */
    void (*damaged)(void *ctx, const struct id *pack, const char *message);
};

/*
 * r: open, its index not loaded. lock: an exclusive one (NULL only in tests).
 *
 * -1 with nothing changed: a broken index file or missing or wrongly sized pack that is needed (ERR_CORRUPT, naming
 * `repair index`), a blob that a snapshot needs and no index has, a snapshot or tree that cannot be read, ERR_CHANGED
 * when somebody wrote meanwhile. -1 later (ERR_NO_SPACE, ERR_IO, ERR_LOCKED, ERR_INTERRUPTED): everything that
 * snapshots need is still there, and *out says what was done. 0 with packs_damaged > 0: done, but for those packs.
 */
int prune_run(struct repo *r, struct lock *lock, const struct prune_options *options,
              const struct prune_reporter *reporter, struct engine_progress *progress, struct prune_result *out,
              struct err *err);
