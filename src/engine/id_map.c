#include "engine/id_map.h"

#include <stdlib.h>

#include "base/mem.h"

/* The slot of this ID, or the free one where it belongs. cap is a power of two and never full. */
static struct id_map_slot *find_slot(struct id_map_slot *slots, size_t cap, const struct id *id)
{
    size_t i = (size_t)id_hash(id) & (cap - 1);
    while (slots[i].value_plus_1 != 0 && !id_equal(&slots[i].id, id))
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void grow(struct id_map *m)
{
    size_t cap = m->cap == 0 ? 16 : m->cap * 2;
    struct id_map_slot *slots = mem_zalloc(cap * sizeof *slots);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].value_plus_1 != 0)
            *find_slot(slots, cap, &m->slots[i].id) = m->slots[i];
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
}

bool id_map_put(struct id_map *m, const struct id *id, uint64_t value)
{
    if (m->count >= m->cap / 4 * 3)
        grow(m);
    struct id_map_slot *slot = find_slot(m->slots, m->cap, id);
    bool is_new = slot->value_plus_1 == 0;
    slot->id = *id;
    slot->value_plus_1 = value + 1;
    m->count += is_new;
    return is_new;
}

bool id_map_get(const struct id_map *m, const struct id *id, uint64_t *value)
{
    if (m->cap == 0)
        return false;
    const struct id_map_slot *slot = find_slot(m->slots, m->cap, id);
    if (slot->value_plus_1 == 0)
        return false;
    if (value != NULL)
        *value = slot->value_plus_1 - 1;
    return true;
}

void id_map_release(struct id_map *m)
{
    free(m->slots);
    *m = (struct id_map){0};
}
