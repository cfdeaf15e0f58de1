/*
 * Restoring a snapshot, or a part of it, into a directory.
 *
 * What is there already and right is left alone: contents are compared blob by blob with what the snapshot says, and
 * only what differs is written, so that running an interrupted restore again completes it. Nothing outside of the
 * target can be touched: everything below it is reached through directory descriptors, one component at a time, and
 * never through a symlink, whoever put it there and whenever.
 *
 * One thread walks the snapshot and makes directories; workers restore everything else. Memory is bounded but for one
 * entry for each inode of which not all hard links have been seen yet. A problem with one entry is reported and the
 * rest goes on.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "repo/repo.h"
#include "source/filter.h"

/* What to do about a file that exists. Directories are always entered. */
enum restore_overwrite {
    RESTORE_ALWAYS,     /* make it what it is in the snapshot */
    RESTORE_IF_CHANGED, /* the same, but size and modification time are believed to tell of the content */
    RESTORE_IF_NEWER,   /* only when the snapshot's is newer */
    RESTORE_NEVER       /* leave it */
};

struct restore_options {
    const char *target;                     /* made if it is missing */
    const char *subpath;                    /* restore what is in this directory of the snapshot; NULL or "/": all */
    const struct filter *include, *exclude; /* on paths within what is restored; NULL: none */
    enum restore_overwrite overwrite;
    bool delete_extra; /* remove what the snapshot lacks, in directories that it holds whole (restore_cover.h) */
    bool dry_run;      /* change nothing, report what would be done */
    bool verify;       /* afterwards, read everything again and compare */
    bool sparse;       /* make holes of runs of zeros */
    unsigned threads;  /* 0: as many as CPUs, at most 8 */
};

enum restore_action {
    RESTORE_CREATED,   /* it was not there */
    RESTORE_UPDATED,   /* it was there, but other */
    RESTORE_UNCHANGED, /* it was right already, or is protected by the overwrite rule */
    RESTORE_DELETED
};

/* Called from any thread, also at once. */
struct restore_reporter {
    void *ctx;
    void (*error)(void *ctx, const char *path, const struct err *err);
    void (*warning)(void *ctx, const char *path, const char *what);
    /* What was done (or would be). NULL where nobody wants to know: then paths need not be put together. */
    void (*item)(void *ctx, enum restore_action action, const char *path, uint64_t bytes);
};

/* Another thread may read these at any time. */
struct restore_progress {
    _Atomic(const char *) stage;               /* a literal: "reading", "restoring", "verifying" */
    _Atomic uint64_t total_files, total_bytes; /* 0: not known */
    _Atomic uint64_t files_done, bytes_done;   /* entries of all kinds and bytes restored; unchanged ones not counted */
    _Atomic uint64_t files_skipped, bytes_skipped; /* were right already or protected */
    _Atomic uint64_t files_deleted;
    _Atomic uint64_t files_verified, bytes_verified;
    _Atomic uint64_t errors;
};

struct restore_result {
    uint64_t xattrs_unsupported;       /* extended attributes that the target's file system does not keep */
    uint64_t owners_kept;              /* entries whose owner could not be set, for lack of privilege */
    uint64_t needed_bytes, free_bytes; /* when space was looked at closely; else 0 */
    uint64_t duration_ns;
};

/* The index must be loaded. Sets the process's umask to 0 while it runs. Returns 0 when the walk came to its end:
 * progress->errors tells how many entries were reported; -1 (ERR_NO_SPACE before anything was changed or when the disk
 * ran full, ERR_INTERRUPTED, ERR_NOT_FOUND for the subpath …) when it ended early. */
int restore_run(struct repo *r, const struct snapshot *snapshot, const struct restore_options *options,
                const struct restore_reporter *reporter, struct restore_progress *progress,
                struct restore_result *result, struct err *err);
