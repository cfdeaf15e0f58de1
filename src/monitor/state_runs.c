#include "monitor/state_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "monitor/record_internal.h"
#include "os/clock.h"

enum { UPLOADED = 1, INTERRUPTED = 2, RETRY = 4 };
enum { DEFAULT_RUNS = 100 };

static int flags_of(const struct record *r)
{
    return (r->uploaded ? UPLOADED : 0) | (r->interrupted ? INTERRUPTED : 0) | (r->retry ? RETRY : 0);
}

/* --- taking over --- */

/* Which run does this line belong to? A run may be tried several times under one ID, one after the other. *id_out 0:
 * none that is known; *known_out: and the line is, too. */
static int find_run(struct state *s, const struct record *r, const char *name, const char *run_id, int64_t *id_out,
                    bool *known_out, struct err *err)
{
    const char *sql = r->status == RECORD_STARTED
                          ? "SELECT id, 1 FROM runs WHERE run_id = ? AND name = ? AND job = ? AND started_ms = ?"
                          : "SELECT id, ended_ms IS NOT NULL FROM runs WHERE run_id = ? AND name = ? AND job = ? AND "
                            "(ended_ms IS NULL OR ended_ms = ?) ORDER BY ended_ms IS NULL, started_ms DESC LIMIT 1";
    *id_out = 0;
    *known_out = false;
    sqlite3_stmt *q = state_query(s, err, sql, "ttii", run_id, name, (int64_t)r->job, os_time_ms(&r->time));
    int rc = q != NULL ? state_step(s, q, err) : -1;
    if (rc == 1) {
        *id_out = sqlite3_column_int64(q, 0);
        *known_out = sqlite3_column_int(q, 1) != 0;
    }
    sqlite3_finalize(q);
    return rc < 0 ? -1 : 0;
}

static int add_run(struct state *s, const struct record *r, const char *name, const char *run_id, int64_t *id_out,
                   struct err *err)
{
    int64_t at_ms = os_time_ms(&r->time);
    if (state_run(s, err,
                  "INSERT INTO runs(name, job, run_id, at_ms, started_ms, status, exit_code, pid, duration_ms, "
                  "bytes_processed, bytes_added, flags) VALUES(?,?,?,?,?,?,0,?,0,0,0,0)",
                  "titiiii", name, (int64_t)r->job, run_id, at_ms, at_ms, (int64_t)RECORD_STARTED,
                  (int64_t)r->pid) != 0)
        return -1;
    *id_out = sqlite3_last_insert_rowid(state_handle(s));
    return 0;
}

static int end_run(struct state *s, const struct record *r, int64_t id, const char *line, struct err *err)
{
    int64_t at_ms = os_time_ms(&r->time);
    return state_run(s, err,
                     "UPDATE runs SET at_ms = ?, ended_ms = ?, status = ?, exit_code = ?, duration_ms = ?, "
                     "bytes_processed = ?, bytes_added = ?, flags = ?, error = ?, line = ? WHERE id = ?",
                     "iiiiiiiitti", at_ms, at_ms, (int64_t)r->status, (int64_t)r->exit_code, (int64_t)r->duration_ms,
                     (int64_t)r->bytes_processed, (int64_t)r->bytes_added, (int64_t)flags_of(r), r->error, line, id);
}

static int add_sources(struct state *s, const struct record *r, int64_t id, struct err *err)
{
    for (size_t i = 0; i < r->source_count; i++) {
        const struct record_source *source = &r->sources[i];
        if (state_run(s, err,
                      "INSERT OR REPLACE INTO run_sources(run, position, name, status, bytes, files, unreadable) "
                      "VALUES(?,?,?,?,?,?,?)",
                      "iitiiii", id, (int64_t)i, source->name, (int64_t)source->status, (int64_t)source->bytes,
                      (int64_t)source->files, (int64_t)source->unreadable) != 0)
            return -1;
    }
    return 0;
}

static int measure(struct state *s, const char *what, const char *destination, int64_t at_ms, uint64_t bytes,
                   struct err *err)
{
    char *series = mem_printf("destination.%s:%s", what, destination);
    int rc = state_measure(s, series, at_ms, (double)bytes, err);
    free(series);
    return rc;
}

