/*
 * A PostgreSQL server as a source: one dump a database in pg_dump's custom format, uncompressed so that it
 * deduplicates, streamed through without a temporary file; the rows of every table, counted in the very snapshot that
 * the dump is made from; roles and tablespaces; what the server is.
 *
 *     /postgres/NAME/DATABASE.dump            pg_restore reads it
 *     /postgres/NAME/DATABASE.counts.json     {"database", "tables": [{"schema", "name", "rows"}], "rows"}
 *     /postgres/NAME/globals.sql              pg_dumpall --globals-only
 *     /postgres/NAME/server.json              version; encoding, locale, owner and extensions of each database
 *
 * NAME is the container, the URL's host (with its port, unless it is 5432), the socket's path, or "local", followed by
 * "/DATABASE" when only one database is asked for.
 *
 * The tools are the container's own, or those of this machine that fit the server best. They run with the environment's
 * PGPASSWORD, never with a password in an argument. As root, with nothing but a local socket, they run as the system's
 * user of the database user's name (peer authentication).
 *
 * A dump is good when pg_dump ended with status 0, the archive's table of contents and its data blocks agree, it ends
 * where a block ends, and the rows in its data are those that were counted. Anything else fails the source (it is
 * strict). A table that somebody holds locked for more than a minute (or half of the timeout) is an error, too.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "source/source.h"

struct postgres_options {
    /* At most one of these. None: the local server, where the C library of PostgreSQL looks for it. */
    const char *container; /* name or ID */
    const char *url;       /* postgresql://…; a password in it is taken out and goes the way of `password` */
    const char *socket;    /* the directory of the socket, or the socket itself ("/run/postgresql/.s.PGSQL.5433") */
    const char *user;      /* NULL: the URL's; the container's POSTGRES_USER, or "postgres"; else this user's name */
    const char *database;  /* NULL: the URL's, else all that allow connections and are no templates */
    const char *password;  /* NULL: the URL's, else none (~/.pgpass, the container's own POSTGRES_PASSWORD) */
    uint64_t timeout_ms;   /* for each dump; 0: none */
    bool check_rights;     /* postgres_list_databases: may the user read all that is to be dumped? See `denied` */
};

struct postgres_database {
    char *name;
    uint64_t size_bytes; /* on the server's disk; 0: unknown */
    bool skipped;        /* a template, or one that allows no connections */
};
struct postgres_databases {
    struct postgres_database *items;
    size_t count;
    char *server_version; /* "15.18 (Debian …)" */
    struct err denied;    /* check_rights: the first database that a dump would fail on, and why; else ERR_NONE */
};

/* What postgres_source_new() would take, by name. Errors, besides ERR_TIMEOUT and ERR_INTERRUPTED:
 *   ERR_NOT_FOUND    the server does not run: the container is stopped, absent, or there is no engine; nobody listens
 *   ERR_PERMISSION   it runs, but does not let us in: password, pg_hba.conf, the engine's socket
 *   ERR_UNSUPPORTED  the tools are missing, or older than the server; the message says what to install
 *   ERR_USAGE        the options contradict each other
 *   ERR_FAILED       anything else: the database does not exist … */
int postgres_list_databases(struct postgres_databases *out, const struct postgres_options *options, struct err *err);
void postgres_databases_release(struct postgres_databases *d);

/* Checks the options (ERR_USAGE) and touches nothing else. They are copied; `strict` is set.
 *
 * source_start(), or else source_push(), looks at the server before anything is pushed; their errors are those of
 * postgres_list_databases. What goes wrong with a dump itself is an error of its content. Warnings: roles without their
 * passwords (the user may not read them), tables that pg_dump left out, a dump in a format that is newer than we know.
 * Databases left out are reported as excluded. */
int postgres_source_new(struct source **out, const struct postgres_options *options, struct err *err);
