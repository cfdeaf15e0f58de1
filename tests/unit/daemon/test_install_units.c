#include "daemon/install_units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "os/file.h"
#include "os/process.h"

struct fixture {
    struct strlist environment;
    struct installed_trigger trigger;
    struct plan plan;
    struct plan_destination destinations[2];
    struct buf text;
};

static struct fixture *make(void)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    strlist_add(&f->environment, "PATH=/usr/bin:/bin");
    strlist_add(&f->environment, "XDG_STATE_HOME=/srv/my state/100%");
    f->trigger.id = mem_strdup("clawback");
    f->trigger.name = mem_strdup("clawback: config, 5% more");
    f->trigger.schedule = (struct schedule){.kind = SCHEDULE_EVERY, .every_ms = 7200000};
    f->trigger.timeout_ms = 21600000;
    strlist_add(&f->trigger.argv, "/bin/true");
    strlist_add(&f->trigger.argv, "run");
    f->destinations[0] = (struct plan_destination){.name = "a", .location = "/usr/local/backups"};
    f->destinations[1] = (struct plan_destination){.name = "b", .location = "/mnt/usb"};
    f->plan = (struct plan){.destinations = f->destinations, .destination_count = 2};
    buf_init(&f->text, 1 << 20);
    return f;
}

static void drop(struct fixture *f)
{
    strlist_release(&f->environment);
    strlist_release(&f->trigger.argv);
    free(f->trigger.id);
    free(f->trigger.name);
    buf_release(&f->text);
    free(f);
}

static struct unit_options options_of(const struct fixture *f, bool user)
{
    return (struct unit_options){
        .user = user, .home = user ? NULL : "/root", .environment = &f->environment, .plan = &f->plan};
}

static void expect_line(struct fixture *f, const char *line)
{
    char *whole = mem_printf("\n%s\n", line);
    if (strstr(buf_cstr(&f->text), whole) == NULL)
        fail_msg("no line '%s' in:\n%s", line, buf_cstr(&f->text));
    free(whole);
}

static void expect_no(struct fixture *f, const char *beginning)
{
    char *start = mem_printf("\n%s", beginning);
    if (strstr(buf_cstr(&f->text), start) != NULL)
        fail_msg("a line '%s…' in:\n%s", beginning, buf_cstr(&f->text));
    free(start);
}

static void test_unit__starts_our_program_with_our_environment(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    unit_service(&o, &f->trigger, &f->text);
    expect_line(f, "Description=clawback: config, 5%% more");
    expect_line(f, "Type=oneshot");
    expect_line(f, "ExecStart=/bin/true run");
    expect_line(f, "Environment=\"HOME=/root\"");
    expect_line(f, "Environment=\"XDG_STATE_HOME=/srv/my state/100%%\"");
    expect_line(f, "TimeoutStartSec=21600");
    drop(f);
}

static void test_unit__of_the_system_is_hardened_but_may_write_destinations(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    unit_service(&o, &f->trigger, &f->text);
    expect_line(f, "ProtectSystem=full");
    expect_line(f, "ReadWritePaths=-/usr/local/backups");
    assert_null(strstr(buf_cstr(&f->text), "/mnt/usb"));
    expect_no(f, "ProtectHome");
    expect_no(f, "PrivateTmp");
    expect_no(f, "NoNewPrivileges");
    drop(f);
}

static void test_unit__may_write_its_state_cache_and_log_wherever_they_are(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    strlist_add(&f->environment, "CLAWBACK_STATE_DIR=/usr/local/var/clawback");
    strlist_add(&f->environment, "CLAWBACK_CACHE_DIR=/usr/local/backups");
    strlist_add(&f->environment, "CLAWBACK_LOG=/etc/claw/back.log");
    f->plan.health.textfile = "/usr/local/prom/claw.prom";
    unit_daemon(&o, "/bin/true", &f->text);
    expect_line(f, "ReadWritePaths=-/usr/local/backups\nReadWritePaths=-/usr/local/var/clawback\n"
                   "ReadWritePaths=-/etc/claw\nReadWritePaths=-/usr/local/prom");
    drop(f);
}

