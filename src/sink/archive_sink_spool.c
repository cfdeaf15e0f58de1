/*
 * The file is a row of records: four bytes of length (little-endian), then a sealed block. What is sealed begins with
 * the block's number, so that records cannot be missing, doubled or in another order without being noticed.
 */
#include "sink/archive_sink_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include "base/mem.h"
#include "crypto/cipher.h"
#include "os/file.h"

enum {
    BLOCK_BYTES = 256 << 10,
    NUMBER_BYTES = 8,
    LENGTH_BYTES = 4,
    LEVEL = 1, /* it is read again in a moment: saving space is worth no more than this */
};

struct archive_spool {
    char *dir; /* for messages */
    int fd;
    struct cipher *cipher;
    ZSTD_CCtx *compress;
    ZSTD_DCtx *decompress;
    unsigned char *plain; /* BLOCK_BYTES */
    size_t len, at;       /* of plain: what is there, what of it was read */
    unsigned char *record;
    size_t record_cap;        /* length, IV, number, compressed block, tag */
    uint64_t written, opened; /* blocks */
    uint64_t file_bytes, file_at;
};

/* ---- the file */

static int open_nameless(const char *dir, struct err *err)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
        return err_errno(err, errno, "cannot keep data in '%s' for the moment", dir);
    char *name = mem_printf("%s/.clawback-spool-XXXXXX", dir);
    fd = mkostemp(name, O_CLOEXEC); /* 0600 */
    if (fd >= 0)
        (void)unlink(name);
    else
        err_errno(err, errno, "cannot keep data in '%s' for the moment", dir);
    free(name);
    return fd;
}

struct archive_spool *archive_spool_new(const char *dir, struct err *err)
{
    struct archive_spool *s = mem_zalloc(sizeof *s);
    struct cipher_key key;
    s->dir = mem_strdup(dir);
    s->fd = open_nameless(dir, err);
    if (s->fd < 0 || cipher_key_generate(&key, err) != 0)
        goto fail;
    s->cipher = cipher_new(&key, err);
    mem_wipe(&key, sizeof key);
    if (s->cipher == NULL)
        goto fail;
    s->compress = ZSTD_createCCtx();
    s->decompress = ZSTD_createDCtx();
    if (s->compress == NULL || s->decompress == NULL) {
        err_set(err, ERR_FAILED, "cannot compress: libzstd does not work");
        goto fail;
    }
    s->plain = mem_alloc(BLOCK_BYTES);
    s->record_cap = LENGTH_BYTES + CIPHER_OVERHEAD_BYTES + NUMBER_BYTES + ZSTD_compressBound(BLOCK_BYTES);
    s->record = mem_alloc(s->record_cap);
    return s;
fail:
    archive_spool_free(s);
    return NULL;
}

void archive_spool_free(struct archive_spool *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        close(s->fd);
    cipher_free(s->cipher);
    ZSTD_freeCCtx(s->compress);
    ZSTD_freeDCtx(s->decompress);
    if (s->plain != NULL)
        mem_wipe(s->plain, BLOCK_BYTES);
    free(s->plain);
    free(s->record);
    free(s->dir);
    free(s);
}

/* ---- numbers */

static void put_number(unsigned char *p, size_t bytes, uint64_t v)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_number(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

/* ---- writing */

static int write_block(struct archive_spool *s, struct err *err)
{
    unsigned char *sealed = s->record + LENGTH_BYTES, *inside = sealed + CIPHER_IV_BYTES;
    put_number(inside, NUMBER_BYTES, s->written++);
    size_t n =
        ZSTD_compressCCtx(s->compress, inside + NUMBER_BYTES, ZSTD_compressBound(BLOCK_BYTES), s->plain, s->len, LEVEL);
    if (ZSTD_isError(n))
        return err_set(err, ERR_FAILED, "cannot compress: %s", ZSTD_getErrorName(n));
    size_t len = NUMBER_BYTES + n;
    if (cipher_seal(s->cipher, inside, len, sealed, err) != 0)
        return -1;
    len += CIPHER_OVERHEAD_BYTES;
    put_number(s->record, LENGTH_BYTES, len);
    s->len = 0;
    s->file_bytes += LENGTH_BYTES + len;
    if (os_write_full(s->fd, s->record, LENGTH_BYTES + len) == 0)
        return 0;
    return err_errno(err, errno, "cannot keep data in '%s' for the moment", s->dir);
}

int archive_spool_write(struct archive_spool *s, const void *p, size_t len, struct err *err)
{
    const unsigned char *from = p;
    while (len > 0) {
        size_t n = BLOCK_BYTES - s->len < len ? BLOCK_BYTES - s->len : len;
        memcpy(s->plain + s->len, from, n);
        s->len += n;
        from += n;
        len -= n;
        if (s->len == BLOCK_BYTES && write_block(s, err) != 0)
            return -1;
    }
    return 0;
}

int archive_spool_rewind(struct archive_spool *s, struct err *err)
{
    return s->len > 0 ? write_block(s, err) : 0;
}

/* ---- reading */

static int is_damaged(const struct archive_spool *s, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "data that was kept in '%s' for the moment came back damaged", s->dir);
}

static int read_at(struct archive_spool *s, void *p, size_t len, struct err *err)
{
    ssize_t n = os_pread_full(s->fd, p, len, (off_t)s->file_at);
    if (n < 0)
        return err_errno(err, errno, "cannot read back what was kept in '%s'", s->dir);
    s->file_at += len;
    return (size_t)n == len ? 0 : is_damaged(s, err);
}

static int read_block(struct archive_spool *s, struct err *err)
{
    unsigned char *sealed = s->record + LENGTH_BYTES, *inside = sealed + CIPHER_IV_BYTES;
    if (read_at(s, s->record, LENGTH_BYTES, err) != 0)
        return -1;
    size_t len = (size_t)get_number(s->record, LENGTH_BYTES);
    if (len < CIPHER_OVERHEAD_BYTES + NUMBER_BYTES || len > s->record_cap - LENGTH_BYTES)
        return is_damaged(s, err);
    if (read_at(s, sealed, len, err) != 0)
        return -1;
    if (cipher_open(s->cipher, sealed, len, inside, NULL) != 0 || get_number(inside, NUMBER_BYTES) != s->opened++)
        return is_damaged(s, err);
    size_t n = ZSTD_decompressDCtx(s->decompress, s->plain, BLOCK_BYTES, inside + NUMBER_BYTES,
                                   len - CIPHER_OVERHEAD_BYTES - NUMBER_BYTES);
    if (ZSTD_isError(n))
        return is_damaged(s, err);
    s->len = n;
    s->at = 0;
    return 0;
}

int64_t archive_spool_read(struct archive_spool *s, void *p, size_t cap, struct err *err)
{
    unsigned char *to = p;
    size_t done = 0;
    while (done < cap) {
        if (s->at == s->len && s->opened == s->written)
            break;
        if (s->at == s->len && read_block(s, err) != 0)
            return -1;
        size_t n = s->len - s->at < cap - done ? s->len - s->at : cap - done;
        memcpy(to + done, s->plain + s->at, n);
        s->at += n;
        done += n;
    }
    return (int64_t)done;
}
