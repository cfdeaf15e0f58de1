/* Runs in the database. For state*.c only. */
#pragma once
#include "monitor/state_internal.h"

/* Takes over one line of a log, within a transaction; a second time changes nothing. `stem`: the log's name, for lines
 * that name nobody. */
int state_take_record(struct state *s, const struct record *r, const char *stem, const char *line, size_t line_len,
                      struct err *err);
