/*
 * Writing tar (POSIX pax interchange format) as a stream: no seeking, nothing kept. Any name, nanoseconds, sizes and
 * owners of any number, extended attributes and access lists, hard links, devices; sparse files in GNU's pax format
 * 1.0.
 *
 * An entry is begun with its metadata, its content follows in pieces whose lengths add up to the node's size, and it is
 * ended. Paths are raw bytes, relative, without a slash at the end. One thread at a time.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "repo/node.h"

typedef int tar_write_fn(void *ctx, const void *p, size_t len, struct err *err);

enum { TAR_BLOCK_BYTES = 512 };

/* A run of bytes that is no hole. */
struct tar_segment {
    uint64_t offset, bytes;
};

struct tar;
struct tar *tar_new(tar_write_fn *write, void *ctx);
void tar_free(struct tar *t); /* NULL is nothing */

/* Can an archive hold it? Sockets and irregular files cannot. */
bool tar_can_hold(enum node_type type);

/* link_to: the path of an earlier entry that this one is a hard link to (no content follows), or NULL. ERR_UNSUPPORTED
 * for what cannot be held. */
int tar_begin(struct tar *t, const struct node *n, const char *path, const char *link_to, struct err *err);
/* A file of which only these segments follow as content, ascending, within n->size; all else are holes. They begin at
 * multiples of TAR_BLOCK_BYTES, and all but the last have such lengths: GNU's tar takes each from a new block. tar
 * programs other than GNU's and libarchive's take it for a file with a list before its content. */
int tar_begin_sparse(struct tar *t, const struct node *n, const char *path, const struct tar_segment *segments,
                     size_t count, struct err *err);
int tar_data(struct tar *t, const void *p, size_t len, struct err *err);
/* ERR_CORRUPT when the content was shorter (here) or longer (tar_data) than announced. */
int tar_end(struct tar *t, struct err *err);
/* What ends the archive. */
int tar_finish(struct tar *t, struct err *err);

uint64_t tar_bytes(const struct tar *t);     /* written so far */
uint64_t tar_data_left(const struct tar *t); /* of the entry's content */
