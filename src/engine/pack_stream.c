/*
 * Invariants: window[begin … begin+len) holds the pack's bytes from start on; everything before start+len has been
 * hashed, in order, when a hash is wanted. Bytes are hashed as they arrive, because callers decrypt in place. They are
 * moved to the window's beginning only when more is read, not for each blob.
 */
#include "engine/pack_stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "crypto/cipher.h"
#include "repo/repo.h"

enum {
    WINDOW_BYTES = 1 << 20,
    WINDOW_KEEP_BYTES = 12 << 20, /* a buffer that a giant blob made is given back before the next pack */
    GAP_READ_BYTES = 128 << 10,   /* shorter gaps are read through: one long read is cheaper than two */
};

void pack_stream_init(struct pack_stream *s, struct store *store)
{
    *s = (struct pack_stream){.store = store};
}

void pack_stream_release(struct pack_stream *s)
{
    free(s->window);
    s->window = NULL;
    s->cap = 0;
}

void pack_stream_open(struct pack_stream *s, const struct id *pack_id, uint64_t pack_bytes, struct sha256 *hash)
{
    id_to_hex(pack_id, s->name);
    s->pack_bytes = pack_bytes;
    s->hash = hash;
    s->start = 0;
    s->begin = s->len = 0;
    if (s->cap > WINDOW_KEEP_BYTES)
        pack_stream_release(s);
    if (hash != NULL)
        sha256_begin(hash);
}

/* Drops everything before `offset`, which may lie behind what was read when nothing is hashed. */
static void drop_before(struct pack_stream *s, uint64_t offset)
{
    assert(offset >= s->start);
    uint64_t drop = offset - s->start;
    if (drop >= s->len) {
        s->begin = s->len = 0;
    } else {
        s->begin += (size_t)drop;
        s->len -= (size_t)drop;
    }
    s->start = offset;
}

/* Reads on until the window holds at least `want` bytes, and a whole window where the pack has that much. */
static int fill(struct pack_stream *s, size_t want, struct err *err)
{
    size_t target = want > WINDOW_BYTES ? want : WINDOW_BYTES;
    uint64_t left = s->pack_bytes - s->start;
    if (target > left)
        target = (size_t)left;
    if (s->len > 0)
        memmove(s->window, s->window + s->begin, s->len);
    s->begin = 0;
    if (target > s->cap) {
        s->window = mem_realloc(s->window, target);
        s->cap = target;
    }
    size_t n = target - s->len;
    if (store_read(s->store, STORE_PACK, s->name, s->start + s->len, s->window + s->len, n, err) != 0)
        return -1;
    if (s->hash != NULL)
        sha256_add(s->hash, s->window + s->len, n);
    s->len += n;
    return 0;
}

/* Moves the window's start to `offset`; what lies between is read when it must be hashed or when that is cheaper. */
static int move_to(struct pack_stream *s, uint64_t offset, struct err *err)
{
    uint64_t end = s->start + s->len;
    bool read_gap = s->hash != NULL || (s->len > 0 && offset - end < GAP_READ_BYTES);
    while (read_gap && offset > end) {
        drop_before(s, end);
        if (fill(s, 1, err) != 0)
            return -1;
        end = s->start + s->len;
    }
    drop_before(s, offset);
    return 0;
}

int pack_stream_get(struct pack_stream *s, uint64_t offset, size_t len, unsigned char **out, struct err *err)
{
    if (offset > s->pack_bytes || len > s->pack_bytes - offset)
        return err_set(err, ERR_CORRUPT, "pack '%s' ends before offset %llu", s->name,
                       (unsigned long long)offset + len);
    if (len > (size_t)REPO_BLOB_MAX_BYTES + CIPHER_OVERHEAD_BYTES)
        return err_set(err, ERR_CORRUPT, "pack '%s': a blob of %zu bytes is more than any program writes", s->name,
                       len);
    if (move_to(s, offset, err) != 0)
        return -1;
    if (s->len < len && fill(s, len, err) != 0)
        return -1;
    *out = s->window + s->begin;
    return 0;
}

int pack_stream_finish(struct pack_stream *s, struct err *err)
{
    return s->hash != NULL ? move_to(s, s->pack_bytes, err) : 0;
}
