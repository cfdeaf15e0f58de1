/*
 * How large each dump of a source is: known when it was read to its end, on whatever thread that was. What a sink does
 * not open, since it has it already (a database file that is as it was), has the size that the source said.
 *
 * Any thread may read contents; the rest is one thread's.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "monitor/record.h"
#include "sink/sink.h"

struct dump_sizes;
struct dump_sizes *dump_sizes_new(void);
void dump_sizes_free(struct dump_sizes *d); /* after all contents were released; NULL is nothing */

/* A content in front of `inner`, which it takes over: to be handed to a sink. bytes: by what is known before. */
struct sink_content dump_sizes_watch(struct dump_sizes *all, const char *path, uint64_t bytes,
                                     const struct sink_content *inner);
/* Those that are whole, by path: an array with strings of its own. Only once, when all have been read. */
struct record_dump *dump_sizes_take(struct dump_sizes *d, size_t *count_out);
