#include "os/process.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "os/clock.h"
#include "os/interrupt.h"

#define SHELL(script) ((char *[]){(char[]){"/bin/sh"}, (char[]){"-c"}, (char[]){script}, NULL})
#define SH(script, ...) (&(struct process_options){.argv = SHELL(script), __VA_ARGS__})

/* What a script writes, or a failed test. The caller frees it. */
static char *output_of(const struct process_options *options)
{
    struct err err = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    if (process_run(options, &b, &err) != 0)
        fail_msg("%s", err.message);
    char *text = strdup(buf_cstr(&b));
    buf_release(&b);
    return text;
}

static void assert_output(const struct process_options *options, const char *expected)
{
    char *text = output_of(options);
    assert_string_equal(text, expected);
    free(text);
}

static struct err failure_of(const struct process_options *options)
{
    struct err err = {0};
    assert_int_equal(process_run(options, NULL, &err), -1);
    return err;
}

static uint64_t ms_since(uint64_t start_ns)
{
    return (os_monotonic_ns() - start_ns) / 1000000;
}

/* ---------------------------------------------------------------------------------------------------- input and output
 */

static void test_process__output_comes_as_a_stream(void **state)
{
    (void)state;
    struct err err = {0};
    struct process *p;
    char text[8];
    assert_int_equal(process_start(&p, SH("printf 0123; sleep 0.1; printf 456789"), &err), 0);
    assert_int_equal(process_read(p, text, 8, &err), 8); /* fills, over a pause */
    assert_memory_equal(text, "01234567", 8);
    assert_int_equal(process_read(p, text, 0, &err), 0);
    assert_int_equal(process_read(p, text, 8, &err), 2);
    assert_int_equal(process_read(p, text, 8, &err), 0);
    assert_int_equal(process_read(p, text, 8, &err), 0);
    assert_int_equal(process_wait(p, &err), 0);
    assert_int_equal(process_wait(p, &err), 0);
    process_free(p);
    process_free(NULL);
}

static void test_process__arguments_are_not_seen_by_a_shell(void **state)
{
    (void)state;
    char program[] = "printf", format[] = "%s|%s", a[] = "$HOME * ; exit 3", b[] = "";
    char *argv[] = {program, format, a, b, NULL};
    assert_output(&(struct process_options){.argv = argv}, "$HOME * ; exit 3|");
}

static void test_process__input_is_empty_or_a_descriptor(void **state)
{
    (void)state;
    int ends[2];
    assert_output(SH("cat"), "");
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "from a pipe", 11), 11);
    close(ends[1]);
    assert_output(SH("cat", .with_stdin = true, .stdin_fd = ends[0]), "from a pipe");
    assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC); /* still ours */
    close(ends[0]);
}

static void test_process__standard_input_itself_may_be_passed_on(void **state)
{
    (void)state;
    int ends[2], saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "ours", 4), 4);
    close(ends[1]);
    dup3(ends[0], STDIN_FILENO, O_CLOEXEC);
    close(ends[0]);
    assert_output(SH("cat", .with_stdin = true, .stdin_fd = STDIN_FILENO), "ours");
    dup2(saved, STDIN_FILENO);
    close(saved);
}

static void test_process__environment_is_added_or_replaced(void **state)
{
    (void)state;
    static const char *const additions[] = {"CLAWBACK_NEW=new", "CLAWBACK_OLD=changed", NULL};
    setenv("CLAWBACK_OLD", "old", 1);
    setenv("CLAWBACK_OLDER", "kept", 1);
    assert_output(SH("printf '%s %s %s' $CLAWBACK_NEW $CLAWBACK_OLD $CLAWBACK_OLDER", .environment = additions),
                  "new changed kept");
    assert_output(SH("env | grep -c ^CLAWBACK_OLD=", .environment = additions), "1\n");
    assert_output(SH("printf $CLAWBACK_OLD"), "old");
    unsetenv("CLAWBACK_OLD");
    unsetenv("CLAWBACK_OLDER");
}

