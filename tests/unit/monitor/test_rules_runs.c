/* Rules about what came of runs, and when. */
#include "rules_box.h"

/* --- nothing known --- */

static void test_rules__say_nothing_of_what_is_not_known(void **state)
{
    (void)state;
    fact_tiers[0].records = NULL;
    facts.destination_count = 0;
    facts.is_open = NULL;
    rules_apply(&facts, &found);
    assert_int_equal(found.count, 0);
}

static void test_rules__of_a_tier_that_never_ran_only_times_are_told(void **state)
{
    (void)state;
    assert_int_equal(level_of("run-failed", "config"), -1);
    assert_int_equal(level_of("run-incomplete", "config"), -1);
    assert_int_equal(level_of("growth", "config"), -1);
    assert_int_equal(level_of("upload-failed", "usb"), -1);
    assert_int_equal(level_of("late", "config"), ALERT_FINE);
    assert_int_equal(level_of("never-ended", "config"), ALERT_FINE);
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
}

/* --- run-failed --- */

static void test_rules__a_failed_run_is_critical(void **state)
{
    (void)state;
    add_run(NOW_MS - 4 * HOUR_MS, 1, 1);
    add_record(RECORD_FAILED, "a", NOW_MS - 2 * HOUR_MS, 1)->retry = true;
    const struct finding *f = say("run-failed", "config");
    assert_int_equal(f->level, ALERT_CRITICAL);
    assert_string_equal(f->text, "config failed 2h ago (2026-02-04 06:00): the disk is gone");
    assert_string_equal(f->command, "clawback run config");
    assert_int_equal(f->since_ms, NOW_MS - 2 * HOUR_MS);
    add_run(NOW_MS - HOUR_MS, 1, 1);
    assert_int_equal(level_of("run-failed", "config"), ALERT_FINE);
}

static void test_rules__failures_in_a_row_are_counted(void **state)
{
    (void)state;
    add_record(RECORD_FAILED, "0", NOW_MS - 9 * HOUR_MS, 1);
    add_run(NOW_MS - 8 * HOUR_MS, 1, 1);
    add_record(RECORD_FAILED, "a", NOW_MS - 6 * HOUR_MS, 1);
    add_record(RECORD_STARTED, "b", NOW_MS - 5 * HOUR_MS, 0);
    add_record(RECORD_FAILED, "b", NOW_MS - 4 * HOUR_MS, 130)->interrupted = true;
    add_record(RECORD_FAILED, "c", NOW_MS - 2 * HOUR_MS, 1);
    const struct finding *f = say("run-failed", "config");
    assert_string_equal(f->text, "config failed 2 times in a row, for 6h (since 2026-02-04 02:00): the disk is gone");
    assert_string_equal(f->command, "clawback doctor");
}

static void test_rules__one_that_a_person_interrupted_did_not_fail(void **state)
{
    (void)state;
    add_record(RECORD_FAILED, "a", NOW_MS - HOUR_MS, 130)->interrupted = true;
    assert_int_equal(level_of("run-failed", "config"), -1);
    record_list_release(&records[0]);
    add_run(NOW_MS - 2 * HOUR_MS, 1, 1);
    add_record(RECORD_FAILED, "a", NOW_MS - HOUR_MS, 130)->interrupted = true;
    assert_int_equal(level_of("run-failed", "config"), ALERT_FINE);
}

static void test_rules__one_that_was_interrupted_after_a_failure_hides_nothing(void **state)
{
    (void)state;
    add_record(RECORD_FAILED, "a", NOW_MS - 2 * HOUR_MS, 1);
    add_record(RECORD_FAILED, "b", NOW_MS - HOUR_MS, 130)->interrupted = true;
    assert_int_equal(level_of("run-failed", "config"), ALERT_CRITICAL);
}

static void test_rules__one_that_was_killed_failed(void **state)
{
    (void)state;
    add_record(RECORD_FAILED, "a", NOW_MS - HOUR_MS, 1)->interrupted = true;
    assert_int_equal(level_of("run-failed", "config"), ALERT_CRITICAL);
}

