/*
 * gzip on several CPUs: the stream is cut into blocks. Each becomes raw deflate data that knows the 32 KiB before it as
 * its dictionary and ends at a byte's boundary, so that the blocks, one after another, are one deflate stream, and the
 * whole one plain gzip member.
 *
 * Invariants of the ring: jobs[(first + i) % job_count], i < in_flight, are with the pool, in the stream's order; the
 * next one is being filled by compress_add. A job's fields belong to a worker from pool_submit() until `done`, which
 * the mutex guards.
 */
#include "sink/compress.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include "base/mem.h"
#include "os/pool.h"

enum {
    GZIP_BLOCK_BYTES = 256 << 10,
    GZIP_WINDOW_BYTES = 32 << 10,
    GZIP_LEVEL = 6,
    ZSTD_LEVEL = 3,
    THREADS_MAX = 64,
};

struct job {
    struct compress *owner;
    z_stream stream;
    unsigned char *in, *out;
    unsigned char window[GZIP_WINDOW_BYTES];
    size_t in_len, out_len, out_cap, window_len;
    uint32_t crc;
    bool last, done, failed;
};

struct compress {
    enum compress_codec codec;
    compress_write_fn *write;
    void *ctx;
    /* gzip */
    struct pool *pool;
    pthread_mutex_t mutex;
    pthread_cond_t finished;
    struct job *jobs;
    size_t job_count, first, in_flight;
    bool begun; /* the header is written */
    uint32_t crc;
    uint64_t total_bytes;
    /* zstd */
    ZSTD_CCtx *zstd;
    unsigned char *out;
    size_t out_cap;
};

const char *compress_suffix(enum compress_codec codec)
{
    return codec == COMPRESS_GZIP ? ".gz" : codec == COMPRESS_ZSTD ? ".zst" : "";
}

/* ---- gzip */

/* On a worker. What deflateBound says is enough for a flush as well, with a few bytes more. */
static void deflate_job(void *arg, unsigned worker)
{
    struct job *j = arg;
    z_stream *z = &j->stream;
    (void)worker;
    int rc = deflateReset(z);
    if (rc == Z_OK && j->window_len > 0)
        rc = deflateSetDictionary(z, j->window, (uInt)j->window_len);
    z->next_in = j->in;
    z->avail_in = (uInt)j->in_len;
    z->next_out = j->out;
    z->avail_out = (uInt)j->out_cap;
    if (rc == Z_OK)
        rc = deflate(z, j->last ? Z_FINISH : Z_SYNC_FLUSH);
    j->failed = rc != (j->last ? Z_STREAM_END : Z_OK) || z->avail_in > 0 || z->avail_out == 0;
    j->out_len = j->out_cap - z->avail_out;
    j->crc = (uint32_t)crc32_z(0, j->in, j->in_len);
    pthread_mutex_lock(&j->owner->mutex);
    j->done = true;
    pthread_cond_signal(&j->owner->finished);
    pthread_mutex_unlock(&j->owner->mutex);
}

static void wait_for_job(struct compress *c, const struct job *j)
{
    pthread_mutex_lock(&c->mutex);
    while (!j->done)
        pthread_cond_wait(&c->finished, &c->mutex);
    pthread_mutex_unlock(&c->mutex);
}

/* Writes what the oldest job in flight has made. */
static int take_oldest(struct compress *c, struct err *err)
{
    struct job *j = &c->jobs[c->first];
    wait_for_job(c, j);
    c->first = (c->first + 1) % c->job_count;
    c->in_flight--;
    size_t in_len = j->in_len;
    j->in_len = 0;
    if (j->failed)
        return err_set(err, ERR_FAILED, "cannot compress: zlib failed");
    c->crc = (uint32_t)crc32_combine(c->crc, j->crc, (z_off_t)in_len);
    c->total_bytes += in_len;
    return c->write(c->ctx, j->out, j->out_len, err);
}

static struct job *filling(struct compress *c)
{
    return &c->jobs[(c->first + c->in_flight) % c->job_count];
}

/* Gives the block that is being filled to the pool, and makes room for the next. */
static int submit_block(struct compress *c, bool last, struct err *err)
{
    struct job *j = filling(c), *next = &c->jobs[(c->first + c->in_flight + 1) % c->job_count];
    if (c->in_flight + 1 == c->job_count && take_oldest(c, err) != 0)
        return -1;
    size_t tail = j->in_len < GZIP_WINDOW_BYTES ? j->in_len : GZIP_WINDOW_BYTES;
    memcpy(next->window, j->in + j->in_len - tail, tail);
    next->window_len = tail;
    j->last = last;
    j->done = false;
    c->in_flight++;
    pool_submit(c->pool, deflate_job, j);
    return 0;
}

