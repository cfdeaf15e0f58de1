#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include "base/mem.h"
#include "sink/compress.h"

enum { OUT_BYTES = 256 << 10 };

struct decompress {
    enum compress_codec codec;
    compress_write_fn *write;
    void *ctx;
    z_stream zlib;
    bool zlib_open;
    ZSTD_DCtx *zstd;
    bool complete; /* a member, or frame, has just ended */
    unsigned char out[OUT_BYTES];
};

static int damaged(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the compressed stream is damaged");
}

struct decompress *decompress_new(enum compress_codec codec, compress_write_fn *write, void *ctx, struct err *err)
{
    struct decompress *d = mem_zalloc(sizeof *d);
    d->codec = codec;
    d->write = write;
    d->ctx = ctx;
    if (codec == COMPRESS_GZIP)
        d->zlib_open = inflateInit2(&d->zlib, 15 + 16) == Z_OK; /* 16: gzip's header and trailer */
    else if (codec == COMPRESS_ZSTD)
        d->zstd = ZSTD_createDCtx();
    if (codec == COMPRESS_NONE || d->zlib_open || d->zstd != NULL)
        return d;
    decompress_free(d);
    err_set(err, ERR_FAILED, "cannot decompress: the library does not work");
    return NULL;
}

static int gunzip(struct decompress *d, const unsigned char *p, size_t len, struct err *err)
{
    d->zlib.next_in = (Bytef *)(uintptr_t)p; /* zlib does not write to it */
    d->zlib.avail_in = (uInt)len;
    do {
        if (d->complete && d->zlib.avail_in > 0) { /* a further member */
            (void)inflateReset(&d->zlib);
            d->complete = false;
        }
        d->zlib.next_out = d->out;
        d->zlib.avail_out = sizeof d->out;
        int rc = inflate(&d->zlib, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return damaged(err);
        d->complete = rc == Z_STREAM_END;
        size_t n = sizeof d->out - d->zlib.avail_out;
        if (n > 0 && d->write(d->ctx, d->out, n, err) != 0)
            return -1;
    } while (d->zlib.avail_in > 0 || d->zlib.avail_out == 0);
    return 0;
}

static int unzstd(struct decompress *d, const void *p, size_t len, struct err *err)
{
    ZSTD_inBuffer in = {p, len, 0};
    for (bool more = true; more;) {
        ZSTD_outBuffer out = {d->out, sizeof d->out, 0};
        size_t rc = ZSTD_decompressStream(d->zstd, &out, &in);
        if (ZSTD_isError(rc))
            return damaged(err);
        d->complete = rc == 0;
        if (out.pos > 0 && d->write(d->ctx, d->out, out.pos, err) != 0)
            return -1;
        more = in.pos < in.size || (out.pos == out.size && !d->complete);
    }
    return 0;
}

int decompress_add(struct decompress *d, const void *p, size_t len, struct err *err)
{
    if (len == 0)
        return 0;
    if (d->codec == COMPRESS_GZIP)
        return gunzip(d, p, len, err);
    return d->codec == COMPRESS_ZSTD ? unzstd(d, p, len, err) : d->write(d->ctx, p, len, err);
}

int decompress_end(struct decompress *d, struct err *err)
{
    if (d->codec == COMPRESS_NONE || d->complete)
        return 0;
    return err_set(err, ERR_CORRUPT, "the compressed stream ends early");
}

void decompress_free(struct decompress *d)
{
    if (d == NULL)
        return;
    if (d->zlib_open)
        (void)inflateEnd(&d->zlib);
    ZSTD_freeDCtx(d->zstd);
    free(d);
}
