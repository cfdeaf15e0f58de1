#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "run/health_late.h"

static const int64_t HOUR = 3600000, DAY = 24 * 3600000LL;
static char zone[] = "Europe/Berlin";

/* The moment as clocks in Berlin showed it. */
static int64_t at(const char *text)
{
    int64_t ms;
    assert_int_equal(schedule_parse_time(text, zone, &ms, NULL), 0);
    return ms;
}

static struct record ended(enum record_status status, int exit_code, int64_t ms)
{
    return (struct record){.status = status, .exit_code = exit_code, .time = {.tv_sec = ms / 1000}};
}

static struct plan_tier by_cron(const char *expression)
{
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_CRON, .zone = zone}};
    assert_int_equal(cron_parse(expression, &t.schedule.cron, NULL), 0);
    return t;
}

static int64_t late_after(const struct plan_tier *t, struct record last)
{
    const struct record_list l = {.items = &last, .count = 1};
    return health_late_ms(t, 25, &l, 0);
}

static void test_late__an_interval_and_a_quarter(void **state)
{
    (void)state;
    const struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = 2 * HOUR}};
    const int64_t done = at("2026-02-04 06:00");
    assert_int_equal(late_after(&t, ended(RECORD_COMPLETED, 0, done)), done + 5 * HOUR / 2);
    assert_int_equal(late_after(&t, ended(RECORD_COMPLETED, 3, done)), done + 5 * HOUR / 2);
    /* Nothing of it was running: somebody looked. */
    assert_int_equal(late_after(&t, ended(RECORD_SKIPPED, 0, done)), done + 5 * HOUR / 2);
}

static void test_late__never_succeeded_counts_from_when_somebody_watched(void **state)
{
    (void)state;
    const struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = 2 * HOUR}};
    struct record failed = ended(RECORD_FAILED, 1, at("2026-02-04 06:00"));
    const struct record_list none = {0}, one = {.items = &failed, .count = 1};
    assert_int_equal(health_late_ms(&t, 25, &none, 0), 0);
    assert_int_equal(health_late_ms(&t, 25, &none, 1000), 1000 + 5 * HOUR / 2);
    assert_int_equal(health_late_ms(&t, 100, &one, 1000), 1000 + 4 * HOUR);
}

static void test_late__switched_off_nothing_is_late(void **state)
{
    (void)state;
    const struct plan_tier every = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = (uint64_t)(2 * HOUR)}};
    const struct plan_tier once = {.schedule = {.kind = SCHEDULE_AT, .at_ms = 2000}};
    const struct record_list none = {.count = 0};
    assert_int_equal(health_late_ms(&every, 0, &none, 1000), 0);
    assert_int_equal(health_late_ms(&once, 0, &none, 1000), 0);
}

static void test_late__who_has_no_schedule_is_never_late(void **state)
{
    (void)state;
    const int64_t done = at("2026-02-04 06:00");
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_NONE}};
    assert_int_equal(late_after(&t, ended(RECORD_COMPLETED, 0, done)), 0);
    t = (struct plan_tier){.schedule = {.kind = SCHEDULE_EVERY, .every_ms = HOUR}, .disabled = true};
    assert_int_equal(late_after(&t, ended(RECORD_COMPLETED, 0, done)), 0);
}

static void test_late__cron_has_until_a_quarter_of_the_way_to_the_time_after(void **state)
{
    (void)state;
    const struct plan_tier daily = by_cron("0 2 * * *"), weekdays = by_cron("0 9 * * 1-5");
    assert_int_equal(late_after(&daily, ended(RECORD_COMPLETED, 0, at("2026-02-04 02:10"))),
                     at("2026-02-05 02:00") + 6 * HOUR);
    /* Friday's success is good until Monday, with a quarter of the day to Tuesday. */
    assert_int_equal(late_after(&weekdays, ended(RECORD_COMPLETED, 0, at("2026-02-06 09:05"))),
                     at("2026-02-09 09:00") + 6 * HOUR);
    assert_int_equal(late_after(&weekdays, ended(RECORD_COMPLETED, 0, at("2026-02-05 09:05"))),
                     at("2026-02-06 09:00") + 18 * HOUR);
}

static void test_late__cron_keeps_to_the_clock_when_summer_begins_and_ends(void **state)
{
    (void)state;
    const struct plan_tier daily = by_cron("30 2 * * *");
    /* 29 March has no 02:30: due at the change, 01:00 UTC; the time after that is 23.5 h later. */
    assert_int_equal(late_after(&daily, ended(RECORD_COMPLETED, 0, at("2026-03-28 02:40"))),
                     at("2026-03-29 03:00") + (23 * HOUR + HOUR / 2) / 4);
    /* 25 October has two: the first counts, and the day to the next is one of 25 hours. */
    assert_int_equal(late_after(&daily, ended(RECORD_COMPLETED, 0, at("2026-10-24 02:40"))),
                     at("2026-10-25 02:30") + 25 * HOUR / 4);
}

static void test_late__a_single_time_has_an_hour(void **state)
{
    (void)state;
    const int64_t when = at("2026-12-24 18:00");
    const struct plan_tier t = {.schedule = {.kind = SCHEDULE_AT, .at_ms = when}};
    assert_int_equal(late_after(&t, ended(RECORD_COMPLETED, 0, when - DAY)), when + HOUR);
    assert_int_equal(late_after(&t, ended(RECORD_COMPLETED, 0, when + 60000)), 0);
}

static void test_late__numbers_that_do_not_fit_are_far_away(void **state)
{
    (void)state;
    const struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = UINT64_MAX / 2}};
    assert_int_equal(late_after(&t, ended(RECORD_COMPLETED, 0, 1000)), INT64_MAX);
    /* 29 February of a leap year, and no second time in sight of the search: still late some day. */
    const struct plan_tier leap = by_cron("0 0 29 2 *");
    assert_true(late_after(&leap, ended(RECORD_COMPLETED, 0, at("2026-02-04 06:00"))) > at("2028-02-29 00:00"));
    struct plan_tier nowhere = by_cron("0 0 * * *");
    char unknown[] = "No/Where";
    nowhere.schedule.zone = unknown;
    assert_int_equal(late_after(&nowhere, ended(RECORD_COMPLETED, 0, 1000)), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late__an_interval_and_a_quarter),
        cmocka_unit_test(test_late__never_succeeded_counts_from_when_somebody_watched),
        cmocka_unit_test(test_late__switched_off_nothing_is_late),
        cmocka_unit_test(test_late__who_has_no_schedule_is_never_late),
        cmocka_unit_test(test_late__cron_has_until_a_quarter_of_the_way_to_the_time_after),
        cmocka_unit_test(test_late__cron_keeps_to_the_clock_when_summer_begins_and_ends),
        cmocka_unit_test(test_late__a_single_time_has_an_hour),
        cmocka_unit_test(test_late__numbers_that_do_not_fit_are_far_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
