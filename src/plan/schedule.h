/*
 * When something is due: pure functions of a schedule, a time zone and a time.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "base/err.h"

enum schedule_kind { SCHEDULE_NONE, SCHEDULE_EVERY, SCHEDULE_CRON, SCHEDULE_AT };

/* A cron expression as sets of bits. */
struct cron {
    uint64_t minutes;                       /* 0 to 59 */
    uint32_t hours;                         /* 0 to 23 */
    uint32_t days_of_month;                 /* bits 1 to 31 */
    uint16_t months;                        /* bits 1 to 12 */
    uint8_t days_of_week;                   /* bits 0 (Sunday) to 6 */
    bool any_day_of_month, any_day_of_week; /* it began with '*': then the other one alone decides */
};

struct schedule {
    enum schedule_kind kind;
    uint64_t every_ms; /* EVERY: at least a minute */
    int64_t anchor_ms; /* EVERY: Unix time that the grid begins at; 0: counted from the last run */
    struct cron cron;  /* CRON */
    char *zone;        /* CRON: IANA name; NULL: local time. Owned by whoever made the schedule */
    int64_t at_ms;     /* AT: Unix time */
};

/* "90s", "30m", "2h", "1h30m", "7d", "1w", "500ms": milliseconds. ERR_USAGE. */
int duration_parse(const char *text, uint64_t *ms_out, struct err *err);
/* "2h", "1h 30m", "7d" for people. */
void duration_format(uint64_t ms, char out[32]);

/* Five fields (minute hour day month weekday) with lists, ranges, steps, names of months and days, 7 as Sunday; or
 * @yearly @annually @monthly @weekly @daily @midnight @hourly. ERR_USAGE names the field and what is wrong; an
 * expression that can never come (30 February) is ERR_USAGE too. */
int cron_parse(const char *text, struct cron *out, struct err *err);

/* The first due time after `after_ms` (Unix milliseconds), given the last run (0: never): *next_ms_out. false when
 * there is none any more (AT in the past, NONE). Daylight saving, as vixie-cron does it: a fixed time that the clock
 * skips is due at the moment of the change; one that comes twice is due the first time only; expressions with a '*' in
 * the hour follow the elapsed time. ERR_USAGE for an unknown zone is found by schedule_check(). */
bool schedule_next(const struct schedule *s, int64_t after_ms, int64_t last_run_ms, int64_t *next_ms_out);
/* ERR_USAGE: the zone is not known, or the interval is too short. */
int schedule_check(const struct schedule *s, struct err *err);
