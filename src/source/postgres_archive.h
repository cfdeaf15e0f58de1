/*
 * Reads along with pg_dump's custom format as it streams by, and tells whether it is whole: the table of contents can
 * be read to its end, every entry that has data has it, once, every block belongs to an entry, and the stream ends
 * where a block ends. Rows of tables are counted on the way. Memory: some bytes for each entry that has data. Takes any
 * bytes.
 *
 * Known are the versions 1.12 (PostgreSQL 9.0) to 1.16 (PostgreSQL 17 and 18). Of a newer one only the beginning is
 * looked at.
 *
 * Layout (pg_backup_archiver.c, pg_backup_custom.c of PostgreSQL). INT: a sign byte, then 4 bytes, lowest first. STR:
 * an INT length, -1 for null, then the bytes.
 *
 *     "PGDMP"  version: 3 bytes  size of integers  size of offsets  format: 1
 *     compression: INT, from 1.15 on a byte          time: 7 INT   database, server's and tool's version: 3 STR
 *     entries: INT, then each
 *         INT id   INT has data   STR table's oid   STR oid   STR tag   STR kind   INT section   STR definition
 *         STR drop statement   STR copy statement   STR schema   STR tablespace   from 1.14 on STR access method
 *         from 1.16 on INT kind of relation   STR owner   STR "false"   ids it depends on: STR …, null
 *         state of the data: a byte   offset: as many bytes as said above
 *     blocks to the end:
 *         1  INT id   pieces: INT length, bytes …   INT 0                              data of a table
 *         3  INT id   objects: INT oid, pieces as above …   INT 0                      large objects
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"
#include "source/postgres_rows.h"

struct pg_archive;
struct pg_archive *pg_archive_new(void);
void pg_archive_free(struct pg_archive *a); /* NULL is nothing */

/* The next bytes. ERR_CORRUPT: this is no archive, or a broken one; ERR_UNSUPPORTED: it has more entries than we hold.
 * After an error only free. */
int pg_archive_feed(struct pg_archive *a, const void *bytes, size_t len, struct err *err);
/* After the last bytes: is it whole? ERR_CORRUPT if not. */
int pg_archive_end(struct pg_archive *a, struct err *err);

/* False: the version is newer than we know, nothing but the magic bytes was looked at. Known after
 * PG_ARCHIVE_HEAD_BYTES.
 */
bool pg_archive_is_known(const struct pg_archive *a);
/* The first bytes, once that is known. Borrowed. */
enum { PG_ARCHIVE_HEAD_BYTES = 11 };
const unsigned char *pg_archive_head(const struct pg_archive *a);
/* "1.14" */
void pg_archive_version(const struct pg_archive *a, char *out, size_t cap);
/* After the end: the tables and their rows, of those whose data is plain COPY text, sorted. They become the caller's,
 * who releases them. */
void pg_archive_take_rows(struct pg_archive *a, struct pg_rows *out);
