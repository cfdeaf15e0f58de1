#include "daemon/scheduler_zones.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void zones_release(struct zones *z)
{
    for (size_t i = 0; i < z->count; i++) {
        free(z->items[i].name);
        zone_free(z->items[i].zone);
    }
    free(z->items);
    *z = (struct zones){0};
}

static bool same_name(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

const struct zone *zones_get(struct zones *z, const char *name)
{
    for (size_t i = 0; i < z->count; i++)
        if (same_name(z->items[i].name, name))
            return z->items[i].zone;
    struct zone_slot slot = {.name = name != NULL ? mem_strdup(name) : NULL};
    zone_load(name, &slot.zone, NULL);
    z->items = mem_array(z->items, z->count + 1, sizeof *z->items);
    z->items[z->count++] = slot;
    return slot.zone;
}

bool zones_refresh(struct zones *z)
{
    bool changed = false;
    for (size_t i = 0; i < z->count; i++) {
        struct zone *now;
        if (zone_load(z->items[i].name, &now, NULL) < 0)
            continue;
        if (z->items[i].zone == NULL || !zone_equal(z->items[i].zone, now))
            changed = true;
        zone_free(z->items[i].zone);
        z->items[i].zone = now;
    }
    return changed;
}
