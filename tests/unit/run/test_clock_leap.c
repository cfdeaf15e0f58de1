/* Gaps between runs that may come of a wrong clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "run/clock_leap.h"

enum { HOUR = 3600, DAY = 24 * HOUR, MAX = 200 };
static const int64_t START = 1770192000;

struct times {
    int64_t s[MAX];
    size_t count;
};

static void add(struct times *t, int64_t from, int64_t step, size_t count)
{
    for (size_t i = 0; i < count; i++)
        t->s[t->count++] = from + (int64_t)i * step;
}

static int64_t leap(struct times *t)
{
    return clock_leap_s(t->s, t->count);
}

static void test_clock_leap__is_none_in_regular_runs(void **state)
{
    (void)state;
    struct times none = {0}, few = {0}, many = {0}, weekly = {0};
    assert_int_equal(leap(&none), 0);
    add(&few, START, HOUR, 1);
    add(&few, START + 365 * DAY, HOUR, 1);
    assert_int_equal(leap(&few), 0);
    add(&many, START, 2 * HOUR, 84);
    assert_int_equal(leap(&many), 0);
    add(&weekly, START, 7 * DAY, 20);
    add(&weekly, START + 120, 7 * DAY, 20); /* two sources a run */
    assert_int_equal(leap(&weekly), 0);
}

static void test_clock_leap__is_seen_when_one_run_lies_a_year_ahead(void **state)
{
    (void)state;
    struct times t = {0};
    add(&t, START + 365 * DAY, HOUR, 1);
    add(&t, START, 2 * HOUR, 84);
    assert_int_equal(leap(&t), 365 * DAY - 83 / 3 * 6 * HOUR);
}

static void test_clock_leap__has_settled_after_a_day_of_runs(void **state)
{
    (void)state;
    struct times t = {0};
    add(&t, START, 2 * HOUR, 84);
    add(&t, START + 30 * DAY, 2 * HOUR, 12); /* 22 hours */
    assert_true(leap(&t) > 0);
    add(&t, START + 31 * DAY, 2 * HOUR, 1);
    assert_int_equal(leap(&t), 0);
}

static void test_clock_leap__takes_no_holiday_for_one_that_is_not_much_longer_than_usual(void **state)
{
    (void)state;
    struct times t = {0};
    add(&t, START, 7 * DAY, 5);
    add(&t, START + 28 * DAY + 60 * DAY, DAY, 1);
    assert_int_equal(leap(&t), 0);
    t.s[5] = START + 28 * DAY + 71 * DAY;
    assert_int_equal(leap(&t), 71 * DAY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clock_leap__is_none_in_regular_runs),
        cmocka_unit_test(test_clock_leap__is_seen_when_one_run_lies_a_year_ahead),
        cmocka_unit_test(test_clock_leap__has_settled_after_a_day_of_runs),
        cmocka_unit_test(test_clock_leap__takes_no_holiday_for_one_that_is_not_much_longer_than_usual),
    };
    return cmocka_run_group_tests_name("run/clock_leap", tests, NULL, NULL);
}
