#include "run/archive_policy.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/* On the clocks of the item's own offset. */
static struct tm local_time(const struct retention_item *item)
{
    time_t t = item->time.tv_sec + item->utc_offset_s;
    struct tm tm;
    gmtime_r(&t, &tm);
    return tm;
}

static int month_of(const struct retention_item *item)
{
    struct tm tm = local_time(item);
    return tm.tm_year * 12 + tm.tm_mon;
}

static bool is_first_sunday(const struct retention_item *item)
{
    struct tm tm = local_time(item);
    return tm.tm_wday == 0 && tm.tm_mday <= 7;
}

static bool is_older(const struct retention_item *a, const struct retention_item *b)
{
    return a->time.tv_sec != b->time.tv_sec ? a->time.tv_sec < b->time.tv_sec : a->time.tv_nsec < b->time.tv_nsec;
}

/* Does `a` stand for the month rather than `b`, of the same month? */
static bool is_better(const struct retention_item *a, const struct retention_item *b)
{
    if (is_first_sunday(a) != is_first_sunday(b))
        return is_first_sunday(a);
    return is_older(a, b);
}

static bool stands_for_month(const struct retention_item *items, size_t count, size_t i)
{
    for (size_t k = 0; k < count; k++)
        if (k != i && month_of(&items[k]) == month_of(&items[i]) && is_better(&items[k], &items[i]))
            return false;
    return true;
}

/* Applies a policy to some of the items, and adds what it keeps to `keep`. */
static void apply_to(const struct retention_policy *p, const struct retention_item *items, const size_t *chosen,
                     size_t count, bool *keep)
{
    struct retention_item *some = mem_zalloc((count + 1) * sizeof *some);
    for (size_t i = 0; i < count; i++)
        some[i] = (struct retention_item){.time = items[chosen[i]].time,
                                          .utc_offset_s = items[chosen[i]].utc_offset_s,
                                          .tags = items[chosen[i]].tags};
    if (!retention_is_empty(p))
        retention_apply(p, some, count);
    for (size_t i = 0; i < count; i++)
        keep[chosen[i]] = keep[chosen[i]] || some[i].keep;
    retention_release(some, count);
    free(some);
}

void archive_policy_apply(const struct retention_policy *p, struct retention_item *items, size_t count)
{
    size_t *all = mem_array(NULL, count + 1, sizeof *all), *months = mem_array(NULL, count + 1, sizeof *months);
    size_t month_count = 0, newest = 0;
    bool *keep = mem_zalloc(count + 1), everything = retention_is_empty(p);
    for (size_t i = 0; i < count; i++) {
        all[i] = i;
        if (stands_for_month(items, count, i))
            months[month_count++] = i;
        if (is_older(&items[newest], &items[i]))
            newest = i;
    }
    const struct retention_policy monthly = {.monthly = p->monthly, .within_monthly = p->within_monthly, .now = p->now};
    struct retention_policy rest = *p;
    rest.monthly = 0;
    rest.within_monthly = (struct retention_duration){0};
    apply_to(&rest, items, all, count, keep);
    apply_to(&monthly, items, months, month_count, keep);
    for (size_t i = 0; i < count; i++)
        items[i].keep = everything || keep[i] || i == newest;
    free(all);
    free(months);
    free(keep);
}