static void test_rules__a_disabled_tier_has_not_failed(void **state)
{
    (void)state;
    add_record(RECORD_FAILED, "a", NOW_MS - HOUR_MS, 1);
    tiers[0].disabled = true;
    assert_int_equal(level_of("run-failed", "config"), ALERT_FINE);
}

static void test_rules__a_failure_without_a_reason_says_so(void **state)
{
    (void)state;
    struct record *r = add_record(RECORD_FAILED, "a", NOW_MS - HOUR_MS, 1);
    free(r->error);
    r->error = NULL;
    assert_non_null(strstr(say("run-failed", "config")->text, "does not say why"));
}

/* --- run-incomplete --- */

static void test_rules__an_incomplete_run_is_a_warning(void **state)
{
    (void)state;
    struct record *r = add_record(RECORD_COMPLETED, "00000000000000aa", NOW_MS - HOUR_MS, 3);
    record_add_source(r, "/home")->unreadable = 3;
    record_add_source(r, "/etc")->unreadable = 1;
    const struct finding *f = say("run-incomplete", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text,
                        "config ran 1h ago (2026-02-04 07:00) without 4 entries that could not be read, of '/home'");
    assert_string_equal(f->command, "clawback runs --run 00000000000000aa");
    assert_int_equal(level_of("run-failed", "config"), ALERT_FINE);
    r->exit_code = 0;
    assert_int_equal(level_of("run-incomplete", "config"), ALERT_FINE);
}

static void test_rules__what_another_rule_tells_of_is_not_incomplete_too(void **state)
{
    (void)state;
    struct record *r = add_record(RECORD_COMPLETED, NULL, NOW_MS - HOUR_MS, 3);
    const struct finding *f = say("run-incomplete", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->command, "clawback runs config");
    strlist_add(&r->warnings, "hook failed");
    assert_non_null(strstr(say("run-incomplete", "config")->text, "hook failed"));
    struct record_source *s = record_add_source(r, "/repo");
    s->push_failed = true;
    assert_int_equal(level_of("run-incomplete", "config"), ALERT_FINE);
    assert_int_equal(level_of("push-failed", "/repo"), ALERT_WARNING);
    s->push_failed = false;
    record_add_destination(r, "usb")->status = RECORD_FAILED;
    assert_int_equal(level_of("run-incomplete", "config"), ALERT_FINE);
    assert_int_equal(level_of("upload-failed", "usb"), ALERT_CRITICAL);
    s->unreadable = 1;
    assert_int_equal(level_of("run-incomplete", "config"), ALERT_WARNING);
}

/* --- push-failed --- */

static void test_rules__a_push_that_failed_is_a_warning_of_its_repository(void **state)
{
    (void)state;
    struct record *r = add_record(RECORD_COMPLETED, "a", NOW_MS - HOUR_MS, 3);
    record_add_source(r, "/none");
    record_add_source(r, "/good")->push = mem_strdup("pushed");
    struct record_source *bad = record_add_source(r, "/bad");
    bad->push = mem_strdup("no route to host");
    bad->push_failed = true;
    assert_int_equal(level_of("push-failed", "/none"), -1);
    assert_int_equal(level_of("push-failed", "/good"), ALERT_FINE);
    const struct finding *f = say("push-failed", "/bad");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "pushing '/bad' failed 1h ago (2026-02-04 07:00): no route to host");
}

static void test_rules__of_two_tiers_that_push_one_repository_the_worst_counts(void **state)
{
    (void)state;
    facts.tier_count = 2;
    for (int tier = 0; tier < 2; tier++)
        for (int bad = 0; bad < 2; bad++) {
            record_list_release(&records[0]);
            record_list_release(&records[1]);
            for (int i = 0; i < 2; i++) {
                struct record *r = add_record_to(i, RECORD_COMPLETED, "a", NOW_MS - HOUR_MS, 0);
                struct record_source *s = record_add_source(r, "/repo");
                s->push = mem_strdup("x");
                s->push_failed = bad == 1 && i == tier;
            }
            assert_int_equal(level_of("push-failed", "/repo"), bad == 1 ? ALERT_WARNING : ALERT_FINE);
        }
}