static void test_process__withholds_what_is_private(void **state)
{
    (void)state;
    static const char *const additions[] = {"CLAWBACK_PRIVATE=given", NULL};
    setenv("CLAWBACK_PRIVATE", "ours", 1);
    setenv("CLAWBACK_PRIVATE_NOT", "public", 1);
    process_withhold("CLAWBACK_PRIVATE");
    process_withhold("CLAWBACK_PRIVATE");
    assert_output(SH("printf \"$CLAWBACK_PRIVATE $CLAWBACK_PRIVATE_NOT\""), " public");
    assert_output(SH("printf $CLAWBACK_PRIVATE", .with_withheld = true), "ours");
    assert_output(SH("printf $CLAWBACK_PRIVATE", .environment = additions), "given");
    unsetenv("CLAWBACK_PRIVATE");
    unsetenv("CLAWBACK_PRIVATE_NOT");
}

static void test_process__inherits_no_other_descriptor(void **state)
{
    (void)state;
    struct err err = {0};
    struct process *other;
    char *before = output_of(SH("ls /proc/self/fd")); /* with what whoever started the test left open */
    assert_int_equal(process_start(&other, SH("sleep 5"), &err), 0);
    char *after = output_of(SH("ls /proc/self/fd"));
    assert_string_equal(before, after);
    process_free(other);
    free(before);
    free(after);
}

