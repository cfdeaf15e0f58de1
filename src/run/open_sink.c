#include "run/open_sink.h"

#include <stdlib.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "run/sensitive.h"

/* A file, by whatever name it is met. */
struct secret_file {
    dev_t dev;
    ino_t ino;
};

struct open_sink {
    struct sink sink;
    struct sink *inner;
    const struct sink_reporter *reporter;
    uint64_t left_out;
    struct secret_file *secrets; /* the plan's */
    size_t secret_count;
};

static void add_secret(struct open_sink *o, const struct secret *s)
{
    struct stat st;
    if (s->kind != SECRET_FILE || stat(s->name, &st) != 0)
        return;
    o->secrets = mem_array(o->secrets, o->secret_count + 1, sizeof *o->secrets);
    o->secrets[o->secret_count++] = (struct secret_file){st.st_dev, st.st_ino};
}

static void add_secrets(struct open_sink *o, const struct plan *p)
{
    add_secret(o, &p->passphrase);
    for (size_t i = 0; i < p->destination_count; i++)
        add_secret(o, &p->destinations[i].passphrase);
    for (size_t i = 0; i < p->tier_count; i++) {
        for (size_t k = 0; k < p->tiers[i].postgres_count; k++)
            add_secret(o, &p->tiers[i].postgres[k].password);
        for (size_t k = 0; k < p->tiers[i].redis_count; k++)
            add_secret(o, &p->tiers[i].redis[k].password);
    }
    for (size_t i = 0; i < p->alerts.channel_count; i++) {
        add_secret(o, &p->alerts.channels[i].token);
        add_secret(o, &p->alerts.channels[i].address.secret);
    }
}

static const char *plans_secret(const struct open_sink *o, const char *path)
{
    struct stat st;
    if (o->secret_count == 0 || stat(path, &st) != 0)
        return NULL;
    for (size_t i = 0; i < o->secret_count; i++)
        if (o->secrets[i].dev == st.st_dev && o->secrets[i].ino == st.st_ino)
            return "passphrase, password or token of the plan";
    return NULL;
}

static int open_dir_begin(struct sink *s, const struct node *dir, struct err *err)
{
    struct open_sink *o = (struct open_sink *)s;
    return o->inner->ops->dir_begin(o->inner, dir, err);
}

static int open_dir_end(struct sink *s, struct err *err)
{
    struct open_sink *o = (struct open_sink *)s;
    return o->inner->ops->dir_end(o->inner, err);
}

static int open_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                      struct err *err)
{
    struct open_sink *o = (struct open_sink *)s;
    const char *what = content != NULL ? plans_secret(o, path) : NULL;
    if (what == NULL && content != NULL)
        what = sensitive_file(path);
    if (what == NULL)
        return o->inner->ops->entry(o->inner, node, path, content, err);
    if (content->release != NULL)
        content->release(content->ctx);
    o->left_out++;
    if (o->reporter->excluded != NULL)
        o->reporter->excluded(o->reporter->ctx, path, what);
    return 0;
}

static const struct node *open_known(struct sink *s, const char *name, size_t name_len, const struct stat *st)
{
    struct open_sink *o = (struct open_sink *)s;
    return o->inner->ops->known != NULL ? o->inner->ops->known(o->inner, name, name_len, st) : NULL;
}

static const struct sink_ops OPS = {
    .dir_begin = open_dir_begin, .entry = open_entry, .dir_end = open_dir_end, .known = open_known};

struct open_sink *open_sink_new(struct sink *inner, const struct plan *plan, const struct sink_reporter *reporter)
{
    struct open_sink *o = mem_zalloc(sizeof *o);
    *o = (struct open_sink){.sink = {.ops = &OPS}, .inner = inner, .reporter = reporter};
    add_secrets(o, plan);
    return o;
}

struct sink *open_sink_base(struct open_sink *s)
{
    return &s->sink;
}

uint64_t open_sink_left_out(const struct open_sink *s)
{
    return s->left_out;
}

void open_sink_free(struct open_sink *s)
{
    if (s == NULL)
        return;
    free(s->secrets);
    free(s);
}
