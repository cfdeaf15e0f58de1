/*
 * The write-ahead log of a SQLite database, read without SQLite: which committed pages it holds, and where.
 *
 * Source: "WAL-mode File Format" and section 4 of "Database File Format" at sqlite.org. All numbers are big-endian.
 *
 *     header  OFFSET SIZE                            frame header  OFFSET SIZE
 *             0      4   magic 0x377f0682 or …83                   0      4   page number
 *             4      4   format, 3007000                           4      4   commit: database size in pages, else 0
 *             8      4   page size                                 8      8   salts, as in the header
 *             12     4   checkpoint sequence number                16     8   checksum of the header's first 24 bytes
 *             16     8   salts                                                and of all frames up to and with this one
 *             24     8   checksum of the above                                (its first 8 bytes and its page)
 *
 * A frame counts when its salts and checksum are right and so were those before it; it is committed when a frame with a
 * commit mark, itself included, follows. Committed frames never change until the log is restarted, and whoever restarts
 * it writes a header with new salts before any frame. So frames that were read are right if the header is still the old
 * one after they were read. One exception: a transaction whose sync failed, or whose writer died before it could
 * announce it in the -shm, may be written over although it looks committed; only the last one of the log can be such a
 * transaction, and sqlite_wal_compare looks at it again.
 *
 * Not thread-safe. Memory: 8 bytes for each distinct page in the log (while loading, up to 24).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

enum { SQLITE_WAL_HEADER_BYTES = 32, SQLITE_WAL_FRAME_HEADER_BYTES = 24 };

struct sqlite_wal_entry {
    uint32_t page, frame; /* both count from 1 */
};

struct sqlite_wal {
    bool valid; /* the file has a header that SQLite would accept; else it counts as empty */
    unsigned char header[SQLITE_WAL_HEADER_BYTES];
    uint32_t page_bytes;
    uint32_t last_commit;      /* frame number; 0: nothing is committed */
    uint32_t last_commit_page; /* its page number */
    uint32_t database_pages;   /* the database's size as of last_commit */
    uint32_t checksum[2];      /* of everything up to last_commit */
    uint32_t previous_commit;  /* the end of the transaction before the last one, and the checksum up to there */
    uint32_t previous_checksum[2];
    /* The newest committed frame of each page, by page number. Pages past the end of a database that shrank may be
     * there. */
    struct sqlite_wal_entry *entries;
    size_t count;
};

/* Reads the log open at fd (-1: there is none) up to its last committed frame. page_bytes: the database's. 0 even when
 * the log is empty, invalid or ends in garbage: those are normal. ERR_CHANGED when it was restarted while being read,
 * ERR_CORRUPT when it holds commits but has another page size, ERR_UNSUPPORTED, ERR_IO. After a failure nothing needs
 * to be released. */
int sqlite_wal_load(struct sqlite_wal *wal, int fd, uint32_t page_bytes, struct err *err);
void sqlite_wal_release(struct sqlite_wal *wal);

/* The index of the first entry with a page number of at least `page`; count when there is none. */
size_t sqlite_wal_find(const struct sqlite_wal *wal, uint32_t page);
/* Where a frame's page starts in the file. */
off_t sqlite_wal_page_offset(const struct sqlite_wal *wal, uint32_t frame);

/* Has the log not been restarted since it was loaded? Cheap. 1, 0, or -1. */
int sqlite_wal_is_current(const struct sqlite_wal *wal, int fd, struct err *err);

enum sqlite_wal_state {
    SQLITE_WAL_SAME,      /* all that was loaded is still there, and nothing was committed since */
    SQLITE_WAL_GROWN,     /* the same, but more was committed */
    SQLITE_WAL_RESTARTED, /* by somebody who had first copied all of it into the database */
    SQLITE_WAL_REWRITTEN  /* its last transaction was taken back or replaced: what was read of it may be torn */
};
/* Compares the file, from the last transaction on, with what was loaded. wal->valid. */
int sqlite_wal_compare(const struct sqlite_wal *wal, int fd, enum sqlite_wal_state *out, struct err *err);
