/*
 * Blobs that are stored more than once: which copy stays.
 */
#pragma once
#include "base/err.h"
#include "engine/prune_plan.h"

/* For every needed blob leaves exactly one bit in plan->used: the copy that stays. Needs packs[].sound. Copies in packs
 * that have to stay anyway are preferred, and a copy is read and proven before the others count as superfluous; when
 * none is good, all stay and their packs are reported. ERR_CORRUPT when a needed blob has no copy in a sound pack. */
int prune_choose_copies(struct prune_plan *plan, struct lock *lock, const struct prune_reporter *reporter,
                        struct prune_result *result, struct err *err);
