/* Indexes: what decodes must encode to text that decodes and encodes to the same again. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "repo/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct encoding {
    struct buf *out;
    bool begun;
};

static int add_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct encoding *e = ctx;
    (void)err;
    if (e->begun)
        buf_append_byte(e->out, ',');
    e->begun = true;
    index_encode_pack(e->out, pack_id, blobs, count);
    return 0;
}

static bool encode_decoded(const void *data, size_t size, struct buf *out)
{
    struct encoding e = {.out = out};
    buf_init(out, (size_t)1 << 30);
    index_encode_begin(out);
    if (index_decode(data, size, add_pack, &e, NULL) != 0) {
        buf_release(out);
        return false;
    }
    index_encode_end(out);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf first, second;
    if (!encode_decoded(data, size, &first))
        return 0;
    if (!encode_decoded(first.data, first.len, &second))
        abort();
    if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
        abort();
    buf_release(&first);
    buf_release(&second);
    return 0;
}
