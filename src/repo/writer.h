/*
 * Storing blobs: deduplicate, compress, encrypt, collect into packs, write the packs, record them in index files.
 *
 * Any number of threads may put blobs at once, each with its codec. One pack per blob type is open at a time; full
 * packs are made durable by a background thread, at most two behind. A blob counts as stored for others once
 * writer_flush() has returned 0: packs first, then the index files that name them.
 */
#pragma once
#include "repo/repo.h"

struct writer;
struct lock;
struct writer_stats {
    uint64_t data_blobs, tree_blobs;   /* new ones */
    uint64_t data_bytes, tree_bytes;   /* of new blobs, before compression */
    uint64_t data_stored, tree_stored; /* of new blobs, as stored (compressed, encrypted) */
    uint64_t packs, index_files;
};
struct writer_put {
    bool is_new;           /* it was stored now */
    uint32_t stored_bytes; /* if new */
};

/* dry_run: everything but writing: IDs are computed, blobs claimed and compressed, nothing reaches the store. Needs the
 * index loaded. */
struct writer *writer_new(struct repo *r, bool dry_run, struct err *err);
/* Asked once, before the first file gets its name in the repository, on whatever thread does that: a repository's lock
 * may be confirmed this late. A failure of it is the writer's. Set before the first put. */
void writer_set_gate(struct writer *w, int (*gate)(void *ctx, struct err *err), void *ctx);
/* Under this lock: no index file is written once it is gone, since it could name packs that somebody's prune took for
 * left over, and the next backup would take what was in them for stored. NULL: none. Set before the first put. */
void writer_set_lock(struct writer *w, struct lock *l);
/* Stores a blob unless it is known; *id_out receives its ID. `put` may be NULL. After an error the writer is broken:
 * every later put returns the same error. */
int writer_blob(struct writer *w, struct codec *c, enum blob_type type, const void *p, size_t len, struct id *id_out,
                struct writer_put *put, struct err *err);
/* Stores an already sealed blob as it is (prune's repacking), known or not. */
int writer_sealed(struct writer *w, const struct pack_blob *blob, const unsigned char *sealed, struct err *err);
/* Packs that others wrote and that the next index files shall name too (repair, prune). */
int writer_index_pack(struct writer *w, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                      struct err *err);
/* Writes out open packs and everything not yet in an index file. Then all put blobs are durable and findable. */
int writer_flush(struct writer *w, struct err *err);
/* After a failure or an interruption: names the packs that are already durable in an index file, if that can be done,
 * so that the next backup goes on from there. Only while the lock is certainly held. */
void writer_salvage(struct writer *w);
void writer_stats(const struct writer *w, struct writer_stats *out);
/* The IDs of the index files this writer saved (borrowed; valid until the writer goes). */
const struct id *writer_index_ids(const struct writer *w, size_t *count_out);
/* Discards what was not flushed. NULL is nothing. */
void writer_free(struct writer *w);
