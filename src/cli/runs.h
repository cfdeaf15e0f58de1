/* Run logs for people: what `clawback runs` gathers, shows and follows. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "cli/cli.h"
#include "monitor/record.h"

struct run_row {
    struct record record;
    char *line;            /* as it stands in its log */
    bool open;             /* STARTED, and nothing after it */
    struct timespec began; /* of one that was killed: as its STARTED line says; else zero */
    size_t rank;           /* among all that were read: of two with one time the later is newer */
};
struct run_rows {
    struct run_row *items;
    size_t count;
};

struct run_filter {
    const struct strlist *names; /* jobs and tiers; empty: all */
    int64_t since_ms;            /* 0: any time */
    bool failed;                 /* failed or incomplete */
    const char *run_id;          /* or its beginning; NULL: any */
    bool by_begin;               /* what began last comes first; else what ended last, as the logs have it */
};
enum { RUN_ID_SHORT = 8, RUN_ID_LEAST = 4 }; /* digits that tables show; that run_id has at least */

/* When it began: of one that has ended, so long ago as it took. */
struct timespec runs_began(const struct run_row *row);
/* Reads the logs: ended runs and those that are open, the newest first. ERR_NOT_FOUND: a name that has no log. */
int runs_gather(const char *state_dir, const struct run_filter *filter, struct run_rows *out, struct err *err);
void runs_release(struct run_rows *rows);
/* Are these of more than one run, since run_id is the beginning of several IDs? Then the other is in *other. */
bool runs_ambiguous(const struct run_rows *rows, const char **other);
bool runs_match(const struct run_filter *filter, const struct record *r);

/* "ok", "incomplete", "failed", "interrupted", "skipped", "running", "did not end". */
const char *runs_outcome(const struct run_row *row);
/* Its record with "message_type":"run". */
json_t *runs_json(const char *line, size_t len);
/* The first `shown` as a table, which fits a terminal; what was the matter stands below each. */
void runs_print_table(struct cli *cli, const struct run_rows *rows, size_t shown);
/* Everything that is known of one run: its tiers and its job, with sources, destinations, warnings. */
void runs_print_run(struct cli *cli, const struct run_rows *rows);
/* One line: when, what, what became of it. */
void runs_print_line(struct cli *cli, const struct record *r, const char *line, size_t len);

/* Prints what is appended to the logs from now on, also to new ones, until a signal comes. */
int runs_follow(struct cli *cli, const char *state_dir, const struct run_filter *filter, struct err *err);
