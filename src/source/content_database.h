/* A SQLite database as a stream for the sink: source/sqlite.h with the sink's rules for reading again. */
#pragma once
#include <stdbool.h>
#include "source/content.h"

/* Sets the node's size to that of the capture. On failure nothing is open, and err says why: ERR_CORRUPT or
 * ERR_UNSUPPORTED when it is no database that can be captured. */
int content_database_open(struct sink_stream *out, const struct content_env *env, const char *path, unsigned attempt,
                          struct node *node, struct err *err);
/* Is there data in a -wal or -journal file beside it? */
bool content_database_has_more(const char *path);
