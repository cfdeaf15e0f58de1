#include "repo/codec.h"

#include <stdlib.h>
#include "base/mem.h"

/* zstd's levels for our names. "auto" is the default: what costs little next to reading and hashing. */
static const int LEVELS[REPO_COMPRESSION_MAX + 1] = {
    [REPO_COMPRESSION_AUTO] = 3,   [REPO_COMPRESSION_OFF] = 1,  [REPO_COMPRESSION_FASTEST] = 1,
    [REPO_COMPRESSION_BETTER] = 7, [REPO_COMPRESSION_MAX] = 12,
};

struct codec *codec_new(const struct repo *r, struct err *err)
{
    struct cipher *cipher = cipher_new(&r->key, err);
    if (cipher == NULL)
        return NULL;
    struct codec *c = mem_zalloc(sizeof *c);
    c->cipher = cipher;
    c->sha = sha256_new();
    c->level = LEVELS[r->options.compression];
    c->automatic = r->options.compression == REPO_COMPRESSION_AUTO;
    c->version2 = r->config.version >= 2;
    c->compress_data = c->version2 && r->options.compression != REPO_COMPRESSION_OFF;
    buf_init(&c->stored, SIZE_MAX / 2);
    return c;
}

void codec_free(struct codec *c)
{
    if (c == NULL)
        return;
    cipher_free(c->cipher);
    sha256_free(c->sha);
    ZSTD_freeCCtx(c->compressor);
    ZSTD_freeDCtx(c->decompressor);
    buf_release(&c->stored);
    free(c);
}

/* Below this size level 2 saves a tenth of all processor time of a source tree's backup and costs 3 % of its space. */
enum { AUTO_SMALL_BYTES = 128 << 10, AUTO_SMALL_LEVEL = 2 };

static int level_for(const struct codec *c, size_t len)
{
    return c->automatic && len <= AUTO_SMALL_BYTES ? AUTO_SMALL_LEVEL : c->level;
}

size_t codec_bound(size_t len)
{
    return ZSTD_compressBound(len);
}

int codec_compress(struct codec *c, const void *p, size_t len, void *out, size_t out_cap, size_t *out_len,
                   struct err *err)
{
    if (c->compressor == NULL) {
        c->compressor = ZSTD_createCCtx();
        if (c->compressor == NULL)
            return err_set(err, ERR_FAILED, "cannot compress: out of memory");
    }
    ZSTD_CCtx_setParameter(c->compressor, ZSTD_c_compressionLevel, level_for(c, len));
    size_t n = ZSTD_compress2(c->compressor, out, out_cap, p, len);
    if (ZSTD_isError(n))
        return err_set(err, ERR_FAILED, "cannot compress: %s", ZSTD_getErrorName(n));
    *out_len = n;
    return 0;
}

static int corrupt(struct err *err, const char *why)
{
    return err_set(err, ERR_CORRUPT, "cannot decompress: %s", why);
}

static int decompress_known(struct codec *c, const void *p, size_t len, size_t raw_len, struct buf *out,
                            struct err *err)
{
    unsigned char *to = buf_reserve(out, raw_len);
    if (to == NULL)
        return corrupt(err, "it would be larger than what is allowed here");
    size_t n = ZSTD_decompressDCtx(c->decompressor, to, raw_len, p, len);
    if (ZSTD_isError(n))
        return corrupt(err, ZSTD_getErrorName(n));
    if (n != raw_len)
        return corrupt(err, "the length is not the recorded one");
    out->len += n;
    return 0;
}

/* Frames need not say how long their content is; then the output grows as it comes. */
static int decompress_stream(struct codec *c, const void *p, size_t len, struct buf *out, struct err *err)
{
    ZSTD_inBuffer in = {p, len, 0};
    ZSTD_DCtx_reset(c->decompressor, ZSTD_reset_session_only);
    for (;;) {
        size_t step = ZSTD_DStreamOutSize();
        if (step > out->max - out->len)
            step = out->max - out->len;
        unsigned char *to = step > 0 ? buf_reserve(out, step) : NULL;
        if (to == NULL)
            return corrupt(err, "it is larger than what is allowed here");
        ZSTD_outBuffer piece = {to, step, 0};
        size_t left = ZSTD_decompressStream(c->decompressor, &piece, &in);
        if (ZSTD_isError(left))
            return corrupt(err, ZSTD_getErrorName(left));
        out->len += piece.pos;
        if (left == 0)
            return in.pos == in.size ? 0 : corrupt(err, "bytes follow the end");
        if (piece.pos == 0 && in.pos == in.size)
            return corrupt(err, "it ends too early");
    }
}

int codec_decompress(struct codec *c, const void *p, size_t len, size_t raw_len, struct buf *out, struct err *err)
{
    if (c->decompressor == NULL) {
        c->decompressor = ZSTD_createDCtx();
        if (c->decompressor == NULL)
            return err_set(err, ERR_FAILED, "cannot decompress: out of memory");
    }
    if (raw_len == 0) {
        unsigned long long size = ZSTD_getFrameContentSize(p, len);
        if (size == ZSTD_CONTENTSIZE_ERROR)
            return corrupt(err, "it is no zstd frame");
        if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == 0)
            return decompress_stream(c, p, len, out, err);
        raw_len = size > out->max ? out->max + 1 : (size_t)size;
    }
    return decompress_known(c, p, len, raw_len, out, err);
}
