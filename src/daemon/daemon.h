/*
 * The daemon: `clawback daemon`. Runs the jobs of jobs.json in time until it is told to stop: SIGTERM, SIGINT, or the
 * terminal's SIGHUP. SIGHUP from a process: reads jobs.json again. What it does in detail: daemon/loop.h.
 *
 * Takes the signals of the process over; call it once, before any thread is started.
 */
#pragma once
#include <stdint.h>
#include "base/err.h"

struct daemon_options {
    const char *state_dir;
    const char *jobs_file;         /* NULL: jobs_file_default() */
    const char *const *flush_argv; /* sends what waits in the outbox: {"/usr/bin/clawback", "alerts", "flush", NULL};
                                    * NULL: not done here */
    const char *const *judge_argv; /* finds out what to tell, and tells it, when a job has failed for good:
                                    * {"/usr/bin/clawback", "health", …}; NULL: not done here */
    uint64_t grace_ms;             /* how long a job gets after SIGTERM before SIGKILL; 0: 20 s */
};

/* Returns 0 when it was stopped as asked. ERR_LOCKED: another one runs on this state directory. */
int daemon_run(const struct daemon_options *o, struct err *err);
