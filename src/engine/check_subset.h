/* Which packs a partial check reads. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "engine/check.h"
#include "engine/stored_files.h"

/* packs: the numbers of all packs that could be read (each is in `files`); reduced in place to those that shall be. */
int check_subset_choose(const struct check_subset *s, const struct index *ix, const struct stored_files *files,
                        uint32_t *packs, size_t *count, struct err *err);
/* Into an order by chance. */
int check_shuffle(uint32_t *packs, size_t count, struct err *err);
