#include "daemon/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include "base/buf.h"
#include "daemon/control.h"
#include "daemon/heartbeat.h"
#include "daemon/jobs_file.h"
#include "daemon/memory.h"
#include "monitor/outbox.h"
#include "monitor/record.h"
#include "monitor/state.h"
#include "os/clock.h"
#include "store/scratch.h"

enum { PATIENCE_MS = 30000 };
#define RUN_ID "00112233445566aa"

/* --- a loop, whose signals come from a pipe --- */

struct host {
    int signals[2];
    bool (*is_done)(void);
    int signal, code; /* what ends it */
};

static int64_t wall_ms(void)
{
    struct timespec t = os_now();
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void send_signal(const struct host *h, int number, int code)
{
    struct signalfd_siginfo info = {.ssi_signo = (uint32_t)number, .ssi_code = code};
    (void)!write(h->signals[1], &info, sizeof info);
}

/* Ends the loop as soon as the test has seen what it waits for, or is out of patience. */
static void *watch(void *arg)
{
    const struct host *h = arg;
    for (uint64_t end = os_monotonic_ns() + PATIENCE_MS * UINT64_C(1000000); os_monotonic_ns() < end && !h->is_done();)
        os_sleep_ms(10);
    send_signal(h, h->signal, h->code);
    return NULL;
}

static bool at_once(void)
{
    return true;
}

static const char *const *judge_argv;

static void run_loop_with(struct host *h, const char *const *flush_argv, bool ignore_hangup)
{
    struct err err = {0};
    struct loop *loop;
    pthread_t thread;
    char *jobs = jobs_file_default(scratch_dir);
    assert_int_equal(pipe2(h->signals, O_CLOEXEC | O_NONBLOCK), 0);
    const struct loop_options o = {.state_dir = scratch_dir,
                                   .jobs_file = jobs,
                                   .flush_argv = flush_argv,
                                   .judge_argv = judge_argv,
                                   .grace_ms = 1000,
                                   .signal_fd = h->signals[0],
                                   .ignore_hangup = ignore_hangup};
    assert_int_equal(loop_new(&loop, &o, &err), 0);
    assert_int_equal(pthread_create(&thread, NULL, watch, h), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    loop_free(loop);
    close(h->signals[0]);
    close(h->signals[1]);
    free(jobs);
}

static void run_loop(bool (*is_done)(void))
{
    struct host h = {.is_done = is_done, .signal = SIGTERM};
    run_loop_with(&h, NULL, false);
}

/* --- what there is before and after --- */

static void jobs(const char *text)
{
    scratch_write(scratch_dir, "jobs.json", text, strlen(text));
}

static void text_of(const char *name, struct buf *out)
{
    char *path = os_path_join(scratch_dir, name);
    buf_init(out, 1 << 20);
    (void)os_read_file(path, out, NULL);
    buf_cstr(out);
    free(path);
}

static bool says(const char *name, const char *text)
{
    struct buf b;
    text_of(name, &b);
    bool found = strstr(buf_cstr(&b), text) != NULL;
    buf_release(&b);
    return found;
}

static void add_record(enum record_status status, const char *job, const char *run_id, int64_t at_ms, pid_t pid)
{
    struct record r = {.status = status,
                       .job = true,
                       .tier = mem_strdup(job),
                       .run_id = mem_strdup(run_id),
                       .pid = pid,
                       .time = {.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000}};
    if (status == RECORD_FAILED)
        r.error = mem_strdup("x");
    assert_int_equal(record_append(scratch_dir, &r, NULL), 0);
    record_release(&r);
}

/* The memory of a daemon that was killed while the job ran, as it believed, since then. */
static void was_running(const char *job, int64_t since_ms)
{
    struct memory_file *file;
    struct memory_list list;
    struct err err = {0};
    /* A daemon was there: its memory knows what the job looks like. */
    run_loop(at_once);
    assert_int_equal(memory_open(scratch_dir, &file, &list, &err), 0);
    memory_close(file);
    struct buf text;
    buf_init(&text, 1 << 20);
    for (size_t i = 0; i < list.count; i++) {
        struct scheduler_memory *m = &list.items[i];
        if (strcmp(m->id, job) != 0)
            continue;
        m->running = true;
        m->last_run_ms = m->due_ms = since_ms;
        m->attempt = 1;
    }
    memory_encode(list.items, list.count, &text);
    scratch_write(scratch_dir, "daemon-memory.jsonl", text.data, text.len);
    buf_release(&text);
    memory_list_release(&list);
}

static size_t count(const char *job, enum record_status status)
{
    struct record_list l;
    size_t n = 0;
    assert_int_equal(record_list_read_job(scratch_dir, job, 1000, &l, NULL), 0);
    for (size_t i = 0; i < l.count; i++)
        n += l.items[i].status == status;
    record_list_release(&l);
    return n;
}

static bool a_failed(void)
{
    return count("a", RECORD_FAILED) > 0;
}

static bool b_completed(void)
{
    return count("b", RECORD_COMPLETED) > 0;
}

/* Two jobs that do nothing by themselves. */
static const char TWO[] =
    "[{id:'a',schedule:{kind:'every',everyMs:3600000},payload:{kind:'command',argv:['true']},onSuccess:['b'],"
    "onFailure:['c'],retry:{times:1,afterMs:1000}},"
    "{id:'b',schedule:{kind:'every',everyMs:3600000},payload:{kind:'command',argv:['true']}},"
    "{id:'c',schedule:{kind:'every',everyMs:3600000},payload:{kind:'command',argv:['true']}}]";

/* --- after a kill --- */

static void test_loop__starts_what_was_not_started_any_more(void **state)
{
    (void)state;
    jobs(TWO);
    was_running("a", wall_ms());
    add_record(RECORD_STARTED, "a", RUN_ID, wall_ms() - 60000, 1); /* an earlier run */
    add_record(RECORD_COMPLETED, "a", RUN_ID, wall_ms() - 50000, 0);
    run_loop(b_completed);
    assert_int_equal(count("a", RECORD_STARTED), 2);
    assert_int_equal(count("a", RECORD_COMPLETED), 2);
    assert_int_equal(count("b", RECORD_COMPLETED), 1);
}

static void test_loop__believes_the_log_that_a_run_was_good(void **state)
{
    (void)state;
    jobs(TWO);
    int64_t began = wall_ms();
    was_running("a", began);
    add_record(RECORD_STARTED, "a", RUN_ID, began, 1);
    add_record(RECORD_COMPLETED, "a", RUN_ID, began + 5, 0);
    run_loop(b_completed);
    assert_int_equal(count("a", RECORD_STARTED), 1);
    assert_int_equal(count("b", RECORD_COMPLETED), 1);
    assert_int_equal(count("c", RECORD_STARTED), 0);
}

static void test_loop__believes_the_log_that_a_run_failed(void **state)
{
    (void)state;
    jobs(TWO);
    int64_t began = wall_ms();
    was_running("a", began);
    add_record(RECORD_STARTED, "a", RUN_ID, began, 1);
    add_record(RECORD_FAILED, "a", RUN_ID, began + 5, 0);
    run_loop(b_completed); /* after the second attempt */
    assert_int_equal(count("a", RECORD_STARTED), 2);
    assert_int_equal(count("a", RECORD_FAILED), 1);
    assert_int_equal(count("c", RECORD_STARTED), 0);
}

static void test_loop__ends_what_has_no_end(void **state)
{
    (void)state;
    jobs(TWO);
    int64_t began = wall_ms();
    was_running("a", began);
    add_record(RECORD_STARTED, "a", RUN_ID, began, getpid()); /* which is somebody else by now */
    run_loop(a_failed);
    struct record_list l;
    assert_int_equal(record_list_read_job(scratch_dir, "a", 10, &l, NULL), 0);
    assert_int_equal(l.items[1].status, RECORD_FAILED);
    assert_string_equal(l.items[1].run_id, RUN_ID);
    assert_true(l.items[1].interrupted && l.items[1].retry);
    assert_string_equal(l.items[1].error, "was interrupted: the daemon was killed meanwhile");
    record_list_release(&l);
}

static void add_tier_record(const char *run_id, int exit_code, bool failed)
{
    struct record r = {.status = failed ? RECORD_FAILED : RECORD_COMPLETED,
                       .exit_code = exit_code,
                       .uploaded = !failed,
                       .bytes_processed = 4711,
                       .tier = mem_strdup("config"),
                       .run_id = mem_strdup(run_id),
                       .time = os_now()};
    if (failed)
        r.error = mem_strdup("no room");
    else if (exit_code != 0)
        strlist_add(&r.warnings, "a file was not read");
    assert_int_equal(record_append(scratch_dir, &r, NULL), 0);
    record_release(&r);
}

static void test_loop__asks_the_tiers_how_a_lost_run_ended(void **state)
{
    (void)state;
    jobs(TWO);
    int64_t began = wall_ms();
    was_running("a", began);
    add_record(RECORD_STARTED, "a", RUN_ID, began, getpid());
    add_tier_record(RUN_ID, 3, false);
    run_loop(b_completed);
    struct record_list l;
    assert_int_equal(record_list_read_job(scratch_dir, "a", 10, &l, NULL), 0);
    assert_int_equal(l.items[1].status, RECORD_COMPLETED);
    assert_int_equal(l.items[1].exit_code, 3);
    assert_int_equal(l.items[1].bytes_processed, 4711);
    record_list_release(&l);
}

static void test_loop__ends_runs_that_nobody_remembers(void **state)
{
    (void)state;
    jobs(TWO);
    add_record(RECORD_STARTED, "a", RUN_ID, wall_ms() - 5000, getpid());
    add_tier_record(RUN_ID, 1, true);
    run_loop(a_failed);
    struct record_list l;
    assert_int_equal(record_list_read_job(scratch_dir, "a", 10, &l, NULL), 0);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.items[1].error, "config: no room");
    assert_false(l.items[1].interrupted);
    record_list_release(&l);
}

static pid_t left_over(const char *seconds)
{
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        setenv("CLAWBACK_RUN_ID", RUN_ID, 1);
        execlp("sleep", "sleep", seconds, NULL);
        _exit(127);
    }
    /* Its parent, the earlier daemon, is gone: nobody reaps it in time but we pretend. */
    return pid;
}

