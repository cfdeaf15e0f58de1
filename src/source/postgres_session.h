/*
 * One transaction of psql's that holds a snapshot, for pg_dump to use and for counting in it. Belongs to one thread at
 * a time.
 */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "source/postgres_client.h"
#include "source/postgres_rows.h"

struct pg_session;
/* Begins it, read-only. timeout_ms: for all that it does; 0: none. `c` is borrowed until pg_session_free. */
int pg_session_open(struct pg_session **out, const struct pg_client *c, const char *database, uint64_t timeout_ms,
                    struct err *err);
/* For `pg_dump --snapshot`. Good until pg_session_free. */
const char *pg_session_snapshot(const struct pg_session *s);
/* The rows of every table that pg_dump dumps, sorted by name. Can be called once. */
int pg_session_count(struct pg_session *s, struct pg_rows *out, struct err *err);
void pg_session_free(struct pg_session *s); /* NULL is nothing */

/* How long to wait for a table that somebody holds locked: a minute, or half of the time there is for all. */
unsigned pg_lock_wait_ms(uint64_t timeout_ms);
