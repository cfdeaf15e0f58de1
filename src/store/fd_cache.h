/*
 * Files kept open for reading, since a restore reads a pack thousands of times: the last FD_CACHE_SLOTS of them, the
 * least recently used closed first. It knows 64-character names and descriptors, not where files lie. Thread-safe.
 */
#pragma once
#include "base/id.h"

enum { FD_CACHE_SLOTS = 32 };

struct fd_cache;
struct fd_cache *fd_cache_new(void);

/* The descriptor for a name, from the cache or, when it is not there, from open_fn(ctx, name): a descriptor, or -1 with
 * errno set, which is returned. It stays open until it is given back with fd_cache_release. */
typedef int fd_cache_open_fn(void *ctx, const char *name);
int fd_cache_acquire(struct fd_cache *c, const char *name, fd_cache_open_fn *open_fn, void *ctx);
void fd_cache_release(struct fd_cache *c, int fd);

/* Forgets a name: the next acquire opens anew. Those who hold its descriptor keep it until they release it. */
void fd_cache_drop(struct fd_cache *c, const char *name);

/* Closes all. Every descriptor has been released. NULL is nothing. */
void fd_cache_free(struct fd_cache *c);
