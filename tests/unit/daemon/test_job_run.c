#include "daemon/job_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include "base/buf.h"
#include "os/clock.h"
#include "store/scratch.h"

enum { PATIENCE_MS = 30000 };

static uint64_t now_ms(void)
{
    return os_monotonic_ns() / 1000000;
}

/* As a loop would do it. */
static const struct job_end *to_the_end(struct job_run *r)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (!job_run_pump(r)) {
        struct pollfd fds[JOB_RUN_FDS];
        job_run_fds(r, fds);
        assert_true(now_ms() < give_up);
        if (fds[0].fd >= 0 || fds[1].fd >= 0)
            poll(fds, JOB_RUN_FDS, 5);
        else
            os_sleep_ms(5);
    }
    assert_true(job_run_pump(r));
    return job_run_end(r);
}

static struct job_run *prepare(const struct job_run_options *o)
{
    struct err err = {0};
    struct job_run *r;
    assert_int_equal(job_run_prepare(&r, o, &err), 0);
    return r;
}

/* A script, in the scratch directory. */
static struct job_run *prepare_shell(const char *script, uint64_t timeout_ms, uint64_t grace_ms)
{
    char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)script, NULL};
    const struct job_run_options o = {
        .argv = argv, .directory = scratch_dir, .timeout_ms = timeout_ms, .grace_ms = grace_ms};
    return prepare(&o);
}

static struct job_run *shell(const char *script)
{
    struct job_run *r = prepare_shell(script, 0, 1000);
    job_run_go(r);
    return r;
}

static void wait_for_file(const char *name)
{
    uint64_t give_up = now_ms() + PATIENCE_MS;
    while (!scratch_has(scratch_dir, name)) {
        assert_true(now_ms() < give_up);
        os_sleep_ms(5);
    }
}

static pid_t pid_in_file(const char *name)
{
    struct buf b;
    char *path = os_path_join(scratch_dir, name);
    buf_init(&b, 100);
    wait_for_file(name);
    while (os_read_file(path, &b, NULL) == 0 && b.len == 0)
        os_sleep_ms(5);
    pid_t pid = (pid_t)strtol(buf_cstr(&b), NULL, 10);
    buf_release(&b);
    free(path);
    return pid;
}

static bool is_gone(pid_t pid)
{
    /* Its parent is gone, too: whoever adopts it may take a while to reap it. */
    for (uint64_t give_up = now_ms() + 5000; now_ms() < give_up; os_sleep_ms(10)) {
        char path[64], text[256] = "";
        snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
        FILE *f = fopen(path, "r");
        if (f == NULL)
            return true;
        char *line = fgets(text, sizeof text, f);
        fclose(f);
        char *end = line != NULL ? strrchr(text, ')') : NULL;
        if (end != NULL && end[1] == ' ' && end[2] == 'Z')
            return true;
    }
    return false;
}

static void expect_words(const struct job_words *w, const char *text)
{
    char *words = job_words_lines(w, JOB_WORDS_BYTES);
    if (text == NULL)
        assert_null(words);
    else
        assert_string_equal(words, text);
    free(words);
}

/* --- the gate --- */

static void test_job_run__runs_nothing_before_the_gate_is_opened(void **state)
{
    (void)state;
    struct job_run *r = prepare_shell("touch here", 0, 1000);
    assert_true(job_run_pid(r) > 0);
    os_sleep_ms(200);
    assert_false(job_run_pump(r));
    assert_int_equal(job_run_wake_ns(r), UINT64_MAX);
    assert_false(scratch_has(scratch_dir, "here"));
    job_run_go(r);
    assert_int_equal(to_the_end(r)->exit_code, 0);
    assert_true(scratch_has(scratch_dir, "here"));
    job_run_free(r);
}

static void test_job_run__ends_at_a_gate_that_is_closed(void **state)
{
    (void)state;
    struct job_run *r = prepare_shell("touch here", 0, 1000);
    job_run_stop(r);
    assert_true(to_the_end(r)->stopped);
    job_run_free(r);
    r = prepare_shell("touch here", 0, 1000);
    pid_t pid = job_run_pid(r);
    job_run_free(r);
    assert_int_equal(kill(pid, 0), -1);
    assert_false(scratch_has(scratch_dir, "here"));
}

