/* A store that is written to slowly is a store like any other. */
#include "local_place.h"
#include "store/limited.h"

static struct store *open_wrapped(void *place)
{
    return store_limited_new(local_place_open(place), (uint64_t)1 << 40);
}

int main(void)
{
    static const struct contract_backend limited = {
        .name = "limited",
        .place_new = local_place_new,
        .place_free = local_place_free,
        .open = open_wrapped,
        .plant = local_place_plant,
        .has = local_place_has,
    };
    return contract_store_run(&limited);
}
