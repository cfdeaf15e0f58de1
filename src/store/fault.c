#include "store/fault.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/clock.h"

struct fault {
    struct store store;
    struct store *inner;
    enum store_fault kind;
    unsigned long at;
    atomic_ulong calls;
    char *count_path; /* NULL: not wanted */
};

/* What to do with a call. */
enum act { ACT_PASS, ACT_FAIL, ACT_TEAR, ACT_LATE, ACT_FULL };

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_REMOVE, ACCESS_SPACE };

static struct fault *fault_of(struct store *s)
{
    return (struct fault *)s;
}

static enum act next_act(struct fault *f, enum access access)
{
    unsigned long call = atomic_fetch_add(&f->calls, 1) + 1;
    bool now = call == f->at, after = call > f->at;
    switch (f->kind) {
    case STORE_FAULT_FAIL:
        return now || after ? ACT_FAIL : ACT_PASS;
    case STORE_FAULT_ONCE:
        return now ? ACT_FAIL : ACT_PASS;
    case STORE_FAULT_TEAR:
        return now && access == ACCESS_WRITE ? ACT_TEAR : now || after ? ACT_FAIL : ACT_PASS;
    case STORE_FAULT_NO_SPACE:
        return (now || after) && (access == ACCESS_WRITE || access == ACCESS_SPACE) ? ACT_FULL : ACT_PASS;
    case STORE_FAULT_LATE:
        return now ? ACT_LATE : after ? ACT_FAIL : ACT_PASS;
    case STORE_FAULT_DELAY:
        if (now)
            os_sleep_ms(STORE_FAULT_DELAY_MS);
        return ACT_PASS;
    case STORE_FAULT_NONE:
        break;
    }
    return ACT_PASS;
}

static int refuse(const struct fault *f, enum act act, struct err *err)
{
    if (act == ACT_FULL)
        return err_set(err, ERR_NO_SPACE, "repository '%s' is full (injected fault)", f->store.location);
    return err_set(err, ERR_IO, "repository '%s' failed (injected fault)", f->store.location);
}

/* The result of a call that was carried out, unless its answer gets lost. */
static int answer(const struct fault *f, enum act act, int rc, struct err *err)
{
    return rc == 0 && act == ACT_LATE ? refuse(f, act, err) : rc;
}

static bool is_refused(enum act act)
{
    return act == ACT_FAIL || act == ACT_TEAR || act == ACT_FULL;
}

static int fault_create(struct store *s, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_WRITE);
    return is_refused(act) ? refuse(f, act, err) : answer(f, act, store_create(f->inner, err), err);
}

static int fault_list(struct store *s, enum store_type type, store_list_fn *fn, void *ctx, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_READ);
    return is_refused(act) ? refuse(f, act, err) : answer(f, act, store_list(f->inner, type, fn, ctx, err), err);
}

static int fault_size(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_READ);
    return is_refused(act) ? refuse(f, act, err)
                           : answer(f, act, store_size(f->inner, type, name, bytes_out, err), err);
}

static int fault_read(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out, size_t len,
                      struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_READ);
    if (is_refused(act))
        return refuse(f, act, err);
    return answer(f, act, store_read(f->inner, type, name, offset, out, len, err), err);
}

/* Half a file: no store shows that under its name, so half of it goes where files are before they have one. */
static void tear(struct fault *f, const void *p, size_t len)
{
    struct store_spool *sp;
    if (store_spool_new(f->inner, &sp, NULL) != 0)
        return;
    (void)store_spool_write(f->inner, sp, p, len / 2, NULL);
    store_spool_discard(f->inner, sp);
}

static int fault_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                      struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_WRITE);
    if (act == ACT_TEAR)
        tear(f, p, len);
    if (is_refused(act))
        return refuse(f, act, err);
    return answer(f, act, store_save(f->inner, type, name, p, len, err), err);
}

static int fault_remove(struct store *s, enum store_type type, const char *name, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_REMOVE);
    return is_refused(act) ? refuse(f, act, err) : answer(f, act, store_remove(f->inner, type, name, err), err);
}

static int fault_spool_new(struct store *s, struct store_spool **out, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_WRITE);
    if (is_refused(act))
        return refuse(f, act, err);
    if (store_spool_new(f->inner, out, err) != 0)
        return -1;
    if (act != ACT_LATE)
        return 0;
    store_spool_discard(f->inner, *out); /* nobody else will */
    *out = NULL;
    return refuse(f, act, err);
}

static int fault_spool_write(struct store *s, struct store_spool *sp, const void *p, size_t len, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_WRITE);
    if (act == ACT_TEAR)
        (void)store_spool_write(f->inner, sp, p, len / 2, NULL);
    if (is_refused(act))
        return refuse(f, act, err);
    return answer(f, act, store_spool_write(f->inner, sp, p, len, err), err);
}

