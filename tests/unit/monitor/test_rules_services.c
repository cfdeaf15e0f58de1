/* Rules about destinations, databases, schedulers, clocks and proofs. */
#include "rules_box.h"

static const uint64_t GB = 1000000000;

/* --- destination, upload-failed --- */

static void test_rules__a_destination_that_is_not_ready_is_critical(void **state)
{
    (void)state;
    assert_int_equal(level_of("destination", "usb"), ALERT_FINE);
    fact_destinations[0].ready = false;
    assert_string_equal(say("destination", "usb")->text, "destination 'usb' is not ready: it cannot be used");
    fact_destinations[0].problem = "nothing is mounted at /mnt/usb";
    const struct finding *f = say("destination", "usb");
    assert_int_equal(f->level, ALERT_CRITICAL);
    assert_string_equal(f->text, "destination 'usb' is not ready: nothing is mounted at /mnt/usb");
}

static void upload(int tier, enum record_status status, const char *message)
{
    struct record *r = add_record_to(tier, RECORD_COMPLETED, "a", NOW_MS - (1 + tier) * HOUR_MS, 3);
    struct record_destination *d = record_add_destination(r, "usb");
    d->status = status;
    d->message = message != NULL ? mem_strdup(message) : NULL;
    record_add_destination(r, "other")->status = RECORD_FAILED;
}

static void test_rules__a_destination_that_did_not_get_all_is_critical(void **state)
{
    (void)state;
    facts.tier_count = 2;
    upload(0, RECORD_COMPLETED, NULL);
    assert_int_equal(level_of("upload-failed", "usb"), ALERT_FINE);
    upload(1, RECORD_FAILED, "disk full");
    const struct finding *f = say("upload-failed", "usb");
    assert_int_equal(f->level, ALERT_CRITICAL);
    assert_string_equal(f->text, "destination 'usb' did not get all of git 2h ago (2026-02-04 06:00): disk full");
    assert_string_equal(f->command, "clawback run git");
    upload(0, RECORD_FAILED, NULL);
    f = say("upload-failed", "usb");
    assert_non_null(strstr(f->text, "all of config, git 2h ago"));
    assert_int_equal(f->since_ms, NOW_MS - 2 * HOUR_MS);
    tiers[0].disabled = true;
    upload(1, RECORD_SKIPPED, NULL);
    assert_int_equal(level_of("upload-failed", "usb"), ALERT_FINE);
}

static void test_rules__of_a_destination_that_is_gone_one_alert_is_enough(void **state)
{
    (void)state;
    upload(0, RECORD_FAILED, "gone");
    fact_destinations[0].ready = false;
    assert_int_equal(level_of("destination", "usb"), ALERT_CRITICAL);
    assert_int_equal(level_of("upload-failed", "usb"), -1);
}

/* What one drive that is unplugged does to two tiers: both are stored there only. */
static void away(bool is_away)
{
    static char usb[] = "usb", nas[] = "nas";
    static char *both[] = {usb, nas};
    tiers[0].to = (struct strlist){.items = both, .count = 1};
    tiers[1].to = (struct strlist){.items = both, .count = 1};
    fact_destinations[0].ready = !is_away;
    facts.tier_count = 2;
}

static void failed(int tier, int64_t at_ms, const char *why)
{
    struct record *r = add_record_to(tier, RECORD_FAILED, "b", at_ms, 1);
    struct record_destination *d = record_add_destination(r, "usb");
    d->status = RECORD_FAILED;
    d->message = mem_strdup(why);
}

static void test_rules__what_a_missing_destination_causes_is_told_with_it(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        upload(i, RECORD_COMPLETED, NULL);
        records[i].items[0].time.tv_sec = (NOW_MS - 2 * HOUR_MS) / 1000;
        failed(i, NOW_MS - HOUR_MS, "the disk is gone");
        fact_tiers[i].late_ms = NOW_MS - 30 * MINUTE_MS;
    }
    away(true);
    const struct finding *f = say("destination", "usb");
    assert_string_equal(f->details, "config and git have not been stored there since 2026-02-04 06:00");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(level_of("run-failed", tiers[i].name), -1); /* not fine either: nothing is over */
        assert_int_equal(level_of("late", tiers[i].name), -1);
    }
    assert_int_equal(level_of("upload-failed", "usb"), -1);
    fact_destinations[0].unknown = true; /* it may be there */
    assert_int_equal(level_of("run-failed", "git"), ALERT_CRITICAL);
    assert_int_equal(level_of("late", "git"), ALERT_CRITICAL);
}

