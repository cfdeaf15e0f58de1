/*
 * From tar to file: a bounded queue, a thread that compresses (with helpers) and feeds gpg, a thread that takes what
 * gpg makes of it and writes it. So reading, compressing, encrypting and writing go on at the same time.
 */
#pragma once
#include "base/id.h"
#include "sink/archive_sink_output.h"

struct archive_pipe;
/* The output must outlive it, and belongs to it until archive_pipe_end() or archive_pipe_free() returned. */
struct archive_pipe *archive_pipe_new(const struct archive_sink_options *options, struct archive_output *output,
                                      struct err *err);
/* Waits while the queue is full. -1 with the reason once anything has failed. */
int archive_pipe_write(struct archive_pipe *p, const void *data, size_t len, struct err *err);
/* The end: returns when all is in the files. tar_sha256_out: of all that was written here (zero without verification
 * by decrypting). */
int archive_pipe_end(struct archive_pipe *p, struct id *tar_sha256_out, struct err *err);
/* Before its end: stops everything. NULL is nothing. */
void archive_pipe_free(struct archive_pipe *p);
