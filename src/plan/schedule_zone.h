/*
 * Time zones by name, beside the process's own: what the C library knows of one zone only, and by a global variable.
 * Read from the system's compiled time zone data, with the rule behind it for the years to come. Immutable once loaded:
 * any number of threads.
 *
 * Sources: RFC 8536 (TZif, versions 1 to 3), POSIX.1-2017 section 8.3 (TZ), tzset(3).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct zone;

/* By its IANA name below $TZDIR or /usr/share/zoneinfo. NULL: the local zone as the C library finds it: $TZ (a name, a
 * file, or a rule like CET-1CEST,M3.5.0,M10.5.0/3), else /etc/localtime, else UTC. ERR_USAGE: no such zone, or its file
 * is none. */
int zone_load(const char *name, struct zone **out, struct err *err);
void zone_free(struct zone *z); /* NULL is nothing */
/* Do they show the same at any time? */
bool zone_equal(const struct zone *a, const struct zone *b);

/* The stretch of time with one offset around an instant. */
struct zone_span {
    int64_t start_s, end_s; /* Unix time; end is not in it. INT64_MIN, INT64_MAX: none */
    int32_t offset_s;       /* seconds east of UTC */
    int32_t before_s;       /* the offset before it began */
};
void zone_find(const struct zone *z, int64_t unix_s, struct zone_span *out);

/* When clocks show this (seconds, counted as if it was UTC): the first time if they do twice; when they never do, the
 * moment of the change that skips it. */
int64_t zone_instant(const struct zone *z, int64_t local_s);
