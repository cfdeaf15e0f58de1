/*
 * The tables of state.sqlite and how to talk to them. For monitor/ only.
 *
 * All writing happens between state_begin() and state_commit() or state_rollback(): one writer at a time, others wait.
 * Statements are finalized before the transaction ends. Whatever SQLite answers goes through state_step() or
 * state_prepare(), which notice damage, so that the next state_begin() repairs it.
 */
#pragma once
#include <sqlite3.h>
#include "base/err.h"
#include "monitor/state.h"

enum { STATE_VERSION = 1 }; /* user_version; another one is rebuilt */

/* Times are Unix milliseconds. Queued messages: one row for each message and channel; deleted when it was sent or given
 * up. due_ms: not before. kind and body_json are the outbox's own. */
#define STATE_TABLE_OUTBOX                                                                                         \
    "CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, channel TEXT NOT NULL, kind TEXT NOT NULL, "        \
    "created_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, last_error TEXT, " \
    "body_json TEXT NOT NULL);"                                                                                    \
    "CREATE INDEX outbox_channel ON outbox(channel, id);"

/* BEGIN IMMEDIATE. Repairs first when damage was seen. Inside another one: ERR_FAILED. */
int state_begin(struct state *s, struct err *err);
int state_commit(struct state *s, struct err *err);
void state_rollback(struct state *s); /* nothing when there is none */
bool state_in_transaction(const struct state *s);

/* After a failure, outside a transaction: was it damage, and is that repaired now? Then err is clear, and the caller
 * tries once more. */
bool state_mend(struct state *s, struct err *err);

/* Prepares and binds in order: 't' const char * (NULL binds NULL), 'i' int64_t (an int must be cast), 'd' double, 'b'
 * const void * and size_t. NULL: err is set. The caller finalizes. Texts must live until then. */
sqlite3_stmt *state_query(struct state *s, struct err *err, const char *sql, const char *types, ...);
/* 1: a row; 0: the end; -1: err is set (ERR_TIMEOUT busy, ERR_NO_SPACE, ERR_CORRUPT …). */
int state_step(struct state *s, sqlite3_stmt *stmt, struct err *err);
/* state_query(), all its rows passed over, finalized. */
int state_run(struct state *s, struct err *err, const char *sql, const char *types, ...);
/* A column as text of the caller's; NULL where it is NULL. */
char *state_column_text(sqlite3_stmt *stmt, int column);
