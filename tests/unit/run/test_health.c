/* Facts from records made by hand, under a clock that stands still; and what becomes of things that hang. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "monitor/alerts.h"
#include "monitor/record.h"
#include "os/clock.h"
#include "os/file.h"
#include "plan/config.h"
#include "plan/parsed.h"
#include "run/health.h"
#include "run/host_lock.h"
#include "run/installed.h"
#include "store/scratch.h"

enum { PATIENCE_MS = 400, BOUND_MS = 8000 };
static const int64_t HOUR = 3600000, DAY = 24 * 3600000LL;
static const int64_t NOW = 1770200000000; /* 2026-02-04T10:13:20Z */

static char *base, *state_dir;

static char *in_base(const char *name)
{
    return os_path_join(base, name);
}

static void write_file(const char *name, const char *text)
{
    char *path = in_base(name), *dir = mem_strdup(path);
    *strrchr(dir, '/') = '\0';
    assert_int_equal(os_make_dirs(dir, 0700, NULL), 0);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0600, NULL), 0);
    free(dir);
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    char *made = scratch_make();
    base = realpath(made, NULL);
    free(made);
    state_dir = in_base("state");
    setenv("HOME", base, 1);
    write_file("data/a.txt", "hello");
    write_file("usb/x", "");
    static const struct timespec now = {.tv_sec = 1770200000};
    os_clock_set(&now);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    os_clock_set(NULL);
    free(state_dir);
    scratch_remove(base);
    return 0;
}

static struct plan *plan_of(const char *destinations, const char *tiers)
{
    char *text = mem_printf("passphrase: {env: X}\nhealth: {full: off, critical_free: 1MB}\ndestinations: {%s}\n"
                            "tiers:\n%s",
                            destinations, tiers);
    struct plan *plan = parsed(text, "x.yaml", true);
    free(text);
    return plan;
}

static struct plan *usual(void)
{
    return plan_of("usb: {path: ~/usb, reserve: 1MB}",
                   "  config: {every: 2h, files: [~/data], to: [usb]}\n  full: {cron: '0 3 * * *', files: [~/data], "
                   "to: [usb]}\n  named: {files: [~/data], to: [usb]}\n");
}

/* A run that began at began_ms, and, unless ended_ms is 0, ended. */
static void add_run(const char *tier, int64_t began_ms, int64_t ended_ms, int exit_code, int pid)
{
    static int counter;
    char id[17], error[] = "no disk";
    snprintf(id, sizeof id, "%016x", ++counter);
    struct record r = {.status = RECORD_STARTED,
                       .time = {.tv_sec = began_ms / 1000},
                       .tier = (char *)(uintptr_t)tier,
                       .run_id = id,
                       .pid = pid};
    struct err err = {0};
    if (record_append(state_dir, &r, &err) != 0)
        fail_msg("%s", err.message);
    if (ended_ms == 0)
        return;
    r.status = exit_code == 1 ? RECORD_FAILED : RECORD_COMPLETED;
    r.time.tv_sec = ended_ms / 1000;
    r.exit_code = exit_code;
    r.error = exit_code == 1 ? error : NULL;
    r.bytes_processed = 4096;
    assert_int_equal(record_append(state_dir, &r, NULL), 0);
}

struct gathered {
    struct facts facts;
    struct facts_held *held;
};

static struct gathered gather(const struct plan *p, bool quick)
{
    struct gathered g = {0};
    struct err err = {0};
    const struct health_options o = {
        .plan = p, .state_dir = state_dir, .quick = quick, .quiet = true, .patience_ms = PATIENCE_MS};
    uint64_t began = os_monotonic_ns();
    if (health_gather(&o, &g.facts, &g.held, &err) != 0)
        fail_msg("%s", err.message);
    assert_true(os_monotonic_ns() - began < (uint64_t)BOUND_MS * 1000000);
    return g;
}

/* The one of this subject; it must be there. */
static const struct fact_check *check_of(const struct fact_list *l, const char *subject)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].subject, subject) == 0)
            return &l->items[i];
    fail_msg("nothing was said of '%s'", subject);
    return NULL;
}

/* ---- tiers */

