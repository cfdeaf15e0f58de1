/*
 * Logs of one JSON document a line, appended by any number of processes: a line is there wholly or not at all, the file
 * is cut to its last lines when it has grown too large, readers skip what is torn. 0600, regular files only.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

/* text[0, len) is about to be cut away, whole lines: appends to out those that must stay. */
typedef void jsonl_keep(const char *text, size_t len, struct buf *out);

struct jsonl_limits {
    size_t max_bytes;  /* a file that passes it … */
    size_t kept_lines; /* … is cut to so many lines; where these alone (nearly) pass it, to three quarters of it, so
                        * that the next lines do not have it cut again */
    size_t read_bytes; /* of a file that somebody let grow only the last so many bytes are read */
    jsonl_keep *keep;  /* what must outlive the cutting: goes before the kept lines. NULL: nothing */
};

/* `line` ends in a line break. One write(), under a lock of the file; it is on the disk afterwards. The directory must
 * be there. */
int jsonl_append(const char *path, const struct buf *line, const struct jsonl_limits *limits, struct err *err);

/* Appends the last `lines` lines (those of the last read_bytes) to out. No file: 0 and nothing. */
int jsonl_read_tail(const char *path, size_t lines, const struct jsonl_limits *limits, struct buf *out,
                    struct err *err);