static void test_process__works_without_standard_descriptors(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct buf b;
        buf_init(&b, 100);
        for (int fd = 0; fd < 3; fd++)
            close(fd);
        int rc = process_run(SH("echo text; echo words >&2"), &b, NULL);
        _exit(rc == 0 && strcmp(buf_cstr(&b), "text\n") == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_process__large_output_on_both_streams_does_not_block(void **state)
{
    (void)state;
    struct err err = {0};
    struct process *p;
    char *p4m = malloc(4 << 20);
    assert_int_equal(process_start(&p,
                                   SH("head -c 1000000 /dev/zero | tr '\\0' e >&2; head -c 3000000 /dev/zero;"
                                      "head -c 500000 /dev/zero | tr '\\0' f >&2; printf 'the end' >&2"),
                                   &err),
                     0);
    assert_int_equal(process_read(p, p4m, 4 << 20, &err), 3000000);
    assert_int_equal(process_wait(p, &err), 0);
    const char *words = process_stderr(p);
    assert_int_equal(strlen(words), PROCESS_STDERR_BYTES);
    assert_string_equal(words + PROCESS_STDERR_BYTES - 9, "ffthe end");
    process_free(p);
    free(p4m);
}

static void test_process__run_bounds_the_output(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(process_run(SH("exec cat /dev/zero"), &b, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_non_null(strstr(err.message, "larger than 1000 bytes"));
    buf_release(&b);
}

static void test_process__stderr_can_be_inherited(void **state)
{
    (void)state;
    int ends[2], saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    char text[16] = "";
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    dup2(ends[1], STDERR_FILENO);
    struct err err = failure_of(SH("echo shown >&2; exit 1", .inherit_stderr = true));
    dup2(saved, STDERR_FILENO);
    assert_int_equal(read(ends[0], text, sizeof text - 1), 6);
    assert_string_equal(text, "shown\n");
    assert_string_equal(err.message, "command '/bin/sh' exited with status 1");
    close(saved);
    close(ends[0]);
    close(ends[1]);
}

/* ------------------------------------------------------------------------------------------------------------ how it
 * ends */

static void test_process__failures_are_told_by_status_and_last_words(void **state)
{
    (void)state;
    static const struct {
        const char *script, *message;
    } cases[] = {
        {"exit 3", "command '/bin/sh' exited with status 3"},
        {"echo first >&2; echo 'no such database' >&2; exit 1",
         "command '/bin/sh' exited with status 1: no such database"},
        {"printf 'a\\033[1mb\\177\\n \\n\\n' >&2; exit 255", "command '/bin/sh' exited with status 255: a [1mb"},
        {"printf '\\n \\n' >&2; exit 2", "command '/bin/sh' exited with status 2"},
        {"kill -9 $$", "command '/bin/sh' was killed by signal 9 (Killed)"},
        {"echo 'oh no' >&2; kill -SEGV $$", "command '/bin/sh' was killed by signal 11 (Segmentation fault): oh no"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *script = strdup(cases[i].script);
        char shell[] = "/bin/sh", option[] = "-c", *argv[] = {shell, option, script, NULL};
        struct err err = failure_of(&(struct process_options){.argv = argv});
        assert_int_equal(err.code, ERR_FAILED);
        assert_string_equal(err.message, cases[i].message);
        free(script);
    }
}

static void test_process__wait_repeats_itself(void **state)
{
    (void)state;
    struct process *p;
    assert_int_equal(process_start(&p, SH("echo words >&2; exit 4"), NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct err err = {0};
        assert_int_equal(process_wait(p, &err), -1);
        assert_string_equal(err.message, "command '/bin/sh' exited with status 4: words");
        assert_int_equal(process_wait(p, NULL), -1);
    }
    process_free(p);
}

static void test_process__unread_output_is_thrown_away(void **state)
{
    (void)state;
    struct err err = {0};
    struct process *p;
    assert_int_equal(process_start(&p, SH("exec cat /dev/zero"), &err), 0);
    assert_int_equal(process_wait(p, &err), -1); /* SIGPIPE does its work although we ignore it */
    assert_non_null(strstr(err.message, "signal 13"));
    process_free(p);
}

static void test_process__what_cannot_start_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *program;
        enum err_code code;
        const char *message;
    } cases[] = {
        {"/no/such/program", ERR_NOT_FOUND, "cannot start '/no/such/program': No such file or directory"},
        {"no-such-program-in-path", ERR_NOT_FOUND, "cannot start 'no-such-program-in-path': No such file or directory"},
        {"/etc/passwd", ERR_PERMISSION, "cannot start '/etc/passwd': Permission denied"},
        {"/", ERR_PERMISSION, "cannot start '/': Permission denied"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *program = strdup(cases[i].program);
        struct err err = failure_of(&(struct process_options){.argv = (char *[]){program, NULL}});
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.message, cases[i].message);
        free(program);
    }
}

static void test_process__no_descriptors_left_is_an_error(void **state)
{
    (void)state;
    struct rlimit old, few;
    int fds[64], count = 0;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    while (count < 64 && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        count++;
    for (int room = 0; room <= 3; room += 3) { /* none, then one pipe but not the other */
        for (int i = 0; i < room; i++)
            close(fds[--count]);
        struct err err = failure_of(SH("true"));
        assert_int_equal(err.sys_errno, EMFILE);
        assert_non_null(strstr(err.message, "cannot start '/bin/sh'"));
    }
    assert_int_equal(process_run(SH("true", .inherit_stderr = true), NULL, NULL), 0); /* that needs no second pipe */
    while (count > 0)
        close(fds[--count]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

static void test_process__leaves_no_zombies_and_no_descriptors(void **state)
{
    (void)state;
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(before);
    for (int i = 0; i < 20; i++) {
        char none[] = "/no/such/program";
        (void)process_run(SH("exit 1"), NULL, NULL);
        (void)process_run(&(struct process_options){.argv = (char *[]){none, NULL}}, NULL, NULL);
    }
    int after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(after);
    assert_int_equal(before, after);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* --------------------------------------------------------------------------------------------------------- being
 * stopped */

static void test_process__timeout_stops_a_silent_command(void **state)
{
    (void)state;
    uint64_t start = os_monotonic_ns();
    struct err err = failure_of(SH("sleep 30", .timeout_ms = 150));
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.message, "command '/bin/sh' took too long (more than 0.15 s) and was stopped");
    assert_in_range(ms_since(start), 150, 5000);
}

static void test_process__timeout_stops_a_talking_command(void **state)
{
    (void)state;
    struct err err = failure_of(SH("exec cat /dev/zero", .timeout_ms = 100));
    assert_int_equal(err.code, ERR_TIMEOUT);
}

static void test_process__timeout_holds_after_the_output_ended(void **state)
{
    (void)state;
    struct process *p;
    char byte;
    assert_int_equal(process_start(&p, SH("exec >&-; sleep 30", .timeout_ms = 150), NULL), 0);
    assert_int_equal(process_read(p, &byte, 1, NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct err err = {0};
        assert_int_equal(process_wait(p, &err), -1);
        assert_int_equal(err.code, ERR_TIMEOUT);
    }
    assert_int_equal(process_read(p, &byte, 1, NULL), -1);
    process_free(p);
}

static void test_process__one_that_ignores_sigterm_is_killed(void **state)
{
    (void)state;
    struct process *p;
    struct err err = {0};
    char byte;
    assert_int_equal(process_start(&p, SH("trap '' TERM; echo; while :; do sleep 1; done", .grace_ms = 200), NULL), 0);
    assert_int_equal(process_read(p, &byte, 1, NULL), 1); /* the trap is set */
    uint64_t start = os_monotonic_ns();
    process_stop(p);
    assert_in_range(ms_since(start), 200, 5000);
    assert_int_equal(process_wait(p, &err), -1);
    assert_non_null(strstr(err.message, "signal 9"));
    process_stop(p);
    process_free(p);
}

static void test_process__stopped_ones_are_reached_by_sigterm(void **state)
{
    (void)state;
    struct process *p;
    struct err err = {0};
    char byte;
    assert_int_equal(process_start(&p, SH("echo; kill -STOP $$", .grace_ms = 10000), NULL), 0);
    assert_int_equal(process_read(p, &byte, 1, NULL), 1);
    uint64_t start = os_monotonic_ns();
    process_stop(p);
    assert_in_range(ms_since(start), 0, 5000);
    assert_int_equal(process_wait(p, &err), -1);
    assert_non_null(strstr(err.message, "signal 15"));
    process_free(p);
}

/* Whether anybody still holds the pipe's writing end open, within five seconds. */
static bool all_gone(int reading_end)
{
    char byte;
    (void)fcntl(reading_end, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 500; i++) {
        if (read(reading_end, &byte, 1) == 0)
            return true;
        os_sleep_ms(10);
    }
    return false;
}

static void test_process__its_whole_group_is_stopped(void **state)
{
    (void)state;
    struct process *p;
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    /* The grandchildren hold a pipe of ours as their input for as long as they live. */
    assert_int_equal(
        process_start(&p, SH("sleep 30 <&0 & sleep 30 <&0 & echo; wait", .with_stdin = true, .stdin_fd = ends[1]),
                      NULL),
        0);
    close(ends[1]);
    assert_int_equal(process_read(p, &byte, 1, NULL), 1);
    process_free(p);
    assert_true(all_gone(ends[0]));
    close(ends[0]);
}

static void test_process__may_share_our_group(void **state)
{
    (void)state;
    char expected[32], *other = output_of(SH("cut -d' ' -f5 /proc/$$/stat"));
    snprintf(expected, sizeof expected, "%d", (int)getpgrp());
    assert_int_not_equal(strtol(other, NULL, 10), getpgrp());
    char *ours = output_of(SH("cut -d' ' -f5 /proc/$$/stat", .share_terminal = true));
    ours[strcspn(ours, "\n")] = '\0';
    assert_string_equal(ours, expected);
    free(ours);
    free(other);
    struct process *p;
    assert_int_equal(process_start(&p, SH("exec sleep 30", .share_terminal = true), NULL), 0);
    process_free(p); /* and we live */
}

static void test_process__signals_are_as_in_a_fresh_shell(void **state)
{
    (void)state;
    sigset_t all, old;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &old); /* as in the threads of a pool */
    char *blocked = output_of(SH("exec grep SigBlk /proc/self/status"));
    char *ignored = output_of(SH("exec grep SigIgn /proc/self/status"));
    sigprocmask(SIG_SETMASK, &old, NULL);
    assert_string_equal(blocked, "SigBlk:\t0000000000000000\n");
    assert_int_equal(strtoull(ignored + 7, NULL, 16) >> (SIGPIPE - 1) & 1, 0);
    free(blocked);
    free(ignored);
}

static void test_process__statuses_are_known_even_if_children_were_ignored(void **state)
{
    (void)state;
    signal(SIGCHLD, SIG_IGN);
    assert_output(SH("echo fine"), "fine\n");
    signal(SIGCHLD, SIG_IGN);
    assert_string_equal(failure_of(SH("exit 7")).message, "command '/bin/sh' exited with status 7");
    signal(SIGCHLD, SIG_DFL);
}

/* Were it reaped by somebody else, its status would be lost: that is no success, and no endless wait. */
static void test_process__lost_status_is_a_failure(void **state)
{
    (void)state;
    struct err err = {0};
    struct process *p;
    char byte;
    assert_int_equal(process_start(&p, SH("exit 0"), &err), 0);
    assert_int_equal(process_read(p, &byte, 1, &err), 0);
    assert_true(waitpid(-1, NULL, 0) > 0);
    assert_int_equal(process_wait(p, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    process_free(p);
}

/* In a process of its own, since nothing takes an interrupt back. */
static void test_process__interrupt_stops_the_wait(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err = {0};
        os_interrupt_install();
        raise(SIGINT);
        int rc = process_run(SH("sleep 30"), NULL, &err);
        _exit(rc == -1 && err.code == ERR_INTERRUPTED ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_interrupt__ends_the_process_when_it_comes_again_later(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        os_interrupt_install();
        raise(SIGTERM);
        raise(SIGTERM); /* the same, as timeout(1) sends it */
        if (!os_interrupted())
            _exit(1);
        os_sleep_ms(300);
        raise(SIGTERM);
        _exit(2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

static int ignore_sigpipe(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the program does */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process__output_comes_as_a_stream),
        cmocka_unit_test(test_process__arguments_are_not_seen_by_a_shell),
        cmocka_unit_test(test_process__input_is_empty_or_a_descriptor),
        cmocka_unit_test(test_process__standard_input_itself_may_be_passed_on),
        cmocka_unit_test(test_process__environment_is_added_or_replaced),
        cmocka_unit_test(test_process__withholds_what_is_private),
        cmocka_unit_test(test_process__inherits_no_other_descriptor),
        cmocka_unit_test(test_process__works_without_standard_descriptors),
        cmocka_unit_test(test_process__large_output_on_both_streams_does_not_block),
        cmocka_unit_test(test_process__run_bounds_the_output),
        cmocka_unit_test(test_process__stderr_can_be_inherited),
        cmocka_unit_test(test_process__failures_are_told_by_status_and_last_words),
        cmocka_unit_test(test_process__wait_repeats_itself),
        cmocka_unit_test(test_process__unread_output_is_thrown_away),
        cmocka_unit_test(test_process__what_cannot_start_says_why),
        cmocka_unit_test(test_process__no_descriptors_left_is_an_error),
        cmocka_unit_test(test_process__leaves_no_zombies_and_no_descriptors),
        cmocka_unit_test(test_process__timeout_stops_a_silent_command),
        cmocka_unit_test(test_process__timeout_stops_a_talking_command),
        cmocka_unit_test(test_process__timeout_holds_after_the_output_ended),
        cmocka_unit_test(test_process__one_that_ignores_sigterm_is_killed),
        cmocka_unit_test(test_process__stopped_ones_are_reached_by_sigterm),
        cmocka_unit_test(test_process__its_whole_group_is_stopped),
        cmocka_unit_test(test_process__may_share_our_group),
        cmocka_unit_test(test_process__signals_are_as_in_a_fresh_shell),
        cmocka_unit_test(test_process__statuses_are_known_even_if_children_were_ignored),
        cmocka_unit_test(test_process__lost_status_is_a_failure),
        cmocka_unit_test(test_process__interrupt_stops_the_wait),
        cmocka_unit_test(test_interrupt__ends_the_process_when_it_comes_again_later),
    };
    return cmocka_run_group_tests(tests, ignore_sigpipe, NULL);
}
