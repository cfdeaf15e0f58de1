/* The files of one type in a store with their sizes, sorted by ID: 40 bytes each. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/id.h"
#include "store/store.h"

struct stored_file {
    struct id id;
    uint64_t bytes;
};

struct stored_files {
    struct stored_file *items;
    size_t count, cap;
    uint64_t bytes; /* of all */
};

/* out is overwritten; released by stored_files_release, also after a failure. */
int stored_files_list(struct store *s, enum store_type type, struct stored_files *out, struct err *err);
/* The file of this ID, or NULL. */
const struct stored_file *stored_files_find(const struct stored_files *f, const struct id *id);
void stored_files_release(struct stored_files *f);
