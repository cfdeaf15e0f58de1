/*
 * The state database, state.sqlite in the state directory: runs, measurements, open alerts, the outbox. It is an index
 * and a memory, never the truth about backups: runs are rebuilt from the run logs, alerts and silences from
 * alerts.jsonl, whenever it is lost, damaged or of a newer program. Several processes use it at once; writers wait for
 * each other, for 5 seconds at most. One handle belongs to one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sqlite3.h>
#include "base/err.h"
#include "monitor/record.h"

struct state;
/* Opens, makes, or rebuilds it: when it is damaged or of another version (what was there is kept as
 * state.sqlite.damaged). Damage that shows later is repaired by the next call that begins a transaction. Nothing of a
 * backup may depend on its success: ERR_PERMISSION, ERR_NO_SPACE, ERR_IO, ERR_TIMEOUT (others write for 5 s). */
int state_open(struct state **out, const char *state_dir, struct err *err);
void state_close(struct state *s);      /* NULL is nothing */
sqlite3 *state_handle(struct state *s); /* for monitor/ only, see monitor/state_tables.h; another one after a repair */
const char *state_dir_of(const struct state *s);

/* Takes over what the run logs have and it has not (by run ID and tier, or job). Cheap when nothing is new: it looks at
 * sizes. Once a day it also thins what is old: everything after 13 months; measurements after 60 days to one a day;
 * runs after 35 days to their numbers (sources with theirs, no paths, destinations or warnings). */
int state_follow_logs(struct state *s, struct err *err);
/* Lines of a tier's (or job's) log that are no records and were first seen at `since_ms` or later. 0 too when nobody
 * knows. */
size_t state_damaged(struct state *s, const char *tier, int64_t since_ms);

/* Runs, the newest first. */
struct run_query {
    const char *tier;           /* or job; NULL: all */
    const char *run_id;         /* or its beginning; NULL: all */
    int64_t since_ms, until_ms; /* 0: any */
    bool failed_only;           /* failed, or exit code 3 */
    bool tiers_only, jobs_only; /* neither: both */
    size_t max;                 /* 0: 100 */
};
/* One record a run: of its end, or its beginning where it has none yet. until_ms itself is not in. Those of the same
 * millisecond: by name. */
int state_runs(struct state *s, const struct run_query *q, struct record_list *out, struct err *err);

/* A number at a moment: "destination.used:usb" (state_follow_logs() keeps this and "destination.total:usb"). The same
 * moment again replaces it. */
int state_measure(struct state *s, const char *series, int64_t at_ms, double value, struct err *err);
struct state_point {
    int64_t at_ms;
    double value;
};
/* The oldest first; the caller frees *out (NULL when there are none). */
int state_series(struct state *s, const char *series, int64_t since_ms, struct state_point **out, size_t *count_out,
                 struct err *err);
/* Small things that must outlive a process: "digest.daily" → "2026-02-04"; value NULL: takes it away. The caller
 * frees *out (NULL: not set). */
int state_note_set(struct state *s, const char *key, const char *value, struct err *err);
int state_note_get(struct state *s, const char *key, char **out, struct err *err);
