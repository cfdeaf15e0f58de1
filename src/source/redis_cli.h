/*
 * Redis in a container, through the container's own redis-cli (or valkey-cli, keydb-cli): asking, and a dump.
 *
 * The password goes by the variable REDISCLI_AUTH, whose value is never an argument. Where none is given but the
 * container's own environment has one (REDIS_PASSWORD, VALKEY_PASSWORD: images that are set up by it), it is used
 * there without ever leaving the container.
 */
#pragma once
#include "source/container.h"
#include "source/redis_client.h"
#include "source/redis_payload.h"

struct redis_cli {
    struct container container;
    const char *program; /* that the container has */
    char *user, *password;
    char *name, *where; /* the container's; "container x" */
    uint64_t timeout_ms;
    struct redis_asker asker;
};

/* Finds the container and what it has. ERR_NOT_FOUND: it does not run; ERR_UNSUPPORTED: it has no such program;
 * ERR_PERMISSION, ERR_TIMEOUT, ERR_FAILED. user, password: NULL: none; copied. timeout_ms: for each question. */
int redis_cli_open(struct redis_cli **out, const char *container, const char *user, const char *password,
                   uint64_t timeout_ms, struct err *err);
void redis_cli_close(struct redis_cli *c); /* NULL is nothing */

/* The dump that `redis-cli --rdb -` writes; `c` outlives the payload. timeout_ms: for all of it; 0: none. */
int redis_cli_dump(struct redis_payload **out, const struct redis_cli *c, uint64_t timeout_ms, struct err *err);
