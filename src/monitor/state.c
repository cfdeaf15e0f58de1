/*
 * Invariants: what is in the database can be made again from the run logs and alerts.jsonl, but for the outbox and the
 * notes; nothing is written outside of a transaction; damage is noticed by whoever meets it and repaired when no
 * transaction is open. In WAL mode `synchronous = NORMAL` loses the last transactions of a power cut and never the
 * file: the offsets into the run logs go back together with the runs, and alerts are found again.
 */
#include "monitor/state.h"

#include <stdarg.h>
#include <stdlib.h>
#include "base/mem.h"
#include "monitor/state_internal.h"

int state_open(struct state **out, const char *state_dir, struct err *err)
{
    struct state *s = mem_zalloc(sizeof *s);
    s->dir = mem_strdup(state_dir);
    s->path = mem_printf("%s/state.sqlite", state_dir);
    *out = NULL;
    if (state_prepare_file(s, err) != 0) {
        state_close(s);
        return -1;
    }
    if (s->fresh)
        state_follow_logs(s, NULL); /* what cannot be read now is read another time */
    *out = s;
    return 0;
}

void state_close(struct state *s)
{
    if (s == NULL)
        return;
    state_disconnect(s);
    free(s->dir);
    free(s->path);
    free(s);
}

sqlite3 *state_handle(struct state *s)
{
    return s->db;
}

const char *state_dir_of(const struct state *s)
{
    return s->dir;
}

/* --- errors --- */

static enum err_code code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_TIMEOUT;
    case SQLITE_FULL:
        return ERR_NO_SPACE;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_PERMISSION;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR: /* our statements are right: a table or a column is not */
    case SQLITE_SCHEMA:
    case SQLITE_CONSTRAINT: /* and so are the rows that we write: an index is not */
    case SQLITE_MISMATCH:
        return ERR_CORRUPT;
    default:
        return ERR_IO;
    }
}

int state_fail(struct state *s, int rc, struct err *err)
{
    enum err_code code = code_of(rc);
    s->damaged = s->damaged || code == ERR_CORRUPT;
    err_set(err, code, "state database '%s': %s", s->path,
            code == ERR_TIMEOUT ? "others are writing to it all the time" : sqlite3_errmsg(s->db));
    return err_advise(err, code == ERR_CORRUPT ? "it is repaired the next time it is opened" : NULL);
}

bool state_mend(struct state *s, struct err *err)
{
    if (!s->damaged || state_in_transaction(s) || state_repair(s, NULL) != 0)
        return false;
    if (err != NULL)
        err_clear(err);
    return true;
}

/* --- statements --- */

static int bind(sqlite3_stmt *stmt, const char *types, va_list args)
{
    int rc = SQLITE_OK;
    for (int i = 0; types[i] != '\0' && rc == SQLITE_OK; i++) {
        if (types[i] == 't') {
            rc = sqlite3_bind_text(stmt, i + 1, va_arg(args, const char *), -1, SQLITE_STATIC);
        } else if (types[i] == 'i') {
            rc = sqlite3_bind_int64(stmt, i + 1, va_arg(args, int64_t));
        } else if (types[i] == 'd') {
            rc = sqlite3_bind_double(stmt, i + 1, va_arg(args, double));
        } else {
            const void *data = va_arg(args, const void *);
            rc = sqlite3_bind_blob64(stmt, i + 1, data, va_arg(args, size_t), SQLITE_STATIC);
        }
    }
    return rc;
}

static sqlite3_stmt *prepare(struct state *s, struct err *err, const char *sql, const char *types, va_list args)
{
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL);
    if (rc == SQLITE_OK && (rc = bind(stmt, types, args)) == SQLITE_OK)
        return stmt;
    state_fail(s, rc, err);
    sqlite3_finalize(stmt);
    return NULL;
}

sqlite3_stmt *state_query(struct state *s, struct err *err, const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    sqlite3_stmt *stmt = prepare(s, err, sql, types, args);
    va_end(args);
    return stmt;
}

int state_step(struct state *s, sqlite3_stmt *stmt, struct err *err)
{
    int rc = sqlite3_step(stmt);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : state_fail(s, rc, err);
}

/* To the end; the statement (NULL: it could not be prepared) is gone then. */
static int finish(struct state *s, sqlite3_stmt *stmt, struct err *err)
{
    int rc = -1;
    while (stmt != NULL && (rc = state_step(s, stmt, err)) == 1)
        ;
    sqlite3_finalize(stmt);
    return rc;
}

