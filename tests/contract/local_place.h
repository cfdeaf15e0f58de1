/* Places on the local disk, for the backends that end there. */
#pragma once
#include "contract_store.h"
#include "store/local.h"
#include "store/scratch.h"

struct local_place {
    char *dir;
    char *repository; /* below dir; not made yet */
};

static inline void *local_place_new(void)
{
    struct local_place *p = mem_alloc(sizeof *p);
    p->dir = scratch_make();
    p->repository = os_path_join(p->dir, "repository");
    return p;
}

static inline void local_place_free(void *place)
{
    struct local_place *p = place;
    scratch_remove(p->dir);
    free(p->repository);
    free(p);
}

static inline struct store *local_place_open(void *place)
{
    struct err err = {0};
    struct store *s;
    if (store_local_new(&s, ((const struct local_place *)place)->repository, &err) != 0) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return s;
}

static inline void local_place_plant(void *place, const char *path, const void *p, size_t len)
{
    scratch_write(((const struct local_place *)place)->repository, path, p, len);
}

static inline bool local_place_has(void *place, const char *path)
{
    return scratch_has(((const struct local_place *)place)->repository, path);
}
