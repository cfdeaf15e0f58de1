#include "run/plan_secrets.h"

#include <stdlib.h>
#include <sys/stat.h>
#include "base/mem.h"

static void add(struct plan_secrets *out, const struct secret *s)
{
    struct stat st;
    if (s->kind != SECRET_FILE || stat(s->name, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
    out->items[out->count++] = (struct plan_secret_file){st.st_dev, st.st_ino};
}

void plan_secrets_find(struct plan_secrets *out, const struct plan *p)
{
    *out = (struct plan_secrets){0};
    add(out, &p->passphrase);
    for (size_t i = 0; i < p->destination_count; i++)
        add(out, &p->destinations[i].passphrase);
    for (size_t i = 0; i < p->tier_count; i++) {
        for (size_t k = 0; k < p->tiers[i].postgres_count; k++)
            add(out, &p->tiers[i].postgres[k].password);
        for (size_t k = 0; k < p->tiers[i].redis_count; k++)
            add(out, &p->tiers[i].redis[k].password);
    }
    for (size_t i = 0; i < p->alerts.channel_count; i++) {
        add(out, &p->alerts.channels[i].token);
        add(out, &p->alerts.channels[i].address.secret);
    }
    for (size_t i = 0; i < p->alerts.unread_count; i++)
        add(out, &p->alerts.unread[i]);
}

bool plan_secrets_has(const struct plan_secrets *s, const char *path)
{
    struct stat st;
    if (s->count == 0 || stat(path, &st) != 0)
        return false;
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].dev == st.st_dev && s->items[i].ino == st.st_ino)
            return true;
    return false;
}

void plan_secrets_release(struct plan_secrets *s)
{
    free(s->items);
    *s = (struct plan_secrets){0};
}