int state_run(struct state *s, struct err *err, const char *sql, const char *types, ...)
{
    va_list args;
    va_start(args, types);
    sqlite3_stmt *stmt = prepare(s, err, sql, types, args);
    va_end(args);
    return finish(s, stmt, err);
}

char *state_column_text(sqlite3_stmt *stmt, int column)
{
    const char *text = (const char *)sqlite3_column_text(stmt, column);
    return text != NULL ? mem_strdup(text) : NULL;
}

/* --- transactions --- */

bool state_in_transaction(const struct state *s)
{
    return s->db != NULL && sqlite3_get_autocommit(s->db) == 0;
}

int state_begin(struct state *s, struct err *err)
{
    if (state_in_transaction(s))
        return err_set(err, ERR_FAILED, "a transaction is open already");
    if (s->damaged && state_repair(s, err) != 0)
        return -1;
    return state_run(s, err, "BEGIN IMMEDIATE", "");
}

int state_commit(struct state *s, struct err *err)
{
    if (state_run(s, err, "COMMIT", "") == 0)
        return 0;
    state_rollback(s);
    return -1;
}

void state_rollback(struct state *s)
{
    if (state_in_transaction(s))
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

int state_join(struct state *s, bool *began_out, struct err *err)
{
    *began_out = !state_in_transaction(s);
    return *began_out ? state_begin(s, err) : 0;
}

int state_leave(struct state *s, bool began, int rc, struct err *err)
{
    if (!began)
        return rc;
    if (rc == 0)
        return state_commit(s, err);
    state_rollback(s);
    return rc;
}

/* --- notes and measurements --- */

/* One statement that writes, in a transaction of its own when there is none; once more when damage was in the way. */
static int write_one(struct state *s, struct err *err, const char *sql, const char *types, ...)
{
    for (bool again = false;; again = true) {
        va_list args;
        bool began;
        int rc = state_join(s, &began, err);
        va_start(args, types);
        sqlite3_stmt *stmt = rc == 0 ? prepare(s, err, sql, types, args) : NULL;
        va_end(args);
        if (rc == 0)
            rc = state_leave(s, began, finish(s, stmt, err), err);
        if (rc == 0 || again || !state_mend(s, err))
            return rc;
    }
}

int state_measure(struct state *s, const char *series, int64_t at_ms, double value, struct err *err)
{
    return write_one(s, err, "INSERT OR REPLACE INTO measurements(series, at_ms, value) VALUES(?,?,?)", "tid", series,
                     at_ms, value);
}

static int read_series(struct state *s, const char *series, int64_t since_ms, struct state_point **out,
                       size_t *count_out, struct err *err)
{
    int rc = -1;
    *out = NULL;
    *count_out = 0;
    sqlite3_stmt *q =
        state_query(s, err, "SELECT at_ms, value FROM measurements WHERE series = ? AND at_ms >= ? ORDER BY at_ms",
                    "ti", series, since_ms);
    while (q != NULL && (rc = state_step(s, q, err)) == 1) {
        *out = mem_array(*out, *count_out + 1, sizeof **out);
        (*out)[(*count_out)++] =
            (struct state_point){.at_ms = sqlite3_column_int64(q, 0), .value = sqlite3_column_double(q, 1)};
    }
    sqlite3_finalize(q);
    if (rc != 0) {
        free(*out);
        *out = NULL;
        *count_out = 0;
    }
    return rc;
}

int state_series(struct state *s, const char *series, int64_t since_ms, struct state_point **out, size_t *count_out,
                 struct err *err)
{
    int rc = read_series(s, series, since_ms, out, count_out, err);
    return rc != 0 && state_mend(s, err) ? read_series(s, series, since_ms, out, count_out, err) : rc;
}

int state_note_set(struct state *s, const char *key, const char *value, struct err *err)
{
    if (value == NULL)
        return write_one(s, err, "DELETE FROM notes WHERE key = ?", "t", key);
    return write_one(s, err, "INSERT OR REPLACE INTO notes(key, value) VALUES(?,?)", "tt", key, value);
}

static int read_note(struct state *s, const char *key, char **out, struct err *err)
{
    *out = NULL;
    sqlite3_stmt *q = state_query(s, err, "SELECT value FROM notes WHERE key = ?", "t", key);
    int rc = q != NULL ? state_step(s, q, err) : -1;
    if (rc == 1)
        *out = state_column_text(q, 0);
    sqlite3_finalize(q);
    return rc < 0 ? -1 : 0;
}

int state_note_get(struct state *s, const char *key, char **out, struct err *err)
{
    int rc = read_note(s, key, out, err);
    return rc != 0 && state_mend(s, err) ? read_note(s, key, out, err) : rc;
}
