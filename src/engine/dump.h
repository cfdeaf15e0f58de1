/*
 * Writing what a snapshot holds to a stream: one file as it is, a directory as an archive. Content is verified before
 * it is written. Nothing is skipped: what cannot be read ends the dump with an error, as a stream has no other way to
 * say that it is incomplete.
 */
#pragma once
#include <stdatomic.h>
#include "engine/content_stream.h"
#include "repo/repo.h"

enum dump_format { DUMP_TAR, DUMP_ZIP };

struct dump_options {
    const struct id *root; /* the tree that `path` starts in */
    const char *path;      /* "/": everything */
    enum dump_format format;
    unsigned threads; /* 0: as many as CPUs, at most 4 */
};

struct dump_progress {
    _Atomic uint64_t files, bytes; /* entries and bytes of content written */
    _Atomic uint64_t left_out;     /* sockets, which no archive can hold */
};

/* Would this path give an archive? ERR_NOT_FOUND, ERR_USAGE for what is neither file nor directory. */
int dump_is_archive(struct repo *r, const struct id *root, const char *path, bool *out, struct err *err);

/* The index must be loaded. `write` gets pieces of up to a blob's size. */
int dump_run(struct repo *r, const struct dump_options *options, content_write_fn *write, void *ctx,
             struct dump_progress *progress, struct err *err);
