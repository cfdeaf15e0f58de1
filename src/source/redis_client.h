/*
 * Asking a Redis server: logging in, commands and their replies, and what its complaints mean.
 *
 * There are two ways to ask: a connection (redis_client_open), and the redis-cli of a container (redis_cli.h). What
 * only asks takes a `struct redis_asker` and does not know which.
 */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "source/redis_link.h"
#include "source/redis_reply.h"

struct redis_asker {
    /* argv: NULL-terminated. 0 with what the server answered, which may be an error (kind REDIS_ERROR); -1 when it
     * could not be asked. */
    int (*ask)(void *ctx, const char *const *argv, struct redis_reply *out, struct err *err);
    void *ctx;
    const char *where; /* for messages: "127.0.0.1:6379", "container x" */
    const char *user;  /* whom it asks as, for messages; NULL: the default user */
};

/*
 * What a server's complaint ("NOAUTH Authentication required.") means for whoever wanted `what` from it, and what to do
 * about it. Returns -1.
 *   ERR_PERMISSION  NOAUTH, WRONGPASS, NOPERM, DENIED (protected mode)
 *   ERR_FAILED      LOADING, NOMASTERLINK, MASTERDOWN, an unknown command, anything else
 */
int redis_complain(const struct redis_asker *a, const char *what, const char *complaint, struct err *err);

struct redis_login {
    const struct redis_url *url;
    const char *user, *password; /* NULL: the default user; no password */
    uint64_t idle_ms, deadline_ns;
};

struct redis_client {
    struct redis_link *link;
    struct redis_reader reader;
    struct redis_asker asker; /* asks over this connection */
};

/* Connects, logs in and finds that the server answers. What `login` points to must outlive the client. A password that
 * the server does not want is no error. Errors: as redis_link_open, and ERR_PERMISSION. */
int redis_client_open(struct redis_client **out, const struct redis_login *login, struct err *err);
/* Asks; a complaint of the server is an error (redis_complain with `what`). `out` may be NULL. */
int redis_ask(const struct redis_asker *a, const char *what, const char *const *argv, struct redis_reply *out,
              struct err *err);
void redis_client_close(struct redis_client *c); /* NULL is nothing */
