#include "run/installed.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"

static char dir[64];
static const int64_t NOW_MS = 1795420800000;

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/test-installed-XXXXXX");
    return mkdtemp(dir) == NULL ? -1 : 0;
}

static int remove_dir(void **state)
{
    (void)state;
    char rm[] = "rm", force[] = "-rf", *argv[] = {rm, force, dir, NULL};
    const struct process_options options = {.argv = argv, .timeout_ms = 60000};
    return process_run(&options, NULL, NULL);
}

static void write_file(const char *name, const char *text)
{
    char *path = os_path_join(dir, name);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0600, NULL), 0);
    free(path);
}

static struct trigger_list some_triggers(void)
{
    struct trigger_list l = {.items = mem_zalloc(3 * sizeof *l.items), .count = 3};
    static char zone[] = "Europe/Berlin";
    l.items[0].schedule = (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = 7200000, .anchor_ms = 5};
    l.items[1].schedule = (struct schedule){.kind = SCHEDULE_CRON, .cron_text = "0 3 * * 0", .zone = zone};
    assert_int_equal(cron_parse("0 3 * * 0", &l.items[1].schedule.cron, NULL), 0);
    l.items[2].schedule = (struct schedule){.kind = SCHEDULE_AT, .at_ms = NOW_MS};
    for (size_t i = 0; i < l.count; i++) {
        l.items[i].id = mem_printf("clawback-%zu", i);
        l.items[i].name = mem_printf("clawback: tier \"%zu\"", i);
        l.items[i].timeout_ms = 1000 * (i + 1);
        strlist_add(&l.items[i].argv, "/usr/bin/clawback");
        strlist_add(&l.items[i].argv, "run");
    }
    return l;
}

static void remember(enum schedule_via via, bool enabled)
{
    struct installed all = {0};
    struct trigger_list triggers = some_triggers();
    struct installed_item *item = installed_add(&all, via);
    item->enabled = enabled;
    item->home = mem_strdup(dir);
    installed_set_triggers(item, &triggers);
    assert_int_equal(installed_write(dir, &all, NULL), 0);
    triggers_release(&triggers);
    installed_release(&all);
}

static void test_installed__is_read_as_it_was_written(void **state)
{
    (void)state;
    struct installed all = {0}, again;
    struct trigger_list triggers = some_triggers();
    struct installed_item *item = installed_add(&all, VIA_OPENCLAW);
    *item = (struct installed_item){.via = VIA_OPENCLAW, .enabled = true, .placeholder = true, .since_ms = NOW_MS};
    item->detail = mem_strdup("jobs");
    item->program = mem_strdup("/usr/bin/openclaw");
    item->home = mem_strdup("/root/.openclaw");
    installed_set_triggers(item, &triggers);
    item->triggers[1].ref = mem_strdup("job-7");
    installed_add(&all, VIA_CRON)->watchdog = true;
    assert_int_equal(installed_write(dir, &all, NULL), 0);
    assert_int_equal(installed_read(dir, &again, NULL), 0);
    assert_int_equal(again.count, 2);
    const struct installed_item *found = installed_find(&again, VIA_OPENCLAW);
    assert_true(found->enabled && found->placeholder && !found->watchdog);
    assert_int_equal(found->since_ms, NOW_MS);
    assert_string_equal(found->program, "/usr/bin/openclaw");
    assert_string_equal(found->triggers[1].ref, "job-7");
    assert_string_equal(found->triggers[1].schedule.zone, "Europe/Berlin");
    assert_true(installed_matches(found, &triggers));
    assert_true(installed_find(&again, VIA_CRON)->watchdog);
    assert_null(installed_find(&again, VIA_SYSTEMD));
    triggers_release(&triggers);
    installed_release(&again);
    installed_release(&all);
}

