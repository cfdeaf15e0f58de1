/*
 * SQLite databases by name as a source. Each is captured like a database among files (sqlite.h, by the same content
 * code: one committed state, WAL included, nothing written beside it, writers not disturbed) and lies in the snapshot
 * under its own path, as it would among files: a restore puts it back where it was, and a tier of files and one of
 * databases give the same tree for it.
 *
 * What differs from files: a file that is missing, is no SQLite database, or is damaged is an error and not a warning,
 * and there is no snapshot (`strict`).
 */
#pragma once
#include <stdint.h>
#include "base/strlist.h"
#include "source/source.h"

/* paths: absolute, clean; copied. Nothing is looked at before source_push(). A path given twice counts once.
 * limit_read_bytes_per_s: 0: none. */
int sqlite_source_new(struct source **out, const struct strlist *paths, uint64_t limit_read_bytes_per_s,
                      struct err *err);
