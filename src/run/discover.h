/*
 * Looking around on this machine for what is worth backing up and for places to keep it: for `clawback setup`. Reads
 * only, starts nothing but `docker`/`podman` and `git` to ask them, connects to servers on this machine alone, and is
 * bounded in time everywhere.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "plan/home.h"
#include "run/mounts.h"

struct discovered_git {
    char *path;             /* of the working tree, or of the bare repository */
    struct strlist remotes; /* their names */
};

enum discovered_access {
    DISCOVERED_READY,        /* tried, works */
    DISCOVERED_NEEDS_SECRET, /* it runs, but wants a password that is not known */
    DISCOVERED_STOPPED,      /* a container that does not run now */
    DISCOVERED_UNCLEAR       /* it runs, and does not answer as it should: see why */
};

struct discovered_server {
    char *container;       /* its name; or NULL and */
    char *socket;          /* PostgreSQL: the socket's directory, or */
    char *url;             /* redis://127.0.0.1:6379 */
    char *user, *database; /* NULL: not known */
    enum discovered_access access;
    char *why; /* for people, unless READY; may be NULL */
};

struct discovered_servers {
    struct discovered_server *items;
    size_t count;
};

struct discovered_place { /* a mounted drive to keep backups on */
    char *path, *type;
    bool network;
    uint64_t free_bytes, total_bytes; /* total 0: it does not answer */
    bool writable;                    /* by this user */
};

struct discovery {
    struct agent_home home;
    struct strlist extra; /* further paths that were asked for */
    struct discovered_git *repositories;
    size_t repository_count;
    struct strlist sqlite; /* databases below all of them */
    struct discovered_servers postgres, redis;
    struct discovered_place *places; /* network drives and disks other than the sources', most free space first */
    size_t place_count;
    struct mounts mounts;
    char *source_path; /* what free_bytes is of: the home, or the user's */
    uint64_t free_bytes, total_bytes;
    bool search_cut; /* directories too large to be searched to their end */
    struct strlist notes;
};

struct discover_options {
    const char *home;            /* a state directory; NULL: looked for */
    const struct strlist *paths; /* further ones, absolute; NULL: none */
    bool servers;                /* look for databases and containers, too */
};

/* -1 only when the home that was named is not there (ERR_NOT_FOUND), or the working directory cannot be found. What
 * could not be looked at is a note. discovery_release() either way. */
int discover(const struct discover_options *options, struct discovery *out, struct err *err);
void discovery_release(struct discovery *d);

/* The parts: discover_tree.c, discover_servers.c, discover_containers.c. */

/* Git repositories at and below the paths, appended. */
void discover_git(struct discovery *d, const struct strlist *roots);
/* SQLite databases below the directory, appended. Caches and what git keeps are not searched. */
void discover_databases(struct discovery *d, const char *root);
/* PostgreSQL and Redis in containers, and how containers of theirs are published: `ports` gets the host's ports, so
 * that a server is not taken twice. READY means only that the container runs: nobody has asked the server yet. */
void discover_containers(struct discovery *d, uint16_t *ports, size_t *port_count, size_t max);
/* From what `docker inspect` prints. Wipes nothing: the text is the caller's. */
void discover_containers_parse(struct discovery *d, const char *json, size_t len, uint16_t *ports, size_t *port_count,
                               size_t max);
/* Servers of this machine itself; `ports`: those of containers. Those in containers, found before, are tried, too. */
void discover_servers(struct discovery *d, const uint16_t *ports, size_t port_count);
struct discovered_server *discovered_server_add(struct discovered_servers *l);
