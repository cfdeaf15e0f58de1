/* Rules about sizes. */
#include "rules_box.h"

static const uint64_t USUAL = 100 * 1000000ULL;

/* The last run has this size, after so many of the usual one. */
static struct record *after(int count, uint64_t bytes)
{
    record_list_release(&records[0]);
    add_runs(count, USUAL, 1000);
    return add_run(NOW_MS - HOUR_MS, bytes, 1000);
}

static void test_rules__too_few_runs_have_no_usual_size(void **state)
{
    (void)state;
    after(4, 100 * USUAL);
    assert_int_equal(level_of("growth", "config"), -1);
    assert_int_equal(level_of("shrink", "config"), -1);
    after(5, 100 * USUAL);
    assert_int_equal(level_of("growth", "config"), ALERT_CRITICAL);
    assert_int_equal(level_of("shrink", "config"), ALERT_FINE);
}

static void test_rules__growth_at_and_above_its_thresholds(void **state)
{
    (void)state;
    after(10, USUAL * 3 / 2);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    after(10, USUAL * 3 / 2 + 1);
    const struct finding *f = say("growth", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "config had 150 MB 1h ago (2026-02-04 07:00), 50 % more than its usual 100 MB");
    assert_int_equal(f->since_ms, NOW_MS - HOUR_MS);
    after(10, USUAL * 10);
    assert_int_equal(level_of("growth", "config"), ALERT_WARNING);
    after(10, USUAL * 10 + 1);
    f = say("growth", "config");
    assert_int_equal(f->level, ALERT_CRITICAL);
    assert_string_equal(f->text, "config had 1.0 GB 1h ago (2026-02-04 07:00), 10.0 times its usual 100 MB");
}

static void test_rules__growth_is_over_at_half_its_threshold(void **state)
{
    (void)state;
    open_rule = "growth";
    after(10, USUAL * 5 / 4 + 1);
    assert_int_equal(level_of("growth", "config"), ALERT_WARNING);
    after(10, USUAL * 5 / 4);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
}

static void test_rules__growth_can_be_switched_off(void **state)
{
    (void)state;
    plan.health.growth_percent = 0;
    after(10, USUAL * 9);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    after(10, USUAL * 11);
    assert_int_equal(level_of("growth", "config"), ALERT_CRITICAL);
    plan.health.growth_factor = 0;
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
}

static void test_rules__shrinking_at_and_below_its_thresholds(void **state)
{
    (void)state;
    after(10, USUAL / 2);
    assert_int_equal(level_of("shrink", "config"), ALERT_FINE);
    after(10, USUAL / 2 - 1);
    const struct finding *f = say("shrink", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->text, "config had 50.0 MB 1h ago (2026-02-04 07:00), 50 % less than its usual 100 MB");
    open_rule = "shrink";
    after(10, USUAL * 3 / 4 - 1);
    assert_int_equal(level_of("shrink", "config"), ALERT_WARNING);
    after(10, USUAL * 3 / 4);
    assert_int_equal(level_of("shrink", "config"), ALERT_FINE);
    open_rule = NULL;
    plan.health.shrink_percent = 0;
    after(10, 0);
    assert_int_equal(level_of("shrink", "config"), ALERT_FINE);
}