static int measure_destinations(struct state *s, const struct record *r, struct err *err)
{
    int64_t at_ms = os_time_ms(&r->time);
    for (size_t i = 0; i < r->destination_count; i++) {
        const struct record_destination *d = &r->destinations[i];
        if (d->total_bytes == 0 || d->free_bytes > d->total_bytes)
            continue;
        if (measure(s, "used", d->name, at_ms, d->total_bytes - d->free_bytes, err) != 0 ||
            measure(s, "total", d->name, at_ms, d->total_bytes, err) != 0)
            return -1;
    }
    return 0;
}

int state_take_record(struct state *s, const struct record *r, const char *stem, const char *line, size_t line_len,
                      struct err *err)
{
    const char *name = r->tier != NULL ? r->tier : stem, *run_id = r->run_id != NULL ? r->run_id : "";
    int64_t id;
    bool known;
    if (find_run(s, r, name, run_id, &id, &known, err) != 0)
        return -1;
    if (known)
        return 0;
    if (id == 0 && add_run(s, r, name, run_id, &id, err) != 0)
        return -1;
    if (r->status == RECORD_STARTED)
        return 0;
    char *text = mem_strndup(line, line_len);
    int rc = end_run(s, r, id, text, err);
    free(text);
    if (rc == 0)
        rc = add_sources(s, r, id, err);
    return rc == 0 ? measure_destinations(s, r, err) : rc;
}

/* --- asking --- */

