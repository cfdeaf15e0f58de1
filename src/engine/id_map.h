/* A hash map from IDs to numbers: 40 bytes an entry, at most three quarters full. Not thread-safe. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/id.h"

struct id_map_slot {
    struct id id;
    uint64_t value_plus_1; /* 0: free */
};

/* A zeroed one is empty. */
struct id_map {
    struct id_map_slot *slots;
    size_t count, cap;
};

/* Sets the ID's value (below UINT64_MAX). Returns true when it was not there before. */
bool id_map_put(struct id_map *m, const struct id *id, uint64_t value);
/* False when it is not there. `value` may be NULL. */
bool id_map_get(const struct id_map *m, const struct id *id, uint64_t *value);
void id_map_release(struct id_map *m);
