/*
 * Backing up: sources into one snapshot of a repository.
 */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "repo/lock.h"
#include "repo/repo.h"
#include "sink/progress.h"
#include "source/source.h"

struct backup_options {
    struct source *source; /* what is backed up; stays the caller's. Can be used once */
    const struct strlist *tags;
    const char *hostname;               /* not NULL */
    const char *parent;                 /* ID prefix or "latest"; NULL: found by host and paths */
    const struct strlist *exclude_list; /* recorded in the snapshot */
    const struct timespec *time;        /* NULL: now */
    const char *program_version;
    bool force; /* read everything again */
    bool dry_run;
    bool ignore_ctime, ignore_inode;
    bool skip_if_unchanged;
    uint64_t retry_lock_ms;
    bool no_lock;
};

struct backup_result {
    struct id snapshot_id, tree_id, parent_id;
    bool has_parent, saved; /* saved: false for dry runs and skipped snapshots */
    struct snapshot_summary summary;
    uint64_t unreadable; /* entries that could not be read */
    uint64_t duration_ns;
};

/* Opens the repository through `open` (and closes it) only after the scan has begun, so that deriving the key and
 * looking around overlap. Returns 0 when a snapshot was made (result->unreadable may be > 0: exit 3), else -1: then
 * there is no new snapshot and the repository holds at most unreferenced packs. */
typedef int backup_open_fn(void *ctx, struct repo **out, struct err *err);
int backup_run(backup_open_fn *open, void *open_ctx, const struct backup_options *options,
               const struct sink_reporter *reporter, struct backup_progress *progress, struct backup_result *out,
               struct err *err);
