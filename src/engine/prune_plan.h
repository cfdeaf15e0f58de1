/*
 * Prune's plan: which copy of each needed blob stays, and what becomes of every pack.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/bits.h"
#include "engine/pack_blobs.h"
#include "engine/prune.h"
#include "engine/stored_files.h"
#include "repo/repo.h"

enum prune_fate { PRUNE_KEEP, PRUNE_DELETE, PRUNE_REPACK };

/* A pack that the index names. */
struct plan_pack {
    struct id id;
    uint64_t bytes;                     /* on the store; 0: it is not there */
    uint64_t used_bytes, unused_bytes;  /* of its blobs, header entries included */
    uint32_t used, unused;              /* blobs */
    bool sound;                         /* there, with the size that its blobs add up to */
    bool has_tree, has_data, has_plain; /* has_plain: a blob that is not compressed */
    enum prune_fate fate;
};

struct prune_plan {
    const struct prune_options *options;
    struct repo *repo;
    struct bits *used; /* in: by usage_walk; out: the one copy of each needed blob that stays */
    struct pack_blobs blobs;
    struct plan_pack *packs; /* by number in the index */
    size_t pack_count;
    uint32_t *repack; /* numbers of packs to repack, most worthwhile first */
    size_t repack_count;
    struct stored_file *unreferenced; /* packs in no index */
    size_t unreferenced_count;
};

/* Chooses copies (reading them where a blob has several) and decides the packs' fates. Fills in the plan's part of
 * `result`. `files`: the listing of packs. ERR_CORRUPT when a pack with a needed blob is missing or of the wrong size.
 */
int prune_plan_make(struct prune_plan *plan, struct repo *r, struct lock *lock, const struct prune_options *options,
                    const struct stored_files *files, struct bits *used, const struct prune_reporter *reporter,
                    struct prune_result *result, struct err *err);
void prune_plan_release(struct prune_plan *plan);

/* The packs of that fate as files (sorted by ID); the caller frees *out. */
size_t prune_plan_files(const struct prune_plan *plan, enum prune_fate fate, struct stored_file **out);
