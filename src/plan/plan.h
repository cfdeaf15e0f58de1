/*
 * The plan: what clawback.yaml says, checked and complete. Paths are absolute, "~" expanded. Everything a struct here
 * points to belongs to the plan, until plan_free(), and is for reading: its lists cannot grow.
 *
 * Reading and checking: plan/config.h.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/strlist.h"
#include "plan/alerts.h"
#include "plan/retention.h"
#include "plan/schedule.h"
#include "plan/secret.h"

/* Numbers that were not given are 0, strings NULL, lists empty, unless a comment says otherwise. */

struct plan_destination {
    const char *name;
    const char *location;    /* a path, absolute; or what store_open() takes ("local:/x") */
    bool require_mount;      /* paths: a drive must be mounted there: run/destination.h */
    const char *mount_point; /* the drive's, absolute, never "/"; NULL: not named. Only with require_mount */
    uint64_t reserve_bytes;  /* free space that a run leaves alone; default 100 MB */
    bool allow_unencrypted;  /* unencrypted archives may go there */
    uint64_t limit_write_bytes_per_s;
    const char *compression;  /* repositories: off, fastest, auto (NULL), better, max */
    struct secret passphrase; /* its own; kind SECRET_NONE: the plan's */
    unsigned line;
};

struct plan_git {
    const char *path;    /* a repository, or a directory below which all are found */
    const char *push;    /* name of the remote; NULL: none */
    uint64_t timeout_ms; /* for the push; default 5 min */
};

/* Exactly one of container, url and socket is set, or none: the local server's default socket. */
struct plan_postgres {
    const char *container, *url, *socket;
    const char *user, *database; /* database NULL: all */
    struct secret password;
};

struct plan_redis { /* one of both */
    const char *container, *url;
    struct secret password;
    const char *user;
};

struct plan_command {
    const char *name;       /* the file's name in the snapshot */
    struct strlist command; /* argv; a single string in YAML is given to /bin/sh -c */
};

enum plan_format { PLAN_REPOSITORY, PLAN_ARCHIVE };
enum plan_when { PLAN_ALWAYS, PLAN_RUNNING }; /* RUNNING: what does not run is skipped and recorded */
enum plan_on_shrink { PLAN_SHRINK_FAIL, PLAN_SHRINK_WARN };
enum plan_codec { PLAN_GZIP, PLAN_ZSTD, PLAN_UNCOMPRESSED };

struct plan_hooks { /* argv each; empty: none. Single strings are given to /bin/sh -c */
    struct strlist before, after, failure;
    uint64_t timeout_ms; /* each; default 10 min */
};

struct plan_archive {
    const char *prefix;        /* default: the tier's name */
    enum plan_codec codec;     /* default gzip */
    struct strlist recipients; /* OpenPGP keys; empty: symmetric with the passphrase */
    bool unencrypted;
};

struct plan_keep {
    bool all;
    struct retention_policy policy; /* empty when `all`, or when nothing was said (then nothing is ever removed) */
};

struct plan_tier {
    const char *name;
    struct schedule schedule; /* kind SCHEDULE_NONE: only when named */
    bool disabled;
    struct strlist files, exclude, exclude_if_present;
    bool exclude_caches, one_file_system, no_agent_excludes;
    uint64_t exclude_larger_than;
    struct plan_git *git;
    size_t git_count;
    struct plan_postgres *postgres;
    size_t postgres_count;
    struct plan_redis *redis;
    size_t redis_count;
    struct strlist sqlite; /* databases by name */
    struct plan_command *commands;
    size_t command_count;
    enum plan_when when;
    enum plan_on_shrink on_shrink; /* of a dump to less than a tenth of its last size; default FAIL */
    enum plan_format format;
    struct plan_archive archive;
    struct strlist to; /* names of destinations, in order; at least one */
    struct plan_keep keep;
    struct plan_hooks hooks;
    struct plan_retry retry;
    uint64_t timeout_ms; /* for each dump; default 1 h */
    unsigned line;
};

struct plan {
    char *file;       /* where it was read from */
    char *home;       /* state directory of the agent; NULL: none given, found by discovery */
    const char *host; /* default: this machine's name */
    struct secret passphrase;
    struct plan_destination *destinations;
    size_t destination_count;
    struct plan_tier *tiers;
    size_t tier_count;
    struct plan_hooks hooks; /* around the whole run */
    struct plan_health health;
    struct plan_alerts alerts;
    unsigned cpus;
    uint64_t limit_read_bytes_per_s;
    void *owned; /* config.c's: a struct arena, or NULL */
};

const struct plan_destination *plan_destination_find(const struct plan *p, const char *name); /* NULL: none */
const struct plan_tier *plan_tier_find(const struct plan *p, const char *name);
void plan_free(struct plan *p); /* NULL is nothing */
