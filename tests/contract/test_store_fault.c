/* The fault-injecting store that injects none is a store like any other. */
#include "local_place.h"
#include "store/fault.h"

static struct store *open_wrapped(void *place)
{
    return store_fault_new(local_place_open(place), STORE_FAULT_NONE, 0);
}

int main(void)
{
    static const struct contract_backend fault = {
        .name = "fault",
        .place_new = local_place_new,
        .place_free = local_place_free,
        .open = open_wrapped,
        .plant = local_place_plant,
        .has = local_place_has,
    };
    return contract_store_run(&fault);
}
