#include "engine/restore_internal.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

/*
 * Invariants, under `mutex`: an entry is in its bucket's chain from the first name of its inode until all of its names
 * were seen and nobody uses it any more. While BUSY one thread restores the first name and others add themselves to
 * `waiters`; once READY the place and identity don't change.
 */
struct link_dir {
    _Atomic unsigned refs;
    char path[]; /* below the target, no slash at either end; "" is the target */
};

struct restore_link {
    struct restore_link *next;
    uint64_t device, inode;
    bool ready;
    uint32_t unseen; /* names that are still to come, as far as the snapshot told */
    uint32_t users;
    struct link_waiter *waiters, **waiters_end;
    struct link_dir *dir;
    char *name;
    dev_t st_dev;
    ino_t st_ino;
};

struct links {
    pthread_mutex_t mutex;
    struct restore_link **buckets;
    size_t count, bucket_count; /* a power of two */
};

struct link_dir *link_dir_hold(struct link_dir *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void link_dir_release(struct link_dir *d)
{
    if (d != NULL && atomic_fetch_sub(&d->refs, 1) == 1)
        free(d);
}

const char *link_dir_path(const struct link_dir *d)
{
    return d->path;
}

/* The record of a directory, made when the first link in it needs it. Under the mutex. */
static struct link_dir *dir_record(struct rdir *d)
{
    if (d->link_dir == NULL) {
        char *path = rdir_path(d, NULL);
        const char *relative = path + strspn(path, "/");
        size_t bytes = strlen(relative) + 1;
        d->link_dir = mem_alloc(sizeof *d->link_dir + bytes);
        atomic_init(&d->link_dir->refs, 1);
        memcpy(d->link_dir->path, relative, bytes);
        free(path);
    }
    return link_dir_hold(d->link_dir);
}

struct link_dir *link_dir_of(const struct restore_link *link)
{
    return link->dir;
}

bool links_same_dir(struct links *l, const struct restore_link *link, const struct rdir *dir)
{
    pthread_mutex_lock(&l->mutex);
    bool same = dir->link_dir == link->dir;
    pthread_mutex_unlock(&l->mutex);
    return same;
}

const char *link_name(const struct restore_link *link)
{
    return link->name;
}

bool link_is(const struct restore_link *link, const struct stat *st)
{
    return st->st_dev == link->st_dev && st->st_ino == link->st_ino;
}

struct links *links_new(void)
{
    struct links *l = mem_zalloc(sizeof *l);
    pthread_mutex_init(&l->mutex, NULL);
    l->bucket_count = 64;
    l->buckets = mem_zalloc(l->bucket_count * sizeof *l->buckets);
    return l;
}

static void free_link(struct restore_link *link)
{
    link_dir_release(link->dir);
    free(link->name);
    free(link);
}

void links_free(struct links *l)
{
    if (l == NULL)
        return;
    for (size_t i = 0; i < l->bucket_count; i++) {
        while (l->buckets[i] != NULL) {
            struct restore_link *link = l->buckets[i];
            l->buckets[i] = link->next;
            free_link(link);
        }
    }
    pthread_mutex_destroy(&l->mutex);
    free(l->buckets);
    free(l);
}

static struct restore_link **bucket(struct links *l, uint64_t device, uint64_t inode)
{
    uint64_t h = (inode ^ device << 32) * UINT64_C(0x9e3779b97f4a7c15);
    return &l->buckets[(h >> 20) & (l->bucket_count - 1)];
}

static void grow(struct links *l)
{
    struct links bigger = {.bucket_count = l->bucket_count * 4};
    bigger.buckets = mem_zalloc(bigger.bucket_count * sizeof *bigger.buckets);
    for (size_t i = 0; i < l->bucket_count; i++) {
        while (l->buckets[i] != NULL) {
            struct restore_link *link = l->buckets[i];
            l->buckets[i] = link->next;
            struct restore_link **to = bucket(&bigger, link->device, link->inode);
            link->next = *to;
            *to = link;
        }
    }
    free(l->buckets);
    l->buckets = bigger.buckets;
    l->bucket_count = bigger.bucket_count;
}

static struct restore_link *find(struct links *l, const struct node *n)
{
    struct restore_link *link = *bucket(l, n->device_id, n->inode);
    while (link != NULL && (link->inode != n->inode || link->device != n->device_id))
        link = link->next;
    return link;
}

static struct restore_link *add(struct links *l, const struct node *n)
{
    if (l->count >= l->bucket_count)
        grow(l);
    struct restore_link *link = mem_zalloc(sizeof *link);
    link->device = n->device_id;
    link->inode = n->inode;
    link->unseen = n->links > UINT32_MAX ? UINT32_MAX : (uint32_t)n->links;
    link->waiters_end = &link->waiters;
    struct restore_link **head = bucket(l, n->device_id, n->inode);
    link->next = *head;
    *head = link;
    l->count++;
    return link;
}

static void drop(struct links *l, struct restore_link *link)
{
    struct restore_link **at = bucket(l, link->device, link->inode);
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    l->count--;
    free_link(link);
}

enum link_role links_join(struct links *l, struct rdir *dir, const struct node *node, struct restore_link **out)
{
    pthread_mutex_lock(&l->mutex);
    struct restore_link *link = find(l, node);
    enum link_role role = LINK_LEAD;
    if (link == NULL) {
        link = add(l, node);
    } else if (link->ready) {
        role = LINK_FOLLOW;
        link->users++;
    } else {
        role = LINK_WAIT;
        struct link_waiter *waiter = mem_alloc(sizeof *waiter);
        *waiter = (struct link_waiter){.dir = dir, .node = node};
        *link->waiters_end = waiter;
        link->waiters_end = &waiter->next;
    }
    if (link->unseen > 0)
        link->unseen--;
    *out = link;
    pthread_mutex_unlock(&l->mutex);
    return role;
}

static struct link_waiter *take_all(struct restore_link *link)
{
    struct link_waiter *all = link->waiters;
    link->waiters = NULL;
    link->waiters_end = &link->waiters;
    for (struct link_waiter *w = all; w != NULL; w = w->next)
        link->users++;
    return all;
}

static struct link_waiter *take_one(struct restore_link *link)
{
    struct link_waiter *one = link->waiters;
    if (one != NULL) {
        link->waiters = one->next;
        if (link->waiters == NULL)
            link->waiters_end = &link->waiters;
        one->next = NULL;
    }
    return one;
}

static void drop_if_over(struct links *l, struct restore_link *link)
{
    if (link->users == 0 && link->unseen == 0)
        drop(l, link);
}

struct link_waiter *links_done(struct links *l, struct restore_link *link, struct rdir *dir, const char *name,
                               const struct stat *st)
{
    pthread_mutex_lock(&l->mutex);
    struct link_waiter *waiters;
    if (st != NULL) {
        link->ready = true;
        link->dir = dir_record(dir);
        link->name = mem_strdup(name);
        link->st_dev = st->st_dev;
        link->st_ino = st->st_ino;
        waiters = take_all(link);
        drop_if_over(l, link);
    } else {
        waiters = take_one(link);
        if (waiters == NULL)
            drop(l, link); /* the next name of this inode, if there is one, starts anew */
    }
    pthread_mutex_unlock(&l->mutex);
    return waiters;
}

void links_followed(struct links *l, struct restore_link *link)
{
    pthread_mutex_lock(&l->mutex);
    link->users--;
    drop_if_over(l, link);
    pthread_mutex_unlock(&l->mutex);
}
