/*
 * Checking a repository: is everything there that its snapshots need, and is it what it must be?
 *
 * The structure is always checked: index files load; every pack that the index names exists and has the size that its
 * blobs add up to; every snapshot loads; every tree loads and is well formed; every blob they need is in the index.
 * Packs can be read on top of that (all, or a part): see engine/verify.h. Packs of the wrong size are always read, to
 * learn which blobs are lost.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/damage.h"
#include "engine/progress.h"
#include "repo/lock.h"
#include "repo/repo.h"

enum check_read {
    CHECK_READ_NONE,
    CHECK_READ_ALL,
    CHECK_READ_PART,    /* part n of t: t runs together read everything once */
    CHECK_READ_PERCENT, /* that share of the packs, chosen at random */
    CHECK_READ_BYTES    /* packs of about that many bytes together, chosen at random */
};

struct check_subset {
    enum check_read kind;
    unsigned part, parts; /* 1 … parts, parts ≤ 256 */
    double percent;       /* above 0, up to 100 */
    uint64_t bytes;
};
/* "2/5", "2.5%", "500M". ERR_USAGE. */
int check_subset_parse(const char *text, struct check_subset *out, struct err *err);

enum check_kind {
    CHECK_INDEX_FILE,   /* cannot be loaded */
    CHECK_SNAPSHOT,     /* cannot be loaded */
    CHECK_PACK_MISSING, /* the index names it, and it is not there */
    CHECK_PACK_SIZE,    /* not as long as its blobs add up to */
    CHECK_PACK,         /* read, and found damaged */
    CHECK_PACK_INDEX,   /* read, and its header says other things than the index */
    CHECK_BLOB,         /* read, and found damaged */
    CHECK_BLOB_MISSING, /* needed, and in no index */
    CHECK_TREE,         /* cannot be loaded or is malformed */
    CHECK_UNUSED_BLOB,  /* in the index, and nobody needs it (only when asked for) */
    CHECK_UNUSED_PACK,  /* there, but in no index: no error; an interrupted backup leaves them */
    CHECK_DUPLICATE     /* blobs that are in several packs: no error */
};
const char *check_kind_name(enum check_kind kind); /* "pack missing" */
static inline bool check_kind_is_error(enum check_kind kind)
{
    return kind != CHECK_UNUSED_PACK && kind != CHECK_DUPLICATE;
}

struct check_problem {
    enum check_kind kind;
    const struct id *id; /* of the pack, blob, tree; NULL for index files and snapshots, which the message names */
    const char *message; /* complete */
};

/* Called from any thread, one at a time. What they get is borrowed. Both may be NULL. */
struct check_reporter {
    void *ctx;
    void (*problem)(void *ctx, const struct check_problem *p);
    void (*damage)(void *ctx, const struct damage *d); /* after all problems, where any were found */
};

struct check_options {
    struct check_subset read;
    bool unused; /* report blobs that nobody needs */
};

struct check_result {
    uint64_t errors;
    uint64_t snapshots, index_files, packs, packs_read, bytes_read, blobs, trees;
    uint64_t unused_packs, unused_pack_bytes, duplicate_blobs, unused_blobs;
    uint64_t damaged_paths;                     /* (snapshot, path) pairs */
    bool repair_index, repair_snapshots, prune; /* what would help */
};

/* r: open, its index not yet loaded. lock, reporter and progress may be NULL. 0 when the check was carried through,
 * whatever it found: see errors. */
int check_run(struct repo *r, struct lock *lock, const struct check_options *options,
              const struct check_reporter *reporter, struct engine_progress *progress, struct check_result *out,
              struct err *err);
