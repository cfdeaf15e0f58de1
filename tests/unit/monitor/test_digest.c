#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/mem.h"
#include "monitor/alerts.h"
#include "monitor/digest.h"
#include "store/scratch.h"

static const int64_t NOON_MS = 1770206400000; /* 2026-02-04 12:00 UTC, a Wednesday */
static struct state *state_db;

static int set_up(void **state)
{
    scratch_set_up(state);
    setenv("TZ", "UTC", 1);
    setenv("CLAWBACK_LOG", "none", 1);
    tzset();
    return state_open(&state_db, scratch_dir, NULL);
}

static int tear_down(void **state)
{
    state_close(state_db);
    return scratch_tear_down(state);
}

/* --- when --- */

static void due_is(const char *zone, const struct plan_alerts *settings, enum digest_kind kind, int64_t now_s,
                   const char *day, int64_t due_s)
{
    struct digest_time t;
    struct err err = {0};
    setenv("TZ", zone, 1);
    if (digest_due(settings, kind, now_s * 1000 + 999, &t, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(t.day, day);
    assert_int_equal(t.due_ms / 1000, due_s);
    assert_int_equal(digest_time_of_day(settings, day), t.due_ms);
}

static void test_digest__is_due_at_local_time(void **state)
{
    (void)state;
    struct plan_alerts at8 = {.digest_minute = 8 * 60, .digest_weekday = 1}, at230 = {.digest_minute = 2 * 60 + 30};
    due_is("UTC", &at8, DIGEST_DAILY, 1770192000, "2026-02-04", 1770192000);
    due_is("UTC", &at8, DIGEST_DAILY, 1770191999, "2026-02-03", 1770192000 - 86400);
    due_is("America/New_York", &at8, DIGEST_DAILY, 1770192000, "2026-02-03", 1770192000 - 86400 + 5 * 3600);
    due_is("Asia/Tokyo", &at8, DIGEST_DAILY, 1770192000, "2026-02-04", 1770192000 - 9 * 3600);
    /* 29 March 2026 has no 02:30 in Berlin; 25 October has two: the first. */
    due_is("Europe/Berlin", &at230, DIGEST_DAILY, 1774746000 - 1, "2026-03-28", 1774661400);
    due_is("Europe/Berlin", &at230, DIGEST_DAILY, 1774746000, "2026-03-29", 1774746000);
    due_is("Europe/Berlin", &at230, DIGEST_DAILY, 1792888200 + 3600, "2026-10-25", 1792888200);
    due_is("Europe/Berlin", &at230, DIGEST_DAILY, 1792888199, "2026-10-24", 1792888200 - 86400);
}

static void test_digest__of_a_week_is_due_on_its_day(void **state)
{
    (void)state;
    struct plan_alerts monday = {.digest_minute = 8 * 60, .digest_weekday = 1},
                       wednesday = {.digest_minute = 8 * 60, .digest_weekday = 3};
    due_is("UTC", &monday, DIGEST_WEEKLY, 1770192000, "2026-02-02", 1770192000 - 2 * 86400);
    due_is("UTC", &wednesday, DIGEST_WEEKLY, 1770192000, "2026-02-04", 1770192000);
    due_is("UTC", &wednesday, DIGEST_WEEKLY, 1770191999, "2026-01-28", 1770192000 - 7 * 86400);
    due_is("UTC", &monday, DIGEST_WEEKLY, 100, "1969-12-29", -3 * 86400 + 8 * 3600);
}

static void test_digest__an_unreadable_zone_is_an_error(void **state)
{
    (void)state;
    struct plan_alerts settings = {0};
    struct digest_time t;
    struct err err = {0};
    assert_int_equal(digest_time_of_day(&settings, "yesterday"), 0);
    assert_int_equal(digest_time_of_day(&settings, "2026-02-04x"), 0);
    setenv("TZ", "No/Such_Zone", 1);
    int rc = digest_due(&settings, DIGEST_DAILY, NOON_MS, &t, &err);
    assert_true(rc == 0 || err.code == ERR_USAGE);
    setenv("TZ", "UTC", 1);
}

/* --- what --- */

static void run(const char *tier, int64_t ms, enum record_status status, int exit_code, const char *error)
{
    struct record r = {.status = status,
                       .time = {.tv_sec = ms / 1000},
                       .tier = mem_strdup(tier),
                       .run_id = mem_printf("%016llx", (unsigned long long)ms),
                       .exit_code = exit_code,
                       .bytes_processed = 850000000,
                       .bytes_added = 12000000};
    if (error != NULL)
        r.error = mem_strdup(error);
    if (status == RECORD_COMPLETED) {
        struct record_destination *d = record_add_destination(&r, "usb");
        d->status = RECORD_COMPLETED;
        d->total_bytes = 100000000000;
        d->free_bytes = 12000000000;
    }
    assert_int_equal(record_append(scratch_dir, &r, NULL), 0);
    record_release(&r);
}

static char *digest(const struct plan *p, enum alert_level *worst)
{
    char *text;
    struct err err = {0};
    assert_int_equal(state_follow_logs(state_db, &err), 0);
    if (digest_text(p, state_db, NOON_MS - 86400000, NOON_MS, &text, worst, &err) != 0)
        fail_msg("%s", err.message);
    return text;
}

static void test_digest__tells_how_it_went(void **state)
{
    (void)state;
    enum { HOUR_MS = 3600000 };
    struct plan_tier tiers[] = {{.name = "config", .schedule = {.kind = SCHEDULE_EVERY}},
                                {.name = "full", .schedule = {.kind = SCHEDULE_EVERY}},
                                {.name = "old", .disabled = true},
                                {.name = "hand"},
                                {.name = "never", .schedule = {.kind = SCHEDULE_EVERY}}};
    struct plan_destination destinations[] = {{.name = "usb"}, {.name = "nas"}};
    struct plan p = {
        .host = "web1", .tiers = tiers, .tier_count = 5, .destinations = destinations, .destination_count = 2};
    enum alert_level worst;
    run("config", NOON_MS - 30 * HOUR_MS, RECORD_FAILED, 1, "before the time");
    run("config", NOON_MS - 4 * HOUR_MS, RECORD_COMPLETED, 0, NULL);
    run("config", NOON_MS - 3 * HOUR_MS, RECORD_COMPLETED, 3, NULL);
    run("config", NOON_MS - 2 * HOUR_MS, RECORD_FAILED, 1, "the older reason");
    run("config", NOON_MS - HOUR_MS, RECORD_FAILED, 1, "no space left");
    run("config", NOON_MS - HOUR_MS / 2, RECORD_STARTED, 0, NULL);
    run("full", NOON_MS - HOUR_MS, RECORD_SKIPPED, 0, NULL);
    run("drill", NOON_MS - 72 * HOUR_MS, RECORD_COMPLETED, 0, NULL);
    char *text = digest(&p, &worst);
    assert_string_equal(
        text,
        "2026-02-03 12:00 to 2026-02-04 12:00\n\n"
        "Backups\n"
        "  config: 4 runs, 1 fine, 1 incomplete, 2 FAILED; 3.4 GB read, 48.0 MB added; last success 2026-02-04 09:00\n"
        "    last failure: no space left\n"
        "  full: 1 run, 1 skipped; 850 MB read, 12.0 MB added\n"
        "  old: no run (disabled)\n"
        "  hand: no run (only when named)\n"
        "  never: no run\n"
        "\nDestinations\n"
        "  usb: 12.0 GB of 100 GB free, 88 % full (2026-02-04 09:00)\n"
        "  nas: free space not known\n"
        "\nNo open alerts\n"
        "\nLast restore proof: 2026-02-01 12:00 (3 days ago)\n");
    assert_int_equal(worst, ALERT_FINE);
    free(text);
}

static void test_digest__has_the_open_alerts(void **state)
{
    (void)state;
    struct plan p = {.host = "web1"};
    struct finding_list found = {0};
    struct plan_alerts settings = {.repeat_ms = 86400000};
    enum alert_level worst;
    struct finding *f = finding_add(&found, "late", "config", ALERT_CRITICAL, "config is late");
    f->command = mem_strdup("clawback run config");
    f->since_ms = NOON_MS - 5 * 3600000;
    finding_add(&found, "space", "usb", ALERT_WARNING, "usb is 91 %% full")->since_ms = NOON_MS - 600000;
    assert_int_equal(alerts_update(state_db, &found, &settings, NOON_MS, NULL, NULL, NULL), 0);
    char *text = digest(&p, &worst);
    const char *open = strstr(text, "\nOpen alerts\n");
    assert_non_null(open);
    assert_string_equal(open, "\nOpen alerts\n  CRITICAL: config is late (for 5 h)\n    type: clawback run config\n"
                              "  WARNING: usb is 91 % full (for 10 min)\n");
    assert_int_equal(worst, ALERT_CRITICAL);
    free(text);
    finding_list_release(&found);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_digest__is_due_at_local_time),
        WITH(test_digest__of_a_week_is_due_on_its_day),
        WITH(test_digest__an_unreadable_zone_is_an_error),
        WITH(test_digest__tells_how_it_went),
        WITH(test_digest__has_the_open_alerts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
