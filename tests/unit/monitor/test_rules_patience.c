/* What must not be told: false alarms are what makes owners mute a tool. */
#include "rules_box.h"

/* --- a run that is not over yet --- */

/* For another reason than that of the run's failure. */
static void not_stored(struct record *r)
{
    struct record_destination *d = record_add_destination(r, "usb");
    d->status = RECORD_FAILED;
    d->message = mem_strdup("there is no room left");
}

static void test_rules__a_failure_that_is_tried_again_is_not_told_yet(void **state)
{
    (void)state;
    struct record *r = add_record(RECORD_FAILED, "a", NOW_MS - MINUTE_MS, 1);
    r->retry = true;
    not_stored(r);
    fact_tiers[0].retrying = true;
    assert_int_equal(level_of("run-failed", "config"), -1);
    assert_int_equal(level_of("upload-failed", "usb"), -1);
    fact_tiers[0].retrying = false;
    assert_int_equal(level_of("run-failed", "config"), ALERT_CRITICAL);
    assert_int_equal(level_of("upload-failed", "usb"), ALERT_CRITICAL);
}

static void test_rules__another_tiers_failure_is_told_meanwhile(void **state)
{
    (void)state;
    facts.tier_count = 2;
    for (int tier = 0; tier < 2; tier++)
        not_stored(add_record_to(tier, RECORD_FAILED, "a", NOW_MS - MINUTE_MS, 1));
    fact_tiers[0].retrying = true;
    assert_int_equal(level_of("run-failed", "git"), ALERT_CRITICAL);
    assert_string_equal(say("upload-failed", "usb")->command, "clawback run git");
}

static void test_rules__one_that_was_killed_is_not_told_while_it_is_made_up_for(void **state)
{
    (void)state;
    add_record(RECORD_FAILED, "a", NOW_MS - MINUTE_MS, 1)->interrupted = true;
    add_record(RECORD_STARTED, "b", NOW_MS - MINUTE_MS, 0);
    fact_tiers[0].running = true;
    assert_int_equal(level_of("run-failed", "config"), -1);
    fact_tiers[0].running = false;
    assert_int_equal(level_of("run-failed", "config"), ALERT_CRITICAL);
}

static void test_rules__what_the_machine_took_with_it_has_time_to_be_made_up_for(void **state)
{
    (void)state;
    add_record(RECORD_STARTED, "a", NOW_MS - 9 * HOUR_MS, 0);
    facts.awake_since_ms = NOW_MS - 20 * MINUTE_MS;
    assert_int_equal(level_of("never-ended", "config"), -1);
    facts.awake_since_ms = NOW_MS - 30 * MINUTE_MS;
    assert_int_equal(level_of("never-ended", "config"), ALERT_WARNING);
    facts.awake_since_ms = NOW_MS - 10 * HOUR_MS;
    assert_int_equal(level_of("never-ended", "config"), ALERT_WARNING);
}

/* --- late --- */

static void test_rules__the_first_backup_may_take_a_day(void **state)
{
    (void)state;
    add_record(RECORD_STARTED, "a", NOW_MS - 23 * HOUR_MS, 0);
    facts.watched_since_ms = NOW_MS - 23 * HOUR_MS;
    fact_tiers[0].late_ms = facts.watched_since_ms + 150 * MINUTE_MS;
    fact_tiers[0].running = true;
    assert_int_equal(level_of("late", "config"), -1);
    facts.now_ms += HOUR_MS;
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
    facts.now_ms -= HOUR_MS;
    fact_tiers[0].running = false;
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
}

static void test_rules__what_falls_due_during_anothers_run_waits_for_its_turn(void **state)
{
    (void)state;
    facts.tier_count = 2;
    add_run(NOW_MS - 3 * HOUR_MS, 1, 1);
    fact_tiers[0].late_ms = NOW_MS - 30 * MINUTE_MS;
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
    add_record_to(1, RECORD_COMPLETED, "0", NOW_MS - 99 * HOUR_MS, 0);
    struct record *other = add_record_to(1, RECORD_STARTED, "a", NOW_MS - 149 * MINUTE_MS, 0);
    fact_tiers[1].running = true;
    assert_int_equal(level_of("late", "config"), -1);
    other->time.tv_sec -= 60; /* as long as it had itself, and no longer */
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
    records[1].items[0].status = RECORD_FAILED; /* … but for the other's first, which may take a day */
    assert_int_equal(level_of("late", "config"), -1);
    other->time.tv_sec = (fact_tiers[0].late_ms + 1000) / 1000; /* it was late before the other began */
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
}

