/* What the files of the loop share. For loop*.c only. */
#pragma once
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "daemon/job.h"
#include "daemon/job_run.h"
#include "daemon/jobs_file.h"
#include "daemon/loop.h"
#include "daemon/memory.h"
#include "daemon/notify.h"
#include "daemon/scheduler.h"
#include "monitor/log.h"
#include "monitor/record.h"

enum {
    LOOP_JOBS_AT_ONCE = 16,
    LOOP_CLIENTS = 8,
    LOOP_RUN_ID_BYTES = 17,
    LOOP_RECORDS_WAITING_MAX = 2000,
    LOOP_POLL_MAX = 8 + LOOP_CLIENTS + (LOOP_JOBS_AT_ONCE + 1) * JOB_RUN_FDS,
};

/* --- a run --- */

struct slot {
    bool taken, fresh;   /* fresh: the scheduler says that it runs, but nothing was done yet */
    struct job_run *run; /* NULL: nothing runs (yet) */
    struct job job;      /* as it was when it began */
    char run_id[LOOP_RUN_ID_BYTES];
    enum scheduler_reason reason;
    int64_t due_ms, began_ms; /* wall */
    unsigned attempt;
    int64_t retry_after_ms; /* should it fail; 0: it is not tried again */
    bool left_over;         /* an earlier daemon started it */
};

/* --- a conversation --- */

struct client {
    int fd; /* -1: the place is free */
    struct buf in, out;
    size_t sent;
    bool answering;
    uint64_t end_ns;
};

/* A thing that goes wrong again and again is said once, until it went well again. */
struct said {
    char *text; /* NULL: all is well */
};

struct records_waiting {
    struct record *items; /* oldest first */
    size_t count;
    uint64_t lost;
    struct said said;
};

/* --- jobs.json --- */

struct jobs_watch {
    struct job_list jobs; /* the last good set, with its state as we know it */
    struct jobs_report report;
    struct stat seen; /* of the file that was read last; st_ino 0: none */
    bool there;
    bool doubted;   /* it was broken at the last look, which was not said yet */
    int inotify_fd; /* -1 where there is none */
    int watch;      /* of the directory; -1: not watched now */
    char *dir, *name;
    uint64_t reread_ns, look_ns; /* when to read it again because of a change, to look whether there is one */
    struct said file_said;
    char *mistakes_said; /* the mistakes that were said last, without line numbers */
};

/* State members of jobs.json that are not written yet. */
struct state_change {
    char *id;
    bool disable;
    int64_t last_run_ms;
    enum job_status status;
    uint64_t duration_ms;
};
struct state_changes {
    struct state_change *items;
    size_t count;
    uint64_t due_ns;        /* when to write them; UINT64_MAX: there are none */
    uint64_t not_before_ns; /* the last time took long */
    struct said said;
};

/* --- the outbox --- */

struct outbox_watch {
    uint64_t look_ns;
    struct outbox_look *look; /* a thread that looks; NULL: none */
    struct job_run *sender;   /* the process that sends what waits, or that judges first; NULL: none */
    bool judges;              /* it is the latter */
    uint64_t failed_ns;       /* a job failed for good: when to have that judged; UINT64_MAX: none did */
    uint64_t promise_ns;      /* the same, should another attempt not have come until then */
    uint64_t judge_after_ns;  /* not before: jobs that fail every second are judged once a minute */
    struct said flush_said, judge_said;
};

/* --- all of it --- */

struct loop {
    struct loop_options options;
    struct scheduler *scheduler;
    struct memory_file *memory;
    struct said memory_said, heartbeat_said, lock_said;
    struct slot slots[LOOP_JOBS_AT_ONCE];
    size_t running;
    struct records_waiting waiting;
    uint64_t waiting_ns; /* when to try again to write them */
    struct jobs_watch file;
    struct state_changes changes;
    struct outbox_watch outbox;
    struct notifier *notifier;
    struct client clients[LOOP_CLIENTS];
    uint64_t deaf_until_ns; /* nobody can be let in before */
    struct stat listens_at; /* the socket's name */
    int listen_fd, timer_fd, clock_fd;
    int64_t started_ms;
    uint64_t alive_ns, beat_ns, status_ns; /* when to tell the service manager, daemon.json, `systemctl status` */
    bool stopping, beat_now;
    uint64_t memory_again_ns; /* it could not be written: not before; 0: it could */
    unsigned stop_signals;
    uint64_t stop_end_ns;         /* stopping: when to give up */
    struct scheduler_time before; /* the clocks at the last look */
};

