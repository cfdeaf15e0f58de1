/*
 * A file of STORE_RESERVE_BYTES in a repository's directory that only takes up space: tidying up a full disk needs a
 * lock and now and then an index file before anything can be removed, and this is where they go.
 */
#pragma once
#include <stdbool.h>
#include "store/store.h"

/* Makes it unless it is there, or, unless it is retaken, free space is below ten times its size. Failures are silent:
 * it is only a help. */
void reserve_keep(const char *base, bool retake);
/* Removes it. False when there was none. */
bool reserve_give_up(const char *base);
