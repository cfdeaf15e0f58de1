/*
 * A store in a directory: the format's default layout (keys/, …, data/xx/), modes 0700/0600, widened to group-readable
 * where the config file is group-readable. Files become read-only (0400) once they have their name.
 *
 * A file is written under a temporary name ("tmp-" and 16 random hex digits) in a directory where listings, ours and
 * those of other programs, skip it, synced, and renamed. So whatever has an ID for a name is whole, at any moment, and
 * what a killed writer leaves is a temporary file, which store_clean() removes.
 */
#pragma once
#include "store/store.h"
/* path: made absolute. Nothing is touched yet. */
int store_local_new(struct store **out, const char *path, struct err *err);
