/* The pure parts of a run: sizes, due times, retention of archives, forecasts, tidying. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "run/archive_policy.h"
#include "run/forecast.h"
#include "run/run.h"
#include "run/size_rule.h"
#include "run/tidy_state.h"
#include "store/scratch.h"

static const int64_t HOUR = 3600000, DAY = 24 * 3600000;

/* --- sizes */

static void test_size_rule__knows_empty_shrunken_and_fine(void **state)
{
    (void)state;
    char why[SIZE_RULE_MESSAGE_BYTES];
    assert_int_equal(size_rule_check(0, 0, why), SIZE_EMPTY);
    assert_string_equal(why, "empty");
    assert_int_equal(size_rule_check(1, 0, why), SIZE_FINE);
    assert_string_equal(why, "");
    assert_int_equal(size_rule_check(100, 1000, why), SIZE_FINE);
    assert_int_equal(size_rule_check(99, 1000, why), SIZE_SHRUNKEN);
    assert_string_equal(why, "only 99 B, and was 1.0 kB before");
    assert_int_equal(size_rule_check(1200000, 850000000, why), SIZE_SHRUNKEN);
    assert_string_equal(why, "only 1.2 MB, and was 850 MB before");
    assert_int_equal(size_rule_check(UINT64_MAX, 1, why), SIZE_FINE);
}

/* A run of "/db" that listed so much of two dumps; 0: not that one. */
static struct record_source *add_dumps(struct record_list *l, enum record_status status, uint64_t a, uint64_t b)
{
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    struct record *r = &l->items[l->count++];
    *r = (struct record){.status = status};
    record_add_source(r, "/files")->bytes = 7777;
    struct record_source *s = record_add_source(r, "/db");
    s->status = status;
    s->bytes = a + b;
    if (a > 0)
        record_add_dump(s, "/db/a", a, false);
    if (b > 0)
        record_add_dump(s, "/db/b", b, false);
    return s;
}

static void test_size_rule__remembers_each_dump_from_when_it_was_fine(void **state)
{
    (void)state;
    struct record_list l = {0};
    assert_null(size_rule_last_list(&l, "/db"));
    assert_int_equal(size_rule_last_dump(&l, "/db", "/db/a"), 0);
    add_dumps(&l, RECORD_COMPLETED, 100, 200);
    add_dumps(&l, RECORD_COMPLETED, 110, 0); /* b was dropped */
    add_dumps(&l, RECORD_FAILED, 0, 0);      /* it broke off */
    assert_int_equal(size_rule_last_dump(&l, "/db", "/db/a"), 110);
    assert_int_equal(size_rule_last_dump(&l, "/db", "/db/b"), 200);
    assert_int_equal(size_rule_last_dump(&l, "/db", "/db/c"), 0);
    assert_int_equal(size_rule_last_dump(&l, "/other", "/db/a"), 0);
    assert_int_equal(size_rule_last_list(&l, "/db")->dump_count, 1);
    assert_int_equal(size_rule_last_source(&l, "/db"), 110);
    /* Of a run that failed since one was too small, the other counts. */
    add_dumps(&l, RECORD_FAILED, 1, 300)->dumps[0].suspect = true;
    assert_int_equal(size_rule_last_dump(&l, "/db", "/db/a"), 110);
    assert_int_equal(size_rule_last_dump(&l, "/db", "/db/b"), 300);
    assert_int_equal(size_rule_last_source(&l, "/db"), 110);
    assert_int_equal(size_rule_last_list(&l, "/db")->dump_count, 2);
    /* What the plan lets pass with a word is the measure from then on. */
    add_dumps(&l, RECORD_COMPLETED, 2, 300)->dumps[0].suspect = true;
    assert_int_equal(size_rule_last_dump(&l, "/db", "/db/a"), 2);
    record_list_release(&l);
}

/* --- due */

static bool due(const struct plan_tier *t, int64_t started_ms, int64_t now_ms, int64_t *next)
{
    struct record r = {.status = RECORD_STARTED,
                       .time = {.tv_sec = started_ms / 1000, .tv_nsec = started_ms % 1000 * 1000000}};
    struct record_list l = {.items = &r, .count = started_ms != 0};
    return run_tier_due(t, &l, now_ms, next);
}