/* --- late --- */

static void test_rules__late_is_one_moment_after_its_time(void **state)
{
    (void)state;
    add_run(NOW_MS - 2 * HOUR_MS, 1, 1);
    fact_tiers[0].late_ms = NOW_MS + 1;
    assert_int_equal(level_of("late", "config"), ALERT_FINE);
    fact_tiers[0].late_ms = NOW_MS;
    assert_int_equal(level_of("late", "config"), ALERT_FINE);
    fact_tiers[0].late_ms = NOW_MS - 1;
    const struct finding *f = say("late", "config");
    assert_int_equal(f->level, ALERT_CRITICAL);
    assert_int_equal(f->since_ms, NOW_MS - 2 * HOUR_MS);
    assert_string_equal(f->text, "config has not succeeded for 2h (since 2026-02-04 06:00); it was due 0s ago "
                                 "(2026-02-04 07:59)");
    assert_string_equal(f->command, "clawback run config");
}

static void test_rules__one_that_never_ran_is_late_too(void **state)
{
    (void)state;
    facts.watched_since_ms = NOW_MS - 5 * HOUR_MS;
    fact_tiers[0].late_ms = NOW_MS - 2 * HOUR_MS;
    const struct finding *f = say("late", "config");
    assert_int_equal(f->level, ALERT_CRITICAL);
    assert_string_equal(f->text, "config has never succeeded; it was due 2h ago (2026-02-04 06:00)");
    assert_int_equal(f->since_ms, NOW_MS - 5 * HOUR_MS);
    facts.watched_since_ms = 0;
    assert_int_equal(say("late", "config")->since_ms, NOW_MS - 2 * HOUR_MS);
}

static void test_rules__nothing_is_late_that_is_disabled_or_not_due(void **state)
{
    (void)state;
    fact_tiers[0].late_ms = 0;
    assert_int_equal(level_of("late", "config"), ALERT_FINE);
    fact_tiers[0].late_ms = NOW_MS - HOUR_MS;
    tiers[0].disabled = true;
    assert_int_equal(level_of("late", "config"), ALERT_FINE);
}

static void test_rules__one_under_way_is_given_its_time_and_no_more(void **state)
{
    (void)state;
    add_run(NOW_MS - 4 * HOUR_MS, 1, 1);
    fact_tiers[0].late_ms = NOW_MS - 90 * MINUTE_MS; /* two and a half hours after the success */
    fact_tiers[0].running = true;
    add_record(RECORD_STARTED, "b", NOW_MS - HOUR_MS, 0);
    assert_int_equal(level_of("late", "config"), -1);
    record_list_release(&records[0]);
    add_run(NOW_MS - 4 * HOUR_MS, 1, 1);
    add_record(RECORD_STARTED, "b", NOW_MS - 150 * MINUTE_MS, 0);
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
}

static void test_rules__what_fell_due_while_the_machine_was_off_has_time_to_be_made_up_for(void **state)
{
    (void)state;
    add_run(NOW_MS - 9 * DAY_MS, 1, 1);
    fact_tiers[0].late_ms = NOW_MS - 8 * DAY_MS;
    facts.awake_since_ms = NOW_MS - 30 * MINUTE_MS + 1;
    assert_int_equal(level_of("late", "config"), -1);
    facts.awake_since_ms = NOW_MS - 30 * MINUTE_MS;
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
    /* It was late, and then the machine was started anew. */
    facts.awake_since_ms = NOW_MS - MINUTE_MS;
    fact_tiers[0].late_ms = facts.awake_since_ms;
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
}

static void test_rules__a_success_from_the_future_says_nothing_of_lateness(void **state)
{
    (void)state;
    add_run(NOW_MS + DAY_MS, 1, 1);
    fact_tiers[0].late_ms = NOW_MS - HOUR_MS;
    assert_int_equal(level_of("late", "config"), -1);
}

