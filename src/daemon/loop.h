/*
 * The daemon's loop: one thread that waits, in poll(), for the next time something is due, a signal, a change of
 * jobs.json, a request on the socket, and what the running jobs say and how they end.
 *
 * What is promised of a due time: it is started once, or reported once as missed, whenever we are killed. The order
 * that brings this about:
 *
 *     1. the scheduler says what is due, and what was missed
 *     2. what was missed is written to the run logs
 *     3. the scheduler's memory is saved: these times are dealt with from now on, these jobs run
 *     4. each job's process is made, behind its gate (job_run.h)
 *     5. its "started" line is written, with the run's ID and the process's number
 *     6. the gate is opened
 *     7. when it has ended: its last line is written
 *     8. the memory is saved
 *
 * Killed after 2: missed times may be reported twice. After 3 or 4: the memory says that it runs, the log knows nothing
 * of it: nothing was run, and it is started at the next start of the daemon. After 5 or 6: the log has a start without
 * an end. If the process still lives it is watched to its end; if not, the end is what the tiers' own records say, or
 * "failed", interrupted. After 7: the log says how it ended, and the memory is told at the next start. loop_resume.c.
 *
 * Where the memory or the log cannot be written (a full disk) jobs run all the same: lines wait in memory until there
 * is room, and it is said once. Only a kill in that time can lose them.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct daemon_lock;
struct loop_options {
    const char *state_dir, *jobs_file;
    const char *const *flush_argv; /* NULL: nothing is sent from here */
    const char *const *judge_argv; /* is started when a job has failed for good; NULL: nothing is */
    uint64_t grace_ms;
    struct daemon_lock *lock; /* NULL: somebody else sees to it */
    int signal_fd;            /* a signalfd of SIGTERM, SIGINT, SIGHUP, SIGCHLD, which are blocked */
    bool ignore_hangup;       /* the terminal's SIGHUP is none of ours (nohup) */
};

struct loop;
/* Reads jobs.json and the memory, deals with what an earlier daemon left behind. Broken or missing files are reported
 * and no errors; the socket that cannot be made is. */
int loop_new(struct loop **out, const struct loop_options *o, struct err *err);
/* Until it is told to stop; then all jobs have ended and everything is written. */
void loop_run(struct loop *l);
void loop_free(struct loop *l); /* NULL is nothing */