static int fault_spool_commit(struct store *s, struct store_spool *sp, enum store_type type, const char *name,
                              struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_WRITE);
    if (is_refused(act)) {
        store_spool_discard(f->inner, sp);
        return refuse(f, act, err);
    }
    return answer(f, act, store_spool_commit(f->inner, sp, type, name, err), err);
}

static void fault_spool_discard(struct store *s, struct store_spool *sp)
{
    store_spool_discard(fault_of(s)->inner, sp);
}

/* The reserve is no data: it is passed on and not counted. */
static void fault_reserve_keep(struct store *s)
{
    store_reserve_keep(fault_of(s)->inner);
}

static void fault_reserve_retake(struct store *s)
{
    store_reserve_retake(fault_of(s)->inner);
}

static bool fault_reserve_give_up(struct store *s)
{
    return store_reserve_give_up(fault_of(s)->inner);
}

static int fault_free_space(struct store *s, uint64_t *bytes_out, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_SPACE);
    if (act == ACT_FAIL)
        return refuse(f, act, err);
    int rc = answer(f, act, store_free_space(f->inner, bytes_out, err), err);
    if (rc == 0 && act == ACT_FULL)
        *bytes_out = 0;
    return rc;
}

static int fault_clean(struct store *s, struct err *err)
{
    struct fault *f = fault_of(s);
    enum act act = next_act(f, ACCESS_REMOVE);
    return is_refused(act) ? refuse(f, act, err) : answer(f, act, store_clean(f->inner, err), err);
}

static void write_count(const struct fault *f)
{
    FILE *file = fopen(f->count_path, "we");
    if (file == NULL)
        return;
    fprintf(file, "%lu\n", atomic_load(&f->calls));
    fclose(file);
}

static void fault_free(struct store *s)
{
    struct fault *f = fault_of(s);
    if (f->count_path != NULL)
        write_count(f);
    store_free(f->inner);
    free(f->count_path);
    free(f->store.location);
    free(f);
}

static const struct store_ops FAULT_OPS = {
    .create = fault_create,
    .list = fault_list,
    .size = fault_size,
    .read = fault_read,
    .save = fault_save,
    .remove = fault_remove,
    .spool_new = fault_spool_new,
    .spool_write = fault_spool_write,
    .spool_commit = fault_spool_commit,
    .spool_discard = fault_spool_discard,
    .reserve_keep = fault_reserve_keep,
    .reserve_retake = fault_reserve_retake,
    .reserve_give_up = fault_reserve_give_up,
    .free_space = fault_free_space,
    .clean = fault_clean,
    .free = fault_free,
};

struct store *store_fault_new(struct store *inner, enum store_fault kind, unsigned long call)
{
    struct fault *f = mem_zalloc(sizeof *f);
    f->store.ops = &FAULT_OPS;
    f->store.location = mem_strdup(inner->location);
    f->store.features = inner->features;
    f->inner = inner;
    f->kind = kind;
    f->at = call;
    atomic_init(&f->calls, 0);
    return &f->store;
}

unsigned long store_fault_calls(const struct store *s)
{
    return atomic_load(&((const struct fault *)s)->calls);
}

static bool parse_fault(const char *text, enum store_fault *kind, unsigned long *call)
{
    static const char *const names[] = {
        [STORE_FAULT_FAIL] = "fail",         [STORE_FAULT_ONCE] = "once", [STORE_FAULT_TEAR] = "tear",
        [STORE_FAULT_NO_SPACE] = "no-space", [STORE_FAULT_LATE] = "late", [STORE_FAULT_DELAY] = "delay",
    };
    size_t len = strcspn(text, ":");
    if (text[len] != ':' || text[len + 1] < '0' || text[len + 1] > '9')
        return false;
    char *end;
    *call = strtoul(text + len + 1, &end, 10);
    for (size_t i = STORE_FAULT_FAIL; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == len && memcmp(names[i], text, len) == 0) {
            *kind = (enum store_fault)i;
            return *end == '\0' && *call > 0;
        }
    return false;
}

struct store *store_fault_from_environment(struct store *inner)
{
    const char *text = getenv("CLAWBACK_TEST_FAULT"), *count_path = getenv("CLAWBACK_TEST_FAULT_COUNT");
    if (text == NULL && count_path == NULL)
        return inner;
    enum store_fault kind = STORE_FAULT_NONE;
    unsigned long call = 0;
    if (text != NULL && !parse_fault(text, &kind, &call)) {
        kind = STORE_FAULT_FAIL;
        call = 1;
    }
    struct store *s = store_fault_new(inner, kind, call);
    if (count_path != NULL)
        fault_of(s)->count_path = mem_strdup(count_path);
    return s;
}
