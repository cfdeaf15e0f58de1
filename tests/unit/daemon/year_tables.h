/*
 * What is due when in a year, found out by looking at every minute of it through the C library: the reference that the
 * simulated year is held against. None of the program's own calendar is in it.
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"

static const int64_t SECOND = 1000, MINUTE = 60000, HOUR = 3600000, DAY = 86400000;
static const int64_t CLOCK_SET = 1577836800000; /* 2020 */

enum { YEAR = 2024, MARGIN_DAYS = 40, MINUTES = (366 + 2 * MARGIN_DAYS) * 1440 };

static int64_t year_begins(void)
{
    struct tm tm = {.tm_year = YEAR - 1900, .tm_mday = 1};
    return (int64_t)timegm(&tm) * 1000;
}

/* ---------------------------------------------------------------------------------------------------- what is due when
 */

static const char *const ZONES[] = {"UTC",
                                    "Europe/Berlin",
                                    "America/New_York",
                                    "Australia/Lord_Howe",
                                    "America/Sao_Paulo",
                                    "Asia/Kathmandu",
                                    "Africa/Casablanca",
                                    "Africa/Cairo"};
static const char *const EXPRESSIONS[] = {
    "*/15 * * * *",       "30 2 * * *", "0 3 * * *",    "15 0 * * *",   "0 0 29 2 *", "5 4 * * sun",   "0 */2 * * *",
    "0 9-17 * * mon-fri", "30 1 * * *", "45 1,2 * * *", "0 0 13 * fri", "@monthly",   "59 23 31 12 *", "7 * 1-7 * *",
};
static const int64_t GRIDS[] = {5 * 60000, 47 * 60000 + 13000, 2 * 3600000, 86400000, 7 * 86400000};

enum {
    ZONE_COUNT = sizeof ZONES / sizeof *ZONES,
    EXPRESSION_COUNT = sizeof EXPRESSIONS / sizeof *EXPRESSIONS,
    GRID_COUNT = sizeof GRIDS / sizeof *GRIDS,
    TABLE_COUNT = ZONE_COUNT * EXPRESSION_COUNT + GRID_COUNT,
};

/* Due times, ascending; a very late one at the end. */
struct table {
    int64_t *times;
    size_t count;
};
static struct table tables[TABLE_COUNT];

static void add_time(struct table *t, int64_t ms)
{
    if ((t->count & (t->count - 1)) == 0)
        t->times = mem_array(t->times, t->count > 0 ? t->count * 2 : 1, sizeof *t->times);
    t->times[t->count++] = ms;
}

/* What a clock on the wall shows, minute by minute. */
struct shown {
    int64_t label; /* minutes since 1970 as if it was UTC */
    unsigned char minute, hour, day, month, weekday;
};

static struct shown *look_at_clock(const char *zone, int64_t first_s)
{
    struct shown *all = mem_array(NULL, MINUTES, sizeof *all);
    setenv("TZ", zone, 1);
    tzset();
    for (int i = 0; i < MINUTES; i++) {
        struct tm tm;
        time_t t = (time_t)(first_s + (int64_t)i * 60);
        assert_non_null(localtime_r(&t, &tm));
        all[i] = (struct shown){.label = (int64_t)(t + tm.tm_gmtoff) / 60,
                                .minute = (unsigned char)tm.tm_min,
                                .hour = (unsigned char)tm.tm_hour,
                                .day = (unsigned char)tm.tm_mday,
                                .month = (unsigned char)(tm.tm_mon + 1),
                                .weekday = (unsigned char)tm.tm_wday};
    }
    setenv("TZ", "UTC", 1);
    tzset();
    return all;
}

