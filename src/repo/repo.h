/*
 * An open repository: its store, master key, configuration and index, and the ways to load and save what is in it.
 *
 * Layout on the store, see store/store.h; the format, see docs/format.md. A repo may be used by many threads; each
 * passes its own `struct codec` to functions that encrypt or compress.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "chunk/chunker.h"
#include "crypto/cipher.h"
#include "repo/index.h"
#include "repo/snapshot.h"
#include "repo/snapshot_memo.h"
#include "repo/tree.h"
#include "store/store.h"

enum repo_compression {
    REPO_COMPRESSION_AUTO,
    REPO_COMPRESSION_OFF,
    REPO_COMPRESSION_FASTEST,
    REPO_COMPRESSION_BETTER,
    REPO_COMPRESSION_MAX
};

enum {
    REPO_UNPACKED_MAX_BYTES = 256 << 20, /* of one index or snapshot file, decompressed */
    REPO_BLOB_MAX_BYTES = 1 << 30, /* of one blob, decompressed: data is ≤ 8 MiB by most writers, trees may be large */
    REPO_PACK_TARGET_BYTES = 16 << 20,
};

struct repo_config {
    unsigned version; /* 1 or 2 */
    struct id id;
    uint64_t polynomial;
    bool read_only; /* written by a program whose chunker or rules differ: see `read_only_why` */
    const char *read_only_why;
};

struct repo_options {
    const char *cache_dir; /* NULL: no cache */
    enum repo_compression compression;
    uint32_t pack_target_bytes; /* 0: REPO_PACK_TARGET_BYTES; 4..128 MiB */
    unsigned threads;           /* 0: os_cpu_count() */
};

struct repo {
    struct store *store; /* owned */
    struct repo_options options;
    struct repo_config config;
    struct cipher_key key;
    struct id key_id;           /* the key file that opened it */
    struct index *index;        /* NULL until repo_load_index */
    char *cache_dir;            /* of this repository; NULL: none */
    struct snapshot_memo *memo; /* borrowed: what repo_load_snapshots() need not read again; NULL: none */
};

/* Makes a repository (config and one key) in an empty store. version 1 or 2. The polynomial is random unless
 * `polynomial` is not 0. ERR_EXISTS when there is one. */
int repo_init(struct store *store, const char *passphrase, unsigned version, uint64_t polynomial, struct err *err);

/* Opens with the first key that the passphrase fits. Takes the store over (also when it fails). ERR_NO_REPOSITORY,
 * ERR_WRONG_PASSPHRASE, ERR_UNSUPPORTED (a newer version), ERR_CORRUPT. */
int repo_open(struct repo **out, struct store *store, const char *passphrase, const struct repo_options *options,
              struct err *err);
void repo_free(struct repo *r); /* wipes the key */

/* What opened a repository once, for programs that open it again and again: deriving the key from the passphrase takes
 * longer than most of what they do. As secret as the passphrase; all zero: nothing is kept. */
struct repo_key {
    struct cipher_key key;
    struct id key_id, repository;
};
void repo_keep_key(const struct repo *r, struct repo_key *out);
void repo_key_wipe(struct repo_key *k);
bool repo_key_is_kept(const struct repo_key *k);
/* Opens as repo_open() does, reading the configuration anew. Takes the store over (also when it fails).
 * ERR_WRONG_PASSPHRASE: the key file has been removed since then. ERR_NO_REPOSITORY, ERR_CORRUPT: none that this key
 * opens is there. After any failure repo_open() can tell more. */
int repo_open_again(struct repo **out, struct store *store, const struct repo_key *kept,
                    const struct repo_options *options, struct err *err);
/* ERR_UNSUPPORTED, with the reason, where config.read_only is set. Every command that adds data asks first. */
int repo_check_writable(const struct repo *r, struct err *err);

/*
 * A thread's tools: cipher, compressor, hash, scratch buffers.
 */
struct codec;
struct codec *codec_new(const struct repo *r, struct err *err);
void codec_free(struct codec *c);

/*
 * Unpacked files (index, snapshot, lock; config and keys have their own rules).
 */
/* Encrypts (and compresses in v2) and saves; the name is the SHA-256 of the stored bytes. */
int repo_save_unpacked(struct repo *r, struct codec *c, enum store_type type, const void *p, size_t len,
                       struct id *id_out, struct err *err);
/* Appends the plaintext to out. Verifies the name against the bytes. ERR_NOT_FOUND, ERR_CORRUPT. */
int repo_load_unpacked(struct repo *r, struct codec *c, enum store_type type, const struct id *id, struct buf *out,
                       struct err *err);