static void *reap(void *arg)
{
    (void)waitpid(*(pid_t *)arg, NULL, 0);
    return NULL;
}

static void test_loop__watches_what_is_left_over_to_its_end(void **state)
{
    (void)state;
    pthread_t thread;
    jobs(TWO);
    int64_t began = wall_ms();
    was_running("a", began);
    pid_t pid = left_over("1.5");
    pthread_create(&thread, NULL, reap, &pid);
    add_record(RECORD_STARTED, "a", RUN_ID, began, pid);
    add_tier_record(RUN_ID, 0, false);
    os_sleep_ms(200);
    run_loop(b_completed);
    pthread_join(thread, NULL);
    struct record_list l;
    assert_int_equal(record_list_read_job(scratch_dir, "a", 10, &l, NULL), 0);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.items[1].status, RECORD_COMPLETED);
    assert_true(l.items[1].duration_ms >= 1200);
    record_list_release(&l);
}

static bool is_remembered_as_running(void)
{
    struct memory_file *file;
    struct memory_list list;
    bool found = false;
    assert_int_equal(memory_open(scratch_dir, &file, &list, NULL), 0);
    for (size_t i = 0; i < list.count; i++)
        found = found || (strcmp(list.items[i].id, "a") == 0 && list.items[i].running);
    memory_close(file);
    memory_list_release(&list);
    return found && says("daemon-memory.jsonl", "\"c\"");
}