static void test_due__after_its_interval_or_a_little_before(void **state)
{
    (void)state;
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = (uint64_t)(2 * HOUR)}};
    int64_t start = 1770192000000, next;
    assert_false(due(&t, start, start + HOUR, &next));
    assert_true(next == start + 2 * HOUR);
    assert_true(due(&t, start, start + 2 * HOUR, NULL));
    assert_true(due(&t, start, start + 2 * HOUR - 5 * 60000, NULL));
    assert_false(due(&t, start, start + 2 * HOUR - 5 * 60000 - 1, NULL));
    assert_true(due(&t, start, start + 40 * HOUR, &next));
    t.schedule.every_ms = 600000; /* the slack is a twentieth */
    assert_false(due(&t, start, start + 569000, NULL));
    assert_true(due(&t, start, start + 571000, NULL));
}

static bool due_in_time(const struct plan_tier *t, int64_t age_ms, int64_t period_ms, unsigned late_percent)
{
    struct record r = {.status = RECORD_STARTED, .time = {.tv_sec = 1770192000}};
    const struct record_list l = {.items = &r, .count = 1};
    return run_tier_due_by_next_start(t, &l, 1770192000000 + age_ms, (uint64_t)period_ms, late_percent);
}

static void test_due__now_when_it_would_be_late_at_the_next_start(void **state)
{
    (void)state;
    enum { MINUTE = 60000 };
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = (uint64_t)(2 * HOUR)}};
    struct record_list none = {0};
    assert_false(due_in_time(&t, 24 * MINUTE, 2 * HOUR, 25)); /* at the next one its age is 2 h 24 min */
    assert_true(due_in_time(&t, 25 * MINUTE, 2 * HOUR, 25));  /* 2 h 25 min, and it takes its time */
    assert_false(due_in_time(&t, 25 * MINUTE, HOUR, 25));     /* the next one comes before */
    assert_false(due_in_time(&t, 25 * MINUTE, 2 * HOUR, 50));
    assert_true(due_in_time(&t, 25 * MINUTE, 2 * HOUR, 0)); /* lateness is no alert: a quarter */
    assert_false(due_in_time(&t, HOUR, 0, 25));             /* nobody knows when we are started */
    assert_false(due_in_time(&t, -HOUR, 2 * HOUR, 25));     /* a record from the future */
    assert_false(run_tier_due_by_next_start(&t, &none, 1770192000000, (uint64_t)(2 * HOUR), 25)); /* it is due anyway */
    t.disabled = true;
    assert_false(due_in_time(&t, HOUR, 2 * HOUR, 25));
    t = (struct plan_tier){.schedule = {.kind = SCHEDULE_CRON}};
    assert_false(due_in_time(&t, HOUR, 2 * HOUR, 25));
}

static void test_due__at_once_when_it_never_ran(void **state)
{
    (void)state;
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = (uint64_t)(2 * HOUR)}};
    int64_t next;
    assert_true(due(&t, 0, 1770192000000, &next));
    assert_true(next == 1770192000000);
    t.disabled = true;
    assert_false(due(&t, 0, 1770192000000, &next));
    assert_true(next == 0);
    t = (struct plan_tier){.schedule = {.kind = SCHEDULE_NONE}};
    assert_false(due(&t, 0, 1770192000000, &next));
    assert_true(next == 0);
}

static void test_due__a_record_from_the_future_stops_nothing(void **state)
{
    (void)state;
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_EVERY, .every_ms = (uint64_t)(2 * HOUR)}};
    assert_true(due(&t, 1770192000000 + 300 * DAY, 1770192000000, NULL));
}

static void test_due__cron_without_slack(void **state)
{
    (void)state;
    struct plan_tier t = {.schedule = {.kind = SCHEDULE_CRON, .zone = (char *)(uintptr_t) "UTC"}};
    struct err err = {0};
    int64_t sunday = 1769904000000, next; /* 2026-02-01 00:00 UTC */
    assert_int_equal(cron_parse("0 0 * * 0", &t.schedule.cron, &err), 0);
    assert_false(due(&t, sunday + 1000, sunday + 7 * DAY - 1, &next));
    assert_true(next == sunday + 7 * DAY);
    assert_true(due(&t, sunday + 1000, sunday + 7 * DAY, NULL));
    assert_true(due(&t, sunday + 1000, sunday + 9 * DAY, NULL)); /* missed, and caught up */
}

