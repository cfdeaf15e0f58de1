#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "monitor/log.h"
#include "monitor/outbox.h"
#include "monitor/outbox_rows.h"
#include "monitor/state_tables.h"
#include "net/tiny_server.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "store/scratch.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
#define FAILURE "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n"
#define DENIED "HTTP/1.1 401 No\r\nConnection: close\r\n\r\n"
static const char *const OK[] = {OK_ANSWER, NULL};

enum { CHANNELS = 3 };
static struct state *state_db;
static struct plan plan;
static struct plan_channel channels[CHANNELS];
static struct tiny_server servers[CHANNELS];
static char urls[CHANNELS][64];
static bool started[CHANNELS];
static int64_t now_ms;
static struct outbox_result result;

static void clock_at(int64_t ms)
{
    static struct timespec t;
    t = (struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    now_ms = ms;
    os_clock_set(&t);
}

static int set_up(void **state)
{
    static const char *const NAMES[CHANNELS] = {"a", "b", "c"};
    scratch_set_up(state);
    setenv("TZ", "UTC", 1);
    setenv("CLAWBACK_LOG", "none", 1);
    tzset();
    clock_at(1770184800000); /* 2026-02-04 06:00 UTC, a Wednesday */
    memset(started, 0, sizeof started);
    for (size_t i = 0; i < CHANNELS; i++)
        channels[i] = (struct plan_channel){
            .name = NAMES[i], .kind = CHANNEL_WEBHOOK, .at_least = ALERT_WARNING, .timeout_ms = 5000};
    plan = (struct plan){.host = "web1", .alerts = {.channels = channels, .channel_count = 1}};
    return state_open(&state_db, scratch_dir, NULL);
}

static int tear_down(void **state)
{
    for (size_t i = 0; i < CHANNELS; i++)
        if (started[i])
            tiny_stop(&servers[i]);
    state_close(state_db);
    os_clock_set(NULL);
    log_close();
    return scratch_tear_down(state);
}

/* Channel i is served with these from now on. */
static void serve(size_t i, const char *const *answers)
{
    if (started[i])
        tiny_stop(&servers[i]);
    tiny_start(&servers[i], answers);
    started[i] = true;
    snprintf(urls[i], sizeof urls[i], "%s", tiny_url(&servers[i], "/"));
    channels[i].address.url = urls[i];
}

static struct alert an_alert(const char *subject, enum alert_change change, enum alert_level level)
{
    static char rule[] = "late", texts[8][64];
    static unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof texts[0], "%s %s", subject, change == ALERT_CLOSED ? "is on time" : "is late");
    struct alert a = {.rule = rule, .text = text, .level = level, .now = level, .change = change};
    a.since_ms = a.opened_ms = a.changed_ms = now_ms;
    static char subjects[8][32];
    a.subject = subjects[next % 8];
    snprintf(a.subject, sizeof subjects[0], "%s", subject);
    if (change == ALERT_CLOSED) {
        static char was[] = "it was late";
        a.was = was;
        a.now = ALERT_FINE;
    }
    return a;
}

static void add(const char *subject, enum alert_change change, enum alert_level level)
{
    struct err err = {0};
    struct alert a = an_alert(subject, change, level);
    struct alert_list l = {.items = &a, .count = 1};
    if (outbox_add_alerts(&plan, state_db, &l, &err) != 0)
        fail_msg("%s", err.message);
}

static void flush_within(uint64_t ms)
{
    struct err err = {0};
    if (outbox_flush(&plan, state_db, os_monotonic_ns() + ms * 1000000, &result, &err) != 0)
        fail_msg("%s", err.message);
}

static void flush(void)
{
    flush_within(10000);
}

static int64_t number(const char *sql)
{
    sqlite3_stmt *q = state_query(state_db, NULL, sql, "");
    assert_non_null(q);
    assert_int_equal(state_step(state_db, q, NULL), 1);
    int64_t n = sqlite3_column_int64(q, 0);
    sqlite3_finalize(q);
    return n;
}