static void test_rules__skipped_and_incomplete_runs_are_in_time_and_failed_ones_are_not(void **state)
{
    (void)state;
    assert_int_equal(fact_last_success_ms(&records[0]), 0);
    add_record(RECORD_FAILED, "a", NOW_MS - 9, 1);
    add_record(RECORD_STARTED, "b", NOW_MS - 8, 0);
    assert_int_equal(fact_last_success_ms(&records[0]), 0);
    add_record(RECORD_COMPLETED, "b", NOW_MS - 7, 3);
    add_record(RECORD_FAILED, "c", NOW_MS - 6, 1);
    assert_int_equal(fact_last_success_ms(&records[0]), NOW_MS - 7);
    add_record(RECORD_SKIPPED, "d", NOW_MS - 5, 0);
    assert_int_equal(fact_last_success_ms(&records[0]), NOW_MS - 5);
}

/* --- never-ended, records-broken --- */

static void test_rules__a_beginning_without_an_end_is_told_unless_it_runs(void **state)
{
    (void)state;
    add_run(NOW_MS - 4 * HOUR_MS, 1, 1);
    assert_int_equal(level_of("never-ended", "config"), ALERT_FINE);
    add_record(RECORD_STARTED, "a", NOW_MS - 3 * HOUR_MS, 0);
    const struct finding *f = say("never-ended", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_int_equal(f->since_ms, NOW_MS - 3 * HOUR_MS);
    fact_tiers[0].running = true;
    assert_int_equal(level_of("never-ended", "config"), ALERT_FINE);
}

static void test_rules__damaged_lines_are_told(void **state)
{
    (void)state;
    add_run(NOW_MS - HOUR_MS, 1, 1);
    assert_int_equal(level_of("records-broken", "config"), ALERT_FINE);
    fact_tiers[0].damaged = 1;
    const struct finding *f = say("records-broken", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_non_null(strstr(f->text, "1 line cannot be read"));
    fact_tiers[0].damaged = 2;
    add_record(RECORD_COMPLETED, "ff", NOW_MS - MINUTE_MS, 0);
    f = say("records-broken", "config");
    assert_non_null(strstr(f->text, "2 lines cannot be read, 1 run ended without having begun"));
}

static void test_rules__an_end_without_a_beginning_is_told_for_a_week(void **state)
{
    (void)state;
    add_record(RECORD_COMPLETED, "old", NOW_MS - 2 * DAY_MS, 0); /* its beginning was rotated away */
    add_run(NOW_MS - DAY_MS, 1, 1);
    assert_int_equal(level_of("records-broken", "config"), ALERT_FINE);
    record_list_release(&records[0]);
    add_run(NOW_MS - 9 * DAY_MS, 1, 1);
    add_record(RECORD_COMPLETED, "x", NOW_MS - 7 * DAY_MS - 1, 0);
    assert_int_equal(level_of("records-broken", "config"), ALERT_FINE);
    add_record(RECORD_COMPLETED, NULL, NOW_MS - DAY_MS, 0);
    assert_int_equal(level_of("records-broken", "config"), ALERT_FINE);
    add_record(RECORD_COMPLETED, "y", NOW_MS - 7 * DAY_MS, 0);
    assert_int_equal(level_of("records-broken", "config"), ALERT_WARNING);
}

/* --- slow --- */

static void test_rules__slower_than_allowed_is_a_warning(void **state)
{
    (void)state;
    add_run(NOW_MS - 4 * HOUR_MS, 1, 60000);
    add_run(NOW_MS - 2 * HOUR_MS, 1, 600000);
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    struct record *r = add_run(NOW_MS - HOUR_MS, 1, 600001);
    const struct finding *f = say("slow", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "config took 10m");
    open_rule = "slow";
    r->duration_ms = 480001;
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING);
    r->duration_ms = 480000;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    plan.health.slow_ms = 0;
    r->duration_ms = 999999999;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
}

static void test_rules__the_first_run_has_everything_to_store(void **state)
{
    (void)state;
    add_record(RECORD_FAILED, "a", NOW_MS - 9 * HOUR_MS, 1);
    add_run(NOW_MS - 2 * HOUR_MS, 1, 9 * 3600000);
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
}

static void test_rules__slower_than_usual_is_a_warning_when_enough_is_known(void **state)
{
    (void)state;
    add_runs(4, 1, 30000);
    struct record *r = add_run(NOW_MS - HOUR_MS, 1, 90001);
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    record_list_release(&records[0]);
    add_runs(5, 1, 30000);
    r = add_run(NOW_MS - HOUR_MS, 1, 90000);
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    r->duration_ms = 90001;
    const struct finding *f = say("slow", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "config took 90s; it usually takes 30s");
    open_rule = "slow";
    r->duration_ms = 60001; /* over when it is half-way back */
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING);
    r->duration_ms = 60000;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    open_rule = NULL;
    r->duration_ms = 90001;
    plan.health.slow_factor = 0;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
}

