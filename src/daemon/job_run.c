/*
 * Invariants:
 * - the child is reaped in one place, look_for_end(), after which `pid` itself is not signalled any more. Its group is,
 *   but only while it has members (kill(-pid, 0)): as long as it has, its number belongs to nobody else;
 * - gate_fd is open until job_run_go(): the child waits for a byte or the end of that pipe;
 * - out_fd, err_fd, report_fd are -1 once they are at their end.
 *
 * fork() and not posix_spawn(), which cannot wait at a gate. Between fork and exec only system calls are made.
 */
#include "daemon/job_run.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "daemon/job_run_child.h"
#include "os/clock.h"
#include "os/file.h"

enum {
    GROUP_LOOK_MS = 100, /* how often we look whether a group that is being stopped is gone */
    ADOPTED_LOOK_MS = 500,
    SILENT_LOOK_MS = 1000,
    KILLED_WAIT_MS = 5000, /* how long a killed group may take until we stop waiting for it */
    ENVIRON_MAX_BYTES = 4 << 20,
    READ_MAX_BYTES = 256 << 10, /* in one go: others want their turn, too */
};

enum phase { AT_GATE, RUNNING, TERMINATED, KILLED, ENDED };

struct job_run {
    enum phase phase;
    pid_t pid;
    bool reaped, adopted;
    char run_id[32]; /* adopted */
    char *name;
    int gate_fd, out_fd, err_fd, report_fd;
    int status; /* wait status, once reaped */
    uint64_t timeout_ms, grace_ms, began_ns,
        next_ns; /* next_ns: when the phase asks for something; UINT64_MAX: never */
    struct job_words out, err;
    struct job_end end;
};

static uint64_t in_ms(uint64_t ms)
{
    uint64_t now = os_monotonic_ns();
    return ms > (UINT64_MAX - now) / 1000000 ? UINT64_MAX : now + ms * 1000000;
}

/* --- starting --- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static struct job_run *run_new(const char *name, uint64_t timeout_ms, uint64_t grace_ms)
{
    struct job_run *r = mem_zalloc(sizeof *r);
    r->name = mem_strdup(name);
    r->gate_fd = r->out_fd = r->err_fd = r->report_fd = -1;
    r->timeout_ms = timeout_ms;
    r->grace_ms = grace_ms;
    r->next_ns = UINT64_MAX;
    return r;
}

int job_run_prepare(struct job_run **out, const struct job_run_options *o, struct err *err)
{
    assert(o->argv != NULL && o->argv[0] != NULL);
    struct job_child child;
    *out = NULL;
    if (job_child_fork(&child, o, err) != 0)
        return err_wrap(err, "cannot start '%s'", o->argv[0]);
    struct job_run *r = run_new(o->argv[0], o->timeout_ms, o->grace_ms);
    r->pid = child.pid;
    r->gate_fd = child.gate_fd;
    r->out_fd = child.out_fd;
    r->err_fd = child.err_fd;
    r->report_fd = child.report_fd;
    r->began_ns = os_monotonic_ns();
    *out = r;
    return 0;
}

static void begin(struct job_run *r)
{
    r->phase = RUNNING;
    r->began_ns = os_monotonic_ns();
    r->next_ns = r->timeout_ms > 0 ? in_ms(r->timeout_ms) : UINT64_MAX;
}

void job_run_go(struct job_run *r)
{
    assert(r->phase == AT_GATE);
    /* A child that is gone already shows in its end. */
    (void)!write(r->gate_fd, "", 1);
    close_fd(&r->gate_fd);
    begin(r);
}

pid_t job_run_pid(const struct job_run *r)
{
    return r->pid;
}

bool job_run_is(pid_t pid, const char *run_id)
{
    struct buf text;
    char *path = mem_printf("/proc/%ld/environ", (long)pid), *wanted = mem_printf("CLAWBACK_RUN_ID=%s", run_id);
    buf_init(&text, ENVIRON_MAX_BYTES);
    bool found = false;
    if (pid > 0 && os_read_file(path, &text, NULL) == 0) {
        const char *p = buf_cstr(&text), *end = p + text.len;
        for (; p < end && !found; p += strlen(p) + 1)
            found = strcmp(p, wanted) == 0;
    }
    buf_release(&text);
    free(path);
    free(wanted);
    return found;
}

struct job_run *job_run_adopt(pid_t pid, const char *run_id, uint64_t timeout_ms, uint64_t grace_ms)
{
    if (!job_run_is(pid, run_id))
        return NULL;
    struct job_run *r = run_new(run_id, timeout_ms, grace_ms);
    r->adopted = true;
    r->pid = pid;
    snprintf(r->run_id, sizeof r->run_id, "%s", run_id);
    begin(r);
    return r;
}

/* --- watching --- */

void job_run_fds(const struct job_run *r, struct pollfd out[JOB_RUN_FDS])
{
    bool open = r->phase == RUNNING || r->phase == TERMINATED || r->phase == KILLED;
    out[0] = (struct pollfd){.fd = open ? r->out_fd : -1, .events = POLLIN};
    out[1] = (struct pollfd){.fd = open ? r->err_fd : -1, .events = POLLIN};
}

