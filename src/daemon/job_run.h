/*
 * One process of a job: started behind a gate, watched without blocking, stopped in bounded time. Made for a loop that
 * waits with poll() and gets SIGCHLD: nothing here waits. Knows nothing of jobs, records or logs. One thread.
 *
 *     prepare → (write down that it starts) → go → pump … until it has ended → free
 *
 * The gate: job_run_prepare() makes the process, whose number is known then, but not one instruction of the program is
 * run before job_run_go(). Should we be killed in between, the process sees that and ends. So a run whose start was not
 * written down has not taken place.
 *
 * It leads a process group of its own, has a lowered priority (os/priority.h), /dev/null or the given text as its
 * standard input, our environment without what is only meant for us ($NOTIFY_SOCKET and the like), and none of our
 * descriptors. Of what it writes the end is kept. When it has ended, processes that it left behind in the background
 * are let be, unless it had to be stopped: then the whole group is gone afterwards.
 */
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "daemon/job_run_words.h"

struct job_run_options {
    char *const *argv;              /* NULL-terminated; argv[0] is looked up in PATH unless it has a slash */
    const char *const *environment; /* "NAME=value", added to ours or instead of it; NULL-terminated; NULL: none */
    const char *directory;          /* NULL: / */
    const char *input;              /* its standard input; NULL: none */
    uint64_t timeout_ms;            /* from job_run_go() on; 0: none */
    uint64_t grace_ms;              /* between SIGTERM and SIGKILL */
};

struct job_run;

/* Errors: no more processes or descriptors. That the program cannot be run shows only in its end. */
int job_run_prepare(struct job_run **out, const struct job_run_options *o, struct err *err);
void job_run_go(struct job_run *r);
pid_t job_run_pid(const struct job_run *r);

/* A process of an earlier daemon's that is still there, known by its CLAWBACK_RUN_ID. It can be watched and stopped,
 * but its exit status and its words are lost. NULL: it is not there any more. */
struct job_run *job_run_adopt(pid_t pid, const char *run_id, uint64_t timeout_ms, uint64_t grace_ms);

enum { JOB_RUN_FDS = 2 };
/* What to poll() for it: JOB_RUN_FDS entries, -1 where there is nothing to wait for. */
void job_run_fds(const struct job_run *r, struct pollfd out[JOB_RUN_FDS]);
/* When to call job_run_pump() at the latest (os_monotonic_ns); UINT64_MAX: when SIGCHLD comes or a descriptor is ready.
 */
uint64_t job_run_wake_ns(const struct job_run *r);
/* Reads what it says, does what its time asks for. True when it has ended; further calls change nothing. */
bool job_run_pump(struct job_run *r);

/* Asks it to end: SIGTERM to the group, SIGKILL after the grace. */
void job_run_stop(struct job_run *r);
/* SIGKILL to the group, now. */
void job_run_kill(struct job_run *r);

struct job_end {
    int exit_code;    /* as a shell would say it: 128 + n after signal n; 127, 126 when it could not be run; -1: lost */
    int signal;       /* that ended it; 0: it ended by itself */
    bool timed_out;   /* we stopped it, since its time was over */
    bool stopped;     /* we stopped it, as we were told */
    bool not_started; /* it could not be run: start_error says why */
    bool lost;        /* adopted: nobody knows how it ended */
    struct err start_error;
    uint64_t duration_ms;
};
/* Only when it has ended. */
const struct job_end *job_run_end(const struct job_run *r);
const struct job_words *job_run_stdout(const struct job_run *r);
const struct job_words *job_run_stderr(const struct job_run *r);

/* Kills what still runs. NULL is nothing. */
void job_run_free(struct job_run *r);

/* Does this process belong to that run (by its environment)? */
bool job_run_is(pid_t pid, const char *run_id);
