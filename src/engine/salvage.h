/*
 * Writing trees anew without what is lost: the heart of `repair snapshots`.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "engine/bits.h"
#include "engine/repair.h"
#include "repo/lock.h"
#include "repo/writer.h"

struct salvage;

/* bad: the entries of the loaded index whose blobs cannot be read. w: new trees go there (of a dry run they go
 * nowhere). All borrowed. NULL on failure. */
struct salvage *salvage_new(struct repo *r, struct lock *lock, const struct bits *bad, struct writer *w, bool dry_run,
                            const struct repair_snapshots_reporter *reporter, struct err *err);
void salvage_free(struct salvage *s);

/* Works through one snapshot. out->changed says whether anything is lost, then *root_out is the new root tree, in the
 * writer (durable after writer_flush()); with out->lost there is none. out->snapshot is set by the caller. */
int salvage_snapshot(struct salvage *s, struct repaired_snapshot *out, struct id *root_out, struct err *err);
