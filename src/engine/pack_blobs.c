#include "engine/pack_blobs.h"

#include <stdlib.h>

#include "base/mem.h"
#include "crypto/cipher.h"

static const uint64_t PACK_FRAME_BYTES = CIPHER_OVERHEAD_BYTES + sizeof(uint32_t); /* around the header's entries */

static int compare_offsets(const void *a, const void *b, void *ctx)
{
    const struct index *ix = ctx;
    const struct index_entry *x = index_loaded(ix, *(const uint32_t *)a), *y = index_loaded(ix, *(const uint32_t *)b);
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int pack_blobs_build(struct pack_blobs *out, const struct index *ix, struct err *err)
{
    size_t count = index_loaded_count(ix), packs = index_pack_count(ix);
    if (count >= UINT32_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the repository holds more blobs than this program can count");
    out->pack_count = packs;
    out->begin = mem_zalloc((packs + 2) * sizeof *out->begin);
    out->positions = mem_array(NULL, count + 1, sizeof *out->positions);
    /* Counts two places on, sums up, and then lets begin[p+1] run from the pack's begin to its end. */
    for (size_t i = 0; i < count; i++)
        out->begin[index_entry_pack(index_loaded(ix, i)) + 2]++;
    for (size_t p = 2; p < packs + 2; p++)
        out->begin[p] += out->begin[p - 1];
    for (size_t i = 0; i < count; i++)
        out->positions[out->begin[index_entry_pack(index_loaded(ix, i)) + 1]++] = (uint32_t)i;
    for (size_t p = 0; p < packs; p++)
        qsort_r(out->positions + out->begin[p], out->begin[p + 1] - out->begin[p], sizeof *out->positions,
                compare_offsets, (void *)(uintptr_t)ix);
    return 0;
}

void pack_blobs_release(struct pack_blobs *p)
{
    free(p->begin);
    free(p->positions);
    *p = (struct pack_blobs){0};
}

static uint64_t blob_bytes(uint32_t length, uint32_t raw_length)
{
    return (uint64_t)length + (raw_length > 0 ? PACK_ENTRY_COMPRESSED_BYTES : PACK_ENTRY_BYTES);
}

uint64_t pack_blobs_expected_bytes(const struct pack_blobs *p, const struct index *ix, uint32_t pack)
{
    uint64_t bytes = PACK_FRAME_BYTES;
    for (uint32_t i = p->begin[pack]; i < p->begin[pack + 1]; i++) {
        const struct index_entry *e = index_loaded(ix, p->positions[i]);
        bytes += blob_bytes(e->length, e->raw_length);
    }
    return bytes;
}

uint64_t pack_expected_bytes(const struct pack_blob *blobs, size_t count)
{
    uint64_t bytes = PACK_FRAME_BYTES;
    for (size_t i = 0; i < count; i++)
        bytes += blob_bytes(blobs[i].length, blobs[i].raw_length);
    return bytes;
}