uint64_t job_run_wake_ns(const struct job_run *r)
{
    if (r->phase == AT_GATE || r->phase == ENDED)
        return UINT64_MAX;
    uint64_t look = UINT64_MAX;
    if (r->adopted)
        look = in_ms(ADOPTED_LOOK_MS);
    else if (r->reaped) /* it is gone, others of its group are not */
        look = in_ms(GROUP_LOOK_MS);
    else if (r->out_fd < 0 && r->err_fd < 0) /* most likely it is at its end; should SIGCHLD ever get lost */
        look = in_ms(SILENT_LOOK_MS);
    return look < r->next_ns ? look : r->next_ns;
}

static void listen_to(int *fd, struct job_words *words)
{
    char text[4096];
    for (size_t done = 0; *fd >= 0 && done < READ_MAX_BYTES;) {
        ssize_t n = read(*fd, text, sizeof text);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close_fd(fd);
            return;
        }
        job_words_add(words, text, (size_t)n);
        done += (size_t)n;
    }
}

/* Takes the exit status when there is one. */
static void look_for_end(struct job_run *r)
{
    if (r->reaped)
        return;
    if (r->adopted) {
        r->reaped = !job_run_is(r->pid, r->run_id);
        return;
    }
    pid_t found;
    do
        found = waitpid(r->pid, &r->status, WNOHANG);
    while (found < 0 && errno == EINTR);
    if (found == 0)
        return;
    r->reaped = true;
    r->end.lost = found < 0;
}

static bool group_lives(const struct job_run *r)
{
    return kill(-r->pid, 0) == 0 || errno == EPERM;
}

/* What kept it from becoming the program. */
static void read_report(struct job_run *r)
{
    struct job_child_report report;
    r->end.not_started = r->report_fd >= 0 && os_read_full(r->report_fd, &report, sizeof report) == sizeof report;
    close_fd(&r->report_fd);
    if (r->end.not_started)
        job_child_explain(&report, r->name, &r->end.start_error);
}

static void finish(struct job_run *r)
{
    listen_to(&r->out_fd, &r->out);
    listen_to(&r->err_fd, &r->err);
    close_fd(&r->out_fd);
    close_fd(&r->err_fd);
    r->end.lost = r->end.lost || r->adopted;
    if (!r->reaped || r->end.lost) {
        r->end.lost = true;
        r->end.exit_code = -1;
    } else if (WIFSIGNALED(r->status)) {
        r->end.signal = WTERMSIG(r->status);
        r->end.exit_code = 128 + r->end.signal;
    } else {
        r->end.exit_code = WEXITSTATUS(r->status);
    }
    read_report(r);
    r->end.duration_ms = (os_monotonic_ns() - r->began_ns) / 1000000;
    r->phase = ENDED;
}

/* It has been told to end. Its group is gone, or its time for that is over. */
static void go_on_stopping(struct job_run *r)
{
    if (r->reaped && !group_lives(r)) {
        finish(r);
    } else if (os_monotonic_ns() >= r->next_ns) {
        if (r->phase == TERMINATED)
            job_run_kill(r);
        else
            finish(r); /* it hangs in the kernel: nothing can be done about that */
    }
}

bool job_run_pump(struct job_run *r)
{
    if (r->phase == AT_GATE || r->phase == ENDED)
        return r->phase == ENDED;
    listen_to(&r->out_fd, &r->out);
    listen_to(&r->err_fd, &r->err);
    look_for_end(r);
    if (r->phase != RUNNING) {
        go_on_stopping(r);
    } else if (r->reaped) {
        finish(r);
    } else if (os_monotonic_ns() >= r->next_ns) {
        r->end.timed_out = true;
        job_run_stop(r);
    }
    return r->phase == ENDED;
}

/* --- ending --- */

static void signal_group(const struct job_run *r, int number)
{
    /* An adopted one may be gone, and its number somebody else's: looked at again just before. */
    if (r->adopted && !job_run_is(r->pid, r->run_id))
        return;
    (void)kill(-r->pid, number);
}

void job_run_stop(struct job_run *r)
{
    if (r->phase != RUNNING && r->phase != AT_GATE)
        return;
    if (!r->end.timed_out)
        r->end.stopped = true;
    close_fd(&r->gate_fd);
    signal_group(r, SIGTERM);
    r->phase = TERMINATED;
    r->next_ns = in_ms(r->grace_ms);
}

void job_run_kill(struct job_run *r)
{
    if (r->phase == ENDED || r->phase == KILLED)
        return;
    if (!r->end.timed_out)
        r->end.stopped = true;
    close_fd(&r->gate_fd);
    signal_group(r, SIGKILL);
    r->phase = KILLED;
    r->next_ns = in_ms(KILLED_WAIT_MS);
}

const struct job_end *job_run_end(const struct job_run *r)
{
    assert(r->phase == ENDED);
    return &r->end;
}

const struct job_words *job_run_stdout(const struct job_run *r)
{
    return &r->out;
}

const struct job_words *job_run_stderr(const struct job_run *r)
{
    return &r->err;
}

void job_run_free(struct job_run *r)
{
    if (r == NULL)
        return;
    if (r->phase != ENDED && !r->adopted) {
        job_run_kill(r);
        while (!r->reaped && waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
            ;
    }
    close_fd(&r->gate_fd);
    close_fd(&r->out_fd);
    close_fd(&r->err_fd);
    close_fd(&r->report_fd);
    free(r->name);
    free(r);
}
