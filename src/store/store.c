#include "store/store.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include "store/fault.h"
#include "store/local.h"

static const struct {
    const char *directory, *label;
} TYPES[STORE_TYPE_COUNT] = {
    [STORE_CONFIG] = {"config", "config file"},
    [STORE_KEY] = {"keys", "key"},
    [STORE_SNAPSHOT] = {"snapshots", "snapshot"},
    [STORE_INDEX] = {"index", "index"},
    [STORE_LOCK] = {"locks", "lock"},
    [STORE_PACK] = {"data", "pack"},
};

const char *store_type_name(enum store_type type)
{
    assert(type < STORE_TYPE_COUNT);
    return TYPES[type].directory;
}

const char *store_label(enum store_type type, const char *name, char out[STORE_LABEL_BYTES])
{
    assert(type < STORE_TYPE_COUNT);
    if (type == STORE_CONFIG)
        snprintf(out, STORE_LABEL_BYTES, "%s", TYPES[type].label);
    else
        snprintf(out, STORE_LABEL_BYTES, "%s '%.*s'", TYPES[type].label, ID_SHORT_CHARS, name);
    return out;
}

/* The name as backends get it. A name that is no ID would be a path to anywhere: that is the caller's mistake. */
static const char *checked_name(enum store_type type, const char *name)
{
    assert(type < STORE_TYPE_COUNT);
    if (type == STORE_CONFIG)
        return TYPES[STORE_CONFIG].directory;
    struct id id;
    assert(name != NULL && id_from_hex(name, strlen(name), &id) == 0);
    (void)id;
    return name;
}

int store_create(struct store *s, struct err *err)
{
    return s->ops->create(s, err);
}

static int list_config(struct store *s, store_list_fn *fn, void *ctx, struct err *err)
{
    const char *name = checked_name(STORE_CONFIG, NULL);
    struct err reason = {0};
    uint64_t bytes;
    if (s->ops->size(s, STORE_CONFIG, name, &bytes, &reason) == 0)
        return fn(ctx, name, bytes);
    if (reason.code == ERR_NOT_FOUND)
        return 0;
    if (err != NULL)
        *err = reason;
    return -1;
}

int store_list(struct store *s, enum store_type type, store_list_fn *fn, void *ctx, struct err *err)
{
    assert(type < STORE_TYPE_COUNT);
    return type == STORE_CONFIG ? list_config(s, fn, ctx, err) : s->ops->list(s, type, fn, ctx, err);
}

int store_size(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out, struct err *err)
{
    return s->ops->size(s, type, checked_name(type, name), bytes_out, err);
}

static int too_short(const struct store *s, enum store_type type, const char *name, uint64_t offset, size_t len,
                     struct err *err)
{
    char label[STORE_LABEL_BYTES];
    return err_set(err, ERR_CORRUPT, "%s in '%s' is too short: %zu bytes are missing at offset %llu",
                   store_label(type, name, label), s->location, len, (unsigned long long)offset);
}

/* Nothing to read, but the promise that the file is there and reaches that far. */
static int read_nothing(struct store *s, enum store_type type, const char *name, uint64_t offset, struct err *err)
{
    uint64_t bytes;
    if (s->ops->size(s, type, name, &bytes, err) != 0)
        return -1;
    return offset <= bytes ? 0 : too_short(s, type, name, offset, 0, err);
}

int store_read(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out, size_t len,
               struct err *err)
{
    name = checked_name(type, name);
    if (offset > INT64_MAX || len > INT64_MAX - offset)
        return too_short(s, type, name, offset, len, err);
    if (len == 0)
        return read_nothing(s, type, name, offset, err);
    return s->ops->read(s, type, name, offset, out, len, err);
}

int store_read_all(struct store *s, enum store_type type, const char *name, struct buf *out, struct err *err)
{
    uint64_t bytes;
    if (store_size(s, type, name, &bytes, err) != 0)
        return -1;
    if (bytes == 0)
        return 0;
    unsigned char *to = bytes <= out->max - out->len ? buf_reserve(out, (size_t)bytes) : NULL;
    if (to == NULL) {
        char label[STORE_LABEL_BYTES];
        return err_set(err, ERR_CORRUPT, "%s in '%s' is too large: %llu bytes, at most %zu are plausible",
                       store_label(type, name, label), s->location, (unsigned long long)bytes, out->max);
    }
    if (store_read(s, type, name, 0, to, (size_t)bytes, err) != 0)
        return -1;
    out->len += (size_t)bytes;
    return 0;
}

int store_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len, struct err *err)
{
    return s->ops->save(s, type, checked_name(type, name), p, len, err);
}

int store_remove(struct store *s, enum store_type type, const char *name, struct err *err)
{
    return s->ops->remove(s, type, checked_name(type, name), err);
}

int store_spool_new(struct store *s, struct store_spool **out, struct err *err)
{
    *out = NULL;
    return s->ops->spool_new(s, out, err);
}

int store_spool_write(struct store *s, struct store_spool *sp, const void *p, size_t len, struct err *err)
{
    return len == 0 ? 0 : s->ops->spool_write(s, sp, p, len, err);
}

int store_spool_commit(struct store *s, struct store_spool *sp, enum store_type type, const char *name, struct err *err)
{
    assert(type != STORE_CONFIG);
    return s->ops->spool_commit(s, sp, type, checked_name(type, name), err);
}

void store_spool_discard(struct store *s, struct store_spool *sp)
{
    if (sp != NULL)
        s->ops->spool_discard(s, sp);
}

int store_free_space(struct store *s, uint64_t *bytes_out, struct err *err)
{
    if (!(s->features & STORE_FREE_SPACE))
        return err_set(err, ERR_UNSUPPORTED, "'%s' cannot tell how much space is left", s->location);
    return s->ops->free_space(s, bytes_out, err);
}

int store_clean(struct store *s, struct err *err)
{
    return s->ops->clean(s, err);
}

void store_reserve_keep(struct store *s)
{
    if (s->ops->reserve_keep != NULL)
        s->ops->reserve_keep(s);
}

void store_reserve_retake(struct store *s)
{
    if (s->ops->reserve_retake != NULL)
        s->ops->reserve_retake(s);
}

bool store_reserve_give_up(struct store *s)
{
    return s->ops->reserve_give_up != NULL && s->ops->reserve_give_up(s);
}

void store_free(struct store *s)
{
    if (s != NULL)
        s->ops->free(s);
}

/* The length of what looks like a scheme in front of a colon ("s3", "sftp", "https"), else 0. One letter is none. */
static size_t scheme_length(const char *location)
{
    size_t len = strspn(location, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-");
    return len > 1 && location[len] == ':' ? len : 0;
}

int store_open(struct store **out, const char *location, struct err *err)
{
    *out = NULL;
    const char *path = location;
    size_t scheme = scheme_length(location);
    if (scheme == strlen("local") && memcmp(location, "local", scheme) == 0)
        path = location + scheme + 1;
    else if (scheme != 0)
        /* The rest of it is kept out of the message: it may hold a password. */
        return err_set(
            err, ERR_USAGE,
            "repositories at '%.*s:' are not supported: give a path (for a directory of that name, ./%.*s:...)",
            (int)scheme, location, (int)scheme, location);
    if (*path == '\0')
        return err_set(err, ERR_USAGE, "the repository's location is empty: give a path");
    struct store *s;
    if (store_local_new(&s, path, err) != 0)
        return -1;
    *out = store_fault_from_environment(s);
    return 0;
}
