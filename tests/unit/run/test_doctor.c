#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "monitor/record.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/process.h"
#include "plan/config.h"
#include "plan/parsed.h"
#include "repo/lock.h"
#include "run/destination.h"
#include "run/doctor_checks.h"
#include "run/installed.h"
#include "store/scratch.h"

static char *base, *state_dir;

static const char STRONG[] = "k7wq2mzr9xv4hnbt3jdp";

static char *in_base(const char *name)
{
    return os_path_join(base, name);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char *path = in_base(name), *dir = mem_strdup(path);
    *strrchr(dir, '/') = '\0';
    struct err err;
    assert_int_equal(os_make_dirs(dir, 0700, &err), 0);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), mode, &err), 0);
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
    unsetenv("OPENCLAW_STATE_DIR");
    unsetenv("OPENCLAW_CONFIG_PATH");
    write_file("secret/passphrase", STRONG, 0600);
    write_file("data/a.txt", "hello", 0600);
    char *backups = in_base("backups");
    assert_int_equal(mkdir(backups, 0700), 0);
    free(backups);
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

static struct plan *plan_of(const char *head, const char *tiers)
{
    char *text = mem_printf("%s\ntiers:\n%s", head, tiers);
    struct plan *plan = parsed(text, "x.yaml", true);
    free(text);
    return plan;
}

static struct plan *usual(void)
{
    return plan_of("passphrase: {file: ~/secret/passphrase}\ndestinations: {d: {path: ~/backups, reserve: 1MB}}",
                   "  t: {every: 2h, files: [~/data], to: [d], keep: {all: true}}\n");
}

/* What a check said, its lines one after the other: "green: …\nred: … -> …\n". The caller frees it. */
static char *examine(void (*check)(struct doctor *d), const struct plan *p)
{
    struct buf out, text;
    const struct doctor_options options = {.plan = p, .state_dir = state_dir};
    struct doctor d = {.options = &options, .plan = p, .out = &out};
    buf_init(&out, 1 << 20);
    buf_init(&text, 1 << 20);
    check(&d);
    for (const char *at = (const char *)out.data, *end = at + out.len; at < end;) {
        const char *found = at + 1, *advice = found + strlen(found) + 1;
        buf_printf(&text, "%s: %s%s%s\n", doctor_level_name((enum doctor_level) * at), found,
                   *advice != '\0' ? " -> " : "", advice);
        assert_true(*at == DOCTOR_GREEN || *advice != '\0'); /* whoever complains says what to do */
        at = advice + strlen(advice) + 1;
    }
    char *copy = mem_strdup(buf_cstr(&text));
    buf_release(&out);
    buf_release(&text);
    return copy;
}

/* Runs the check on the plan, and wants each of these (NULL-terminated) in what it said; "!x" must not be there. */
static void expect(void (*check)(struct doctor *d), const struct plan *p, const char *const *parts)
{
    char *said = examine(check, p);
    for (; *parts != NULL; parts++) {
        bool unwanted = **parts == '!';
        if ((strstr(said, *parts + unwanted) != NULL) == unwanted)
            fail_msg("'%s' in:\n%s", *parts, said);
    }
    free(said);
}
#define EXPECT(check, plan, ...) expect(check, plan, (const char *const[]){__VA_ARGS__, NULL})

static void make_repository(const struct plan *p)
{
    struct repo *repo;
    struct err err = {0};
    if (destination_open(p, &p->destinations[0], NULL, true, &repo, &err) != 0)
        fail_msg("%s", err.message);
    repo_free(repo);
}

/* ---- storage */

static void test_doctor__a_destination_that_is_ready(void **state)
{
    (void)state;
    struct plan *p = usual();
    EXPECT(doctor_destinations, p, "green: 'd' is there and writable", "same disk");
    plan_free(p);
}

static void test_doctor__destinations_that_are_not(void **state)
{
    (void)state;
    write_file("file", "x", 0600);
    struct plan *p =
        plan_of("passphrase: {env: X}\ndestinations:\n  a: {path: ~/file}\n"
                "  b: {path: /nowhere/mounted, require_mount: true}\n  c: {path: ~/backups, reserve: 900TB}",
                "  t: {files: [~/data], to: [a, b, c]}\n");
    EXPECT(doctor_destinations, p, "red: destination 'a'", "no directory", "red: destination 'b'", "mount it",
           "red: destination 'c'", "make room");
    EXPECT(doctor_repositories, p, "!destination 'a'"); /* once is enough */
    plan_free(p);
}

