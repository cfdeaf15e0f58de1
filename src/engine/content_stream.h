/*
 * A file's content in order, verified, with several threads loading the blobs that come next. Memory: a handful of
 * blobs. One thread at a time per stream.
 */
#pragma once
#include "engine/fetch.h"

/* Returns -1 (with err set) to end the stream. */
typedef int content_write_fn(void *ctx, const void *p, size_t len, struct err *err);

struct content_stream;
/* threads 0: as many as CPUs, at most 4. The index must be loaded. */
struct content_stream *content_stream_new(struct repo *r, unsigned threads, struct err *err);
void content_stream_free(struct content_stream *s); /* NULL is nothing */
/* Hands the blobs' content to `write`, piece by piece. -1 when a blob cannot be read (nothing of it was handed over) or
 * `write` failed. */
int content_stream_run(struct content_stream *s, const struct id *ids, size_t count, content_write_fn *write, void *ctx,
                       struct err *err);
