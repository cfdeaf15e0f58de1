/* Counting what a cron expression matches, without going from match to match. */
#include "plan/cron.h"

#include <assert.h>

enum { SECONDS_PER_DAY = 86400, MINUTES_PER_DAY = 1440, SEARCH_MONTHS = 48 * 12, YEAR_MAX = 9999 };

/* ------------------------------------------------------------------------------------------------------------ calendar
 */

struct month {
    int64_t year;
    unsigned month; /* 1 to 12 */
};

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned length_of(struct month m)
{
    static const unsigned char LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    assert(m.month >= 1 && m.month <= 12);
    return m.month == 2 && is_leap(m.year) ? 29 : LENGTHS[m.month - 1];
}

/* Its first day, counted from 1 January 1970. */
static int64_t first_day(struct month m)
{
    static const short BEFORE[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    enum { UNTIL_1970 = 719162 }; /* from 1 January of the year 1 */
    assert(m.month >= 1 && m.month <= 12);
    int64_t years = m.year - 1;
    return years * 365 + years / 4 - years / 100 + years / 400 - UNTIL_1970 + BEFORE[m.month - 1] +
           (m.month > 2 && is_leap(m.year));
}

static struct month next_month(struct month m)
{
    return m.month == 12 ? (struct month){m.year + 1, 1} : (struct month){m.year, m.month + 1};
}

static struct month month_before(struct month m)
{
    return m.month == 1 ? (struct month){m.year - 1, 12} : (struct month){m.year, m.month - 1};
}

/* The month that a day lies in. */
static struct month month_of(int64_t day)
{
    struct month m = {.year = 1970 + day / 366, .month = 1};
    if (m.year < 1)
        m.year = 1;
    while (first_day(m) > day)
        m.year--;
    while (first_day((struct month){m.year + 1, 1}) <= day)
        m.year++;
    while (m.month < 12 && first_day((struct month){m.year, m.month + 1}) <= day)
        m.month++;
    return m;
}

static int64_t clamp_day(int64_t day)
{
    int64_t first = first_day((struct month){1, 1}), last = first_day((struct month){YEAR_MAX + 1, 1});
    return day < first ? first : day > last ? last : day;
}

static int64_t day_of(int64_t s)
{
    return s / SECONDS_PER_DAY - (s % SECONDS_PER_DAY < 0);
}

/* ------------------------------------------------------------------------------------------------------------ matching
 */

/* The days of a month that match, as bits from 1 on. */
static uint32_t days_in(const struct cron *c, struct month m)
{
    if ((c->months >> m.month & 1) == 0)
        return 0;
    uint32_t all = (uint32_t)((UINT64_C(2) << length_of(m)) - 2);
    unsigned weekday = (unsigned)(((first_day(m) + 4) % 7 + 7) % 7); /* 1 January 1970 was a Thursday */
    uint64_t week = (unsigned)(c->days_of_week >> weekday | c->days_of_week << (7 - weekday)) & 0x7f;
    uint32_t of_week = (uint32_t)((week | week << 7 | week << 14 | week << 21 | week << 28) << 1) & all;
    uint32_t of_month = c->days_of_month & all;
    return c->any_day_of_month || c->any_day_of_week ? of_month & of_week : of_month | of_week;
}

/* Bits 0 to n - 1. */
static uint64_t below(unsigned n)
{
    return (UINT64_C(1) << n) - 1;
}

/* How many minutes of a day that matches lie before this one (0 to 1440). */
static uint64_t minutes_before(const struct cron *c, unsigned minute)
{
    unsigned hour = minute / 60;
    uint64_t hours = (uint64_t)__builtin_popcountll(c->hours & below(hour));
    uint64_t rest = hour < 24 && (c->hours >> hour & 1) != 0 ? c->minutes & below(minute % 60) : 0;
    return hours * (uint64_t)__builtin_popcountll(c->minutes) + (uint64_t)__builtin_popcountll(rest);
}

/* The last of them; there is one. */
static unsigned last_minute_before(const struct cron *c, unsigned minute)
{
    do
        minute--;
    while ((c->hours >> (minute / 60) & 1) == 0 || (c->minutes >> (minute % 60) & 1) == 0);
    return minute;
}

/* The first whole minute of its day at or after the second: 1440 when the day is over. */
static unsigned minute_from(int64_t s)
{
    return (unsigned)((s - day_of(s) * SECONDS_PER_DAY + 59) / 60);
}

static bool day_matches(const struct cron *c, int64_t day)
{
    struct month m = month_of(day);
    return (days_in(c, m) >> (day - first_day(m) + 1) & 1) != 0;
}

/* Days in [from, to) that match. */
static uint64_t count_days(const struct cron *c, int64_t from, int64_t to)
{
    uint64_t count = 0;
    for (struct month m = month_of(from); first_day(m) < to; m = next_month(m)) {
        uint64_t days = days_in(c, m);
        int64_t first = first_day(m), end = first + length_of(m);
        if (from > first)
            days &= ~below((unsigned)(from - first + 1));
        if (to < end)
            days &= below((unsigned)(to - first + 1));
        count += (uint64_t)__builtin_popcountll(days);
    }
    return count;
}

/* --------------------------------------------------------------------------------------------------------------- asked
 */

uint64_t cron_count(const struct cron *c, int64_t from_s, int64_t to_s)
{
    if (from_s >= to_s)
        return 0;
    int64_t first = day_of(from_s), last = day_of(to_s), from = clamp_day(first), to = clamp_day(last);
    uint64_t count = count_days(c, from, to) * minutes_before(c, MINUTES_PER_DAY);
    if (first == from && day_matches(c, from))
        count -= minutes_before(c, minute_from(from_s));
    if (last == to && day_matches(c, to))
        count += minutes_before(c, minute_from(to_s));
    return count;
}

bool cron_last(const struct cron *c, int64_t before_s, int64_t *out)
{
    int64_t day = day_of(before_s);
    if (day != clamp_day(day))
        return false;
    if (day_matches(c, day) && minutes_before(c, minute_from(before_s)) > 0) {
        *out = day * SECONDS_PER_DAY + (int64_t)last_minute_before(c, minute_from(before_s)) * 60;
        return true;
    }
    struct month m = month_of(day);
    uint64_t days = days_in(c, m) & below((unsigned)(day - first_day(m) + 1));
    for (int i = 0; days == 0 && i < SEARCH_MONTHS && m.year > 1; i++) {
        m = month_before(m);
        days = days_in(c, m);
    }
    if (days == 0)
        return false;
    day = first_day(m) + 63 - __builtin_clzll(days) - 1;
    *out = day * SECONDS_PER_DAY + (int64_t)last_minute_before(c, MINUTES_PER_DAY) * 60;
    return true;
}
