/* Cron expressions: text into sets of bits, and the next local time that they match. */
#include "plan/cron.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "plan/schedule.h"

enum {
    FIELD_COUNT = 5,
    FIELD_BYTES = 256, /* longer than every minute of an hour by name */
    /* 29 February on a certain weekday comes every 40 years at least, around 2100 too. */
    SEARCH_YEARS = 48,
    SECONDS_PER_DAY = 86400,
};

struct field {
    const char *name;
    unsigned min, max;
    const char *const *names; /* of the values from min on, or NULL */
    unsigned name_count;
};

static const char *const MONTHS[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                     "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const DAYS[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/* Weekdays reach to 7, which is Sunday too. */
static const struct field FIELDS[FIELD_COUNT] = {
    {"minute", 0, 59, NULL, 0},   {"hour", 0, 23, NULL, 0},   {"day of month", 1, 31, NULL, 0},
    {"month", 1, 12, MONTHS, 12}, {"weekday", 0, 7, DAYS, 7},
};

/* ------------------------------------------------------------------------------------------------------------- parsing
 */

static int bad(const struct field *f, const char *text, const char *why, struct err *err)
{
    return err_set(err, ERR_USAGE, "%s '%.40s': %s", f->name, text, why);
}

/* A number or a name at *p, stepped over. */
static int take_value(const struct field *f, const char *text, const char **p, unsigned *out, struct err *err)
{
    if (isdigit((unsigned char)**p)) {
        unsigned n = 0;
        for (; isdigit((unsigned char)**p); ++*p)
            n = n < 1000 ? n * 10 + (unsigned)(**p - '0') : n;
        if (n < f->min || n > f->max)
            return err_set(err, ERR_USAGE, "%s '%.40s': %u is not between %u and %u", f->name, text, n, f->min, f->max);
        *out = n;
        return 0;
    }
    for (unsigned i = 0; i < f->name_count; i++)
        if (strncasecmp(*p, f->names[i], 3) == 0 && !isalnum((unsigned char)(*p)[3])) {
            *p += 3;
            *out = f->min + i;
            return 0;
        }
    return bad(f, text, f->names != NULL ? "expected a number, a name of three letters or *" : "expected a number or *",
               err);
}

static int take_step(const struct field *f, const char *text, const char **p, unsigned *out, struct err *err)
{
    *out = 1;
    if (**p != '/')
        return 0;
    unsigned n = 0;
    const char *start = ++*p;
    for (; isdigit((unsigned char)**p); ++*p)
        n = n < 1000 ? n * 10 + (unsigned)(**p - '0') : n;
    if (*p == start || n == 0)
        return bad(f, text, "expected a step of 1 or more after /", err);
    *out = n;
    return 0;
}

/* Where a range of weekdays ends: "fri-sun" ends with 7. */
static unsigned range_end(const struct field *f, unsigned first, unsigned last)
{
    return f->names == DAYS && last == 0 && first > 0 ? 7 : last;
}

/* "*", "5", "1-5", "mon-fri", each with "/2" behind it; a step after a single value counts up to the end. */
static int take_item(const struct field *f, const char *text, const char **p, uint64_t *bits, struct err *err)
{
    unsigned first = f->min, last = f->names == DAYS ? 6 : f->max, step;
    if (**p == '*') {
        ++*p;
    } else {
        unsigned end = last;
        if (take_value(f, text, p, &first, err) < 0)
            return -1;
        last = first;
        if (**p == '-') {
            ++*p;
            if (take_value(f, text, p, &last, err) < 0)
                return -1;
            last = range_end(f, first, last);
            if (last < first)
                return bad(f, text, "the range ends before it begins", err);
        } else if (**p == '/') {
            last = first > end ? first : end;
        }
    }
    if (take_step(f, text, p, &step, err) < 0)
        return -1;
    for (unsigned v = first; v <= last; v += step)
        *bits |= UINT64_C(1) << v;
    return 0;
}

static int parse_field(const struct field *f, const char *text, uint64_t *bits, struct err *err)
{
    const char *p = text;
    *bits = 0;
    for (;;) {
        if (take_item(f, text, &p, bits, err) < 0)
            return -1;
        if (*p == '\0')
            return 0;
        if (*p != ',')
            return bad(f, text, "expected a list like 1,3-5 or */2", err);
        p++;
    }
}

/* Is there a day in a year that the fields for days and months allow? */
static bool can_come(const struct cron *c)
{
    static const unsigned char LONGEST[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (!c->any_day_of_month && !c->any_day_of_week)
        return true; /* one of both is enough, and every month has every weekday */
    for (unsigned month = 1; month <= 12; month++)
        if ((c->months >> month & 1) != 0 && (c->days_of_month & ((UINT64_C(2) << LONGEST[month]) - 1)) != 0)
            return true;
    return false;
}

static int parse_fields(char fields[FIELD_COUNT][FIELD_BYTES], struct cron *out, struct err *err)
{
    uint64_t bits[FIELD_COUNT];
    for (size_t i = 0; i < FIELD_COUNT; i++)
        if (parse_field(&FIELDS[i], fields[i], &bits[i], err) < 0)
            return -1;
    *out = (struct cron){.minutes = bits[0],
                         .hours = (uint32_t)bits[1],
                         .days_of_month = (uint32_t)bits[2],
                         .months = (uint16_t)bits[3],
                         .days_of_week = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f),
                         .any_hour = fields[1][0] == '*',
                         .any_day_of_month = fields[2][0] == '*',
                         .any_day_of_week = fields[4][0] == '*'};
    if (!can_come(out))
        return err_set(err, ERR_USAGE, "it never comes: none of the months has such a day");
    return 0;
}

static const char *shorthand(const char *text)
{
    static const char *const NAMES[][2] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
        {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcasecmp(text, NAMES[i][0]) == 0)
            return NAMES[i][1];
    return NULL;
}

int cron_parse(const char *text, struct cron *out, struct err *err)
{
    static const char BLANKS[] = " \t";
    char fields[FIELD_COUNT][FIELD_BYTES];
    if (text[0] == '@') {
        const char *meaning = shorthand(text);
        if (meaning == NULL)
            return err_set(err, ERR_USAGE,
                           "'%.40s' is none of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
                           text);
        text = meaning;
    }
    size_t count = 0;
    for (const char *p = text + strspn(text, BLANKS); *p != '\0'; p += strspn(p, BLANKS)) {
        size_t len = strcspn(p, BLANKS);
        if (count < FIELD_COUNT && len < FIELD_BYTES) {
            memcpy(fields[count], p, len);
            fields[count][len] = '\0';
        } else if (len >= FIELD_BYTES) {
            return err_set(err, ERR_USAGE, "a field is too long");
        }
        count++;
        p += len;
    }
    if (count != FIELD_COUNT)
        return err_set(err, ERR_USAGE, "it has %zu field%s, not 5 (minute hour day-of-month month weekday)", count,
                       count == 1 ? "" : "s");
    return parse_fields(fields, out, err);
}

/* ------------------------------------------------------------------------------------------------------------ matching
 */

static bool day_matches(const struct cron *c, const struct tm *day)
{
    bool of_month = (c->days_of_month >> day->tm_mday & 1) != 0, of_week = (c->days_of_week >> day->tm_wday & 1) != 0;
    return c->any_day_of_month || c->any_day_of_week ? of_month && of_week : of_month || of_week;
}

/* The first minute of a day that matches, from this one on; -1: none any more. */
static int minute_of_day(const struct cron *c, int from)
{
    for (int hour = from / 60, minute = from % 60; hour < 24; hour++, minute = 0)
        if ((c->hours >> hour & 1) != 0)
            for (; minute < 60; minute++)
                if ((c->minutes >> minute & 1) != 0)
                    return hour * 60 + minute;
    return -1;
}

/* Midnight of the first day that matches, from the day that begins at `start` on. */
static bool next_day(const struct cron *c, int64_t start, int64_t *out)
{
    time_t t = (time_t)start;
    struct tm day;
    if (gmtime_r(&t, &day) == NULL)
        return false;
    for (int last_year = day.tm_year + SEARCH_YEARS; day.tm_year <= last_year;) {
        if ((c->months >> (day.tm_mon + 1) & 1) == 0) {
            day.tm_mon++;
            day.tm_mday = 1;
        } else if (!day_matches(c, &day)) {
            day.tm_mday++;
        } else {
            *out = (int64_t)timegm(&day);
            return true;
        }
        if (timegm(&day) == (time_t)-1) /* puts the fields in order; no midnight is -1 */
            return false;
    }
    return false;
}

bool cron_next(const struct cron *c, int64_t local_s, int64_t *out)
{
    int64_t start = local_s - ((local_s % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY, day;
    int minute = (int)((local_s - start + 59) / 60); /* the first whole one: 1440 when the day is over */
    int found;
    if (!next_day(c, start, &day))
        return false;
    if (day == start && (found = minute_of_day(c, minute)) >= 0) {
        *out = day + (int64_t)found * 60;
        return true;
    }
    if (day == start && !next_day(c, start + SECONDS_PER_DAY, &day))
        return false;
    found = minute_of_day(c, 0);
    assert(found >= 0); /* no field is empty */
    *out = day + (int64_t)found * 60;
    return true;
}
