/*
 * The file itself: made, looked at, repaired. A damaged file is emptied in place, by SQLite under its own locks
 * (SQLITE_DBCONFIG_RESET_DATABASE), and never exchanged: other processes that have it open go on with what is new in
 * it, and none of them writes into, or removes, a journal that is no longer its own. state.lock lets only one repair.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "monitor/alerts.h"
#include "monitor/state_internal.h"
#include "os/clock.h"
#include "os/file.h"

enum { BUSY_MS = 5000, POLL_MS = 50, COPY_MAX_BYTES = 64 << 20 };

static const char SCHEMA[] =
    /* Logs that are followed: how far, and the first and the last bytes up to there, by which another file of the same
     * inode is known. */
    "CREATE TABLE logs(name TEXT PRIMARY KEY, inode INTEGER NOT NULL, size INTEGER NOT NULL, offset INTEGER NOT NULL, "
    "anchor BLOB NOT NULL, damaged INTEGER NOT NULL, damaged_ms INTEGER NOT NULL) WITHOUT ROWID;"
    /* Runs: at_ms is the end, or the beginning while there is no end; line the end's line in the log, as long as it is
     * young; job 1: of the daemon's. */
    "CREATE TABLE runs(id INTEGER PRIMARY KEY, name TEXT NOT NULL, job INTEGER NOT NULL, run_id TEXT NOT NULL, "
    "at_ms INTEGER NOT NULL, started_ms INTEGER, ended_ms INTEGER, status INTEGER NOT NULL, exit_code INTEGER NOT "
    "NULL, pid INTEGER NOT NULL, duration_ms INTEGER NOT NULL, bytes_processed INTEGER NOT NULL, bytes_added INTEGER "
    "NOT NULL, flags INTEGER NOT NULL, error TEXT, line TEXT);"
    "CREATE INDEX runs_at ON runs(at_ms);"
    "CREATE INDEX runs_id ON runs(run_id, name);"
    "CREATE TABLE run_sources(run INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, status INTEGER NOT "
    "NULL, bytes INTEGER NOT NULL, files INTEGER NOT NULL, unreadable INTEGER NOT NULL, PRIMARY KEY(run, position)) "
    "WITHOUT ROWID;"
    "CREATE TABLE measurements(series TEXT NOT NULL, at_ms INTEGER NOT NULL, value REAL NOT NULL, "
    "PRIMARY KEY(series, at_ms)) WITHOUT ROWID;"
    /* Alerts, open (closed_ms 0) and lately closed ones. told_level: of what is believed out there, 0: nothing or that
     * it is over. */
    "CREATE TABLE alerts(rule TEXT NOT NULL, subject TEXT NOT NULL, level INTEGER NOT NULL, text TEXT NOT NULL, "
    "details TEXT, command TEXT, since_ms INTEGER NOT NULL, opened_ms INTEGER NOT NULL, changed_ms INTEGER NOT NULL, "
    "told_ms INTEGER NOT NULL, told_level INTEGER NOT NULL, over_ms INTEGER NOT NULL, over_level INTEGER NOT NULL, "
    "seen_ms INTEGER NOT NULL, unseen INTEGER NOT NULL, closed_ms INTEGER NOT NULL, PRIMARY KEY(rule, subject)) "
    "WITHOUT ROWID;"
    "CREATE TABLE silences(rule TEXT NOT NULL, subject TEXT NOT NULL, until_ms INTEGER NOT NULL, "
    "PRIMARY KEY(rule, subject)) WITHOUT ROWID;"
    "CREATE TABLE notes(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;" STATE_TABLE_OUTBOX;

/* Each names every column of a table: one that cannot be prepared is of a schema that is not ours. */
static const char *const PROBES[] = {
    "SELECT name, inode, size, offset, anchor, damaged, damaged_ms FROM logs LIMIT 1",
    "SELECT id, name, job, run_id, at_ms, started_ms, ended_ms, status, exit_code, pid, duration_ms, bytes_processed, "
    "bytes_added, flags, error, line FROM runs LIMIT 1",
    "SELECT run, position, name, status, bytes, files, unreadable FROM run_sources LIMIT 1",
    "SELECT series, at_ms, value FROM measurements LIMIT 1",
    "SELECT rule, subject, level, text, details, command, since_ms, opened_ms, changed_ms, told_ms, told_level, "
    "over_ms, over_level, seen_ms, unseen, closed_ms FROM alerts LIMIT 1",
    "SELECT rule, subject, until_ms FROM silences LIMIT 1",
    "SELECT key, value FROM notes LIMIT 1",
    "SELECT id, channel, kind, created_ms, due_ms, attempts, last_error, body_json FROM outbox LIMIT 1",
};
enum { PROBE_COUNT = sizeof PROBES / sizeof *PROBES };

