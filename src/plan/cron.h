/*
 * What a cron expression means on a wall clock that never jumps; schedule.c puts the time zone under it. Pure function.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "plan/schedule.h"

/* The first minute at or after `local_s` (seconds on the wall clock, counted as if it showed UTC) that matches. False
 * when there is none for decades, which cron_parse() rules out. */
bool cron_next(const struct cron *c, int64_t local_s, int64_t *out);
/* How many minutes that match lie in [from_s, to_s). Years 1 to 9999; a month a step. */
uint64_t cron_count(const struct cron *c, int64_t from_s, int64_t to_s);
/* The last one before `before_s`. False when there is none for decades. */
bool cron_last(const struct cron *c, int64_t before_s, int64_t *out);
