/*
 * jobs.json: JSON with comments and trailing commas (JSON5), {"version":1,"jobs":[…]} or just the list, entries as in
 * the planning document (interval/intervalMs, at/atMs, cron/cron, payload.command) and as in OpenClaw
 * (every/everyMs/anchorMs, at as ISO time, cron/expr/tz, payload.kind command with argv, cwd, timeoutSeconds).
 * docs/scheduling.md describes them.
 *
 * Writing replaces the file whole and changes only the bytes of the members that change: comments, order, unknown
 * fields and the owner's layout stay. Somebody else's change between our reading and our writing is seen, and taken as
 * the base.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "daemon/job.h"

enum { JOBS_FILE_MAX_BYTES = 4 << 20, JOBS_MAX = 10000 };

/* What is wrong with one entry; an entry may have several. */
struct jobs_mistake {
    char *id;      /* the entry's, or "#3" (the third) */
    char *message; /* "line 7: schedule.intervalMs: found -5, expected milliseconds, 1000 or more" */
    bool left_out; /* the entry is not in the list; false: it is, without what is wrong (a follower that is not there,
                    * followers in a circle, a state that cannot be read) */
};
struct jobs_report {
    struct jobs_mistake *items;
    size_t count;
};
void jobs_report_release(struct jobs_report *r);

/* $…/jobs.json in clawback's state directory. The caller frees it. */
char *jobs_file_default(const char *state_dir);
/* 0: *out has the good entries, the report the broken ones, which are left out (of two with one ID, the second). No
 * file: ERR_NOT_FOUND. A file that is no such document: ERR_CORRUPT with line and column; *out is empty.
 * ERR_UNSUPPORTED: of a newer version. `report` is to be released either way. */
int jobs_file_load(const char *path, struct job_list *out, struct jobs_report *report, struct err *err);
int jobs_parse(const char *text, size_t len, struct job_list *out, struct jobs_report *report, struct err *err);

/* Members to change in the entry `id`; it must be there. */
struct jobs_change {
    const char *id;
    bool set_enabled, enabled; /* also updatedAtMs */
    bool set_state;            /* lastRunAtMs, lastStatus ("ok", "error", "skipped"), lastDurationMs */
    int64_t last_run_ms;
    enum job_status last_status;
    uint64_t last_duration_ms;
};
/* All in one replacement; when nothing differs, none. Entries that are gone meanwhile are left out, that is no error.
 * now_ms: updatedAtMs. Owner and permissions stay, a symbolic link is followed. ERR_CHANGED: somebody else writes it
 * all the time; ERR_CORRUPT: it is no such document (now): nothing was written. The same of the two below. */
int jobs_file_change(const char *path, const struct jobs_change *changes, size_t count, int64_t now_ms,
                     struct err *err);
/* Puts an entry in (a JSON object), instead of the one with its ID or at the end; makes the file when there is none,
 * mode 0600. State, createdAtMs and unknown members of the one that was there stay. ERR_USAGE: the entry is broken. */
int jobs_file_put(const char *path, const char *entry_json, int64_t now_ms, struct err *err);
/* ERR_NOT_FOUND. */
int jobs_file_remove(const char *path, const char *id, struct err *err);