static void test_installed__knows_how_often_it_starts_runs(void **state)
{
    (void)state;
    struct installed all = {0};
    assert_int_equal(installed_period_ms(dir), 0);
    remember(VIA_CRON, true);
    assert_int_equal(installed_read(dir, &all, NULL), 0);
    const struct installed_item *item = installed_find(&all, VIA_CRON);
    uint64_t every_ms = 0;
    for (size_t i = 0; i < item->trigger_count; i++)
        if (item->triggers[i].schedule.kind == SCHEDULE_EVERY)
            every_ms = item->triggers[i].schedule.every_ms;
    assert_true(every_ms > 0);
    assert_int_equal(installed_period_ms(dir), every_ms);
    installed_release(&all);
    remember(VIA_CRON, false);
    assert_int_equal(installed_period_ms(dir), 0);
}

static void test_installed__is_empty_without_a_file(void **state)
{
    (void)state;
    struct installed all;
    assert_int_equal(installed_read(dir, &all, NULL), 0);
    assert_int_equal(all.count, 0);
}

static void test_installed__refuses_a_damaged_file(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "",
        "{",
        "{\"installed\":{}}",
        "{\"installed\":[{\"via\":\"moon\"}]}",
        "{\"installed\":[{\"via\":\"cron\"},{\"via\":\"cron\"}]}",
        "{\"installed\":[{\"via\":\"cron\",\"triggers\":[{}]}]}",
        "{\"installed\":[{\"via\":\"cron\",\"triggers\":[{\"id\":\"x\",\"schedule\":{\"kind\":\"every\",\"everyMs\":-1}"
        "}]}]}",
        "{\"installed\":[{\"via\":\"cron\",\"triggers\":[{\"id\":\"x\",\"schedule\":{\"kind\":\"cron\",\"expr\":\"x\"}}"
        "]}]}",
        "{\"installed\":[{\"via\":\"cron\",\"triggers\":[{\"id\":\"x\",\"schedule\":{\"kind\":\"at\",\"atMs\":1}}]}]}",
    };
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        struct installed all;
        struct err err = {0};
        write_file("schedule.json", TEXTS[i]);
        assert_int_equal(installed_read(dir, &all, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(all.count, 0);
    }
}

static void test_installed__notices_every_change_of_a_trigger(void **state)
{
    (void)state;
    struct trigger_list triggers = some_triggers();
    struct installed all = {0};
    struct installed_item *item = installed_add(&all, VIA_CRON);
    installed_set_triggers(item, &triggers);
    assert_true(installed_matches(item, &triggers));
    triggers.items[0].schedule.every_ms++;
    assert_false(installed_matches(item, &triggers));
    triggers.items[0].schedule.every_ms--;
    triggers.items[1].schedule.zone = NULL;
    assert_false(installed_matches(item, &triggers));
    installed_set_triggers(item, &triggers);
    strlist_add(&triggers.items[2].argv, "x");
    assert_false(installed_matches(item, &triggers));
    installed_set_triggers(item, &triggers);
    triggers.items[2].timeout_ms++;
    assert_false(installed_matches(item, &triggers));
    triggers.count--;
    assert_false(installed_matches(item, &triggers));
    triggers.count++;
    installed_remove(&all, VIA_CRON);
    installed_remove(&all, VIA_CRON);
    assert_int_equal(all.count, 0);
    triggers_release(&triggers);
    installed_release(&all);
}

static void expect_text(const struct schedule *s, const char *expected)
{
    char *text = installed_schedule_text(s);
    assert_string_equal(text, expected);
    free(text);
}

static void test_installed__says_schedules_for_people(void **state)
{
    (void)state;
    struct trigger_list triggers = some_triggers();
    expect_text(&triggers.items[0].schedule, "every 2h");
    expect_text(&triggers.items[1].schedule, "cron 0 3 * * 0 (Europe/Berlin)");
    expect_text(&triggers.items[2].schedule, "at 2026-11-23 08:00:00");
    expect_text(&(struct schedule){.kind = SCHEDULE_NONE}, "only when named");
    triggers_release(&triggers);
}

/* --- alive? */

static void expect_found(const char *subject, bool ok, const char *part)
{
    struct fact_list facts = {0};
    installed_check(dir, NOW_MS, &facts);
    assert_true(facts.looked);
    assert_int_equal(facts.count, 1);
    assert_string_equal(facts.items[0].subject, subject);
    if (facts.items[0].ok != ok || strstr(facts.items[0].text, part) == NULL)
        fail_msg("%s: %s", facts.items[0].ok ? "ok" : "not ok", facts.items[0].text);
    installed_checks_release(&facts);
}