static void test_unit__of_a_plan_with_hooks_is_gentle_only(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    struct plan_tier tier = {0};
    f->plan.tiers = &tier;
    f->plan.tier_count = 1;
    assert_true(unit_is_hardened(&o));
    strlist_add(&tier.hooks.failure, "/bin/true");
    assert_false(unit_is_hardened(&o));
    strlist_release(&tier.hooks.failure);
    assert_true(unit_is_hardened(&o));
    strlist_add(&f->plan.hooks.before, "/bin/mount");
    unit_service(&o, &f->trigger, &f->text);
    expect_line(f, "UMask=0077");
    expect_no(f, "Protect");
    expect_no(f, "Restrict");
    expect_no(f, "CapabilityBoundingSet");
    expect_no(f, "ReadWritePaths");
    strlist_release(&f->plan.hooks.before);
    drop(f);
}

static void test_unit__of_the_system_waits_for_what_it_reads(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    unit_service(&o, &f->trigger, &f->text);
    expect_line(f, "Wants=network-online.target");
    assert_non_null(strstr(buf_cstr(&f->text), " postgresql.service "));
    buf_clear(&f->text);
    o.user = true;
    unit_daemon(&o, "/bin/true", &f->text);
    expect_no(f, "After=");
    drop(f);
}

static void test_unit__of_a_run_may_end_with_something_missing(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    unit_service(&o, &f->trigger, &f->text);
    expect_line(f, "SuccessExitStatus=3");
    buf_clear(&f->text);
    strlist_release(&f->trigger.argv);
    strlist_add(&f->trigger.argv, "/bin/true");
    strlist_add(&f->trigger.argv, "health");
    unit_service(&o, &f->trigger, &f->text);
    expect_no(f, "SuccessExitStatus");
    drop(f);
}

static void test_unit__of_a_user_is_gentle_only(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, true);
    unit_service(&o, &f->trigger, &f->text);
    expect_line(f, "IOSchedulingClass=idle");
    expect_line(f, "UMask=0077");
    expect_no(f, "Protect");
    expect_no(f, "Restrict");
    expect_no(f, "LockPersonality");
    expect_no(f, "CapabilityBoundingSet");
    expect_no(f, "Environment=\"HOME");
    drop(f);
}

static void test_unit__of_the_daemon_is_watched_and_restarted(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    unit_daemon(&o, "/opt/my programs/clawback", &f->text);
    expect_line(f, "Type=notify");
    expect_line(f, "WatchdogSec=180");
    expect_line(f, "Restart=on-failure");
    expect_line(f, "KillMode=process");
    expect_line(f, "ExecStart=\"/opt/my programs/clawback\" daemon");
    expect_line(f, "WantedBy=multi-user.target");
    buf_clear(&f->text);
    o.user = true;
    unit_daemon(&o, "/bin/clawback", &f->text);
    expect_line(f, "WantedBy=default.target");
    drop(f);
}

static void test_unit__starts_a_program_that_systemd_itself_would_not(void **state)
{
    (void)state;
    struct fixture *f = make();
    struct unit_options o = options_of(f, false);
    unit_daemon(&o, "/opt/it's $mine/clawback", &f->text);
    expect_line(f, "ExecStart=/bin/sh -c \"exec \\\"$$0\\\" \\\"$$@\\\"\" \"/opt/it's $$mine/clawback\" daemon");
    drop(f);
}

static void test_unit__timer_counts_intervals_from_the_last_start(void **state)
{
    (void)state;
    struct fixture *f = make();
    unit_timer(&f->trigger, &f->text);
    expect_line(f, "OnBootSec=300");
    expect_line(f, "OnUnitActiveSec=7200");
    expect_no(f, "Persistent");
    drop(f);
}

static void test_unit__timer_makes_up_for_times_that_were_missed(void **state)
{
    (void)state;
    struct fixture *f = make();
    f->trigger.schedule = (struct schedule){.kind = SCHEDULE_CRON};
    assert_int_equal(cron_parse("0 9 13 * fri", &f->trigger.schedule.cron, NULL), 0);
    unit_timer(&f->trigger, &f->text);
    expect_line(f, "OnCalendar=*-*-13 09:00:00");
    expect_line(f, "OnCalendar=Fri *-*-* 09:00:00");
    expect_line(f, "Persistent=true");
    drop(f);
}

static void expect_word(const char *word, bool command, const char *expected)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    unit_word(&out, word, command);
    assert_string_equal(buf_cstr(&out), expected);
    buf_release(&out);
}

