/*
 * The loop itself: what to wait for, and whose turn it is. Read loop_run() first.
 *
 * Two timers. One on CLOCK_BOOTTIME, which goes on while the machine is suspended, for whatever comes next. One on
 * CLOCK_REALTIME far in the future, which the kernel cancels when somebody sets the clock (TFD_TIMER_CANCEL_ON_SET):
 * then all that depends on the time of day is worked out again.
 */
#include "daemon/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/heartbeat.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"

enum {
    LATE_MS = 7000, /* on top of the grace, until jobs that do not end are left to themselves */
    SECOND_MS = 1000,
    POLL_MAX_MS = 60 * 1000, /* should a timer ever fail us */
    BEAT_MIN_MS = 1000,
};

/* --- time --- */

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return os_time_ms(&t);
}

struct scheduler_time loop_time(void)
{
    return (struct scheduler_time){.wall_ms = clock_ms(CLOCK_REALTIME), .boot_ms = clock_ms(CLOCK_BOOTTIME)};
}

uint64_t loop_in_ms(uint64_t ms)
{
    return os_monotonic_ns() + ms * 1000000;
}

uint64_t loop_since_ms(int64_t wall_ms)
{
    int64_t now = clock_ms(CLOCK_REALTIME);
    return now > wall_ms ? (uint64_t)(now - wall_ms) : 0;
}

struct timespec loop_timespec(int64_t wall_ms)
{
    return (struct timespec){.tv_sec = (time_t)(wall_ms / 1000), .tv_nsec = wall_ms % 1000 * 1000000};
}

const char *loop_time_text(int64_t wall_ms, char out[32])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return out;
}

/* --- timers --- */

static void watch_clock(struct loop *l)
{
    /* 2100: not a time that anybody waits for. */
    const struct itimerspec far = {.it_value = {.tv_sec = 4102444800}};
    (void)timerfd_settime(l->clock_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

static int make_timers(struct loop *l, struct err *err)
{
    l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    l->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->timer_fd < 0 || l->clock_fd < 0)
        return err_errno(err, errno, "cannot make a timer");
    watch_clock(l);
    return 0;
}

/* Somebody set the clock: how far is worth a line, since times that were due may now be late or early. */
static void clock_was_set(struct loop *l)
{
    uint64_t count;
    if (read(l->clock_fd, &count, sizeof count) >= 0 || errno != ECANCELED)
        return;
    watch_clock(l);
    struct scheduler_time now = loop_time();
    int64_t jump_ms = (now.wall_ms - l->before.wall_ms) - (now.boot_ms - l->before.boot_ms);
    if (jump_ms > SECOND_MS || jump_ms < -SECOND_MS)
        loop_say(LOG_LEVEL_WARNING, "the clock was set %s by %lld s; what is due is worked out again",
                 jump_ms > 0 ? "ahead" : "back", (long long)(jump_ms > 0 ? jump_ms : -jump_ms) / 1000);
}

static void set_timer(struct loop *l, uint64_t wait_ns)
{
    struct itimerspec t = {
        .it_value = {.tv_sec = (time_t)(wait_ns / 1000000000), .tv_nsec = (long)(wait_ns % 1000000000)}};
    if (wait_ns == 0)
        t.it_value.tv_nsec = 1; /* zero would mean never */
    (void)timerfd_settime(l->timer_fd, 0, &t, NULL);
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t scheduler_wake_ns(struct loop *l)
{
    if (l->stopping || l->running == LOOP_JOBS_AT_ONCE) /* nothing is started before another one has ended */
        return UINT64_MAX;
    int64_t wait_ms = scheduler_wait_ms(l->scheduler, loop_time());
    return wait_ms < POLL_MAX_MS ? loop_in_ms(wait_ms > 0 ? (uint64_t)wait_ms : 0) : UINT64_MAX;
}

/* os_monotonic_ns() of the next thing to do. */
static uint64_t next_wake_ns(struct loop *l)
{
    uint64_t next = least(l->beat_ns, least(l->alive_ns, l->status_ns));
    next = least(next, least(l->waiting_ns, l->changes.due_ns));
    next = least(next, least(loop_file_wake_ns(l), loop_control_wake_ns(l)));
    next = least(next, least(loop_outbox_wake_ns(l), scheduler_wake_ns(l)));
    if (l->memory_again_ns > 0)
        next = least(next, l->memory_again_ns);
    if (l->stopping)
        next = least(next, l->stop_end_ns);
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++)
        if (l->slots[i].run != NULL)
            next = least(next, job_run_wake_ns(l->slots[i].run));
    return next;
}

/* --- signals --- */

static void stop(struct loop *l, const char *why)
{
    if (!l->stopping) {
        loop_say(LOG_LEVEL_INFO, "stopping: %s; %zu jobs run", why, l->running);
        notify_stopping(l->notifier);
        l->stopping = true;
        l->stop_end_ns = loop_in_ms(l->options.grace_ms + LATE_MS);
    } else if (l->running > 0) {
        loop_say(LOG_LEVEL_WARNING, "stopping: %s again; %zu jobs are killed", why, l->running);
    }
    bool again = l->stop_signals++ > 0;
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++) {
        struct slot *s = &l->slots[i];
        if (s->run != NULL && again)
            job_run_kill(s->run);
        else if (s->run != NULL)
            job_run_stop(s->run);
    }
    if (l->outbox.sender != NULL)
        job_run_stop(l->outbox.sender);
}

