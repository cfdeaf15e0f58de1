/* What the parts of the scheduler share; nobody else includes it. */
#pragma once
#include <stddef.h>
#include "daemon/scheduler.h"
#include "daemon/scheduler_heap.h"
#include "daemon/scheduler_zones.h"

enum {
    LATE_MS = 60000,                /* more than this after its time, a run is a made up one */
    KEEP_STEP_MS = 30000,           /* so late an interval keeps its beat */
    JUMP_MS = 1000,                 /* so far apart the two clocks run when the wall clock was set */
    BACK_MAX_MS = 3 * 3600 * 1000,  /* what was handled this far ahead of now remains so */
    RETRY_MAX_MS = 3600 * 1000,     /* between two attempts */
    CHAIN_MAX = 16,                 /* runs one after the other */
    GONE_MAX = 1000,                /* jobs that are no more and are kept in mind */
    ZONES_REFRESH_MS = 3600 * 1000, /* until time zones are read again */
    MISSED_MAX = 100000,            /* reports that nobody fetched */
};
static const int64_t CLOCK_SET_MS = 1577836800000; /* 2020: wall clocks before this were not set */

/* Never. */
#define NEVER INT64_MAX

struct entry {
    struct job job;
    struct scheduler_memory memory; /* its id is the job's */
    bool present;                   /* in the set of jobs; else it is only kept in mind, or still runs */
    bool listed;                    /* while the set is replaced: it is in the new one */
    bool changed;                   /* its memory, since it was asked for */
    bool remembered;                /* from an earlier process; it was not in the set of this one yet */
    bool interrupted;               /* it ran when that process ended */
    bool unsure;                    /* when its interval began is not known before the clock is set */
    int64_t due_ms;                 /* wall; intervals without anchor: boot time */
    int64_t began_boot_ms;          /* intervals without anchor: when the current one began */
    int64_t retry_boot_ms;          /* NEVER: none */
    struct heap_node wall, boot;    /* when to look at it */
    struct entry *next_asked;
};

struct scheduler {
    struct entry **entries; /* by ID */
    size_t count;
    struct heap wall, boot;
    struct entry *asked, **asked_end;
    struct zones zones;
    int64_t zones_read_boot_ms;
    bool has_set; /* there was a set of jobs */
    bool started; /* `last` is there */
    struct scheduler_time last;
    int64_t jump_from_ms, jump_to_ms; /* where the wall clock was set ahead last */
    int64_t start_ms;                 /* wall time of the first call */
    int64_t furthest_ms;              /* nothing that was handled lies after this */
    struct scheduler_missed *missed;
    size_t missed_first, missed_count, missed_cap;
    struct scheduler_memory *shown; /* for those who ask */
};

/* ------------------------------------------------------------------------------------------------- scheduler_times.c
 */

int64_t add_ms(int64_t a, int64_t b); /* held within INT64 */
int64_t subtract_ms(int64_t a, int64_t b);
bool clock_is_set(struct scheduler_time now);
/* An interval that is counted from its last beginning. */
bool is_floating(const struct entry *e);
/* What a memory belongs to. */
uint64_t schedule_fingerprint(const struct job *j);
/* By how much a due time is put off; next_ms: the due time behind it. */
int64_t jitter_of(const struct entry *e, int64_t due_ms, int64_t next_ms);
/* How long to wait after an attempt that failed. */
int64_t retry_wait_ms(const struct job *j, unsigned attempt);

/* --------------------------------------------------------------------------------------------------- scheduler_due.c
 */

void report_missed(struct scheduler *s, const struct entry *e, int64_t first_ms, int64_t last_ms, uint64_t count,
                   const char *why);
/* The next due time after `after_ms`; NEVER. */
int64_t due_after(struct scheduler *s, const struct entry *e, int64_t after_ms);
/* Finds out anew when to look at it. */
void plan_next(struct scheduler *s, struct entry *e, struct scheduler_time now);
/* Its time has come, on the wall clock or on the other. True: start it; what was missed is reported. */
bool take_due_wall(struct scheduler *s, struct entry *e, struct scheduler_time now, struct scheduler_start *out);
bool take_due_boot(struct scheduler *s, struct entry *e, struct scheduler_time now, struct scheduler_start *out);

/* ------------------------------------------------------------------------------------------------- scheduler_clock.c
 */

/* Looks at the clocks; each call that is given the time begins with it. */
void notice_time(struct scheduler *s, struct scheduler_time now);
/* When the current interval began, as far as the memory knows. */
void restore_interval(struct entry *e, struct scheduler_time now);

/* -------------------------------------------------------------------------------------------------- scheduler_jobs.c
 */

struct entry *find_entry(const struct scheduler *s, const char *id);
void entry_free(struct entry *e);

/* ------------------------------------------------------------------------------------------------------- scheduler.c
 */

/* Puts it at the end of those that are asked for. depth: how many runs are chained before it. */
void ask_for(struct scheduler *s, struct entry *e, unsigned depth, int64_t since_ms);
void forget_asked(struct scheduler *s, struct entry *e);
void forget_retry(struct entry *e);
/* What follows a run's end: followers, or a retry, whose wall time it returns. */
int64_t run_ended(struct scheduler *s, struct entry *e, enum job_status status, bool retry, struct scheduler_time now);
/* Marks it as running. */
void begin_run(struct entry *e, const struct scheduler_start *start, unsigned depth, struct scheduler_time now);
