/*
 * Running a plan: `clawback run`. From the plan to the run records, in one function of named steps; the function to
 * read first is run_plan().
 *
 * Whatever happens to a tier is written to its run record (monitor/record.h) before run_plan() returns. At most one run
 * per host and user is under way at any time (run/host_lock.h). What failed is tried again as the plan has it
 * (run/retry.h); who is to hear of the run does so through run/watch.h. $CLAWBACK_RUN_ID, 16 hexadecimal digits in
 * lower case, is taken for the run's ID.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "engine/progress.h"
#include "monitor/record.h"
#include "plan/plan.h"
#include "sink/progress.h"

struct run_options {
    const struct plan *plan;
    const struct strlist *tiers; /* by name, run now; empty or NULL: those that are due */
    bool all;                    /* every tier that is not disabled, due or not */
    bool dry_run;                /* reads, stores nothing, writes no record */
    bool wait;                   /* for another run to end, instead of leaving it to it */
    bool accept_size;            /* what shrank is taken for good */
    const struct strlist *adopt; /* names of destinations whose present drive is the right one; NULL: none */
    const char *state_dir;       /* record_state_dir() */
    const char *cache_dir;       /* NULL: none */
    const char *program_version; /* "clawback 1.2.3" */
    uint64_t retry_lock_ms;
};

/* What is said on the way, for people. From the thread that runs; may be NULL each. Messages are complete lines. */
struct run_reporter {
    void *ctx;
    void (*tier_begin)(void *ctx, const struct plan_tier *tier);
    void (*warning)(void *ctx, const struct plan_tier *tier, const char *message); /* tier NULL: of the whole run; from
                                                                                      any thread */
    /* The same, for what fails the tier. */
    void (*failure)(void *ctx, const struct plan_tier *tier, const char *message);
    void (*note)(void *ctx, const struct plan_tier *tier, const char *message);
    void (*tier_end)(void *ctx, const struct plan_tier *tier, const struct record *record);
};

/* Read by another thread for a progress line. */
struct run_progress {
    struct backup_progress *reading; /* of the source that is read now */
    struct engine_progress engine;   /* copying, confirming, removing */
    _Atomic(const char *) tier;      /* names, of the plan; NULL: none */
    _Atomic(const char *) destination;
    _Atomic bool in_engine; /* which of the two counts */
};

struct run_result {
    size_t due, completed, partial, failed, skipped; /* tiers */
    bool busy;                                       /* another run is under way: nothing was done */
    char run_id[17];
    int exit_code; /* 0: all is well, or nothing was due; 3: something is missing; 1: a tier failed; 130: interrupted */
};

/* -1: nothing could be begun (ERR_USAGE: no such tier; ERR_LOCKED with out->busy set, err telling who holds the lock;
 * ERR_IO: no state directory); no record was written, but for the lock's sake nothing was changed either. 0: the tiers
 * ran, each as its record says; see out->exit_code. */
int run_plan(const struct run_options *options, const struct run_reporter *reporter, struct run_progress *progress,
             struct run_result *out, struct err *err);

/* Is the tier due at `now_ms`, given its records? *next_ms_out (may be NULL): when it is due next, 0: never. */
bool run_tier_due(const struct plan_tier *t, const struct record_list *records, int64_t now_ms, int64_t *next_ms_out);
/* A scheduler starts us every period_ms (0: not known), and a run by hand in between has moved the tier's interval
 * against its: at this start the tier is not due yet, and at the next it would be late (by late_percent of its
 * interval; 0: a quarter). Then it is to run now. Only for tiers with `every`. */
bool run_tier_due_by_next_start(const struct plan_tier *t, const struct record_list *records, int64_t now_ms,
                                uint64_t period_ms, unsigned late_percent);
