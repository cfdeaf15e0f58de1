/*
 * Reads one pack front to back in big pieces through a window of bounded size, handing out blobs as they lie. One
 * thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/id.h"
#include "crypto/sha256.h"
#include "store/store.h"

struct pack_stream {
    struct store *store;
    char name[ID_HEX_BYTES];
    uint64_t pack_bytes;
    struct sha256 *hash;   /* borrowed; NULL: not hashed, and gaps may be skipped */
    unsigned char *window; /* window[begin … begin+len) are the pack's bytes from `start` on */
    size_t cap, begin, len;
    uint64_t start;
};

/* A stream is used for one pack after another and keeps its buffer. */
void pack_stream_init(struct pack_stream *s, struct store *store);
void pack_stream_release(struct pack_stream *s);
/* Begins a pack. With a hash every byte is read and hashed on the way. */
void pack_stream_open(struct pack_stream *s, const struct id *pack_id, uint64_t pack_bytes, struct sha256 *hash);
/* len bytes at offset, which must not lie before the last one asked for. *out is valid, and may be overwritten, until
 * the next call. ERR_CORRUPT when the pack ends before offset+len; else the store's error. */
int pack_stream_get(struct pack_stream *s, uint64_t offset, size_t len, unsigned char **out, struct err *err);
/* Reads (and hashes) what is left. */
int pack_stream_finish(struct pack_stream *s, struct err *err);