/* --- connecting --- */

static int execute(struct state *s, const char *sql, struct err *err)
{
    int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : state_fail(s, rc, err);
}

/* What lies there and is no file: nobody can have it open. */
static int clear_place(const struct state *s, struct err *err)
{
    struct stat st;
    if (stat(s->path, &st) != 0 || S_ISREG(st.st_mode))
        return 0;
    char *aside = mem_printf("%s.damaged", s->path);
    int rc = rename(s->path, aside);
    if (rc != 0)
        rc = err_errno(err, errno, "state database '%s' is no file, and cannot be moved away", s->path);
    free(aside);
    return rc;
}

int state_connect(struct state *s, struct err *err)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int rc = sqlite3_open_v2(s->path, &s->db, flags, NULL);
    if (s->db == NULL)
        return err_set(err, ERR_FAILED, "state database '%s': out of memory", s->path);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    if (rc != SQLITE_OK)
        return state_fail(s, rc, err);
    struct stat st;
    if (stat(s->path, &st) == 0 && st.st_size == 0 && chmod(s->path, 0600) != 0)
        return err_errno(err, errno, "state database '%s' cannot be made private", s->path);
    /* Neither of these looks at the file. */
    return execute(s, "PRAGMA synchronous = NORMAL; PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY", err);
}

void state_disconnect(struct state *s)
{
    sqlite3_close(s->db);
    s->db = NULL;
}

/* The change to WAL waits for nobody: it is tried again. Where there can be no WAL (some network file systems) the
 * rollback journal does. */
static int choose_journal(struct state *s, struct err *err)
{
    for (int waited = 0;; waited += POLL_MS) {
        int rc =
            sqlite3_exec(s->db, "PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 1048576", NULL, NULL, NULL);
        if (rc == SQLITE_OK)
            return 0;
        if ((rc & 0xff) != SQLITE_BUSY || waited >= BUSY_MS)
            return state_fail(s, rc, err);
        os_sleep_ms(POLL_MS);
    }
}

/* --- looking --- */

static int64_t number_of(struct state *s, const char *sql, struct err *err)
{
    sqlite3_stmt *q = state_query(s, err, sql, "");
    int64_t n = q != NULL && state_step(s, q, err) == 1 ? sqlite3_column_int64(q, 0) : -1;
    sqlite3_finalize(q);
    return n;
}

/* -1 with s->damaged: it is not what it must be. -1 without: it could not be read now. */
static int check_tables(struct state *s, struct err *err)
{
    int64_t version = number_of(s, "PRAGMA user_version", err);
    if (version < 0)
        return -1;
    for (int i = 0; version == STATE_VERSION && i < PROBE_COUNT; i++)
        if (state_run(s, err, PROBES[i], "") != 0)
            return -1;
    if (version == STATE_VERSION)
        return 0;
    s->damaged = true;
    return err_set(err, ERR_CORRUPT, "state database '%s' is of another version", s->path);
}

/* Empty, and so to be filled? 1 yes, 0 no, -1 error. */
static int is_empty(struct state *s, struct err *err)
{
    int64_t objects = number_of(s, "SELECT count(*) FROM sqlite_master", err);
    return objects < 0 ? -1 : objects == 0 && number_of(s, "PRAGMA user_version", err) == 0;
}

/* All of it in one transaction, so that nobody sees tables without what has to be in them. */
static int make_tables(struct state *s, struct err *err)
{
    if (execute(s, "BEGIN IMMEDIATE", err) != 0)
        return -1;
    int rc = is_empty(s, err); /* else somebody else was faster */
    if (rc == 1) {
        char version[64];
        snprintf(version, sizeof version, "PRAGMA user_version = %d", STATE_VERSION);
        rc = execute(s, SCHEMA, err) == 0 && execute(s, version, err) == 0 ? alerts_restore(s, err) : -1;
        s->fresh = rc == 0;
    }
    return state_leave(s, true, rc, err);
}

static int look(struct state *s, struct err *err)
{
    if (choose_journal(s, err) != 0)
        return -1;
    int empty = is_empty(s, err);
    if (empty < 0 || (empty == 1 && make_tables(s, err) != 0))
        return -1;
    return check_tables(s, err);
}

