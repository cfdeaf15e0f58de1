/* The pieces of discover_servers.c: for it, discover_postgres.c and tests. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "run/discover.h"

/* A Redis server's process title, "redis-server 127.0.0.1:6379" or "… unixsocket:/run/redis.sock [sentinel]": its port,
 * or the path of its socket (the caller frees it; NULL when there is none). False when it is none. */
bool discover_redis_title(const char *title, uint16_t *port_out, char **socket_out);

/* Tries those that were found in containers that run; then servers on sockets in the usual directories, and on port
 * 5432 where there is no socket. `listening`: ports of this machine; `published`: those of containers among them. */
void discover_postgres(struct discovery *d, const uint16_t *listening, size_t listening_count,
                       const uint16_t *published, size_t published_count);