static void test_health__when_tiers_ran_run_next_and_are_late(void **state)
{
    (void)state;
    struct plan *p = usual();
    add_run("config", NOW - 3 * DAY, NOW - 3 * DAY + 60000, 0, 1);
    add_run("config", NOW - HOUR, NOW - HOUR + 60000, 0, 1);
    struct gathered g = gather(p, true);
    assert_int_equal(g.facts.now_ms, NOW);
    assert_int_equal(g.facts.tier_count, 3);
    const struct fact_tier *config = &g.facts.tiers[0], *full = &g.facts.tiers[1], *named = &g.facts.tiers[2];
    assert_ptr_equal(config->tier, &p->tiers[0]);
    assert_int_equal(config->records->count, 4);
    assert_int_equal(config->next_ms, NOW + HOUR);
    assert_int_equal(config->late_ms, NOW - HOUR + 60000 + 5 * HOUR / 2);
    assert_false(config->running);
    /* It never ran: its time counts from the first record of any tier. */
    assert_true(full->late_ms > NOW - 3 * DAY && full->late_ms <= NOW - 2 * DAY + 6 * HOUR);
    assert_int_equal(named->late_ms, 0);
    assert_int_equal(named->next_ms, 0);
    assert_int_equal(g.facts.watched_since_ms, NOW - 3 * DAY);
    facts_release(g.held);
    plan_free(p);
}

static void test_health__a_tier_that_is_new_in_the_plan_has_its_time(void **state)
{
    (void)state;
    write_file("plan.yaml", "passphrase: {env: X}\ndestinations: {usb: {path: ~/usb}}\n"
                            "tiers:\n  old: {every: 2h, files: [~/data], to: [usb]}\n"
                            "  new: {every: 2h, files: [~/data], to: [usb]}\n");
    char *file = in_base("plan.yaml");
    struct timespec times[2] = {{.tv_sec = (NOW - HOUR) / 1000}, {.tv_sec = (NOW - HOUR) / 1000}};
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    struct plan *p = NULL;
    struct config_report report = {0};
    assert_int_equal(config_load(file, &p, &report, NULL), 0);
    add_run("old", NOW - 3 * DAY, NOW - 3 * DAY + 60000, 1, 1);
    struct gathered g = gather(p, true);
    assert_int_equal(g.facts.tiers[0].late_ms, NOW - 3 * DAY + 5 * HOUR / 2);
    assert_int_equal(g.facts.tiers[1].late_ms, NOW - HOUR + 5 * HOUR / 2);
    facts_release(g.held);
    config_report_release(&report);
    plan_free(p);
    free(file);
}

static void test_health__nothing_is_late_where_nothing_ever_ran(void **state)
{
    (void)state;
    struct plan *p = usual();
    struct gathered g = gather(p, true);
    assert_int_equal(g.facts.watched_since_ms, 0);
    assert_int_equal(g.facts.tiers[0].late_ms, 0);
    facts_release(g.held);
    /* … but after somebody saw to it that something runs. */
    struct installed installed = {0};
    installed_add(&installed, VIA_CRON)->since_ms = NOW - DAY;
    assert_int_equal(os_make_dirs(state_dir, 0700, NULL), 0);
    assert_int_equal(installed_write(state_dir, &installed, NULL), 0);
    g = gather(p, true);
    assert_int_equal(g.facts.watched_since_ms, NOW - DAY);
    assert_int_equal(g.facts.tiers[0].late_ms, NOW - DAY + 5 * HOUR / 2);
    facts_release(g.held);
    installed_release(&installed);
    plan_free(p);
}

static void test_health__running_is_who_holds_the_lock_and_lives(void **state)
{
    (void)state;
    struct plan *p = usual();
    add_run("config", NOW - 60000, 0, 0, getpid());
    add_run("full", NOW - 60000, 0, 0, 0x3fffffff); /* no such process */
    struct gathered g = gather(p, true);
    assert_false(g.facts.tiers[0].running);
    facts_release(g.held);
    struct host_lock *lock;
    assert_int_equal(host_lock_acquire(&lock, state_dir, false, NULL), 0);
    g = gather(p, true);
    assert_true(g.facts.tiers[0].running);
    assert_false(g.facts.tiers[1].running);
    host_lock_release(lock);
    facts_release(g.held);
    plan_free(p);
}

/* ---- destinations */

