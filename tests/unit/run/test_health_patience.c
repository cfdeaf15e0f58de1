/* Who is about to try again; when a machine woke; where the plan is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "run/health_facts.h"
#include "run/host_lock.h"
#include "store/scratch.h"

static const int64_t NOW_MS = 1770192000000, MINUTE_MS = 60000, HOUR_MS = 3600000;

static char *base;
static struct plan_tier tier;
static struct plan_destination destination;
static struct plan plan;

static int set_up(void **state)
{
    (void)state;
    static const struct timespec now = {.tv_sec = 1770192000};
    base = scratch_make();
    os_clock_set(&now);
    tier = (struct plan_tier){.name = "config", .retry = {.times = 2, .after_ms = 600000}};
    plan = (struct plan){.tiers = &tier, .tier_count = 1};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    os_clock_set(NULL);
    scratch_remove(base);
    return 0;
}

/* --- trying again --- */

static void add(enum record_status status, char *run_id, int64_t at_ms, pid_t pid)
{
    char error[] = "no disk";
    struct record r = {.status = status,
                       .time = {.tv_sec = at_ms / 1000},
                       .tier = (char *)(uintptr_t)tier.name,
                       .run_id = run_id,
                       .pid = pid,
                       .retry = status == RECORD_FAILED,
                       .exit_code = status == RECORD_FAILED,
                       .error = status == RECORD_FAILED ? error : NULL};
    assert_int_equal(record_append(base, &r, NULL), 0);
}

static void attempt(char *run_id, int64_t at_ms, pid_t pid)
{
    add(RECORD_STARTED, run_id, at_ms, pid);
    add(RECORD_FAILED, run_id, at_ms, 0);
}

static bool retrying(void)
{
    struct facts facts;
    struct facts_held *held;
    const struct health_options o = {.plan = &plan, .state_dir = base, .quick = true, .quiet = true};
    assert_int_equal(health_gather(&o, &facts, &held, NULL), 0);
    bool out = facts.tiers[0].retrying;
    facts_release(held);
    return out;
}

static char RUN[] = "00000000000000aa", OTHER[] = "00000000000000bb";

static void test_health__a_failure_is_kept_back_while_its_process_waits(void **state)
{
    (void)state;
    pid_t living = getppid();
    attempt(RUN, NOW_MS - 14 * MINUTE_MS, living);
    assert_true(retrying()); /* ten minutes, and five for the lock */
    tier.retry.times = 0;
    assert_false(retrying());
    tier.retry.times = 2;
    tier.retry.after_ms = 540000;
    assert_false(retrying()); /* its time is over */
    attempt(RUN, NOW_MS - MINUTE_MS, living);
    assert_true(retrying());
    attempt(RUN, NOW_MS - MINUTE_MS, living);
    assert_false(retrying()); /* that was the last */
}

static void test_health__who_died_or_is_done_tries_nothing_again(void **state)
{
    (void)state;
    attempt(RUN, NOW_MS - MINUTE_MS, 0x7ffffff0);
    assert_false(retrying());
    attempt(OTHER, NOW_MS - MINUTE_MS, getpid());
    assert_false(retrying());
}

static void test_health__a_failure_is_kept_back_during_the_next_attempt(void **state)
{
    (void)state;
    struct host_lock *lock;
    struct err err = {0};
    attempt(RUN, NOW_MS - 3 * HOUR_MS, getppid());
    add(RECORD_STARTED, RUN, NOW_MS - 2 * HOUR_MS, getppid());
    assert_false(retrying()); /* nobody holds the lock: it died */
    assert_int_equal(host_lock_acquire(&lock, base, false, &err), 0);
    assert_true(retrying());
    add(RECORD_STARTED, OTHER, NOW_MS - HOUR_MS, getppid());
    assert_false(retrying());
    host_lock_release(lock);
}

/* --- sleep --- */

static void test_health__the_first_look_after_a_sleep_sees_it(void **state)
{
    (void)state;
    char note[HEALTH_NOTE_BYTES], next[HEALTH_NOTE_BYTES];
    assert_int_equal(health_woke_ms(NULL, 5000000, NOW_MS, note), 0); /* who knows when */
    assert_int_equal(health_woke_ms(note, 5000100, NOW_MS, next), 0);
    assert_string_equal(next, note);
    assert_int_equal(health_woke_ms(note, 5059999, NOW_MS, next), 0); /* a nap */
    assert_int_equal(health_woke_ms(note, 5060000, NOW_MS, next), NOW_MS);
    memcpy(note, next, sizeof note);
    assert_int_equal(health_woke_ms(note, 5060001, NOW_MS + HOUR_MS, next), NOW_MS);
    assert_string_equal(next, note);
    assert_int_equal(health_woke_ms(note, 9000000, NOW_MS + HOUR_MS, next), NOW_MS + HOUR_MS);
    assert_int_equal(health_woke_ms(note, 5060001, NOW_MS - HOUR_MS, next), 0); /* the clock went back */
    assert_int_equal(health_woke_ms(note, 0, NOW_MS + HOUR_MS, next), 0);       /* started anew */
    assert_int_equal(health_woke_ms("garbage", 9000000, NOW_MS, next), 0);
}

