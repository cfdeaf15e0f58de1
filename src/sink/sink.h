/*
 * Where a snapshot goes. A source pushes a tree of entries into a sink, depth first, in ascending byte order of names
 * within each directory:
 *
 *     dir_begin("a")  entry("x")  dir_begin("b") … dir_end()  dir_end()
 *
 * The sink takes copies of what it keeps. Content is pulled by the sink, possibly later and on another thread, through
 * the content's functions; a sink that finds a file unchanged never opens it. A sink knows nothing of where data comes
 * from.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "repo/node.h"

/* How the bytes of a file should be cut into blobs. */
enum sink_cut {
    SINK_CUT_FORMAT, /* the format's own content-defined cut: plain files */
    SINK_CUT_FIXED,  /* every cut_bytes: files made of pages */
    /* Finer content-defined ones, by how the content changes: chunk/chunker.h. */
    SINK_CUT_GROWING,   /* it is appended to */
    SINK_CUT_SCATTERED, /* in many places: dumps of databases */
    SINK_CUT_FEW,       /* in few places: git bundles */
};

enum sink_finish {
    SINK_FINISH_OK,
    SINK_FINISH_AGAIN, /* it changed while it was read: throw it away and read it again */
    SINK_FINISH_ERROR
};

/* An open stream. `state` belongs to the source. Used by one thread at a time. */
struct sink_stream {
    void *state;
    enum sink_cut cut;
    size_t cut_bytes;
    /* Up to cap bytes (at least 1 unless at the end): count, 0 at the end, -1 on error. Fills as much as it can. */
    int64_t (*read)(void *state, void *p, size_t cap, struct err *err);
    /* Number of zero bytes that follow here and need not be read (a hole), or 0; the sink then skips them by `skip`.
     * Both may be NULL. */
    uint64_t (*hole)(void *state);
    int (*skip)(void *state, uint64_t bytes, struct err *err);
    /* Asked once after the end. May correct the node's metadata (times, size) to what was read. */
    enum sink_finish (*finish)(void *state, struct node *node, struct err *err);
    void (*close)(void *state);
};

/* What a source hands over with a file. Owned by the sink from the call on; `release` is called exactly once, whether
 * or not it was opened. */
struct sink_content {
    void *ctx;
    /* `always`: read it even when its metadata is that of the parent snapshot (a database whose newest data is
     * elsewhere). */
    bool always;
    /* `by_fingerprint`: the node's inode number is a fingerprint of what the content is made from. A parent snapshot's
     * file of the same fingerprint is the same, size and times included, whatever the node says of these. */
    bool by_fingerprint;
    /* `is_dump`: a whole dump or database. What it has by itself, and had the last time, is watched; sinks don't care.
     */
    bool is_dump;
    /* attempt: 1, 2, 3 … after SINK_FINISH_AGAIN. ERR_NOT_FOUND: it vanished meanwhile, which is no error. May correct
     * node->type-independent metadata (from an fstat of what was opened). */
    int (*open)(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err);
    void (*release)(void *ctx);
};

struct sink;
struct sink_ops {
    int (*dir_begin)(struct sink *s, const struct node *dir, struct err *err);
    /* A file (content given) or any other entry (content NULL). `path`: for messages; copied. For a file whose metadata
     * is known to be complete but for xattrs, see `known`. */
    int (*entry)(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                 struct err *err);
    int (*dir_end)(struct sink *s, struct err *err);
    /* May be NULL. The parent snapshot's node for a name in the directory that is open, if its inode, ctime, mtime and
     * size are these: then its xattrs are still right, and the source need not ask the kernel for them. Borrowed until
     * the next call, what it points to until dir_end. */
    const struct node *(*known)(struct sink *s, const char *name, size_t name_len, const struct stat *st);
};

struct sink {
    const struct sink_ops *ops;
};

/* A source's report of something that could not be read, and of what it left out. May be called from any thread. */
struct sink_reporter {
    void *ctx;
    /* The entry is missing from the snapshot (or a directory's listing is incomplete). */
    void (*unreadable)(void *ctx, const char *path, const struct err *err);
    /* It is in the snapshot but deserves a word: "changed while it was read". */
    void (*warning)(void *ctx, const char *path, const char *what);
    void (*excluded)(void *ctx, const char *path, const char *why); /* may be NULL */
};
