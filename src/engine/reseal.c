#include "engine/reseal.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "crypto/cipher.h"

/* The levels of the writer for the same names. */
enum { LEVEL_DEFAULT = 3, LEVEL_BETTER = 7, LEVEL_MAX = 12, KEEP_BYTES = 16 << 20 };

struct resealer {
    struct cipher *cipher;
    ZSTD_CCtx *zstd;
    struct buf out;
};

static int level_of(enum repo_compression compression)
{
    switch (compression) {
    case REPO_COMPRESSION_BETTER:
        return LEVEL_BETTER;
    case REPO_COMPRESSION_MAX:
        return LEVEL_MAX;
    default:
        return LEVEL_DEFAULT;
    }
}

struct resealer *resealer_new(const struct repo *r, struct err *err)
{
    struct resealer *s = mem_zalloc(sizeof *s);
    buf_init(&s->out, SIZE_MAX / 2);
    s->cipher = cipher_new(&r->key, err);
    s->zstd = s->cipher != NULL ? ZSTD_createCCtx() : NULL;
    if (s->cipher != NULL && s->zstd == NULL)
        err_set(err, ERR_FAILED, "cannot compress: out of memory");
    if (s->zstd == NULL) {
        resealer_free(s);
        return NULL;
    }
    ZSTD_CCtx_setParameter(s->zstd, ZSTD_c_compressionLevel, level_of(r->options.compression));
    return s;
}

void resealer_free(struct resealer *s)
{
    if (s == NULL)
        return;
    if (s->cipher != NULL)
        cipher_free(s->cipher);
    ZSTD_freeCCtx(s->zstd);
    buf_release(&s->out);
    free(s);
}

static int compress(struct resealer *s, const void *plain, size_t len, unsigned char *to, size_t cap, size_t *out_len,
                    struct err *err)
{
    *out_len = ZSTD_compress2(s->zstd, to, cap, plain, len);
    if (ZSTD_isError(*out_len))
        return err_set(err, ERR_FAILED, "cannot compress: %s", ZSTD_getErrorName(*out_len));
    return 0;
}

int resealer_seal(struct resealer *s, const void *plain, size_t len, enum reseal_how how, struct pack_blob *blob,
                  const unsigned char **out, struct err *err)
{
    size_t bound = ZSTD_compressBound(len), n = len;
    *out = NULL;
    if (bound > UINT32_MAX - CIPHER_OVERHEAD_BYTES)
        return how == RESEAL_PLAIN ? err_set(err, ERR_UNSUPPORTED, "a blob of %zu bytes is too large", len) : 0;
    buf_shrink(&s->out, KEEP_BYTES);
    buf_clear(&s->out);
    unsigned char *sealed = buf_reserve(&s->out, bound + CIPHER_OVERHEAD_BYTES), *content = sealed + CIPHER_IV_BYTES;
    if (how == RESEAL_PLAIN)
        memcpy(content, plain, len);
    else if (compress(s, plain, len, content, bound, &n, err) != 0)
        return -1;
    if (how == RESEAL_SHORTER && n >= len)
        return 0;
    if (cipher_seal(s->cipher, content, n, sealed, err) != 0)
        return -1;
    blob->length = (uint32_t)(n + CIPHER_OVERHEAD_BYTES);
    blob->raw_length = how == RESEAL_PLAIN ? 0 : (uint32_t)len;
    *out = sealed;
    return 0;
}
