/*
 * A stream as a file: standard input, or what a command writes to its standard output. Its size is not known before its
 * end.
 *
 * All functions return a content for sink_ops.entry; it frees itself with its release. The bytes end with a 0 from
 * read only when all is well: what a command wrote before it failed looks whole but is not, so its failure is an error
 * of read, and the sink must not keep the file.
 */
#pragma once
#include "sink/sink.h"

/* A command's output, cut finely (dumps). argv: NULL-terminated, argv[0] looked up in PATH; copied. It is started when
 * the sink opens the content, and again when it opens it again. Standard error is kept for the message. timeout_ms: for
 * all of it; 0: none. */
struct sink_content *command_content_new(char *const *argv, uint64_t timeout_ms);
/* The same, but to write nothing at all is a failure, too, whatever its exit status. */
struct sink_content *command_output_new(char *const *argv, uint64_t timeout_ms);

/* What can be read from a descriptor (standard input), cut as the format cuts files. fd stays the caller's; can be
 * opened once. */
struct sink_content *command_content_stdin(int fd);
