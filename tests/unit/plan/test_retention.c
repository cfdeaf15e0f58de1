/*
 * Retention rules. What each policy keeps here, and for which reasons, agrees with restic's `forget --dry-run --json`.
 */
#include "plan/retention.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

enum { MAX_ITEMS = 32 };

struct given {
    const char *time; /* "2016-01-04 12:24:03", UTC */
    const char *tags; /* comma-separated; NULL: none */
};

struct fixture {
    struct retention_item items[MAX_ITEMS];
    struct strlist tags[MAX_ITEMS];
    size_t count;
};

static struct timespec utc(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%d %H:%M:%S", &tm));
    return (struct timespec){timegm(&tm), 0};
}

static void split_tags(struct strlist *out, const char *text)
{
    for (const char *p = text; p != NULL;) {
        const char *comma = strchr(p, ',');
        strlist_add_len(out, p, comma != NULL ? (size_t)(comma - p) : strlen(p));
        p = comma != NULL ? comma + 1 : NULL;
    }
}

static struct fixture *fixture_new(const struct given *given, size_t count)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    assert_true(count <= MAX_ITEMS);
    f->count = count;
    for (size_t i = 0; i < count; i++) {
        f->items[i].time = utc(given[i].time);
        split_tags(&f->tags[i], given[i].tags);
        f->items[i].tags = &f->tags[i];
    }
    return f;
}

static void fixture_free(struct fixture *f)
{
    retention_release(f->items, f->count);
    for (size_t i = 0; i < f->count; i++)
        strlist_release(&f->tags[i]);
    free(f);
}

static struct retention_duration duration(const char *text)
{
    struct retention_duration d;
    struct err err;
    assert_int_equal(retention_parse_duration(text, &d, &err), 0);
    return d;
}

/* "0:last snapshot,daily snapshot 3:…" of the items kept. The caller frees it. */
static char *kept(const struct retention_policy *p, struct fixture *f)
{
    retention_apply(p, f->items, f->count);
    struct buf out;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < f->count; i++) {
        const struct strlist *reasons = &f->items[i].reasons;
        assert_int_equal(f->items[i].keep, reasons->count > 0);
        if (reasons->count > 0)
            buf_printf(&out, "%s%zu:", out.len > 0 ? " " : "", i);
        for (size_t r = 0; r < reasons->count; r++)
            buf_printf(&out, "%s%s", r > 0 ? "," : "", reasons->items[r]);
    }
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}

static void expect(const struct retention_policy *p, const struct given *given, size_t count, const char *expected)
{
    struct fixture *f = fixture_new(given, count);
    char *text = kept(p, f);
    assert_string_equal(text, expected);
    free(text);
    fixture_free(f);
}

/* A busy January, and a tail that reaches back over two turns of the year. Newest first, which the rules don't need. */
static const struct given history[] = {
    {"2016-01-18 12:02:03", NULL},      /* 0, Monday */
    {"2016-01-12 21:08:03", "foo,bar"}, /* 1 */
    {"2016-01-12 21:02:03", NULL},      /* 2 */
    {"2016-01-09 21:02:03", "foo"},     /* 3 */
    {"2016-01-04 12:30:03", NULL},      /* 4, Monday of ISO week 1 */
    {"2016-01-04 12:24:03", "bar"},     /* 5 */
    {"2016-01-04 11:23:03", NULL},      /* 6 */
    {"2016-01-03 07:02:03", NULL},      /* 7, Sunday of ISO week 53 of 2015 */
    {"2016-01-01 01:03:03", NULL},      /* 8 */
    {"2015-12-31 01:02:03", NULL},      /* 9, in that week too */
    {"2015-11-22 10:20:30", "foo,bar"}, /* 10 */
    {"2015-11-21 10:20:30", NULL},      /* 11 */
    {"2014-11-22 10:20:30", NULL},      /* 12 */
    {"2014-08-13 10:20:31", NULL},      /* 13 */
    {"2014-08-13 10:20:30", NULL},      /* 14 */
};
#define EXPECT_HISTORY(policy, text) expect(policy, history, sizeof history / sizeof *history, text)

static void test_retention__keeps_the_last(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.last = 3}), "0:last snapshot 1:last snapshot 2:last snapshot");
}

