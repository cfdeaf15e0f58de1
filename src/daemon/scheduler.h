/*
 * Which job runs when: a state machine without clock, threads or files of its own (time zones are read by plan/), so
 * that a year of it can be simulated. The daemon's loop (daemon/loop.c) tells it the time and what ended; it says what
 * to start and when to look again.
 *
 * Two clocks: wall time (Unix ms), which may jump, for cron and `at` and for anchored intervals; and a monotonic one
 * that goes on during suspend (CLOCK_BOOTTIME, ms) for the other intervals and for retries.
 *
 * A due time is started once, or reported as missed once: when the job still runs, may not be caught up, or when
 * several due times passed while nobody looked (one run, of the last of them, makes up for all; the others are missed).
 *
 *   - every, with an anchor: at anchor + n × interval.
 *   - every, else: an interval after it was put in, then an interval after the last time it was due (after its start,
 *     when that was more than 30 s late). There is one such time only, however long nobody looks.
 *   - cron: as schedule_next() says.
 *   - at: once, ever; when it passed while nobody was there it is made up for. One that was past already when it was
 *     put in, changed or enabled is reported as missed; but when updatedAtMs, or createdAtMs, says that it was put in
 *     before its time, it counts as seen since then.
 *
 * A job counts from the moment it is first seen, is enabled again, or asks for other times than before. A disabled one
 * has no due times. One that is removed and put back counts from then, but what was handled is not due again.
 *
 * A wall clock that jumps ahead makes what it skipped due (once). One that jumps back does not make a time due twice,
 * up to three hours: what lies further ahead than that was handled by a clock that was wrong, and would keep the job
 * from running for as long; it is forgotten, but for `at`, which is never due twice. Before 2020 the clock is not set:
 * nothing that depends on it is due, and jobs that were not seen before count from when it is.
 *
 * Retries: after a run that failed, after retry.after_ms, twice that, …, at most an hour; the next due time, an asked
 * or a chained run replaces one that is still to come. Followers start when a run succeeded, or failed for good (no
 * retry follows). A follower that runs already or is disabled is reported as missed; a chain ends after 16.
 * What is asked for and chained, retries, and what runs survive a restart; a run that was interrupted by one has
 * failed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "daemon/job.h"

struct scheduler_time {
    int64_t wall_ms;
    int64_t boot_ms;
};

enum scheduler_reason { RUN_DUE, RUN_CAUGHT_UP, RUN_RETRY, RUN_CHAINED, RUN_ASKED };

/* What to start now. */
struct scheduler_start {
    const struct job *job; /* the scheduler's copy: good until the next call of scheduler_* */
    enum scheduler_reason reason;
    int64_t due_ms;         /* the wall time that it was due, without jitter; RETRY: that of the first attempt */
    unsigned attempt;       /* 1, …; RETRY: 2 and more */
    int64_t retry_after_ms; /* should it fail, it is tried again so long after its end; 0: it is not */
};
struct scheduler_missed {
    char id[JOB_ID_MAX_BYTES + 1];
    int64_t first_ms, last_ms; /* due times, wall */
    uint64_t count;
    const char *why; /* "it still ran", "the daemon was not running then" …: a literal */
};

struct scheduler;
struct scheduler *scheduler_new(void);
void scheduler_free(struct scheduler *s); /* NULL is nothing */

/* What is remembered of a job from earlier processes: the state that is persisted (daemon/memory.h). */
struct scheduler_memory {
    char *id;
    uint64_t schedule;     /* a fingerprint of what handled_ms and first_seen_ms belong to; 0: it is gone */
    int64_t handled_ms;    /* due times up to here are dealt with (started or reported missed); `at`: that one; 0: none
                            * yet. Intervals without anchor: where the current one began */
    int64_t first_seen_ms; /* when the job was first there: nothing before it was due; 0: the clock is not set */
    int64_t last_run_ms;   /* start of the last run, whatever its reason */
    int64_t due_ms;        /* what that run was for */
    int64_t retry_ms;      /* wall time of a retry that is still to come; 0: none */
    unsigned attempt;      /* of the last run */
    int64_t asked_ms;      /* since when a run is asked for, or chained, that did not start yet; 0: none */
    unsigned depth;        /* how many runs are chained before that one, or before the one that runs; 0: none */
    bool running;          /* it was running when this was written */
    bool adopted;          /* given by the caller, never persisted: that run goes on, scheduler_ended() will tell. A
                            * caller that knows of the run alone leaves schedule and first_seen_ms 0 */
};
/* Replaces the set of jobs (of two with one ID the first counts); a running one that is gone runs on. `memory`: for
 * jobs that it does not know yet (count may be 0): what memory_open() read, at the first call; entries of jobs that are
 * not in the list are kept in mind as well. A job whose memory says `running` was interrupted: the caller writes that
 * into its run log; the retry or the followers are put down here. Without memory the job's own state counts
 * (last_run_ms). */
void scheduler_set_jobs(struct scheduler *s, const struct job_list *jobs, const struct scheduler_memory *memory,
                        size_t memory_count, struct scheduler_time now);

/* The next to be started, marked as running; false: nothing now. Call until false, or until no more may run at once:
 * what is not taken stays due. Missed times come through scheduler_next_missed(). Persist (memory_save()) between the
 * last of these calls and the first start, then no time is ever started twice. */
bool scheduler_next_start(struct scheduler *s, struct scheduler_time now, struct scheduler_start *out);
bool scheduler_next_missed(struct scheduler *s, struct scheduler_missed *out);
/* A run ended: its followers become due, or its retry is put down. retry: trying again may help. Returns the wall time
 * of the retry, 0: none. */
int64_t scheduler_ended(struct scheduler *s, const char *id, enum job_status status, bool retry,
                        struct scheduler_time now);
/* Somebody asks for it, now (`schedule run-now`), enabled or not. False: no such job, or it runs. */
bool scheduler_ask(struct scheduler *s, const char *id, struct scheduler_time now);

/* When to look again, as a distance in ms from `now` on both clocks: the nearest of both, 0: now; INT64_MAX: when
 * something changes. The wall clock may be set meanwhile: wait with TFD_TIMER_CANCEL_ON_SET, or a minute at most. */
int64_t scheduler_wait_ms(struct scheduler *s, struct scheduler_time now);
/* When a job starts next (wall, with its jitter; or its retry, when that comes first), 0: not by itself. */
int64_t scheduler_next_due_ms(struct scheduler *s, const char *id, struct scheduler_time now);
/* The job as it is in the set. NULL: none. */
const struct job *scheduler_job(const struct scheduler *s, const char *id);
/* For persisting and for looking at; valid until the next call. The IDs are the scheduler's. */
const struct scheduler_memory *scheduler_memory_of(struct scheduler *s, const char *id);
size_t scheduler_each_memory(struct scheduler *s, const struct scheduler_memory **out);
/* Only those that changed since this was called last. */
size_t scheduler_changed_memory(struct scheduler *s, const struct scheduler_memory **out);
