#include "os/owner.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include "base/mem.h"

enum { FIRST_BYTES = 1024, ENTRY_MAX_BYTES = 16 << 20 };

struct name_entry {
    uint32_t id;
    bool used;
    char *name;
};

/* An open-addressing table; a power of two, at most half full. */
struct name_table {
    struct name_entry *slots;
    size_t cap, count;
};

struct os_owners {
    pthread_mutex_t lock;
    struct name_table users, groups;
};

struct os_owners *os_owners_new(void)
{
    struct os_owners *o = mem_zalloc(sizeof *o);
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

static void release(struct name_table *t)
{
    for (size_t i = 0; i < t->cap; i++)
        free(t->slots[i].name);
    free(t->slots);
}

void os_owners_free(struct os_owners *o)
{
    if (o == NULL)
        return;
    release(&o->users);
    release(&o->groups);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static struct name_entry *find(const struct name_table *t, uint32_t id)
{
    size_t i = (id * 2654435761u) & (t->cap - 1);
    while (t->slots[i].used && t->slots[i].id != id)
        i = (i + 1) & (t->cap - 1);
    return &t->slots[i];
}

static void grow(struct name_table *t)
{
    struct name_table larger = {.cap = t->cap == 0 ? 16 : t->cap * 2, .count = t->count};
    larger.slots = mem_zalloc(larger.cap * sizeof *larger.slots);
    for (size_t i = 0; i < t->cap; i++)
        if (t->slots[i].used)
            *find(&larger, t->slots[i].id) = t->slots[i];
    free(t->slots);
    *t = larger;
}

static char *look_up_user(uint32_t id, char *p, size_t cap, int *rc)
{
    struct passwd entry, *found = NULL;
    *rc = getpwuid_r(id, &entry, p, cap, &found);
    return found == NULL ? NULL : found->pw_name;
}

static char *look_up_group(uint32_t id, char *p, size_t cap, int *rc)
{
    struct group entry, *found = NULL;
    *rc = getgrgid_r(id, &entry, p, cap, &found);
    return found == NULL ? NULL : found->gr_name;
}

/* A copy of the name, or NULL. */
static char *look_up(uint32_t id, char *(*ask)(uint32_t id, char *p, size_t cap, int *rc))
{
    char *name = NULL;
    for (size_t cap = FIRST_BYTES; cap <= ENTRY_MAX_BYTES; cap *= 4) {
        char *p = mem_alloc(cap);
        int rc = 0;
        const char *found = ask(id, p, cap, &rc);
        if (found != NULL && found[0] != '\0')
            name = mem_strdup(found);
        free(p);
        if (rc != ERANGE)
            break;
    }
    return name;
}

static const char *name_of(struct os_owners *o, struct name_table *t, uint32_t id,
                           char *(*ask)(uint32_t id, char *p, size_t cap, int *rc))
{
    pthread_mutex_lock(&o->lock);
    if (t->count * 2 >= t->cap)
        grow(t);
    struct name_entry *e = find(t, id);
    if (!e->used) {
        *e = (struct name_entry){.id = id, .used = true, .name = look_up(id, ask)};
        t->count++;
    }
    const char *name = e->name;
    pthread_mutex_unlock(&o->lock);
    return name;
}

const char *os_user_name(struct os_owners *o, uid_t uid)
{
    return name_of(o, &o->users, uid, look_up_user);
}

const char *os_group_name(struct os_owners *o, gid_t gid)
{
    return name_of(o, &o->groups, gid, look_up_group);
}