/* Time: both clocks; a moment so far away as a distance. */
struct scheduler_time loop_time(void);
uint64_t loop_in_ms(uint64_t ms);
uint64_t loop_since_ms(int64_t wall_ms); /* 0: that is still to come */
/* "2026-02-04T06:00:00Z" */
const char *loop_time_text(int64_t wall_ms, char out[32]);
struct timespec loop_timespec(int64_t wall_ms);

/* loop_say.c: a line for the log, and one on standard error (with its priority for the journal). */
void loop_say(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Once, until the text changes or loop_said_well(). */
void loop_say_once(struct said *s, enum log_level level, const char *text);
/* Once, until loop_said_well(): whatever the words, it is the same trouble. */
void loop_say_trouble(struct said *s, enum log_level level, const char *text);
/* True when something had been said. */
bool loop_said_well(struct said *s);

/* loop_records.c: writes it, or keeps it until that is possible. Takes what is in the record; *r is zeroed. */
void loop_record(struct loop *l, struct record *r);
void loop_records_retry(struct loop *l);
void loop_records_release(struct loop *l);
/* A line for a job, zeroed but for what each has. */
struct record loop_record_new(enum record_status status, const char *job, const char *run_id, int64_t wall_ms);

/* loop_jobs.c */
/* Starts what is due and may be started, reports what was missed. */
void loop_start_due(struct loop *l);
/* Reads from running jobs and deals with those that have ended. */
void loop_pump_jobs(struct loop *l);
/* Cheap when nothing changed. */
void loop_save_memory(struct loop *l);
struct slot *loop_free_slot(struct loop *l);
const struct slot *loop_slot_of(const struct loop *l, const char *id); /* NULL: it does not run */
void loop_slot_release(struct loop *l, struct slot *s);

/* loop_end.c: the run in the slot has ended: record, scheduler, state; frees the slot. */
void loop_run_ended(struct loop *l, struct slot *s);
/* The same of one that could not be started, and of one that has nothing to run but a text. */
void loop_run_failed(struct loop *l, struct slot *s, const struct err *err);
void loop_run_noted(struct loop *l, struct slot *s);

/* loop_resume.c: the scheduler gets its first jobs and the memory, corrected by what an earlier daemon left behind;
 * runs that still go on are watched. */
void loop_resume(struct loop *l, struct memory_list *memory);

/* loop_file.c */
void loop_file_open(struct loop *l);
void loop_file_close(struct loop *l);
/* Reads the file when it changed (or in any case); 0: the jobs are what the file says. */
int loop_file_read(struct loop *l, bool in_any_case, struct err *err);
void loop_file_event(struct loop *l);
void loop_file_tick(struct loop *l);
uint64_t loop_file_wake_ns(const struct loop *l);

/* loop_state.c: what becomes of a job, for its state in jobs.json */
void loop_state_set(struct loop *l, const struct job *job, int64_t began_ms, enum job_status status,
                    uint64_t duration_ms);
/* Writes what has to be written by now; `all`: everything. */
void loop_state_tick(struct loop *l, bool all);
/* Jobs that were just read get what is not written yet. */
void loop_state_apply(struct loop *l);
void loop_state_release(struct loop *l);

/* loop_control.c */
int loop_control_open(struct loop *l, struct err *err);
/* Makes it again when somebody removed it. */
void loop_control_keep(struct loop *l);
void loop_control_close(struct loop *l);
size_t loop_control_fds(const struct loop *l, struct pollfd *out);
void loop_control_pump(struct loop *l);
uint64_t loop_control_wake_ns(const struct loop *l);

/* loop_outbox.c */
void loop_outbox_open(struct loop *l);
/* A job failed, and its record is written: somebody is to hear of it; retry_ms: only if nobody has tried again by
 * then (wall), 0: now. */
void loop_outbox_failed(struct loop *l, int64_t retry_ms);
void loop_outbox_tick(struct loop *l);
size_t loop_outbox_fds(const struct loop *l, struct pollfd *out);
uint64_t loop_outbox_wake_ns(const struct loop *l);
void loop_outbox_close(struct loop *l);
