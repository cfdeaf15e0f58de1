#include "run/forecast.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "monitor/record.h"
#include "os/clock.h"

static const double DAY_MS = 24.0 * 60 * 60 * 1000;
static const double HORIZON_DAYS = 3653;
static const double FOUR_IN_FIVE = 1.2816; /* standard deviations that hold 80 % of a normal distribution */

/* --- the line --- */

struct line {
    double slope, slope_error; /* bytes a day */
    double level;              /* at the reference time */
    double fit;
};

/* Days since the first point keep the numbers small enough for doubles. */
static struct line fit_line(const struct forecast_point *p, size_t count, int64_t first_ms, double at_day)
{
    double n = (double)count, mean_x = 0, mean_y = 0, sxx = 0, sxy = 0, syy = 0;
    for (size_t i = 0; i < count; i++) {
        mean_x += (double)(p[i].time_ms - first_ms) / DAY_MS / n;
        mean_y += (double)p[i].used_bytes / n;
    }
    for (size_t i = 0; i < count; i++) {
        double x = (double)(p[i].time_ms - first_ms) / DAY_MS - mean_x, y = (double)p[i].used_bytes - mean_y;
        sxx += x * x;
        sxy += x * y;
        syy += y * y;
    }
    double slope = sxy / sxx, unexplained = fmax(0, syy - slope * sxy);
    return (struct line){
        .slope = slope,
        .slope_error = sqrt(unexplained / (n - 2) / sxx),
        .level = mean_y + slope * (at_day - mean_x),
        .fit = syy > 0 ? 1 - unexplained / syy : 1,
    };
}

static int64_t after_days(int64_t now_ms, double left_bytes, double slope)
{
    double days = left_bytes > 0 ? left_bytes / slope : 0;
    return days < 100 * HORIZON_DAYS ? now_ms + (int64_t)(days * DAY_MS) : 0;
}

void forecast_make(const struct forecast_point *points, size_t count, uint64_t capacity_bytes, int64_t now_ms,
                   struct forecast *out)
{
    *out = (struct forecast){.points = count};
    if (count < FORECAST_MIN_POINTS)
        return;
    size_t first = 0, last = 0;
    for (size_t i = 1; i < count; i++) {
        first = points[i].time_ms < points[first].time_ms ? i : first;
        last = points[i].time_ms >= points[last].time_ms ? i : last;
    }
    if (points[last].time_ms - points[first].time_ms < FORECAST_MIN_SPAN_MS)
        return;
    int64_t first_ms = points[first].time_ms;
    struct line l = fit_line(points, count, first_ms, (double)(now_ms - first_ms) / DAY_MS);
    /* What is used now is known better than the line knows it; growth since the last run is the line's. */
    double since = fmax(0, (double)(now_ms - points[last].time_ms) / DAY_MS);
    double used = (double)points[last].used_bytes + fmax(0, l.slope) * since;
    double left = (double)capacity_bytes - used, margin = FOUR_IN_FIVE * l.slope_error;
    out->bytes_per_day = l.slope;
    out->fit = l.fit;
    out->kind = FORECAST_NEVER;
    if (left > 0 && (l.slope <= 0 || left / l.slope > HORIZON_DAYS))
        return;
    out->kind = FORECAST_DATE;
    out->full_ms = left > 0 ? after_days(now_ms, left, l.slope) : now_ms;
    out->earliest_ms = left > 0 ? after_days(now_ms, left, l.slope + margin) : now_ms;
    if (left <= 0)
        out->latest_ms = now_ms;
    else if (l.slope > margin)
        out->latest_ms = after_days(now_ms, left, l.slope - margin);
}

/* --- from the records --- */

struct samples {
    struct forecast_point *points;
    uint64_t *totals;
    size_t count;
};

static void add_samples(const struct record_list *l, const char *destination, struct samples *s)
{
    for (size_t i = 0; i < l->count; i++)
        for (size_t k = 0; k < l->items[i].destination_count; k++) {
            const struct record_destination *d = &l->items[i].destinations[k];
            if (d->total_bytes == 0 || d->free_bytes > d->total_bytes || strcmp(d->name, destination) != 0)
                continue;
            s->points = mem_array(s->points, s->count + 1, sizeof *s->points);
            s->totals = mem_array(s->totals, s->count + 1, sizeof *s->totals);
            s->points[s->count] = (struct forecast_point){.time_ms = os_time_ms(&l->items[i].time),
                                                          .used_bytes = d->total_bytes - d->free_bytes};
            s->totals[s->count++] = d->total_bytes;
        }
}

/* Keeps those of the drive that is there now: the newest sample's. */
static uint64_t keep_current(struct samples *s)
{
    size_t newest = 0, kept = 0;
    for (size_t i = 1; i < s->count; i++)
        newest = s->points[i].time_ms >= s->points[newest].time_ms ? i : newest;
    uint64_t total = s->count > 0 ? s->totals[newest] : 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->totals[i] == total)
            s->points[kept++] = s->points[i];
    s->count = kept;
    return total;
}

void forecast_from_records(const struct record_list *lists, size_t count, const struct plan_destination *d,
                           int64_t now_ms, struct forecast *out)
{
    struct samples s = {0};
    for (size_t i = 0; i < count; i++)
        add_samples(&lists[i], d->name, &s);
    uint64_t total = keep_current(&s);
    forecast_make(s.points, s.count, total > d->reserve_bytes ? total - d->reserve_bytes : 0, now_ms, out);
    free(s.points);
    free(s.totals);
}

void forecast_destination(const struct plan *p, const struct plan_destination *d, const char *state_dir, int64_t now_ms,
                          struct forecast *out)
{
    struct record_list *lists = mem_zalloc((p->tier_count + 1) * sizeof *lists);
    for (size_t i = 0; i < p->tier_count; i++)
        record_list_read(state_dir, p->tiers[i].name, RECORD_KEPT_LINES, &lists[i], NULL);
    forecast_from_records(lists, p->tier_count, d, now_ms, out);
    for (size_t i = 0; i < p->tier_count; i++)
        record_list_release(&lists[i]);
    free(lists);
}

/* --- in words --- */

static const char *date(int64_t ms, char out[16])
{
    time_t t = (time_t)(ms / 1000);
    struct tm tm;
    if (localtime_r(&t, &tm) == NULL || strftime(out, 16, "%Y-%m-%d", &tm) == 0)
        snprintf(out, 16, "?");
    return out;
}

void forecast_describe(const struct forecast *f, char *out, size_t cap)
{
    char full[16], early[16], late[16], between[64];
    char growth[BYTES_TEXT_BYTES];
    bytes_text(f->bytes_per_day > 0 ? (uint64_t)f->bytes_per_day : 0, growth);
    if (f->kind == FORECAST_UNKNOWN) {
        snprintf(out, cap, "when it will be full is not known yet");
    } else if (f->kind == FORECAST_NEVER) {
        snprintf(out, cap, f->bytes_per_day > 0 ? "growing by %s a day" : "not growing", growth);
    } else {
        if (f->latest_ms != 0)
            snprintf(between, sizeof between, "%s to %s", date(f->earliest_ms, early), date(f->latest_ms, late));
        else
            snprintf(between, sizeof between, "%s at the earliest", date(f->earliest_ms, early));
        snprintf(out, cap, "full about %s (%s), growing by %s a day", date(f->full_ms, full), between, growth);
    }
}
