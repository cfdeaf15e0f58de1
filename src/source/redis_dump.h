/*
 * A dump as a content for a sink: opened when the sink asks, checked while it streams, and whole only if its frame, its
 * own end and its checksum agree.
 */
#pragma once
#include "source/redis_payload.h"
#include "sink/sink.h"

struct redis_dump_options {
    /* Asks the server for a dump. */
    int (*open)(void *ctx, struct redis_payload **out, struct err *err);
    void *ctx;                            /* outlives the content */
    const struct sink_reporter *reporter; /* for warnings; outlives the content; NULL: none */
    const char *path;                     /* the dump's, for them; copied */
    bool expects_valkey;                  /* a dump in the format of Redis is then worth a warning */
};

/* It frees itself with its release. */
struct sink_content *redis_dump_content_new(const struct redis_dump_options *options);
