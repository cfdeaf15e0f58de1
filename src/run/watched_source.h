/*
 * A source around another one that tells whose fault a failure was: the source's, or that of where it was pushed to;
 * where in its tree the bytes are, and how large each dump is. It passes everything through.
 */
#pragma once
#include "monitor/record.h"
#include "source/source.h"

/* Takes `inner` over. */
struct source *watched_source_new(struct source *inner);
/* Did the inner source fail by itself (it could not be read), the sink having taken all it was given? */
bool watched_source_failed(const struct source *s);
/* After the push: see size_map_take(). Of what was known before it was read: streams count nothing. Once. */
struct record_path *watched_source_take_paths(struct source *s, size_t max, size_t *count_out);
/* After the push, when all that was read was released: see dump_sizes_take(). Once. */
struct record_dump *watched_source_take_dumps(struct source *s, size_t *count_out);
