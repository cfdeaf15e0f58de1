/* The daily and weekly digest: how the backups were, in few lines. When one is due, local time decides, as the plan
 * says; what was made last is a note in the state ("digest.daily" → "2026-02-04"). For monitor/ only. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "monitor/state.h"
#include "plan/plan.h"

/* The latest time at or before now_ms when a digest of this kind was due, and the one before that. -1: the local time
 * zone cannot be read. */
struct digest_time {
    int64_t due_ms;
    char day[16]; /* "2026-02-04": its local date */
};
int digest_due(const struct plan_alerts *settings, enum digest_kind kind, int64_t now_ms, struct digest_time *out,
               struct err *err);
/* The due time of a note; 0: it is no date. */
int64_t digest_time_of_day(const struct plan_alerts *settings, const char *day);

/* What it tells of the time from since_ms to until_ms. The caller frees *text. worst: of the open alerts. */
int digest_text(const struct plan *p, struct state *s, int64_t since_ms, int64_t until_ms, char **text,
                enum alert_level *worst, struct err *err);
