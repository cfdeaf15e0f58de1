/*
 * A database as two files: its dump and the rows of its tables, both of one snapshot. Whichever is opened first begins
 * it; whichever is read to its end last compares the rows of both. The contents may be used by two threads.
 */
#pragma once
#include "sink/sink.h"
#include "source/postgres_client.h"

/* Two contents, one for each file. `c` and `reporter` must outlive them; `path`: of the dump, for warnings. */
void pg_dump_contents_new(const struct pg_client *c, const char *database, const char *path, uint64_t timeout_ms,
                          const struct sink_reporter *reporter, struct sink_content **dump_out,
                          struct sink_content **counts_out);