static void reread(struct loop *l)
{
    notify_reloading(l->notifier);
    loop_say(LOG_LEVEL_INFO, "reading '%s' again, as asked", l->options.jobs_file);
    loop_file_read(l, true, NULL);
    notify_ready(l->notifier);
}

static void take_signals(struct loop *l)
{
    struct signalfd_siginfo info;
    while (read(l->options.signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGTERM)
            stop(l, "SIGTERM");
        else if (info.ssi_signo == SIGINT)
            stop(l, "SIGINT");
        else if (info.ssi_signo == SIGHUP && info.ssi_code <= 0) /* a process sent it */
            reread(l);
        else if (info.ssi_signo == SIGHUP && !l->options.ignore_hangup)
            stop(l, "the terminal is gone");
    }
}

/* --- telling that we live --- */

/* Somebody removed the state directory, or what is in it: whoever comes must still find that we are here. */
static void keep_place(struct loop *l)
{
    struct err err = {0};
    if (l->options.lock == NULL || l->stopping)
        return;
    if (daemon_lock_keep(l->options.lock, l->options.state_dir, &err) == 0) {
        loop_said_well(&l->lock_said);
        loop_control_keep(l);
        return;
    }
    loop_say_trouble(&l->lock_said, LOG_LEVEL_ERROR, err.message);
    if (err.code == ERR_LOCKED)
        stop(l, "another daemon has this state directory now");
}

static void beat(struct loop *l, bool stopped)
{
    struct err err = {0};
    keep_place(l);
    struct scheduler_time now = loop_time();
    int64_t wait_ms = scheduler_wait_ms(l->scheduler, now);
    struct heartbeat h = {.pid = getpid(),
                          .started_ms = l->started_ms,
                          .tick_ms = now.wall_ms,
                          .stopped_ms = stopped ? now.wall_ms : 0,
                          .next_ms = wait_ms == INT64_MAX ? 0 : now.wall_ms + wait_ms,
                          .jobs = l->file.jobs.count,
                          .running = l->running,
                          .mistakes = l->file.report.count,
                          .jobs_file = l->options.jobs_file};
    if (heartbeat_write(l->options.state_dir, &h, &err) == 0)
        loop_said_well(&l->heartbeat_said);
    else
        loop_say_trouble(&l->heartbeat_said, LOG_LEVEL_WARNING, err.message);
    l->beat_now = false;
    l->beat_ns = loop_in_ms(HEARTBEAT_EVERY_MS);
}

static void tell_status(struct loop *l)
{
    char text[160], when[32];
    struct scheduler_time now = loop_time();
    int64_t wait_ms = l->stopping ? INT64_MAX : scheduler_wait_ms(l->scheduler, now);
    bool none = wait_ms == INT64_MAX;
    snprintf(text, sizeof text, "%s%zu jobs, %zu running%s%s", l->stopping ? "stopping: " : "", l->file.jobs.count,
             l->running, none ? "" : ", next at ", none ? "" : loop_time_text(now.wall_ms + wait_ms, when));
    notify_status(l->notifier, text);
    l->status_ns = UINT64_MAX;
}

static void tell(struct loop *l)
{
    uint64_t now = os_monotonic_ns(), every_ms = notify_alive_every_ms(l->notifier);
    if (now >= l->alive_ns) {
        notify_alive(l->notifier);
        l->alive_ns = every_ms > 0 ? loop_in_ms(every_ms) : UINT64_MAX;
    }
    if (l->beat_now || now >= l->beat_ns)
        beat(l, false);
    if (now >= l->status_ns)
        tell_status(l);
}

/* --- waiting --- */

