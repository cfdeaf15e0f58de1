/*
 * Alerts that could not be sent at once wait in the outbox until somebody runs `clawback alerts flush`: the daemon
 * does. Whether anything waits is asked by a thread of its own, since the database may make it wait for seconds.
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

enum { LOOK_EVERY_MS = 30 * 1000, FLUSH_MAX_MS = 10 * 60 * 1000, AFTER_TROUBLE_MS = 10 * 60 * 1000 };

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

static void begin_flush(struct loop *l)
{
    struct outbox_watch *w = &l->outbox;
    struct err err = {0};
    char *const *argv = (char *const *)(uintptr_t)l->options.flush_argv; /* nobody writes to it */
    const struct job_run_options options = {.argv = argv, .timeout_ms = FLUSH_MAX_MS, .grace_ms = l->options.grace_ms};
    if (job_run_prepare(&w->flush, &options, &err) == 0) {
        job_run_go(w->flush);
        return;
    }
    loop_say_once(&w->said, LOG_LEVEL_WARNING, err.message);
    w->look_ns = loop_in_ms(AFTER_TROUBLE_MS);
}

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

static void end_flush(struct outbox_watch *w)
{
    const struct job_end *end = job_run_end(w->flush);
    if (end->exit_code == 0 || end->stopped) {
        loop_said_well(&w->said);
    } else {
        char *words = job_words_last(job_run_stderr(w->flush), 400);
        char *text = mem_printf("alerts that wait could not be sent: %s", end->not_started ? end->start_error.message
                                                                          : end->timed_out ? "it took too long"
                                                                          : words != NULL  ? words
                                                                                           : "no reason was given");
        loop_say_once(&w->said, LOG_LEVEL_WARNING, text);
        w->look_ns = loop_in_ms(AFTER_TROUBLE_MS);
        free(text);
        free(words);
    }
    job_run_free(w->flush);
    w->flush = NULL;
}

void loop_outbox_tick(struct loop *l)
{
    struct outbox_watch *w = &l->outbox;
    bool has_work = false;
    if (w->flush != NULL && job_run_pump(w->flush))
        end_flush(w);
    if (w->look != NULL && end_look(w, &has_work) && has_work && !l->stopping && w->flush == NULL)
        begin_flush(l);
    if (l->options.flush_argv != NULL && w->look == NULL && w->flush == NULL && !l->stopping &&
        os_monotonic_ns() >= w->look_ns)
        begin_look(l);
}

size_t loop_outbox_fds(const struct loop *l, struct pollfd *out)
{
    size_t count = 0;
    if (l->outbox.look != NULL)
        out[count++] = (struct pollfd){.fd = l->outbox.look->done_fd, .events = POLLIN};
    if (l->outbox.flush != NULL) {
        job_run_fds(l->outbox.flush, out + count);
        count += JOB_RUN_FDS;
    }
    return count;
}

uint64_t loop_outbox_wake_ns(const struct loop *l)
{
    const struct outbox_watch *w = &l->outbox;
    if (w->flush != NULL)
        return job_run_wake_ns(w->flush);
    if (w->look != NULL || l->options.flush_argv == NULL || l->stopping)
        return UINT64_MAX;
    return w->look_ns;
}

void loop_outbox_close(struct loop *l)
{
    struct outbox_watch *w = &l->outbox;
    if (w->look != NULL) {
        pthread_join(w->look->thread, NULL);
        look_free(w->look);
    }
    job_run_free(w->flush);
    loop_said_well(&w->said);
}