static void test_rules__a_small_change_is_none(void **state)
{
    (void)state;
    add_runs(10, 10000, 1000);
    add_run(NOW_MS - HOUR_MS, 1009999, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    add_run(NOW_MS - MINUTE_MS, 1010000, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_CRITICAL);
    record_list_release(&records[0]);
    add_runs(10, 999999, 1000);
    add_run(NOW_MS - HOUR_MS, 0, 1000);
    assert_int_equal(level_of("shrink", "config"), ALERT_FINE);
}

static void test_rules__what_was_empty_and_is_not_has_grown(void **state)
{
    (void)state;
    add_runs(10, 0, 1000);
    add_run(NOW_MS - HOUR_MS, 5 * MB, 1000);
    assert_string_equal(say("growth", "config")->text,
                        "config had 5.0 MB 1h ago (2026-02-04 07:00), and usually nothing");
}

static void test_rules__a_new_size_that_three_runs_agree_on_is_usual(void **state)
{
    (void)state;
    after(10, 3 * USUAL);
    assert_int_equal(level_of("growth", "config"), ALERT_WARNING);
    open_rule = "growth";
    add_run(NOW_MS - 50 * MINUTE_MS, 3 * USUAL + MB, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_WARNING);
    add_run(NOW_MS - 40 * MINUTE_MS, 3 * USUAL - MB, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_WARNING);
    add_run(NOW_MS - 30 * MINUTE_MS, 3 * USUAL, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    /* … and from there it counts. */
    open_rule = NULL;
    add_run(NOW_MS - 20 * MINUTE_MS, 4 * USUAL, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    add_run(NOW_MS - 10 * MINUTE_MS, USUAL, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
}

static void test_rules__ups_and_downs_are_measured_against_the_middle(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        add_run(NOW_MS - (60 - i) * HOUR_MS, i % 2 == 0 ? USUAL : USUAL * 12 / 10, 1000);
    add_run(NOW_MS - HOUR_MS, USUAL * 164 / 100, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    add_run(NOW_MS - HOUR_MS, USUAL * 181 / 100, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_WARNING);
}

static void test_rules__runs_that_lack_something_are_not_usual(void **state)
{
    (void)state;
    add_runs(5, USUAL, 1000);
    for (int i = 0; i < 5; i++)
        add_run(NOW_MS - (10 - i) * HOUR_MS, 1000, 1000)->exit_code = 3;
    add_run(NOW_MS - HOUR_MS, USUAL, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    add_record(RECORD_FAILED, "x", NOW_MS - MINUTE_MS, 1);
    add_record(RECORD_SKIPPED, "y", NOW_MS - MINUTE_MS, 0);
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
    assert_int_equal(level_of("shrink", "config"), ALERT_FINE);
}

static void test_rules__a_disabled_tier_does_not_grow(void **state)
{
    (void)state;
    after(10, 100 * USUAL);
    tiers[0].disabled = true;
    assert_int_equal(level_of("growth", "config"), ALERT_FINE);
}

static void test_rules__growth_of_absurd_sizes_overflows_nothing(void **state)
{
    (void)state;
    add_runs(10, INT64_MAX / 2, 1000);
    add_run(NOW_MS - HOUR_MS, UINT64_MAX, 1000);
    assert_int_equal(level_of("growth", "config"), ALERT_WARNING);
}

/* --- what grew --- */

static struct record_source *add_source(struct record *r, const char *name, uint64_t bytes)
{
    struct record_source *s = record_add_source(r, name);
    s->bytes = bytes;
    return s;
}

static void check_details(void (*fill)(struct record *r, bool now), const char *expected)
{
    add_runs(9, USUAL, 1000);
    struct record *r = add_run(NOW_MS - 2 * HOUR_MS, USUAL, 1000);
    fill(r, false);
    r = add_run(NOW_MS - HOUR_MS, 5 * USUAL, 1000);
    fill(r, true);
    const struct finding *f = say("growth", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    if (expected == NULL)
        assert_null(f->details);
    else
        assert_string_equal(f->details, expected);
}

static void one_directory_grew(struct record *r, bool now)
{
    struct record_source *s = add_source(r, "/home", now ? 460 * MB : 60 * MB);
    record_add_path(s, "/home/a", now ? 450 * MB : 50 * MB);
    record_add_path(s, "/home/a/logs", now ? 440 * MB : 45 * MB);
    record_add_path(s, "/home/b", 10 * MB);
    add_source(r, "redis", 40 * MB);
}

static void test_rules__growth_names_the_innermost_directory_that_explains_it(void **state)
{
    (void)state;
    check_details(one_directory_grew, "+395 MB /home/a/logs: 440 MB, was 45.0 MB");
}

static void two_things_grew(struct record *r, bool now)
{
    struct record_source *s = add_source(r, "/home", now ? 300 * MB : 60 * MB);
    record_add_path(s, "/home/a", now ? 150 * MB : 30 * MB);
    record_add_path(s, "/home/b", now ? 150 * MB : 30 * MB);
    if (now)
        add_source(r, "redis", 200 * MB);
}

static void test_rules__growth_names_the_source_where_no_path_explains_it_alone(void **state)
{
    (void)state;
    check_details(two_things_grew, "+240 MB /home: 300 MB, was 60.0 MB\n"
                                   "+200 MB redis: 200 MB, new\n"
                                   "+120 MB /home/a: 150 MB, was 30.0 MB\n"
                                   "+120 MB /home/b: 150 MB, was 30.0 MB");
}

static void full_lists(struct record *r, bool now)
{
    struct record_source *s = add_source(r, "/home", now ? 500 * MB : 100 * MB);
    for (uint64_t i = 0; i < RECORD_PATHS_MAX - 1; i++) {
        char path[40];
        snprintf(path, sizeof path, "/home/%llu", (unsigned long long)i);
        record_add_path(s, path, 2 * MB + i);
    }
    record_add_path(s, now ? "/home/new" : "/home/old", now ? 400 * MB : 3 * MB);
}

static void test_rules__of_a_path_that_was_not_listed_before_only_a_bound_is_known(void **state)
{
    (void)state;
    check_details(full_lists, "+398 MB /home/new: 400 MB, was at most 2.0 MB");
}

static void no_paths_then(struct record *r, bool now)
{
    struct record_source *s = add_source(r, "/home", now ? 500 * MB : 100 * MB);
    if (now)
        record_add_path(s, "/home/a", 480 * MB);
}

static void test_rules__paths_that_only_one_run_names_say_nothing(void **state)
{
    (void)state;
    check_details(no_paths_then, "+400 MB /home: 500 MB, was 100 MB");
}

static void many(struct record *r, bool now)
{
    for (uint64_t i = 0; i < 20; i++) {
        char name[20];
        snprintf(name, sizeof name, "db%02llu", (unsigned long long)i);
        add_source(r, name, now ? (20 + i) * MB : MB);
    }
}

static void test_rules__at_most_eight_things_are_named_the_largest_first(void **state)
{
    (void)state;
    check_details(many, "+38.0 MB db19: 39.0 MB, was 1.0 MB\n+37.0 MB db18: 38.0 MB, was 1.0 MB\n"
                        "+36.0 MB db17: 37.0 MB, was 1.0 MB\n+35.0 MB db16: 36.0 MB, was 1.0 MB\n"
                        "+34.0 MB db15: 35.0 MB, was 1.0 MB\n+33.0 MB db14: 34.0 MB, was 1.0 MB\n"
                        "+32.0 MB db13: 33.0 MB, was 1.0 MB\n+31.0 MB db12: 32.0 MB, was 1.0 MB");
}

/* --- dumps, and what shrank --- */

static void one_database_grew(struct record *r, bool now)
{
    struct record_source *s = add_source(r, "/postgres/db", now ? 460 * MB : 70 * MB);
    record_add_dump(s, "/postgres/db/erp.dump", 50 * MB, false);
    record_add_dump(s, "/postgres/db/shop.dump", now ? 400 * MB : 20 * MB, false);
    if (now)
        record_add_dump(s, "/postgres/db/xnew.dump", 10 * MB, false);
}

static void test_rules__growth_names_the_database(void **state)
{
    (void)state;
    check_details(one_database_grew, "+380 MB /postgres/db/shop.dump: 400 MB, was 20.0 MB\n"
                                     "+10.0 MB /postgres/db/xnew.dump: 10.0 MB, new");
}

static void no_dumps_then(struct record *r, bool now)
{
    struct record_source *s = add_source(r, "/postgres/db", now ? 460 * MB : 60 * MB);
    if (now)
        record_add_dump(s, "/postgres/db/shop.dump", 400 * MB, false);
}

static void test_rules__dumps_that_only_one_run_names_say_nothing(void **state)
{
    (void)state;
    check_details(no_dumps_then, "+400 MB /postgres/db: 460 MB, was 60.0 MB");
}

static void check_shrink(void (*fill)(struct record *r, bool now), const char *expected)
{
    add_runs(9, USUAL, 1000);
    fill(add_run(NOW_MS - 2 * HOUR_MS, USUAL, 1000), false);
    fill(add_run(NOW_MS - HOUR_MS, USUAL / 5, 1000), true);
    const struct finding *f = say("shrink", "config");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_string_equal(f->details, expected);
}

static void databases_shrank(struct record *r, bool now)
{
    struct record_source *s = add_source(r, "/postgres/db", now ? 31 * MB : 90 * MB);
    record_add_dump(s, "/postgres/db/erp.dump", now ? 30 * MB : 20 * MB, false);
    record_add_dump(s, "/postgres/db/shop.dump", now ? 1 * MB : 50 * MB, now);
    if (!now)
        record_add_dump(s, "/postgres/db/wiki.dump", 20 * MB, false);
    s = add_source(r, "/home", now ? 101 * MB : 110 * MB);
    record_add_path(s, "/home/a", 100 * MB);
    if (!now)
        record_add_path(s, "/home/b", 10 * MB);
    struct record_source *redis = add_source(r, "redis", now ? 0 : 5 * MB);
    redis->status = now ? RECORD_SKIPPED : RECORD_COMPLETED;
}

static void test_rules__shrinking_names_what_shrank(void **state)
{
    (void)state;
    check_shrink(databases_shrank, "-49.0 MB /postgres/db/shop.dump: 1.0 MB, was 50.0 MB\n"
                                   "-20.0 MB /postgres/db/wiki.dump: not there, was 20.0 MB\n"
                                   "-9.0 MB /home/b: at most 1.0 MB, was 10.0 MB\n"
                                   "-5.0 MB redis: not there, was 5.0 MB");
}

static void nothing_named(struct record *r, bool now)
{
    (void)r;
    (void)now;
}

static void test_rules__without_sources_nothing_is_named(void **state)
{
    (void)state;
    check_details(nothing_named, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rules__too_few_runs_have_no_usual_size),
        TEST(test_rules__growth_at_and_above_its_thresholds),
        TEST(test_rules__growth_is_over_at_half_its_threshold),
        TEST(test_rules__growth_can_be_switched_off),
        TEST(test_rules__shrinking_at_and_below_its_thresholds),
        TEST(test_rules__a_small_change_is_none),
        TEST(test_rules__what_was_empty_and_is_not_has_grown),
        TEST(test_rules__a_new_size_that_three_runs_agree_on_is_usual),
        TEST(test_rules__ups_and_downs_are_measured_against_the_middle),
        TEST(test_rules__runs_that_lack_something_are_not_usual),
        TEST(test_rules__a_disabled_tier_does_not_grow),
        TEST(test_rules__growth_of_absurd_sizes_overflows_nothing),
        TEST(test_rules__growth_names_the_innermost_directory_that_explains_it),
        TEST(test_rules__growth_names_the_source_where_no_path_explains_it_alone),
        TEST(test_rules__of_a_path_that_was_not_listed_before_only_a_bound_is_known),
        TEST(test_rules__paths_that_only_one_run_names_say_nothing),
        TEST(test_rules__at_most_eight_things_are_named_the_largest_first),
        TEST(test_rules__growth_names_the_database),
        TEST(test_rules__dumps_that_only_one_run_names_say_nothing),
        TEST(test_rules__shrinking_names_what_shrank),
        TEST(test_rules__without_sources_nothing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