static void test_check__says_that_nothing_is_installed(void **state)
{
    (void)state;
    expect_found("schedule", false, "no schedule is installed");
    write_file("schedule.json", "{");
    expect_found("schedule", false, "is damaged");
}

static void test_check__says_that_it_is_disabled(void **state)
{
    (void)state;
    remember(VIA_DAEMON, false);
    expect_found("daemon", false, "disabled");
}

static void test_check__sees_a_daemon_that_is_gone_alive_or_hangs(void **state)
{
    (void)state;
    remember(VIA_DAEMON, true);
    write_file("jobs.json", "[{id:'clawback-0'}, {id:'clawback-1', enabled:true}, {id:'clawback-2'}]");
    expect_found("daemon", false, "does not run");
    write_file("daemon.lock", "process 1\n");
    expect_found("daemon", false, "does not run");
    char *path = os_path_join(dir, "daemon.lock"), *beat = mem_printf("{\"tickMs\":%lld}", (long long)NOW_MS - 60000);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    expect_found("daemon", true, "");
    write_file("daemon.json", beat);
    expect_found("daemon", true, "");
    free(beat);
    beat = mem_printf("{\"tickMs\":%lld}", (long long)NOW_MS - 600000);
    write_file("daemon.json", beat);
    expect_found("daemon", false, "hangs: no sign of life for 10 minutes");
    close(fd);
    free(beat);
    free(path);
}

static void test_check__sees_jobs_that_the_daemon_lacks(void **state)
{
    (void)state;
    remember(VIA_DAEMON, true);
    write_file("daemon.lock", "process 1\n");
    char *path = os_path_join(dir, "daemon.lock");
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    expect_found("daemon", false, "jobs.json' is gone or cannot be read");
    write_file("jobs.json", "{jobs:[{id:'clawback-0'}, 7, {id:'clawback-2'}]}");
    expect_found("daemon", false, "its job 'clawback-1' is gone from");
    write_file("jobs.json", "{jobs:[{id:'clawback-0'}, {id:'clawback-1', enabled:false}, {id:'clawback-2'}]}");
    expect_found("daemon", false, "its job 'clawback-1' is disabled in");
    write_file("jobs.json", "{jobs:[{id:'clawback-0'}, {id:'clawback-1'}, {id:'clawback-2'}]}");
    expect_found("daemon", true, "");
    close(fd);
    free(path);
}

static void write_program(const char *name, const char *text)
{
    char *path = os_path_join(dir, name);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0755, NULL), 0);
    assert_int_equal(chmod(path, 0755), 0);
    free(path);
}

static void test_check__asks_systemd_for_each_timer(void **state)
{
    (void)state;
    char *old = mem_strdup(getenv("PATH")), *path = mem_printf("%s:%s", dir, old);
    setenv("PATH", path, 1);
    remember(VIA_SYSTEMD, true);
    write_program("systemctl", "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=active\\n'\n");
    expect_found("systemd", true, "");
    write_program("systemctl", "#!/bin/sh\nprintf 'LoadState=loaded\\nActiveState=inactive\\n'\n");
    expect_found("systemd", false, "clawback-0.timer is not active");
    write_program("systemctl", "#!/bin/sh\nprintf 'LoadState=not-found\\nActiveState=inactive\\n'\n");
    expect_found("systemd", false, "clawback-0.timer is gone");
    write_program("systemctl", "#!/bin/sh\necho 'no bus' >&2\nexit 1\n");
    expect_found("systemd", false, "no bus");
    setenv("PATH", old, 1);
    free(path);
    free(old);
}