/* --- archives */

enum { ITEMS_MAX = 500 };
static struct retention_item items[ITEMS_MAX];

static time_t utc(int year, int month, int day, int hour)
{
    struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};
    return timegm(&tm);
}

static bool kept(time_t t, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].time.tv_sec == t)
            return items[i].keep;
    fail_msg("there is no such item");
    return false;
}

static size_t kept_count(size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += items[i].keep;
    return n;
}

static size_t each(time_t from, time_t to, time_t step)
{
    size_t n = 0;
    for (time_t t = from; t <= to; t += step)
        items[n++] = (struct retention_item){.time = {.tv_sec = t}};
    return n;
}

static void test_archive_policy__four_weeks_and_a_year_of_first_sundays(void **state)
{
    (void)state;
    /* Sundays of 2025 and 2026, up to 29 March 2026. */
    size_t n = each(utc(2025, 1, 5, 0), utc(2026, 3, 29, 0), 7 * 86400);
    const struct retention_policy p = {.weekly = 4, .monthly = 12};
    archive_policy_apply(&p, items, n);
    assert_true(kept(utc(2026, 3, 29, 0), n) && kept(utc(2026, 3, 22, 0), n) && kept(utc(2026, 3, 15, 0), n) &&
                kept(utc(2026, 3, 8, 0), n));
    assert_true(kept(utc(2026, 3, 1, 0), n) && kept(utc(2026, 2, 1, 0), n) && kept(utc(2026, 1, 4, 0), n));
    assert_true(kept(utc(2025, 4, 6, 0), n));
    assert_false(kept(utc(2026, 2, 22, 0), n) || kept(utc(2026, 2, 8, 0), n) || kept(utc(2025, 3, 2, 0), n));
    assert_int_equal(kept_count(n), 4 + 12);
}

/* What a policy kept yesterday and will want next month, it must not lose in between. */
static void test_archive_policy__first_sundays_survive_week_after_week(void **state)
{
    (void)state;
    bool gone[120] = {false};
    const struct retention_policy p = {.weekly = 4, .monthly = 12};
    for (int week = 0; week < 110; week++) {
        size_t n = 0, index[120];
        for (int i = 0; i <= week; i++)
            if (!gone[i]) {
                index[n] = (size_t)i;
                items[n++] = (struct retention_item){.time = {.tv_sec = utc(2024, 1, 7, 0) + i * 7 * 86400}};
            }
        archive_policy_apply(&p, items, n);
        for (size_t i = 0; i < n; i++)
            gone[index[i]] = !items[i].keep;
    }
    int months = 0;
    for (int i = 0; i < 110; i++) {
        time_t t = utc(2024, 1, 7, 0) + i * 7 * 86400;
        struct tm tm;
        gmtime_r(&t, &tm);
        if (!gone[i] && tm.tm_mday <= 7)
            months++;
    }
    assert_int_equal(months, 12);
}

static void test_archive_policy__a_month_without_a_first_sunday_has_its_first(void **state)
{
    (void)state;
    size_t n = 0;
    items[n++] = (struct retention_item){.time = {.tv_sec = utc(2026, 1, 20, 3)}};
    items[n++] = (struct retention_item){.time = {.tv_sec = utc(2026, 1, 25, 3)}};
    items[n++] = (struct retention_item){.time = {.tv_sec = utc(2026, 2, 1, 5)}}; /* the first Sunday, second run */
    items[n++] = (struct retention_item){.time = {.tv_sec = utc(2026, 2, 1, 3)}};
    items[n++] = (struct retention_item){.time = {.tv_sec = utc(2026, 2, 2, 3)}};
    const struct retention_policy p = {.monthly = 2};
    archive_policy_apply(&p, items, n);
    assert_true(kept(utc(2026, 1, 20, 3), n) && kept(utc(2026, 2, 1, 3), n));
    assert_true(kept(utc(2026, 2, 2, 3), n)); /* the newest of all */
    assert_int_equal(kept_count(n), 3);
}

