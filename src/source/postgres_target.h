/*
 * Which server is meant, and how its tools are told: pure functions on postgres_options. A password is kept apart from
 * the rest from here on.
 */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "source/postgres.h"

struct pg_target {
    char *container; /* or one of: */
    char *hosts;     /* of a URL: what stands between user and path, "db:5433" or "a:1,b:2"; may be "" */
    char *query;     /* of a URL: "?sslmode=require", without secrets, user and database; may be "" */
    char *socket_dir;
    char *port; /* of the socket; NULL: the default */
    bool is_url;

    char *user, *database; /* NULL: not said */
    char *password;        /* NULL: none */
    char *place;           /* "/postgres/NAME[/DATABASE]" */
    char *label;           /* for messages: "the container 'x'", "the server at db:5433", "the local server" */
};

/* ERR_USAGE: more than one place is given, or the URL is none, or holds what cannot be kept out of sight. No message
 * quotes a URL. */
int pg_target_init(struct pg_target *out, const struct postgres_options *options, struct err *err);
void pg_target_release(struct pg_target *t); /* wipes the password */

/* What libpq takes for this database ("-d …"), without the password. `database` NULL: none said. The caller frees it.
 */
char *pg_target_connection(const struct pg_target *t, const char *database);
