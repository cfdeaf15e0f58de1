/*
 * Standard input, or a command's output, as a source of one file. Strict: a stream that failed leaves no snapshot.
 */
#pragma once
#include <time.h>
#include "source/source.h"

/* name: the file's, or a path; what is missing above it becomes directories. command: argv, NULL-terminated, copied;
 * NULL: standard input. time: the entries' times. ERR_USAGE when the name is none. */
int stream_source_new(struct source **out, const char *name, char *const *command, struct timespec time,
                      struct err *err);
