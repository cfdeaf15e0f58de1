/*
 * Removing snapshots: by a policy, group by group, or by their IDs. Only snapshot files go; the space comes back with
 * prune.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "engine/grouping.h"
#include "plan/retention.h"
#include "repo/lock.h"
#include "repo/repo.h"

struct forget_options {
    struct retention_policy policy;
    struct snapshot_grouping grouping;
    /* Which snapshots the policy looks at; NULL: all. */
    bool (*match)(void *ctx, const struct snapshot *s);
    void *match_ctx;
    /* Given: exactly these are removed, and policy, grouping and match count for nothing. */
    const struct id *ids;
    size_t id_count;
    bool dry_run;
};

/* A snapshot that was looked at. */
struct forget_entry {
    const struct snapshot *snapshot;
    struct retention_item item; /* keep, reasons */
};

/* Entries begin … end, in order of time. All have in common what the grouping says. */
struct forget_group {
    size_t begin, end;
};

/* Released by forget_result_release, also after a failure. */
struct forget_result {
    struct snapshot_list snapshots;
    struct strlist broken; /* messages: snapshots that could not be read. No policy touches them */
    struct forget_entry *entries;
    size_t entry_count;
    struct forget_group *groups;
    size_t group_count;
    struct id *remove; /* what is (or with dry_run: would be) removed */
    size_t remove_count;
    size_t removed; /* how many of them are gone */
};

/*
 * lock: an exclusive one (NULL only in tests). ERR_USAGE, nothing changed: the policy is empty and there are no IDs; or
 * the policy would remove every snapshot of a group (only its ID takes the last one away). On another failure
 * out->removed tells how far it came.
 */
int forget_run(struct repo *r, struct lock *lock, const struct forget_options *options, struct forget_result *out,
               struct err *err);
void forget_result_release(struct forget_result *r);