/* Left over, and many times came while it ran: each has its line behind that of the start. */
static void test_loop__remembers_what_is_left_over(void **state)
{
    (void)state;
    pthread_t thread;
    jobs(TWO);
    int64_t began = wall_ms();
    was_running("a", began);
    pid_t pid = left_over("30");
    pthread_create(&thread, NULL, reap, &pid);
    add_record(RECORD_STARTED, "a", RUN_ID, began, pid);
    for (int i = 0; i < 300; i++) {
        struct record r = {.status = RECORD_SKIPPED, .job = true, .tier = mem_strdup("a"), .time = os_now()};
        r.message = mem_strdup("missed it");
        assert_int_equal(record_append(scratch_dir, &r, NULL), 0);
        record_release(&r);
    }
    os_sleep_ms(200);
    run_loop(is_remembered_as_running); /* which stops the run */
    pthread_join(thread, NULL);
    assert_int_equal(count("a", RECORD_STARTED), 1);
    assert_int_equal(count("a", RECORD_FAILED), 1);
    assert_false(is_remembered_as_running());
}

static void test_loop__retries_no_forgotten_run_whose_job_does_not_ask_for_it(void **state)
{
    (void)state;
    jobs("[{id:'a',schedule:{kind:'every',everyMs:3600000},payload:{kind:'command',argv:['true']},onFailure:['b']},"
         "{id:'b',schedule:{kind:'every',everyMs:3600000},payload:{kind:'command',argv:['true']}}]");
    add_record(RECORD_STARTED, "a", RUN_ID, wall_ms() - 5000, getpid());
    struct record skipped = {.status = RECORD_SKIPPED, .job = true, .tier = mem_strdup("a"), .time = os_now()};
    assert_int_equal(record_append(scratch_dir, &skipped, NULL), 0);
    record_release(&skipped);
    run_loop(b_completed);
    struct record_list l;
    assert_int_equal(record_list_read_job(scratch_dir, "a", 10, &l, NULL), 0);
    assert_int_equal(l.count, 3);
    assert_int_equal(l.items[2].status, RECORD_FAILED);
    assert_false(l.items[2].retry);
    record_list_release(&l);
}

