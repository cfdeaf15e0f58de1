/*
 * Mending a repository: its index from what the packs say, and its snapshots from what the index still has.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/progress.h"
#include "repo/lock.h"
#include "repo/repo.h"

/*
 * The index.
 */
struct repair_index_options {
    bool read_all_packs; /* trust no index file: ask every pack */
    bool read_data;      /* read every pack in full: those that hold damage leave the index */
    bool dry_run;
};

struct repair_index_result {
    uint64_t index_files, index_broken, index_removed, index_written;
    uint64_t packs, packs_kept;    /* packs on the store; those whose index entries are right */
    uint64_t packs_added;          /* read, and taken into the index */
    uint64_t packs_missing;        /* were named by the index, and are not there */
    uint64_t packs_damaged;        /* cannot be read (read_data: or hold damage), and are in no index now; still on the
                                      store */
    uint64_t index_unread;         /* of index_broken: the store failed again and again; for all we know they are
                                      whole, and they stay */
    uint64_t blobs_salvaged;       /* of those, by what the index said of them: copied into new packs */
    uint64_t packs_header_damaged; /* read_all_packs: cannot be read, but an index file describes them rightly: kept as
                                      described */
};

struct repair_reporter {
    void *ctx;
    /* A line about one pack, index file, snapshot or path: what is wrong with it, what becomes of it. From any thread,
     * one at a time. */
    void (*finding)(void *ctx, const char *message);
};

/* r: open. lock: an exclusive one (NULL only in tests). Entries of packs that are there with the size that they add up
 * to are taken from the index files as they are; other packs are asked for their headers. Of a pack that has none, what
 * the index files describe and what still proves good is copied into new packs; with read_data also of a pack of which
 * anything is damaged, so that the index knows nothing that cannot be read, and a backup stores it anew. Damage is what
 * bytes and bad sectors prove: a pack that may not be read, or not just now, is an error and the index stays. New index
 * files are durable before wrong ones are removed; packs are never touched. r->index is not loaded afterwards. */
int repair_index_run(struct repo *r, struct lock *lock, const struct repair_index_options *options,
                     const struct repair_reporter *reporter, struct engine_progress *progress,
                     struct repair_index_result *out, struct err *err);

/*
 * Snapshots.
 */
struct repair_snapshots_options {
    const struct id *ids; /* NULL: all that match */
    size_t id_count;
    bool (*match)(void *ctx, const struct snapshot *s); /* NULL: all */
    void *match_ctx;
    bool forget;    /* remove the broken snapshots once they are replaced */
    bool read_data; /* read all packs first: what cannot be read counts as missing */
    bool dry_run;
};

struct repaired_snapshot {
    const struct snapshot *snapshot;
    struct id new_id;     /* zero when it was not replaced */
    bool changed;         /* something had to be left out */
    bool lost;            /* not even its root could be read: nothing to keep */
    uint64_t files, dirs; /* left incomplete; emptied */
};

struct repair_snapshots_result {
    uint64_t snapshots, intact, repaired, lost, removed;
};

struct repair_snapshots_reporter {
    void *ctx;
    /* A path that was changed. is_dir: it is empty now; else parts of a file are left out. */
    void (*path)(void *ctx, const struct snapshot *s, const char *path, bool is_dir, size_t lost, size_t parts);
    void (*snapshot)(void *ctx, const struct repaired_snapshot *s); /* each, when it is dealt with */
    void (*finding)(void *ctx, const char *message);                /* broken snapshot files, damaged packs */
};

/*
 * A file that misses blobs keeps the others (and the size that they have); a directory whose tree is lost becomes
 * empty. Snapshots that this changes are stored anew, with `original` set to the ID of the broken one, which goes
 * with `forget`; without, it stays, and the new one has the tag `repaired`. Keys of nodes that we do not know are kept.
 * r's index is loaded here.
 */
int repair_snapshots_run(struct repo *r, struct lock *lock, const struct repair_snapshots_options *options,
                         const struct repair_snapshots_reporter *reporter, struct engine_progress *progress,
                         struct repair_snapshots_result *out, struct err *err);
