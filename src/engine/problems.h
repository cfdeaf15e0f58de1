/*
 * What is found wrong while a repository is looked at, by `check` or while one snapshot is confirmed: told to a
 * check_reporter, counted, and the first of it kept. Its callbacks serve engine/usage.h and engine/verify.h.
 */
#pragma once
#include "engine/bits.h"
#include "engine/check.h"
#include "engine/id_map.h"
#include "engine/usage.h"
#include "engine/verify.h"

struct problems {
    struct repo *repo;
    const struct check_reporter *reporter; /* may be NULL, as may each of its functions */
    struct bits bad;                       /* entries of the loaded index whose blobs cannot be read */
    struct id_map missing;                 /* blobs that were reported as such */
    uint64_t errors, damaged_paths;
    bool repair_index, repair_snapshots, prune; /* what would help */
    char first[ERR_MESSAGE_BYTES];              /* the first error */
};

/* problem_add() may be called at once, all else needs the index loaded and problems_index_loaded() called. */
void problems_init(struct problems *p, struct repo *r, const struct check_reporter *reporter);
void problems_index_loaded(struct problems *p);
void problems_release(struct problems *p);

void problem_add(struct problems *p, enum check_kind kind, const struct id *id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* All blobs of this pack are lost. */
void problem_pack_missing(struct problems *p, const struct pack_blobs *blobs, uint32_t pack);
void problem_pack_size(struct problems *p, uint32_t pack, uint64_t bytes, uint64_t expected);

/* Their ctx is the problems. */
struct usage_reporter problems_usage_reporter(struct problems *p);
struct verify_reporter problems_verify_reporter(struct problems *p);

/* Finds the paths of these snapshots that the damage touches and reports them, where there is any. */
int problems_find_damage(struct problems *p, struct lock *lock, const struct snapshot_list *snapshots, struct err *err);
