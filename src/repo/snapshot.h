/*
 * Snapshots: small JSON documents. Keys that we do not know survive when a snapshot is rewritten (tag).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/strlist.h"
#include "os/clock.h"

struct snapshot_summary {
    struct timespec backup_start, backup_end;
    uint64_t files_new, files_changed, files_unmodified, dirs_new, dirs_changed, dirs_unmodified;
    uint64_t data_blobs, tree_blobs, data_added, data_added_packed, total_files_processed, total_bytes_processed;
};

struct snapshot {
    struct id id; /* its file's name; zero while it has none */
    struct timespec time;
    int utc_offset_s; /* of `time` where the snapshot was made: retention's days and weeks are the snapshot's own. Set
                         by snapshot_decode() */
    char time_text[OS_TIME_BYTES]; /* `time` as it was stored; snapshot_encode() keeps it while it still says `time` */
    bool has_parent, has_original, has_summary, has_uid;
    struct id parent, tree, original;
    struct strlist paths, excludes, tags;
    char *hostname, *username, *program_version; /* NULL: absent */
    uint32_t uid, gid;                           /* has_uid: at least one of them is known */
    struct snapshot_summary summary;
    char *unknown, *unknown_summary; /* members that we do not know, each `,"key":value` as stored; NULL: none */
};

void snapshot_init(struct snapshot *s);
void snapshot_release(struct snapshot *s);
/* JSON as stored, keys in the format's order, unknown ones behind them, no trailing newline. Strings that are not UTF-8
 * get U+FFFD for each bad byte. */
void snapshot_encode(const struct snapshot *s, struct buf *out);
/* ERR_CORRUPT when it is no snapshot; then there is nothing to release. */
int snapshot_decode(const char *json, size_t len, struct snapshot *out, struct err *err);
/* All tags of one comma-separated list are there. An empty list matches a snapshot without tags, as does an empty tag.
 */
bool snapshot_has_tags(const struct snapshot *s, const struct strlist *tags);
bool snapshot_has_path(const struct snapshot *s, const char *path);
