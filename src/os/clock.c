#include "os/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct timespec *fixed_now;
static _Atomic uint64_t slept_ns; /* by os_clock_sleep() only */

struct timespec os_now(void)
{
    if (fixed_now != NULL)
        return *fixed_now;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t;
}

int64_t os_time_ms(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

int64_t os_now_ms(void)
{
    struct timespec now = os_now();
    return os_time_ms(&now);
}

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t os_monotonic_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t os_elapsed_ns(void)
{
    return read_ns(CLOCK_BOOTTIME) + atomic_load(&slept_ns);
}

int64_t os_started_ms(void)
{
    struct timespec now = os_now(), up;
    const char *unknown = getenv("CLAWBACK_TEST_STARTED");
    if (fixed_now != NULL || (unknown != NULL && *unknown == '\0') || clock_gettime(CLOCK_BOOTTIME, &up) != 0)
        return 0;
    return (now.tv_sec - up.tv_sec) * 1000 + (now.tv_nsec - up.tv_nsec) / 1000000;
}

void os_sleep_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) != 0)
        ;
}

void os_clock_set(const struct timespec *fixed)
{
    fixed_now = fixed;
}

void os_clock_sleep(uint64_t ns)
{
    atomic_fetch_add(&slept_ns, ns);
}

/*
 * Calendar days from the epoch, proleptic Gregorian (the usual era arithmetic: 400 years have 146,097 days; years start
 * in March so that the leap day is the last of its year).
 */
static void civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int64_t)yoe + era * 400 + (*month <= 2);
}

static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned yoe = (unsigned)(year - era * 400);
    unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

/* The zone's offset at an instant. Offsets change on quarter hours only, so an answer holds for its quarter hour:
 * asking the C library takes a lock and much longer than the rest of formatting. A few answers are kept, for the times
 * of one file are seldom near each other. */
static long utc_offset(time_t t)
{
    enum { SLOTS = 16 };
    static _Thread_local struct {
        time_t quarter;
        long offset;
        bool used;
    } slots[SLOTS];
    time_t quarter = t / 900 - (t % 900 < 0);
    size_t i = (size_t)((uint64_t)quarter * 0x9e3779b97f4a7c15U >> 60) % SLOTS;
    if (!slots[i].used || slots[i].quarter != quarter) {
        struct tm tm;
        slots[i].offset = localtime_r(&t, &tm) != NULL ? tm.tm_gmtoff : 0;
        slots[i].quarter = quarter;
        slots[i].used = true;
    }
    return slots[i].offset;
}

static char *put_digits(char *p, uint64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + digits;
}

struct civil {
    int64_t year;
    unsigned month, day, hour, minute, second;
};

/* The date of a local time; years outside 0..9999 become the nearest end, as the format's first implementation does. */
static struct civil civil_from_seconds(int64_t local)
{
    int64_t days = local / 86400 - (local % 86400 < 0);
    unsigned rest = (unsigned)(local - days * 86400);
    struct civil c = {.hour = rest / 3600, .minute = rest / 60 % 60, .second = rest % 60};
    civil_from_days(days, &c.year, &c.month, &c.day);
    if (c.year < 0)
        c.year = 0;
    else if (c.year > 9999)
        c.year = 9999;
    return c;
}

static char *put_date_and_time(char *p, const struct civil *c, char between)
{
    p = put_digits(p, (uint64_t)c->year, 4);
    *p++ = '-';
    p = put_digits(p, c->month, 2);
    *p++ = '-';
    p = put_digits(p, c->day, 2);
    *p++ = between;
    p = put_digits(p, c->hour, 2);
    *p++ = ':';
    p = put_digits(p, c->minute, 2);
    *p++ = ':';
    return put_digits(p, c->second, 2);
}

size_t os_time_format(const struct timespec *t, char out[OS_TIME_BYTES])
{
    long offset = utc_offset(t->tv_sec);
    struct civil c = civil_from_seconds(t->tv_sec + offset);
    char *p = put_date_and_time(out, &c, 'T');
    if (t->tv_nsec > 0) {
        *p++ = '.';
        p = put_digits(p, (uint64_t)t->tv_nsec, 9);
        while (p[-1] == '0')
            p--;
    }
    if (offset == 0) {
        *p++ = 'Z';
    } else {
        unsigned minutes = (unsigned)(offset < 0 ? -offset : offset) / 60;
        *p++ = offset < 0 ? '-' : '+';
        p = put_digits(p, minutes / 60, 2);
        *p++ = ':';
        p = put_digits(p, minutes % 60, 2);
    }
    *p = '\0';
    return (size_t)(p - out);
}

char *os_time_format_human(const struct timespec *t, char out[OS_TIME_BYTES])
{
    struct civil c = civil_from_seconds(t->tv_sec + utc_offset(t->tv_sec));
    *put_date_and_time(out, &c, ' ') = '\0';
    return out;
}

/* Reads `digits` decimal digits at *p and steps over them; -1 when they are not there. */
static int get_digits(const char **p, const char *end, int digits)
{
    if (end - *p < digits)
        return -1;
    int v = 0;
    for (int i = 0; i < digits; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

static bool get_char(const char **p, const char *end, char c)
{
    if (*p == end || **p != c)
        return false;
    ++*p;
    return true;
}

/* ".123" as nanoseconds; digits past the ninth are dropped. */
static long get_fraction(const char **p, const char *end)
{
    long nanoseconds = 0, weight = 100000000;
    for (; *p < end && **p >= '0' && **p <= '9'; ++*p, weight /= 10)
        nanoseconds += weight * (**p - '0');
    return nanoseconds;
}

static int get_offset(const char **p, const char *end, long *out)
{
    if (get_char(p, end, 'Z')) {
        *out = 0;
        return 0;
    }
    bool negative = *p < end && **p == '-';
    if (!negative && (*p == end || **p != '+'))
        return -1;
    ++*p;
    int hours = get_digits(p, end, 2);
    int minutes = hours >= 0 && get_char(p, end, ':') ? get_digits(p, end, 2) : -1;
    if (minutes < 0 || hours > 24 || minutes > 59)
        return -1;
    *out = (negative ? -1 : 1) * (hours * 3600L + minutes * 60L);
    return 0;
}

int os_time_parse(const char *s, size_t len, struct timespec *out)
{
    const char *p = s, *end = s + len;
    int year = get_digits(&p, end, 4);
    int month = year >= 0 && get_char(&p, end, '-') ? get_digits(&p, end, 2) : -1;
    int day = month > 0 && get_char(&p, end, '-') ? get_digits(&p, end, 2) : -1;
    int hour = day > 0 && get_char(&p, end, 'T') ? get_digits(&p, end, 2) : -1;
    int minute = hour >= 0 && get_char(&p, end, ':') ? get_digits(&p, end, 2) : -1;
    int second = minute >= 0 && get_char(&p, end, ':') ? get_digits(&p, end, 2) : -1;
    if (second < 0 || month > 12 || day > 31 || hour > 23 || minute > 59 || second > 60)
        return -1;
    long nanoseconds = 0, offset;
    if (get_char(&p, end, '.'))
        nanoseconds = get_fraction(&p, end);
    if (get_offset(&p, end, &offset) != 0 || p != end)
        return -1;
    int64_t days = days_from_civil(year, (unsigned)month, (unsigned)day);
    out->tv_sec = (time_t)(days * 86400 + hour * 3600 + minute * 60 + second - offset);
    out->tv_nsec = nanoseconds;
    return 0;
}
