/*
 * Members of an entry with their mistakes: the small change of reading jobs.json. For jobs_entry.c, jobs_schedule.c and
 * jobs_payload.c only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/strlist.h"
#include "daemon/jobs_file.h"
#include "daemon/jobs_text.h"

struct jobs_reader {
    const struct jobs_text *t;
    const char *id; /* or "#3" */
    struct jobs_report *report;
    bool broken; /* something was wrong that leaves the entry out */
};

/* An object among an entry's members: the entry itself ("") or, "schedule." and "payload.", one below it. */
struct jobs_part {
    struct jobs_reader *r;
    const struct jobs_node *object;
    const char *prefix; /* for messages */
};

/* Takes a mistake down, with the line that it stands in (`at` NULL: the part's own). Returns -1. */
int jobs_mistake(const struct jobs_part *p, const struct jobs_node *at, bool leave_out, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* "schedule.everyMs: found "x", expected …". Returns -1. */
int jobs_unexpected(const struct jobs_part *p, const struct jobs_node *found, const char *key, const char *expected);

/* 1: it is there, and in *out; 0: it is not, or null; -1: it is wrong, and that was taken down. *out stays then. */
int jobs_get_text(const struct jobs_part *p, const char *key, char **out);
int jobs_get_bool(const struct jobs_part *p, const char *key, bool *out);
/* `expected` for the message: "milliseconds, 1000 or more". */
int jobs_get_integer(const struct jobs_part *p, const char *key, int64_t min, int64_t max, const char *expected,
                     int64_t *out);
/* A list of strings; a single string is a list of one when `single`. */
int jobs_get_list(const struct jobs_part *p, const char *key, bool single, struct strlist *out);
/* The member itself, NULL when it is not there or null. */
const struct jobs_node *jobs_get(const struct jobs_part *p, const char *key);

/* Times are Unix milliseconds up to the year 9999, intervals end at a hundred years. */
#define JOBS_TIME_MAX_MS INT64_C(253402300799999)
#define JOBS_SPAN_MAX_MS (INT64_C(36525) * 86400000)

/* schedule, into j->schedule and j->cron_text; jitter that OpenClaw asks for (staggerMs) into j->jitter_ms. */
int jobs_read_schedule(const struct jobs_part *entry, struct job *j);
/* payload, into argv, text, directory, env, input, timeout_ms. */
int jobs_read_payload(const struct jobs_part *entry, struct job *j);
/* The whole entry; position from 0. False: it is to be left out, *out is empty. */
bool jobs_read_entry(const struct jobs_text *t, const struct jobs_node *entry, size_t position, struct job *out,
                     struct jobs_report *report);
/* Across entries: followers that are not there, followers in a circle. They are taken out of the list's jobs. */
void jobs_check_followers(struct job_list *l, struct jobs_report *report);
/* Adds to a report; takes message over. */
void jobs_report_add(struct jobs_report *r, const char *id, char *message, bool left_out);