/* One field of an expression, the plainest way: does it have this value? */
static bool field_has(const char *field, int value)
{
    static const char *const DAYS[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
    char text[64];
    snprintf(text, sizeof text, "%s", field);
    for (size_t i = 0; i < 7; i++)
        for (char *at; (at = strstr(text, DAYS[i])) != NULL;) {
            at[0] = (char)('0' + i);
            memmove(at + 1, at + 3, strlen(at + 3) + 1);
        }
    for (char *rest = text, *part; (part = strsep(&rest, ",")) != NULL;) {
        int low = 0, high = 99, step = 1;
        if (sscanf(part, "*/%d", &step) != 1 && strcmp(part, "*") != 0) {
            int read = sscanf(part, "%d-%d", &low, &high);
            high = read == 1 ? low : high;
        }
        if (value >= low && value <= high && (value - low) % step == 0)
            return true;
    }
    return false;
}

struct fields {
    bool minute[60], hour[24], day[32], month[13], weekday[7];
    bool by_both, follows_time;
};

static struct fields read_fields(const char *expression)
{
    struct fields f = {0};
    char text[5][32];
    if (strcmp(expression, "@monthly") == 0)
        expression = "0 0 1 * *";
    assert_int_equal(sscanf(expression, "%31s %31s %31s %31s %31s", text[0], text[1], text[2], text[3], text[4]), 5);
    for (int i = 0; i < 60; i++) {
        f.minute[i] = field_has(text[0], i);
        if (i < 24)
            f.hour[i] = field_has(text[1], i);
        if (i < 32)
            f.day[i] = field_has(text[2], i);
        if (i < 13)
            f.month[i] = field_has(text[3], i);
        if (i < 7)
            f.weekday[i] = field_has(text[4], i);
    }
    f.by_both = text[2][0] == '*' || text[4][0] == '*';
    f.follows_time = text[1][0] == '*';
    return f;
}

static bool has(const struct fields *f, const struct shown *s)
{
    bool day = f->day[s->day], weekday = f->weekday[s->weekday];
    return f->minute[s->minute] && f->hour[s->hour] && f->month[s->month] &&
           (f->by_both ? day && weekday : day || weekday);
}

/* A label that no clock showed. */
static struct shown skipped(int64_t label)
{
    struct tm tm;
    time_t t = (time_t)(label * 60);
    assert_non_null(gmtime_r(&t, &tm));
    return (struct shown){.minute = (unsigned char)tm.tm_min,
                          .hour = (unsigned char)tm.tm_hour,
                          .day = (unsigned char)tm.tm_mday,
                          .month = (unsigned char)(tm.tm_mon + 1),
                          .weekday = (unsigned char)tm.tm_wday};
}

static void fill_cron(struct table *t, const char *expression, const struct shown *clock, int64_t first_s)
{
    struct fields f = read_fields(expression);
    int64_t furthest = clock[0].label - 1; /* a fixed time is due when the clock is first seen past it */
    for (int i = 0; i < MINUTES; i++) {
        bool due = has(&f, &clock[i]);
        if (!f.follows_time) {
            due = due && clock[i].label > furthest;
            for (int64_t label = furthest + 1; label < clock[i].label; label++) {
                struct shown s = skipped(label);
                due = due || has(&f, &s);
            }
            if (clock[i].label > furthest)
                furthest = clock[i].label;
        }
        if (due)
            add_time(t, (first_s + (int64_t)i * 60) * 1000);
    }
}

static const int64_t ANCHOR = 1700000000123;

static void fill_tables(void)
{
    int64_t first = year_begins() - MARGIN_DAYS * DAY, end = first + MINUTES * MINUTE;
    struct table *t = tables;
    for (size_t z = 0; z < ZONE_COUNT; z++) {
        struct shown *clock = look_at_clock(ZONES[z], first / 1000);
        for (size_t x = 0; x < EXPRESSION_COUNT; x++)
            fill_cron(t++, EXPRESSIONS[x], clock, first / 1000);
        free(clock);
    }
    for (size_t g = 0; g < GRID_COUNT; g++, t++)
        for (int64_t at = ANCHOR; at < end; at += GRIDS[g])
            if (at >= first)
                add_time(t, at);
    for (size_t i = 0; i < TABLE_COUNT; i++)
        add_time(&tables[i], INT64_MAX);
}
