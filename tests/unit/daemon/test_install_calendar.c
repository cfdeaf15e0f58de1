#include "daemon/install_calendar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/buf.h"
#include "os/process.h"

static char local_zone[] = "UTC";

static struct schedule expression(const char *text, char *zone)
{
    struct schedule s = {.kind = SCHEDULE_CRON, .cron_text = text, .zone = zone};
    struct err err = {0};
    if (cron_parse(text, &s.cron, &err) < 0)
        fail_msg("'%s': %s", text, err.message);
    return s;
}

static void expect_lines(const char *text, char *zone, const char *expected)
{
    struct schedule s = expression(text, zone);
    struct strlist lines = {0};
    calendar_from_schedule(&s, &lines);
    char *found = strlist_join(&lines, " | ");
    assert_string_equal(found, expected);
    free(found);
    strlist_release(&lines);
}

static void test_calendar__says_what_an_expression_says(void **state)
{
    (void)state;
    expect_lines("0 3 * * 0", NULL, "Sun *-*-* 03:00:00");
    expect_lines("*/15 * * * *", NULL, "*-*-* *:00,15,30,45:00");
    expect_lines("5 8-18 * 1,6-9 mon-fri", NULL, "Mon,Tue,Wed,Thu,Fri *-01,06..09-* 08..18:05:00");
    expect_lines("@yearly", NULL, "*-01-01 00:00:00");
    expect_lines("0 0 29 2 *", NULL, "*-02-29 00:00:00");
}

static void test_calendar__needs_two_lines_where_one_of_two_days_is_enough(void **state)
{
    (void)state;
    expect_lines("0 9 13 * fri", NULL, "*-*-13 09:00:00 | Fri *-*-* 09:00:00");
    expect_lines("0 9 */2 * fri", NULL,
                 "Fri *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 09:00:00"); /* both, then */
}

static void test_calendar__comes_again_an_hour_later_at_night_where_clocks_jump(void **state)
{
    (void)state;
    char berlin[] = "Europe/Berlin", tokyo[] = "Asia/Tokyo";
    expect_lines("30 2 * * *", berlin, "*-*-* 02:30:00 Europe/Berlin | *-*-* 03:30:00 Europe/Berlin");
    expect_lines("30 4 * * *", berlin, "*-*-* 04:30:00 Europe/Berlin");
    expect_lines("30 2 * * *", tokyo, "*-*-* 02:30:00 Asia/Tokyo");
    expect_lines("30 */2 * * *", berlin, "*-*-* 00,02,04,06,08,10,12,14,16,18,20,22:30:00 Europe/Berlin");
}

static void test_calendar__says_a_single_time_in_utc(void **state)
{
    (void)state;
    const struct schedule s = {.kind = SCHEDULE_AT, .at_ms = 1798131600000};
    struct strlist lines = {0};
    calendar_from_schedule(&s, &lines);
    assert_int_equal(lines.count, 1);
    assert_string_equal(lines.items[0], "2026-12-24 17:00:00 UTC");
    strlist_release(&lines);
}

/* --- against systemd itself --- */

enum { TIMES = 40 };

static size_t systemd_times(const struct strlist *lines, int64_t base_s, int64_t *out)
{
    char program[] = "systemd-analyze", verb[] = "calendar", iterations[] = "--iterations=40", base[64];
    snprintf(base, sizeof base, "--base-time=@%lld", (long long)base_s);
    size_t count = 0;
    for (size_t i = 0; i < lines->count; i++) {
        char *argv[] = {program, verb, iterations, base, lines->items[i], NULL};
        static const char *const ENVIRONMENT[] = {"TZ=UTC", "LC_ALL=C", NULL};
        const struct process_options options = {.argv = argv, .environment = ENVIRONMENT, .timeout_ms = 60000};
        struct buf text;
        struct err err = {0};
        buf_init(&text, 1 << 20);
        if (process_run(&options, &text, &err) < 0)
            fail_msg("'%s': %s", lines->items[i], err.message);
        const char *at = buf_cstr(&text);
        while ((at = strstr(at, ": ")) != NULL) {
            struct tm tm = {0};
            const char *end = strptime(at + 2, "%a %Y-%m-%d %H:%M:%S UTC", &tm);
            if (end != NULL)
                out[count++] = (int64_t)timegm(&tm);
            at += 2;
        }
        buf_release(&text);
    }
    return count;
}

static bool is_among(const int64_t *times, size_t count, int64_t from, int64_t to)
{
    for (size_t i = 0; i < count; i++)
        if (times[i] >= from && times[i] <= to)
            return true;
    return false;
}

/* Every due time of ours has one of systemd's at that time, or within `slack_s` after it. */
static void compare(const char *text, char *zone, int64_t base_s, int64_t slack_s)
{
    struct schedule s = expression(text, zone);
    struct strlist lines = {0};
    int64_t times[3 * TIMES * 4], next_ms = base_s * 1000;
    calendar_from_schedule(&s, &lines);
    size_t count = systemd_times(&lines, base_s, times);
    assert_true(count >= TIMES);
    for (int i = 0; i < TIMES / 4; i++) {
        assert_true(schedule_next(&s, next_ms, 0, &next_ms));
        if (!is_among(times, count, next_ms / 1000, next_ms / 1000 + slack_s))
            fail_msg("'%s' (%s): systemd would not come at %lld", text, lines.items[0], (long long)(next_ms / 1000));
    }
    strlist_release(&lines);
}