/*
 * Index.
 */
/* Loads every index file into r->index (through the cache where there is one) and seals it. Each broken index file is
 * an error unless `broken` is given, which then collects their names, and the rest is loaded. */
int repo_load_index(struct repo *r, struct strlist *broken, struct err *err);
/* The same without the cache: for check, prune and repair, which must see what is stored. */
int repo_load_index_uncached(struct repo *r, struct strlist *broken, struct err *err);

/*
 * Blobs.
 */
/* Where a stored blob lies, complete enough to read it without the index. */
struct blob_place {
    struct id id, pack_id;
    enum blob_type type;
    uint32_t offset, length, raw_length;
};
/* Loads, decrypts, decompresses and verifies a blob; out is cleared first. Where the index knows several copies and one
 * is damaged, the others are tried. ERR_NOT_FOUND when the index lacks it, ERR_CORRUPT. */
int repo_load_blob(struct repo *r, struct codec *c, enum blob_type type, const struct id *id, struct buf *out,
                   struct err *err);
/* The same from a known place. */
int repo_load_blob_at(struct repo *r, struct codec *c, const struct blob_place *place, struct buf *out,
                      struct err *err);
/* Decrypts, decompresses and verifies stored bytes that the caller has read from a pack (place->length of them). From
 * stored + CIPHER_IV_BYTES on they are overwritten by what was encrypted: the content as it is compressed. */
int repo_open_blob(struct codec *c, const struct blob_place *place, unsigned char *stored, struct buf *out,
                   struct err *err);
/* The same without a copy: *out lies in `stored` (what is not compressed) or in `scratch`, and is good as long as these
 * are left alone. */
struct blob_view {
    const unsigned char *data;
    size_t len;
};
int repo_view_blob(struct codec *c, const struct blob_place *place, unsigned char *stored, struct buf *scratch,
                   struct blob_view *out, struct err *err);
/* Compresses (where the version, --compression and the type ask for it; only when that makes it shorter, unless
 * `always`) and encrypts. blob->type is given; length and raw_length are filled
 * in. *sealed_out is the codec's until its next use. ERR_UNSUPPORTED when it is too large for the format. */
int repo_seal_blob(struct codec *c, const void *plain, size_t len, bool always, struct pack_blob *blob,
                   const unsigned char **sealed_out, struct err *err);
/* The same for what is compressed already, from raw_length bytes (0: it is not). */
int repo_seal_content(struct codec *c, const void *content, size_t len, uint32_t raw_length, struct pack_blob *blob,
                      const unsigned char **sealed_out, struct err *err);
/* Loads and parses a tree, whose nodes have no raw; `json` is scratch (tree_decode_consume). */
int repo_consume_tree(struct repo *r, struct codec *c, const struct id *id, struct buf *json, struct tree *out,
                      struct err *err);
/* Loads and parses a tree. `json` receives the text (it must outlive the tree where node.raw is used). */
int repo_load_tree(struct repo *r, struct codec *c, const struct id *id, struct buf *json, struct tree *out,
                   struct err *err);
/* Reads a pack's own header (two reads at most). *blobs is the caller's. ERR_CORRUPT. */
int repo_load_pack_header(struct repo *r, struct codec *c, const struct id *pack_id, uint64_t pack_bytes,
                          struct pack_blob **blobs, size_t *count, struct err *err);

/*
 * Snapshots.
 */
struct snapshot_list {
    struct snapshot *items; /* sorted by time, oldest first */
    size_t count;
};
/* *out is released by the caller. ERR_NOT_FOUND, ERR_CORRUPT. */
int repo_load_snapshot(struct repo *r, const struct id *id, struct snapshot *out, struct err *err);
/* Every readable snapshot. Each broken one is an error unless `broken` is given, which then collects messages. */
int repo_load_snapshots(struct repo *r, struct snapshot_list *out, struct strlist *broken, struct err *err);
void snapshot_list_release(struct snapshot_list *l);
int repo_save_snapshot(struct repo *r, struct codec *c, struct snapshot *s /* id set */, struct err *err);
/* Every file of a type as IDs, sorted; *out is the caller's (free). */
int repo_list_ids(struct repo *r, enum store_type type, struct id **out, size_t *count_out, struct err *err);
/* The one file of a type whose name starts with these hex digits: ERR_NOT_FOUND, or ERR_USAGE when it is ambiguous or
 * no hex. */
int repo_find_id(struct repo *r, enum store_type type, const char *prefix, struct id *out, struct err *err);
