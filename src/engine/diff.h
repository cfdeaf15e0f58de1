/* What changed from one tree to another. Sub-trees with the same ID are not read but for the statistics. */
#pragma once
#include "base/err.h"
#include "engine/bits.h"
#include "repo/repo.h"

enum diff_change {
    DIFF_ADDED = 1 << 0,
    DIFF_REMOVED = 1 << 1,
    DIFF_TYPE = 1 << 2,     /* it is of another type now */
    DIFF_CONTENT = 1 << 3,  /* a file's content */
    DIFF_METADATA = 1 << 4, /* anything else that is stored about it; only if asked for */
    DIFF_BITROT = 1 << 5,   /* with DIFF_CONTENT: while all metadata, times included, stayed the same */
};

struct diff_side {
    uint64_t files, dirs, others;           /* entries that only this side has */
    uint64_t data_blobs, tree_blobs, bytes; /* blobs that only this side needs, and their plaintext size */
};
struct diff_stats {
    uint64_t changed_files;
    struct diff_side added, removed;
};

struct diff_options {
    bool metadata;
    /* A change: bits of diff_change, the path (a directory's ends in '/'). -1 ends it. May be NULL. */
    int (*change)(void *ctx, unsigned change, const char *path, struct err *err);
    void *ctx;
};

/* The index must be loaded. Changes come in the order of paths' names, directory by directory. */
int diff_run(struct repo *r, const struct id *from, const struct id *to, const struct diff_options *options,
             struct diff_stats *out, struct err *err);

/* Sets the bits (by position in the loaded index; of a blob with several copies, the first one's) of blobs that are
 * needed where `to` differs from `from`, and are not needed at the same place of `from`: what the change brought, or
 * what only moved. Reads no sub-tree that both have. */
int diff_added_blobs(struct repo *r, const struct id *from, const struct id *to, struct bits *added, struct err *err);
