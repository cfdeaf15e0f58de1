/*
 * Copying snapshots from one repository into another: of the blobs that the target lacks, each is read once, in the
 * order of the source's packs, proved, and sealed with the target's key. Nothing is cut anew, so that trees keep their
 * IDs; where both are of version 2 and the target's compression is "auto", compressed blobs stay as they are
 * compressed. The repositories may be of different versions.
 *
 * Order of writes: packs, then the index files that name them, then all snapshots. Interrupted or failed, a copy leaves
 * what was copied findable, so that the next one goes on from there.
 *
 * Memory: both indexes, 4 bytes and a bit for each of the source's blobs, and a window and a blob a thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/progress.h"
#include "repo/lock.h"
#include "repo/repo.h"

struct copy_options {
    const struct id *ids; /* of the source's snapshots; NULL: all that match */
    size_t id_count;
    bool (*match)(void *ctx, const struct snapshot *s); /* NULL: all */
    void *match_ctx;
    bool dry_run; /* find out what would be copied: nothing is read but trees, nothing is written */
};

enum copy_fate {
    COPY_COPIED, /* (or would be) */
    COPY_THERE, /* the target has it: a snapshot of the same origin, time, tree, host, user, paths, tags and excludes */
    COPY_DAMAGED /* the source lacks a part of it, or cannot read it: not copied */
};

struct copied_snapshot {
    struct id source_id, target_id; /* target_id: zero when it is damaged, or would be copied */
    enum copy_fate fate;
};

/* May be NULL, as may each function. Any thread, one at a time. */
struct copy_reporter {
    void *ctx;
    void (*snapshot)(void *ctx, const struct snapshot *source, const struct copied_snapshot *fate);
    void (*finding)(void *ctx, const char *message); /* damage in the source, a snapshot that cannot be read */
};

struct copy_result {
    struct copied_snapshot *snapshots; /* every one that was chosen, oldest first */
    size_t count;
    uint64_t copied, there, damaged; /* of them */
    uint64_t unreadable;          /* snapshots of the source that cannot be read, where all that match were asked for */
    uint64_t blobs;               /* new in the target */
    uint64_t bytes, stored_bytes; /* of these blobs: uncompressed, and as stored in the target (0 in a dry run) */
};

/*
 * Both are open; their indexes are loaded here where that was not done. Locks: shared ones; each may be NULL (its owner
 * sees to it otherwise); the target's may be one that was only begun. A copied snapshot keeps time, host, user, tags,
 * paths, excludes, summary and unknown keys; it has no parent, and `original` is the ID of the first of its kind.
 *
 * 0 when every chosen snapshot was dealt with, whatever its fate (look at damaged and unreadable). -1: no snapshot was
 * written, or, if writing them failed on the way, those that `out` has as copied. ERR_NOT_FOUND for an ID that the
 * source lacks, ERR_UNSUPPORTED when the target must not be written. out is to be released in either case.
 */
int copy_run(struct repo *source, struct lock *source_lock, struct repo *target, struct lock *target_lock,
             const struct copy_options *options, const struct copy_reporter *reporter, struct engine_progress *progress,
             struct copy_result *out, struct err *err);
void copy_result_release(struct copy_result *r);