static void test_rules__with_the_destination_back_alerts_come_back_until_each_is_over(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        failed(i, NOW_MS - HOUR_MS, "the disk is gone");
        fact_tiers[i].late_ms = NOW_MS - 30 * MINUTE_MS;
    }
    away(true);
    assert_string_equal(say("destination", "usb")->details, "config and git have not been stored there yet");
    away(false);
    assert_int_equal(level_of("destination", "usb"), ALERT_FINE);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(level_of("run-failed", tiers[i].name), ALERT_CRITICAL);
        assert_int_equal(level_of("late", tiers[i].name), ALERT_CRITICAL);
    }
    record_add_destination(add_record(RECORD_COMPLETED, "c", NOW_MS - MINUTE_MS, 0), "usb")->status = RECORD_COMPLETED;
    fact_tiers[0].late_ms = NOW_MS + HOUR_MS;
    assert_int_equal(level_of("run-failed", "config"), ALERT_FINE);
    assert_int_equal(level_of("late", "config"), ALERT_FINE);
    assert_int_equal(level_of("run-failed", "git"), ALERT_CRITICAL);
    away(true); /* and gone again: config went well when it ran last */
    assert_int_equal(level_of("run-failed", "config"), ALERT_FINE);
    assert_string_equal(say("destination", "usb")->details, "git has not been stored there yet");
}

static void test_rules__a_tier_with_another_destination_fails_for_its_own_reasons(void **state)
{
    (void)state;
    away(true);
    tiers[0].to.count = 2;
    failed(0, NOW_MS - HOUR_MS, "the disk is gone");
    upload(1, RECORD_FAILED, "gone");
    fact_tiers[0].late_ms = NOW_MS - 30 * MINUTE_MS;
    assert_int_equal(level_of("run-failed", "config"), ALERT_CRITICAL);
    assert_int_equal(level_of("late", "config"), ALERT_CRITICAL);
    assert_string_equal(say("destination", "usb")->details, "config and git have not been stored there yet");
    tiers[1].disabled = true;
    assert_string_equal(say("destination", "usb")->details, "config has not been stored there yet");
}

static void test_rules__tiers_that_lack_a_destination_since_other_times_have_lines_of_their_own(void **state)
{
    (void)state;
    static struct plan_tier third = {.name = "db"};
    struct fact_tier all[3];
    away(true);
    third.to = tiers[0].to;
    for (int i = 0; i < 2; i++)
        upload(i, RECORD_COMPLETED, NULL);
    for (int i = 0; i < 2; i++) {
        failed(i, NOW_MS - MINUTE_MS, "gone");
        all[i] = fact_tiers[i];
    }
    all[2] = (struct fact_tier){.tier = &third, .records = &records[0]};
    facts.tiers = all;
    facts.tier_count = 3;
    assert_string_equal(say("destination", "usb")->details,
                        "config and db have not been stored there since 2026-02-04 07:00\n"
                        "git has not been stored there since 2026-02-04 06:00");
}

static void test_rules__what_failed_the_whole_run_is_not_told_of_the_destination_too(void **state)
{
    (void)state;
    failed(0, NOW_MS - HOUR_MS, "the disk is gone"); /* as the run's own error says */
    assert_int_equal(level_of("run-failed", "config"), ALERT_CRITICAL);
    assert_int_equal(level_of("upload-failed", "usb"), -1);
    failed(0, NOW_MS - HOUR_MS, "its disk is full");
    assert_int_equal(level_of("upload-failed", "usb"), ALERT_CRITICAL);
    facts.tier_count = 2;
    failed(0, NOW_MS - HOUR_MS, "the disk is gone");
    upload(1, RECORD_FAILED, "gone"); /* of that one only the destination's rule speaks */
    assert_string_equal(say("upload-failed", "usb")->command, "clawback run git");
}

/* --- space --- */

static int space(uint64_t free_bytes, uint64_t total_bytes)
{
    fact_destinations[0].space_known = true;
    fact_destinations[0].free_bytes = free_bytes;
    fact_destinations[0].total_bytes = total_bytes;
    return level_of("space", "usb");
}

