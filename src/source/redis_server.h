/*
 * What a Redis server says of itself, and of that what a restore needs beside the dump:
 *
 *     {"product": "redis", "version": "7.0.15", "mode": "standalone", "role": "master",
 *      "databases": {"0": {"keys": 3, "expires": 1}},      just before the dump; what the dump has is in the dump
 *      "modules": [{"name": "ReJSON", "version": "20609"}],
 *      "acl": ["user default on …"],                       as ACL LIST says, passwords as hashes; null: not permitted
 *      "config": {"appendonly": "no", …},                  settings of persistence and memory; null: not permitted
 *      "cluster": ["…"]}                                   CLUSTER NODES; only of a node of a cluster
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "base/buf.h"
#include "source/redis_client.h"

enum { REDIS_WORD_BYTES = 64 };

struct redis_server {
    char product[REDIS_WORD_BYTES]; /* "redis", "valkey", "keydb", "dragonfly" */
    char version[REDIS_WORD_BYTES]; /* the product's own */
    char mode[REDIS_WORD_BYTES], role[REDIS_WORD_BYTES];
    char master_host[256], master_port[REDIS_WORD_BYTES]; /* of a replica */
    bool is_replica, master_link_up, is_cluster, is_loading;
    uint64_t keys, used_memory_bytes;
    json_t *document; /* as above */
};

/* Asks INFO, which must be answered; the rest as far as it is permitted. *out is released on failure. */
int redis_server_look(struct redis_server *out, const struct redis_asker *asker, struct err *err);
/* INFO alone: for a quick look. `document` has only what comes from it. */
int redis_server_glance(struct redis_server *out, const struct redis_asker *asker, struct err *err);
/* The document as JSON text, appended. */
void redis_server_write(const struct redis_server *s, struct buf *out);
void redis_server_release(struct redis_server *s); /* a zeroed one is nothing */
