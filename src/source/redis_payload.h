/*
 * The bytes of a dump as they come from a server, by one of two ways; redis_dump.h checks them. Used by one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct redis_payload;
struct redis_payload_ops {
    /* Some bytes, as soon as there are any; 0 at the end, when it is known that all came; -1. */
    int64_t (*read)(struct redis_payload *p, void *out, size_t cap, struct err *err);
    void (*close)(struct redis_payload *p); /* ends whatever still runs for it */
};

/* Implementations embed it as their first member. */
struct redis_payload {
    const struct redis_payload_ops *ops;
    /* The 40 bytes by which the server marked the end of its stream may come after the dump, or not. */
    bool may_have_mark;
};

enum { REDIS_MARK_BYTES = 40 };
