/* A look at a database server that a plan names: does it run, does it let us in, how much is in it? */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "plan/plan.h"

enum server_state {
    SERVER_UP,
    SERVER_DOWN,       /* it does not run, or the container is absent or stopped */
    SERVER_DENIED,     /* it runs, and does not let us in */
    SERVER_UNREADABLE, /* it lets us in, but our user may not do what a dump needs */
    SERVER_FAILED      /* anything else */
};

struct server_look {
    enum server_state state;
    char *name;    /* "container 'ai-erp-postgres'", "redis://127.0.0.1:6379" without a password */
    char *version; /* "PostgreSQL 15.18", "redis 7.0.15"; NULL: not known */
    char *what;    /* "databases ai_erp, shop", "1,024 keys"; NULL: not known */
    uint64_t bytes;
    bool bytes_known;
    struct err why; /* unless UP */
};

/* Both connect, ask, and leave again; bounded by timeout_ms. Passwords are fetched and wiped. server_look_release(). */
void server_look_postgres(const struct plan_postgres *p, uint64_t timeout_ms, struct server_look *out);
void server_look_redis(const struct plan_redis *r, uint64_t timeout_ms, struct server_look *out);
void server_look_release(struct server_look *l);

/* How people call it; no secrets. The caller frees it. */
char *server_name_postgres(const struct plan_postgres *p);
char *server_name_redis(const struct plan_redis *r);
