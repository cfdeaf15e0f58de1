/*
 * Confirming one snapshot after it was made: is all that it needs in the store, now?
 *
 * All of its trees are read and proved; every blob they name is in an index file; every pack that holds such a blob is
 * there, and long enough. Then packs are read whole and proved, up to a number of bytes: first those with blobs that
 * the snapshot has and its parent has not, then others that it needs, chosen at random, so that many runs come to see
 * everything. What `check` does for a repository, this does for one snapshot in seconds.
 */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "engine/check.h"
#include "engine/progress.h"
#include "repo/lock.h"
#include "repo/repo.h"

struct confirm_result {
    uint64_t problems;               /* reported */
    uint64_t trees, blobs, packs;    /* looked at, for each snapshot that needs them */
    uint64_t new_bytes;              /* stored bytes of the blobs that the parent has not */
    uint64_t packs_read, bytes_read; /* read and proved beyond the trees */
    uint64_t new_bytes_read;         /* of new_bytes */
};

/*
 * Several snapshots, in order, until one is not right; out has the sums. r: open. The index is loaded anew, as it is
 * stored now, and the list of packs, once for all; no pack is read twice. read_bytes_max is each snapshot's for what is
 * new in it, and all snapshots' together for the rest. lock, reporter (and each function of it) and progress may be
 * NULL. The reporter hears of each problem, and then of the paths that it touches.
 *
 * 0: everything that was looked at is right. -1 with ERR_CORRUPT: something is wrong or cannot be read; the message is
 * the first problem, and how many more there are. -1 with another code: it could not be carried through (ERR_NOT_FOUND:
 * no such snapshot; ERR_IO …: the store cannot be listed now), which says nothing about the snapshot.
 */
int confirm_snapshots(struct repo *r, struct lock *lock, const struct id *snapshots, size_t count,
                      uint64_t read_bytes_max, const struct check_reporter *reporter, struct engine_progress *progress,
                      struct confirm_result *out, struct err *err);
