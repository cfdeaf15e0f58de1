/*
 * Alerts that could not be sent at once wait in the outbox until somebody runs `clawback alerts flush`: the daemon
 * does. Whether anything waits is asked by a thread of its own, since the database may make it wait for seconds.
 *
 * And a job that failed for good is told of at once, not when the hourly `clawback health` comes: by the same, in a
 * process that is started for that. It also sends, so there is one process of both kinds. It is no job: when it fails,
 * nothing is started, and a job `health` that fails has it started once. Which failures are worth telling it knows.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"
#include "monitor/outbox.h"
#include "monitor/state.h"
#include "os/clock.h"
#include "os/file.h"

enum {
    LOOK_EVERY_MS = 30 * 1000,
    SENDER_MAX_MS = 10 * 60 * 1000,
    AFTER_TROUBLE_MS = 10 * 60 * 1000,
    WORDS_MAX_BYTES = 400,
    JUDGE_EVERY_MS = 60 * 1000,
    PROMISE_GRACE_MS = 5 * 60 * 1000 + 10 * 1000 /* until a run that was promised counts as not come (run/again.c) */
};

struct outbox_look {
    pthread_t thread;
    char *state_dir;
    int done_fd; /* an eventfd: it has looked */
    bool has_work;
};

static void *look(void *arg)
{
    struct outbox_look *o = arg;
    struct state *state;
    /* What is wrong with the database, `health` says. */
    if (state_open(&state, o->state_dir, NULL) == 0) {
        o->has_work = outbox_has_work(state, loop_time().wall_ms);
        state_close(state);
    }
    uint64_t one = 1;
    (void)!write(o->done_fd, &one, sizeof one);
    return NULL;
}

static void look_free(struct outbox_look *o)
{
    if (o->done_fd >= 0)
        close(o->done_fd);
    free(o->state_dir);
    free(o);
}

/* A thread that gets none of the signals. */
static bool start_thread(struct outbox_look *o)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(&o->thread, NULL, look, o) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void begin_look(struct loop *l)
{
    char *database = os_path_join(l->options.state_dir, "state.sqlite");
    bool there = access(database, F_OK) == 0;
    free(database);
    l->outbox.look_ns = loop_in_ms(LOOK_EVERY_MS);
    if (!there)
        return;
    struct outbox_look *o = mem_zalloc(sizeof *o);
    o->state_dir = mem_strdup(l->options.state_dir);
    o->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (o->done_fd >= 0 && start_thread(o))
        l->outbox.look = o;
    else
        look_free(o);
}

static void begin_sender(struct loop *l, bool judges)
{
    struct outbox_watch *w = &l->outbox;
    struct err err = {0};
    const char *const *words = judges ? l->options.judge_argv : l->options.flush_argv;
    char *const *argv = (char *const *)(uintptr_t)words; /* nobody writes to it */
    const struct job_run_options options = {.argv = argv, .timeout_ms = SENDER_MAX_MS, .grace_ms = l->options.grace_ms};
    w->judges = judges;
    if (job_run_prepare(&w->sender, &options, &err) == 0) {
        job_run_go(w->sender);
        return;
    }
    loop_say_once(judges ? &w->judge_said : &w->flush_said, LOG_LEVEL_WARNING, err.message);
    w->look_ns = loop_in_ms(AFTER_TROUBLE_MS);
}

/* --- jobs that failed --- */

