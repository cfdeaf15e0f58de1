/* Which entries of the loaded index lie in which pack: 4 bytes a blob, built once. Immutable afterwards. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "repo/index.h"

struct pack_blobs {
    uint32_t *begin;     /* of pack p: positions[begin[p] … begin[p+1]) */
    uint32_t *positions; /* in the loaded index; within a pack sorted by offset */
    size_t pack_count;
};

/* ERR_UNSUPPORTED when the index holds 2³² entries or more. */
int pack_blobs_build(struct pack_blobs *out, const struct index *ix, struct err *err);
void pack_blobs_release(struct pack_blobs *p);
static inline size_t pack_blobs_count(const struct pack_blobs *p, uint32_t pack)
{
    return p->begin[pack + 1] - p->begin[pack];
}
/* The size that a pack of exactly these blobs has: their stored bytes, the header, and its length field. */
uint64_t pack_blobs_expected_bytes(const struct pack_blobs *p, const struct index *ix, uint32_t pack);
/* The same for a list of blobs from elsewhere. */
uint64_t pack_expected_bytes(const struct pack_blob *blobs, size_t count);