/* The daemon is killed while a child waits at the gate. */
static void test_job_run__ends_at_the_gate_of_a_dead_daemon(void **state)
{
    (void)state;
    int ends[2];
    pid_t child = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t daemon = fork();
    if (daemon == 0) {
        struct job_run *first = prepare_shell("touch here", 0, 1000), *r = prepare_shell("touch here", 0, 1000);
        (void)first;
        pid_t pid = job_run_pid(r);
        (void)!write(ends[1], &pid, sizeof pid);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &child, sizeof child), sizeof child);
    assert_int_equal(kill(child, 0), 0);
    kill(daemon, SIGKILL);
    assert_int_equal(waitpid(daemon, NULL, 0), daemon);
    assert_true(is_gone(child));
    assert_false(scratch_has(scratch_dir, "here"));
    close(ends[0]);
    close(ends[1]);
}

/* --- ends --- */

static void test_job_run__tells_how_it_ended(void **state)
{
    (void)state;
    struct job_run *r = shell("echo out; echo err >&2; sleep 0.1; exit 3");
    const struct job_end *end = to_the_end(r);
    assert_int_equal(end->exit_code, 3);
    assert_int_equal(end->signal, 0);
    assert_false(end->timed_out || end->stopped || end->lost || end->not_started);
    assert_in_range(end->duration_ms, 100, 20000);
    expect_words(job_run_stdout(r), "out");
    expect_words(job_run_stderr(r), "err");
    job_run_stop(r);
    job_run_kill(r);
    assert_int_equal(job_run_wake_ns(r), UINT64_MAX);
    job_run_free(r);
    r = shell("kill -9 $$");
    assert_int_equal(to_the_end(r)->signal, SIGKILL);
    assert_int_equal(job_run_end(r)->exit_code, 128 + SIGKILL);
    job_run_free(r);
    job_run_free(NULL);
}

static void test_job_run__keeps_the_end_of_much_output(void **state)
{
    (void)state;
    struct job_run *r = shell("i=0; while [ $i -lt 40000 ]; do echo line $i; echo error $i >&2; i=$((i+1)); done");
    assert_int_equal(to_the_end(r)->exit_code, 0);
    char *last = job_words_last(job_run_stdout(r), 100), *lines = job_words_lines(job_run_stderr(r), JOB_WORDS_BYTES);
    assert_string_equal(last, "line 39999");
    assert_true(strlen(lines) > 3000 && strlen(lines) <= JOB_WORDS_BYTES);
    assert_int_equal(strncmp(lines, "error 3", 7), 0);
    free(last);
    free(lines);
    job_run_free(r);
}

static void test_job_run__says_what_cannot_be_run(void **state)
{
    (void)state;
    char *argv[] = {(char *)(uintptr_t) "/nowhere/program", NULL};
    struct job_run_options o = {.argv = argv};
    struct job_run *r = prepare(&o);
    job_run_go(r);
    const struct job_end *end = to_the_end(r);
    assert_true(end->not_started);
    assert_int_equal(end->exit_code, 127);
    assert_string_equal(end->start_error.message, "cannot start '/nowhere/program': No such file or directory");
    job_run_free(r);
    argv[0] = scratch_dir;
    r = prepare(&o);
    job_run_go(r);
    assert_int_equal(to_the_end(r)->exit_code, 126);
    assert_true(job_run_end(r)->not_started);
    job_run_free(r);
    argv[0] = (char *)(uintptr_t) "true";
    o.directory = "/nowhere";
    r = prepare(&o);
    job_run_go(r);
    assert_true(to_the_end(r)->not_started);
    assert_non_null(strstr(job_run_end(r)->start_error.message, "working directory"));
    job_run_free(r);
}

/* --- surroundings --- */

