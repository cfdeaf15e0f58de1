/*
 * Which blob lies where: the union of a repository's index files in memory, at 48 bytes a blob and a little.
 *
 * Two parts. The loaded part is a sorted array (with a table of buckets by the ID's first bits), immutable once
 * index_seal() was called: lookups take no lock. The added part collects what this process stores, in 256 small hash
 * tables, each under its own lock. Duplicates (one blob in several packs) are kept in the loaded part.
 *
 * After index_seal: index_find, index_claim, index_place and the accessors may be called from any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/id.h"
#include "repo/pack.h"

struct index;

/* One blob in one pack. 48 bytes: this is what a big repository costs. */
struct index_entry {
    struct id id;
    uint32_t pack_and_type; /* bit 31: tree; the rest: number of the pack */
    uint32_t offset, length, raw_length;
};
static inline enum blob_type index_entry_type(const struct index_entry *e)
{
    return e->pack_and_type >> 31 ? BLOB_TREE : BLOB_DATA;
}
static inline uint32_t index_entry_pack(const struct index_entry *e)
{
    return e->pack_and_type & 0x7fffffffU;
}

struct index *index_new(void);
void index_free(struct index *ix);

/* Loading (one thread): the blobs of one pack, in any order. A pack may come more than once; exact duplicates vanish in
 * index_seal. */
int index_load_pack(struct index *ix, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                    struct err *err);
/* Ends loading: sorts, removes exact duplicates, builds the buckets. Loading more after it needs index_unseal(). */
void index_seal(struct index *ix);
void index_unseal(struct index *ix);

/* A sealed index around entries that are sorted already (the cache's). Takes over `memory` (mem_alloc), whose entries
 * start at `offset_bytes`, a multiple of 16; copies the pack IDs. */
struct index *index_adopt(void *memory, size_t offset_bytes, size_t count, const struct id *packs, uint32_t pack_count);

size_t index_count(const struct index *ix); /* loaded + placed entries */
size_t index_pack_count(const struct index *ix);
const struct id *index_pack_id(const struct index *ix, uint32_t pack); /* valid until the next pack is added */
size_t index_memory_bytes(const struct index *ix);

/* Where is it? False when unknown, or claimed and not yet placed. With several places, any one. */
bool index_find(const struct index *ix, enum blob_type type, const struct id *id, struct index_entry *out,
                struct id *pack_id_out /* may be NULL */);
/* Is it there, or being stored by this process? */
bool index_known(const struct index *ix, enum blob_type type, const struct id *id);

/* The loaded part by position, sorted by (id, type): for prune and check, which keep bits beside it. */
size_t index_loaded_count(const struct index *ix);
const struct index_entry *index_loaded(const struct index *ix, size_t position);
/* The position of the first loaded entry for this blob, or SIZE_MAX; duplicates follow it. */
size_t index_position(const struct index *ix, enum blob_type type, const struct id *id);

/* Storing: true when the caller is the first to want this blob stored and must now store it; false when it is known. */
bool index_claim(struct index *ix, enum blob_type type, const struct id *id);
/* The claimed blobs of a finished pack got their place. */
void index_place(struct index *ix, const struct id *pack_id, const struct pack_blob *blobs, size_t count);

/*
 * Index files: {"packs":[{"id":…,"blobs":[{"id","type","offset","length","uncompressed_length"?}…]}…]}
 */
/* Called for each pack of an index document. Non-zero ends the parse and is returned. */
typedef int index_pack_fn(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                          struct err *err);
/* Parses an index file's JSON; unknown keys are ignored. Also takes version 0's bare array of packs. ERR_CORRUPT. */
int index_decode(const char *json, size_t len, index_pack_fn *fn, void *ctx, struct err *err);
/* Appends one pack's object; the caller writes `{"packs":[`, commas and `]}\n` (see index_encode_begin/end). */
void index_encode_begin(struct buf *out);
void index_encode_pack(struct buf *out, const struct id *pack_id, const struct pack_blob *blobs, size_t count);
void index_encode_end(struct buf *out);
