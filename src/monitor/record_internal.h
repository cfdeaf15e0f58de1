/* Records as JSON: what the writer and the reader of records share. For record*.c only. */
#pragma once
#include <jansson.h>
#include "base/buf.h"
#include "monitor/record.h"

enum { RECORD_LINE_MAX_BYTES = 1 << 20, RECORD_READ_MAX_BYTES = 4 << 20 };

/* One line, with its line break. A record that would pass RECORD_LINE_MAX_BYTES loses its sources' paths; if that is
 * not enough, its warnings and sources. */
void record_encode(const struct record *r, struct buf *out);

/* Whose line is it, without decoding it? */
bool record_is_job_line(const char *line, size_t len);
/* The start of the run of this kind that has not ended, as record_unended() has it, among the lines of a text: the
 * line, and its length without its end. NULL: there is none. */
const char *record_find_unended(const char *text, size_t len, bool job, size_t *len_out);
/* Appends the starts, of both kinds, of runs that have not ended in the text, where these lie in its first `cut` bytes.
 */
void record_add_unended(const char *text, size_t len, size_t cut, struct buf *out);

/* The last lines of a text. */
const char *record_last_lines(const char *text, size_t len, size_t lines);
/* Appends the file's last RECORD_READ_MAX_BYTES to out, from the beginning of a line on. 0, or -1 with errno set. */
int record_read_tail(int fd, struct buf *out);