static void test_job_run__gives_it_its_environment(void **state)
{
    (void)state;
    const char *add[] = {"CLAWBACK_JOB=old", "CLAWBACK_RUN_ID=r", "OURS=new", "CLAWBACK_JOB=j", NULL};
    char *argv[] = {(char *)(uintptr_t) "/bin/sh", (char *)(uintptr_t) "-c",
                    (char *)(uintptr_t) "echo $CLAWBACK_JOB,$CLAWBACK_RUN_ID,$OURS,$KEPT,${NOTIFY_SOCKET-none},"
                                        "${WATCHDOG_USEC-none},${JOURNAL_STREAM-none}; pwd; cat",
                    NULL};
    const struct job_run_options o = {.argv = argv, .environment = add, .input = "what it reads\n"};
    setenv("OURS", "old", 1);
    setenv("KEPT", "kept", 1);
    setenv("NOTIFY_SOCKET", "/x", 1);
    setenv("WATCHDOG_USEC", "1", 1);
    setenv("JOURNAL_STREAM", "1:2", 1);
    struct job_run *r = prepare(&o);
    job_run_go(r);
    assert_int_equal(to_the_end(r)->exit_code, 0);
    expect_words(job_run_stdout(r), "j,r,new,kept,none,none,none\n/\nwhat it reads");
    job_run_free(r);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("JOURNAL_STREAM");
}

static void test_job_run__gives_it_nothing_else(void **state)
{
    (void)state;
    char *path = os_path_join(scratch_dir, "open");
    int leaked = open(path, O_RDWR | O_CREAT, 0600); /* as a careless parent of ours leaves it: not close-on-exec */
    assert_true(leaked > 2);
    sigset_t set, before;
    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, &before);
    signal(SIGUSR2, SIG_IGN);
    struct job_run *r =
        shell("cat; ls /proc/self/fd | wc -l; nice; ps -o pgid= -p $$ | tr -d ' '; echo $$;"
              "grep SigBlk /proc/self/status | tr -d '\\t'; grep SigIgn /proc/self/status | tr -d '\\t'");
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(to_the_end(r)->exit_code, 0);
    char expected[256], *words = job_words_lines(job_run_stdout(r), 1000);
    /* 0, 1, 2 and the one that ls reads the directory with */
    snprintf(expected, sizeof expected, "4\n%d\n%ld\n%ld\nSigBlk:0000000000000000\nSigIgn:0000000000000000",
             nice(0) > 10 ? nice(0) : 10, (long)job_run_pid(r), (long)job_run_pid(r));
    assert_string_equal(words, expected);
    free(words);
    job_run_free(r);
    signal(SIGUSR2, SIG_DFL);
    close(leaked);
    free(path);
}

/* --- stopping --- */

static void test_job_run__stops_all_of_its_group_when_time_is_over(void **state)
{
    (void)state;
    struct job_run *r = prepare_shell(
        "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; exec sleep 60' & echo $$ > own; wait", 300, 300);
    job_run_go(r);
    uint64_t began = now_ms();
    pid_t child = pid_in_file("child"), own = pid_in_file("own");
    const struct job_end *end = to_the_end(r);
    assert_true(end->timed_out && !end->stopped);
    assert_int_equal(end->signal, SIGKILL);
    assert_in_range(now_ms() - began, 500, 20000);
    assert_true(is_gone(child) && is_gone(own));
    job_run_free(r);
}

static void test_job_run__lets_children_end_in_their_own_time(void **state)
{
    (void)state;
    /* The shell is gone at once; what it started cleans up first. */
    struct job_run *r = prepare_shell("sh -c 'trap \"sleep 0.5; touch cleaned; exit\" TERM; touch ready; "
                                      "while :; do sleep 0.05; done' & wait",
                                      0, 20000);
    job_run_go(r);
    wait_for_file("ready");
    job_run_stop(r);
    job_run_stop(r);
    const struct job_end *end = to_the_end(r);
    assert_true(end->stopped && !end->timed_out);
    assert_int_equal(end->signal, SIGTERM);
    assert_true(scratch_has(scratch_dir, "cleaned"));
    assert_in_range(end->duration_ms, 400, 15000);
    job_run_free(r);
}

