/*
 * A consistent copy of a SQLite database as a stream, while other processes use it: the committed state at one moment,
 * WAL included, every page at its place, as if a checkpoint had just completed. Nothing is written beside the database,
 * no checkpoint is run, and no lock is held that could stop a writer of a WAL database. Memory: 8 bytes for each page
 * in the WAL (24 while opening), and the whole of a database of up to 8 MiB.
 *
 * First it is read with no lock at all, and found out afterwards whether that was right (ERR_CHANGED if not). When that
 * fails, or where it has no chance because the file is being written all the time, a reader's locks are held instead:
 * writers of a WAL database go on, only checkpoints wait; writers of a rollback-journal database wait with their
 * commits (small databases are read in one go, for milliseconds). SQLite itself is not used: it could create a -shm,
 * checkpoint or delete a WAL, or roll back a journal.
 *
 * One capture is used by one thread at a time; different ones are independent. Do not open the same file through SQLite
 * in this process meanwhile: closing a capture would drop that connection's locks.
 *
 * Sources: SQLite's file format document (database header, WAL format and its checksums) and its locking document.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include "base/err.h"

/* Do these first bytes (at least 100, or the whole file) belong to a SQLite database? No also where SQLite would say
 * "file is not a database": encrypted ones, impossible page sizes. Such files are copied like any other. */
bool sqlite_is_database(const unsigned char *head, size_t len);

struct sqlite_capture;
/* Pins one committed state of the database at `path`. Errors, after which no copy may be kept:
 *   ERR_CHANGED      it changed too fast, for busy_ms
 *   ERR_TIMEOUT      it stayed locked for busy_ms
 *   ERR_CORRUPT      no database after all, or damaged in a way that SQLite would refuse (a plain copy loses nothing
 * then) ERR_FAILED       a writer died in the middle of a transaction; the message says what to do ERR_UNSUPPORTED made
 * by a newer SQLite ERR_NOT_FOUND, ERR_PERMISSION, ERR_IO, ERR_INTERRUPTED */
int sqlite_capture_open(struct sqlite_capture **out, const char *path, unsigned busy_ms, struct err *err);
/* The same, but does not rely on finding it unchanged afterwards: holds a reader's locks for the whole read. For the
 * attempt after one that sqlite_capture_verify refused. (A WAL database that no process has open can only be read
 * without.) */
int sqlite_capture_open_insisting(struct sqlite_capture **out, const char *path, unsigned busy_ms, struct err *err);

uint64_t sqlite_capture_bytes(const struct sqlite_capture *c);
uint32_t sqlite_capture_page_bytes(const struct sqlite_capture *c);
/* The newest modification time of the database and its WAL, as of the capture. */
struct timespec sqlite_capture_mtime(const struct sqlite_capture *c);
/* How such a file is best cut: a multiple of the page size, growing with the file so that the number of blobs stays
 * bounded (4 KiB below 16 MiB, 8 KiB below 64 MiB, 16 KiB below 256 MiB, 32 KiB below 16 GiB, 64 KiB below 256 GiB,
 * else 128 KiB). */
size_t sqlite_cut_bytes(uint64_t file_bytes, uint32_t page_bytes);

/* Sequential reads of the copy. Fills cap unless the end comes first. Count, 0 at the end, -1 (ERR_CHANGED, ERR_IO). */
int64_t sqlite_capture_read(struct sqlite_capture *c, void *p, size_t cap, struct err *err);
/* After the end: 0 when what was read is a committed state; -1 with ERR_CHANGED when it may be torn and must be thrown
 * away (the caller opens anew, insisting), or another error when that cannot be told. */
int sqlite_capture_verify(struct sqlite_capture *c, struct err *err);
/* NULL is nothing. */
void sqlite_capture_close(struct sqlite_capture *c);