static int gzip_begin(struct compress *c, struct err *err)
{
    /* No name and no time: the archive's name says them. The system is "unknown". */
    static const unsigned char HEADER[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
    c->begun = true;
    return c->write(c->ctx, HEADER, sizeof HEADER, err);
}

static int gzip_add(struct compress *c, const unsigned char *p, size_t len, struct err *err)
{
    if (!c->begun && gzip_begin(c, err) != 0)
        return -1;
    while (len > 0) {
        struct job *j = filling(c);
        if (j->in_len == GZIP_BLOCK_BYTES) {
            if (submit_block(c, false, err) != 0)
                return -1;
            continue;
        }
        size_t n = GZIP_BLOCK_BYTES - j->in_len < len ? GZIP_BLOCK_BYTES - j->in_len : len;
        memcpy(j->in + j->in_len, p, n);
        j->in_len += n;
        p += n;
        len -= n;
    }
    return 0;
}

static void put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

static int gzip_end(struct compress *c, struct err *err)
{
    unsigned char trailer[8];
    if (!c->begun && gzip_begin(c, err) != 0)
        return -1;
    if (submit_block(c, true, err) != 0)
        return -1;
    while (c->in_flight > 0)
        if (take_oldest(c, err) != 0)
            return -1;
    put_u32(trailer, c->crc);
    put_u32(trailer + 4, (uint32_t)c->total_bytes);
    return c->write(c->ctx, trailer, sizeof trailer, err);
}

static int gzip_init(struct compress *c, int level, unsigned threads, struct err *err)
{
    if (level == 0)
        level = GZIP_LEVEL;
    if (level < 1 || level > 9)
        return err_set(err, ERR_USAGE, "gzip has no level %d: its levels are 1 to 9", level);
    c->job_count = (size_t)threads * 2 + 1;
    c->jobs = mem_zalloc(c->job_count * sizeof *c->jobs);
    c->crc = (uint32_t)crc32(0, NULL, 0);
    c->pool = pool_new(threads, c->job_count);
    for (size_t i = 0; i < c->job_count; i++) {
        struct job *j = &c->jobs[i];
        j->owner = c;
        if (deflateInit2(&j->stream, level, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
            return err_set(err, ERR_FAILED, "cannot compress: zlib does not work");
        j->in = mem_alloc(GZIP_BLOCK_BYTES);
        j->out_cap = deflateBound(&j->stream, GZIP_BLOCK_BYTES) + 64;
        j->out = mem_alloc(j->out_cap);
    }
    return 0;
}

static void gzip_release(struct compress *c)
{
    pool_free(c->pool);
    for (size_t i = 0; i < c->job_count && c->jobs[i].owner != NULL; i++) {
        (void)deflateEnd(&c->jobs[i].stream);
        free(c->jobs[i].in);
        free(c->jobs[i].out);
    }
    free(c->jobs);
}

/* ---- Zstandard */

static int zstd_init(struct compress *c, int level, unsigned threads, struct err *err)
{
    if (level == 0)
        level = ZSTD_LEVEL;
    if (level < 1 || level > ZSTD_maxCLevel())
        return err_set(err, ERR_USAGE, "zstd has no level %d: its levels are 1 to %d", level, ZSTD_maxCLevel());
    c->zstd = ZSTD_createCCtx();
    if (c->zstd == NULL || ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_compressionLevel, level)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_checksumFlag, 1)))
        return err_set(err, ERR_FAILED, "cannot compress: libzstd does not work");
    /* Refused by a library without threads, which then works in ours. */
    (void)ZSTD_CCtx_setParameter(c->zstd, ZSTD_c_nbWorkers, (int)threads);
    c->out_cap = ZSTD_CStreamOutSize();
    c->out = mem_alloc(c->out_cap);
    return 0;
}

static int zstd_run(struct compress *c, const void *p, size_t len, ZSTD_EndDirective end, struct err *err)
{
    ZSTD_inBuffer in = {p, len, 0};
    for (;;) {
        ZSTD_outBuffer out = {c->out, c->out_cap, 0};
        size_t left = ZSTD_compressStream2(c->zstd, &out, &in, end);
        if (ZSTD_isError(left))
            return err_set(err, ERR_FAILED, "cannot compress: %s", ZSTD_getErrorName(left));
        if (out.pos > 0 && c->write(c->ctx, c->out, out.pos, err) != 0)
            return -1;
        if (end == ZSTD_e_end ? left == 0 : in.pos == in.size)
            return 0;
    }
}

/* ---- all */

struct compress *compress_new(enum compress_codec codec, int level, unsigned threads, compress_write_fn *write,
                              void *ctx, struct err *err)
{
    struct compress *c = mem_zalloc(sizeof *c);
    c->codec = codec;
    c->write = write;
    c->ctx = ctx;
    pthread_mutex_init(&c->mutex, NULL);
    pthread_cond_init(&c->finished, NULL);
    if (threads == 0)
        threads = os_cpu_count();
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    int rc = 0;
    if (codec == COMPRESS_GZIP)
        rc = gzip_init(c, level, threads, err);
    else if (codec == COMPRESS_ZSTD)
        rc = zstd_init(c, level, threads, err);
    if (rc == 0)
        return c;
    compress_free(c);
    return NULL;
}

int compress_add(struct compress *c, const void *p, size_t len, struct err *err)
{
    if (len == 0)
        return 0;
    if (c->codec == COMPRESS_GZIP)
        return gzip_add(c, p, len, err);
    if (c->codec == COMPRESS_ZSTD)
        return zstd_run(c, p, len, ZSTD_e_continue, err);
    return c->write(c->ctx, p, len, err);
}

int compress_end(struct compress *c, struct err *err)
{
    if (c->codec == COMPRESS_GZIP)
        return gzip_end(c, err);
    return c->codec == COMPRESS_ZSTD ? zstd_run(c, NULL, 0, ZSTD_e_end, err) : 0;
}

void compress_free(struct compress *c)
{
    if (c == NULL)
        return;
    gzip_release(c);
    ZSTD_freeCCtx(c->zstd);
    free(c->out);
    pthread_cond_destroy(&c->finished);
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
