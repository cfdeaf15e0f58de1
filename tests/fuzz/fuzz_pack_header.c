/* Pack headers: what decodes has blobs one behind the other up to the end, and encodes to the same bytes. The input's
 * first byte is added to the size of the data that the header itself claims, so that right sizes and wrong ones both
 * come up. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "repo/pack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t claimed_bytes(const uint8_t *p, size_t len)
{
    uint64_t sum = 0;
    for (size_t at = 0; at + PACK_ENTRY_BYTES <= len; at += p[at] & 2 ? PACK_ENTRY_COMPRESSED_BYTES : PACK_ENTRY_BYTES)
        sum += (uint64_t)p[at + 1] | (uint64_t)p[at + 2] << 8 | (uint64_t)p[at + 3] << 16 | (uint64_t)p[at + 4] << 24;
    return sum;
}

static void check_blobs(const struct pack_blob *blobs, size_t count, uint64_t data_bytes)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (blobs[i].offset != offset)
            abort();
        offset += blobs[i].length;
    }
    if (offset != data_bytes)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pack_blob *blobs;
    size_t count;
    if (size == 0)
        return 0;
    const uint8_t *header = data + 1;
    size_t len = size - 1;
    uint64_t data_bytes = claimed_bytes(header, len) + data[0];
    if (pack_header_decode(header, len, data_bytes, &blobs, &count, NULL) != 0)
        return 0;
    check_blobs(blobs, count, data_bytes);
    struct buf text;
    buf_init(&text, len);
    pack_header_encode(blobs, count, &text);
    if (text.len != len || memcmp(text.data, header, len) != 0)
        abort();
    buf_release(&text);
    free(blobs);
    return 0;
}
