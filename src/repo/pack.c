#include "repo/pack.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Types on disk: bit 0 tells trees from data, bit 1 says compressed. */
enum { TYPE_TREE = 1, TYPE_COMPRESSED = 2, TYPE_COUNT = 4 };
/* What encryption adds to each blob. */
enum { OVERHEAD_BYTES = 32 };

const char *blob_type_name(enum blob_type type)
{
    return type == BLOB_TREE ? "tree" : "data";
}

static void put_u32le(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static uint32_t get_u32le(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void pack_header_encode(const struct pack_blob *blobs, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct pack_blob *b = &blobs[i];
        unsigned char entry[PACK_ENTRY_COMPRESSED_BYTES], *p = entry;
        *p++ = (unsigned char)((b->type == BLOB_TREE ? TYPE_TREE : 0) | (b->raw_length > 0 ? TYPE_COMPRESSED : 0));
        put_u32le(p, b->length);
        p += 4;
        if (b->raw_length > 0) {
            put_u32le(p, b->raw_length);
            p += 4;
        }
        memcpy(p, b->id.bytes, ID_BYTES);
        buf_append(out, entry, (size_t)(p - entry) + ID_BYTES);
    }
}

/* Reads one entry of at most len bytes. Returns its size, or 0 with *problem set. */
static size_t decode_entry(const unsigned char *p, size_t len, struct pack_blob *b, const char **problem)
{
    unsigned type = p[0];
    if (type >= TYPE_COUNT) {
        *problem = "blob type is not known";
        return 0;
    }
    bool compressed = type & TYPE_COMPRESSED;
    size_t size = compressed ? PACK_ENTRY_COMPRESSED_BYTES : PACK_ENTRY_BYTES;
    if (len < size) {
        *problem = "entry is cut off";
        return 0;
    }
    *b = (struct pack_blob){.type = type & TYPE_TREE ? BLOB_TREE : BLOB_DATA, .length = get_u32le(p + 1)};
    if (compressed)
        b->raw_length = get_u32le(p + 5);
    memcpy(b->id.bytes, p + size - ID_BYTES, ID_BYTES);
    if (b->length < OVERHEAD_BYTES || (compressed && (b->length == OVERHEAD_BYTES || b->raw_length == 0))) {
        *problem = "blob length is impossible";
        return 0;
    }
    return size;
}

static int decode_entries(const unsigned char *p, size_t len, uint64_t data_bytes, struct pack_blob *blobs,
                          size_t *count, struct err *err)
{
    uint64_t offset = 0;
    for (size_t at = 0, size; at < len; at += size) {
        const char *problem = NULL;
        struct pack_blob *b = &blobs[*count];
        size = decode_entry(p + at, len - at, b, &problem);
        if (size == 0)
            return err_set(err, ERR_CORRUPT, "pack header is damaged: entry %zu: %s", *count, problem);
        b->offset = (uint32_t)offset;
        offset += b->length;
        if (offset > data_bytes)
            return err_set(err, ERR_CORRUPT, "pack header is damaged: blob %zu ends behind the pack's data", *count);
        ++*count;
    }
    if (offset != data_bytes)
        return err_set(err, ERR_CORRUPT, "pack header is damaged: it lists %llu bytes of blobs, the pack has %llu",
                       (unsigned long long)offset, (unsigned long long)data_bytes);
    return 0;
}

int pack_header_decode(const unsigned char *p, size_t len, uint64_t data_bytes, struct pack_blob **out_blobs,
                       size_t *out_count, struct err *err)
{
    *out_blobs = NULL;
    *out_count = 0;
    if (data_bytes > UINT32_MAX)
        return err_set(err, ERR_UNSUPPORTED, "pack is too large: %llu bytes of blobs, 4 GiB is the format's limit",
                       (unsigned long long)data_bytes);
    if (len == 0 || len > PACK_HEADER_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, "pack header is damaged: its length is %zu", len);
    struct pack_blob *blobs = mem_array(NULL, len / PACK_ENTRY_BYTES + 1, sizeof *blobs);
    if (decode_entries(p, len, data_bytes, blobs, out_count, err) != 0) {
        free(blobs);
        *out_count = 0;
        return -1;
    }
    *out_blobs = blobs;
    return 0;
}
