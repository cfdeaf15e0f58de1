/*
 * Running PostgreSQL's own tools against a server: the container's in the container, this machine's for anything else.
 * The password travels in the environment.
 *
 * A client may be used by several threads at once, once it is open; each tool belongs to one thread at a time.
 */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"
#include "os/user.h"
#include "source/container.h"
#include "source/postgres_target.h"

struct pg_client {
    struct pg_target target;
    struct container container; /* where target.container is set */
    char *bin_dir;              /* of the tools, with them in it; NULL: by PATH */
    struct os_user run_as;      /* the system's user to become; a zeroed one: stay */
    bool lend_password;         /* the container's own POSTGRES_PASSWORD may be tried */
};

/* Finds the container and decides who to be. ERR_NOT_FOUND: it does not run. See postgres_list_databases. */
int pg_client_open(struct pg_client *out, const struct postgres_options *options, struct err *err);
void pg_client_release(struct pg_client *c);

/* Chooses, for a server of this version (150018), which of this machine's installations of the tools to use from now
 * on. The server's own major version is preferred, else the next newer one. ERR_UNSUPPORTED: none is new enough. In a
 * container only its own are looked at. */
int pg_client_choose_tools(struct pg_client *c, unsigned server_version, struct err *err);

struct pg_tool_options {
    const char *name;           /* "pg_dump" */
    const struct strlist *args; /* without the name and the connection */
    const char *database;       /* to connect to; NULL: none said */
    bool without_connection;    /* it connects to nothing */
    bool as_utf8;               /* text in the client's encoding is to be UTF-8 */
    bool with_stdin;
    int stdin_fd;
    uint64_t timeout_ms;
};

struct pg_tool;
/* As process_start; ERR_UNSUPPORTED when there is no such program. */
int pg_tool_start(struct pg_tool **out, const struct pg_client *c, const struct pg_tool_options *options,
                  struct err *err);
/* As process_read and process_wait; what went wrong is explained by what the tool said (postgres_words.h). */
int64_t pg_tool_read(struct pg_tool *t, void *out, size_t cap, struct err *err);
int pg_tool_wait(struct pg_tool *t, struct err *err);
void pg_tool_free(struct pg_tool *t); /* ends it, wherever it runs; NULL is nothing */
/* All in one; `script` becomes its standard input, if it is not NULL (at most 32 KiB). */
int pg_tool_run(const struct pg_client *c, const struct pg_tool_options *options, const char *script, struct buf *out,
                struct err *err);

/* psql's arguments for scripts: nothing read from the user's files, first error ends it, values alone. */
void pg_psql_arguments(struct strlist *args);