/* What is left of a run when its line was thinned away, and all there is of one that has not ended. */
static int load_columns(struct state *s, sqlite3_stmt *q, struct record *r, struct err *err)
{
    int64_t at_ms = sqlite3_column_int64(q, 4);
    int flags = sqlite3_column_int(q, 11);
    r->tier = state_column_text(q, 1);
    r->job = sqlite3_column_int(q, 2) != 0;
    r->run_id = state_column_text(q, 3);
    r->time = (struct timespec){.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
    r->status = (enum record_status)sqlite3_column_int(q, 5);
    r->exit_code = sqlite3_column_int(q, 6);
    r->pid = r->status == RECORD_STARTED ? (pid_t)sqlite3_column_int64(q, 7) : 0;
    r->duration_ms = (uint64_t)sqlite3_column_int64(q, 8);
    r->bytes_processed = (uint64_t)sqlite3_column_int64(q, 9);
    r->bytes_added = (uint64_t)sqlite3_column_int64(q, 10);
    r->uploaded = (flags & UPLOADED) != 0;
    r->interrupted = (flags & INTERRUPTED) != 0;
    r->retry = (flags & RETRY) != 0;
    r->error = state_column_text(q, 12);
    int rc;
    sqlite3_stmt *sources = state_query(
        s, err, "SELECT name, status, bytes, files, unreadable FROM run_sources WHERE run = ? ORDER BY position", "i",
        sqlite3_column_int64(q, 0));
    while ((rc = sources != NULL ? state_step(s, sources, err) : -1) == 1) {
        const char *name = (const char *)sqlite3_column_text(sources, 0);
        struct record_source *source = record_add_source(r, name != NULL ? name : "");
        source->status = (enum record_status)sqlite3_column_int(sources, 1);
        source->bytes = (uint64_t)sqlite3_column_int64(sources, 2);
        source->files = (uint64_t)sqlite3_column_int64(sources, 3);
        source->unreadable = (uint64_t)sqlite3_column_int64(sources, 4);
    }
    sqlite3_finalize(sources);
    return rc;
}

static int load_run(struct state *s, sqlite3_stmt *q, struct record *r, struct err *err)
{
    const char *line = (const char *)sqlite3_column_text(q, 13);
    if (line != NULL && record_decode(line, strlen(line), r) == 0) {
        if (r->tier == NULL)
            r->tier = state_column_text(q, 1);
        return 0;
    }
    *r = (struct record){0};
    return load_columns(s, q, r, err);
}

static int ask(struct state *s, const struct run_query *query, struct record_list *out, struct err *err)
{
    int64_t job = query->jobs_only ? 1 : query->tiers_only ? 0 : -1;
    *out = (struct record_list){0};
    sqlite3_stmt *q = state_query(
        s, err,
        "SELECT id, name, job, run_id, at_ms, status, exit_code, pid, duration_ms, bytes_processed, bytes_added, "
        "flags, "
        "error, line FROM runs WHERE status BETWEEN 0 AND 3 AND (?1 IS NULL OR name = ?1) AND (?2 IS NULL OR "
        "substr(run_id, 1, length(?2)) = ?2) "
        "AND (?3 = 0 OR at_ms >= ?3) AND (?4 = 0 OR at_ms < ?4) AND (?5 = 0 OR status = 2 OR exit_code = 3) AND "
        "(?6 = -1 OR job = ?6) ORDER BY at_ms DESC, name, id DESC LIMIT ?7",
        "ttiiiii", query->tier, query->run_id, query->since_ms, query->until_ms, (int64_t)query->failed_only, job,
        (int64_t)(query->max > 0 ? query->max : DEFAULT_RUNS));
    int rc;
    while ((rc = q != NULL ? state_step(s, q, err) : -1) == 1) {
        out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
        out->items[out->count] = (struct record){0};
        rc = load_run(s, q, &out->items[out->count++], err);
        if (rc != 0)
            break;
    }
    sqlite3_finalize(q);
    if (rc != 0)
        record_list_release(out);
    return rc;
}

int state_runs(struct state *s, const struct run_query *q, struct record_list *out, struct err *err)
{
    int rc = ask(s, q, out, err);
    if (rc == 0 || !state_mend(s, err))
        return rc;
    state_follow_logs(s, NULL);
    return ask(s, q, out, err);
}

/* --- thinning --- */

static const int64_t DAY_MS = 24 * 3600 * 1000LL;
enum { KEPT_DAYS = 396, DAILY_AFTER_DAYS = 60, LINES_DAYS = 35, CLOSED_DAYS = 30 };

/* A clock that is years ahead must not take everything away: what is old is counted from the newest run. */
static int64_t reference_ms(struct state *s, int64_t now_ms)
{
    sqlite3_stmt *q = state_query(s, NULL, "SELECT max(at_ms) FROM runs", "");
    int64_t newest = q != NULL && state_step(s, q, NULL) == 1 ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return newest > 0 && newest < now_ms ? newest : now_ms;
}

static int thin(struct state *s, int64_t from_ms, struct err *err)
{
    const struct {
        const char *sql;
        int days;
    } steps[] = {
        {"DELETE FROM run_sources WHERE run IN (SELECT id FROM runs WHERE at_ms < ?)", KEPT_DAYS},
        {"DELETE FROM runs WHERE at_ms < ?", KEPT_DAYS},
        {"DELETE FROM measurements WHERE at_ms < ?", KEPT_DAYS},
        {"DELETE FROM measurements WHERE at_ms < ? AND EXISTS (SELECT 1 FROM measurements later WHERE later.series = "
         "measurements.series AND later.at_ms > measurements.at_ms AND later.at_ms / 86400000 = measurements.at_ms / "
         "86400000)",
         DAILY_AFTER_DAYS},
        {"UPDATE runs SET line = NULL WHERE at_ms < ? AND line IS NOT NULL", LINES_DAYS},
        {"DELETE FROM alerts WHERE closed_ms > 0 AND closed_ms < ?", CLOSED_DAYS},
        {"DELETE FROM silences WHERE until_ms < ?", 0},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (state_run(s, err, steps[i].sql, "i", from_ms - steps[i].days * DAY_MS) != 0)
            return -1;
    return 0;
}

int state_tidy(struct state *s, int64_t now_ms, struct err *err)
{
    char today[32], *last = NULL;
    snprintf(today, sizeof today, "%lld", (long long)(now_ms / DAY_MS));
    if (state_note_get(s, "tidied", &last, err) != 0)
        return -1;
    bool done = last != NULL && strcmp(last, today) == 0;
    free(last);
    if (done)
        return 0;
    int rc = state_begin(s, err);
    if (rc != 0)
        return rc;
    rc = thin(s, reference_ms(s, now_ms), err);
    if (rc == 0)
        rc = state_note_set(s, "tidied", today, err);
    return state_leave(s, true, rc, err);
}