static void test_calendar__means_to_systemd_what_it_means_to_us(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"0 3 * * 0",       "*/7 * * * *", "13,44 1-5/2 * jan,mar-may *",
                                        "0 9 13 * fri",    "0 9 */2 * *", "0 0 31 * *",
                                        "59 23 29 2 *",    "@weekly",     "30 2 * * *",
                                        "0 12 1-7 */2 mon"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        compare(TEXTS[i], local_zone, 1774396800, 0); /* 2026-03-25 */
        compare(TEXTS[i], local_zone, 1792800000, 0); /* 2026-10-24 */
    }
}

static void test_calendar__misses_no_night_on_which_clocks_jump(void **state)
{
    (void)state;
    char berlin[] = "Europe/Berlin", york[] = "America/New_York";
    compare("30 2 * * *", berlin, 1774396800, 3600); /* 2026-03-29 has no 02:30 */
    compare("0 3 * * 0", berlin, 1774396800, 3600);
    compare("15 1,2,3 * * *", york, 1772582400, 3600); /* 2026-03-08 */
    compare("30 2 * * *", berlin, 1792800000, 3600);   /* 2026-10-25 has two */
}

/* --- crontab --- */

static void expect_fields(const struct schedule *s, size_t index, bool zones, const char *fields, bool finer)
{
    struct crontab_times times;
    crontab_from_schedule(s, index, zones, &times);
    assert_string_equal(times.fields, fields);
    assert_int_equal(times.finer, finer);
    struct cron parsed;
    assert_int_equal(cron_parse(times.fields, &parsed, NULL), 0);
    free(times.fields);
}

static void expect_interval(uint64_t minutes, size_t index, const char *fields, bool finer)
{
    const struct schedule s = {.kind = SCHEDULE_EVERY, .every_ms = minutes * 60000};
    expect_fields(&s, index, false, fields, finer);
}

static void test_crontab_times__say_intervals_that_divide_the_day(void **state)
{
    (void)state;
    expect_interval(120, 0, "0 */2 * * *", false);
    expect_interval(60, 0, "0 * * * *", false);
    expect_interval(30, 0, "*/30 * * * *", false);
    expect_interval(1, 0, "* * * * *", false);
    expect_interval(1440, 0, "0 0 * * *", false);
    expect_interval(10080, 0, "0 0 * * 0", false);
}

static void test_crontab_times__come_more_often_where_an_interval_cannot_be_said(void **state)
{
    (void)state;
    expect_interval(7 * 60, 0, "0 * * * *", true);
    expect_interval(90, 0, "*/30 * * * *", true);
    expect_interval(36 * 60, 0, "0 */12 * * *", true);
    expect_interval(7, 0, "* * * * *", true);
    expect_interval(3 * 1440, 0, "0 0 * * *", true);
    const struct schedule odd = {.kind = SCHEDULE_EVERY, .every_ms = 90 * 1000};
    expect_fields(&odd, 0, false, "* * * * *", true);
}

static void test_crontab_times__begin_at_other_minutes_for_each_line(void **state)
{
    (void)state;
    expect_interval(120, 1, "7 */2 * * *", false);
    expect_interval(60, 2, "14 * * * *", false);
    expect_interval(30, 1, "7-59/30 * * * *", false);
    expect_interval(1440, 3, "21 0 * * *", false);
}

static void test_crontab_times__keep_expressions_and_name_their_zone_where_cron_knows_it(void **state)
{
    (void)state;
    char berlin[] = "Europe/Berlin", kolkata[] = "Asia/Kolkata";
    struct schedule s = expression("0 3 * * sun", NULL);
    expect_fields(&s, 0, false, "0 3 * * sun", false);
    s = expression("20 3 * * 0", berlin);
    struct crontab_times times;
    crontab_from_schedule(&s, 0, true, &times);
    assert_string_equal(times.fields, "20 3 * * 0");
    assert_string_equal(times.zone, "Europe/Berlin");
    free(times.fields);
    expect_fields(&s, 0, false, "20 * * * *", true);
    s = expression("20 3 * * 0", kolkata); /* five and a half hours apart */
    expect_fields(&s, 0, false, "*/15 * * * *", true);
    s = expression("20 3 * * 0", local_zone);
    expect_fields(&s, 0, false, "20 3 * * 0", false);
}

static void test_crontab_times__say_a_single_time_without_its_year(void **state)
{
    (void)state;
    const struct schedule s = {.kind = SCHEDULE_AT, .at_ms = 1798131600000};
    expect_fields(&s, 0, false, "0 17 24 12 *", false);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calendar__says_what_an_expression_says),
        cmocka_unit_test(test_calendar__needs_two_lines_where_one_of_two_days_is_enough),
        cmocka_unit_test(test_calendar__comes_again_an_hour_later_at_night_where_clocks_jump),
        cmocka_unit_test(test_calendar__says_a_single_time_in_utc),
        cmocka_unit_test(test_calendar__means_to_systemd_what_it_means_to_us),
        cmocka_unit_test(test_calendar__misses_no_night_on_which_clocks_jump),
        cmocka_unit_test(test_crontab_times__say_intervals_that_divide_the_day),
        cmocka_unit_test(test_crontab_times__come_more_often_where_an_interval_cannot_be_said),
        cmocka_unit_test(test_crontab_times__begin_at_other_minutes_for_each_line),
        cmocka_unit_test(test_crontab_times__keep_expressions_and_name_their_zone_where_cron_knows_it),
        cmocka_unit_test(test_crontab_times__say_a_single_time_without_its_year),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
