/*
 * Checks a Redis dump (RDB) while it streams past: that it is one, where it ends, and that its checksum is right.
 * Nothing of it is kept; memory is bounded by a few hundred bytes plus the databases' counters.
 *
 * Understands what Redis to 8.6, Valkey to 9.2 and KeyDB write (RDB versions 1 to 14, and Valkey's 80 and 81), modules'
 * values included. Values are not decoded: what counts is where each ends. From the first type or opcode that is
 * unknown on the structure can no longer be followed; then the checksum, and the end mark before it, decide alone, and
 * rdb_is_followed() says so.
 *
 * Sources: the file format as Redis' rdb.h names it and "RDB file format" at rdb.fnordig.de; CRC-64-Jones.
 * One check belongs to one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum { RDB_TRAILER_BYTES = 8, RDB_DATABASES_KEPT = 256, RDB_AUX_BYTES = 64 };

struct rdb_database {
    uint64_t number, keys, expires; /* `expires`: how many of the keys have a time to live */
};

struct rdb_facts {
    unsigned version;                   /* of the format */
    bool is_valkey;                     /* the magic is Valkey's own */
    uint64_t bytes;                     /* from the magic to the checksum's end */
    uint64_t keys;                      /* in all databases */
    bool has_checksum;                  /* false: the server writes none (rdbchecksum no, or a format before 5) */
    uint64_t functions, modules;        /* libraries of functions; modules' own records */
    char server_version[RDB_AUX_BYTES]; /* "redis-ver", "valkey-ver"; "" when it does not say */
    uint64_t created_s;                 /* "ctime": when the server wrote it; 0 when it does not say */
    unsigned database_count;            /* of `databases`; those after RDB_DATABASES_KEPT are only in `keys` */
    struct rdb_database databases[RDB_DATABASES_KEPT];
};

struct rdb_check;
struct rdb_check *rdb_check_new(void);
/* One that goes on from where the other is. */
struct rdb_check *rdb_check_copy(const struct rdb_check *c);
void rdb_check_free(struct rdb_check *c); /* NULL is nothing */

/* Takes the next bytes and returns how many of them belong to the dump: fewer than len once it is at its end, where
 * rdb_check_at_end() is true. -1, ERR_CORRUPT: they cannot be a dump; the message says at which byte. */
int64_t rdb_check_feed(struct rdb_check *c, const void *bytes, size_t len, struct err *err);
/* Everything up to the end mark and its checksum was seen. Never while the structure cannot be followed: whoever frames
 * the dump knows its end then. */
bool rdb_check_at_end(const struct rdb_check *c);
bool rdb_is_followed(const struct rdb_check *c);
/* The type or opcode from which on it was not; for messages. */
unsigned rdb_unknown_code(const struct rdb_check *c);

/* After the last byte: 0 when it is a whole dump. ERR_CORRUPT: it ends too early, has no end mark, or a wrong checksum.
 * A dump without a checksum is whole if its structure was followed to the end, and an error if it was not. */
int rdb_check_finish(struct rdb_check *c, struct err *err);
/* What is known so far. */
const struct rdb_facts *rdb_check_facts(const struct rdb_check *c);
