/* One body of tests for all storage backends: what store/store.h promises. A backend adds a program that describes how
 * to make a place for a repository, and passes it to contract_store_run(). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "store/store.h"

struct contract_backend {
    const char *name;
    void *(*place_new)(void); /* an empty place, where there is no repository yet */
    void (*place_free)(void *place);
    struct store *(*open)(void *place); /* any number of stores may be open at one place */
    /* Behind the store's back: writes a file at a path of the layout ("data/ab/tmp-1"), and tells whether one is there.
     */
    void (*plant)(void *place, const char *path, const void *p, size_t len);
    bool (*has)(void *place, const char *path);
};

/* Runs all of them; main's result. */
int contract_store_run(const struct contract_backend *backend);