void loop_outbox_open(struct loop *l)
{
    l->outbox.failed_ns = l->outbox.promise_ns = UINT64_MAX;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void loop_outbox_failed(struct loop *l, int64_t retry_ms)
{
    struct outbox_watch *w = &l->outbox;
    int64_t wait_ms = retry_ms - loop_time().wall_ms;
    if (l->options.judge_argv == NULL)
        return;
    if (retry_ms == 0)
        w->failed_ns = least(w->failed_ns, os_monotonic_ns());
    else
        w->promise_ns = least(w->promise_ns, loop_in_ms((uint64_t)(wait_ms > 0 ? wait_ms : 0) + PROMISE_GRACE_MS));
}

/* When there is somebody to judge; UINT64_MAX: nothing is to be judged. */
static uint64_t judge_ns(const struct outbox_watch *w)
{
    uint64_t next = least(w->failed_ns, w->promise_ns);
    return next < w->judge_after_ns ? w->judge_after_ns : next;
}

static void begin_judge(struct loop *l)
{
    struct outbox_watch *w = &l->outbox;
    uint64_t now = os_monotonic_ns();
    w->failed_ns = UINT64_MAX;
    w->promise_ns = w->promise_ns <= now ? UINT64_MAX : w->promise_ns;
    w->judge_after_ns = loop_in_ms(JUDGE_EVERY_MS);
    begin_sender(l, true);
}

/* --- what they say --- */

/* True: the thread has looked. */
static bool end_look(struct outbox_watch *w, bool *has_work)
{
    uint64_t count;
    if (read(w->look->done_fd, &count, sizeof count) != sizeof count)
        return false;
    pthread_join(w->look->thread, NULL);
    *has_work = w->look->has_work;
    look_free(w->look);
    w->look = NULL;
    return true;
}

/* What it was about, and why that could not be done. */
static char *describe_trouble(const struct outbox_watch *w, const struct job_end *end)
{
    char *words = job_words_last(job_run_stderr(w->sender), WORDS_MAX_BYTES);
    if (words == NULL) /* that there is no plan, health finds like anything else */
        words = job_words_last(job_run_stdout(w->sender), WORDS_MAX_BYTES);
    const char *why = end->not_started ? end->start_error.message
                      : end->timed_out ? "it took too long"
                      : words != NULL  ? words
                                       : "no reason was given";
    char *text = mem_printf(
        "%s: %s", w->judges ? "that a job failed could not be told" : "alerts that wait could not be sent", why);
    free(words);
    return text;
}

static void end_sender(struct outbox_watch *w)
{
    const struct job_end *end = job_run_end(w->sender);
    struct said *said = w->judges ? &w->judge_said : &w->flush_said;
    if (end->exit_code == 0 || end->stopped) {
        loop_said_well(said);
    } else {
        char *text = describe_trouble(w, end);
        loop_say_once(said, LOG_LEVEL_WARNING, text);
        free(text);
        if (!w->judges)
            w->look_ns = loop_in_ms(AFTER_TROUBLE_MS);
    }
    job_run_free(w->sender);
    w->sender = NULL;
}

void loop_outbox_tick(struct loop *l)
{
    struct outbox_watch *w = &l->outbox;
    bool has_work = false;
    if (w->sender != NULL && job_run_pump(w->sender))
        end_sender(w);
    if (w->look != NULL && end_look(w, &has_work) && has_work && !l->stopping && w->sender == NULL)
        begin_sender(l, false);
    if (w->sender != NULL || l->stopping)
        return;
    if (os_monotonic_ns() >= judge_ns(w))
        begin_judge(l);
    else if (l->options.flush_argv != NULL && w->look == NULL && os_monotonic_ns() >= w->look_ns)
        begin_look(l);
}

size_t loop_outbox_fds(const struct loop *l, struct pollfd *out)
{
    size_t count = 0;
    if (l->outbox.look != NULL)
        out[count++] = (struct pollfd){.fd = l->outbox.look->done_fd, .events = POLLIN};
    if (l->outbox.sender != NULL) {
        job_run_fds(l->outbox.sender, out + count);
        count += JOB_RUN_FDS;
    }
    return count;
}

uint64_t loop_outbox_wake_ns(const struct loop *l)
{
    const struct outbox_watch *w = &l->outbox;
    if (w->sender != NULL)
        return job_run_wake_ns(w->sender);
    if (l->stopping)
        return UINT64_MAX;
    return w->look != NULL || l->options.flush_argv == NULL ? judge_ns(w) : least(w->look_ns, judge_ns(w));
}

void loop_outbox_close(struct loop *l)
{
    struct outbox_watch *w = &l->outbox;
    if (w->look != NULL) {
        pthread_join(w->look->thread, NULL);
        look_free(w->look);
    }
    job_run_free(w->sender);
    loop_said_well(&w->flush_said);
    loop_said_well(&w->judge_said);
}
