/*
 * Which snapshots a policy keeps: pure functions on times and tags. The rules, their order and the wording of the
 * reasons are those of restic's `forget`, checked against restic 0.14 over 103 snapshots and 83 policies. Where
 * versions differ, today's restic is followed:
 *   - the oldest snapshot of all is kept while a rule has counts left, or when it lies within a rule's range, and is
 * called "oldest daily snapshot" when nothing else kept it (0.14 has no such rule);
 *   - -1 means all of a kind (0.14 takes it for 0);
 *   - a snapshot whose time lies in the future does not stretch the `within` rules' range.
 *
 * Snapshots are looked at from the newest to the oldest. Of each hour, day, ISO week, month and year that still counts,
 * the newest one is kept; the very oldest snapshot is kept besides while a rule has counts left.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"

struct retention_duration { /* "2y5m7d3h": calendar years and months, days, hours */
    int years, months, days, hours;
};
/* ERR_USAGE when it is malformed, empty, nothing but zeros, or negative. Units in any order, each once. */
int retention_parse_duration(const char *text, struct retention_duration *out, struct err *err);

struct retention_policy {
    int last, hourly, daily, weekly, monthly, yearly; /* 0: rule unused; -1: all */
    struct retention_duration within, within_hourly, within_daily, within_weekly, within_monthly, within_yearly;
    struct strlist *keep_tags; /* keep_tag_count lists; a snapshot that has all tags of one of them is kept. A list that
                                * holds "" alone stands for the snapshots without tags. */
    size_t keep_tag_count;
    struct timespec
        now; /* `within` counts back from the newest snapshot that is older than this; zero: no such limit */
};
bool retention_is_empty(const struct retention_policy *p);
/* "keep 7 daily, 4 weekly snapshots and all snapshots within 7d of the newest" */
void retention_describe(const struct retention_policy *p, struct buf *out);

/* One candidate. */
struct retention_item {
    struct timespec time;       /* compared as an instant, bucketed and counted back in its stored offset: */
    int32_t utc_offset_s;       /* seconds east of UTC, as the snapshot's time string says */
    const struct strlist *tags; /* NULL: none */
    bool keep;                  /* out */
    struct strlist reasons; /* out: "last snapshot", "daily snapshot" …; empty when not kept. Must be zeroed before the
                             * first use; freed by retention_release. */
};
/* Items in any order; their order is kept, and among items of one time the earlier counts as the newer. An empty policy
 * keeps everything. */
void retention_apply(const struct retention_policy *p, struct retention_item *items, size_t count);
/* Frees the reasons. */
void retention_release(struct retention_item *items, size_t count);