static void test_health__a_sleep_is_noted_once(void **state)
{
    (void)state;
    struct state *s;
    struct facts facts = {.now_ms = NOW_MS, .awake_since_ms = 1};
    char *note = NULL;
    assert_int_equal(state_open(&s, base, NULL), 0);
    assert_int_equal(health_note_sleep(s, true, &facts, NULL), 0);
    assert_int_equal(state_note_get(s, "health.asleep", &note, NULL), 0);
    assert_null(note);
    assert_int_equal(health_note_sleep(s, false, &facts, NULL), 0);
    assert_int_equal(state_note_get(s, "health.asleep", &note, NULL), 0);
    assert_non_null(note);
    free(note);
    assert_int_equal(facts.awake_since_ms, 1);
    assert_int_equal(state_note_set(s, "health.asleep", "-90000 0", NULL), 0);
    assert_int_equal(health_note_sleep(s, false, &facts, NULL), 0);
    assert_int_equal(facts.awake_since_ms, NOW_MS);
    state_close(s);
}

static void test_health__knows_when_the_machine_was_started(void **state)
{
    (void)state;
    struct facts facts;
    struct facts_held *held;
    const struct health_options o = {.plan = &plan, .state_dir = base, .quick = true, .quiet = true};
    os_clock_set(NULL);
    unsetenv("CLAWBACK_TEST_STARTED");
    int64_t started_ms = os_started_ms();
    assert_int_equal(health_gather(&o, &facts, &held, NULL), 0);
    assert_true(started_ms > 0 && facts.awake_since_ms >= started_ms - 1000 &&
                facts.awake_since_ms <= started_ms + 1000);
    facts_release(held);
    setenv("CLAWBACK_TEST_STARTED", "", 1);
    assert_int_equal(health_gather(&o, &facts, &held, NULL), 0);
    assert_int_equal(facts.awake_since_ms, 0);
    facts_release(held);
}

/* --- destinations that sleep --- */

static void test_health__at_the_end_of_a_run_silence_is_no_absence(void **state)
{
    (void)state;
    char *path = os_path_join(base, "nas"), *marker = os_path_join(path, "clawback-destination.json");
    struct facts facts;
    struct facts_held *held;
    struct err err;
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkfifo(marker, 0600), 0); /* whoever opens it to read it waits for a writer */
    destination = (struct plan_destination){.name = "nas", .location = path};
    plan.destinations = &destination;
    plan.destination_count = 1;
    struct health_options o = {.plan = &plan, .state_dir = base, .run_ended = true, .quick = true, .patience_ms = 300};
    assert_int_equal(health_gather(&o, &facts, &held, &err), 0);
    assert_true(facts.destinations[0].unknown);
    facts_release(held);
    o.run_ended = false; /* who asks is told */
    assert_int_equal(health_gather(&o, &facts, &held, &err), 0);
    assert_false(facts.destinations[0].unknown || facts.destinations[0].ready);
    facts_release(held);
    free(marker);
    free(path);
}

/* --- what to type --- */

static char *typed(const char *command)
{
    struct finding_list l = {0};
    finding_add(&l, "late", "x", ALERT_CRITICAL, "x")->command = mem_strdup(command);
    health_name_plan(&plan, &l);
    char *out = mem_strdup(l.items[0].command);
    finding_list_release(&l);
    return out;
}

static void expect_typed(const char *command, const char *expected)
{
    char *out = typed(command);
    assert_string_equal(out, expected);
    free(out);
}

static void test_health__a_plan_at_another_place_is_named(void **state)
{
    (void)state;
    char usual[] = "/nowhere/home/.config/clawback/clawback.yaml", other[] = "/nowhere/it's mine.yaml";
    setenv("HOME", "/nowhere/home", 1);
    unsetenv("XDG_CONFIG_HOME");
    unsetenv("CLAWBACK_CONFIG");
    expect_typed("clawback doctor", "clawback doctor");
    plan.file = usual;
    if (access("/etc/clawback/clawback.yaml", F_OK) != 0)
        expect_typed("clawback run config", "clawback run config");
    setenv("CLAWBACK_CONFIG", usual, 1); /* which is not set where it is typed */
    expect_typed("clawback run config", "clawback run -c /nowhere/home/.config/clawback/clawback.yaml config");
    unsetenv("CLAWBACK_CONFIG");
    plan.file = other;
    expect_typed("clawback run config", "clawback run -c '/nowhere/it'\\''s mine.yaml' config");
    expect_typed("clawback doctor", "clawback doctor -c '/nowhere/it'\\''s mine.yaml'");
    expect_typed("clawback runs config", "clawback runs config");
    expect_typed("df -h /x", "df -h /x");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_health__a_failure_is_kept_back_while_its_process_waits),
        CASE(test_health__who_died_or_is_done_tries_nothing_again),
        CASE(test_health__a_failure_is_kept_back_during_the_next_attempt),
        CASE(test_health__the_first_look_after_a_sleep_sees_it),
        CASE(test_health__a_sleep_is_noted_once),
        CASE(test_health__knows_when_the_machine_was_started),
        CASE(test_health__at_the_end_of_a_run_silence_is_no_absence),
        CASE(test_health__a_plan_at_another_place_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
