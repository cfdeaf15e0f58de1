/*
 * Bytes kept for a moment in a nameless file, that nobody can read: compressed, then encrypted and authenticated with a
 * key that is made for it and exists in memory only. Written once, then read once. One thread at a time.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct archive_spool;
/* In that directory: without a name from the start where the file system can, else its name is removed at once. */
struct archive_spool *archive_spool_new(const char *dir, struct err *err);
int archive_spool_write(struct archive_spool *s, const void *p, size_t len, struct err *err);
/* Ends the writing. */
int archive_spool_rewind(struct archive_spool *s, struct err *err);
/* Exactly what was written: as many bytes as asked for, but at the end. Count, 0 at the end, -1: ERR_CORRUPT, ERR_IO.
 */
int64_t archive_spool_read(struct archive_spool *s, void *p, size_t cap, struct err *err);
void archive_spool_free(struct archive_spool *s); /* NULL is nothing */
