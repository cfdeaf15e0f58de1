#include "plan/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct cron parse(const char *text)
{
    struct cron c;
    struct err err = {0};
    if (cron_parse(text, &c, &err) != 0)
        fail_msg("'%s': %s", text, err.message);
    return c;
}

static void expect_error(const char *text, const char *part)
{
    struct cron c;
    struct err err = {0};
    assert_int_equal(cron_parse(text, &c, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    if (strstr(err.message, part) == NULL)
        fail_msg("'%s': '%s' does not say '%s'", text, err.message, part);
    assert_int_equal(cron_parse(text, &c, NULL), -1);
}

static int64_t label(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%Y-%m-%d %H:%M", &tm);
    assert_true(end != NULL && *end == '\0');
    return (int64_t)timegm(&tm);
}

static void expect_next(const char *expression, const char *from, const char *expected)
{
    struct cron c = parse(expression);
    int64_t found;
    char text[32];
    struct tm tm;
    assert_true(cron_next(&c, label(from), &found));
    time_t t = (time_t)found;
    strftime(text, sizeof text, "%Y-%m-%d %H:%M", gmtime_r(&t, &tm));
    if (strcmp(text, expected) != 0)
        fail_msg("'%s' from %s: %s, expected %s", expression, from, text, expected);
}

static void test_cron__reads_every_form_of_a_field(void **state)
{
    (void)state;
    struct cron c = parse("0,30-32,*/20 1-5/2 1 JAN,mar-MAY sun,7");
    assert_true(c.minutes == (1ULL << 0 | 1ULL << 20 | 1ULL << 40 | 7ULL << 30));
    assert_int_equal(c.hours, 1 << 1 | 1 << 3 | 1 << 5);
    assert_int_equal(c.days_of_month, 1 << 1);
    assert_int_equal(c.months, 1 << 1 | 7 << 3);
    assert_int_equal(c.days_of_week, 1);
    assert_false(c.any_hour || c.any_day_of_month || c.any_day_of_week);
    c = parse(" 5/20\t* * *   * ");
    assert_true(c.minutes == (1ULL << 5 | 1ULL << 25 | 1ULL << 45));
    assert_int_equal(c.hours, 0xffffff);
    assert_int_equal((uint32_t)c.days_of_month, 0xfffffffe);
    assert_int_equal(c.months, 0x1ffe);
    assert_int_equal(c.days_of_week, 0x7f);
    assert_true(c.any_hour && c.any_day_of_month && c.any_day_of_week);
    assert_int_equal(parse("0 0 * * */2").days_of_week, 1 << 0 | 1 << 2 | 1 << 4 | 1 << 6);
}

static void test_cron__weekdays_reach_to_sunday(void **state)
{
    (void)state;
    assert_int_equal(parse("0 0 * * 7").days_of_week, 1);
    assert_int_equal(parse("0 0 * * fri-sun").days_of_week, 1 << 5 | 1 << 6 | 1);
    assert_int_equal(parse("0 0 * * 5-7").days_of_week, 1 << 5 | 1 << 6 | 1);
    assert_int_equal(parse("0 0 * * sun-tue").days_of_week, 7);
    assert_int_equal(parse("0 0 * * 7/2").days_of_week, 1);
}

static void test_cron__knows_the_shorthands(void **state)
{
    (void)state;
    static const char *const PAIRS[][2] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
        {"@DAILY", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
    };
    for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
        struct cron a = parse(PAIRS[i][0]), b = parse(PAIRS[i][1]);
        assert_true(a.minutes == b.minutes && a.hours == b.hours && a.days_of_month == b.days_of_month);
        assert_true(a.months == b.months && a.days_of_week == b.days_of_week && a.any_hour == b.any_hour);
    }
    expect_error("@reboot", "none of @yearly");
    expect_error("@", "none of");
}

static void test_cron__names_the_field_that_is_wrong(void **state)
{
    (void)state;
    expect_error("60 * * * *", "minute '60': 60 is not between 0 and 59");
    expect_error("* 24 * * *", "hour '24': 24 is not between 0 and 23");
    expect_error("* * 0 * *", "day of month '0': 0 is not between 1 and 31");
    expect_error("* * * 13 *", "month '13'");
    expect_error("* * * * 8", "weekday '8'");
    expect_error("* * * foo *", "month 'foo': expected a number, a name");
    expect_error("* * * january *", "month 'january'");
    expect_error("jan * * * *", "minute 'jan': expected a number or *");
    expect_error("5-1 * * * *", "minute '5-1': the range ends before it begins");
    expect_error("*/0 * * * *", "expected a step");
    expect_error("*/ * * * *", "expected a step");
    expect_error("1,, * * * *", "minute '1,,'");
    expect_error("1, * * * *", "minute '1,'");
    expect_error("1x * * * *", "expected a list");
    expect_error("-1 * * * *", "minute '-1'");
    expect_error("1- * * * *", "minute '1-'");
    expect_error("99999999999999999999 * * * *", "is not between");
    expect_error("*/99999999999999999999999 * * * 9", "weekday '9'");
    expect_error("", "it has 0 fields");
    expect_error("1", "it has 1 field,");
    expect_error("* * * *", "it has 4 fields, not 5");
    expect_error("0 * * * * *", "it has 6 fields");
    char longest[400];
    memset(longest, '1', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    expect_error(longest, "too long");
}

static void test_cron__turns_down_what_never_comes(void **state)
{
    (void)state;
    expect_error("0 0 30 2 *", "it never comes");
    expect_error("0 0 31 2,4,6,9,11 *", "it never comes");
    expect_error("0 0 30 feb */2", "it never comes");
    parse("0 0 29 2 *");
    parse("0 0 31 2,3 *");
    parse("0 0 30 2 1"); /* Mondays in February */
}

static void test_cron__finds_the_next_match(void **state)
{
    (void)state;
    expect_next("* * * * *", "2026-01-01 00:00", "2026-01-01 00:00");
    expect_next("0 0 * * 0", "2026-11-23 03:00", "2026-11-29 00:00");
    expect_next("59 23 31 12 *", "2026-12-31 23:59", "2026-12-31 23:59");
    expect_next("58 23 31 12 *", "2026-12-31 23:59", "2027-12-31 23:58");
    expect_next("*/15 9-17 * * mon-fri", "2026-11-20 17:46", "2026-11-23 09:00");
    expect_next("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00");
    expect_next("0 0 29 2 */7", "2088-03-01 00:00", "2128-02-29 00:00"); /* 29 February that is a Sunday */
    expect_next("0 12 31 * *", "2026-04-01 00:00", "2026-05-31 12:00");
    expect_next("0 0 1 1 *", "1969-06-01 00:00", "1970-01-01 00:00");
    expect_next("5 4 * * *", "1969-12-31 23:59", "1970-01-01 04:05");
}

static void test_cron__days_of_month_and_week_add_up_unless_one_is_a_star(void **state)
{
    (void)state;
    expect_next("0 0 13 * fri", "2026-11-23 00:00", "2026-11-27 00:00");
    expect_next("0 0 24 * fri", "2026-11-23 00:00", "2026-11-24 00:00");
    expect_next("0 0 */2 * fri", "2026-11-23 00:00", "2026-11-27 00:00"); /* odd Fridays */
    expect_next("0 0 */2 * fri", "2026-11-28 00:00", "2026-12-11 00:00");
    expect_next("0 0 */2 * *", "2026-11-24 00:00", "2026-11-25 00:00");
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void random_field(unsigned *seed, unsigned min, unsigned max, char *out, size_t cap)
{
    unsigned a = min + next_random(seed) % (max - min + 1), b = min + next_random(seed) % (max - min + 1);
    unsigned low = a < b ? a : b, high = a < b ? b : a, step = 1 + next_random(seed) % 9;
    switch (next_random(seed) % 6) {
    case 0:
        snprintf(out, cap, "%u", a);
        break;
    case 1:
        snprintf(out, cap, "%u,%u", a, b);
        break;
    case 2:
        snprintf(out, cap, "%u-%u/%u", low, high, step);
        break;
    case 3:
        snprintf(out, cap, "*/%u", step);
        break;
    default:
        snprintf(out, cap, "*");
        break;
    }
}

/* Does this minute match? Written from the rules, not from the code. */
static bool matches(const struct cron *c, int64_t minute)
{
    time_t t = (time_t)minute;
    struct tm tm;
    gmtime_r(&t, &tm);
    bool month_day = c->days_of_month & 1u << tm.tm_mday, week_day = c->days_of_week & 1u << tm.tm_wday;
    bool both = c->any_day_of_month || c->any_day_of_week;
    return (c->minutes >> tm.tm_min & 1) && (c->hours >> tm.tm_hour & 1) && (c->months >> (tm.tm_mon + 1) & 1) &&
           (both ? month_day && week_day : month_day || week_day);
}

static void test_cron__agrees_with_looking_at_every_minute(void **state)
{
    (void)state;
    unsigned seed = 7, compared = 0;
    for (int round = 0; round < 300; round++) {
        char fields[5][32], text[200];
        static const unsigned LIMITS[5][2] = {{0, 59}, {0, 23}, {1, 31}, {1, 12}, {0, 7}};
        for (int i = 0; i < 5; i++)
            random_field(&seed, LIMITS[i][0], LIMITS[i][1], fields[i], sizeof fields[i]);
        snprintf(text, sizeof text, "%s %s %s %s %s", fields[0], fields[1], fields[2], fields[3], fields[4]);
        struct cron c;
        if (cron_parse(text, &c, NULL) < 0)
            continue;
        int64_t from = 1600000000 + (int64_t)(next_random(&seed) % 100000000), found = 0;
        int64_t minute = (from + 59) / 60 * 60, last = minute + INT64_C(60) * 60 * 24 * 40;
        assert_true(cron_next(&c, from, &found));
        while (minute < last && !matches(&c, minute))
            minute += 60;
        if (minute < last && minute != found)
            fail_msg("'%s' from %lld: %lld, expected %lld", text, (long long)from, (long long)found, (long long)minute);
        assert_true(matches(&c, found) && found >= minute);
        compared += minute < last;
    }
    assert_true(compared > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cron__reads_every_form_of_a_field),
        cmocka_unit_test(test_cron__weekdays_reach_to_sunday),
        cmocka_unit_test(test_cron__knows_the_shorthands),
        cmocka_unit_test(test_cron__names_the_field_that_is_wrong),
        cmocka_unit_test(test_cron__turns_down_what_never_comes),
        cmocka_unit_test(test_cron__finds_the_next_match),
        cmocka_unit_test(test_cron__days_of_month_and_week_add_up_unless_one_is_a_star),
        cmocka_unit_test(test_cron__agrees_with_looking_at_every_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
