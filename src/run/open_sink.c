#include "run/open_sink.h"

#include <stdlib.h>
#include "base/mem.h"
#include "run/plan_secrets.h"
#include "run/sensitive.h"

struct open_sink {
    struct sink sink;
    struct sink *inner;
    const struct sink_reporter *reporter;
    uint64_t left_out;
    struct plan_secrets secrets;
};

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
    const char *what = content != NULL && plan_secrets_has(&o->secrets, path) ? PLAN_SECRET_WHAT : NULL;
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
    plan_secrets_find(&o->secrets, plan);
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
    plan_secrets_release(&s->secrets);
    free(s);
}