static void test_retention__keeps_the_newest_of_each_hour(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.hourly = 5}),
                   "0:hourly snapshot 1:hourly snapshot 3:hourly snapshot 4:hourly snapshot 6:hourly snapshot");
}

static void test_retention__keeps_the_newest_of_each_day(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.daily = 4}),
                   "0:daily snapshot 1:daily snapshot 3:daily snapshot 4:daily snapshot");
}

static void test_retention__weeks_are_iso_weeks_and_cross_the_year(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.weekly = 5}),
                   "0:weekly snapshot 1:weekly snapshot 3:weekly snapshot 7:weekly snapshot 10:weekly snapshot");
}

static void test_retention__keeps_the_newest_of_each_month(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.monthly = 4}),
                   "0:monthly snapshot 9:monthly snapshot 10:monthly snapshot 12:monthly snapshot");
}

static void test_retention__keeps_the_oldest_while_counts_are_left(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.yearly = 10}),
                   "0:yearly snapshot 9:yearly snapshot 12:yearly snapshot 14:oldest yearly snapshot");
    EXPECT_HISTORY((&(struct retention_policy){.yearly = 3}), "0:yearly snapshot 9:yearly snapshot 12:yearly snapshot");
}

static void test_retention__rules_add_up(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.last = 2, .daily = 3, .weekly = 2, .monthly = 2, .yearly = 2}),
                   "0:last snapshot,daily snapshot,weekly snapshot,monthly snapshot,yearly snapshot "
                   "1:last snapshot,daily snapshot,weekly snapshot 3:daily snapshot "
                   "9:monthly snapshot,yearly snapshot");
}

static void test_retention__minus_one_keeps_all_of_a_kind(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.monthly = -1}),
                   "0:monthly snapshot 9:monthly snapshot 10:monthly snapshot 12:monthly snapshot 13:monthly snapshot "
                   "14:oldest monthly snapshot");
    struct fixture *f = fixture_new(history, sizeof history / sizeof *history);
    retention_apply(&(struct retention_policy){.last = -1}, f->items, f->count);
    for (size_t i = 0; i < f->count; i++)
        assert_true(f->items[i].keep);
    fixture_free(f);
}

static void test_retention__keeps_snapshots_with_all_tags_of_a_list(void **state)
{
    (void)state;
    struct strlist lists[2] = {{0}, {0}};
    strlist_add(&lists[0], "foo");
    strlist_add(&lists[0], "bar");
    strlist_add(&lists[1], "bar");
    struct retention_policy p = {.keep_tags = lists, .keep_tag_count = 1};
    EXPECT_HISTORY(&p, "1:has tags [foo, bar] 10:has tags [foo, bar]");
    p.keep_tag_count = 2;
    EXPECT_HISTORY(&p, "1:has tags [foo, bar],has tags [bar] 5:has tags [bar] 10:has tags [foo, bar],has tags [bar]");
    strlist_release(&lists[0]);
    strlist_release(&lists[1]);
}

static void test_retention__empty_tag_means_untagged(void **state)
{
    (void)state;
    static const struct given some[] = {{"2020-01-03 00:00:00", "a"}, {"2020-01-02 00:00:00", NULL}};
    struct strlist list = {0};
    strlist_add(&list, "");
    struct retention_policy p = {.keep_tags = &list, .keep_tag_count = 1};
    expect(&p, some, 2, "1:has tags []");
    struct fixture *f = fixture_new(some, 2);
    f->items[1].tags = NULL;
    retention_apply(&p, f->items, f->count);
    assert_true(f->items[1].keep);
    fixture_free(f);
    strlist_release(&list);
}

static void test_retention__within_counts_back_from_the_newest(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.within = duration("9d")}),
                   "0:within 9d 1:within 9d 2:within 9d 3:within 9d");
    /* The limit itself lies outside. */
    static const struct given edge[] = {
        {"2020-03-02 05:00:00", NULL}, {"2020-03-01 03:00:01", NULL}, {"2020-03-01 03:00:00", NULL}};
    expect((&(struct retention_policy){.within = duration("1d2h")}), edge, 3, "0:within 1d2h 1:within 1d2h");
}

