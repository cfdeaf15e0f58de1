/*
 * When something is due: functions of a schedule, a time zone and a time. Time zones are read from the system's data
 * (schedule_zone.h) each time; the process's own zone is not changed. Any number of threads.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/err.h"

enum schedule_kind { SCHEDULE_NONE, SCHEDULE_EVERY, SCHEDULE_CRON, SCHEDULE_AT };

/* A cron expression as sets of bits. */
struct cron {
    uint64_t minutes;       /* 0 to 59 */
    uint32_t hours;         /* 0 to 23 */
    uint32_t days_of_month; /* bits 1 to 31 */
    uint16_t months;        /* bits 1 to 12 */
    uint8_t days_of_week;   /* bits 0 (Sunday) to 6 */
    /* The field began with '*'. Days: then both fields have to match ("*" always does); else one of both is enough. */
    bool any_day_of_month, any_day_of_week;
    bool any_hour; /* it began with '*': the expression follows the elapsed time, see schedule_next() */
};

struct schedule {
    enum schedule_kind kind;
    uint64_t every_ms;     /* EVERY: at least a second */
    int64_t anchor_ms;     /* EVERY: Unix time that the grid begins at; 0: counted from the last run */
    struct cron cron;      /* CRON */
    const char *cron_text; /* CRON: the expression as it was written, for people; may be NULL */
    char *zone;            /* CRON: IANA name; NULL: local time. Owned by whoever made the schedule */
    int64_t at_ms;         /* AT: Unix time */
};

/* "90s", "30m", "2h", "1h30m", "1h 30m", "7d", "1w", "500ms": milliseconds. ERR_USAGE. */
int duration_parse(const char *text, uint64_t *ms_out, struct err *err);
/* "2h", "1h 30m", "7d" for people; duration_parse() reads it. */
void duration_format(uint64_t ms, char out[32]);

/* Five fields (minute hour day month weekday) with lists, ranges, steps, names of months and days, 7 as Sunday; or
 * @yearly @annually @monthly @weekly @daily @midnight @hourly. ERR_USAGE names the field and what is wrong; an
 * expression that can never come (30 February) is ERR_USAGE too. */
int cron_parse(const char *text, struct cron *out, struct err *err);

/* A time as people write it: "2026-12-24T18:00:00+01:00", "2026-12-24T18:00:00Z", or without an offset "2026-12-24
 * 18:00[:30]" on the clocks of `zone` (NULL: local): Unix milliseconds. A time that daylight saving skips is the moment
 * of the change; one that comes twice is the first. ERR_USAGE. */
int schedule_parse_time(const char *text, const char *zone, int64_t *ms_out, struct err *err);

/*
 * The first due time after `after_ms` (Unix milliseconds), given the last run (0: never): *next_ms_out. false when
 * there is none any more (AT in the past, NONE), or when the zone cannot be read.
 *
 * EVERY: the next point of the grid; without an anchor `every_ms` after the last run, and at once (after_ms + 1) when
 * that is past or it never ran. So "due at `now`?" is schedule_next(s, last, last, &t) && t <= now.
 *
 * CRON and daylight saving, as vixie-cron does it: a fixed time that the clock skips is due at the moment of the
 * change; one that comes twice is due the first time only; expressions with a '*' in the hour follow the elapsed time:
 * hours that are skipped are not made up for, and those that come twice count twice.
 */
bool schedule_next(const struct schedule *s, int64_t after_ms, int64_t last_run_ms, int64_t *next_ms_out);
/* The same with the zone of `s` loaded already (schedule_zone.h): for who asks often. NULL: only where it needs none.
 */
struct zone;
bool schedule_next_in(const struct schedule *s, const struct zone *zone, int64_t after_ms, int64_t last_run_ms,
                      int64_t *next_ms_out);
/* How many due times lie in (after_ms, until_ms], and the last of them (untouched when there is none). An interval
 * without anchor is counted from after_ms. Fast however long the time and short the interval; times that lie before the
 * year 1 or after 9999 do not count. */
uint64_t schedule_count(const struct schedule *s, const struct zone *zone, int64_t after_ms, int64_t until_ms,
                        int64_t *last_ms_out);
/* ERR_USAGE: the zone is not known, or the interval is too short (below a second). */
int schedule_check(const struct schedule *s, struct err *err);
