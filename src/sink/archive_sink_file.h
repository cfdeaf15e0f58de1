/*
 * One file's content into the tar. What becomes of it is decided by what it is, as sink/archive_sink.h says.
 */
#pragma once
#include "crypto/sha256.h"
#include "sink/archive_sink.h"
#include "sink/archive_sink_hold.h"
#include "sink/tar.h"

enum {
    ARCHIVE_BUFFER_BYTES = 256 << 10,
    ARCHIVE_SPARSE_MIN_BYTES = 1 << 20, /* fewer bytes of holes are not worth a member that not every tar understands */
};

/* What storing a file needs and gives. */
struct archive_filing {
    struct tar *tar;
    struct archive_hold *hold;
    const struct sink_reporter *reporter;
    struct backup_progress *progress; /* NULL: none */
    struct sha256 *sha;
    unsigned char *buffer;        /* ARCHIVE_BUFFER_BYTES */
    uint64_t hashed;              /* bytes of the file that are in `sha` */
    const char *path;             /* for messages */
    const char *member;           /* in the archive */
    struct node *node;            /* corrected to what was stored */
    struct sink_content *content; /* not released here */
    struct id sha256;             /* out, as are these: */
    bool stored, changed, incomplete;
};

/* -1 only when the archive cannot be continued, or the user interrupted; what is wrong with the file goes to the
 * reporter, and `stored` says whether it is in the archive. */
int archive_store_file(struct archive_filing *f, struct err *err);
/* Writes a member whose content is in the hold. */
int archive_store_hold(struct archive_filing *f, struct err *err);

/* ---- between the two files that do it */

/* Begins the member and puts what is in the hold. *sparse_out: as a sparse member. */
int archive_put_hold(struct archive_filing *f, bool *sparse_out, struct err *err);
int archive_put_data(struct archive_filing *f, const void *p, size_t len, struct err *err);
/* Zeros into the hash, and into the tar unless it knows them for a hole. */
int archive_put_zeros(struct archive_filing *f, uint64_t bytes, bool hole, struct err *err);
uint64_t archive_hole_here(const struct sink_stream *s);
void archive_count_read(const struct archive_filing *f, uint64_t bytes);

/* Streams a member of known size: its header is written before it is read. Plain: its beginning is in the hold. Sparse:
 * the hold has the map, the stream is at its beginning. */
int archive_stream_plain(struct archive_filing *f, const struct sink_stream *s, struct err *err);
int archive_stream_sparse(struct archive_filing *f, const struct sink_stream *s, struct err *err);