static void test_health__destinations(void **state)
{
    (void)state;
    struct plan *p = plan_of("usb: {path: ~/usb, reserve: 1MB}, nas: {path: /nowhere/mounted, require_mount: true}",
                             "  config: {every: 2h, files: [~/data], to: [usb, nas]}\n");
    struct gathered g = gather(p, true);
    const struct fact_destination *usb = &g.facts.destinations[0], *nas = &g.facts.destinations[1];
    assert_true(usb->ready);
    assert_null(usb->problem);
    assert_true(usb->space_known && usb->free_bytes > 0 && usb->free_bytes <= usb->total_bytes);
    assert_null(usb->forecast);
    assert_false(nas->ready || nas->space_known); /* what is seen there is another file system's */
    assert_non_null(strstr(nas->problem, "nothing is mounted"));
    assert_null(strstr(nas->problem, "destination 'nas'")); /* which the rule says */
    assert_non_null(strstr(facts_destination_look(g.held, 1)->message, "destination 'nas': nothing is mounted"));
    assert_int_equal(facts_destination_look(g.held, 1)->problem, DESTINATION_NOT_MOUNTED);
    facts_release(g.held);
    plan_free(p);
}

static void test_health__a_destination_that_hangs_holds_up_nothing_else(void **state)
{
    (void)state;
    struct plan *p = plan_of("nas: {path: ~/nas}, usb: {path: ~/usb, reserve: 1MB}",
                             "  config: {every: 2h, files: [~/data], to: [nas, usb]}\n");
    char *dir = in_base("nas"), *marker = in_base("nas/clawback-destination.json");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(mkfifo(marker, 0600), 0); /* whoever opens it to read it waits for a writer */
    struct gathered g = gather(p, false);
    assert_false(g.facts.destinations[0].ready);
    assert_non_null(strstr(g.facts.destinations[0].problem, "no answer within 0.4 seconds"));
    assert_false(g.facts.destinations[0].space_known);
    assert_true(g.facts.destinations[1].ready);
    facts_release(g.held);
    free(dir);
    free(marker);
    plan_free(p);
}

static void test_health__a_forecast_from_the_records(void **state)
{
    (void)state;
    struct plan *p = usual();
    for (int day = 6; day >= 0; day--) {
        struct record r = {.status = RECORD_COMPLETED, .time = {.tv_sec = (NOW - day * DAY) / 1000}};
        char tier[] = "config", id[] = "00112233445566aa";
        r.tier = tier;
        r.run_id = id;
        struct record_destination *d = record_add_destination(&r, "usb");
        d->status = RECORD_COMPLETED;
        d->total_bytes = 1000000000;
        d->free_bytes = 400000000 + (uint64_t)day * 10000000;
        assert_int_equal(record_append(state_dir, &r, NULL), 0);
        r.tier = r.run_id = NULL;
        record_release(&r);
    }
    struct gathered g = gather(p, true);
    assert_non_null(g.facts.destinations[0].forecast);
    assert_non_null(strstr(g.facts.destinations[0].forecast, "10.0 MB a day"));
    assert_true(g.facts.destinations[0].full_ms > NOW + 30 * DAY && g.facts.destinations[0].full_ms < NOW + 50 * DAY);
    facts_release(g.held);
    plan_free(p);
}

/* ---- databases, schedulers, clocks, proof */

static void test_health__databases_are_asked_once_each(void **state)
{
    (void)state;
    struct plan *p =
        plan_of("usb: {path: ~/usb}",
                "  a: {redis: [{url: 'redis://127.0.0.1:1'}], sqlite: [~/data/a.txt, ~/none.db], to: [usb]}\n"
                "  b: {redis: [{url: 'redis://127.0.0.1:1'}], to: [usb]}\n"
                "  c: {redis: [{url: 'redis://127.0.0.1:2'}], sqlite: [~/no.db], when: running, to: [usb]}\n"
                "  d: {postgres: [{url: 'postgresql://u:secret@127.0.0.1:1/x', database: x}], to: [usb]}\n"
                "  e: {redis: [{url: 'redis://127.0.0.1:3'}], enabled: false, to: [usb]}\n");
    struct gathered g = gather(p, false);
    assert_true(g.facts.dumps.looked);
    assert_int_equal(g.facts.dumps.count, 6);
    assert_false(check_of(&g.facts.dumps, "redis at 127.0.0.1:1")->ok);
    assert_true(check_of(&g.facts.dumps, "redis at 127.0.0.1:2")->ok);
    assert_non_null(strstr(check_of(&g.facts.dumps, "redis at 127.0.0.1:2")->text, "when: running"));
    char *there = in_base("data/a.txt"), *missing = in_base("none.db"), *skipped = in_base("no.db");
    assert_true(check_of(&g.facts.dumps, there)->ok);
    assert_string_equal(check_of(&g.facts.dumps, missing)->text, "is not there");
    assert_true(check_of(&g.facts.dumps, skipped)->ok);
    for (size_t i = 0; i < g.facts.dumps.count; i++) {
        assert_null(strstr(g.facts.dumps.items[i].subject, "secret"));
        assert_null(strstr(g.facts.dumps.items[i].text, "secret"));
    }
    facts_release(g.held);
    p->health.no_dump_check = true;
    g = gather(p, false);
    assert_false(g.facts.dumps.looked);
    facts_release(g.held);
    free(there);
    free(missing);
    free(skipped);
    plan_free(p);
}

