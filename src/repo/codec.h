/*
 * A thread's tools for stored bytes: hash, compression, encryption, and scratch memory. Within repo/ only; other layers
 * see an opaque struct codec.
 */
#pragma once
#include <zstd.h>
#include "crypto/sha256.h"
#include "repo/repo.h"

struct codec {
    struct cipher *cipher;
    struct sha256 *sha;
    ZSTD_CCtx *compressor;   /* made when first needed */
    ZSTD_DCtx *decompressor; /* made when first needed */
    int level;
    bool automatic;     /* the level may depend on the size */
    bool compress_data; /* version 2 and not "off"; trees and unpacked files are always compressed in version 2 */
    bool version2;
    struct buf stored; /* bytes as they are in the store */
};

/* Compresses p into out (out_cap at least codec_bound(len)); the frame carries its content size. Returns the frame's
 * length. */
int codec_compress(struct codec *c, const void *p, size_t len, void *out, size_t out_cap, size_t *out_len,
                   struct err *err);
size_t codec_bound(size_t len);
/* Decompresses one frame, appending to out. raw_len: the exact length expected, or 0 when it is not known (then bounded
 * by out's maximum). ERR_CORRUPT. */
int codec_decompress(struct codec *c, const void *p, size_t len, size_t raw_len, struct buf *out, struct err *err);
