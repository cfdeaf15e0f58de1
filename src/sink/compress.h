/*
 * Compressing a stream for archives: gzip (RFC 1952, by zlib, several blocks at a time on several CPUs, one gzip member
 * in the end), Zstandard (RFC 8878, by libzstd, several threads, with its checksum), or not at all. And decompressing,
 * to verify.
 *
 * Each belongs to one thread at a time; `write` is called on that thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum compress_codec { COMPRESS_GZIP, COMPRESS_ZSTD, COMPRESS_NONE };

/* ".gz", ".zst", "" */
const char *compress_suffix(enum compress_codec codec);

typedef int compress_write_fn(void *ctx, const void *p, size_t len, struct err *err);

struct compress;
/* level 0: gzip 6, zstd 3. threads 0: os_cpu_count(). ERR_USAGE: no such level. */
struct compress *compress_new(enum compress_codec codec, int level, unsigned threads, compress_write_fn *write,
                              void *ctx, struct err *err);
int compress_add(struct compress *c, const void *p, size_t len, struct err *err);
/* The end of the stream. Nothing may be added after it. */
int compress_end(struct compress *c, struct err *err);
void compress_free(struct compress *c); /* NULL is nothing */

struct decompress;
/* ERR_CORRUPT for what is not such a stream, or one that ends early (said by decompress_end). */
struct decompress *decompress_new(enum compress_codec codec, compress_write_fn *write, void *ctx, struct err *err);
int decompress_add(struct decompress *d, const void *p, size_t len, struct err *err);
int decompress_end(struct decompress *d, struct err *err);
void decompress_free(struct decompress *d); /* NULL is nothing */