static void test_archive_policy__sundays_are_local(void **state)
{
    (void)state;
    /* Midnight in Berlin, Sunday 2026-02-01, is Saturday evening in UTC. */
    items[0] = (struct retention_item){.time = {.tv_sec = utc(2026, 1, 31, 23)}, .utc_offset_s = 3600};
    items[1] = (struct retention_item){.time = {.tv_sec = utc(2026, 2, 1, 23)}, .utc_offset_s = 3600};
    items[2] = (struct retention_item){.time = {.tv_sec = utc(2026, 2, 7, 23)}, .utc_offset_s = 3600};
    const struct retention_policy p = {.monthly = 1};
    archive_policy_apply(&p, items, 3);
    assert_true(items[0].keep && !items[1].keep && items[2].keep);
}

static void test_archive_policy__keeps_all_without_a_policy_and_the_newest_always(void **state)
{
    (void)state;
    const struct retention_policy none = {0}, daily = {.daily = 3};
    size_t n = each(utc(2026, 1, 1, 0), utc(2026, 1, 20, 0), 6 * 3600);
    archive_policy_apply(&none, items, n);
    assert_int_equal(kept_count(n), n);
    archive_policy_apply(&daily, items, n);
    assert_int_equal(kept_count(n), 3);
    assert_true(kept(utc(2026, 1, 20, 0), n));
    archive_policy_apply(&daily, items, 0);
    archive_policy_apply(&daily, items, 1);
    assert_true(items[0].keep);
}

/* --- forecasts */

static struct forecast_point points[ITEMS_MAX];

static size_t growing(size_t count, double per_day, double noise)
{
    for (size_t i = 0; i < count; i++)
        points[i] = (struct forecast_point){
            .time_ms = 1770000000000 + (int64_t)i * 2 * HOUR,
            .used_bytes = (uint64_t)(1e9 + per_day * (double)i / 12 + (i % 2 == 0 ? noise : -noise))};
    return count;
}

static void test_forecast__a_straight_line_is_carried_on(void **state)
{
    (void)state;
    struct forecast f;
    size_t n = growing(84, 10e6, 0);
    int64_t now = points[n - 1].time_ms;
    forecast_make(points, n, (uint64_t)(points[n - 1].used_bytes + 100e6), now, &f);
    assert_int_equal(f.kind, FORECAST_DATE);
    assert_true(fabs(f.bytes_per_day - 10e6) < 1000);
    assert_true(llabs(f.full_ms - (now + 10 * DAY)) < HOUR);
    assert_true(f.fit > 0.999 && f.points == 84);
    assert_true(llabs(f.earliest_ms - f.full_ms) < HOUR && llabs(f.latest_ms - f.full_ms) < HOUR);
}

static void test_forecast__noise_widens_the_range(void **state)
{
    (void)state;
    struct forecast f, g;
    size_t n = growing(84, 10e6, 5e6);
    forecast_make(points, n, 2000000000, points[n - 1].time_ms, &f);
    growing(84, 10e6, 40e6);
    forecast_make(points, n, 2000000000, points[n - 1].time_ms, &g);
    assert_true(f.earliest_ms < f.full_ms && f.full_ms < f.latest_ms);
    assert_true(g.latest_ms == 0 || g.latest_ms - g.earliest_ms > f.latest_ms - f.earliest_ms);
    assert_true(f.fit > g.fit);
}

static void test_forecast__says_nothing_from_too_little(void **state)
{
    (void)state;
    struct forecast f;
    growing(84, 10e6, 0);
    forecast_make(points, 3, 2000000000, points[3].time_ms, &f);
    assert_int_equal(f.kind, FORECAST_UNKNOWN);
    forecast_make(points, 6, 2000000000, points[6].time_ms, &f); /* ten hours */
    assert_int_equal(f.kind, FORECAST_UNKNOWN);
    forecast_make(points, 0, 0, 0, &f);
    assert_int_equal(f.kind, FORECAST_UNKNOWN);
}

