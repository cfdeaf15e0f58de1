/*
 * When will a destination be full? A straight line through what was used after each run, by least squares, carried on
 * until what may be used is used up; with how sure that is.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "monitor/record.h"
#include "plan/plan.h"

struct forecast_point {
    int64_t time_ms; /* Unix */
    uint64_t used_bytes;
};

enum forecast_kind {
    FORECAST_UNKNOWN, /* fewer than FORECAST_MIN_POINTS, or within less than FORECAST_MIN_SPAN_MS */
    FORECAST_NEVER,   /* it does not grow, or not within ten years */
    FORECAST_DATE,
};
enum { FORECAST_MIN_POINTS = 4, FORECAST_MIN_SPAN_MS = 12 * 60 * 60 * 1000 };

struct forecast {
    enum forecast_kind kind;
    double bytes_per_day; /* may be negative; 0 when unknown */
    double fit;           /* 0 … 1: the share of the ups and downs that the line explains (R²) */
    int64_t full_ms;      /* DATE; not before now */
    /* DATE: four times in five it is between these; latest_ms 0: perhaps never */
    int64_t earliest_ms, latest_ms;
    size_t points;
};

/* Points in any order. capacity_bytes: what may be used (the total without the reserve). Pure. */
void forecast_make(const struct forecast_point *points, size_t count, uint64_t capacity_bytes, int64_t now_ms,
                   struct forecast *out);

/* The same for a destination, from these tiers' records; of records made when its file system had another size, it
 * was another drive. */
void forecast_from_records(const struct record_list *lists, size_t count, const struct plan_destination *d,
                           int64_t now_ms, struct forecast *out);
/* From those of all tiers of the plan. */
void forecast_destination(const struct plan *p, const struct plan_destination *d, const char *state_dir, int64_t now_ms,
                          struct forecast *out);

/* "full on 2026-03-14 (between 2026-03-01 and 2026-04-20), growing by 12.3 MB a day", "not growing", "not known yet".
 */
void forecast_describe(const struct forecast *f, char *out, size_t cap);
