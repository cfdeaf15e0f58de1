/* Attempts of whoever starts us: what is due by them, and how long a failure is kept back for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "run/again.h"
#include "run/run.h"

static const int64_t NOW_MS = 1770192000000, MINUTE_MS = 60000;
static struct record_list list;

static int set_up(void **state)
{
    (void)state;
    list = (struct record_list){0};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    record_list_release(&list);
    return 0;
}

static struct record *add(enum record_status status, const char *run_id, int64_t ms)
{
    list.items = mem_array(list.items, list.count + 1, sizeof *list.items);
    struct record *r = &list.items[list.count++];
    *r = (struct record){.status = status, .time = {.tv_sec = ms / 1000}, .run_id = mem_strdup(run_id)};
    return r;
}

/* It failed so many minutes ago, and is to be tried again so many minutes after that; 0: it is not. */
static struct record *attempt(int64_t ago, int64_t after)
{
    add(RECORD_STARTED, "a", NOW_MS - ago * MINUTE_MS);
    struct record *r = add(RECORD_FAILED, "a", NOW_MS - ago * MINUTE_MS);
    r->retry = true;
    r->retry_at_ms = after > 0 ? NOW_MS + (after - ago) * MINUTE_MS : 0;
    return r;
}

static void test_again__takes_promises_from_the_environment(void **state)
{
    (void)state;
    static const char *const NONE[] = {"", "-1", "1x", " 1", "99999999999999999999999", "3600001"};
    unsetenv("CLAWBACK_ATTEMPT");
    unsetenv("CLAWBACK_RETRY_AFTER_MS");
    assert_int_equal(again_promised().attempt, 1);
    assert_int_equal(again_promised().after_ms, 0);
    setenv("CLAWBACK_ATTEMPT", "3", 1);
    setenv("CLAWBACK_RETRY_AFTER_MS", "60000", 1);
    assert_int_equal(again_promised().attempt, 3);
    assert_int_equal(again_promised().after_ms, 60000);
    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++) {
        setenv("CLAWBACK_RETRY_AFTER_MS", NONE[i], 1);
        assert_int_equal(again_promised().after_ms, 0);
    }
    unsetenv("CLAWBACK_ATTEMPT");
    unsetenv("CLAWBACK_RETRY_AFTER_MS");
}

static void test_again__the_next_attempt_is_due_before_its_interval_is_over(void **state)
{
    (void)state;
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = 7200000}};
    int64_t next;
    attempt(20, 10);
    assert_true(run_tier_due(&t, &list, NOW_MS, &next));
    assert_true(next == NOW_MS - 10 * MINUTE_MS);
    list.items[1].retry_at_ms = NOW_MS + 10 * MINUTE_MS;
    assert_false(run_tier_due(&t, &list, NOW_MS, &next));
    assert_true(next == NOW_MS + 10 * MINUTE_MS);
    list.items[1].retry_at_ms = 0;
    assert_false(run_tier_due(&t, &list, NOW_MS, &next));
    assert_true(next == NOW_MS + 100 * MINUTE_MS);
    list.items[1].retry_at_ms = NOW_MS - 10 * MINUTE_MS;
    add(RECORD_STARTED, "b", NOW_MS);
    add(RECORD_COMPLETED, "b", NOW_MS);
    assert_false(run_tier_due(&t, &list, NOW_MS, NULL));
}

static void test_again__an_attempt_is_for_what_failed_or_was_killed(void **state)
{
    (void)state;
    assert_false(again_needed(&list));
    attempt(20, 0);
    assert_false(again_needed(&list)); /* that one was not to be tried again */
    attempt(10, 30);
    assert_true(again_needed(&list)); /* whatever the clock says */
    attempt(9, 30)->retry = false;
    assert_true(again_needed(&list)); /* hopeless, but not done */
    add(RECORD_STARTED, "b", NOW_MS);
    assert_true(again_needed(&list)); /* killed */
    add(RECORD_COMPLETED, "b", NOW_MS);
    assert_false(again_needed(&list));
}

static void test_again__a_failure_is_kept_back_until_an_attempt_does_not_come(void **state)
{
    (void)state;
    attempt(20, 10);
    assert_false(again_awaited(&list, false, NOW_MS - 21 * MINUTE_MS)); /* from the future */
    assert_true(again_awaited(&list, false, NOW_MS - 20 * MINUTE_MS));
    assert_true(again_awaited(&list, false, NOW_MS - 5 * MINUTE_MS - 1)); /* five minutes for the lock */
    assert_false(again_awaited(&list, false, NOW_MS - 5 * MINUTE_MS));
    add(RECORD_STARTED, "b", NOW_MS - 9 * MINUTE_MS);
    assert_true(again_awaited(&list, true, NOW_MS));
    assert_false(again_awaited(&list, false, NOW_MS));
}

static void test_again__what_is_hopeless_is_told_at_once(void **state)
{
    (void)state;
    struct record *r = attempt(1, 10);
    assert_true(again_awaited(&list, false, NOW_MS));
    r->retry = false;
    assert_false(again_awaited(&list, false, NOW_MS));
}

static void test_again__a_failure_is_told_after_the_last_attempt_and_from_then_on(void **state)
{
    (void)state;
    attempt(50, 1);
    attempt(49, 2);
    assert_true(again_awaited(&list, false, NOW_MS - 49 * MINUTE_MS));
    attempt(47, 0);
    assert_false(again_awaited(&list, false, NOW_MS - 47 * MINUTE_MS));
    attempt(1, 10); /* the next series, and none of them went well yet */
    assert_false(again_awaited(&list, false, NOW_MS));
    add(RECORD_COMPLETED, "b", NOW_MS);
    attempt(0, 10);
    assert_true(again_awaited(&list, false, NOW_MS));
}

/* The next due time of a job replaces the attempt that was to come. */
static void test_again__a_series_that_never_ends_is_told(void **state)
{
    (void)state;
    attempt(5, 10);
    assert_true(again_awaited(&list, false, NOW_MS - 5 * MINUTE_MS));
    attempt(0, 10);
    assert_false(again_awaited(&list, false, NOW_MS));
}

static void test_again__what_a_person_interrupted_changes_nothing(void **state)
{
    (void)state;
    attempt(10, 10);
    struct record *r = attempt(1, 0);
    r->interrupted = true;
    r->exit_code = 130;
    assert_false(again_awaited(&list, false, NOW_MS));
    attempt(0, 10);
    assert_true(again_awaited(&list, false, NOW_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_again__takes_promises_from_the_environment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_again__the_next_attempt_is_due_before_its_interval_is_over, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_again__an_attempt_is_for_what_failed_or_was_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_again__a_failure_is_kept_back_until_an_attempt_does_not_come, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_again__what_is_hopeless_is_told_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_again__a_failure_is_told_after_the_last_attempt_and_from_then_on, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_again__a_series_that_never_ends_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_again__what_a_person_interrupted_changes_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
