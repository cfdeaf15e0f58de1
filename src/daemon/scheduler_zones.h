/* Time zones kept loaded, because what is due is asked for often. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "plan/schedule_zone.h"

struct zones {
    struct zone_slot {
        char *name; /* NULL: local time */
        struct zone *zone;
    } * items;
    size_t count;
};

void zones_release(struct zones *z);
/* NULL when it cannot be read. Good until zones_refresh(). */
const struct zone *zones_get(struct zones *z, const char *name);
/* Reads all of them again, the package or the machine's zone may have changed. Says whether one did. One that cannot be
 * read now stays as it was. */
bool zones_refresh(struct zones *z);