static void test_health__a_database_that_answers_nobody_is_given_up(void **state)
{
    (void)state;
    int deaf = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof where;
    assert_int_equal(bind(deaf, (struct sockaddr *)&where, len), 0);
    assert_int_equal(listen(deaf, 4), 0);
    assert_int_equal(getsockname(deaf, (struct sockaddr *)&where, &len), 0);
    char *tiers = mem_printf("  a: {redis: [{url: 'redis://127.0.0.1:%d'}], to: [usb]}\n", ntohs(where.sin_port));
    struct plan *p = plan_of("usb: {path: ~/usb}", tiers);
    struct gathered g = gather(p, false);
    assert_int_equal(g.facts.dumps.count, 1);
    assert_false(g.facts.dumps.items[0].ok);
    facts_release(g.held);
    plan_free(p);
    free(tiers);
    close(deaf);
}

static void test_health__schedulers_are_looked_at(void **state)
{
    (void)state;
    struct plan *p = usual();
    struct gathered g = gather(p, true);
    assert_false(g.facts.schedulers.looked); /* quick, and none is installed */
    facts_release(g.held);
    g = gather(p, false);
    assert_true(g.facts.schedulers.looked);
    assert_int_equal(g.facts.schedulers.count, 1);
    assert_false(g.facts.schedulers.items[0].ok);
    facts_release(g.held);
    struct installed installed = {0};
    installed_add(&installed, VIA_DAEMON)->enabled = true;
    assert_int_equal(os_make_dirs(state_dir, 0700, NULL), 0);
    assert_int_equal(installed_write(state_dir, &installed, NULL), 0);
    g = gather(p, true);
    assert_false(check_of(&g.facts.schedulers, "daemon")->ok); /* no daemon runs here */
    facts_release(g.held);
    installed_release(&installed);
    plan_free(p);
}

static void test_health__what_is_from_the_future_tells_of_a_wrong_clock(void **state)
{
    (void)state;
    struct plan *p = usual();
    struct gathered g = gather(p, false);
    assert_true(g.facts.skews.looked);
    facts_release(g.held);
    add_run("config", NOW + 60000, NOW + 120000, 0, 1); /* within what is allowed */
    g = gather(p, false);
    assert_true(check_of(&g.facts.skews, "run records")->ok);
    facts_release(g.held);
    add_run("config", NOW + 3 * HOUR, NOW + 3 * HOUR, 0, 1);
    write_file("usb/snapshots/x", "");
    char *dir = in_base("usb/snapshots");
    struct timespec times[2] = {{.tv_sec = (NOW + DAY) / 1000}, {.tv_sec = (NOW + DAY) / 1000}};
    assert_int_equal(utimensat(AT_FDCWD, dir, times, 0), 0);
    g = gather(p, false);
    const struct fact_check *records = check_of(&g.facts.skews, "run records"), *usb = check_of(&g.facts.skews, "usb");
    assert_false(records->ok);
    assert_non_null(strstr(records->text, "which is 3h from now"));
    assert_false(usb->ok);
    assert_non_null(strstr(usb->text, "destination 'usb'"));
    facts_release(g.held);
    g = gather(p, true);
    assert_false(g.facts.skews.looked);
    facts_release(g.held);
    free(dir);
    plan_free(p);
}

