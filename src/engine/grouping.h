/* Snapshots in groups: what those of one group have in common, as bytes that can be compared. */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "repo/snapshot.h"

/*
 * Backups of the agent home carry the tag "agent-home=ROOT". Their paths are found, not given, and change when a
 * workspace outside of it comes or goes; grouped by paths, the snapshots from before would then make a group of their
 * own, of which a policy would keep the newest for ever. For grouping, the tag stands for the paths.
 */
#define GROUPING_HOME_TAG "agent-home="

struct snapshot_grouping {
    bool host, paths, tags;
};
/* "host,paths", "tags", "" (one group of all). ERR_USAGE. */
int grouping_parse(const char *text, struct snapshot_grouping *out, struct err *err);

/* The group's name: equal bytes for all snapshots of the group. The caller releases it. */
void grouping_key(const struct snapshot *s, const struct snapshot_grouping *by, struct buf *key_out);
/* Negative, zero or positive. */
int grouping_compare(const struct buf *a, const struct buf *b);