/* --- a log that cannot be written --- */

static bool was_repaired;

static bool repaired(void)
{
    /* runs/ is a file: nothing can be written below it. Until the first run is over. */
    if (!was_repaired && says("done", "x\nx\n")) {
        char *path = os_path_join(scratch_dir, "runs");
        unlink(path);
        free(path);
        was_repaired = true;
    }
    return was_repaired && count("tick", RECORD_COMPLETED) >= 3;
}

static void test_loop__keeps_lines_until_they_can_be_written(void **state)
{
    (void)state;
    char *text = mem_printf("[{id:'tick',schedule:{kind:'every',everyMs:1000},payload:{kind:'command',"
                            "argv:['sh','-c','echo x >> %s/done']}}]",
                            scratch_dir);
    jobs(text);
    free(text);
    scratch_write(scratch_dir, "runs", "", 0);
    was_repaired = false;
    run_loop(repaired);
    struct record_list l;
    assert_int_equal(record_list_read_job(scratch_dir, "tick", 100, &l, NULL), 0);
    struct buf done;
    text_of("done", &done);
    size_t starts = 0;
    for (size_t i = 0; i < l.count; i++) {
        starts += l.items[i].status == RECORD_STARTED;
        /* What runs when the loop is told to stop is stopped with it. */
        if (!l.items[i].interrupted)
            assert_int_equal(l.items[i].status, i % 2 == 0 ? RECORD_STARTED : RECORD_COMPLETED);
        if (i > 0)
            assert_true(l.items[i].time.tv_sec >= l.items[i - 1].time.tv_sec);
    }
    assert_int_equal(starts, done.len / 2);
    buf_release(&done);
    record_list_release(&l);
}

/* --- signals, requests --- */

