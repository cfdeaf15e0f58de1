/*
 * Which archives a policy keeps: as for snapshots (plan/retention.h), but for "monthly". Of a month's snapshots the
 * newest stands for it. Of its archives that of its first Sunday does, as the owner of a shelf of tapes has it; where
 * there is none, the month's first. So what was once kept for a month stays what is kept for it. The newest archive of
 * all is always kept.
 *
 * Pure functions. Days, weeks and months are those of utc_offset_s.
 */
#pragma once
#include <stddef.h>
#include "plan/retention.h"

/* Sets `keep` of each item; items in any order. Reasons are not given. An empty policy keeps everything. */
void archive_policy_apply(const struct retention_policy *p, struct retention_item *items, size_t count);