static void test_unit_word__quotes_what_systemd_would_read_otherwise(void **state)
{
    (void)state;
    expect_word("a b", true, "\"a b\"");
    expect_word("50%", true, "\"50%%\"");
    expect_word("$HOME", true, "\"$$HOME\"");
    expect_word("$HOME", false, "\"$HOME\"");
    expect_word("say \"x\\y\"", true, "\"say \\\"x\\\\y\\\"\"");
    expect_word("a\nb", true, "\"a\\x0ab\"");
}

/* --- what systemd itself says --- */

static char *write_unit(const char *dir, const char *name, struct buf *text)
{
    char *path = os_path_join(dir, name);
    assert_int_equal(os_write_file_atomic(path, text->data, text->len, 0644, NULL), 0);
    buf_clear(text);
    return path;
}

static void verify(bool user, char *const *paths)
{
    char program[] = "systemd-analyze", verb[] = "verify", no_man[] = "--man=no", mode[16],
         *argv[10] = {program, verb, no_man, mode};
    snprintf(mode, sizeof mode, user ? "--user" : "--system");
    for (size_t i = 0; paths[i] != NULL; i++)
        argv[4 + i] = paths[i];
    struct process_options options = {.argv = argv, .timeout_ms = 60000};
    struct process *p;
    struct err err = {0};
    assert_int_equal(process_start(&p, &options, &err), 0);
    int rc = process_wait(p, &err);
    /* It also says what it thinks of units of others; of ours it must say nothing. */
    if (rc < 0 || strstr(process_stderr(p), "clawback") != NULL)
        fail_msg("%s\n%s", rc < 0 ? err.message : "", process_stderr(p));
    process_free(p);
}

static void check_with_systemd(bool user)
{
    struct fixture *f = make();
    struct unit_options o = options_of(f, user);
    char dir[] = "/tmp/test-units-XXXXXX", *paths[4] = {NULL};
    assert_non_null(mkdtemp(dir));
    unit_service(&o, &f->trigger, &f->text);
    paths[0] = write_unit(dir, "clawback.service", &f->text);
    unit_timer(&f->trigger, &f->text);
    paths[1] = write_unit(dir, "clawback.timer", &f->text);
    unit_daemon(&o, "/bin/true", &f->text);
    paths[2] = write_unit(dir, "clawbackd.service", &f->text);
    char *runtime = mem_printf("%s/run", dir);
    assert_int_equal(os_make_dirs(runtime, 0700, NULL), 0);
    setenv("XDG_RUNTIME_DIR", runtime, 1);
    verify(user, paths);
    for (size_t i = 0; i < 3; i++)
        free(paths[i]);
    char rm[] = "rm", force[] = "-rf", *argv[] = {rm, force, dir, NULL};
    const struct process_options options = {.argv = argv, .timeout_ms = 60000};
    assert_int_equal(process_run(&options, NULL, NULL), 0);
    free(runtime);
    drop(f);
}

static void test_unit__is_valid_to_systemd(void **state)
{
    (void)state;
    check_with_systemd(false);
}

static void test_unit__is_valid_to_a_users_systemd(void **state)
{
    (void)state;
    check_with_systemd(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unit__starts_our_program_with_our_environment),
        cmocka_unit_test(test_unit__starts_a_program_that_systemd_itself_would_not),
        cmocka_unit_test(test_unit__of_the_system_is_hardened_but_may_write_destinations),
        cmocka_unit_test(test_unit__may_write_its_state_cache_and_log_wherever_they_are),
        cmocka_unit_test(test_unit__of_a_plan_with_hooks_is_gentle_only),
        cmocka_unit_test(test_unit__of_the_system_waits_for_what_it_reads),
        cmocka_unit_test(test_unit__of_a_run_may_end_with_something_missing),
        cmocka_unit_test(test_unit__of_a_user_is_gentle_only),
        cmocka_unit_test(test_unit__of_the_daemon_is_watched_and_restarted),
        cmocka_unit_test(test_unit__timer_counts_intervals_from_the_last_start),
        cmocka_unit_test(test_unit__timer_makes_up_for_times_that_were_missed),
        cmocka_unit_test(test_unit_word__quotes_what_systemd_would_read_otherwise),
        cmocka_unit_test(test_unit__is_valid_to_systemd),
        cmocka_unit_test(test_unit__is_valid_to_a_users_systemd),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
