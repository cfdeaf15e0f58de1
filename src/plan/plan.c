#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const struct plan_destination *plan_destination_find(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->destination_count; i++)
        if (strcmp(p->destinations[i].name, name) == 0)
            return &p->destinations[i];
    return NULL;
}

const struct plan_tier *plan_tier_find(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->tier_count; i++)
        if (strcmp(p->tiers[i].name, name) == 0)
            return &p->tiers[i];
    return NULL;
}

/* All that a plan points to, its lists too, lies in one arena. */
void plan_free(struct plan *p)
{
    if (p == NULL)
        return;
    struct arena *arena = p->owned;
    if (arena != NULL)
        arena_release(arena);
    free(arena);
    free(p);
}
