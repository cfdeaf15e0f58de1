#include "plan/schedule_rule.h"

#include <ctype.h>
#include <string.h>
#include <time.h>

enum { SECONDS_PER_HOUR = 3600, SECONDS_PER_DAY = 86400 };

/* ------------------------------------------------------------------------------------------------------------- parsing
 */

static bool take_char(const char **p, char c)
{
    if (**p != c)
        return false;
    ++*p;
    return true;
}

/* "CET", or "<+03>". */
static bool take_name(const char **p)
{
    const char *start = *p;
    if (take_char(p, '<')) {
        while (isalnum((unsigned char)**p) || **p == '+' || **p == '-')
            ++*p;
        return *p - start > 3 && take_char(p, '>');
    }
    while (isalpha((unsigned char)**p))
        ++*p;
    return *p - start >= 3;
}

static bool take_number(const char **p, int min, int max, int *out)
{
    int n = 0;
    const char *start = *p;
    for (; isdigit((unsigned char)**p) && *p - start < 4; ++*p)
        n = n * 10 + (**p - '0');
    *out = n;
    return *p > start && n >= min && n <= max;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static bool take_time(const char **p, int max_hours, int32_t *out)
{
    int parts[3] = {0};
    bool negative = take_char(p, '-');
    if (!negative)
        take_char(p, '+');
    if (!take_number(p, 0, max_hours, &parts[0]))
        return false;
    for (int i = 1; i < 3 && take_char(p, ':'); i++)
        if (!take_number(p, 0, 59, &parts[i]))
            return false;
    int32_t seconds = parts[0] * SECONDS_PER_HOUR + parts[1] * 60 + parts[2];
    *out = negative ? -seconds : seconds;
    return true;
}

/* Offsets of TZ are counted west of UTC. */
static bool take_offset(const char **p, int32_t *out)
{
    if (!take_time(p, 24, out))
        return false;
    *out = -*out;
    return true;
}

static bool take_date(const char **p, struct zone_rule_date *out)
{
    *out = (struct zone_rule_date){.time_s = 2 * SECONDS_PER_HOUR};
    bool ok;
    if (take_char(p, 'M')) {
        out->kind = RULE_WEEKDAY;
        ok = take_number(p, 1, 12, &out->month) && take_char(p, '.') && take_number(p, 1, 5, &out->week) &&
             take_char(p, '.') && take_number(p, 0, 6, &out->weekday);
    } else if (take_char(p, 'J')) {
        out->kind = RULE_JULIAN;
        ok = take_number(p, 1, 365, &out->day);
    } else {
        out->kind = RULE_DAY;
        ok = take_number(p, 0, 365, &out->day);
    }
    return ok && (!take_char(p, '/') || take_time(p, 167, &out->time_s));
}

bool zone_rule_parse(const char *text, struct zone_rule *out)
{
    const char *p = text;
    *out = (struct zone_rule){0};
    if (!take_name(&p) || !take_offset(&p, &out->standard_s))
        return false;
    if (*p == '\0')
        return true;
    out->has_daylight = true;
    out->daylight_s = out->standard_s + SECONDS_PER_HOUR;
    if (!take_name(&p) || (*p != '\0' && *p != ',' && !take_offset(&p, &out->daylight_s)))
        return false;
    const char *dates = *p == '\0' ? ",M3.2.0,M11.1.0" : p; /* the C library's, where none are given */
    return take_char(&dates, ',') && take_date(&dates, &out->starts) && take_char(&dates, ',') &&
           take_date(&dates, &out->ends) && *dates == '\0';
}

static bool date_equal(const struct zone_rule_date *a, const struct zone_rule_date *b)
{
    return a->kind == b->kind && a->day == b->day && a->month == b->month && a->week == b->week &&
           a->weekday == b->weekday && a->time_s == b->time_s;
}

bool zone_rule_equal(const struct zone_rule *a, const struct zone_rule *b)
{
    return a->standard_s == b->standard_s && a->has_daylight == b->has_daylight &&
           (!a->has_daylight ||
            (a->daylight_s == b->daylight_s && date_equal(&a->starts, &b->starts) && date_equal(&a->ends, &b->ends)));
}

/* ------------------------------------------------------------------------------------------------------------- looking
 */

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Midnight of a day, as if clocks showed UTC. Days and months beyond the end run on. */
static int64_t midnight(int64_t year, int month, int day)
{
    struct tm tm = {.tm_year = (int)(year - 1900), .tm_mon = month - 1, .tm_mday = day};
    return (int64_t)timegm(&tm);
}

static int64_t weekday_of_month(const struct zone_rule_date *d, int64_t year)
{
    struct tm first = {.tm_year = (int)(year - 1900), .tm_mon = d->month - 1, .tm_mday = 1};
    timegm(&first);
    int day = 1 + (d->weekday - first.tm_wday + 7) % 7 + 7 * (d->week - 1);
    int64_t next_month = midnight(year, d->month + 1, 1), found = midnight(year, d->month, day);
    return found < next_month ? found : found - INT64_C(7) * SECONDS_PER_DAY;
}

/* When the change of a year comes; `offset` holds before it. */
static int64_t change_in(const struct zone_rule_date *d, int64_t year, int32_t offset_s)
{
    int64_t day;
    switch (d->kind) {
    case RULE_WEEKDAY:
        day = weekday_of_month(d, year);
        break;
    case RULE_JULIAN:
        day = midnight(year, 1, d->day + (is_leap(year) && d->day >= 60));
        break;
    default:
        day = midnight(year, 1, d->day + 1);
        break;
    }
    return day + d->time_s - offset_s;
}

struct change {
    int64_t at;
    int32_t offset_s; /* from then on */
};

/* In order of time; of two at one time (daylight saving all year is written so) the later one in the list counts. */
static void insert(struct change *list, size_t *count, struct change c)
{
    size_t i = (*count)++;
    for (; i > 0 && list[i - 1].at > c.at; i--)
        list[i] = list[i - 1];
    list[i] = c;
}

void zone_rule_find(const struct zone_rule *r, int64_t unix_s, struct zone_span *out)
{
    *out = (struct zone_span){INT64_MIN, INT64_MAX, r->standard_s, r->standard_s};
    time_t t = (time_t)unix_s;
    struct tm now;
    if (!r->has_daylight || gmtime_r(&t, &now) == NULL)
        return;
    /* Two years each way: times reach a week into the neighbouring year. */
    struct change list[10] = {{0}};
    size_t count = 0;
    for (int64_t year = now.tm_year + INT64_C(1898); year <= now.tm_year + INT64_C(1902); year++) {
        insert(list, &count, (struct change){change_in(&r->starts, year, r->standard_s), r->daylight_s});
        insert(list, &count, (struct change){change_in(&r->ends, year, r->daylight_s), r->standard_s});
    }
    size_t i = 1;
    while (i + 1 < count && list[i + 1].at <= unix_s)
        i++;
    out->start_s = list[i].at;
    out->end_s = list[i + 1].at;
    out->offset_s = list[i].offset_s;
    size_t before = i - 1;
    while (before > 0 && list[before].at == list[i].at)
        before--;
    out->before_s = list[before].offset_s;
}
