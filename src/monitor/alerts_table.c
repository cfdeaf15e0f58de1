#include "monitor/alerts_table.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "monitor/alerts_log.h"
#include "monitor/state_tables.h"
#include "os/clock.h"

static enum alert_level level_column(sqlite3_stmt *q, int column)
{
    int n = sqlite3_column_int(q, column);
    return n < ALERT_FINE || n > ALERT_CRITICAL ? ALERT_CRITICAL : (enum alert_level)n;
}

static char *text_column(sqlite3_stmt *q, int column)
{
    char *text = state_column_text(q, column);
    return text != NULL ? text : mem_strdup("");
}

static void load_row(sqlite3_stmt *q, struct alert_row *r)
{
    *r = (struct alert_row){
        .rule = text_column(q, 0),
        .subject = text_column(q, 1),
        .level = level_column(q, 2),
        .text = text_column(q, 3),
        .details = state_column_text(q, 4),
        .command = state_column_text(q, 5),
        .since_ms = sqlite3_column_int64(q, 6),
        .opened_ms = sqlite3_column_int64(q, 7),
        .changed_ms = sqlite3_column_int64(q, 8),
        .told_ms = sqlite3_column_int64(q, 9),
        .told_level = level_column(q, 10),
        .over_ms = sqlite3_column_int64(q, 11),
        .over_level = level_column(q, 12),
        .seen_ms = sqlite3_column_int64(q, 13),
        .unseen = sqlite3_column_int64(q, 14),
        .closed_ms = sqlite3_column_int64(q, 15),
    };
}

int alert_rows_load(struct state *s, bool open_only, struct alert_rows *out, struct err *err)
{
    int rc;
    *out = (struct alert_rows){0};
    sqlite3_stmt *q = state_query(
        s, err,
        "SELECT rule, subject, level, text, details, command, since_ms, opened_ms, changed_ms, told_ms, told_level, "
        "over_ms, over_level, seen_ms, unseen, closed_ms FROM alerts WHERE ? = 0 OR closed_ms = 0 ORDER BY level DESC, "
        "opened_ms, rule, subject",
        "i", (int64_t)open_only);
    while ((rc = q != NULL ? state_step(s, q, err) : -1) == 1) {
        out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
        load_row(q, &out->items[out->count++]);
    }
    sqlite3_finalize(q);
    if (rc != 0)
        alert_rows_release(out);
    return rc;
}

int alert_row_save(struct state *s, const struct alert_row *r, struct err *err)
{
    return state_run(s, err,
                     "INSERT OR REPLACE INTO alerts(rule, subject, level, text, details, command, since_ms, opened_ms, "
                     "changed_ms, told_ms, told_level, over_ms, over_level, seen_ms, unseen, closed_ms) "
                     "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                     "ttitttiiiiiiiiii", r->rule, r->subject, (int64_t)r->level, r->text, r->details, r->command,
                     r->since_ms, r->opened_ms, r->changed_ms, r->told_ms, (int64_t)r->told_level, r->over_ms,
                     (int64_t)r->over_level, r->seen_ms, r->unseen, r->closed_ms);
}

struct alert_row *alert_rows_find(const struct alert_rows *l, const char *rule, const char *subject)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].rule, rule) == 0 && strcmp(l->items[i].subject, subject) == 0)
            return &l->items[i];
    return NULL;
}

struct alert_row *alert_rows_add(struct alert_rows *l, const char *rule, const char *subject)
{
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    struct alert_row *r = &l->items[l->count++];
    *r = (struct alert_row){
        .rule = mem_strdup(rule), .subject = mem_strdup(subject), .text = mem_strdup(""), .closed_ms = 1};
    return r;
}

static void release_row(struct alert_row *r)
{
    free(r->rule);
    free(r->subject);
    free(r->text);
    free(r->details);
    free(r->command);
}

void alert_rows_release(struct alert_rows *l)
{
    for (size_t i = 0; i < l->count; i++)
        release_row(&l->items[i]);
    free(l->items);
    *l = (struct alert_rows){0};
}