static void test_rules__a_night_of_sleep_is_no_lateness(void **state)
{
    (void)state;
    add_run(NOW_MS - 9 * HOUR_MS, 1, 1);
    fact_tiers[0].late_ms = NOW_MS - 6 * HOUR_MS;
    facts.awake_since_ms = NOW_MS; /* woken just now */
    assert_int_equal(level_of("late", "config"), -1);
    facts.now_ms += 30 * MINUTE_MS;
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
}

/* --- slow --- */

static void test_rules__who_always_takes_half_an_hour_is_not_slow(void **state)
{
    (void)state;
    add_runs(4, 1, 30 * 60000);
    add_run(NOW_MS - 2 * HOUR_MS, 1, 30 * 60000);
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING); /* nobody knows yet what is usual */
    struct record *r = add_run(NOW_MS - HOUR_MS, 1, 30 * 60000);
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    open_rule = "slow";
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    r->duration_ms = 45 * 60000;
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING);
    open_rule = NULL;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    r->duration_ms++;
    assert_string_equal(say("slow", "config")->text, "config took 45m; it usually takes 30m");
    plan.health.slow_factor = 0; /* the other limit is measured by the usual all the same */
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING);
    r->duration_ms = 40 * 60000;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
}

/* What opens an alert never closes it: around the limit nothing comes and goes. */
static void test_rules__eleven_minutes_each_time_do_not_come_and_go(void **state)
{
    (void)state;
    add_runs(8, 1, 9 * 60000);
    for (uint64_t minutes = 9; minutes < 40; minutes++) {
        add_run(NOW_MS - HOUR_MS, 1, minutes * 60000);
        open_rule = NULL;
        int opens = level_of("slow", "config");
        open_rule = "slow";
        assert_true(opens != ALERT_WARNING || level_of("slow", "config") == ALERT_WARNING);
        assert_int_equal(opens, minutes * 2 > 9 * 3 ? ALERT_WARNING : ALERT_FINE);
        record_list_release(&records[0]);
        add_runs(8, 1, 9 * 60000);
    }
}

static void test_rules__asleep_nothing_is_slow(void **state)
{
    (void)state;
    add_run(NOW_MS - 20 * HOUR_MS, 1, 60000);
    add_record(RECORD_STARTED, "b", NOW_MS - 9 * HOUR_MS, 0);
    fact_tiers[0].running = true;
    facts.awake_since_ms = NOW_MS - 9 * MINUTE_MS;
    assert_int_equal(level_of("slow", "config"), ALERT_FINE);
    facts.awake_since_ms = NOW_MS - 11 * MINUTE_MS;
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING);
}

/* --- sizes --- */

static void test_rules__the_first_runs_sizes_are_measured_against_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        add_run(NOW_MS - (10 - i) * HOUR_MS, MB << (3 * i), 1);
        assert_int_equal(level_of("growth", "config"), -1);
        assert_int_equal(level_of("shrink", "config"), -1);
    }
}

static void test_rules__a_new_project_is_told_for_three_runs(void **state)
{
    (void)state;
    add_runs(20, 100 * MB, 1);
    for (int i = 0; i < 4; i++) {
        open_rule = i > 0 ? "growth" : NULL;
        add_run(NOW_MS - (8 - i) * HOUR_MS, 170 * MB, 1);
        assert_int_equal(level_of("growth", "config"), i < 3 ? ALERT_WARNING : ALERT_FINE);
    }
}

static void test_rules__who_never_has_a_whole_run_hears_of_growth_too(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) /* one drive is always away */
        add_run(NOW_MS - (60 - i) * HOUR_MS, 100 * MB, 30000)->exit_code = 3;
    struct record *r = add_run(NOW_MS - HOUR_MS, 1100 * MB, 99000);
    r->exit_code = 3;
    assert_int_equal(level_of("growth", "config"), ALERT_CRITICAL);
    assert_int_equal(level_of("slow", "config"), ALERT_WARNING);
    for (size_t i = 0; i < records[0].count; i++) /* what could not read a source says nothing of its size */
        record_add_source(&records[0].items[i], "redis")->status = RECORD_FAILED;
    assert_int_equal(level_of("growth", "config"), -1);
}

/* --- destinations that sleep --- */

