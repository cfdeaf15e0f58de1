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
