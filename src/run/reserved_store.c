#include "run/reserved_store.h"

#include <stdatomic.h>
#include <stdlib.h>
#include "base/bytes.h"
#include "base/mem.h"

struct reserved {
    struct store store;
    struct store *inner;
    _Atomic uint64_t reserve_bytes;
};

static struct reserved *reserved_of(struct store *s)
{
    return (struct reserved *)s;
}

static int reserved_free_space(struct store *s, uint64_t *bytes_out, struct err *err)
{
    struct reserved *r = reserved_of(s);
    uint64_t bytes, reserve = atomic_load(&r->reserve_bytes);
    if (store_free_space(r->inner, &bytes, err) < 0)
        return -1;
    *bytes_out = bytes > reserve ? bytes - reserve : 0;
    return 0;
}

static int check_room(struct store *s, size_t len, struct err *err)
{
    struct reserved *r = reserved_of(s);
    uint64_t bytes, reserve = atomic_load(&r->reserve_bytes);
    if (reserve == 0 || store_free_space(r->inner, &bytes, NULL) < 0 || bytes >= reserve + len)
        return 0;
    char left[BYTES_TEXT_BYTES], kept[BYTES_TEXT_BYTES];
    return err_set(err, ERR_NO_SPACE, "'%s' is full: only %s are free, and %s are to be left alone", s->location,
                   bytes_text(bytes, left), bytes_text(reserve, kept));
}

static int reserved_spool_write(struct store *s, struct store_spool *sp, const void *p, size_t len, struct err *err)
{
    return check_room(s, len, err) < 0 ? -1 : store_spool_write(reserved_of(s)->inner, sp, p, len, err);
}

static int reserved_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                         struct err *err)
{
    if (type == STORE_PACK && check_room(s, len, err) < 0)
        return -1;
    return store_save(reserved_of(s)->inner, type, name, p, len, err);
}

/* --- the rest is passed on --- */

static int reserved_create(struct store *s, struct err *err)
{
    return store_create(reserved_of(s)->inner, err);
}

static int reserved_list(struct store *s, enum store_type type, store_list_fn *fn, void *ctx, struct err *err)
{
    return store_list(reserved_of(s)->inner, type, fn, ctx, err);
}

static int reserved_size(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out, struct err *err)
{
    return store_size(reserved_of(s)->inner, type, name, bytes_out, err);
}

static int reserved_read(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out,
                         size_t len, struct err *err)
{
    return store_read(reserved_of(s)->inner, type, name, offset, out, len, err);
}

static int reserved_remove(struct store *s, enum store_type type, const char *name, struct err *err)
{
    return store_remove(reserved_of(s)->inner, type, name, err);
}

static int reserved_spool_new(struct store *s, struct store_spool **out, struct err *err)
{
    return store_spool_new(reserved_of(s)->inner, out, err);
}

static int reserved_spool_commit(struct store *s, struct store_spool *sp, enum store_type type, const char *name,
                                 struct err *err)
{
    return store_spool_commit(reserved_of(s)->inner, sp, type, name, err);
}

static void reserved_spool_discard(struct store *s, struct store_spool *sp)
{
    store_spool_discard(reserved_of(s)->inner, sp);
}

static int reserved_clean(struct store *s, struct err *err)
{
    return store_clean(reserved_of(s)->inner, err);
}

static void reserved_reserve_keep(struct store *s)
{
    store_reserve_keep(reserved_of(s)->inner);
}

static void reserved_reserve_retake(struct store *s)
{
    store_reserve_retake(reserved_of(s)->inner);
}

static bool reserved_reserve_give_up(struct store *s)
{
    return store_reserve_give_up(reserved_of(s)->inner);
}

static void reserved_free(struct store *s)
{
    store_free(reserved_of(s)->inner);
    free(s->location);
    free(s);
}

static const struct store_ops OPS = {
    .create = reserved_create,
    .list = reserved_list,
    .size = reserved_size,
    .read = reserved_read,
    .save = reserved_save,
    .remove = reserved_remove,
    .spool_new = reserved_spool_new,
    .spool_write = reserved_spool_write,
    .spool_commit = reserved_spool_commit,
    .spool_discard = reserved_spool_discard,
    .free_space = reserved_free_space,
    .clean = reserved_clean,
    .reserve_keep = reserved_reserve_keep,
    .reserve_retake = reserved_reserve_retake,
    .reserve_give_up = reserved_reserve_give_up,
    .free = reserved_free,
};

struct store *reserved_store_new(struct store *inner, uint64_t reserve_bytes)
{
    if (reserve_bytes == 0 || !(inner->features & STORE_FREE_SPACE))
        return inner;
    struct reserved *r = mem_zalloc(sizeof *r);
    r->store = (struct store){.ops = &OPS, .location = mem_strdup(inner->location), .features = inner->features};
    r->inner = inner;
    atomic_init(&r->reserve_bytes, reserve_bytes);
    return &r->store;
}

void reserved_store_lift(struct store *s)
{
    if (s->ops == &OPS)
        atomic_store(&reserved_of(s)->reserve_bytes, 0);
}