static void test_forecast__never_when_it_does_not_grow(void **state)
{
    (void)state;
    struct forecast f;
    size_t n = growing(84, 0, 0);
    forecast_make(points, n, 2000000000, points[n - 1].time_ms, &f);
    assert_int_equal(f.kind, FORECAST_NEVER);
    growing(84, -3e6, 1e6);
    forecast_make(points, n, 2000000000, points[n - 1].time_ms, &f);
    assert_int_equal(f.kind, FORECAST_NEVER);
    assert_true(f.bytes_per_day < 0);
    growing(84, 1000, 0); /* in thousands of years */
    forecast_make(points, n, 2000000000, points[n - 1].time_ms, &f);
    assert_int_equal(f.kind, FORECAST_NEVER);
}

static void test_forecast__what_is_full_is_full_now(void **state)
{
    (void)state;
    struct forecast f;
    size_t n = growing(84, 10e6, 0);
    forecast_make(points, n, 1000000, points[n - 1].time_ms, &f);
    assert_int_equal(f.kind, FORECAST_DATE);
    assert_true(f.full_ms == points[n - 1].time_ms && f.latest_ms == f.full_ms);
}

static void test_forecast__the_order_of_points_does_not_matter(void **state)
{
    (void)state;
    struct forecast f, g;
    size_t n = growing(84, 10e6, 5e6);
    forecast_make(points, n, 2000000000, points[n - 1].time_ms, &f);
    int64_t now = points[n - 1].time_ms;
    for (size_t i = 0; i < n / 2; i++) {
        struct forecast_point p = points[i];
        points[i] = points[n - 1 - i];
        points[n - 1 - i] = p;
    }
    forecast_make(points, n, 2000000000, now, &g);
    assert_true(llabs(f.full_ms - g.full_ms) < 1000);
}

static void test_forecast__speaks(void **state)
{
    (void)state;
    char text[200];
    setenv("TZ", "UTC", 1);
    struct forecast f = {.kind = FORECAST_UNKNOWN};
    forecast_describe(&f, text, sizeof text);
    assert_string_equal(text, "when it will be full is not known yet");
    f = (struct forecast){.kind = FORECAST_NEVER, .bytes_per_day = -1};
    forecast_describe(&f, text, sizeof text);
    assert_string_equal(text, "not growing");
    f = (struct forecast){.kind = FORECAST_NEVER, .bytes_per_day = 2e5};
    forecast_describe(&f, text, sizeof text);
    assert_string_equal(text, "growing by 200 kB a day");
    f = (struct forecast){.kind = FORECAST_DATE,
                          .bytes_per_day = 12.3e6,
                          .full_ms = 1773446400000,
                          .earliest_ms = 1772323200000,
                          .latest_ms = 1776643200000};
    forecast_describe(&f, text, sizeof text);
    assert_string_equal(text, "full about 2026-03-14 (2026-03-01 to 2026-04-20), growing by 12.3 MB a day");
    f.latest_ms = 0;
    forecast_describe(&f, text, sizeof text);
    assert_string_equal(text, "full about 2026-03-14 (2026-03-01 at the earliest), growing by 12.3 MB a day");
}

static void record_space(const char *dir, const char *tier, int64_t ms, uint64_t free_bytes, uint64_t total_bytes)
{
    struct record r = {.status = RECORD_COMPLETED, .time = {.tv_sec = ms / 1000}};
    r.tier = mem_strdup(tier);
    record_add_destination(&r, "other")->total_bytes = 5;
    struct record_destination *d = record_add_destination(&r, "usb");
    d->free_bytes = free_bytes;
    d->total_bytes = total_bytes;
    assert_int_equal(record_append(dir, &r, NULL), 0);
    record_release(&r);
}

static void test_forecast__from_records_of_the_drive_that_is_there_now(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct plan_destination d = {.name = "usb", .location = "/x", .reserve_bytes = 100000000};
    struct plan_tier tiers[] = {{.name = "a"}, {.name = "b"}};
    struct plan p = {.destinations = &d, .destination_count = 1, .tiers = tiers, .tier_count = 2};
    struct forecast f;
    int64_t start = 1770000000000;
    for (int i = 0; i < 10; i++)
        record_space(dir, "a", start + i * DAY, 10, 1000); /* an older, smaller drive */
    for (int i = 10; i < 30; i++)
        record_space(dir, i % 2 == 0 ? "a" : "b", start + i * DAY, (uint64_t)(1000000000 - i * 10000000), 1000000000);
    forecast_destination(&p, &d, dir, start + 29 * DAY, &f);
    assert_int_equal(f.points, 20);
    assert_int_equal(f.kind, FORECAST_DATE);
    /* 290 MB are used, 900 may be: 61 days. */
    assert_true(llabs(f.full_ms - (start + 90 * DAY)) < DAY);
    scratch_remove(dir);
}

