/*
 * Has the clock leapt? A clock that is a year ahead for a while makes every earlier snapshot look old, and `keep:
 * {within: 7d}` would remove them all. So after a gap that is much longer than usual nothing is removed until runs have
 * gone on for a while: by then a wrong clock has been put right, and what it dated lies in the future, where it does
 * not count. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* times_s: Unix times of snapshots or archives of one tier, in any order (they are put in order). The gap in seconds
 * that has to settle first; 0: there is none.
 *
 * A gap counts when it is longer than two days and than ten times the usual (median) distance of the three or more runs
 * before it. It has settled when runs went on after it for a day and for three times their usual distance. */
int64_t clock_leap_s(int64_t *times_s, size_t count);
