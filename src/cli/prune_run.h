/* What `prune` and `forget --prune` have in common. */
#pragma once
#include <stddef.h>
#include "cli/cli.h"
#include "engine/prune.h"

struct prune_args {
    const char *max_unused; /* NULL: the default */
    uint64_t max_repack_bytes;
    bool max_repack_given, repack_small, repack_cacheable_only, repack_uncompressed;
};

#define PRUNE_OPTIONS(type, member)                                                                          \
    {.name = "max-unused",                                                                                   \
     .kind = OPTION_STRING,                                                                                  \
     .offset = offsetof(type, member) + offsetof(struct prune_args, max_unused),                             \
     .metavar = "LIMIT",                                                                                     \
     .group = "How thorough",                                                                                \
     .help = "leave this much unused data where it is: a share like 5% (the default), a size, 'unlimited'"}, \
        {.name = "max-repack-size",                                                                          \
         .kind = OPTION_BYTES,                                                                               \
         .offset = offsetof(type, member) + offsetof(struct prune_args, max_repack_bytes),                   \
         .set_offset = offsetof(type, member) + offsetof(struct prune_args, max_repack_given),               \
         .metavar = "SIZE",                                                                                  \
         .help = "repack at most this much; 0 only removes packs that are wholly unused"},                   \
        {.name = "repack-small",                                                                             \
         .kind = OPTION_FLAG,                                                                                \
         .offset = offsetof(type, member) + offsetof(struct prune_args, repack_small),                       \
         .help = "join packs that are smaller than four fifths of what they should be"},                     \
        {.name = "repack-cacheable-only",                                                                    \
         .kind = OPTION_FLAG,                                                                                \
         .offset = offsetof(type, member) + offsetof(struct prune_args, repack_cacheable_only),              \
         .help = "repack only packs of trees, which readers keep a copy of"},                                \
    {                                                                                                        \
        .name = "repack-uncompressed", .kind = OPTION_FLAG,                                                  \
        .offset = offsetof(type, member) + offsetof(struct prune_args, repack_uncompressed),                 \
        .help = "repack packs with blobs that are not compressed"                                            \
    }

/* ERR_USAGE. Sets everything but dry_run and ignore_snapshots. */
int prune_args_read(const struct prune_args *args, struct prune_options *out, struct err *err);

/* Runs, prints plan and result; the exit status. */
int prune_run_and_print(struct cli *cli, struct repo *repo, struct lock *lock, const struct prune_options *options);
