/*
 * Carries blobs from one repository's packs into another's writer, pack by pack, on several threads: read, prove, seal
 * with the other key. Memory: 4 bytes for each blob of the source, a window and a blob a thread.
 */
#pragma once
#include "engine/bits.h"
#include "engine/progress.h"
#include "repo/lock.h"
#include "repo/writer.h"

struct copy_blobs {
    struct repo *source, *target;
    struct lock *lock;         /* of the target; may be NULL */
    const struct bits *wanted; /* by position in the source's loaded index; the target's index knows none of them */
    struct writer *writer;     /* the target's */
    struct engine_progress *progress;
    void (*damaged)(void *ctx, const char *message); /* a blob that no copy of can be read; one at a time */
    void *ctx;
};

/* 0 also where blobs could not be read. -1: the writer failed or the work was stopped. */
int copy_blobs_run(const struct copy_blobs *job, struct err *err);
