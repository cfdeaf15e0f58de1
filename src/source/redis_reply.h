/*
 * What a Redis server says: the replies of its protocol (RESP2), read from any stream of bytes with bounded memory.
 *
 * Source: "Redis serialization protocol specification" at redis.io.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"

/* Where bytes come from, and those that were read but not used yet. */
struct redis_reader {
    /* As redis_link_read(). */
    int64_t (*read)(void *ctx, void *p, size_t cap, struct err *err);
    void *ctx;
    size_t at, len;
    unsigned char room[16384];
};

/* One byte; ERR_IO "closed the connection" at the end. */
int redis_read_byte(struct redis_reader *r, unsigned char *out, struct err *err);
/* A line without its line break (CR LF, or LF alone), at most out->max bytes; replaces what was in out. */
int redis_read_line(struct redis_reader *r, struct buf *out, struct err *err);
/* Some bytes, those that are here already first: count, 0 at the end, -1. */
int64_t redis_read_some(struct redis_reader *r, void *p, size_t cap, struct err *err);

enum redis_reply_kind { REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_BULK, REDIS_NIL, REDIS_ARRAY };

/* REPLY_ITEMS_MAX, REPLY_BYTES_MAX: of all items of one reply together; more is ERR_FAILED. */
enum { REDIS_REPLY_ITEMS_MAX = 100000, REDIS_REPLY_BYTES_MAX = 16 << 20, REDIS_REPLY_DEPTH_MAX = 8 };

struct redis_reply { /* a zeroed one is fine to read into */
    enum redis_reply_kind kind;
    /* The text of a status, an error, an integer or a bulk; of an array all its items in order, those of arrays in it
     * too, nothing for nil. Each ends at its first NUL. */
    struct strlist items;
};
void redis_reply_release(struct redis_reply *r);
/* The first item, or "". Borrowed. */
const char *redis_reply_text(const struct redis_reply *r);

/* Replaces *out. ERR_CORRUPT: this is no Redis protocol. */
int redis_reply_read(struct redis_reader *r, struct redis_reply *out, struct err *err);

/* argv (NULL-terminated) as the protocol writes a command. */
void redis_command_encode(const char *const *argv, struct buf *out);