static void test_retention__within_days_that_a_month_lacks_run_over(void **state)
{
    (void)state;
    /* A month before March 31 is "February 31", which is March 2 in a leap year. */
    static const struct given some[] = {
        {"2020-03-31 00:00:00", NULL}, {"2020-03-02 00:00:01", NULL}, {"2020-03-01 23:59:59", NULL}};
    expect((&(struct retention_policy){.within = duration("1m")}), some, 3, "0:within 1m 1:within 1m");
    /* The turn of the year, and a leap day minus a year. */
    static const struct given year[] = {{"2020-02-29 00:00:00", NULL},
                                        {"2019-03-01 00:00:01", NULL},
                                        {"2019-02-28 12:00:00", NULL},
                                        {"2018-12-01 00:00:00", NULL}};
    expect((&(struct retention_policy){.within = duration("1y")}), year, 4, "0:within 1y 1:within 1y");
    expect((&(struct retention_policy){.within = duration("14m29d")}), year, 4,
           "0:within 14m29d 1:within 14m29d 2:within 14m29d 3:within 14m29d");
}

static void test_retention__within_buckets(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.within_hourly = duration("7d"),
                                               .within_daily = duration("10d"),
                                               .within_weekly = duration("1m"),
                                               .within_monthly = duration("3m"),
                                               .within_yearly = duration("1y")}),
                   "0:hourly within 7d,daily within 10d,weekly within 1m,monthly within 3m,yearly within 1y "
                   "1:hourly within 7d,daily within 10d,weekly within 1m 3:daily within 10d,weekly within 1m "
                   "7:weekly within 1m 9:monthly within 3m,yearly within 1y 10:monthly within 3m");
}

static void test_retention__within_buckets_keep_the_oldest_in_range(void **state)
{
    (void)state;
    EXPECT_HISTORY((&(struct retention_policy){.within_yearly = duration("9999y")}),
                   "0:yearly within 9999y 9:yearly within 9999y 12:yearly within 9999y 14:oldest yearly within 9999y");
}

static void test_retention__a_future_snapshot_does_not_move_the_range(void **state)
{
    (void)state;
    static const struct given some[] = {
        {"2030-01-01 00:00:00", NULL}, {"2020-01-02 00:00:00", NULL}, {"2020-01-01 00:00:00", NULL}};
    struct retention_policy p = {.within = duration("36h"), .now = utc("2020-01-05 00:00:00")};
    expect(&p, some, 3, "0:within 36h 1:within 36h 2:within 36h");
    p.now = (struct timespec){0};
    expect(&p, some, 3, "0:within 36h");
    p.now = utc("2019-01-01 00:00:00"); /* all lie in the future: the range has no start, nothing is lost */
    expect(&p, some, 3, "0:within 36h 1:within 36h 2:within 36h");
}

static void test_retention__order_of_items_is_free_and_kept(void **state)
{
    (void)state;
    static const struct given some[] = {
        {"2020-01-01 10:00:00", NULL}, {"2020-01-03 10:00:00", NULL}, {"2020-01-02 10:00:00", NULL}};
    expect((&(struct retention_policy){.last = 1}), some, 3, "1:last snapshot");
    expect((&(struct retention_policy){.daily = 2}), some, 3, "1:daily snapshot 2:daily snapshot");
}

static void test_retention__equal_times_keep_their_order(void **state)
{
    (void)state;
    static const struct given some[] = {
        {"2020-01-01 10:00:00", NULL}, {"2020-01-01 10:00:00", NULL}, {"2020-01-01 10:00:00", NULL}};
    expect((&(struct retention_policy){.last = 2}), some, 3, "0:last snapshot 1:last snapshot");
}

static void test_retention__nanoseconds_decide(void **state)
{
    (void)state;
    static const struct given some[] = {{"2020-01-01 10:00:00", NULL}, {"2020-01-01 10:00:00", NULL}};
    struct fixture *f = fixture_new(some, 2);
    f->items[1].time.tv_nsec = 1;
    char *text = kept(&(struct retention_policy){.last = 1}, f);
    assert_string_equal(text, "1:last snapshot");
    free(text);
    f->items[0].time.tv_nsec = 2;
    text = kept(&(struct retention_policy){.last = 1}, f);
    assert_string_equal(text, "0:last snapshot");
    free(text);
    fixture_free(f);
}