/* --- tidying */

static void test_tidy__once_a_day_or_when_space_is_short(void **state)
{
    (void)state;
    struct tidy_state s = {.removed = 0};
    int64_t now = 1770000000000;
    assert_false(tidy_worth_it(&s, now, 0, 1000, 0));
    s = (struct tidy_state){.removed = 1};
    assert_true(tidy_worth_it(&s, now, 500, 1000, 0)); /* never yet */
    s.last_prune_ms = now - DAY / 2;
    assert_false(tidy_worth_it(&s, now, 500, 1000, 0));
    assert_true(tidy_worth_it(&s, now, 99, 1000, 0));
    assert_true(tidy_worth_it(&s, now, 500, 1000, 300));
    assert_false(tidy_worth_it(&s, now, 0, 0, 0)); /* not known */
    s.last_prune_ms = now - DAY;
    assert_true(tidy_worth_it(&s, now, 500, 1000, 0));
    s.last_prune_ms = now + DAY; /* the clock was wrong */
    assert_true(tidy_worth_it(&s, now, 500, 1000, 0));
}

static void test_tidy__state_is_kept(void **state)
{
    (void)state;
    char *dir = scratch_make(), *sub = os_path_join(dir, "destinations");
    struct tidy_state s;
    tidy_state_read(dir, "usb", &s);
    assert_true(s.removed == 0 && s.last_prune_ms == 0);
    os_make_dirs(sub, 0700, NULL);
    tidy_state_write(dir, "usb", &(struct tidy_state){.removed = 7, .last_prune_ms = 1770000000000});
    tidy_state_read(dir, "usb", &s);
    assert_true(s.removed == 7 && s.last_prune_ms == 1770000000000);
    scratch_write(sub, "usb.json.tidy", "{broken", 7);
    tidy_state_read(dir, "usb", &s);
    assert_true(s.removed == 0 && s.last_prune_ms == 0);
    free(sub);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size_rule__knows_empty_shrunken_and_fine),
        cmocka_unit_test(test_size_rule__remembers_each_dump_from_when_it_was_fine),
        cmocka_unit_test(test_due__after_its_interval_or_a_little_before),
        cmocka_unit_test(test_due__at_once_when_it_never_ran),
        cmocka_unit_test(test_due__now_when_it_would_be_late_at_the_next_start),
        cmocka_unit_test(test_due__a_record_from_the_future_stops_nothing),
        cmocka_unit_test(test_due__cron_without_slack),
        cmocka_unit_test(test_archive_policy__four_weeks_and_a_year_of_first_sundays),
        cmocka_unit_test(test_archive_policy__first_sundays_survive_week_after_week),
        cmocka_unit_test(test_archive_policy__a_month_without_a_first_sunday_has_its_first),
        cmocka_unit_test(test_archive_policy__sundays_are_local),
        cmocka_unit_test(test_archive_policy__keeps_all_without_a_policy_and_the_newest_always),
        cmocka_unit_test(test_forecast__a_straight_line_is_carried_on),
        cmocka_unit_test(test_forecast__noise_widens_the_range),
        cmocka_unit_test(test_forecast__says_nothing_from_too_little),
        cmocka_unit_test(test_forecast__never_when_it_does_not_grow),
        cmocka_unit_test(test_forecast__what_is_full_is_full_now),
        cmocka_unit_test(test_forecast__the_order_of_points_does_not_matter),
        cmocka_unit_test(test_forecast__speaks),
        cmocka_unit_test(test_forecast__from_records_of_the_drive_that_is_there_now),
        cmocka_unit_test(test_tidy__once_a_day_or_when_space_is_short),
        cmocka_unit_test(test_tidy__state_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
