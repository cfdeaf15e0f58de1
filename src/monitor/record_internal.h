/* Records as JSON: what the writer and the reader of records share. For record*.c only. */
#pragma once
#include <jansson.h>
#include "base/buf.h"
#include "monitor/record.h"

enum { RECORD_LINE_MAX_BYTES = 1 << 20 };

/* One line, with its line break. A record that would pass RECORD_LINE_MAX_BYTES loses its warnings and sources. */
void record_encode(const struct record *r, struct buf *out);
/* 0, or -1 when it is no record (then there is nothing to release). Unknown members are passed over. */
int record_decode(const char *line, size_t len, struct record *out);
