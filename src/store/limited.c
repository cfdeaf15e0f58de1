#include "store/limited.h"

#include <stdlib.h>
#include "base/mem.h"
#include "os/rate.h"

struct limited {
    struct store store;
    struct store *inner;
    struct os_rate *rate; /* shared by all writers */
};

static struct limited *limited_of(struct store *s)
{
    return (struct limited *)s;
}

/* --- writing: paid for before it is done, so that the disk or the line never gets more than it may --- */

static int limited_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                        struct err *err)
{
    os_rate_take(limited_of(s)->rate, len);
    return store_save(limited_of(s)->inner, type, name, p, len, err);
}

static int limited_spool_write(struct store *s, struct store_spool *sp, const void *p, size_t len, struct err *err)
{
    struct limited *l = limited_of(s);
    const unsigned char *from = p;
    uint64_t step = os_rate_step(l->rate);
    while (len > 0) {
        size_t n = len < step ? len : (size_t)step;
        os_rate_take(l->rate, n);
        if (store_spool_write(l->inner, sp, from, n, err) < 0)
            return -1;
        from += n;
        len -= n;
    }
    return 0;
}

/* --- the rest is passed on --- */

static int limited_create(struct store *s, struct err *err)
{
    return store_create(limited_of(s)->inner, err);
}

static int limited_list(struct store *s, enum store_type type, store_list_fn *fn, void *ctx, struct err *err)
{
    return store_list(limited_of(s)->inner, type, fn, ctx, err);
}

static int limited_size(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out, struct err *err)
{
    return store_size(limited_of(s)->inner, type, name, bytes_out, err);
}

static int limited_read(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out, size_t len,
                        struct err *err)
{
    return store_read(limited_of(s)->inner, type, name, offset, out, len, err);
}

static int limited_remove(struct store *s, enum store_type type, const char *name, struct err *err)
{
    return store_remove(limited_of(s)->inner, type, name, err);
}

static int limited_spool_new(struct store *s, struct store_spool **out, struct err *err)
{
    return store_spool_new(limited_of(s)->inner, out, err);
}

static int limited_spool_commit(struct store *s, struct store_spool *sp, enum store_type type, const char *name,
                                struct err *err)
{
    return store_spool_commit(limited_of(s)->inner, sp, type, name, err);
}

static void limited_spool_discard(struct store *s, struct store_spool *sp)
{
    store_spool_discard(limited_of(s)->inner, sp);
}

static void limited_reserve_keep(struct store *s)
{
    store_reserve_keep(limited_of(s)->inner);
}

static void limited_reserve_retake(struct store *s)
{
    store_reserve_retake(limited_of(s)->inner);
}

static bool limited_reserve_give_up(struct store *s)
{
    return store_reserve_give_up(limited_of(s)->inner);
}

static int limited_free_space(struct store *s, uint64_t *bytes_out, struct err *err)
{
    return store_free_space(limited_of(s)->inner, bytes_out, err);
}

static int limited_clean(struct store *s, struct err *err)
{
    return store_clean(limited_of(s)->inner, err);
}

static void limited_free(struct store *s)
{
    struct limited *l = limited_of(s);
    store_free(l->inner);
    os_rate_free(l->rate);
    free(l->store.location);
    free(l);
}

static const struct store_ops OPS = {
    .create = limited_create,
    .list = limited_list,
    .size = limited_size,
    .read = limited_read,
    .save = limited_save,
    .remove = limited_remove,
    .spool_new = limited_spool_new,
    .spool_write = limited_spool_write,
    .spool_commit = limited_spool_commit,
    .spool_discard = limited_spool_discard,
    .reserve_keep = limited_reserve_keep,
    .reserve_retake = limited_reserve_retake,
    .reserve_give_up = limited_reserve_give_up,
    .free_space = limited_free_space,
    .clean = limited_clean,
    .free = limited_free,
};

struct store *store_limited_new(struct store *inner, uint64_t bytes_per_s)
{
    if (bytes_per_s == 0)
        return inner;
    struct limited *l = mem_zalloc(sizeof *l);
    l->store = (struct store){.ops = &OPS, .location = mem_strdup(inner->location), .features = inner->features};
    l->inner = inner;
    l->rate = os_rate_new(bytes_per_s);
    return &l->store;
}
