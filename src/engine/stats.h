/* Counting what snapshots hold, in four ways. */
#pragma once
#include <stdatomic.h>
#include "base/err.h"
#include "repo/repo.h"

enum stats_mode {
    STATS_RESTORE_SIZE,      /* every entry of every snapshot, an inode with several names once a snapshot */
    STATS_FILES_BY_CONTENTS, /* files of different content, once each */
    STATS_BLOBS_PER_FILE,    /* blobs, once for each path that holds them */
    STATS_RAW_DATA           /* blobs, once each, as stored */
};

struct stats_result {
    uint64_t snapshots, files, blobs;
    uint64_t bytes; /* as stored for STATS_RAW_DATA, else plaintext */
    /* STATS_RAW_DATA only */
    uint64_t plain_bytes;                              /* of all blobs, as they would be stored without compression */
    uint64_t compressed_bytes, compressed_plain_bytes; /* of the compressed ones */
};

struct stats_progress {
    _Atomic uint64_t snapshots, entries;
};

/* The index must be loaded. `progress` may be NULL. */
int stats_run(struct repo *r, const struct snapshot *const *snapshots, size_t count, enum stats_mode mode,
              struct stats_progress *progress, struct stats_result *out, struct err *err);