static void test_rules__below_a_minute_nothing_is_slow(void **state)
{
    (void)state;
    add_runs(9, 1, 100);
    struct record *r = add_run(NOW_MS - HOUR_MS, 1, 59999);
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    r->duration_ms = 60000;
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING);
}

static void test_rules__one_under_way_is_slow_when_it_has_taken_too_long(void **state)
{
    (void)state;
    add_run(NOW_MS - 4 * HOUR_MS, 1, 60000);
    add_record(RECORD_STARTED, "b", NOW_MS - 600000, 0);
    fact_tiers[0].running = true;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    facts.now_ms++;
    const struct finding *f = say("slow", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "config has been running for 10m (since 2026-02-04 07:50)");
    fact_tiers[0].running = false;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
}

static void test_rules__the_slow_one_before_counts_while_the_next_is_young(void **state)
{
    (void)state;
    add_run(NOW_MS - 8 * HOUR_MS, 1, 60000);
    add_run(NOW_MS - 4 * HOUR_MS, 1, 900000);
    add_record(RECORD_STARTED, "b", NOW_MS - 1000, 0);
    fact_tiers[0].running = true;
    assert_string_equal(say("slow", "config")->text, "config took 15m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rules__say_nothing_of_what_is_not_known),
        TEST(test_rules__of_a_tier_that_never_ran_only_times_are_told),
        TEST(test_rules__a_failed_run_is_critical),
        TEST(test_rules__failures_in_a_row_are_counted),
        TEST(test_rules__one_that_a_person_interrupted_did_not_fail),
        TEST(test_rules__one_that_was_interrupted_after_a_failure_hides_nothing),
        TEST(test_rules__one_that_was_killed_failed),
        TEST(test_rules__a_disabled_tier_has_not_failed),
        TEST(test_rules__a_failure_without_a_reason_says_so),
        TEST(test_rules__an_incomplete_run_is_a_warning),
        TEST(test_rules__what_another_rule_tells_of_is_not_incomplete_too),
        TEST(test_rules__a_push_that_failed_is_a_warning_of_its_repository),
        TEST(test_rules__of_two_tiers_that_push_one_repository_the_worst_counts),
        TEST(test_rules__late_is_one_moment_after_its_time),
        TEST(test_rules__one_that_never_ran_is_late_too),
        TEST(test_rules__nothing_is_late_that_is_disabled_or_not_due),
        TEST(test_rules__one_under_way_is_given_its_time_and_no_more),
        TEST(test_rules__what_fell_due_while_the_machine_was_off_has_time_to_be_made_up_for),
        TEST(test_rules__a_success_from_the_future_says_nothing_of_lateness),
        TEST(test_rules__skipped_and_incomplete_runs_are_in_time_and_failed_ones_are_not),
        TEST(test_rules__a_beginning_without_an_end_is_told_unless_it_runs),
        TEST(test_rules__damaged_lines_are_told),
        TEST(test_rules__an_end_without_a_beginning_is_told_for_a_week),
        TEST(test_rules__slower_than_allowed_is_a_warning),
        TEST(test_rules__the_first_run_has_everything_to_store),
        TEST(test_rules__slower_than_usual_is_a_warning_when_enough_is_known),
        TEST(test_rules__below_a_minute_nothing_is_slow),
        TEST(test_rules__one_under_way_is_slow_when_it_has_taken_too_long),
        TEST(test_rules__the_slow_one_before_counts_while_the_next_is_young),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