/* --- silence --- */

int64_t alerts_silenced_until(struct state *s, const char *rule, const char *subject, int64_t now_ms)
{
    sqlite3_stmt *q = state_query(
        s, NULL,
        "SELECT max(until_ms) FROM silences WHERE rule = ? AND (subject = ? OR subject = '*') AND until_ms > ?", "tti",
        rule, subject, now_ms);
    int64_t until_ms = q != NULL && state_step(s, q, NULL) == 1 ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return until_ms;
}

bool alert_silenced(struct state *s, const char *rule, const char *subject, int64_t now_ms)
{
    return alerts_silenced_until(s, rule, subject, now_ms) != 0;
}

/* Within a transaction. */
static int put_silence(struct state *s, const char *rule, const char *subject, int64_t until_ms, struct err *err)
{
    return until_ms > 0 ? state_run(s, err, "INSERT OR REPLACE INTO silences(rule, subject, until_ms) VALUES(?,?,?)",
                                    "tti", rule, subject != NULL ? subject : "*", until_ms)
                        : state_run(s, err, "DELETE FROM silences WHERE rule = ?1 AND (?2 IS NULL OR subject = ?2)",
                                    "tt", rule, subject);
}

static int silence(struct state *s, const char *rule, const char *subject, int64_t until_ms, struct err *err)
{
    int rc = state_begin(s, err);
    if (rc != 0)
        return rc;
    rc = put_silence(s, rule, subject, until_ms, err);
    if (rc == 0)
        return state_commit(s, err);
    state_rollback(s);
    return rc;
}

/* The log is for the day on which the database is lost: without a line there it is a silence all the same. */
int alerts_silence(struct state *s, const char *rule, const char *subject, int64_t until_ms, struct err *err)
{
    int rc = silence(s, rule, subject, until_ms, err);
    if (rc != 0 && state_mend(s, err))
        rc = silence(s, rule, subject, until_ms, err);
    if (rc == 0)
        alerts_log_append_silence(state_dir_of(s), rule, subject, until_ms, os_now_ms(), NULL);
    return rc;
}

/* --- from the log --- */

static void fold(struct alert_rows *rows, struct alert_line *line)
{
    struct alert *a = &line->alert;
    struct alert_row *r = alert_rows_find(rows, a->rule, a->subject);
    if (r == NULL)
        r = alert_rows_add(rows, a->rule, a->subject);
    release_row(r);
    *r = (struct alert_row){.rule = a->rule,
                            .subject = a->subject,
                            .text = a->text,
                            .details = a->details,
                            .command = a->command,
                            .level = a->now,
                            .since_ms = a->since_ms,
                            .opened_ms = a->opened_ms,
                            .changed_ms = a->changed_ms,
                            .told_level = line->told_level,
                            .seen_ms = a->changed_ms,
                            .closed_ms = a->change == ALERT_CLOSED || a->now == ALERT_FINE ? 1 : 0};
    a->rule = a->subject = a->text = a->details = a->command = NULL;
}

/* When it was told stays unknown (told_ms 0): its message may have been in the outbox that was lost. */
int alerts_restore(struct state *s, struct err *err)
{
    struct alert_lines lines;
    struct alert_rows rows = {0};
    int rc = 0;
    /* A log that cannot be read must not keep the database from being made. */
    if (alerts_log_read(state_dir_of(s), SIZE_MAX, &lines, NULL) != 0)
        return 0;
    for (size_t i = 0; i < lines.count; i++)
        fold(&rows, &lines.items[i]);
    for (size_t i = 0; i < rows.count && rc == 0; i++)
        if (rows.items[i].closed_ms == 0)
            rc = alert_row_save(s, &rows.items[i], err);
    for (size_t i = 0; i < lines.silence_count && rc == 0; i++) {
        const struct silence_line *l = &lines.silences[i];
        rc = put_silence(s, l->rule, l->subject, l->until_ms, err);
    }
    alerts_log_release(&lines);
    alert_rows_release(&rows);
    return rc;
}