static void test_rules__space_at_and_above_its_thresholds(void **state)
{
    (void)state;
    assert_int_equal(level_of("space", "usb"), -1);
    assert_int_equal(space(0, 0), -1);
    assert_int_equal(space(5, 4), -1);
    assert_int_equal(space(20 * GB, 100 * GB), ALERT_FINE);
    assert_int_equal(space(20 * GB - 1, 100 * GB), ALERT_WARNING);
    assert_int_equal(space(100 * MB, 100 * GB), ALERT_WARNING);
    assert_int_equal(space(100 * MB - 1, 100 * GB), ALERT_CRITICAL);
    assert_int_equal(space(100 * MB - 1, 110 * MB), ALERT_CRITICAL);
    assert_int_equal(space(0, 110 * MB), ALERT_CRITICAL);
}

static void test_rules__space_is_over_when_there_is_some_to_spare(void **state)
{
    (void)state;
    open_rule = "space";
    assert_int_equal(space(25 * GB - 1, 100 * GB), ALERT_WARNING);
    assert_int_equal(space(25 * GB, 100 * GB), ALERT_FINE);
    assert_int_equal(space(100 * MB, 100 * GB), ALERT_WARNING);
    open_level = ALERT_CRITICAL;
    assert_int_equal(space(150 * MB - 1, 100 * GB), ALERT_CRITICAL);
    assert_int_equal(space(150 * MB, 100 * GB), ALERT_WARNING);
    assert_int_equal(space(25 * GB, 100 * GB), ALERT_FINE);
}

static void test_rules__space_can_be_switched_off(void **state)
{
    (void)state;
    plan.health.full_percent = 0;
    assert_int_equal(space(100 * MB, 100 * GB), ALERT_FINE);
    plan.health.critical_free_bytes = 0;
    assert_int_equal(space(0, 100 * GB), ALERT_FINE);
}

static void test_rules__space_tells_when_it_will_be_full(void **state)
{
    (void)state;
    fact_destinations[0].forecast = "full about 2026-03-14";
    assert_int_equal(space(50 * GB, 100 * GB), ALERT_FINE);
    assert_null(say("space", "usb")->details);
    assert_int_equal(space(12 * GB, 100 * GB), ALERT_WARNING);
    const struct finding *f = say("space", "usb");
    assert_string_equal(f->text, "destination 'usb' is 88 % full: 12.0 GB of 100 GB are free");
    assert_string_equal(f->details, "full about 2026-03-14");
}

/* --- what was tried --- */

static void test_rules__each_database_that_cannot_be_dumped_is_a_warning(void **state)
{
    (void)state;
    struct fact_check checks[] = {{"postgres 'erp'", false, "connection refused", false},
                                  {"redis", true, "1.2 MB", false}};
    facts.dumps = (struct fact_list){.items = checks, .count = 2};
    assert_int_equal(level_of("dump-failed", "redis"), -1);
    facts.dumps.looked = true;
    assert_int_equal(level_of("dump-failed", "redis"), ALERT_FINE);
    const struct finding *f = say("dump-failed", "postgres 'erp'");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "postgres 'erp' cannot be dumped: connection refused");
    checks[0].text = NULL;
    assert_string_equal(say("dump-failed", "postgres 'erp'")->text,
                        "postgres 'erp' cannot be dumped: it does not say why");
}

static void test_rules__schedulers_are_one_alert_whichever_is_dead(void **state)
{
    (void)state;
    struct fact_check checks[] = {
        {"openclaw", true, "fine", false}, {"daemon", true, "fine", false}, {"cron", true, "fine", false}};
    facts.schedulers = (struct fact_list){.items = checks, .count = 3};
    assert_int_equal(level_of("scheduler", ""), -1);
    facts.schedulers.looked = true;
    assert_int_equal(level_of("scheduler", ""), ALERT_FINE);
    checks[1] = (struct fact_check){"daemon", false, "the daemon is not running", false};
    const struct finding *f = say("scheduler", "");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "the daemon is not running");
    assert_null(f->details);
    checks[0] = checks[2] = checks[1];
    checks[0].partly = true;
    assert_string_equal(say("scheduler", "")->text, "not all that is due will be started: the daemon is not running");
    checks[0] = (struct fact_check){"openclaw", false, "the gateway does not answer", false};
    checks[2] = (struct fact_check){"cron", false, "", false};
    f = say("scheduler", "");
    assert_string_equal(f->text, "nothing will start the next run: the gateway does not answer");
    assert_string_equal(f->details, "daemon: the daemon is not running\ncron: it does not say why");
    facts.schedulers.count = 0;
    assert_int_equal(level_of("scheduler", ""), -1);
}