static void test_health__proofs_are_looked_for_where_somebody_drills(void **state)
{
    (void)state;
    struct plan *p = usual();
    struct gathered g = gather(p, true);
    assert_false(g.facts.proof_looked);
    facts_release(g.held);
    p->health.proof_max_age_ms = 7 * (uint64_t)DAY;
    g = gather(p, true);
    assert_true(g.facts.proof_looked);
    assert_int_equal(g.facts.proof_ms, 0);
    facts_release(g.held);
    p->health.proof_max_age_ms = 35 * (uint64_t)DAY;
    add_run("drill", NOW - 9 * DAY, NOW - 9 * DAY, 0, 1);
    add_run("drill", NOW - 2 * DAY, NOW - 2 * DAY, 1, 1); /* a failed one proves nothing */
    g = gather(p, true);
    assert_true(g.facts.proof_looked);
    assert_int_equal(g.facts.proof_ms, NOW - 9 * DAY);
    facts_release(g.held);
    plan_free(p);
}

/* ---- the whole */

static const struct finding *finding_of(const struct health_report *r, const char *rule, const char *subject)
{
    for (size_t i = 0; i < r->findings.count; i++)
        if (strcmp(r->findings.items[i].rule, rule) == 0 && strcmp(r->findings.items[i].subject, subject) == 0)
            return &r->findings.items[i];
    return NULL;
}

static int check_all(const struct plan *p, bool quiet, struct health_report *out, struct err *err)
{
    const struct health_options o = {
        .plan = p, .state_dir = state_dir, .quick = true, .quiet = quiet, .patience_ms = PATIENCE_MS};
    *err = (struct err){0};
    return health_check(&o, out, err);
}

static size_t open_alerts(void)
{
    struct state *s;
    struct alert_list open = {0};
    assert_int_equal(state_open(&s, state_dir, NULL), 0);
    assert_int_equal(alerts_open(s, &open, NULL), 0);
    size_t count = open.count;
    alert_list_release(&open);
    state_close(s);
    return count;
}

static void test_health__an_alert_is_opened_and_closed(void **state)
{
    (void)state;
    struct plan *p = usual();
    struct health_report r;
    struct err err;
    add_run("config", NOW - 2 * HOUR, NOW - 2 * HOUR, 1, 1);
    assert_int_equal(check_all(p, true, &r, &err), 0);
    assert_int_equal(finding_of(&r, "run-failed", "config")->level, ALERT_CRITICAL);
    assert_int_equal(r.worst, ALERT_CRITICAL);
    health_report_release(&r);
    assert_false(scratch_has(state_dir, "state.sqlite")); /* who looks writes nothing */
    assert_int_equal(check_all(p, false, &r, &err), 0);
    assert_int_equal(finding_of(&r, "state", "alerts")->level, ALERT_FINE);
    health_report_release(&r);
    assert_int_equal(open_alerts(), 1);
    add_run("config", NOW - HOUR, NOW - HOUR, 0, 1);
    assert_int_equal(check_all(p, false, &r, &err), 0);
    assert_int_equal(finding_of(&r, "run-failed", "config")->level, ALERT_FINE);
    health_report_release(&r);
    assert_int_equal(open_alerts(), 0);
    plan_free(p);
}