/* --- repairing --- */

/* Through SQLite's own descriptor: closing another one of ours would give up its locks. */
static int copy_damaged(struct state *s, FILE *to)
{
    sqlite3_file *file = NULL;
    sqlite3_int64 size = 0;
    unsigned char block[65536];
    if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == NULL ||
        file->pMethods == NULL || file->pMethods->xFileSize(file, &size) != SQLITE_OK || size > COPY_MAX_BYTES)
        return -1;
    for (sqlite3_int64 at = 0; at < size; at += (sqlite3_int64)sizeof block) {
        int len = size - at < (sqlite3_int64)sizeof block ? (int)(size - at) : (int)sizeof block;
        int rc = file->pMethods->xRead(file, block, len, at);
        if ((rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ) || fwrite(block, 1, (size_t)len, to) != (size_t)len)
            return -1;
    }
    return 0;
}

/* A courtesy to whoever wants to know what happened: no reason to fail. */
static void keep_damaged(struct state *s)
{
    char *path = mem_printf("%s.damaged", s->path), *new_path = mem_printf("%s.damaged.new", s->path);
    FILE *to = fopen(new_path, "we");
    if (to != NULL) {
        bool whole = fchmod(fileno(to), 0600) == 0 && copy_damaged(s, to) == 0;
        whole = fclose(to) == 0 && whole;
        if (!whole || rename(new_path, path) != 0)
            unlink(new_path);
    }
    free(path);
    free(new_path);
}

/* Only one at a time. A descriptor, or -1. */
static int repair_lock(const struct state *s, struct err *err)
{
    char *path = os_path_join(s->dir, "state.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int errnum = errno;
    bool held = false;
    for (int waited = 0; fd >= 0 && !(held = flock(fd, LOCK_EX | LOCK_NB) == 0) && waited < BUSY_MS; waited += POLL_MS)
        os_sleep_ms(POLL_MS);
    if (fd < 0)
        err_errno(err, errnum, "cannot repair the state database: cannot open '%s'", path);
    else if (!held)
        err_set(err, ERR_TIMEOUT, "state database '%s' is being repaired by another process", s->path);
    if (fd >= 0 && !held)
        close(fd);
    free(path);
    return held ? fd : -1;
}

static int check_all(struct state *s, struct err *err)
{
    sqlite3_stmt *q = state_query(s, err, "PRAGMA quick_check(1)", "");
    int rc = q != NULL ? state_step(s, q, err) : -1;
    const char *answer = rc == 1 ? (const char *)sqlite3_column_text(q, 0) : NULL;
    s->damaged = s->damaged || (rc == 1 && (answer == NULL || sqlite3_stricmp(answer, "ok") != 0));
    sqlite3_finalize(q);
    if (rc == 1 && s->damaged)
        err_set(err, ERR_CORRUPT, "state database '%s' is damaged", s->path);
    return rc == 1 && !s->damaged ? check_tables(s, err) : -1;
}

static int reset(struct state *s, struct err *err)
{
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_RESET_DATABASE, 1, 0);
    int rc = execute(s, "VACUUM", err);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_RESET_DATABASE, 0, 0);
    return rc;
}

/* Only what is certainly damaged is emptied: a disk that cannot be read now, or a file that is busy, is an error. */
static int repair_locked(struct state *s, struct err *err)
{
    struct err why = {0};
    state_disconnect(s); /* what it has read and remembered is worth nothing */
    s->damaged = false;
    int rc = state_connect(s, &why) == 0 ? check_all(s, &why) : -1;
    if (rc != 0 && s->damaged) {
        keep_damaged(s);
        err_clear(&why);
        rc = reset(s, &why);
        s->damaged = false;
    }
    if (rc == 0)
        rc = look(s, &why);
    if (rc != 0 && err != NULL)
        *err = why;
    s->damaged = rc != 0;
    return rc;
}

int state_repair(struct state *s, struct err *err)
{
    int lock = repair_lock(s, err);
    if (lock < 0)
        return -1;
    int rc = repair_locked(s, err);
    close(lock);
    return rc;
}

int state_prepare_file(struct state *s, struct err *err)
{
    if (os_make_dirs(s->dir, 0700, err) != 0 || clear_place(s, err) != 0)
        return -1;
    struct err first = {0};
    if (state_connect(s, &first) == 0 && look(s, &first) == 0)
        return 0;
    if (s->damaged)
        return state_repair(s, err);
    if (err != NULL)
        *err = first;
    return -1;
}
