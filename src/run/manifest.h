/*
 * The manifest: what a tier would take, what it leaves out and why, which of it is secret. The files are walked by the
 * very source that a backup uses, with the same excludes, into a sink that only counts; so what is said here is what is
 * stored. Writes nothing.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/strlist.h"
#include "plan/plan.h"

struct manifest_path {
    char *path;
    uint64_t files, dirs, bytes;
    bool missing;
};

struct manifest_exclude { /* everything that one rule leaves out */
    char *rule;           /* a pattern, or "exclude_larger_than" … */
    char *why;            /* for people */
    uint64_t files, bytes;
    char *example; /* one path of them */
};

struct manifest_secret {
    char *path;
    const char *what;
    bool exposed; /* others than its owner can read it */
};

/* Repositories, databases, commands. */
struct manifest_item {
    const char *kind; /* "git", "postgres", "redis", "sqlite", "command" */
    char *name;
    char *detail; /* for people; NULL: nothing to say */
    uint64_t bytes;
    bool bytes_known;
    bool problem; /* detail says what is wrong */
    bool absent;  /* it does not run */
};

struct manifest {
    const struct plan_tier *tier;
    struct manifest_path *paths;
    size_t path_count;
    struct manifest_exclude *excludes; /* by bytes, the largest first */
    size_t exclude_count;
    struct manifest_secret *secrets; /* by path */
    size_t secret_count;
    struct manifest_item *items;
    size_t item_count;
    struct strlist unreadable; /* messages */
    uint64_t unreadable_count; /* of which `unreadable` has the first ones */
    uint64_t files, dirs, bytes;
    uint64_t excluded_files, excluded_bytes;
};

enum { MANIFEST_MESSAGES_MAX = 20, MANIFEST_SNIFFED_MAX = 100000 };

struct manifest_options {
    const char *cache_dir; /* ours, which is never taken; NULL: none */
    bool look_into;        /* files' beginnings, for secrets; else names alone count */
    bool servers;          /* ask databases how large they are */
    uint64_t server_timeout_ms;
};

struct manifest_progress {
    _Atomic uint64_t files, bytes;
};

/* -1: nothing could be said (ERR_USAGE for a malformed exclude, ERR_INTERRUPTED). Paths that are missing are in the
 * manifest as such. `progress` may be NULL. manifest_release() either way. */
int manifest_make(const struct plan *p, const struct plan_tier *t, const struct manifest_options *options,
                  struct manifest_progress *progress, struct manifest *out, struct err *err);
void manifest_release(struct manifest *m);

/* Its archive is not encrypted: `secrets` are not in it, and count as excluded. */
bool manifest_leaves_secrets_out(const struct manifest *m);

/* Its parts. */

/* Bytes and files at and below a path, links not followed, other file systems not entered. */
void manifest_measure(const char *path, uint64_t *files, uint64_t *bytes);
/* Repositories, databases and commands of the tier, appended to out->items. */
void manifest_add_items(const struct plan_tier *t, const struct manifest_options *options, struct manifest *out);
