/* How often something was due, without going from one time to the next. */
#include "plan/cron.h"
#include "plan/schedule.h"
#include "plan/schedule_zone.h"

static const int64_t FIRST_S = -62135596800, END_S = 253402300800; /* years 1 to 9999 */

/* A stretch of wall clock with one offset that has due times, the last of those looked at. */
struct stretch {
    int64_t end_label;
    int32_t offset_s;
    bool only_change; /* nothing but what the change skips, due at the change */
    int64_t change_s;
};

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t seconds_of(int64_t ms)
{
    return ms / 1000 - (ms % 1000 < 0);
}

/* Those within one span, from_s to to_s. The rules for its beginning are those of next_in_span() in schedule.c. */
static uint64_t count_in_span(const struct cron *c, const struct zone_span *span, int64_t from_s, int64_t to_s,
                              struct stretch *last)
{
    int64_t first = later(from_s, span->start_s), end = earlier(to_s, span->end_s);
    int64_t label = first + span->offset_s, end_label = end + span->offset_s;
    uint64_t skipped = 0;
    if (!c->any_hour && span->start_s != INT64_MIN) {
        int64_t had = span->start_s + span->before_s, shown = span->start_s + span->offset_s;
        if (first == span->start_s && cron_count(c, had, shown) > 0 && cron_count(c, shown, shown + 1) == 0)
            skipped = 1;
        label = later(label, had);
    }
    uint64_t count = cron_count(c, label, end_label);
    if (count + skipped > 0)
        *last = (struct stretch){
            .end_label = end_label, .offset_s = span->offset_s, .only_change = count == 0, .change_s = span->start_s};
    return count + skipped;
}

static uint64_t count_cron(const struct schedule *s, const struct zone *zone, int64_t after_ms, int64_t until_ms,
                           int64_t *last_ms_out)
{
    int64_t from = later(seconds_of(after_ms) + 1, FIRST_S), to = earlier(seconds_of(until_ms) + 1, END_S);
    struct stretch last = {0};
    uint64_t count = 0;
    for (int64_t at = from; at < to;) {
        struct zone_span span;
        zone_find(zone, at, &span);
        count += count_in_span(&s->cron, &span, at, to, &last);
        at = span.end_s;
    }
    if (count == 0)
        return 0;
    int64_t label = 0;
    if (last.only_change)
        *last_ms_out = last.change_s * 1000;
    else if (cron_last(&s->cron, last.end_label, &label))
        *last_ms_out = (label - last.offset_s) * 1000;
    return count;
}

/* Points of the grid up to `t`. */
static uint64_t points_until(int64_t anchor, uint64_t every, int64_t t)
{
    return t < anchor ? 0 : ((uint64_t)t - (uint64_t)anchor) / every + 1;
}

static uint64_t count_grid(int64_t anchor, uint64_t every, int64_t after_ms, int64_t until_ms, int64_t *last_ms_out)
{
    uint64_t until = points_until(anchor, every, until_ms), count = until - points_until(anchor, every, after_ms);
    if (count > 0)
        *last_ms_out = (int64_t)((uint64_t)anchor + (until - 1) * every);
    return count;
}

uint64_t schedule_count(const struct schedule *s, const struct zone *zone, int64_t after_ms, int64_t until_ms,
                        int64_t *last_ms_out)
{
    if (until_ms <= after_ms)
        return 0;
    switch (s->kind) {
    case SCHEDULE_NONE:
        break;
    case SCHEDULE_EVERY:
        if (s->every_ms == 0)
            return 0;
        return count_grid(s->anchor_ms != 0 ? s->anchor_ms : after_ms, s->every_ms, after_ms, until_ms, last_ms_out);
    case SCHEDULE_CRON:
        return zone != NULL ? count_cron(s, zone, after_ms, until_ms, last_ms_out) : 0;
    case SCHEDULE_AT:
        if (s->at_ms <= after_ms || s->at_ms > until_ms)
            return 0;
        *last_ms_out = s->at_ms;
        return 1;
    }
    return 0;
}