static void test_rules__one_that_did_not_answer_at_once_is_not_gone(void **state)
{
    (void)state;
    fact_destinations[0].ready = false;
    fact_destinations[0].unknown = true;
    assert_int_equal(level_of("destination", "usb"), -1);
    assert_int_equal(level_of("space", "usb"), -1);
    not_stored(add_record(RECORD_FAILED, "a", NOW_MS - HOUR_MS, 1));
    assert_int_equal(level_of("upload-failed", "usb"), ALERT_CRITICAL);
}

static void test_rules__a_tier_that_is_disabled_takes_its_upload_alert_with_it(void **state)
{
    (void)state;
    record_add_destination(add_record(RECORD_FAILED, "a", NOW_MS - HOUR_MS, 1), "usb")->status = RECORD_FAILED;
    tiers[0].disabled = true;
    assert_int_equal(level_of("upload-failed", "usb"), ALERT_FINE);
}

/* --- databases that do not run (when: running) --- */

static void database_run(int64_t at_ms, enum record_status status)
{
    record_add_source(add_record(status, "a", at_ms, 0), "redis")->status = status;
}

static void test_rules__a_database_that_is_down_for_days_is_fine_and_one_that_vanished_is_not(void **state)
{
    (void)state;
    tiers[0].when = PLAN_RUNNING;
    database_run(NOW_MS - 20 * DAY_MS, RECORD_COMPLETED);
    assert_int_equal(level_of("absent", "redis"), -1);
    database_run(NOW_MS - 7 * DAY_MS, RECORD_SKIPPED);
    assert_int_equal(level_of("absent", "redis"), ALERT_FINE);
    database_run(NOW_MS - HOUR_MS, RECORD_SKIPPED);
    const struct finding *f = say("absent", "redis");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "redis was last backed up 20d ago (2026-01-15 08:00) and has not been running since: "
                                 "start it, or take it out of the plan");
    assert_string_equal(f->command, "clawback alerts silence absent 'redis' --for 90d");
    assert_int_equal(f->since_ms, NOW_MS - 20 * DAY_MS);
    assert_int_equal(level_of("late", "config"), ALERT_FINE);
    tiers[0].disabled = true;
    assert_int_equal(level_of("absent", "redis"), ALERT_FINE);
    tiers[0].disabled = false;
    database_run(NOW_MS, RECORD_COMPLETED);
    open_rule = "absent";
    assert_int_equal(level_of("absent", "redis"), ALERT_FINE);
}

static void test_rules__a_database_that_never_ran_is_nobodys_loss(void **state)
{
    (void)state;
    tiers[0].when = PLAN_RUNNING;
    database_run(NOW_MS - 40 * DAY_MS, RECORD_SKIPPED);
    database_run(NOW_MS - HOUR_MS, RECORD_SKIPPED);
    assert_int_equal(level_of("absent", "redis"), ALERT_FINE);
    /* Its last success is no longer among the records: that does not end an alert. */
    open_rule = "absent";
    assert_int_equal(level_of("absent", "redis"), ALERT_WARNING);
    tiers[0].when = PLAN_ALWAYS;
    assert_int_equal(level_of("absent", "redis"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rules__a_failure_that_is_tried_again_is_not_told_yet),
        TEST(test_rules__another_tiers_failure_is_told_meanwhile),
        TEST(test_rules__one_that_was_killed_is_not_told_while_it_is_made_up_for),
        TEST(test_rules__what_the_machine_took_with_it_has_time_to_be_made_up_for),
        TEST(test_rules__the_first_backup_may_take_a_day),
        TEST(test_rules__what_falls_due_during_anothers_run_waits_for_its_turn),
        TEST(test_rules__a_night_of_sleep_is_no_lateness),
        TEST(test_rules__who_always_takes_half_an_hour_is_not_slow),
        TEST(test_rules__eleven_minutes_each_time_do_not_come_and_go),
        TEST(test_rules__asleep_nothing_is_slow),
        TEST(test_rules__the_first_runs_sizes_are_measured_against_nothing),
        TEST(test_rules__a_new_project_is_told_for_three_runs),
        TEST(test_rules__who_never_has_a_whole_run_hears_of_growth_too),
        TEST(test_rules__one_that_did_not_answer_at_once_is_not_gone),
        TEST(test_rules__a_tier_that_is_disabled_takes_its_upload_alert_with_it),
        TEST(test_rules__a_database_that_is_down_for_days_is_fine_and_one_that_vanished_is_not),
        TEST(test_rules__a_database_that_never_ran_is_nobodys_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
