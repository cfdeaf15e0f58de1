/*
 * The given paths as a tree of names. What lies below a given path is taken wholly; a directory on the way to one gives
 * only the names in here. Read-only once made.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "base/strlist.h"

struct target {
    char *name; /* "" for the root */
    size_t name_len;
    bool given;              /* one of the given paths */
    struct target *children; /* in byte order */
    size_t count;
};

struct targets {
    struct target root;
    struct strlist missing; /* given paths that don't exist */
    size_t found;           /* how many do */
};

/* Only a path that certainly does not exist: one that may not be looked at is met, and reported, by the walk. */
bool targets_is_missing(const char *path);
/* Paths must be absolute (ERR_USAGE). Those that don't exist are set aside in `missing`. */
int targets_make(struct targets *t, const struct strlist *paths, struct err *err);
void targets_release(struct targets *t);
/* The child of that name, or NULL. `t` may be NULL. */
const struct target *target_child(const struct target *t, const char *name, size_t name_len);