static void test_job_run__takes_an_end_of_its_own_for_what_it_is(void **state)
{
    (void)state;
    struct job_run *r = shell("trap 'exit 0' TERM; touch ready; while :; do sleep 0.05; done");
    wait_for_file("ready");
    job_run_stop(r);
    assert_int_equal(to_the_end(r)->exit_code, 0);
    assert_true(job_run_end(r)->stopped);
    job_run_free(r);
}

static void test_job_run__kills_at_once_when_asked_again(void **state)
{
    (void)state;
    struct job_run *r = prepare_shell("trap '' TERM; touch ready; while :; do sleep 0.05; done", 0, 60000);
    job_run_go(r);
    wait_for_file("ready");
    job_run_stop(r);
    assert_false(job_run_pump(r));
    job_run_kill(r);
    assert_int_equal(to_the_end(r)->signal, SIGKILL);
    job_run_free(r);
}

static void test_job_run__lets_background_processes_be_after_a_good_end(void **state)
{
    (void)state;
    struct job_run *r = shell("sleep 60 & echo $! > child; echo done");
    uint64_t began = now_ms();
    assert_int_equal(to_the_end(r)->exit_code, 0);
    assert_true(now_ms() - began < 20000);
    expect_words(job_run_stdout(r), "done");
    pid_t child = pid_in_file("child");
    assert_int_equal(kill(child, 0), 0);
    job_run_free(r);
    kill(child, SIGKILL);
}

/* --- adopting --- */

static void test_job_run__adopts_what_an_earlier_daemon_started(void **state)
{
    (void)state;
    char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "60", NULL};
    const char *env[] = {"CLAWBACK_RUN_ID=00112233445566aa", NULL};
    const struct job_run_options o = {.argv = argv, .environment = env, .grace_ms = 1000};
    struct job_run *r = prepare(&o);
    pid_t pid = job_run_pid(r);
    job_run_go(r);
    for (uint64_t give_up = now_ms() + PATIENCE_MS; !job_run_is(pid, "00112233445566aa"); os_sleep_ms(5))
        assert_true(now_ms() < give_up);
    assert_false(job_run_is(pid, "00112233445566ab"));
    assert_false(job_run_is(pid, "00112233445566a"));
    assert_false(job_run_is(0, "00112233445566aa"));
    assert_null(job_run_adopt(pid, "00112233445566ab", 0, 1000));
    struct job_run *adopted = job_run_adopt(pid, "00112233445566aa", 0, 1000);
    assert_non_null(adopted);
    assert_false(job_run_pump(adopted));
    assert_true(job_run_wake_ns(adopted) < UINT64_MAX);
    job_run_free(job_run_adopt(pid, "00112233445566aa", 0, 1000)); /* which leaves it alone */
    assert_int_equal(kill(pid, 0), 0);
    job_run_stop(adopted);
    to_the_end(r);
    const struct job_end *end = to_the_end(adopted);
    assert_true(end->lost && end->stopped);
    assert_int_equal(end->exit_code, -1);
    job_run_free(adopted);
    job_run_free(r);
}

static void test_job_run__bounds_an_adopted_one_in_time(void **state)
{
    (void)state;
    char *argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "60", NULL};
    const char *env[] = {"CLAWBACK_RUN_ID=00112233445566aa", NULL};
    const struct job_run_options o = {.argv = argv, .environment = env, .grace_ms = 1000};
    struct job_run *r = prepare(&o), *adopted = NULL;
    job_run_go(r);
    for (uint64_t give_up = now_ms() + PATIENCE_MS; adopted == NULL; os_sleep_ms(5)) {
        assert_true(now_ms() < give_up);
        adopted = job_run_adopt(job_run_pid(r), "00112233445566aa", 100, 500);
    }
    while (!job_run_pump(adopted)) {
        job_run_pump(r);
        os_sleep_ms(5);
    }
    assert_true(job_run_end(adopted)->timed_out);
    job_run_free(adopted);
    job_run_free(r);
}

/* --- words --- */

static struct job_words words_of(const char *text)
{
    struct job_words w = {.len = 0};
    job_words_add(&w, text, strlen(text));
    return w;
}

static void expect_clean(const char *text, const char *clean)
{
    struct job_words w = words_of(text);
    expect_words(&w, clean);
}