static void test_retention__buckets_follow_the_stored_offset(void **state)
{
    (void)state;
    /* 23:30 and 00:30 UTC are one day at +01:00. */
    static const struct given some[] = {
        {"2020-01-02 00:30:00", NULL}, {"2020-01-01 23:30:00", NULL}, {"2019-12-30 12:00:00", NULL}};
    struct retention_policy p = {.daily = 2};
    expect(&p, some, 3, "0:daily snapshot 1:daily snapshot");
    struct fixture *f = fixture_new(some, 3);
    for (size_t i = 0; i < f->count; i++)
        f->items[i].utc_offset_s = 3600;
    char *text = kept(&p, f);
    assert_string_equal(text, "0:daily snapshot 2:daily snapshot");
    free(text);
    fixture_free(f);
}

static void test_retention__times_before_1970(void **state)
{
    (void)state;
    static const struct given some[] = {{"1969-12-31 23:59:59", NULL}, {"1969-12-31 00:00:00", NULL},
                                        {"1969-12-30 23:59:59", NULL}, {"1900-03-01 00:00:00", NULL},
                                        {"1900-02-28 23:59:59", NULL}, {"1600-02-29 12:00:00", NULL}};
    expect((&(struct retention_policy){.daily = -1}), some, 6,
           "0:daily snapshot 2:daily snapshot 3:daily snapshot 4:daily snapshot 5:daily snapshot");
    expect((&(struct retention_policy){.monthly = -1}), some, 6,
           "0:monthly snapshot 3:monthly snapshot 4:monthly snapshot 5:monthly snapshot");
}

static void test_retention__every_day_of_four_centuries_has_its_own_bucket(void **state)
{
    (void)state;
    /* Walks the calendar against the C library's, month by month. */
    struct retention_item item[2] = {{.keep = false}, {.keep = false}};
    for (time_t day = -134774; day < 18000; day += 27) {
        time_t a = day * 86400, b = a + (time_t)27 * 86400;
        struct tm ta, tb;
        assert_non_null(gmtime_r(&a, &ta));
        assert_non_null(gmtime_r(&b, &tb));
        item[0].time.tv_sec = b;
        item[1].time.tv_sec = a;
        retention_apply(&(struct retention_policy){.monthly = 2}, item, 2);
        bool same = ta.tm_year == tb.tm_year && ta.tm_mon == tb.tm_mon;
        assert_string_equal(item[1].reasons.items[0], same ? "oldest monthly snapshot" : "monthly snapshot");
    }
    retention_release(item, 2);
}

static void test_retention__an_empty_policy_keeps_everything(void **state)
{
    (void)state;
    static const struct given some[] = {{"2020-01-01 10:00:00", NULL}, {"2020-01-02 10:00:00", "a"}};
    struct retention_policy p = {0};
    assert_true(retention_is_empty(&p));
    expect(&p, some, 2, "0:policy is empty 1:policy is empty");
    retention_apply(&p, NULL, 0);
}

static void test_retention__any_rule_makes_a_policy(void **state)
{
    (void)state;
    struct strlist list = {0};
    assert_false(retention_is_empty(&(struct retention_policy){.yearly = -1}));
    assert_false(retention_is_empty(&(struct retention_policy){.within_yearly = duration("1y")}));
    assert_false(retention_is_empty(&(struct retention_policy){.within = duration("1h")}));
    assert_false(retention_is_empty(&(struct retention_policy){.keep_tags = &list, .keep_tag_count = 1}));
    assert_true(retention_is_empty(&(struct retention_policy){.now = {5, 5}}));
}

static void test_retention__applying_again_starts_afresh(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(history, sizeof history / sizeof *history);
    free(kept(&(struct retention_policy){.last = -1}, f));
    char *text = kept(&(struct retention_policy){.last = 1}, f);
    assert_string_equal(text, "0:last snapshot");
    free(text);
    fixture_free(f);
}

