/* How a process can be other than we are: its user, terminal, directory, and what it does not inherit. */
#include "os/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/user.h"

enum { NOBODY = 65534, UNKNOWN = 123456789 };

#define SHELL(script) ((char *[]){(char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){script}, NULL})
#define SH(script, ...) (&(struct process_options){.argv = SHELL(script), __VA_ARGS__})

static void assert_output(const struct process_options *options, const char *expected)
{
    struct err err = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    if (process_run(options, &b, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(buf_cstr(&b), expected);
    buf_release(&b);
}

static struct os_user load(uid_t uid)
{
    struct os_user u;
    struct err err = {0};
    if (os_user_load(&u, uid, &err) != 0)
        fail_msg("%s", err.message);
    return u;
}

/* ---- users */

static void test_user__is_what_the_databases_say(void **state)
{
    (void)state;
    struct os_user u = load(0);
    assert_int_equal(u.uid, 0);
    assert_int_equal(u.gid, 0);
    assert_string_equal(u.name, "root");
    assert_string_equal(u.home, "/root");
    assert_true(u.group_count >= 1);
    bool has_own = false;
    for (size_t i = 0; i < u.group_count; i++)
        has_own = has_own || u.groups[i] == u.gid;
    assert_true(has_own);
    os_user_release(&u);
    os_user_release(&u); /* nothing any more */
}

static void test_user__unknown_is_not_found(void **state)
{
    (void)state;
    struct os_user u;
    struct err err = {0};
    assert_int_equal(os_user_load(&u, UNKNOWN, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.message, "there is no user with the number 123456789");
    os_user_release(&u);
}

/* ---- as another user */

static void test_process__runs_as_another_user_with_his_groups_only(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct os_user u = load(NOBODY);
    assert_output(SH("id -u; id -ru; id -G; [ -r /etc/shadow ] || echo closed", .run_as = &u),
                  "65534\n65534\n65534\nclosed\n");
    os_user_release(&u);
}

static void test_process__as_another_user_has_all_the_other_options(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct os_user u = load(NOBODY);
    const char *const environment[] = {"CLAWBACK_A=1", "CLAWBACK_B", NULL};
    int ends[2];
    struct err err = {0};
    setenv("CLAWBACK_B", "2", 1);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "in\n", 3), 3);
    close(ends[1]);
    assert_output(SH("pwd; echo $CLAWBACK_A${CLAWBACK_B-none}; cat", .run_as = &u, .environment = environment,
                     .directory = "/usr", .with_stdin = true, .stdin_fd = ends[0]),
                  "/usr\n1none\nin\n");
    close(ends[0]);
    unsetenv("CLAWBACK_B");
    assert_int_equal(process_run(SH("echo words >&2; exit 7", .run_as = &u), NULL, &err), -1);
    assert_string_equal(err.message, "command '/bin/sh' exited with status 7: words");
    assert_int_equal(process_run(SH("sleep 100", .run_as = &u, .timeout_ms = 200), NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    os_user_release(&u);
}

/* Of ours it gets what it would get as ourselves: standard descriptors, no ignored signals, a group of its own. */
static void test_process__as_another_user_inherits_no_more_than_usual(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct os_user u = load(NOBODY);
    /* Of the ignored signals the first 28: there are two of the C library's own above. */
    static char script[] =
        "ls /proc/self/fd | wc -l; sed -n 's/^SigBlk://p; s/^SigIgn:\\t.........//p' /proc/self/status; set -- $(cat "
        "/proc/$$/stat); [ $5 = $$ ] && echo leads";
    char shell[] = "/bin/sh", option[] = "-c", *argv[] = {shell, option, script, NULL};
    struct buf usual;
    struct err err = {0};
    signal(SIGPIPE, SIG_IGN);
    buf_init(&usual, 1 << 20);
    assert_int_equal(process_run(&(struct process_options){.argv = argv}, &usual, &err), 0);
    assert_output(&(struct process_options){.argv = argv, .run_as = &u}, buf_cstr(&usual));
    signal(SIGPIPE, SIG_DFL);
    buf_release(&usual);
    os_user_release(&u);
}

static void test_process__as_another_user_says_why_it_cannot_start(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct os_user u = load(NOBODY);
    struct err err = {0};
    char *const argv[] = {(char[]){"/nowhere/program"}, NULL};
    assert_int_equal(process_run(&(struct process_options){.argv = argv, .run_as = &u}, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_string_equal(err.message, "cannot start '/nowhere/program': No such file or directory");
    assert_int_equal(process_run(SH("true", .run_as = &u, .directory = "/nowhere"), NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    os_user_release(&u);
}

static void test_process__only_root_can_be_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    struct os_user root = load(0);
    struct err err = {0};
    assert_int_equal(seteuid(NOBODY), 0);
    int rc = process_run(SH("true", .run_as = &root), NULL, &err);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(rc, -1);
    assert_int_equal(err.code, ERR_PERMISSION);
    os_user_release(&root);
}

/* ---- the rest */

static void test_process__a_name_alone_takes_a_variable_away(void **state)
{
    (void)state;
    const char *const environment[] = {"CLAWBACK_GONE", "CLAWBACK_NEVER", "CLAWBACK_SET=x=y", NULL};
    setenv("CLAWBACK_GONE", "1", 1);
    setenv("CLAWBACK_GONE_NOT", "2", 1);
    assert_output(SH("echo ${CLAWBACK_GONE-none} $CLAWBACK_GONE_NOT ${CLAWBACK_NEVER-none} $CLAWBACK_SET",
                     .environment = environment),
                  "none 2 none x=y\n");
    unsetenv("CLAWBACK_GONE");
    unsetenv("CLAWBACK_GONE_NOT");
}

static void test_process__starts_in_a_directory(void **state)
{
    (void)state;
    struct err err = {0};
    assert_output(SH("pwd", .directory = "/usr"), "/usr\n");
    assert_int_equal(process_run(SH("pwd", .directory = "/nowhere"), NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* The sixth field of stat is the session, the seventh the terminal: 0 is none. */
static void test_process__without_a_terminal_it_leads_a_session(void **state)
{
    (void)state;
    assert_output(
        SH("set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 = $$ ] && [ $7 = 0 ] && echo yes", .no_terminal = true),
        "yes\n");
    if (geteuid() != 0)
        return;
    struct os_user u = load(NOBODY);
    assert_output(SH("set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 = $$ ] && [ $7 = 0 ] && echo yes",
                     .no_terminal = true, .run_as = &u),
                  "yes\n");
    os_user_release(&u);
}

static void test_process__what_a_session_started_is_stopped_with_it(void **state)
{
    (void)state;
    struct err err = {0};
    uint64_t start = os_monotonic_ns();
    assert_int_equal(process_run(SH("sleep 100 & sleep 100", .no_terminal = true, .timeout_ms = 300), NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(os_monotonic_ns() - start < UINT64_C(30000000000)); /* nobody holds its output open any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user__is_what_the_databases_say),
        cmocka_unit_test(test_user__unknown_is_not_found),
        cmocka_unit_test(test_process__runs_as_another_user_with_his_groups_only),
        cmocka_unit_test(test_process__as_another_user_has_all_the_other_options),
        cmocka_unit_test(test_process__as_another_user_inherits_no_more_than_usual),
        cmocka_unit_test(test_process__as_another_user_says_why_it_cannot_start),
        cmocka_unit_test(test_process__only_root_can_be_another_user),
        cmocka_unit_test(test_process__a_name_alone_takes_a_variable_away),
        cmocka_unit_test(test_process__starts_in_a_directory),
        cmocka_unit_test(test_process__without_a_terminal_it_leads_a_session),
        cmocka_unit_test(test_process__what_a_session_started_is_stopped_with_it),
    };
    return cmocka_run_group_tests_name("process_as", tests, NULL, NULL);
}