static void wait_for_something(struct loop *l)
{
    struct pollfd fds[LOOP_POLL_MAX] = {{.fd = l->timer_fd, .events = POLLIN},
                                        {.fd = l->clock_fd, .events = POLLIN},
                                        {.fd = l->options.signal_fd, .events = POLLIN},
                                        {.fd = l->file.inotify_fd, .events = POLLIN}};
    size_t count = 4;
    count += loop_control_fds(l, fds + count);
    count += loop_outbox_fds(l, fds + count);
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++) {
        if (l->slots[i].run == NULL)
            continue;
        job_run_fds(l->slots[i].run, fds + count);
        count += JOB_RUN_FDS;
    }
    uint64_t now = os_monotonic_ns(), next = next_wake_ns(l);
    uint64_t wait_ns = next > now ? least(next - now, POLL_MAX_MS * UINT64_C(1000000)) : 0;
    if (wait_ns > 0)
        set_timer(l, wait_ns);
    (void)poll(fds, count, wait_ns > 0 ? POLL_MAX_MS : 0);
    uint64_t ticks;
    (void)!read(l->timer_fd, &ticks, sizeof ticks);
}

static void status_soon(struct loop *l)
{
    if (l->status_ns == UINT64_MAX)
        l->status_ns = loop_in_ms(SECOND_MS);
}

/* One turn: everybody looks whether there is something for him. */
static void turn(struct loop *l)
{
    size_t running = l->running;
    take_signals(l);
    clock_was_set(l);
    loop_file_event(l);
    loop_file_tick(l);
    loop_control_pump(l);
    loop_pump_jobs(l);
    loop_start_due(l);
    loop_outbox_tick(l);
    if (os_monotonic_ns() >= l->waiting_ns)
        loop_records_retry(l);
    loop_state_tick(l, false);
    if (l->running != running)
        status_soon(l);
    tell(l);
    l->before = loop_time();
}

static bool is_over(const struct loop *l)
{
    if (!l->stopping)
        return false;
    return (l->running == 0 && l->outbox.sender == NULL) || os_monotonic_ns() >= l->stop_end_ns;
}

/* A job that hangs in the kernel ends with the machine; the next daemon finds its start without an end. */
static void give_up_on_jobs(struct loop *l)
{
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++)
        if (l->slots[i].taken)
            loop_say(LOG_LEVEL_ERROR, "job '%s' cannot be stopped and is left to itself", l->slots[i].job.id);
}

void loop_run(struct loop *l)
{
    notify_ready(l->notifier);
    tell_status(l);
    for (turn(l); !is_over(l); turn(l))
        wait_for_something(l);
    give_up_on_jobs(l);
    loop_control_close(l);
    loop_records_retry(l);
    loop_state_tick(l, true);
    l->memory_again_ns = 0;
    loop_save_memory(l);
    beat(l, true);
    loop_say(LOG_LEVEL_INFO, "stopped");
}

/* --- making --- */

static void open_memory(struct loop *l)
{
    struct memory_list memory = {0};
    struct err err = {0};
    if (memory_open(l->options.state_dir, &l->memory, &memory, &err) != 0)
        loop_say(LOG_LEVEL_ERROR, "%s; what is due is worked out from jobs.json alone", err.message);
    else if (memory.damaged > 0)
        loop_say(LOG_LEVEL_WARNING, "%zu lines of what is remembered of jobs are damaged", memory.damaged);
    loop_resume(l, &memory);
    memory_list_release(&memory);
}

int loop_new(struct loop **out, const struct loop_options *o, struct err *err)
{
    struct loop *l = mem_zalloc(sizeof *l);
    *out = NULL;
    l->options = *o;
    l->timer_fd = l->clock_fd = l->listen_fd = l->file.inotify_fd = -1;
    l->waiting_ns = l->changes.due_ns = l->status_ns = UINT64_MAX;
    loop_outbox_open(l);
    l->before = loop_time();
    l->started_ms = l->before.wall_ms;
    l->notifier = notify_open();
    l->alive_ns = notify_alive_every_ms(l->notifier) > 0 ? 0 : UINT64_MAX;
    if (make_timers(l, err) != 0 || loop_control_open(l, err) != 0) {
        loop_free(l);
        return -1;
    }
    loop_say(LOG_LEVEL_INFO, "clawback " CLAWBACK_VERSION " started, process %ld, jobs from '%s'", (long)getpid(),
             o->jobs_file);
    loop_file_open(l);
    loop_file_read(l, true, NULL);
    l->scheduler = scheduler_new();
    open_memory(l);
    *out = l;
    return 0;
}

void loop_free(struct loop *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < LOOP_JOBS_AT_ONCE; i++)
        if (l->slots[i].taken)
            loop_slot_release(l, &l->slots[i]);
    loop_outbox_close(l);
    loop_control_close(l);
    loop_file_close(l);
    loop_state_release(l);
    loop_records_release(l);
    memory_close(l->memory);
    scheduler_free(l->scheduler);
    loop_said_well(&l->memory_said);
    loop_said_well(&l->heartbeat_said);
    loop_said_well(&l->lock_said);
    notify_close(l->notifier);
    if (l->timer_fd >= 0)
        close(l->timer_fd);
    if (l->clock_fd >= 0)
        close(l->clock_fd);
    free(l);
}
