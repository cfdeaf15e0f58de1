#include "local_place.h"

int main(void)
{
    static const struct contract_backend local = {
        .name = "local",
        .place_new = local_place_new,
        .place_free = local_place_free,
        .open = local_place_open,
        .plant = local_place_plant,
        .has = local_place_has,
    };
    return contract_store_run(&local);
}
