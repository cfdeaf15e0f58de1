/*
 * Jobs: what jobs.json says, in one form whatever spelling it came in. Reading and writing the file:
 * daemon/jobs_file.h.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/strlist.h"
#include "plan/schedule.h"

enum { JOB_ID_MAX_BYTES = 127 };

enum job_status { JOB_NEVER, JOB_OK, JOB_ERROR, JOB_SKIPPED };
/* "ok", "error", "skipped", as jobs.json has them; JOB_NEVER: "pending". */
const char *job_status_name(enum job_status s);

struct job_retry {
    unsigned times;    /* 0: never */
    uint64_t after_ms; /* then twice that, …, at most an hour */
};

/* All strings are its own, or NULL. */
struct job {
    char *id; /* as in the file; runs/ID.jsonl is its log */
    char *agent_id, *name, *session_target, *wake_mode;
    bool enabled;
    int64_t created_ms, updated_ms;
    struct schedule schedule; /* its zone is the job's; cron_text is the one below */
    char *cron_text;
    struct strlist argv; /* payload.argv; or {"/bin/sh", "-c", text} of a single command string; empty: nothing is run,
                          * `text` is only noted in the run log (a system event or an agent's turn: OpenClaw's work) */
    bool agent_turn;     /* payload.kind agentTurn */
    char *text;          /* payload.text, or an agent's message */
    char *directory;     /* payload.cwd, absolute; NULL: / */
    struct strlist env;  /* payload.env: "NAME=VALUE", on top of the daemon's own */
    char *input;         /* payload.input: standard input; NULL: none */
    uint64_t timeout_ms; /* default an hour */
    uint64_t jitter_ms;  /* each due time is put off by a part of it, the same for the same job and time */
    bool catch_up;       /* a time missed while nobody was there is made up for, once; default true */
    bool delete_after_run; /* OpenClaw's: an `at` job that ran is disabled, never deleted */
    struct job_retry retry;
    struct strlist on_success, on_failure; /* IDs of jobs that follow */
    /* state */
    int64_t last_run_ms; /* 0: never */
    enum job_status last_status;
    uint64_t last_duration_ms;
};

struct job_list {
    struct job *items;
    size_t count;
};
void job_release(struct job *j);
/* A copy with strings of its own, into `to`, which need not be anything yet. */
void job_copy(struct job *to, const struct job *from);
void job_list_release(struct job_list *l);
const struct job *job_find(const struct job_list *l, const char *id); /* NULL: none */
/* Do two entries ask for the same (all but state and updated_ms)? */
bool job_equal(const struct job *a, const struct job *b);
/* Are they due at the same times (kind, interval and anchor, expression and zone, moment)? */
bool job_schedule_equal(const struct schedule *a, const struct schedule *b);
/* May it be an ID? 1 to JOB_ID_MAX_BYTES bytes of UTF-8, no slash, no control characters, not beginning with a dot; it
 * is a file's name. */
bool job_id_valid(const char *id);
