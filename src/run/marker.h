/*
 * What tells one drive from another: a small JSON document with a random ID, in the destination itself (the marker) and
 * in the state directory (what is remembered of it).
 */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "base/id.h"

struct marker {
    struct id id;         /* random */
    struct id repository; /* of the repository in it; zero: none yet, or not known */
};

/* Both: the caller frees it. */
char *marker_path(const char *destination_dir);
char *marker_state_path(const char *state_dir, const char *destination_name);

/* ERR_NOT_FOUND; ERR_CORRUPT when it is no marker; ERR_IO … */
int marker_read(const char *path, struct marker *out, struct err *err);

/* Wholly or not at all. The directory above it must be there. name: of the destination, for people who look. */
int marker_write(const char *path, const struct marker *m, const char *name, struct err *err);