static void test_rules__each_job_that_failed_is_critical(void **state)
{
    (void)state;
    struct fact_check checks[] = {{"mine", false, "2026-02-04 06:00: exited with status 7", false},
                                  {"other", true, "it went well", false}};
    facts.jobs = (struct fact_list){.items = checks, .count = 2};
    assert_int_equal(level_of("job-failed", "mine"), -1);
    facts.jobs.looked = true;
    assert_int_equal(level_of("job-failed", "other"), ALERT_FINE);
    const struct finding *f = say("job-failed", "mine");
    assert_int_equal(f->level, ALERT_CRITICAL);
    assert_string_equal(f->text, "job 'mine' failed at 2026-02-04 06:00: exited with status 7");
    assert_string_equal(f->command, "clawback runs 'mine'");
}

static void test_rules__each_clock_that_is_off_is_a_warning(void **state)
{
    (void)state;
    struct fact_check checks[] = {{"nas", false, "the clock of 'nas' is 7m ahead", false},
                                  {"run records", true, "fine", false}};
    facts.skews = (struct fact_list){.items = checks, .count = 2, .looked = true};
    assert_int_equal(level_of("skew", "nas"), ALERT_WARNING);
    assert_int_equal(level_of("skew", "run records"), ALERT_FINE);
    plan.health.skew_ms = 0;
    assert_int_equal(level_of("skew", "nas"), -1);
    plan.health.skew_ms = 1;
    facts.skews.looked = false;
    assert_int_equal(level_of("skew", "nas"), -1);
}

/* --- proof --- */

static void test_rules__an_old_proof_is_a_warning(void **state)
{
    (void)state;
    facts.proof_ms = NOW_MS - 35 * DAY_MS;
    assert_int_equal(level_of("proof", ""), -1);
    facts.proof_looked = true;
    assert_int_equal(level_of("proof", ""), ALERT_FINE);
    facts.proof_ms--;
    const struct finding *f = say("proof", "");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "a restore was last proven 35d ago (2025-12-31 07:59), and is to be proven every 35d");
    plan.health.proof_max_age_ms = 0;
    assert_int_equal(level_of("proof", ""), -1);
}

static void test_rules__where_nothing_was_ever_proven_it_counts_from_the_beginning(void **state)
{
    (void)state;
    facts.proof_looked = true;
    assert_int_equal(level_of("proof", ""), -1);
    facts.watched_since_ms = NOW_MS - 35 * DAY_MS;
    assert_int_equal(level_of("proof", ""), ALERT_FINE);
    facts.watched_since_ms--;
    assert_non_null(strstr(say("proof", "")->text, "no restore was ever proven"));
    facts.proof_ms = NOW_MS + DAY_MS;
    assert_int_equal(level_of("proof", ""), ALERT_FINE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rules__a_destination_that_is_not_ready_is_critical),
        TEST(test_rules__a_destination_that_did_not_get_all_is_critical),
        TEST(test_rules__of_a_destination_that_is_gone_one_alert_is_enough),
        TEST(test_rules__what_a_missing_destination_causes_is_told_with_it),
        TEST(test_rules__with_the_destination_back_alerts_come_back_until_each_is_over),
        TEST(test_rules__a_tier_with_another_destination_fails_for_its_own_reasons),
        TEST(test_rules__tiers_that_lack_a_destination_since_other_times_have_lines_of_their_own),
        TEST(test_rules__what_failed_the_whole_run_is_not_told_of_the_destination_too),
        TEST(test_rules__space_at_and_above_its_thresholds),
        TEST(test_rules__space_is_over_when_there_is_some_to_spare),
        TEST(test_rules__space_can_be_switched_off),
        TEST(test_rules__space_tells_when_it_will_be_full),
        TEST(test_rules__each_database_that_cannot_be_dumped_is_a_warning),
        TEST(test_rules__schedulers_are_one_alert_whichever_is_dead),
        TEST(test_rules__each_job_that_failed_is_critical),
        TEST(test_rules__each_clock_that_is_off_is_a_warning),
        TEST(test_rules__an_old_proof_is_a_warning),
        TEST(test_rules__where_nothing_was_ever_proven_it_counts_from_the_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
