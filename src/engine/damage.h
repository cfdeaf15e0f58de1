/*
 * What is lost: the files and directories of snapshots whose blobs cannot be had any more.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "engine/bits.h"
#include "repo/lock.h"
#include "repo/repo.h"

/* True when no index names this blob, or when `bad` has the bits of all its copies. */
bool damage_blob_lost(const struct index *ix, const struct bits *bad, enum blob_type type, const struct id *id);

/* One path of one snapshot. All pointers are borrowed for the call. */
struct damage {
    const struct snapshot *snapshot;
    const char *path;   /* NUL-terminated, raw bytes; "/" for the whole snapshot */
    bool is_dir;        /* its tree is lost, and so is everything below it */
    struct id blob;     /* the first lost blob: the tree, or a part of the file */
    size_t lost, parts; /* a file's lost blobs, of how many */
};
typedef void damage_fn(void *ctx, const struct damage *d);

/* Calls fn for every touched path, snapshot by snapshot in the list's order, paths in the order of the trees.
 * Directories without damage are entered once, however many snapshots share them. -1 only for an interrupt or a lost
 * lock (may be NULL). */
int damage_find(struct repo *r, struct lock *lock, const struct snapshot_list *snapshots, const struct bits *bad,
                damage_fn *fn, void *ctx, struct err *err);