static bool asked_everything(void)
{
    struct err err = {0};
    json_t *reply = NULL;
    if (control_ask_for(scratch_dir, "status", NULL, &reply, &err) != 0)
        return false;
    assert_int_equal(json_array_size(json_object_get(reply, "jobs")), 3);
    json_decref(reply);
    assert_int_equal(control_ask_for(scratch_dir, "run-now", "nobody", NULL, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, "there is no job nobody"));
    assert_int_equal(control_ask_for(scratch_dir, "run-now", "\xff", NULL, &err), -1);
    assert_int_equal(control_ask_for(scratch_dir, "dance", NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    jobs("{");
    assert_int_equal(control_ask_for(scratch_dir, "reload", NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    jobs(TWO);
    assert_int_equal(control_ask_for(scratch_dir, "reload", NULL, NULL, &err), 0);
    assert_int_equal(control_ask_for(scratch_dir, "run-now", "b", NULL, &err), 0);
    return true;
}

static void test_control__asks_and_is_answered(void **state)
{
    (void)state;
    struct err err = {0};
    assert_int_equal(control_ask_for(scratch_dir, "status", NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(control_ask_for("/nowhere", "status", NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    jobs(TWO);
    run_loop(asked_everything);
    assert_int_equal(count("b", RECORD_STARTED), 1);
    assert_int_equal(control_ask_for(scratch_dir, "status", NULL, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_false(scratch_has(scratch_dir, "daemon.sock"));
}

static void test_loop__ends_with_its_terminal(void **state)
{
    (void)state;
    struct host h = {.is_done = at_once, .signal = SIGHUP, .code = SI_KERNEL};
    jobs(TWO);
    run_loop_with(&h, NULL, false);
    assert_true(says("daemon.json", "\"jobs\":3"));
}

static struct host *nohup_host;

static bool heard_hangups(void)
{
    struct err err = {0};
    send_signal(nohup_host, SIGHUP, SI_KERNEL);
    jobs("[]");
    send_signal(nohup_host, SIGHUP, SI_USER);
    json_t *reply = NULL;
    if (control_ask_for(scratch_dir, "status", NULL, &reply, &err) != 0)
        return false;
    bool none = json_array_size(json_object_get(reply, "jobs")) == 0;
    json_decref(reply);
    return none;
}

static void test_loop__outlives_its_terminal_when_told_to(void **state)
{
    (void)state;
    struct host h = {.is_done = heard_hangups, .signal = SIGINT};
    nohup_host = &h;
    jobs(TWO);
    run_loop_with(&h, NULL, true);
    assert_true(says("daemon.json", "\"jobs\":0"));
}

/* --- the outbox --- */

static bool flushed(void)
{
    return scratch_has(scratch_dir, "flushed");
}

static void test_loop__has_alerts_sent_that_wait(void **state)
{
    (void)state;
    struct err err = {0};
    struct state *database;
    struct plan_channel channel = {
        .name = "ping", .kind = CHANNEL_PING, .address = {.url = "http://127.0.0.1:1/"}, .timeout_ms = 1000};
    const struct plan plan = {.alerts = {.channels = &channel, .channel_count = 1}};
    assert_int_equal(state_open(&database, scratch_dir, &err), 0);
    assert_int_equal(outbox_add_ping(&plan, database, PING_SUCCESS, NULL, RUN_ID, NULL, &err), 0);
    state_close(database);
    char *script = mem_printf("touch %s/flushed; echo 'no network' >&2; exit 1", scratch_dir);
    const char *flush[] = {"/bin/sh", "-c", script, NULL};
    struct host h = {.is_done = flushed, .signal = SIGTERM};
    jobs("[]");
    run_loop_with(&h, flush, false);
    assert_true(flushed());
    free(script);
}

static void test_loop__starts_no_sender_for_nothing(void **state)
{
    (void)state;
    struct state *database;
    assert_int_equal(state_open(&database, scratch_dir, NULL), 0);
    state_close(database);
    char *script = mem_printf("touch %s/flushed", scratch_dir);
    const char *flush[] = {"/bin/sh", "-c", script, NULL};
    struct host h = {.is_done = b_completed, .signal = SIGTERM};
    jobs("[{id:'b',schedule:{kind:'every',everyMs:1000},payload:{kind:'command',argv:['true']}}]");
    run_loop_with(&h, flush, false);
    assert_false(flushed());
    free(script);
}

/* --- jobs that fail --- */

static bool failed_twice(void)
{
    struct buf b;
    unsigned count = 0;
    text_of("runs/b.jsonl", &b);
    for (const char *at = buf_cstr(&b); (at = strstr(at, "\"status\":\"failed\"")) != NULL; at++)
        count++;
    buf_release(&b);
    return count >= 2;
}

static bool judged(void)
{
    return says("judged", "failed");
}

/* With a judge that writes what it finds in the job's log; the loop lasts until `until`. */
static void run_failing_job(const char *more, bool (*until)(void))
{
    char *script = mem_printf("tail -n 1 %s/runs/b.jsonl >>%s/judged; exit 1", scratch_dir, scratch_dir);
    const char *judge[] = {"/bin/sh", "-c", script, NULL};
    char *text =
        mem_printf("[{id:'b',schedule:{kind:'every',everyMs:1000},payload:{kind:'command',argv:['false']}%s}]", more);
    struct host h = {.is_done = until, .signal = SIGTERM};
    judge_argv = judge;
    jobs(text);
    run_loop_with(&h, NULL, false);
    judge_argv = NULL;
    free(text);
    free(script);
}

static void test_loop__has_a_job_judged_at_once_that_failed(void **state)
{
    (void)state;
    run_failing_job("", judged);
    assert_true(judged());
}

/* Not even when the judge itself fails. */
static void test_loop__has_jobs_judged_once_a_minute(void **state)
{
    struct buf b;
    (void)state;
    run_failing_job("", failed_twice);
    assert_true(failed_twice());
    text_of("judged", &b);
    const char *first = strchr(buf_cstr(&b), '\n');
    assert_non_null(first);
    assert_string_equal(first, "\n");
    buf_release(&b);
}

static void test_loop__has_no_job_judged_that_is_tried_again(void **state)
{
    (void)state;
    run_failing_job(",retry:{times:5,afterMs:1000}", failed_twice);
    assert_true(failed_twice());
    assert_false(scratch_has(scratch_dir, "judged"));
}

/* --- the heartbeat and the lock --- */

static void test_heartbeat__is_written_whole(void **state)
{
    (void)state;
    struct err err = {0};
    struct heartbeat h = {.pid = 7, .started_ms = 1, .tick_ms = 2, .jobs = 3, .jobs_file = "/x"};
    assert_int_equal(heartbeat_write(scratch_dir, &h, &err), 0);
    assert_true(says("daemon.json", "\"pid\":7"));
    assert_true(says("daemon.json", "\"jobsFile\":\"/x\""));
    assert_int_equal(scratch_mode(scratch_dir, "daemon.json"), 0600);
    h.jobs_file = "/\xff";
    assert_int_equal(heartbeat_write(scratch_dir, &h, &err), 0);
    assert_false(says("daemon.json", "jobsFile"));
    assert_int_equal(heartbeat_write("/nowhere", &h, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static void test_daemon_lock__belongs_to_one(void **state)
{
    (void)state;
    struct err err = {0};
    struct daemon_lock *one, *two;
    char expected[64];
    assert_int_equal(daemon_lock_acquire(&one, scratch_dir, &err), 0);
    assert_int_equal(daemon_lock_acquire(&two, scratch_dir, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    snprintf(expected, sizeof expected, "process %ld since ", (long)getpid());
    assert_non_null(strstr(err.message, expected));
    assert_null(two);
    daemon_lock_release(two);
    daemon_lock_release(one);
    assert_int_equal(daemon_lock_acquire(&one, scratch_dir, &err), 0);
    daemon_lock_release(one);
    assert_int_equal(daemon_lock_acquire(&one, "/proc/nowhere", &err), -1);
}

/* What a killed daemon was about to start holds its lock for a moment. */
static void test_daemon_lock__waits_for_the_remains_of_a_dead_one(void **state)
{
    (void)state;
    struct err err = {0};
    struct daemon_lock *lock;
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t daemon = fork();
    if (daemon == 0) {
        if (daemon_lock_acquire(&lock, scratch_dir, &err) != 0)
            _exit(1);
        if (fork() == 0) {
            os_sleep_ms(700);
            _exit(0);
        }
        (void)!write(ends[1], "", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    kill(daemon, SIGKILL);
    waitpid(daemon, NULL, 0);
    assert_int_equal(daemon_lock_acquire(&lock, scratch_dir, &err), 0);
    daemon_lock_release(lock);
    close(ends[0]);
    close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, scratch_set_up, scratch_tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(test_loop__starts_what_was_not_started_any_more),
        TEST(test_loop__believes_the_log_that_a_run_was_good),
        TEST(test_loop__believes_the_log_that_a_run_failed),
        TEST(test_loop__ends_what_has_no_end),
        TEST(test_loop__asks_the_tiers_how_a_lost_run_ended),
        TEST(test_loop__ends_runs_that_nobody_remembers),
        TEST(test_loop__watches_what_is_left_over_to_its_end),
        TEST(test_loop__remembers_what_is_left_over),
        TEST(test_loop__retries_no_forgotten_run_whose_job_does_not_ask_for_it),
        TEST(test_loop__keeps_lines_until_they_can_be_written),
        TEST(test_control__asks_and_is_answered),
        TEST(test_loop__ends_with_its_terminal),
        TEST(test_loop__outlives_its_terminal_when_told_to),
        TEST(test_loop__has_alerts_sent_that_wait),
        TEST(test_loop__starts_no_sender_for_nothing),
        TEST(test_loop__has_a_job_judged_at_once_that_failed),
        TEST(test_loop__has_jobs_judged_once_a_minute),
        TEST(test_loop__has_no_job_judged_that_is_tried_again),
        TEST(test_heartbeat__is_written_whole),
        TEST(test_daemon_lock__belongs_to_one),
        TEST(test_daemon_lock__waits_for_the_remains_of_a_dead_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
