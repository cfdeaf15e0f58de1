/*
 * Writing tar (POSIX pax interchange format) and zip (PKWARE's APPNOTE, with zip64) archives as a stream: no seeking,
 * nothing kept but zip's directory (about 120 bytes an entry, which its format puts at the end).
 *
 * An entry is begun with its metadata, its content follows in pieces whose lengths add up to the node's size, and it is
 * ended. Paths are raw bytes, relative, without a slash at the end. Extended attributes and links are kept in tar only;
 * zip stores a hard link's content again.
 */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "repo/node.h"

typedef int archive_write_fn(void *ctx, const void *p, size_t len, struct err *err);

struct archive;
struct archive_format {
    bool hard_links; /* archive_begin takes a link_to */
    int (*begin)(struct archive *a, const struct node *n, const char *path, const char *link_to, struct err *err);
    int (*data)(struct archive *a, const void *p, size_t len, struct err *err);
    int (*end)(struct archive *a, struct err *err);
    int (*finish)(struct archive *a, struct err *err);
    void (*free)(struct archive *a);
};
/* Formats embed this first. */
struct archive {
    const struct archive_format *format;
    archive_write_fn *write;
    void *write_ctx;
    uint64_t offset; /* bytes written */
};

struct archive *archive_tar_new(archive_write_fn *write, void *ctx);
struct archive *archive_zip_new(archive_write_fn *write, void *ctx);
static inline void archive_free(struct archive *a) /* NULL is nothing */
{
    if (a != NULL)
        a->format->free(a);
}

/* link_to: the path of an earlier entry that this one is a hard link to (no content follows), or NULL. Sockets and
 * irregular files are refused with ERR_UNSUPPORTED. */
static inline int archive_begin(struct archive *a, const struct node *n, const char *path, const char *link_to,
                                struct err *err)
{
    return a->format->begin(a, n, path, link_to, err);
}
static inline int archive_data(struct archive *a, const void *p, size_t len, struct err *err)
{
    return a->format->data(a, p, len, err);
}
/* ERR_CORRUPT when the content was shorter or longer than the node said. */
static inline int archive_end(struct archive *a, struct err *err)
{
    return a->format->end(a, err);
}
/* What ends the archive. */
static inline int archive_finish(struct archive *a, struct err *err)
{
    return a->format->finish(a, err);
}
/* For formats: writes and counts. */
static inline int archive_put(struct archive *a, const void *p, size_t len, struct err *err)
{
    a->offset += len;
    return len > 0 ? a->write(a->write_ctx, p, len, err) : 0;
}
