/* jobs.json as a whole: what its readers and its writers share. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "daemon/jobs_text.h"

/* Reads the file, JOBS_FILE_MAX_BYTES at most. ERR_NOT_FOUND; ERR_CORRUPT: too large, or no regular file. */
int jobs_document_read(const char *path, struct buf *out, struct err *err);
/* Parses it, and finds the list of entries; released with jobs_text_release(). ERR_CORRUPT, ERR_UNSUPPORTED. */
int jobs_document_parse(const char *text, size_t len, struct jobs_text *t, const struct jobs_node **entries,
                        struct err *err);
/* The entry of this ID that reading takes: the first good one; else the first. NULL: none. */
const struct jobs_node *jobs_find_entry(const struct jobs_text *t, const struct jobs_node *entries, const char *id);
/* Decimal; the caller frees it. */
char *jobs_number_text(int64_t n);
