/*
 * What a PostgreSQL server is and has, asked through psql. Everything belongs to struct pg_server until
 * pg_server_release().
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "source/postgres_client.h"

struct pg_database {
    char *name, *owner, *encoding, *collate, *ctype;
    uint64_t size_bytes;       /* 0: unknown */
    const char *left_out;      /* why it is not to be dumped; NULL: it is. A literal */
    struct strlist extensions; /* "name version"; filled by pg_server_look_into */
};

struct pg_server {
    unsigned version; /* 150018 */
    char *version_text;
    char *user; /* that we are */
    bool superuser, sees_passwords, in_recovery;
    struct pg_database *databases; /* by name */
    size_t database_count;
};

/* Runs the script in psql, at most two minutes. In the answer each value ends with a NUL, so that names may hold
 * anything. */
int pg_ask(const struct pg_client *c, const char *database, const char *script, struct buf *out, struct err *err);
/* The next value of an answer, from *at on; NULL at its end. Borrowed from it. */
const char *pg_next_value(const struct buf *answer, size_t *at);

/* Asks, and settles in the client what was not said of host and port, so that every tool means the same server. Errors
 * of postgres_list_databases. */
int pg_server_ask(struct pg_server *out, struct pg_client *c, struct err *err);
/* Connects to the database, to see that it can be done, and notes its extensions. */
int pg_server_look_into(struct pg_database *d, const struct pg_client *c, struct err *err);
/* Appends what is known as a JSON document; of the databases those that are not left out. */
void pg_server_describe(const struct pg_server *s, struct buf *out);
void pg_server_release(struct pg_server *s);