static void test_retention__parses_durations(void **state)
{
    (void)state;
    struct retention_duration d = duration("2y5m7d3h");
    assert_true(d.years == 2 && d.months == 5 && d.days == 7 && d.hours == 3);
    d = duration("37h1y");
    assert_true(d.years == 1 && d.months == 0 && d.days == 0 && d.hours == 37);
}

static void test_retention__rejects_malformed_durations(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "0d", "-1d", "1", "d", "1w", "1d2", "1d 2h", "1d1d", "1000001d", "99999999999999999999h", "0x1h"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct retention_duration d = {9, 9, 9, 9};
        struct err err;
        assert_int_equal(retention_parse_duration(bad[i], &d, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, bad[i]));
        assert_int_equal(d.hours, 9);
    }
}

static void expect_description(const struct retention_policy *p, const char *expected)
{
    struct buf out;
    buf_init(&out, 4096);
    retention_describe(p, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_release(&out);
}

static void test_retention__describes_policies(void **state)
{
    (void)state;
    struct strlist lists[2] = {{0}, {0}};
    strlist_add(&lists[0], "foo");
    strlist_add(&lists[0], "bar");
    strlist_add(&lists[1], "baz");
    expect_description(&(struct retention_policy){0}, "keep everything");
    expect_description(&(struct retention_policy){.last = 1, .daily = 7, .yearly = -1},
                       "keep 1 latest, 7 daily, all yearly snapshots");
    expect_description(&(struct retention_policy){.within = duration("7d")},
                       "keep all snapshots within 7d of the newest");
    expect_description(&(struct retention_policy){.keep_tags = lists, .keep_tag_count = 2},
                       "keep all snapshots with tags [[foo, bar] [baz]]");
    expect_description(&(struct retention_policy){.hourly = 3,
                                                  .within_daily = duration("1y2m"),
                                                  .within_weekly = duration("2d3h"),
                                                  .keep_tags = lists,
                                                  .keep_tag_count = 1,
                                                  .within = duration("5h")},
                       "keep 3 hourly snapshots, daily snapshots within 1y2m, weekly snapshots within 2d3h and all "
                       "snapshots with tags [[foo, bar]] and all snapshots within 5h of the newest");
    strlist_release(&lists[0]);
    strlist_release(&lists[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retention__keeps_the_last),
        cmocka_unit_test(test_retention__keeps_the_newest_of_each_hour),
        cmocka_unit_test(test_retention__keeps_the_newest_of_each_day),
        cmocka_unit_test(test_retention__weeks_are_iso_weeks_and_cross_the_year),
        cmocka_unit_test(test_retention__keeps_the_newest_of_each_month),
        cmocka_unit_test(test_retention__keeps_the_oldest_while_counts_are_left),
        cmocka_unit_test(test_retention__rules_add_up),
        cmocka_unit_test(test_retention__minus_one_keeps_all_of_a_kind),
        cmocka_unit_test(test_retention__keeps_snapshots_with_all_tags_of_a_list),
        cmocka_unit_test(test_retention__empty_tag_means_untagged),
        cmocka_unit_test(test_retention__within_counts_back_from_the_newest),
        cmocka_unit_test(test_retention__within_days_that_a_month_lacks_run_over),
        cmocka_unit_test(test_retention__within_buckets),
        cmocka_unit_test(test_retention__within_buckets_keep_the_oldest_in_range),
        cmocka_unit_test(test_retention__a_future_snapshot_does_not_move_the_range),
        cmocka_unit_test(test_retention__order_of_items_is_free_and_kept),
        cmocka_unit_test(test_retention__equal_times_keep_their_order),
        cmocka_unit_test(test_retention__nanoseconds_decide),
        cmocka_unit_test(test_retention__buckets_follow_the_stored_offset),
        cmocka_unit_test(test_retention__times_before_1970),
        cmocka_unit_test(test_retention__every_day_of_four_centuries_has_its_own_bucket),
        cmocka_unit_test(test_retention__an_empty_policy_keeps_everything),
        cmocka_unit_test(test_retention__any_rule_makes_a_policy),
        cmocka_unit_test(test_retention__applying_again_starts_afresh),
        cmocka_unit_test(test_retention__parses_durations),
        cmocka_unit_test(test_retention__rejects_malformed_durations),
        cmocka_unit_test(test_retention__describes_policies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