static const char *told(size_t channel, size_t i)
{
    return tiny_request(&servers[channel], i);
}

static void has(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("'%s' is not in:\n%s", what, text);
}

/* --- delivering --- */

static void test_outbox__tells_and_forgets(void **state)
{
    (void)state;
    serve(0, OK);
    assert_false(outbox_has_work(state_db, now_ms));
    assert_int_equal(outbox_next_ms(state_db, now_ms), 0);
    add("config", ALERT_OPENED, ALERT_CRITICAL);
    assert_true(outbox_has_work(state_db, now_ms));
    flush();
    assert_int_equal(result.sent, 1);
    assert_int_equal(result.waiting, 0);
    has(told(0, 0), "\"title\":\"clawback on web1: CRITICAL: config is late\"");
    assert_false(outbox_has_work(state_db, now_ms));
    flush();
    assert_int_equal(result.sent, 0);
    assert_int_equal(tiny_count(&servers[0]), 1);
}

static void test_outbox__asks_each_channel_what_it_wants_to_hear(void **state)
{
    (void)state;
    plan.alerts.channel_count = 3;
    channels[1].at_least = ALERT_CRITICAL;
    channels[2].kind = CHANNEL_PING;
    add("config", ALERT_OPENED, ALERT_WARNING);
    assert_int_equal(number("SELECT count(*) FROM outbox"), 1);
    add("full", ALERT_OPENED, ALERT_CRITICAL);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE channel = 'a'"), 2);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE channel = 'b'"), 1);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE channel = 'c'"), 0);
}

static void test_outbox__adds_within_somebodys_transaction(void **state)
{
    (void)state;
    assert_int_equal(state_begin(state_db, NULL), 0);
    add("config", ALERT_OPENED, ALERT_WARNING);
    assert_true(state_in_transaction(state_db));
    state_rollback(state_db);
    assert_int_equal(number("SELECT count(*) FROM outbox"), 0);
}

