/*
 * The pre-flight list: is everything ready for a backup, and for getting it back? Each check looks at one thing and
 * says what it found: green, yellow (worth a thought) or red (a backup will fail, or could not be restored), with what
 * to do. Nothing is changed anywhere. Each check runs in a process of its own, all at once, and is given up when it
 * hangs.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "plan/plan.h"

enum doctor_level { DOCTOR_GREEN, DOCTOR_YELLOW, DOCTOR_RED };
const char *doctor_level_name(enum doctor_level level); /* "green" … */

struct doctor_line {
    const char *check; /* "destinations": the check's name */
    enum doctor_level level;
    char *found;  /* one sentence without a full stop */
    char *advice; /* what to do; NULL for green */
};

struct doctor_options {
    const struct plan *plan;
    const char *state_dir, *cache_dir; /* cache_dir NULL: none */
    bool offline;                      /* ask nothing of other machines: no push tried */
    bool quick;                        /* repositories are opened, not checked through */
};

struct doctor_report {
    struct doctor_line *lines;
    size_t count;
    enum doctor_level worst;
    size_t green, yellow, red;
};

/* Called with each line as soon as its check and all before it are done. May be NULL. */
typedef void doctor_show(void *ctx, const struct doctor_line *line);

/* -1: interrupted. doctor_report_release() either way. */
int doctor_run(const struct doctor_options *options, doctor_show *show, void *ctx, struct doctor_report *out,
               struct err *err);
void doctor_report_release(struct doctor_report *r);
/* A line of the caller's own: about the configuration, which is looked at before there is a plan. */
void doctor_report_add(struct doctor_report *r, const char *check, enum doctor_level level, const char *found,
                       const char *advice);
