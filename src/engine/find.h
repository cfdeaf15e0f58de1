/*
 * Searching snapshots for entries by name and time, or for the files and directories that need certain blobs, trees or
 * packs. Directories without a match are remembered by their trees, so that a second snapshot with the same ones costs
 * nothing.
 */
#pragma once
#include "base/strlist.h"
#include "engine/walk.h"
#include "source/filter.h"

struct find_options {
    /* By name: both may be used at once. */
    const struct filter *patterns;          /* NULL: look for objects */
    bool patterns_have_slash;               /* some depend on more than an entry's own name */
    const struct timespec *oldest, *newest; /* of the modification time; NULL: no limit */
    /* By object: IDs or their beginnings (hex). Packs stand for the blobs in them. NULL: none. */
    const struct strlist *blobs, *trees, *packs;
};

struct find_hit {
    const struct node *node; /* NULL: the root of the snapshot */
    const char *path;
    const struct id *parent_tree;
    enum blob_type object_type; /* when looking for objects */
    const struct id *object;    /* NULL otherwise */
};
typedef int find_fn(void *ctx, const struct find_hit *hit, struct err *err);

struct find;
/* The index must be loaded. ERR_USAGE for what is no beginning of an ID; ERR_NOT_FOUND for a pack that no index knows.
 * The options must outlive it. */
int find_new(struct find **out, struct repo *r, const struct find_options *options, struct err *err);
void find_free(struct find *f); /* NULL is nothing */
/* Every hit in the snapshot with this tree, in the order of the walk. */
int find_run(struct find *f, const struct id *root, find_fn *fn, void *ctx, struct err *err);
/* The pack that holds an object: false when the index does not know it. */
bool find_pack_of(const struct repo *r, enum blob_type type, const struct id *object, struct id *out);
