/* Listing what a snapshot holds: everything, or certain directories. */
#pragma once
#include "base/strlist.h"
#include "engine/walk.h"

/* Called for each entry in the order of the walk. -1 (with err set) ends the listing. */
typedef int listing_fn(void *ctx, const struct node *node, const char *path, struct err *err);

struct listing_options {
    const struct strlist *dirs; /* absolute paths within the tree: these and their direct entries; NULL or empty: all */
    bool recursive;             /* everything below `dirs` too */
};

/* The index must be loaded. ERR_USAGE for a path that is not absolute. A path that is not there lists nothing. */
int listing_run(struct repo *r, const struct id *root, const struct listing_options *options, listing_fn *fn, void *ctx,
                struct err *err);
