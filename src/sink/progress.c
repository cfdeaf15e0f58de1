#include "sink/progress.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"

struct backup_current {
    pthread_mutex_t mutex;
    char path[1024];
};

struct backup_progress *backup_progress_new(void)
{
    struct backup_progress *p = mem_zalloc(sizeof *p);
    p->current = mem_zalloc(sizeof *p->current);
    pthread_mutex_init(&p->current->mutex, NULL);
    atomic_store(&p->stage, "opening");
    return p;
}

void backup_progress_free(struct backup_progress *p)
{
    if (p == NULL)
        return;
    pthread_mutex_destroy(&p->current->mutex);
    free(p->current);
    free(p);
}

void backup_progress_set_current(struct backup_progress *p, const char *path)
{
    pthread_mutex_lock(&p->current->mutex);
    snprintf(p->current->path, sizeof p->current->path, "%s", path);
    pthread_mutex_unlock(&p->current->mutex);
}

void backup_progress_current(struct backup_progress *p, char *out, size_t cap)
{
    pthread_mutex_lock(&p->current->mutex);
    snprintf(out, cap, "%s", p->current->path);
    pthread_mutex_unlock(&p->current->mutex);
}