static void test_health__measures(void **state)
{
    (void)state;
    struct plan *p = usual();
    struct health_report r;
    struct err err;
    struct state *s;
    struct state_point *points = NULL;
    size_t count = 0;
    add_run("config", NOW - HOUR, NOW - HOUR, 0, 1);
    assert_int_equal(check_all(p, false, &r, &err), 0);
    health_report_release(&r);
    assert_int_equal(state_open(&s, state_dir, NULL), 0);
    assert_int_equal(state_series(s, "destination.used:usb", 0, &points, &count, NULL), 0);
    assert_true(count >= 1 && points[count - 1].at_ms == NOW && points[count - 1].value > 0);
    free(points);
    assert_int_equal(state_series(s, "tier.bytes:config", 0, &points, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_true(points[0].at_ms == NOW - HOUR && points[0].value == 4096);
    free(points);
    state_close(s);
    plan_free(p);
}

static void test_health__without_a_state_the_findings_are_there(void **state)
{
    (void)state;
    struct plan *p = plan_of("nas: {path: /nowhere/mounted, require_mount: true}",
                             "  config: {every: 2h, files: [~/data], to: [nas]}\n");
    write_file("state", "not a directory");
    struct health_report r;
    struct err err;
    assert_int_equal(check_all(p, false, &r, &err), -1);
    assert_true(err.code != ERR_NONE);
    assert_int_equal(finding_of(&r, "destination", "nas")->level, ALERT_CRITICAL);
    const struct finding *f = finding_of(&r, "state", "alerts");
    assert_non_null(f);
    assert_int_equal(f->level, ALERT_WARNING);
    assert_non_null(strstr(f->text, "alerts cannot be kept"));
    assert_non_null(f->command);
    health_report_release(&r);
    /* Who only looks does not miss it. */
    assert_int_equal(check_all(p, true, &r, &err), 0);
    assert_null(finding_of(&r, "state", "alerts"));
    health_report_release(&r);
    plan_free(p);
}

/* What the command of a channel wrote; the caller frees it. */
static char *heard(void)
{
    struct buf text;
    char *path = in_base("heard");
    buf_init(&text, 1 << 20);
    os_read_file(path, &text, NULL);
    char *all = mem_strdup(buf_cstr(&text));
    buf_release(&text);
    free(path);
    return all;
}

static void test_health__without_a_state_the_channels_are_told_directly(void **state)
{
    (void)state;
    struct plan *p = plan_of("nas: {path: /nowhere/mounted, require_mount: true}",
                             "  config: {every: 2h, files: [~/data], to: [nas]}\n"
                             "alerts: {channels: {"
                             "ops: {command: 'cat >> ~/heard; echo >> ~/heard', level: critical}, "
                             "deaf: {command: 'sleep 1000'}, monitor: {ping: 'http://127.0.0.1:1/x'}}}\n");
    write_file("state", "not a directory");
    struct health_report r;
    struct err err;
    assert_int_equal(check_all(p, false, &r, &err), -1); /* quick: at the end of a run */
    health_report_release(&r);
    char *text = heard(), *name = in_base("heard");
    assert_non_null(strstr(text, "destination 'nas'"));
    unlink(name);
    free(name);
    free(text);
    const struct health_options o = {.plan = p, .state_dir = state_dir, .patience_ms = 1500};
    uint64_t began = os_monotonic_ns();
    assert_int_equal(health_check(&o, &r, &err), -1);
    assert_true(os_monotonic_ns() - began < 3 * (uint64_t)BOUND_MS * 1000000);
    health_report_release(&r);
    text = heard();
    assert_non_null(strstr(text, "destination 'nas'"));
    assert_non_null(strstr(text, "alerts cannot be kept"));
    assert_null(strstr(text, "nothing will start")); /* a warning, which can wait */
    free(text);
    plan_free(p);
}

static void test_health__records_that_cannot_be_read_are_a_finding(void **state)
{
    (void)state;
    struct plan *p = usual();
    write_file("state/runs/config.jsonl/x", "");
    write_file("state/runs/full.jsonl/x", "");
    struct health_report r;
    struct err err;
    check_all(p, true, &r, &err);
    assert_null(r.facts.tiers[0].records);
    const struct finding *f = finding_of(&r, "state", "records");
    assert_int_equal(f->level, ALERT_WARNING);
    assert_non_null(strstr(f->text, "config.jsonl"));
    assert_non_null(strstr(f->details, "full.jsonl"));
    health_report_release(&r);
    plan_free(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_health__when_tiers_ran_run_next_and_are_late),
        TEST(test_health__a_tier_that_is_new_in_the_plan_has_its_time),
        TEST(test_health__nothing_is_late_where_nothing_ever_ran),
        TEST(test_health__running_is_who_holds_the_lock_and_lives),
        TEST(test_health__destinations),
        TEST(test_health__a_destination_that_hangs_holds_up_nothing_else),
        TEST(test_health__a_forecast_from_the_records),
        TEST(test_health__databases_are_asked_once_each),
        TEST(test_health__a_database_that_answers_nobody_is_given_up),
        TEST(test_health__schedulers_are_looked_at),
        TEST(test_health__what_is_from_the_future_tells_of_a_wrong_clock),
        TEST(test_health__proofs_are_looked_for_where_somebody_drills),
        TEST(test_health__an_alert_is_opened_and_closed),
        TEST(test_health__measures),
        TEST(test_health__without_a_state_the_findings_are_there),
        TEST(test_health__without_a_state_the_channels_are_told_directly),
        TEST(test_health__records_that_cannot_be_read_are_a_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
