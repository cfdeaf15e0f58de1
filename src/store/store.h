/*
 * Where a repository's bytes are kept. A store holds named files of six types, each written once, whole, and never
 * changed; it knows nothing of what is in them.
 *
 * Names are 64 lower-case hex digits (STORE_CONFIG has the one file "config" and ignores the name, which may be NULL).
 * All functions may be called from several threads at once. Every name passed in has been checked by the caller;
 * listings skip foreign names.
 *
 * A backend implements `struct store_ops`; code above calls the store_*() functions below, which check arguments once
 * for all backends. Backends declare what they can do in `features`; nobody tests for a backend's name.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"

enum store_type { STORE_CONFIG, STORE_KEY, STORE_SNAPSHOT, STORE_INDEX, STORE_LOCK, STORE_PACK, STORE_TYPE_COUNT };
const char *store_type_name(enum store_type type); /* "config", "keys", "snapshots", "index", "locks", "data" */

enum { STORE_LABEL_BYTES = 32 };
/* A file as messages call it: "pack 'ab12cd34'", "config file". Writes and returns out. */
const char *store_label(enum store_type type, const char *name, char out[STORE_LABEL_BYTES]);

enum store_feature {
    STORE_CHEAP_READS = 1 << 0, /* a small read costs about as much per byte as a large one (a local disk) */
    STORE_FREE_SPACE = 1 << 1,  /* store_free_space() works */
    STORE_CONSISTENT = 1 << 2,  /* a listing shows at once every file that anybody saved before it */
};

struct store;
struct store_spool; /* each backend has its own */

/* Called once a file; name is NUL-terminated hex. A non-zero return ends the listing, which returns it. */
typedef int store_list_fn(void *ctx, const char *name, uint64_t size_bytes);

/* What a backend does; the contracts are those of the functions below. What store.c keeps from backends: list is never
 * asked for STORE_CONFIG (name "config" reaches the others), read never for 0 bytes nor past INT64_MAX, free_space only
 * with the feature. */
struct store_ops {
    int (*create)(struct store *s, struct err *err);
    int (*list)(struct store *s, enum store_type type, store_list_fn *fn, void *ctx, struct err *err);
    int (*size)(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out, struct err *err);
    int (*read)(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out, size_t len,
                struct err *err);
    int (*save)(struct store *s, enum store_type type, const char *name, const void *p, size_t len, struct err *err);
    int (*remove)(struct store *s, enum store_type type, const char *name, struct err *err);
    int (*spool_new)(struct store *s, struct store_spool **out, struct err *err);
    int (*spool_write)(struct store *s, struct store_spool *sp, const void *p, size_t len, struct err *err);
    int (*spool_commit)(struct store *s, struct store_spool *sp, enum store_type type, const char *name,
                        struct err *err);
    void (*spool_discard)(struct store *s, struct store_spool *sp);
    int (*free_space)(struct store *s, uint64_t *bytes_out, struct err *err);
    int (*clean)(struct store *s, struct err *err);
    /* All three may be NULL: then there is no such thing. */
    void (*reserve_keep)(struct store *s);
    void (*reserve_retake)(struct store *s);
    bool (*reserve_give_up)(struct store *s);
    void (*free)(struct store *s); /* location too */
};

/* Backends embed this as their first member. */
struct store {
    const struct store_ops *ops;
    char *location; /* for messages: no secrets in it */
    unsigned features;
};

/* Makes the empty layout. ERR_EXISTS when a config is there already. What a part of it is there already stays. */
int store_create(struct store *s, struct err *err);

/* Every file of a type, in no particular order (STORE_CONFIG: "config" if it is there). A directory that is missing is
 * ERR_NO_REPOSITORY. Files that come or go meanwhile may be listed or not. The callback may use the store. */
int store_list(struct store *s, enum store_type type, store_list_fn *fn, void *ctx, struct err *err);

/* ERR_NOT_FOUND when it is not there. */
int store_size(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out, struct err *err);

/* Exactly len bytes from offset; ERR_NOT_FOUND, or ERR_CORRUPT when the file ends before offset+len. */
int store_read(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out, size_t len,
               struct err *err);
/* The whole file, appended to out, whose maximum bounds it: ERR_CORRUPT when it is larger, out is then as before. */
int store_read_all(struct store *s, enum store_type type, const char *name, struct buf *out, struct err *err);

/* Writes a file: afterwards it is durably there under its name, whole; after a failure or a crash it is either that or
 * not visible at all. Saving a name that exists replaces it with the same bytes (names are hashes), except
 * STORE_CONFIG, which is ERR_EXISTS. STORE_LOCK is the exception to durability: a power cut may take a lock with its
 * holder. */
int store_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len, struct err *err);

/* Removes a file, durably. One that is not there is ERR_NOT_FOUND. Two types are spared the wait for the disk, as prune
 * removes hundreds: after a power cut a STORE_PACK may be back, which is then a pack that no index names, as it was
 * when it was removed; and a STORE_LOCK, which is then stale. */
int store_remove(struct store *s, enum store_type type, const char *name, struct err *err);

/* A file whose name is known only once it is written (a pack). Bytes appended are held by the store, out of sight,
 * until commit gives them their name with store_save's promise. Commit and discard free the spool, whatever they
 * return. One thread at a time per spool. */
int store_spool_new(struct store *s, struct store_spool **out, struct err *err);
int store_spool_write(struct store *s, struct store_spool *sp, const void *p, size_t len, struct err *err);
int store_spool_commit(struct store *s, struct store_spool *sp, enum store_type type, const char *name,
                       struct err *err);
void store_spool_discard(struct store *s, struct store_spool *sp); /* NULL is nothing */

/* Bytes that can still be written. ERR_UNSUPPORTED without STORE_FREE_SPACE. */
int store_free_space(struct store *s, uint64_t *bytes_out, struct err *err);
/* Removes what interrupted writers left behind (temporary files). Only under an exclusive lock, and while this process
 * has no spool open and saves nothing but locks. */
int store_clean(struct store *s, struct err *err);
/* Space that is kept back so that a repository on a full disk can still be tidied up: kept (best effort, and not while
 * the disk is nearly full), and given up, which tells whether there was some. */
enum { STORE_RESERVE_BYTES = 1 << 20 };
void store_reserve_keep(struct store *s);
/* By who gave it up and is done: kept again, also while the disk is nearly full. */
void store_reserve_retake(struct store *s);
bool store_reserve_give_up(struct store *s);
void store_free(struct store *s); /* NULL is nothing */

/* The backend for a location: a path, or "local:PATH". ERR_USAGE for a scheme that is not known. Touches nothing. */
int store_open(struct store **out, const char *location, struct err *err);
