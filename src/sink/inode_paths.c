#include "sink/inode_paths.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

struct inode_path {
    struct inode_path *next;
    uint64_t device, inode, unseen; /* names still to come */
    char path[];
};

static struct inode_path **bucket(struct inode_path **buckets, size_t count, uint64_t device, uint64_t inode)
{
    return &buckets[((inode ^ device << 32) * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (count - 1)];
}

static void grow(struct inode_paths *p)
{
    size_t bigger_count = p->bucket_count > 0 ? p->bucket_count * 4 : 64;
    struct inode_path **bigger = mem_zalloc(bigger_count * sizeof(struct inode_path *));
    for (size_t i = 0; i < p->bucket_count; i++) {
        while (p->buckets[i] != NULL) {
            struct inode_path *e = p->buckets[i];
            p->buckets[i] = e->next;
            struct inode_path **to = bucket(bigger, bigger_count, e->device, e->inode);
            e->next = *to;
            *to = e;
        }
    }
    free(p->buckets);
    p->buckets = bigger;
    p->bucket_count = bigger_count;
}

static void add(struct inode_paths *p, const struct node *n, const char *path)
{
    if (p->count >= p->bucket_count)
        grow(p);
    size_t bytes = strlen(path) + 1;
    struct inode_path *e = mem_alloc(sizeof *e + bytes);
    struct inode_path **head = bucket(p->buckets, p->bucket_count, n->device_id, n->inode);
    *e = (struct inode_path){.next = *head, .device = n->device_id, .inode = n->inode, .unseen = n->links - 1};
    memcpy(e->path, path, bytes);
    *head = e;
    p->count++;
}

/* Where the entry hangs, or NULL. */
static struct inode_path **find(struct inode_paths *p, const struct node *node)
{
    if (p->bucket_count == 0)
        return NULL;
    struct inode_path **at = bucket(p->buckets, p->bucket_count, node->device_id, node->inode);
    for (; *at != NULL; at = &(*at)->next)
        if ((*at)->inode == node->inode && (*at)->device == node->device_id)
            return at;
    return NULL;
}

static void take_out(struct inode_paths *p, struct inode_path **at)
{
    struct inode_path *e = *at;
    *at = e->next;
    free(e);
    p->count--;
}

char *inode_paths_see(struct inode_paths *p, const struct node *node, const char *path)
{
    if (node->links < 2 || node->inode == 0)
        return NULL;
    struct inode_path **at = find(p, node);
    if (at == NULL) {
        add(p, node, path);
        return NULL;
    }
    char *first = mem_strdup((*at)->path);
    if (--(*at)->unseen == 0)
        take_out(p, at);
    return first;
}

void inode_paths_forget(struct inode_paths *p, const struct node *node)
{
    struct inode_path **at = node->links < 2 || node->inode == 0 ? NULL : find(p, node);
    if (at != NULL)
        take_out(p, at);
}

void inode_paths_release(struct inode_paths *p)
{
    for (size_t i = 0; i < p->bucket_count; i++) {
        while (p->buckets[i] != NULL) {
            struct inode_path *e = p->buckets[i];
            p->buckets[i] = e->next;
            free(e);
        }
    }
    free(p->buckets);
    *p = (struct inode_paths){0};
}