static void test_doctor__repositories(void **state)
{
    (void)state;
    struct plan *p = usual();
    EXPECT(doctor_repositories, p, "yellow: there is no repository at 'd' yet -> the first run");
    make_repository(p);
    EXPECT(doctor_repositories, p, "green: the repository at 'd' opens and is complete: 0 snapshots");
    write_file("secret/passphrase", "another one altogether", 0600);
    EXPECT(doctor_repositories, p, "red: destination 'd'", "passphrase it was made with");
    plan_free(p);
}

static void test_doctor__a_damaged_repository_and_stale_locks(void **state)
{
    (void)state;
    struct plan *p = usual();
    make_repository(p);
    write_file("backups/index/0000000000000000000000000000000000000000000000000000000000000000", "not an index", 0600);
    pid_t pid = fork();
    if (pid == 0) { /* dies with its lock */
        struct repo *repo;
        struct lock *lock;
        if (destination_open(p, &p->destinations[0], NULL, false, &repo, NULL) == 0)
            lock_acquire(&lock, repo, false, 0, NULL);
        _exit(0);
    }
    assert_true(pid > 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    EXPECT(doctor_repositories, p, "red: the repository at 'd' is damaged", "check", "yellow: 'd' holds 1 stale lock",
           "unlock");
    plan_free(p);
}

static void test_doctor__archives(void **state)
{
    (void)state;
    struct plan *p = plan_of("host: h\npassphrase: {env: X}\ndestinations: {d: {path: ~/backups}}",
                             "  full: {files: [~/data], format: archive, to: [d]}\n");
    EXPECT(doctor_repositories, p, "yellow: there is no archive at 'd' yet", "!repository");
    char *dir = destination_archive_dir(p, &p->destinations[0]);
    char *name = mem_printf("%s/full_2026-02-04_02.tar.gz.gpg", dir + strlen(base) + 1);
    write_file(name, "some bytes", 0600);
    EXPECT(doctor_repositories, p, "green: 'd' holds 1 archive", "full_2026-02-04_02.tar.gz.gpg");
    free(name);
    name = mem_printf("%s/full_2026-02-04_02.tar.gz.gpg.sha256", dir + strlen(base) + 1);
    write_file(name, "0000\n# complete: no: 1 failed\n", 0600);
    EXPECT(doctor_repositories, p, "yellow: 'd' holds 1 archive", "which lacks what failed", "clawback runs");
    free(name);
    free(dir);
    plan_free(p);
}

static void record(const char *tier, enum record_status status, time_t when, uint64_t added)
{
    struct record r = {
        .status = status, .time = {.tv_sec = when}, .tier = mem_strdup(tier), .run_id = mem_strdup("0123456789abcdef")};
    struct err err = {0};
    if (status == RECORD_FAILED)
        r.error = mem_strdup("the disk fell off");
    struct record_destination *d = record_add_destination(&r, "d");
    d->status = RECORD_COMPLETED;
    d->bytes_added = added;
    if (record_append(state_dir, &r, &err) != 0)
        fail_msg("%s", err.message);
    record_release(&r);
}

static void test_doctor__room_for_what_is_to_come(void **state)
{
    (void)state;
    struct plan *p = usual();
    EXPECT(doctor_space, p, "green: 'd' has", "5 B at most");
    record("t", RECORD_COMPLETED, os_now().tv_sec, 1ull << 60);
    EXPECT(doctor_space, p, "red: 'd' has", "EB");
    plan_free(p);
}

/* ---- sources */

static void test_doctor__homes_and_paths(void **state)
{
    (void)state;
    struct plan *p = plan_of("passphrase: {env: X}\ndestinations: {d: {path: ~/backups}}",
                             "  t: {files: [~/data, ~/gone], to: [d]}\n");
    EXPECT(doctor_home, p, "yellow: no agent's home was found", "/gone' is not there -> correct");
    plan_free(p);
    write_file(".openclaw/openclaw.json", "{agents: {defaults: {workspace: '/no/such/workspace'}}}", 0600);
    p = usual();
    EXPECT(doctor_home, p, "green: the agent's home is", "yellow: ", "/no/such/workspace");
    plan_free(p);
}

static int run(const char *command)
{
    char sh[] = "sh", flag[] = "-c", *text = mem_strdup(command), *argv[] = {sh, flag, text, NULL};
    struct process_options options = {.argv = argv, .stdin_fd = -1, .timeout_ms = 60000};
    int rc = process_run(&options, NULL, NULL);
    free(text);
    return rc;
}

static void test_doctor__git(void **state)
{
    (void)state;
    char *command = mem_printf("cd %s && git init -q --bare remote.git && git init -q -b main w && cd w && "
                               "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && "
                               "git remote add origin ../remote.git && git remote add bad /no/such/place",
                               base);
    assert_int_equal(run(command), 0);
    free(command);
    struct plan *p = plan_of("passphrase: {env: X}\ndestinations: {d: {path: ~/backups}}",
                             "  t: {git: [{path: ~/w, push: origin}, {path: ~/gone}], to: [d]}\n"
                             "  u: {git: [{path: ~/w, push: nobody}, {path: ~/data}], to: [d]}\n"
                             "  v: {git: [{path: ~/w, push: bad}], to: [d]}\n");
    EXPECT(doctor_git, p, "/w' is healthy, on branch main", "can be pushed to 'origin'",
           "red: ", "has no remote 'nobody'", "no git repository at or below", "yellow: ");
    plan_free(p);
    p = usual();
    EXPECT(doctor_git, p, "green: no tier backs up git");
    plan_free(p);
    command = mem_printf("cd %s/w && echo x > f && git add f && rm -rf .git/objects/??", base);
    assert_int_equal(run(command), 0);
    free(command);
    p = plan_of("passphrase: {env: X}\ndestinations: {d: {path: ~/backups}}", "  t: {git: [{path: ~/w}], to: [d]}\n");
    EXPECT(doctor_git, p, "red: ", "git fsck");
    plan_free(p);
}

static void test_doctor__databases(void **state)
{
    (void)state;
    static const char HEAD[] = "passphrase: {env: X}\ndestinations: {d: {path: ~/backups}}";
    struct plan *p = plan_of(HEAD, "  t: {redis: [{url: 'redis://127.0.0.1:1'}], when: running, to: [d]}\n");
    EXPECT(doctor_databases, p, "green: ", "skipped (when: running)");
    plan_free(p);
    p = plan_of(HEAD, "  t: {redis: [{url: 'redis://127.0.0.1:1'}], sqlite: [~/gone.db], to: [d]}\n");
    EXPECT(doctor_databases, p, "red: redis at 127.0.0.1:1 does not run", "when: running", "gone.db' cannot be read");
    plan_free(p);
    p = plan_of(HEAD, "  t: {redis: [{url: 'redis://127.0.0.1:1', password: {file: /no/file}}], to: [d]}\n");
    EXPECT(doctor_databases, p, "red: ", "/no/file");
    plan_free(p);
    p = usual();
    EXPECT(doctor_databases, p, "green: no tier dumps");
    plan_free(p);
}

static void test_doctor__an_editors_session_is_seen(void **state)
{
    (void)state;
    char *command = mem_printf(
        "mkdir -p %s/.vscode-server/bin && cp \"$(command -v sleep)\" %s/.vscode-server/bin/node", base, base);
    assert_int_equal(run(command), 0);
    free(command);
    char *program = in_base(".vscode-server/bin/node"), arg[] = "20", *argv[] = {program, arg, NULL};
    pid_t pid = fork();
    if (pid == 0) {
        execv(program, argv);
        _exit(127);
    }
    struct plan *p = usual();
    char *said = NULL;
    for (int i = 0; i < 200; i++) {
        free(said);
        said = examine(doctor_editor, p);
        if (strstr(said, "VS Code server") != NULL)
            break;
        os_sleep_ms(10);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_non_null(strstr(said, "green: "));
    assert_non_null(strstr(said, "VS Code server"));
    assert_non_null(strstr(said, "left alone"));
    free(said);
    free(program);
    plan_free(p);
}

/* ---- secrets */

static void test_doctor__a_good_passphrase(void **state)
{
    (void)state;
    struct plan *p = usual();
    EXPECT(doctor_passphrase, p, "is strong", "only its owner may read", "!yellow", "!red", "!k7wq2");
    plan_free(p);
}

static void test_doctor__bad_passphrases(void **state)
{
    (void)state;
    write_file("secret/passphrase", "short", 0644);
    struct plan *p = usual();
    EXPECT(doctor_passphrase, p, "yellow: the passphrase", "5 characters", "red: others may read", "chmod 600");
    plan_free(p);
    setenv("CLAWBACK_TEST_SECRET", STRONG, 1);
    p = plan_of(
        "passphrase: {env: CLAWBACK_TEST_SECRET}\ndestinations: {d: {path: ~/backups, passphrase: {file: ~/none}}}",
        "  t: {files: [~/data], to: [d]}\n");
    EXPECT(doctor_passphrase, p, "comes from the environment", "red: destination 'd': its passphrase");
    plan_free(p);
    p = plan_of("passphrase: {file: ~/backups/key}\ndestinations: {d: {path: ~/backups}}",
                "  t: {files: [~/data], to: [d]}\n");
    write_file("backups/key", STRONG, 0600);
    EXPECT(doctor_passphrase, p, "red: ", "lies in destination 'd'");
    plan_free(p);
}

static void test_doctor__a_passphrase_in_what_it_opens(void **state)
{
    (void)state;
    write_file("data/key", STRONG, 0600);
    static const char HEAD[] =
        "passphrase: {file: ~/data/key}\ndestinations: {d: {path: ~/backups, allow_unencrypted: true}}";
    struct plan *p = plan_of(HEAD, "  t: {files: [~/data], to: [d]}\n");
    EXPECT(doctor_passphrase, p, "yellow: tier 't' takes passphrase file");
    plan_free(p);
    p = plan_of(HEAD, "  t: {files: [~/data], to: [d], exclude: [key]}\n");
    EXPECT(doctor_passphrase, p, "!tier 't'");
    plan_free(p);
    p = plan_of(HEAD, "  t: {files: [~/data], to: [d], format: archive, archive: {encrypt: false}}\n");
    EXPECT(doctor_passphrase, p, "green: tier 't' leaves passphrase file", "!red: ");
    EXPECT(doctor_sensitive, p, "yellow: tier 't' leaves out 1 sensitive file,", "data/key");
    plan_free(p);
}

static void test_doctor__directories_that_others_may_write(void **state)
{
    (void)state;
    char *dir = in_base("secret");
    assert_int_equal(chmod(dir, 0777), 0);
    struct plan *p = usual();
    EXPECT(doctor_passphrase, p, "yellow: others may write in");
    plan_free(p);
    free(dir);
}

static void test_doctor__gpg(void **state)
{
    (void)state;
    struct plan *p = usual();
    EXPECT(doctor_gpg, p, "green: no tier makes archives");
    plan_free(p);
    p = plan_of("passphrase: {file: ~/secret/passphrase}\ndestinations: {d: {path: ~/backups}}",
                "  a: {files: [~/data], format: archive, to: [d]}\n"
                "  b: {files: [~/data], format: archive, archive: {recipients: [nobody@example.invalid]}, to: [d]}\n");
    EXPECT(doctor_gpg, p, "green: gpg encrypts with the passphrase for tier 'a'", "red: tier 'b'",
           "nobody@example.invalid");
    plan_free(p);
}

static void test_doctor__sensitive_files(void **state)
{
    (void)state;
    static const char HEAD[] = "passphrase: {env: X}\ndestinations: {d: {path: ~/backups, allow_unencrypted: true}}";
    struct plan *p = usual();
    EXPECT(doctor_sensitive, p, "green: tier 't' holds no files that look sensitive");
    plan_free(p);
    write_file("data/.env", "A=b", 0644);
    write_file("data/1.pem", "A=b", 0600);
    write_file("data/2.pem", "A=b", 0600);
    write_file("data/3.pem", "A=b", 0600);
    assert_int_equal(chmod(base, 0755), 0);
    char *dir = in_base("data");
    assert_int_equal(chmod(dir, 0755), 0);
    free(dir);
    p = plan_of(HEAD, "  t: {files: [~/data], to: [d]}\n  u: {files: [~/data], to: [d], format: archive, archive: "
                      "{encrypt: false}}\n");
    EXPECT(doctor_sensitive, p, "green: tier 't' holds 4 sensitive files", "and 1 more",
           "yellow: 1 sensitive file can be read by other users",
           "yellow: tier 'u' leaves out 4 sensitive files, since its archive is not encrypted");
    char *said = examine(doctor_sensitive, p), *first = strstr(said, "can be read by other users");
    assert_null(strstr(first + 1, "can be read by other users")); /* once, though two tiers hold it */
    free(said);
    plan_free(p);
}

/* ---- the system */

static void test_doctor__without_a_scheduler(void **state)
{
    (void)state;
    struct plan *p = usual();
    char *said = examine(doctor_scheduler, p);
    /* The machine that this runs on may have one. */
    assert_true(strstr(said, "yellow: nothing starts backups by itself") != NULL || strstr(said, "green") != NULL);
    free(said);
    write_file("state/schedule.json", "{", 0600);
    EXPECT(doctor_scheduler, p, "yellow: ", "is damaged", "clawback schedule install");
    plan_free(p);
}

static void test_doctor__schedules_made_by_hand(void **state)
{
    (void)state;
    struct plan *p = usual();
    write_file(".config/systemd/user/mine.timer", "[Timer]\nOnCalendar=hourly\nUnit=other.service\n", 0644);
    write_file(".config/systemd/user/other.service", "[Service]\nExecStart=/usr/bin/clawback health\n", 0644);
    EXPECT(doctor_scheduler, p, "!mine.timer");
    write_file(".config/systemd/user/other.service", "[Service]\nExecStart=/usr/bin/clawback -q run --wait\n", 0644);
    write_file(".config/systemd/user/my-clawback.service", "[Service]\nExecStart=/bin/clawback daemon\n", 0644);
    write_file(".openclaw/openclaw.json", "{}", 0600);
    write_file(".openclaw/cron/jobs.json", "{\"jobs\":[{\"name\":\"clawback\"}]}", 0600);
    EXPECT(doctor_scheduler, p, "mine.timer starts the backups (set up by hand)", "my-clawback.service", "jobs.json",
           "!yellow");
    plan_free(p);
}

static void test_doctor__what_was_installed_lives_or_does_not(void **state)
{
    (void)state;
    struct plan *p = usual();
    struct installed all = {0};
    installed_add(&all, VIA_DAEMON)->enabled = true;
    assert_int_equal(installed_write(state_dir, &all, NULL), 0);
    EXPECT(doctor_scheduler, p, "yellow: daemon starts the backups no more: the daemon does not run",
           "clawback schedule status");
    installed_find(&all, VIA_DAEMON)->enabled = false;
    assert_int_equal(installed_write(state_dir, &all, NULL), 0);
    EXPECT(doctor_scheduler, p, "yellow: nothing is started by daemon: ", "disabled", "clawback schedule enable");
    installed_release(&all);
    plan_free(p);
}

static void test_doctor__channels_for_alerts(void **state)
{
    (void)state;
    static const char HEAD[] = "passphrase: {file: ~/secret/passphrase}\ndestinations: {d: {path: ~/backups}}\n"
                               "alerts:\n  channels:\n"
                               "    phone: {telegram: {token: {file: ~/secret/token}, chat: 1}}\n"
                               "    hook: {webhook: {url: {env: CLAWBACK_TEST_HOOK}}}\n"
                               "    own: {command: [/bin/sh]}\n"
                               "    gone: {command: [/nowhere/page-me]}\n";
    struct plan *p = usual();
    EXPECT(doctor_alerts, p, "yellow: nobody is told when a backup fails", "clawback alerts test");
    plan_free(p);
    p = plan_of(HEAD, "  t: {files: [~/data], to: [d]}\n");
    unsetenv("CLAWBACK_TEST_HOOK");
    EXPECT(doctor_alerts, p, "yellow: channel 'phone': its token: ", "yellow: channel 'hook': its address: ",
           "green: channel 'own' (command)", "yellow: channel 'gone': '/nowhere/page-me'", "!red");
    write_file("secret/token", "12:secret", 0644);
    setenv("CLAWBACK_TEST_HOOK", "http://127.0.0.1:1/", 1);
    EXPECT(doctor_alerts, p, "yellow: channel 'phone': others can read file", "chmod 600",
           "yellow: channel 'hook': its address comes from the environment", "!12:secret");
    write_file("secret/token", "12:secret", 0600);
    EXPECT(doctor_alerts, p, "green: channel 'phone' (telegram)");
    unsetenv("CLAWBACK_TEST_HOOK");
    plan_free(p);
}

static void test_doctor__what_the_records_say(void **state)
{
    (void)state;
    struct plan *p = usual();
    time_t now = os_now().tv_sec;
    EXPECT(doctor_history, p, "yellow: tier 't' has never run", "no restore has been proven");
    record("t", RECORD_COMPLETED, now - 600, 0);
    EXPECT(doctor_history, p, "green: tier 't' was backed up 10m ago");
    record("t", RECORD_FAILED, now - 300, 0);
    EXPECT(doctor_history, p, "red: the last run of tier 't' failed: the disk fell off");
    record("t", RECORD_COMPLETED, now - 3 * 3600, 0);
    EXPECT(doctor_history, p, "yellow: tier 't' was last backed up 3h ago, and is overdue");
    record("drill", RECORD_COMPLETED, now - 2 * 86400, 0);
    EXPECT(doctor_history, p, "green: a restore was proven 2 days ago");
    record("drill", RECORD_COMPLETED, now - 40 * 86400, 0);
    EXPECT(doctor_history, p, "yellow: the last proven restore was 40 days ago");
    plan_free(p);
}

static void test_doctor__a_clock_in_the_past(void **state)
{
    (void)state;
    struct plan *p = usual();
    EXPECT(doctor_clock, p, "the clock says", "!red");
    const struct timespec past = {.tv_sec = 1000000000};
    os_clock_set(&past);
    EXPECT(doctor_clock, p, "red: the clock says 2001");
    plan_free(p);
}

/* ---- all of it */

static void count_line(void *ctx, const struct doctor_line *line)
{
    assert_non_null(line->found);
    ++*(size_t *)ctx;
}

static void test_doctor__runs_them_all_and_changes_nothing(void **state)
{
    (void)state;
    struct plan *p = usual();
    make_repository(p);
    const struct doctor_options options = {.plan = p, .state_dir = state_dir, .offline = true, .quick = true};
    struct doctor_report r = {0};
    struct err err = {0};
    size_t shown = 0;
    doctor_report_add(&r, "configuration", DOCTOR_GREEN, "fine", NULL);
    assert_int_equal(doctor_run(&options, count_line, &shown, &r, &err), 0);
    assert_int_equal(shown, r.count - 1);
    assert_int_equal(r.green + r.yellow + r.red, r.count);
    for (const struct doctor_check *c = DOCTOR_CHECKS; c->name != NULL; c++) {
        bool found = false;
        for (size_t i = 0; i < r.count; i++)
            found = found || strcmp(r.lines[i].check, c->name) == 0;
        if (!found)
            fail_msg("'%s' said nothing", c->name);
    }
    assert_int_equal(access(state_dir, F_OK), -1);
    assert_false(scratch_has(base, "backups/clawback-destination.json"));
    doctor_report_release(&r);
    plan_free(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_doctor__a_destination_that_is_ready),
        TEST(test_doctor__destinations_that_are_not),
        TEST(test_doctor__repositories),
        TEST(test_doctor__a_damaged_repository_and_stale_locks),
        TEST(test_doctor__archives),
        TEST(test_doctor__room_for_what_is_to_come),
        TEST(test_doctor__homes_and_paths),
        TEST(test_doctor__git),
        TEST(test_doctor__databases),
        TEST(test_doctor__an_editors_session_is_seen),
        TEST(test_doctor__a_good_passphrase),
        TEST(test_doctor__bad_passphrases),
        TEST(test_doctor__a_passphrase_in_what_it_opens),
        TEST(test_doctor__directories_that_others_may_write),
        TEST(test_doctor__gpg),
        TEST(test_doctor__sensitive_files),
        TEST(test_doctor__without_a_scheduler),
        TEST(test_doctor__schedules_made_by_hand),
        TEST(test_doctor__what_was_installed_lives_or_does_not),
        TEST(test_doctor__channels_for_alerts),
        TEST(test_doctor__what_the_records_say),
        TEST(test_doctor__a_clock_in_the_past),
        TEST(test_doctor__runs_them_all_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
