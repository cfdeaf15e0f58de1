/*
 * The finished stream into several directories at once: a temporary file in each, its checksum, and what makes an
 * archive of it. A target that fails is dropped with its error; operations fail when none is left.
 *
 * One thread at a time; archive_output_roomiest() from any thread.
 */
#pragma once
#include "sink/archive_sink.h"

struct archive_output;

/* Creates the temporary files, after removing what earlier writers of this host left behind. */
struct archive_output *archive_output_new(const struct archive_sink_options *options,
                                          const struct sink_reporter *reporter, struct err *err);
int archive_output_write(struct archive_output *o, const void *p, size_t len, struct err *err);

/* What is known of the stream, for proving the files. */
struct archive_stream_facts {
    struct id tar_sha256;
    const char *summary; /* for the checksum file: lines */
};
/* Ends the files: durable, proven, renamed, with what lies beside them. */
int archive_output_finish(struct archive_output *o, const struct archive_stream_facts *facts, struct err *err);
const struct archive_result *archive_output_result(const struct archive_output *o, size_t target);

/* The directory of a target that still lives with the most free space beyond its reserve; NULL: none has any. */
const char *archive_output_roomiest(struct archive_output *o);
/* Removes temporary files; targets without an archive that had no error have this one. */
void archive_output_abandon(struct archive_output *o, const struct err *why);
/* That, too. NULL is nothing. */
void archive_output_free(struct archive_output *o);
