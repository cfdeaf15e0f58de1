/*
 * A tier with `every` is late when its last success is older than the interval and late_percent of it. One with `cron`
 * has until its first due time after that success, and late_percent of the time from there to the next one: what runs
 * on weekdays is not late on Sunday, and a day of 25 hours is no trouble. A single time (`at`) has an hour.
 */
#include "run/health_late.h"

#include "monitor/facts.h"

enum { AT_GRACE_MS = 60 * 60 * 1000 };

static int64_t add(int64_t a, uint64_t b)
{
    return b > (uint64_t)INT64_MAX || a > INT64_MAX - (int64_t)b ? INT64_MAX : a + (int64_t)b;
}

static uint64_t part(uint64_t whole, unsigned percent)
{
    return whole / 100 * percent + whole % 100 * percent / 100;
}

static int64_t late_by_cron(const struct schedule *s, unsigned percent, int64_t since_ms)
{
    int64_t due, after;
    if (!schedule_next(s, since_ms, since_ms, &due))
        return 0;
    if (!schedule_next(s, due, due, &after))
        return due;
    return add(due, part((uint64_t)(after - due), percent));
}

int64_t health_late_ms(const struct plan_tier *t, unsigned late_percent, const struct record_list *records,
                       int64_t since_ms)
{
    const struct schedule *s = &t->schedule;
    int64_t success = fact_last_success_ms(records), due;
    int64_t since = success != 0 ? success : since_ms;
    if (t->disabled || since == 0 || late_percent == 0)
        return 0;
    switch (s->kind) {
    case SCHEDULE_NONE:
        break;
    case SCHEDULE_EVERY:
        return add(since, s->every_ms + part(s->every_ms, late_percent));
    case SCHEDULE_CRON:
        return late_by_cron(s, late_percent, since);
    case SCHEDULE_AT:
        return schedule_next(s, since, since, &due) ? add(due, AT_GRACE_MS) : 0;
    }
    return 0;
}
