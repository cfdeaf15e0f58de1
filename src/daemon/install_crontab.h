/*
 * Our part of a user's crontab: the lines between two markers. Everything else is somebody else's, and stays byte for
 * byte. Pure functions.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

/* Where our part is, markers and the line break behind the second included: offsets into the text. No markers: false,
 * and both offsets are the end of the text. ERR_CORRUPT (-1) when there is one marker without the other, or more than
 * one pair: then nobody can say what is ours. 0 otherwise. */
int crontab_find(const char *text, size_t len, bool *found, size_t *begin, size_t *end, struct err *err);
/* `out` becomes the text with `block` (whole lines; "": none) as our part, in the place of the old one or at the end. A
 * line break is added behind a last line without one, without which cron would not read it. */
int crontab_replace(const char *text, size_t len, const char *block, struct buf *out, struct err *err);

/* One line of a crontab: times, then the command for the shell, with '%' escaped, which crontab(5) takes for a line
 * break. off: it is commented out. */
void crontab_line(struct buf *out, const char *fields, const char *command, bool off);
