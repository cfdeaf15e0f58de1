/*
 * Containers, seen through the command line of their engine: Docker or Podman, run by root or without. Knows nothing of
 * what runs in them.
 *
 * Nothing secret is ever an argument: variables for a program in a container are named to the engine (`exec -e NAME`)
 * and have their value in the environment of the engine's own process.
 *
 * Ending the engine's process does not end what it started in the container. So a program is started there through
 * `sh`, which tells its process number first; on a timeout, an interruption or an early end it is ended by a second
 * `exec`, after a look at a mark in its environment that tells it from whoever may have got the number since. Where a
 * container has no `sh` it is started directly, and ended from outside, by its mark, which only root can do, and only
 * where the engine runs on this machine.
 *
 * Each process belongs to one thread at a time; any number of them at once.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"
#include "os/process.h"

enum container_state {
    CONTAINER_RUNNING,
    CONTAINER_STOPPED,   /* it is there, but does not run (or is paused: nothing can be started in it) */
    CONTAINER_ABSENT,    /* no engine knows it */
    CONTAINER_NO_ENGINE, /* neither docker nor podman is installed, or none of them runs */
};

struct container {
    enum container_state state;
    char *name, *id, *image;
    char *status;  /* the engine's own word: "running", "exited", "paused" …; of one that is not there: what else is
                    * wrong ("docker is installed, but does not run"), or NULL */
    char *program; /* of the engine: "docker" or "podman" */
    char *host;    /* DOCKER_HOST that the engine has to be given; NULL: as it finds it itself */
    /* "127.0.0.1:55432->5432/tcp", or "5432/tcp" when it is not published. */
    struct strlist ports;
    /* Its environment: the names alone, but "NAME=value" of those that are known to be harmless and useful
     * (POSTGRES_USER, POSTGRES_DB, PGUSER, PGDATABASE, PGPORT, REDIS_PORT …). Never a secret's value. */
    struct strlist env;
};
/* Frees what it holds; a zeroed one is nothing. */
void container_release(struct container *c);

/* Looks for it by name or ID, in docker first, then in podman. 0 whatever its state (only name and state are set when
 * it is absent); -1 when it cannot be told: ERR_PERMISSION (the engine does not let us in), ERR_TIMEOUT, ERR_FAILED. */
int container_find(struct container *out, const char *name, struct err *err);
/* 0 if it runs; else -1 with ERR_NOT_FOUND and what is the matter: stopped, absent, no engine. */
int container_require_running(const struct container *c, struct err *err);
/* The value in `env`, or "" when only the name is there, or NULL. Borrowed. */
const char *container_env(const struct container *c, const char *name);

struct container_exec {
    char *const *argv;              /* NULL-terminated; looked up in the container's PATH; nothing secret */
    const char *const *environment; /* "NAME=value", NULL-terminated, for the program in the container; may be secret;
                                     * names of variables that the engine itself needs (PATH, HOME, DOCKER_HOST …) are
                                     * not allowed; NULL: none */
    const char *user;               /* to be there; NULL: as the container says */
    bool with_stdin;                /* as in struct process_options */
    int stdin_fd;
    uint64_t timeout_ms; /* for all of it; 0: none */
};

struct container_process;
/* Starts it and returns when it runs. ERR_NOT_FOUND: the container does not run (any more); ERR_UNSUPPORTED: the
 * container has no such program (where it has no sh either, container_wait tells); else as process_start(). `c` is
 * borrowed until container_process_free. */
int container_start(struct container_process **out, const struct container *c, const struct container_exec *options,
                    struct err *err);
/* As process_read, process_wait, process_stderr; messages name the program in the container. After an error, a timeout
 * or an interruption the program in the container was ended, too. */
int64_t container_read(struct container_process *p, void *out, size_t cap, struct err *err);
int container_wait(struct container_process *p, struct err *err);
const char *container_stderr(struct container_process *p);
/* Ends it, in the container too, if it has not ended by itself. NULL is nothing. */
void container_process_free(struct container_process *p);
/* All in one, as process_run. */
int container_run(const struct container *c, const struct container_exec *options, struct buf *out, struct err *err);