static void test_check__misses_the_crontabs_lines(void **state)
{
    (void)state;
    char *old = mem_strdup(getenv("PATH")), *path = mem_printf("%s:%s", dir, old), *why = NULL;
    setenv("PATH", path, 1);
    remember(VIA_CRON, true);
    write_program("crontab", "#!/bin/sh\necho '* * * * * x'\n");
    expect_found("cron", false, "gone from the crontab");
    write_program("crontab", "#!/bin/sh\ncat <<E\n# clawback: begin (written by 'clawback schedule install')\n"
                             "1 * * * * a\n#off 2 * * * * b\n# clawback: end\n1 * * * * c\nE\n");
    bool lives = installed_cron_lives(&why);
    expect_found("cron", false,
                 lives ? "2 of its 3 lines are gone from the crontab, or switched off" : "no cron daemon");
    write_program("crontab", "#!/bin/sh\ncat <<E\n# clawback: begin (written by 'clawback schedule install')\n"
                             "1 * * * * a\n2 * * * * b\n3 * * * * c\n# clawback: end\nE\n");
    expect_found("cron", lives, lives ? "" : "no cron daemon");
    setenv("PATH", old, 1);
    free(why);
    free(path);
    free(old);
}

/* A gateway that answers, or hangs. */
struct gateway {
    int fd, port;
    bool hangs;
    pthread_t thread;
};

static void *serve(void *arg)
{
    struct gateway *g = arg;
    char text[256];
    int client = accept(g->fd, NULL, NULL);
    if (client < 0)
        return NULL;
    if (!g->hangs && read(client, text, sizeof text) > 0)
        (void)!write(client, "HTTP/1.0 404 Not Found\r\n\r\n", 26);
    else if (g->hangs)
        os_sleep_ms(4000);
    close(client);
    return NULL;
}

static void start_gateway(struct gateway *g)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    g->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(g->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(g->fd, 4), 0);
    assert_int_equal(getsockname(g->fd, (struct sockaddr *)&at, &len), 0);
    g->port = ntohs(at.sin_port);
    assert_int_equal(pthread_create(&g->thread, NULL, serve, g), 0);
}

static void test_check__asks_openclaws_gateway_at_its_port(void **state)
{
    (void)state;
    struct gateway g = {0}, hanging = {.hangs = true};
    remember(VIA_OPENCLAW, true);
    start_gateway(&g);
    char *config = mem_printf("{ // mine\n gateway: {port: %d, bind: 'loopback',}}", g.port);
    write_file("openclaw.json", config);
    expect_found("openclaw", true, "");
    pthread_join(g.thread, NULL);
    close(g.fd);
    expect_found("openclaw", false, "does not answer at port");
    free(config);
    start_gateway(&hanging);
    config = mem_printf("{gateway: {port: %d}}", hanging.port);
    write_file("openclaw.json", config);
    expect_found("openclaw", false, "does not answer");
    pthread_join(hanging.thread, NULL);
    close(hanging.fd);
    free(config);
    write_file("openclaw.json", "{gateway: {bind: 'tailnet', port: 1}}"); /* an address that we do not know */
    expect_found("openclaw", true, "");
}

static void test_check__passes_over_a_placeholder(void **state)
{
    (void)state;
    struct installed all = {0};
    struct installed_item *item = installed_add(&all, VIA_OPENCLAW);
    item->placeholder = item->enabled = true;
    assert_int_equal(installed_write(dir, &all, NULL), 0);
    struct fact_list facts = {0};
    installed_check(dir, NOW_MS, &facts);
    assert_int_equal(facts.count, 0);
    installed_checks_release(&facts);
    installed_release(&all);
}

#define IN_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, remove_dir)

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        IN_DIR(test_installed__is_read_as_it_was_written),
        IN_DIR(test_installed__knows_how_often_it_starts_runs),
        IN_DIR(test_installed__is_empty_without_a_file),
        IN_DIR(test_installed__refuses_a_damaged_file),
        IN_DIR(test_installed__notices_every_change_of_a_trigger),
        IN_DIR(test_installed__says_schedules_for_people),
        IN_DIR(test_check__says_that_nothing_is_installed),
        IN_DIR(test_check__says_that_it_is_disabled),
        IN_DIR(test_check__sees_a_daemon_that_is_gone_alive_or_hangs),
        IN_DIR(test_check__asks_systemd_for_each_timer),
        IN_DIR(test_check__sees_jobs_that_the_daemon_lacks),
        IN_DIR(test_check__misses_the_crontabs_lines),
        IN_DIR(test_check__asks_openclaws_gateway_at_its_port),
        IN_DIR(test_check__passes_over_a_placeholder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
