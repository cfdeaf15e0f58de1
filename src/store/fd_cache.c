/*
 * Invariants, under the mutex:
 * - a slot with fd -1 is free; its refs are 0;
 * - at most one slot has a given name; a dropped slot has the empty name, so nobody finds it, and is closed with its
 * last ref;
 * - only slots with refs 0 are evicted. When there is none, a descriptor lives outside the cache and is closed on
 * release.
 */
#include "store/fd_cache.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

struct slot {
    char name[ID_HEX_BYTES];
    int fd;
    unsigned refs;
    uint64_t last_use;
};

struct fd_cache {
    pthread_mutex_t mutex;
    uint64_t uses;
    struct slot slots[FD_CACHE_SLOTS];
};

struct fd_cache *fd_cache_new(void)
{
    struct fd_cache *c = mem_zalloc(sizeof *c);
    pthread_mutex_init(&c->mutex, NULL);
    for (size_t i = 0; i < FD_CACHE_SLOTS; i++)
        c->slots[i].fd = -1;
    return c;
}

static struct slot *find(struct fd_cache *c, const char *name)
{
    for (struct slot *s = c->slots; s < c->slots + FD_CACHE_SLOTS; s++)
        if (s->fd >= 0 && strcmp(s->name, name) == 0)
            return s;
    return NULL;
}

static int take(struct fd_cache *c, struct slot *s)
{
    s->refs++;
    s->last_use = ++c->uses;
    return s->fd;
}

static void empty(struct slot *s)
{
    close(s->fd);
    s->fd = -1;
}

/* A free slot, or the least recently used one of those nobody holds, emptied; NULL when all are held. */
static struct slot *make_room(struct fd_cache *c)
{
    struct slot *best = NULL;
    for (struct slot *s = c->slots; s < c->slots + FD_CACHE_SLOTS; s++) {
        if (s->fd < 0)
            return s;
        if (s->refs == 0 && (best == NULL || s->last_use < best->last_use))
            best = s;
    }
    if (best != NULL)
        empty(best);
    return best;
}

static int insert(struct fd_cache *c, const char *name, int fd)
{
    struct slot *s = find(c, name);
    if (s != NULL) { /* another thread was quicker */
        close(fd);
        return take(c, s);
    }
    s = make_room(c);
    if (s == NULL)
        return fd;
    memcpy(s->name, name, ID_HEX_BYTES);
    s->fd = fd;
    s->refs = 0;
    return take(c, s);
}

int fd_cache_acquire(struct fd_cache *c, const char *name, fd_cache_open_fn *open_fn, void *ctx)
{
    assert(strlen(name) == ID_HEX_CHARS);
    pthread_mutex_lock(&c->mutex);
    struct slot *s = find(c, name);
    int fd = s != NULL ? take(c, s) : -1;
    pthread_mutex_unlock(&c->mutex);
    if (fd >= 0)
        return fd;

    fd = open_fn(ctx, name); /* may take long: not under the mutex */
    if (fd < 0)
        return -1;
    pthread_mutex_lock(&c->mutex);
    fd = insert(c, name, fd);
    pthread_mutex_unlock(&c->mutex);
    return fd;
}

void fd_cache_release(struct fd_cache *c, int fd)
{
    bool cached = false;
    pthread_mutex_lock(&c->mutex);
    for (struct slot *s = c->slots; s < c->slots + FD_CACHE_SLOTS && !cached; s++) {
        if (s->fd != fd)
            continue;
        cached = true;
        assert(s->refs > 0);
        if (--s->refs == 0 && s->name[0] == '\0')
            empty(s);
    }
    pthread_mutex_unlock(&c->mutex);
    if (!cached)
        close(fd);
}

void fd_cache_drop(struct fd_cache *c, const char *name)
{
    pthread_mutex_lock(&c->mutex);
    struct slot *s = find(c, name);
    if (s != NULL) {
        s->name[0] = '\0';
        if (s->refs == 0)
            empty(s);
    }
    pthread_mutex_unlock(&c->mutex);
}

void fd_cache_free(struct fd_cache *c)
{
    if (c == NULL)
        return;
    for (struct slot *s = c->slots; s < c->slots + FD_CACHE_SLOTS; s++) {
        assert(s->refs == 0);
        if (s->fd >= 0)
            empty(s);
    }
    pthread_mutex_destroy(&c->mutex);
    free(c);
}
