/* Trying again: when, how often, and that a signal ends the wait. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/interrupt.h"
#include "run/retry.h"

enum { MINUTE_MS = 60000 };

static void test_retry__waits_twice_as_long_each_time_and_an_hour_at_most(void **state)
{
    (void)state;
    const struct plan_retry five = {.times = 20, .after_ms = 5 * MINUTE_MS};
    assert_int_equal(retry_delay_ms(&five, 1), 5 * MINUTE_MS);
    assert_int_equal(retry_delay_ms(&five, 2), 10 * MINUTE_MS);
    assert_int_equal(retry_delay_ms(&five, 4), 40 * MINUTE_MS);
    assert_int_equal(retry_delay_ms(&five, 5), 60 * MINUTE_MS);
    assert_int_equal(retry_delay_ms(&five, 4000000000u), 60 * MINUTE_MS);
    const struct plan_retry day = {.times = 1, .after_ms = UINT64_MAX};
    assert_int_equal(retry_delay_ms(&day, 1), RETRY_WAIT_MAX_MS);
    assert_int_equal(retry_delay_ms(&day, 2), RETRY_WAIT_MAX_MS);
}

static void test_retry__ends_after_so_many_times(void **state)
{
    (void)state;
    const struct plan_retry twice = {.times = 2, .after_ms = 1000};
    struct retry r = {.settings = &twice};
    uint64_t due_ns;
    retry_note(&r, true, 5000000000);
    assert_true(r.waiting);
    assert_int_equal(r.due_ns, 6000000000);
    assert_true(retry_next(&r, 1, &due_ns));
    assert_int_equal(due_ns, 6000000000);
    retry_note(&r, true, 6500000000);
    assert_int_equal(r.due_ns, 8500000000);
    retry_note(&r, true, 9000000000);
    assert_false(r.waiting);
    assert_int_equal(r.tries, 3);
    assert_false(retry_next(&r, 1, &due_ns));
}

static void test_retry__waits_for_nothing_that_went_well_or_is_hopeless_or_not_wanted(void **state)
{
    (void)state;
    const struct plan_retry once = {.times = 1, .after_ms = 1000}, never = {.after_ms = 1000};
    struct retry r = {.settings = &once}, off = {.settings = &never};
    retry_note(&r, true, 0);
    assert_true(r.waiting);
    retry_note(&r, false, 0);
    assert_false(r.waiting);
    retry_note(&off, true, 0);
    assert_false(off.waiting);
}

static void test_retry__takes_the_earliest_first(void **state)
{
    (void)state;
    const struct plan_retry settings[] = {{.times = 3, .after_ms = 9000}, {.times = 3, .after_ms = 1000}, {0}};
    struct retry all[3];
    uint64_t due_ns;
    for (int i = 0; i < 3; i++) {
        all[i] = (struct retry){.settings = &settings[i]};
        retry_note(&all[i], true, 0);
    }
    assert_true(retry_next(all, 3, &due_ns));
    assert_int_equal(due_ns, 1000000000);
    all[1].waiting = false;
    assert_true(retry_next(all, 3, &due_ns));
    assert_int_equal(due_ns, 9000000000);
    assert_false(retry_next(all, 0, &due_ns));
}

static void test_retry__sleeps_until_it_is_time(void **state)
{
    (void)state;
    uint64_t before_ns = os_monotonic_ns();
    assert_true(retry_sleep_until(before_ns + 30000000));
    assert_true(os_monotonic_ns() >= before_ns + 30000000);
    assert_true(retry_sleep_until(before_ns));
}

/* The last one: the signal stays with the process. */
static void test_retry__wakes_up_when_it_is_interrupted(void **state)
{
    (void)state;
    os_interrupt_install();
    uint64_t before_ns = os_monotonic_ns();
    alarm(60);
    raise(SIGTERM);
    assert_false(retry_sleep_until(before_ns + 3600000000000));
    assert_true(os_monotonic_ns() - before_ns < 10000000000);
    alarm(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry__waits_twice_as_long_each_time_and_an_hour_at_most),
        cmocka_unit_test(test_retry__ends_after_so_many_times),
        cmocka_unit_test(test_retry__waits_for_nothing_that_went_well_or_is_hopeless_or_not_wanted),
        cmocka_unit_test(test_retry__takes_the_earliest_first),
        cmocka_unit_test(test_retry__sleeps_until_it_is_time),
        cmocka_unit_test(test_retry__wakes_up_when_it_is_interrupted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