static void test_outbox__what_waits_together_becomes_one_message(void **state)
{
    (void)state;
    serve(0, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    add("full", ALERT_OPENED, ALERT_CRITICAL);
    add("git", ALERT_CLOSED, ALERT_WARNING);
    flush();
    assert_int_equal(result.sent, 1);
    has(told(0, 0), "clawback on web1: 1 CRITICAL, 1 warning, 1 over");
}

static void test_outbox__what_ended_meanwhile_is_told_as_over(void **state)
{
    (void)state;
    serve(0, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    clock_at(now_ms + 3600000);
    add("config", ALERT_WORSE, ALERT_CRITICAL);
    clock_at(now_ms + 3600000);
    add("config", ALERT_CLOSED, ALERT_WARNING);
    flush();
    assert_int_equal(result.sent, 1);
    has(told(0, 0), "\"title\":\"clawback on web1: over: it was late\"");
    has(told(0, 0), "it lasted 2 h, since 2026-02-04 06:00");
    has(told(0, 0), "\"level\":\"critical\"");
}

static void told_as(const enum alert_change *changes, size_t n, const char *words)
{
    static const enum alert_level LEVELS[] = {ALERT_WARNING, ALERT_CRITICAL};
    serve(0, OK);
    for (size_t i = 0; i < n; i++)
        add("config", changes[i], LEVELS[changes[i] == ALERT_WORSE]);
    flush();
    assert_int_equal(result.sent, 1);
    has(told(0, 0), words);
}

static void test_outbox__what_changed_meanwhile_is_told_as_it_is_now(void **state)
{
    (void)state;
    static const enum alert_change NEW_AND_WORSE[] = {ALERT_OPENED, ALERT_WORSE},
                                   NEW_AND_OLD[] = {ALERT_OPENED, ALERT_REMINDED},
                                   WORSE_AND_OLD[] = {ALERT_WORSE, ALERT_REMINDED},
                                   AGAIN[] = {ALERT_CLOSED, ALERT_OPENED};
    told_as(NEW_AND_WORSE, 2, "clawback on web1: CRITICAL: config is late");
    told_as(NEW_AND_OLD, 2, "clawback on web1: WARNING: config is late");
    told_as(WORSE_AND_OLD, 2, "worse: ");
    told_as(AGAIN, 2, "clawback on web1: WARNING: config is late");
}

static void test_outbox__rows_that_nobody_can_read_just_go(void **state)
{
    (void)state;
    serve(0, OK);
    assert_int_equal(outbox_row_add(state_db, "a", "alert", "no json", NULL), 0);
    assert_int_equal(outbox_row_add(state_db, "a", "alert", "{\"rule\":\"x\",\"change\":99}", NULL), 0);
    assert_int_equal(outbox_row_add(state_db, "a", "digest", "{}", NULL), 0);
    assert_int_equal(outbox_row_add(state_db, "a", "who knows", "[1]", NULL), 0);
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush();
    assert_int_equal(result.sent, 1);
    assert_int_equal(result.waiting, 0);
    assert_int_equal(tiny_count(&servers[0]), 1);
}

/* --- failing --- */

static void test_outbox__waits_longer_each_time(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {FAILURE, NULL};
    static const int MINUTES[] = {1, 2, 4, 8, 16, 32, 58, 58};
    serve(0, ANSWERS);
    add("config", ALERT_OPENED, ALERT_WARNING);
    for (size_t i = 0; i < sizeof MINUTES / sizeof *MINUTES; i++) {
        flush();
        assert_int_equal(result.sent, 0);
        assert_int_equal(result.waiting, 1);
        assert_int_equal(outbox_next_ms(state_db, now_ms), now_ms + MINUTES[i] * 60000);
        clock_at(now_ms + MINUTES[i] * 60000 - 1);
        assert_false(outbox_has_work(state_db, now_ms));
        flush();
        assert_int_equal(tiny_count(&servers[0]), i + 1);
        clock_at(now_ms + 1);
    }
    assert_int_equal(number("SELECT attempts FROM outbox"), 8);
    assert_int_equal(number("SELECT last_error LIKE '%answered 500%' FROM outbox"), 1);
}

static void test_outbox__heeds_when_the_server_wants_it_again(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {"HTTP/1.1 429 No\r\nRetry-After: 600\r\nConnection: close\r\n\r\n", OK_ANSWER,
                                          NULL};
    serve(0, ANSWERS);
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush();
    assert_int_equal(outbox_next_ms(state_db, now_ms), now_ms + 600000);
    add("full", ALERT_OPENED, ALERT_CRITICAL); /* does not overtake */
    flush();
    assert_int_equal(tiny_count(&servers[0]), 1);
    clock_at(now_ms + 600000);
    flush();
    assert_int_equal(result.sent, 1);
    assert_int_equal(result.waiting, 0);
    has(told(0, 1), "1 CRITICAL, 1 warning");
}

static void test_outbox__gives_up_after_three_days(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {FAILURE, NULL};
    serve(0, ANSWERS);
    add("config", ALERT_OPENED, ALERT_WARNING);
    clock_at(now_ms + 2 * INT64_C(86400000));
    flush();
    assert_int_equal(result.waiting, 1);
    add("full", ALERT_OPENED, ALERT_WARNING);
    clock_at(now_ms + INT64_C(86400000));
    flush();
    assert_int_equal(result.given_up, 1); /* the young one goes on waiting */
    assert_int_equal(result.waiting, 1);
}

static void test_outbox__the_hopeless_is_tried_every_hour_of_a_day(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {DENIED, NULL};
    serve(0, ANSWERS);
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush();
    assert_int_equal(outbox_next_ms(state_db, now_ms), now_ms + 58 * 60000);
    assert_int_equal(result.given_up, 0);
    clock_at(now_ms + INT64_C(86400000));
    flush();
    assert_int_equal(result.given_up, 1);
    assert_int_equal(result.waiting, 0);
}

static void test_outbox__does_not_wait_for_a_clock_that_was_wrong(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {FAILURE, OK_ANSWER, NULL};
    serve(0, ANSWERS);
    clock_at(now_ms + 365 * INT64_C(86400000));
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush();
    clock_at(now_ms - 365 * INT64_C(86400000));
    assert_true(outbox_has_work(state_db, now_ms));
    flush();
    assert_int_equal(result.sent, 1);
}

static void test_outbox__channels_that_are_gone_lose_their_messages(void **state)
{
    (void)state;
    plan.alerts.channel_count = 2;
    serve(0, OK);
    serve(1, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    plan.alerts.channel_count = 1;
    flush();
    assert_int_equal(result.sent, 1);
    assert_int_equal(result.waiting, 0);
    assert_int_equal(tiny_count(&servers[1]), 0);
    add("config", ALERT_REMINDED, ALERT_WARNING);
    channels[0].kind = CHANNEL_PING; /* the same name for something else */
    flush();
    assert_int_equal(result.waiting, 0);
    assert_int_equal(tiny_count(&servers[0]), 1);
    plan.alerts.channel_count = 0;
    flush();
}

/* --- time and others --- */

static void test_outbox__one_that_hangs_keeps_only_itself(void **state)
{
    (void)state;
    static const char *const HANG[] = {TINY_HANG, NULL};
    plan.alerts.channel_count = 3;
    serve(0, HANG);
    serve(1, OK);
    serve(2, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    uint64_t began = os_monotonic_ns();
    flush_within(1500);
    assert_true(os_monotonic_ns() - began < 3000000000);
    assert_int_equal(result.sent, 2);
    assert_int_equal(result.waiting, 1);
    assert_int_equal(tiny_count(&servers[1]), 1);
    assert_int_equal(tiny_count(&servers[2]), 1);
}

static void test_outbox__begins_nothing_at_the_end_of_its_time(void **state)
{
    (void)state;
    serve(0, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush_within(100);
    assert_int_equal(result.waiting, 1);
    assert_int_equal(tiny_count(&servers[0]), 0);
}

static void test_outbox__one_process_sends_at_a_time(void **state)
{
    (void)state;
    serve(0, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    char *path = os_path_join(scratch_dir, "outbox.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    uint64_t began = os_monotonic_ns();
    flush_within(700);
    assert_true(os_monotonic_ns() - began < 2000000000);
    assert_int_equal(result.sent, 0);
    assert_int_equal(result.waiting, 1);
    close(fd);
    flush();
    assert_int_equal(result.sent, 1);
    free(path);
}

#ifndef __SANITIZE_THREAD__ /* it cannot follow a process that is forked beside threads and has some of its own */
/* The child is killed while its message is on the way: the lock is free, the message waits a minute, and is not lost.
 */
static void test_outbox__survives_a_sender_that_dies(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {TINY_HANG, NULL};
    serve(0, ANSWERS);
    add("config", ALERT_OPENED, ALERT_WARNING);
    state_close(state_db);
    pid_t child = fork();
    if (child == 0) {
        struct state *s;
        if (state_open(&s, scratch_dir, NULL) == 0)
            outbox_flush(&plan, s, os_monotonic_ns() + 20000000000, &result, NULL);
        _exit(0);
    }
    while (tiny_count(&servers[0]) == 0)
        os_sleep_ms(10);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(state_open(&state_db, scratch_dir, NULL), 0);
    assert_int_equal(outbox_next_ms(state_db, now_ms), now_ms + 60000);
    serve(0, OK);
    clock_at(now_ms + 60000);
    flush();
    assert_int_equal(result.sent, 1);
    assert_int_equal(result.waiting, 0);
}

/* Sends in a process of its own, to which `signal_first` was done already, or is done while it waits for an answer. */
static void flush_interrupted(bool signal_first)
{
    size_t before = tiny_count(&servers[0]);
    state_close(state_db);
    pid_t child = fork();
    if (child == 0) {
        struct state *s;
        os_interrupt_install();
        if (signal_first)
            raise(SIGTERM);
        if (state_open(&s, scratch_dir, NULL) == 0)
            outbox_flush(&plan, s, os_monotonic_ns() + 20000000000, &result, NULL);
        _exit(result.sent == 1 ? 1 : 0);
    }
    for (int i = 0; i < 1000 && tiny_count(&servers[0]) == before; i++)
        os_sleep_ms(10);
    if (!signal_first)
        kill(child, SIGTERM);
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), signal_first);
    assert_int_equal(state_open(&state_db, scratch_dir, NULL), 0);
}

static void test_outbox__an_interruption_is_no_failure(void **state)
{
    (void)state;
    static const char *const HANG[] = {TINY_HANG, NULL};
    serve(0, HANG);
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush_interrupted(false);
    assert_int_equal(number("SELECT attempts FROM outbox"), 0);
    assert_true(outbox_has_work(state_db, now_ms));
}

static void test_outbox__who_was_interrupted_before_may_send(void **state)
{
    (void)state;
    serve(0, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush_interrupted(true);
    assert_int_equal(number("SELECT count(*) FROM outbox"), 0);
}

#endif

/* From now on the table refuses this. */
static void refuse(const char *what)
{
    char sql[200];
    snprintf(sql, sizeof sql, "CREATE TRIGGER no_%s BEFORE %s ON outbox BEGIN SELECT RAISE(ABORT, 'refused'); END",
             what, what);
    assert_int_equal(state_begin(state_db, NULL), 0);
    assert_int_equal(state_run(state_db, NULL, sql, ""), 0);
    assert_int_equal(state_commit(state_db, NULL), 0);
}

static void flush_fails(void)
{
    struct err err = {0};
    assert_int_equal(outbox_flush(&plan, state_db, os_monotonic_ns() + 5000000000, &result, &err), -1);
    has(err.message, "cannot send what waits in the outbox: ");
    assert_false(state_in_transaction(state_db));
}

static void test_outbox__says_when_nothing_can_be_added(void **state)
{
    (void)state;
    struct err err = {0};
    struct alert a = an_alert("config", ALERT_OPENED, ALERT_WARNING);
    struct alert_list l = {.items = &a, .count = 1};
    channels[0].digests = DIGEST_DAILY;
    assert_int_equal(state_note_set(state_db, "digest.daily", "2026-01-01", NULL), 0);
    refuse("INSERT");
    assert_int_equal(outbox_add_alerts(&plan, state_db, &l, &err), -1);
    assert_false(state_in_transaction(state_db));
    assert_int_equal(outbox_add_digests(&plan, state_db, now_ms, &err), -1);
    has(err.message, "cannot make a digest: ");
    assert_false(state_in_transaction(state_db));
    channels[0].kind = CHANNEL_PING;
    assert_int_equal(outbox_add_ping(&plan, state_db, PING_START, NULL, NULL, NULL, &err), -1);
    assert_false(state_in_transaction(state_db));
}

static void test_outbox__sends_nothing_that_it_could_not_put_off(void **state)
{
    (void)state;
    serve(0, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    refuse("UPDATE");
    flush_fails();
    assert_int_equal(result.waiting, 1);
    assert_int_equal(tiny_count(&servers[0]), 0);
}

static void test_outbox__what_cannot_be_marked_is_not_sent_again_at_once(void **state)
{
    (void)state;
    serve(0, OK);
    add("config", ALERT_OPENED, ALERT_WARNING);
    refuse("DELETE");
    flush_fails();
    assert_int_equal(result.sent, 1);
    assert_int_equal(result.waiting, 1);
    assert_false(outbox_has_work(state_db, now_ms));
    plan.alerts.channel_count = 0; /* nor can orphans be dropped */
    flush_fails();
}

static void test_outbox__goes_on_after_its_table_was_lost(void **state)
{
    (void)state;
    serve(0, OK);
    assert_int_equal(state_begin(state_db, NULL), 0);
    assert_int_equal(state_run(state_db, NULL, "DROP TABLE outbox", ""), 0);
    assert_int_equal(state_commit(state_db, NULL), 0);
    assert_false(outbox_has_work(state_db, now_ms));
    outbox_flush(&plan, state_db, os_monotonic_ns() + 1000000000, &result, NULL);
    add("config", ALERT_OPENED, ALERT_WARNING);
    flush();
    assert_int_equal(result.sent, 1);
}

static void test_outbox__the_log_gets_everything_and_no_secret(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {FAILURE, OK_ANSWER, NULL};
    char *path = os_path_join(scratch_dir, "test.log");
    setenv("CLAWBACK_LOG", path, 1);
    setenv("CHANNEL_TEST_TOKEN", "sEcReT-token", 1);
    log_open(scratch_dir, "test");
    channels[0].token = (struct secret){.kind = SECRET_ENV, .name = "CHANNEL_TEST_TOKEN"};
    serve(0, ANSWERS);
    add("config", ALERT_OPENED, ALERT_CRITICAL);
    flush();
    clock_at(now_ms + 60000);
    add("config", ALERT_CLOSED, ALERT_CRITICAL);
    flush();
    plan.alerts.channel_count = 0; /* with nobody to tell, too */
    add("git", ALERT_OPENED, ALERT_WARNING);
    char *text = log_tail(100000);
    has(text, "error test[");
    has(text, "alert opened: late 'config': config is late");
    has(text, "alert closed: late 'config': config is on time");
    has(text, "warning test[");
    has(text, "alert opened: late 'git': git is late");
    has(text, "answered 500: tried again in 60 s: clawback on web1: CRITICAL: config is late");
    has(text, "told 'a' (200): clawback on web1: over: it was late");
    assert_null(strstr(text, "sEcReT"));
    free(text);
    free(path);
}

/* --- pings --- */

static void ping(enum ping_kind kind, const char *tier, const char *run_id)
{
    assert_int_equal(outbox_add_ping(&plan, state_db, kind, tier, run_id, kind == PING_START ? NULL : "the log", NULL),
                     0);
}

static void test_outbox__pings_whom_it_concerns(void **state)
{
    (void)state;
    char tier[] = "full", *tiers[] = {tier};
    plan.alerts.channel_count = 3;
    channels[0].kind = channels[1].kind = CHANNEL_PING;
    channels[1].tiers = (struct strlist){.items = tiers, .count = 1};
    ping(PING_START, NULL, "0123456789abcdef");
    ping(PING_START, "full", "0123456789abcdef");
    ping(PING_START, "config", "0123456789abcdef");
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE channel = 'a'"), 1);
    assert_int_equal(number("SELECT count(*) FROM outbox WHERE channel = 'b'"), 1);
    assert_int_equal(number("SELECT count(*) FROM outbox"), 2);
    serve(0, OK);
    serve(1, OK);
    flush();
    assert_int_equal(result.sent, 2);
    has(told(0, 0), "GET /start?rid=01234567-89ab-8cde-8f00-000000000000 ");
}

static void test_outbox__late_pings_tell_only_how_it_ended(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {FAILURE, OK_ANSWER, NULL};
    channels[0].kind = CHANNEL_PING;
    serve(0, ANSWERS);
    ping(PING_START, NULL, "0000000000000001");
    flush();
    ping(PING_FAIL, NULL, "0000000000000001");
    ping(PING_START, NULL, "0000000000000002");
    ping(PING_SUCCESS, NULL, "0000000000000002");
    ping(PING_START, NULL, "0000000000000003");
    clock_at(now_ms + 60000);
    flush();
    assert_int_equal(result.sent, 2);
    assert_int_equal(result.waiting, 0);
    has(told(0, 1), "POST /?rid=00000000-0000-8000-8200-000000000000 ");
    has(told(0, 1), "\r\n\r\nthe log");
    has(told(0, 2), "GET /start?rid=00000000-0000-8000-8300-000000000000 ");
    assert_int_equal(outbox_row_add(state_db, "a", "ping", "{\"ping\":77}", NULL), 0);
    flush();
    assert_int_equal(result.waiting, 0);
}

static void test_outbox__a_tiers_failure_is_not_hidden_by_anothers_success(void **state)
{
    (void)state;
    char config[] = "config", full[] = "full", *tiers[] = {config, full};
    channels[0].kind = CHANNEL_PING;
    channels[0].tiers = (struct strlist){.items = tiers, .count = 2};
    serve(0, OK);
    ping(PING_FAIL, "config", "0000000000000001");
    ping(PING_SUCCESS, "full", "0000000000000001");
    flush();
    assert_int_equal(result.sent, 2);
    has(told(0, 0), "POST /fail?rid=");
    has(told(0, 1), "POST /?rid=");
}

static void test_outbox__of_a_long_log_the_end_is_posted(void **state)
{
    (void)state;
    channels[0].kind = CHANNEL_PING;
    char *text = mem_zalloc(200001);
    for (size_t i = 0; i < 200000; i++)
        text[i] = i % 100 == 99 ? '\n' : 'x';
    memcpy(text + 199990, "the end\n", 8);
    text[199998] = '\0';
    serve(0, OK);
    assert_int_equal(outbox_add_ping(&plan, state_db, PING_FAIL, NULL, NULL, text, NULL), 0);
    flush();
    assert_int_equal(result.sent, 1);
    has(told(0, 0), "the end\n");
    const char *body = strstr(told(0, 0), "\r\n\r\n") + 4;
    assert_true(strlen(body) > 55000 && strlen(body) <= 60 << 10);
    free(text);
}

/* --- digests --- */

static void digests(void)
{
    struct err err = {0};
    if (outbox_add_digests(&plan, state_db, now_ms, &err) != 0)
        fail_msg("%s", err.message);
}

static int64_t digest_count(const char *what)
{
    char sql[200];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM outbox WHERE kind = 'digest' AND body_json LIKE '%%\"%s digest\"%%'", what);
    return number(sql);
}

static void test_outbox__digests_are_made_once_a_day(void **state)
{
    (void)state;
    channels[0].digests = DIGEST_DAILY;
    plan.alerts.digest_minute = 8 * 60;
    digests();
    assert_int_equal(digest_count("daily"), 0); /* there is nothing yet that it could be about */
    clock_at(1770191999999);                    /* 07:59:59.999 */
    digests();
    assert_int_equal(digest_count("daily"), 0);
    clock_at(1770192000000);
    digests();
    digests();
    assert_int_equal(digest_count("daily"), 1);
    clock_at(1770192000000 + 86400000 - 1);
    digests();
    assert_int_equal(digest_count("daily"), 1);
    clock_at(1770192000000 + 86400000);
    digests();
    assert_int_equal(digest_count("daily"), 2);
    assert_int_equal(digest_count("weekly"), 0);
}

static void test_outbox__missed_digests_are_made_up_for_once(void **state)
{
    (void)state;
    serve(0, OK);
    channels[0].digests = DIGEST_DAILY | DIGEST_WEEKLY;
    plan.alerts.digest_minute = 8 * 60;
    plan.alerts.digest_weekday = 1;
    digests();
    clock_at(1770192000000 + 4 * INT64_C(86400000) + 5000); /* Sunday */
    digests();
    assert_int_equal(digest_count("daily"), 1);
    assert_int_equal(digest_count("weekly"), 0);
    clock_at(1770192000000 + 5 * INT64_C(86400000) + 5000); /* Monday */
    digests();
    digests();
    assert_int_equal(digest_count("daily"), 2);
    assert_int_equal(digest_count("weekly"), 1);
    flush();
    assert_int_equal(result.sent, 3);
    has(told(0, 0), "2026-02-03 08:00 to 2026-02-08 08:00");
    has(told(0, 1), "2026-02-08 08:00 to 2026-02-09 08:00");
    has(told(0, 2), "2026-02-02 08:00 to 2026-02-09 08:00");
}

static void test_outbox__digests_survive_a_wrong_clock_and_note(void **state)
{
    (void)state;
    channels[0].digests = DIGEST_DAILY;
    clock_at(now_ms + 365 * INT64_C(86400000));
    digests();
    clock_at(now_ms - 365 * INT64_C(86400000));
    digests();
    assert_int_equal(digest_count("daily"), 0);
    clock_at(now_ms + INT64_C(86400000));
    digests();
    assert_int_equal(digest_count("daily"), 1);
    assert_int_equal(state_note_set(state_db, "digest.daily", "0-nonsense", NULL), 0);
    digests();
    assert_int_equal(digest_count("daily"), 2);
}

static void *ask_for_digests(void *arg)
{
    struct state *s;
    (void)arg;
    if (state_open(&s, scratch_dir, NULL) == 0)
        outbox_add_digests(&plan, s, now_ms, NULL);
    state_close(s);
    return NULL;
}

static void test_outbox__whoever_asks_for_digests_there_is_one(void **state)
{
    (void)state;
    pthread_t threads[4];
    channels[0].digests = DIGEST_DAILY;
    digests();
    clock_at(now_ms + INT64_C(86400000));
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, ask_for_digests, NULL);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(digest_count("daily"), 1);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const char *const PROXIES[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof PROXIES / sizeof *PROXIES; i++)
        unsetenv(PROXIES[i]);
    const struct CMUnitTest tests[] = {
        WITH(test_outbox__tells_and_forgets),
        WITH(test_outbox__asks_each_channel_what_it_wants_to_hear),
        WITH(test_outbox__adds_within_somebodys_transaction),
        WITH(test_outbox__what_waits_together_becomes_one_message),
        WITH(test_outbox__what_ended_meanwhile_is_told_as_over),
        WITH(test_outbox__what_changed_meanwhile_is_told_as_it_is_now),
        WITH(test_outbox__rows_that_nobody_can_read_just_go),
        WITH(test_outbox__waits_longer_each_time),
        WITH(test_outbox__heeds_when_the_server_wants_it_again),
        WITH(test_outbox__gives_up_after_three_days),
        WITH(test_outbox__the_hopeless_is_tried_every_hour_of_a_day),
        WITH(test_outbox__does_not_wait_for_a_clock_that_was_wrong),
        WITH(test_outbox__channels_that_are_gone_lose_their_messages),
        WITH(test_outbox__one_that_hangs_keeps_only_itself),
        WITH(test_outbox__begins_nothing_at_the_end_of_its_time),
        WITH(test_outbox__one_process_sends_at_a_time),
#ifndef __SANITIZE_THREAD__
        WITH(test_outbox__survives_a_sender_that_dies),
        WITH(test_outbox__an_interruption_is_no_failure),
        WITH(test_outbox__who_was_interrupted_before_may_send),
#endif
        WITH(test_outbox__says_when_nothing_can_be_added),
        WITH(test_outbox__sends_nothing_that_it_could_not_put_off),
        WITH(test_outbox__what_cannot_be_marked_is_not_sent_again_at_once),
        WITH(test_outbox__goes_on_after_its_table_was_lost),
        WITH(test_outbox__the_log_gets_everything_and_no_secret),
        WITH(test_outbox__pings_whom_it_concerns),
        WITH(test_outbox__late_pings_tell_only_how_it_ended),
        WITH(test_outbox__a_tiers_failure_is_not_hidden_by_anothers_success),
        WITH(test_outbox__of_a_long_log_the_end_is_posted),
        WITH(test_outbox__digests_are_made_once_a_day),
        WITH(test_outbox__missed_digests_are_made_up_for_once),
        WITH(test_outbox__digests_survive_a_wrong_clock_and_note),
        WITH(test_outbox__whoever_asks_for_digests_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
