#include "run/clock_leap.h"

#include <stdlib.h>
#include "base/mem.h"

enum { HOUR_S = 3600, SAME_RUN_S = 6 * HOUR_S, GAP_MIN_S = 48 * HOUR_S, SETTLED_MIN_S = 24 * HOUR_S };
enum { GAP_FACTOR = 10, SETTLED_FACTOR = 3, BEFORE_MIN = 3 };

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A run of several sources has several times. Keeps the first of those that lie together. */
static size_t keep_runs(int64_t *times, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || times[i] - times[kept - 1] >= SAME_RUN_S)
            times[kept++] = times[i];
    return kept;
}

/* Of the distances of the first `count` runs. */
static int64_t usual_distance(const int64_t *times, size_t count)
{
    int64_t *distances = mem_array(NULL, count, sizeof *distances);
    for (size_t i = 1; i < count; i++)
        distances[i - 1] = times[i] - times[i - 1];
    qsort(distances, count - 1, sizeof *distances, by_value);
    int64_t median = distances[(count - 1) / 2];
    free(distances);
    return median;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t clock_leap_s(int64_t *times_s, size_t count)
{
    qsort(times_s, count, sizeof *times_s, by_value);
    int64_t newest = count > 0 ? times_s[count - 1] : 0;
    size_t runs = keep_runs(times_s, count);
    for (size_t i = runs; i-- > BEFORE_MIN;) {
        int64_t gap = times_s[i] - times_s[i - 1];
        if (gap <= GAP_MIN_S)
            continue;
        int64_t usual = usual_distance(times_s, i);
        if (gap > GAP_FACTOR * usual)
            return newest - times_s[i] < larger(SETTLED_MIN_S, SETTLED_FACTOR * usual) ? gap : 0;
    }
    return 0;
}