static void test_job_words__are_harmless(void **state)
{
    (void)state;
    expect_clean("", NULL);
    expect_clean("\n \r\n\t\n", NULL);
    expect_clean("one\n\n\ntwo  \n", "one\ntwo");
    expect_clean("\033[31mred\033[0m \033]0;title\aand \033[2Kplain\033", "red and plain");
    expect_clean("\033]0;title without an end\nnext", "next");
    expect_clean("\033[", NULL);
    expect_clean("\033]8;;x\033\\link", "\\link");
    expect_clean("10%\r50%\r100%\n", "10%\n50%\n100%");
    expect_clean("bell\a back\b del\177 c1\302\233 nbsp\302\240.", "bell  back  del  c1 nbsp\302\240.");
    expect_clean("gr\303\274\303\237e", "gr\303\274\303\237e");
    struct job_words w = {.len = 0};
    job_words_add(&w, "a\0b", 3);
    expect_words(&w, "a b");
}

static void test_job_words__begin_with_a_whole_line(void **state)
{
    (void)state;
    struct job_words w = {.len = 0};
    char line[64];
    for (int i = 0; i < 1000; i++)
        job_words_add(&w, line, (size_t)snprintf(line, sizeof line, "line number %d\n", i));
    assert_true(w.cut);
    char *lines = job_words_lines(&w, 100), *all = job_words_lines(&w, JOB_WORDS_BYTES);
    assert_int_equal(strncmp(lines, "line number 99", 14), 0);
    assert_int_equal(strncmp(all, "line number ", 12), 0);
    assert_true(strlen(lines) <= 100 && strlen(lines) > 80);
    free(lines);
    free(all);
    /* Of one endless line what fits. */
    struct job_words endless = {.len = 0};
    char *text = mem_alloc(3 * JOB_WORDS_BYTES);
    for (size_t i = 0; i < (size_t)3 * JOB_WORDS_BYTES; i += 3)
        memcpy(text + i, "\342\202\254", 3);
    job_words_add(&endless, text, (size_t)3 * JOB_WORDS_BYTES);
    job_words_add(&endless, text, 3);
    lines = job_words_lines(&endless, 50);
    assert_int_equal(strlen(lines), 48);
    assert_int_equal(strncmp(lines, "\342\202\254", 3), 0);
    free(lines);
    lines = job_words_last(&endless, 50);
    assert_int_equal(strlen(lines), 48);
    free(lines);
    free(text);
}

static void test_job_words__know_the_last_line(void **state)
{
    (void)state;
    struct job_words none = {.len = 0}, w = words_of("first\n   last one  \n\n");
    assert_null(job_words_last(&none, 100));
    char *last = job_words_last(&w, 100), *some = job_words_last(&w, 4);
    assert_string_equal(last, "last one");
    assert_string_equal(some, "last");
    free(last);
    free(some);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_set_up, scratch_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_job_run__runs_nothing_before_the_gate_is_opened),
        TEST(test_job_run__ends_at_a_gate_that_is_closed),
        TEST(test_job_run__ends_at_the_gate_of_a_dead_daemon),
        TEST(test_job_run__tells_how_it_ended),
        TEST(test_job_run__keeps_the_end_of_much_output),
        TEST(test_job_run__says_what_cannot_be_run),
        TEST(test_job_run__gives_it_its_environment),
        TEST(test_job_run__gives_it_nothing_else),
        TEST(test_job_run__stops_all_of_its_group_when_time_is_over),
        TEST(test_job_run__lets_children_end_in_their_own_time),
        TEST(test_job_run__takes_an_end_of_its_own_for_what_it_is),
        TEST(test_job_run__kills_at_once_when_asked_again),
        TEST(test_job_run__lets_background_processes_be_after_a_good_end),
        TEST(test_job_run__adopts_what_an_earlier_daemon_started),
        TEST(test_job_run__bounds_an_adopted_one_in_time),
        TEST(test_job_words__are_harmless),
        TEST(test_job_words__begin_with_a_whole_line),
        TEST(test_job_words__know_the_last_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
