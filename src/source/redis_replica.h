/*
 * A dump over the replication protocol: asks for a full synchronization as a replica would, takes the dump that a fork
 * of the server sends, and hangs up without ever acknowledging anything.
 *
 * Asked for with `capa eof`, so that a server that can sends it from memory, and with `rdb-only 1`, so that it collects
 * no commands for us meanwhile (Redis 7.0 on; what older ones collect is bounded by their client-output-buffer-limit).
 * The payload's frame is taken off: "$<length>", or "$EOF:<mark>" and the mark after the last byte. Line breaks that
 * keep the connection alive while the server forks are passed over.
 *
 * Source: "Redis replication" at redis.io, and the messages on the wire.
 */
#pragma once
#include "source/redis_client.h"
#include "source/redis_payload.h"

/* valkey_version: what to say of ourselves to a Valkey server, its own version, so that it holds nothing back that an
 * older one would not understand; NULL: nothing. What `login` points to must outlive the payload. Errors: as
 * redis_client_open and redis_complain. */
int redis_replica_open(struct redis_payload **out, const struct redis_login *login, const char *valkey_version,
                       struct err *err);
