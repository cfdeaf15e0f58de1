/*
 * Pack files: blobs one after another, then an encrypted header that lists them, then its length.
 *
 *     blob 1 … blob n || seal(header) || u32le length of seal(header)
 *     header entry:  u8 type (0 data, 1 tree, 2 compressed data, 3 compressed tree)
 *                    u32le stored length, encryption overhead included
 *                    [u32le uncompressed length, types 2 and 3]
 *                    32 bytes ID
 *
 * Offsets are the running sum of the stored lengths. This file knows the layout only; repo/writer.h writes packs.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"

enum blob_type { BLOB_DATA = 0, BLOB_TREE = 1 };
const char *blob_type_name(enum blob_type type); /* "data", "tree" */

struct pack_blob {
    struct id id;
    enum blob_type type;
    uint32_t offset, length; /* stored bytes, encryption overhead included */
    uint32_t raw_length;     /* uncompressed plaintext length; 0: not compressed */
};

enum {
    PACK_HEADER_MAX_BYTES = 16 << 20,
    PACK_ENTRY_BYTES = 37,
    PACK_ENTRY_COMPRESSED_BYTES = 41,
    PACK_MIN_BYTES = 73,
};

/* Appends the entries' header text (plaintext) to out. */
void pack_header_encode(const struct pack_blob *blobs, size_t count, struct buf *out);
/* Parses a decrypted header. *out_blobs (the caller's, mem free()) gets *out_count entries with offsets summed up.
 * ERR_CORRUPT when it is malformed, empty, or when the blobs do not end exactly at data_bytes (the pack's size less
 * header and length field); ERR_UNSUPPORTED when data_bytes is beyond the format's 32 bits. */
int pack_header_decode(const unsigned char *p, size_t len, uint64_t data_bytes, struct pack_blob **out_blobs,
                       size_t *out_count, struct err *err);
