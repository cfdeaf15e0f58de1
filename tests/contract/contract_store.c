#include "contract_store.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"

static const struct contract_backend *backend;

/* A place and a store opened there. */
struct fixture {
    void *place;
    struct store *s;
};

static int set_up_empty(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->place = backend->place_new();
    f->s = backend->open(f->place);
    *state = f;
    return 0;
}

static int set_up(void **state)
{
    struct err err = {0};
    set_up_empty(state);
    struct fixture *f = *state;
    if (store_create(f->s, &err) != 0)
        fail_msg("%s", err.message);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_free(f->s);
    backend->place_free(f->place);
    free(f);
    return 0;
}

/* --------------------------------------------------------------------------------------------------------------
 * helpers */

/* The name number i; neighbours differ in their first digits, so that packs spread over directories. */
static const char *name_of(unsigned i, char out[ID_HEX_BYTES])
{
    snprintf(out, ID_HEX_BYTES, "%02x%062x", i * 37 & 0xff, i);
    return out;
}

#define NAME(i) name_of(i, (char[ID_HEX_BYTES]){0})

static void assert_ok(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%s", err->message);
}

static void save(struct store *s, enum store_type type, const char *name, const char *text)
{
    struct err err = {0};
    assert_ok(store_save(s, type, name, text, strlen(text), &err), &err);
}

static void assert_content(struct store *s, enum store_type type, const char *name, const char *text)
{
    struct err err = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_ok(store_read_all(s, type, name, &b, &err), &err);
    assert_int_equal(b.len, strlen(text));
    if (b.len > 0)
        assert_memory_equal(b.data, text, b.len);
    buf_release(&b);
}

static int count_one(void *ctx, const char *name, uint64_t size_bytes)
{
    (void)name;
    (void)size_bytes;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned count(struct store *s, enum store_type type)
{
    struct err err = {0};
    unsigned n = 0;
    assert_ok(store_list(s, type, count_one, &n, &err), &err);
    return n;
}

struct wanted {
    const char *name;
    uint64_t bytes;
    unsigned found;
};

static int look_for(void *ctx, const char *name, uint64_t size_bytes)
{
    struct wanted *w = ctx;
    if (strcmp(name, w->name) == 0) {
        w->found++;
        w->bytes = size_bytes;
    }
    return 0;
}

static bool is_listed(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out)
{
    struct err err = {0};
    struct wanted w = {.name = name};
    assert_ok(store_list(s, type, look_for, &w, &err), &err);
    assert_in_range(w.found, 0, 1);
    *bytes_out = w.bytes;
    return w.found == 1;
}

static void save_pack(struct store *s, const char *name, const void *p, size_t len)
{
    struct err err = {0};
    struct store_spool *sp;
    assert_ok(store_spool_new(s, &sp, &err), &err);
    assert_ok(store_spool_write(s, sp, p, len / 3, &err), &err);
    assert_ok(store_spool_write(s, sp, (const char *)p + len / 3, len - len / 3, &err), &err);
    assert_ok(store_spool_commit(s, sp, STORE_PACK, name, &err), &err);
}

/* -------------------------------------------------------------------------------------------------- making a
 * repository */

static void test_store__lists_nothing_after_create(void **state)
{
    struct fixture *f = *state;
    for (enum store_type type = STORE_CONFIG; type < STORE_TYPE_COUNT; type++)
        assert_int_equal(count(f->s, type), 0);
}

static void test_store__create_again_is_fine_until_there_is_a_config(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    save(f->s, STORE_KEY, NAME(1), "key");
    assert_ok(store_create(f->s, &err), &err);
    assert_content(f->s, STORE_KEY, NAME(1), "key");
    save(f->s, STORE_CONFIG, NULL, "config");
    assert_int_equal(store_create(f->s, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_content(f->s, STORE_CONFIG, NULL, "config");
}

static void test_store__listing_without_a_repository_says_so(void **state)
{
    struct fixture *f = *state;
    for (enum store_type type = STORE_KEY; type < STORE_TYPE_COUNT; type++) {
        struct err err = {0};
        unsigned n = 0;
        assert_int_equal(store_list(f->s, type, count_one, &n, &err), -1);
        assert_int_equal(err.code, ERR_NO_REPOSITORY);
        assert_non_null(strstr(err.message, f->s->location));
    }
}

static void test_store__config_is_written_once(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    uint64_t bytes;
    save(f->s, STORE_CONFIG, NULL, "first");
    assert_int_equal(store_save(f->s, STORE_CONFIG, NULL, "second", 6, &err), -1);
    assert_int_equal(err.code, ERR_EXISTS);
    assert_content(f->s, STORE_CONFIG, NULL, "first");
    assert_true(is_listed(f->s, STORE_CONFIG, "config", &bytes));
    assert_int_equal(bytes, 5);
}

/* ---------------------------------------------------------------------------------------------------- files and
 * reading */

static void test_store__saved_file_is_listed_sized_and_read(void **state)
{
    struct fixture *f = *state;
    for (enum store_type type = STORE_KEY; type < STORE_TYPE_COUNT; type++) {
        struct err err = {0};
        uint64_t bytes = 0;
        save(f->s, type, NAME(type), "some bytes");
        assert_true(is_listed(f->s, type, NAME(type), &bytes));
        assert_int_equal(bytes, 10);
        bytes = 0;
        assert_ok(store_size(f->s, type, NAME(type), &bytes, &err), &err);
        assert_int_equal(bytes, 10);
        assert_content(f->s, type, NAME(type), "some bytes");
    }
}

static void test_store__types_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    save(f->s, STORE_INDEX, NAME(7), "index");
    save(f->s, STORE_SNAPSHOT, NAME(7), "snapshot");
    assert_content(f->s, STORE_INDEX, NAME(7), "index");
    assert_ok(store_remove(f->s, STORE_INDEX, NAME(7), &err), &err);
    assert_content(f->s, STORE_SNAPSHOT, NAME(7), "snapshot");
}

static void test_store__another_store_at_the_same_place_sees_it(void **state)
{
    struct fixture *f = *state;
    save(f->s, STORE_SNAPSHOT, NAME(1), "here");
    save_pack(f->s, NAME(2), "there", 5);
    struct store *other = backend->open(f->place);
    assert_content(other, STORE_SNAPSHOT, NAME(1), "here");
    assert_content(other, STORE_PACK, NAME(2), "there");
    store_free(other);
}

static void test_store__reads_ranges(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char out[8] = "";
    save(f->s, STORE_PACK, NAME(1), "0123456789");
    assert_ok(store_read(f->s, STORE_PACK, NAME(1), 3, out, 4, &err), &err);
    assert_memory_equal(out, "3456", 4);
    assert_ok(store_read(f->s, STORE_PACK, NAME(1), 9, out, 1, &err), &err);
    assert_memory_equal(out, "9", 1);
    assert_ok(store_read(f->s, STORE_PACK, NAME(1), 10, out, 0, &err), &err);
    assert_ok(store_read(f->s, STORE_PACK, NAME(1), 0, NULL, 0, &err), &err);
}

static void test_store__reading_past_the_end_is_corrupt(void **state)
{
    struct fixture *f = *state;
    static const struct {
        uint64_t offset;
        size_t len;
    } ranges[] = {{0, 11}, {9, 2}, {10, 1}, {11, 0}, {5000, 1}, {UINT64_MAX, 1}, {INT64_MAX, 8}, {UINT64_MAX, 0}};
    save(f->s, STORE_PACK, NAME(1), "0123456789");
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct err err = {0};
        char out[16];
        assert_int_equal(store_read(f->s, STORE_PACK, NAME(1), ranges[i].offset, out, ranges[i].len, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_non_null(strstr(err.message, "pack '25000000'"));
    }
}

static void test_store__keeps_empty_files(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes = 1;
    save(f->s, STORE_INDEX, NAME(1), "");
    save_pack(f->s, NAME(2), "", 0);
    assert_true(is_listed(f->s, STORE_INDEX, NAME(1), &bytes));
    assert_int_equal(bytes, 0);
    assert_content(f->s, STORE_INDEX, NAME(1), "");
    assert_content(f->s, STORE_PACK, NAME(2), "");
}

static void test_store__read_all_appends_up_to_the_maximum(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct buf b;
    buf_init(&b, 8);
    save(f->s, STORE_KEY, NAME(1), "12345");
    buf_append_str(&b, "abc");
    assert_ok(store_read_all(f->s, STORE_KEY, NAME(1), &b, &err), &err);
    assert_int_equal(b.len, 8);
    assert_memory_equal(b.data, "abc12345", 8);
    b.len = 4;
    assert_int_equal(store_read_all(f->s, STORE_KEY, NAME(1), &b, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(b.len, 4);
    buf_release(&b);
}

static void test_store__missing_files_are_not_found_by_name(void **state)
{
    struct fixture *f = *state;
    for (enum store_type type = STORE_CONFIG; type < STORE_TYPE_COUNT; type++) {
        struct err errs[5] = {0};
        struct buf b;
        uint64_t bytes;
        char byte, label[STORE_LABEL_BYTES];
        buf_init(&b, 100);
        assert_int_equal(store_size(f->s, type, NAME(1), &bytes, &errs[0]), -1);
        assert_int_equal(store_read(f->s, type, NAME(1), 0, &byte, 1, &errs[1]), -1);
        assert_int_equal(store_read(f->s, type, NAME(1), 0, &byte, 0, &errs[2]), -1);
        assert_int_equal(store_read_all(f->s, type, NAME(1), &b, &errs[3]), -1);
        assert_int_equal(store_remove(f->s, type, NAME(1), &errs[4]), -1);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(errs[i].code, ERR_NOT_FOUND);
            assert_non_null(strstr(errs[i].message, store_label(type, NAME(1), label)));
        }
        buf_release(&b);
    }
}

static void test_store__saving_again_replaces(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes;
    for (enum store_type type = STORE_KEY; type < STORE_PACK; type++) {
        save(f->s, type, NAME(1), "same");
        save(f->s, type, NAME(1), "same");
        assert_content(f->s, type, NAME(1), "same");
        assert_true(is_listed(f->s, type, NAME(1), &bytes));
    }
}

static void test_store__removes_once(void **state)
{
    struct fixture *f = *state;
    for (enum store_type type = STORE_KEY; type < STORE_TYPE_COUNT; type++) {
        struct err err = {0};
        save(f->s, type, NAME(1), "gone soon");
        save(f->s, type, NAME(2), "stays");
        assert_content(f->s, type, NAME(1), "gone soon");
        assert_ok(store_remove(f->s, type, NAME(1), &err), &err);
        assert_int_equal(store_remove(f->s, type, NAME(1), &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        char byte;
        assert_int_equal(store_read(f->s, type, NAME(1), 0, &byte, 1, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        assert_int_equal(count(f->s, type), 1);
        assert_content(f->s, type, NAME(2), "stays");
    }
}

/* More packs than any backend keeps open, in an order that defeats a cache. */
static void test_store__reads_many_packs_in_turn(void **state)
{
    struct fixture *f = *state;
    enum { PACKS = 80 };
    for (unsigned i = 0; i < PACKS; i++)
        save_pack(f->s, NAME(i), NAME(i), ID_HEX_CHARS);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < PACKS; i++)
            assert_content(f->s, STORE_PACK, NAME(i), NAME(i));
    assert_int_equal(count(f->s, STORE_PACK), PACKS);
}

/* -------------------------------------------------------------------------------------------------------------
 * listings */

static int stop_at_second(void *ctx, const char *name, uint64_t size_bytes)
{
    (void)name;
    (void)size_bytes;
    return ++*(unsigned *)ctx == 2 ? 77 : 0;
}

static void test_store__listing_stops_where_told(void **state)
{
    struct fixture *f = *state;
    static const enum store_type types[] = {STORE_INDEX, STORE_PACK};
    for (size_t t = 0; t < 2; t++) {
        unsigned n = 0;
        for (unsigned i = 0; i < 5; i++)
            save(f->s, types[t], NAME(i), "x");
        assert_int_equal(store_list(f->s, types[t], stop_at_second, &n, NULL), 77);
        assert_int_equal(n, 2);
    }
}

static int remove_listed(void *ctx, const char *name, uint64_t size_bytes)
{
    struct err err = {0};
    struct store *s = ctx;
    char text[4];
    assert_int_equal(size_bytes, 4);
    assert_ok(store_read(s, STORE_PACK, name, 0, text, 4, &err), &err);
    assert_ok(store_remove(s, STORE_PACK, name, &err), &err);
    return 0;
}

static void test_store__listing_callback_may_use_the_store(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    for (unsigned i = 0; i < 40; i++)
        save(f->s, STORE_PACK, NAME(i), "pack");
    assert_ok(store_list(f->s, STORE_PACK, remove_listed, f->s, &err), &err);
    assert_int_equal(count(f->s, STORE_PACK), 0);
}

static void test_store__listings_skip_foreign_names(void **state)
{
    struct fixture *f = *state;
    static const char *const foreign[] = {
        "index/README",
        "index/tmp-0123456789abcdef",
        "index/ABCDEF0000000000000000000000000000000000000000000000000000000000",
        "index/abcdef000000000000000000000000000000000000000000000000000000000",
        "index/abcdef00000000000000000000000000000000000000000000000000000000000",
        "index/abcdef0000000000000000000000000000000000000000000000000000000000-tmp-1",
        "index/gbcdef0000000000000000000000000000000000000000000000000000000000",
        "data/README",
        "data/ab/notes.txt",
        "data/ab/tmp-0123456789abcdef",
        "data/ab/abcdef0000000000000000000000000000000000000000000000000000000000.bak",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        backend->plant(f->place, foreign[i], "foreign", 7);
    assert_int_equal(count(f->s, STORE_INDEX), 0);
    assert_int_equal(count(f->s, STORE_PACK), 0);
    save(f->s, STORE_INDEX, NAME(1), "ours");
    save(f->s, STORE_PACK, NAME(1), "ours");
    assert_int_equal(count(f->s, STORE_INDEX), 1);
    assert_int_equal(count(f->s, STORE_PACK), 1);
}

/* ---------------------------------------------------------------------------------------------------------------
 * spools */

static void test_store__spool_is_invisible_until_commit(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_spool *sp;
    assert_ok(store_spool_new(f->s, &sp, &err), &err);
    assert_ok(store_spool_write(f->s, sp, "bytes ", 6, &err), &err);
    assert_ok(store_spool_write(f->s, sp, NULL, 0, &err), &err);
    for (enum store_type type = STORE_CONFIG; type < STORE_TYPE_COUNT; type++)
        assert_int_equal(count(f->s, type), 0);
    assert_ok(store_spool_write(f->s, sp, "in two writes", 13, &err), &err);
    assert_ok(store_spool_commit(f->s, sp, STORE_PACK, NAME(3), &err), &err);
    assert_content(f->s, STORE_PACK, NAME(3), "bytes in two writes");
    assert_int_equal(count(f->s, STORE_PACK), 1);
}

static void test_store__spool_takes_large_packs(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    enum { STEP = 700 * 1000, STEPS = 20 };
    unsigned char *p = mem_alloc(STEP);
    struct store_spool *sp;
    assert_ok(store_spool_new(f->s, &sp, &err), &err);
    for (int i = 0; i < STEPS; i++) {
        memset(p, i + 1, STEP);
        assert_ok(store_spool_write(f->s, sp, p, STEP, &err), &err);
    }
    assert_ok(store_spool_commit(f->s, sp, STORE_PACK, NAME(3), &err), &err);
    uint64_t bytes;
    assert_ok(store_size(f->s, STORE_PACK, NAME(3), &bytes, &err), &err);
    assert_int_equal(bytes, (uint64_t)STEP * STEPS);
    for (int i = 0; i < STEPS; i++) {
        assert_ok(store_read(f->s, STORE_PACK, NAME(3), (uint64_t)i * STEP, p, STEP, &err), &err);
        assert_int_equal(p[0], i + 1);
        assert_int_equal(p[STEP - 1], i + 1);
    }
    free(p);
}

static void test_store__discarded_spool_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_spool *sp;
    assert_ok(store_spool_new(f->s, &sp, &err), &err);
    assert_ok(store_spool_write(f->s, sp, "nothing", 7, &err), &err);
    store_spool_discard(f->s, sp);
    store_spool_discard(f->s, NULL);
    assert_int_equal(count(f->s, STORE_PACK), 0);
}

static void test_store__committing_a_pack_that_is_there_keeps_it(void **state)
{
    struct fixture *f = *state;
    uint64_t bytes;
    save_pack(f->s, NAME(1), "the pack", 8);
    save_pack(f->s, NAME(1), "the pack", 8);
    assert_content(f->s, STORE_PACK, NAME(1), "the pack");
    assert_true(is_listed(f->s, STORE_PACK, NAME(1), &bytes));
    assert_int_equal(count(f->s, STORE_PACK), 1);
}

static void test_store__killed_writer_leaves_nothing_visible(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    save_pack(f->s, NAME(1), "before", 6);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct store_spool *sp;
        struct store *s = backend->open(f->place);
        bool ok = store_spool_new(s, &sp, NULL) == 0 && store_spool_write(s, sp, "half a pack", 11, NULL) == 0;
        _exit(ok ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(count(f->s, STORE_PACK), 1);
    assert_ok(store_clean(f->s, &err), &err);
    assert_int_equal(count(f->s, STORE_PACK), 1);
    assert_content(f->s, STORE_PACK, NAME(1), "before");
}

/* ------------------------------------------------------------------------------------------------------------- the
 * rest */

static void test_store__clean_removes_leftovers_only(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const char *const leftovers[] = {
        "index/tmp-0123456789abcdef",
        "snapshots/tmp-0123456789abcdef",
        "data/ab/tmp-0123456789abcdef",
        "data/ab/abcdef0000000000000000000000000000000000000000000000000000000000-tmp-12345",
    };
    for (size_t i = 0; i < sizeof leftovers / sizeof leftovers[0]; i++)
        backend->plant(f->place, leftovers[i], "left over", 9);
    backend->plant(f->place, "data/ab/notes.txt", "somebody's", 10);
    for (enum store_type type = STORE_CONFIG; type < STORE_TYPE_COUNT; type++)
        save(f->s, type, NAME(1), "kept");
    assert_ok(store_clean(f->s, &err), &err);
    for (size_t i = 0; i < sizeof leftovers / sizeof leftovers[0]; i++)
        assert_false(backend->has(f->place, leftovers[i]));
    assert_true(backend->has(f->place, "data/ab/notes.txt"));
    for (enum store_type type = STORE_CONFIG; type < STORE_TYPE_COUNT; type++)
        assert_content(f->s, type, NAME(1), "kept");
}

static void test_store__free_space_is_known_or_refused(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    uint64_t bytes = 0;
    if (f->s->features & STORE_FREE_SPACE) {
        assert_ok(store_free_space(f->s, &bytes, &err), &err);
        assert_true(bytes > 0);
    } else {
        assert_int_equal(store_free_space(f->s, &bytes, &err), -1);
        assert_int_equal(err.code, ERR_UNSUPPORTED);
    }
}

enum { THREADS = 8, ROUNDS = 24 };

/* cmocka's asserts work on the main thread only: the others count what went wrong. */
struct worker {
    struct store *s;
    unsigned number, failures;
};

static bool reads_back(struct store *s, enum store_type type, const char *name, const char *text)
{
    char out[ID_HEX_CHARS];
    return store_read(s, type, name, 0, out, sizeof out, NULL) == 0 && memcmp(out, text, sizeof out) == 0;
}

static bool spool_one(struct store *s, const char *name)
{
    struct store_spool *sp;
    if (store_spool_new(s, &sp, NULL) != 0)
        return false;
    if (store_spool_write(s, sp, name, ID_HEX_CHARS, NULL) == 0)
        return store_spool_commit(s, sp, STORE_PACK, name, NULL) == 0;
    store_spool_discard(s, sp);
    return false;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    const char *shared = NAME(9999);
    for (unsigned i = 0; i < ROUNDS; i++) {
        const char *name = NAME(w->number * ROUNDS + i);
        unsigned listed = 0;
        w->failures += !spool_one(w->s, name) || !spool_one(w->s, shared);
        w->failures += store_save(w->s, STORE_INDEX, name, name, ID_HEX_CHARS, NULL) != 0;
        w->failures += !reads_back(w->s, STORE_PACK, name, name) || !reads_back(w->s, STORE_INDEX, name, name);
        w->failures += !reads_back(w->s, STORE_PACK, shared, shared);
        w->failures += store_list(w->s, STORE_INDEX, count_one, &listed, NULL) != 0 || listed == 0;
        if (i % 2 == 1)
            w->failures += store_remove(w->s, STORE_PACK, name, NULL) != 0;
    }
    return NULL;
}

static void test_store__serves_threads_in_parallel(void **state)
{
    struct fixture *f = *state;
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.s = f->s, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].failures, 0);
    }
    assert_int_equal(count(f->s, STORE_INDEX), THREADS * ROUNDS);
    assert_int_equal(count(f->s, STORE_PACK), THREADS * ROUNDS / 2 + 1);
}

#define ON_REPOSITORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define ON_EMPTY_PLACE(name) cmocka_unit_test_setup_teardown(name, set_up_empty, tear_down)

int contract_store_run(const struct contract_backend *b)
{
    const struct CMUnitTest tests[] = {
        ON_REPOSITORY(test_store__lists_nothing_after_create),
        ON_REPOSITORY(test_store__create_again_is_fine_until_there_is_a_config),
        ON_EMPTY_PLACE(test_store__listing_without_a_repository_says_so),
        ON_REPOSITORY(test_store__config_is_written_once),
        ON_REPOSITORY(test_store__saved_file_is_listed_sized_and_read),
        ON_REPOSITORY(test_store__types_do_not_mix),
        ON_REPOSITORY(test_store__another_store_at_the_same_place_sees_it),
        ON_REPOSITORY(test_store__reads_ranges),
        ON_REPOSITORY(test_store__reading_past_the_end_is_corrupt),
        ON_REPOSITORY(test_store__keeps_empty_files),
        ON_REPOSITORY(test_store__read_all_appends_up_to_the_maximum),
        ON_REPOSITORY(test_store__missing_files_are_not_found_by_name),
        ON_REPOSITORY(test_store__saving_again_replaces),
        ON_REPOSITORY(test_store__removes_once),
        ON_REPOSITORY(test_store__reads_many_packs_in_turn),
        ON_REPOSITORY(test_store__listing_stops_where_told),
        ON_REPOSITORY(test_store__listing_callback_may_use_the_store),
        ON_REPOSITORY(test_store__listings_skip_foreign_names),
        ON_REPOSITORY(test_store__spool_is_invisible_until_commit),
        ON_REPOSITORY(test_store__spool_takes_large_packs),
        ON_REPOSITORY(test_store__discarded_spool_leaves_nothing),
        ON_REPOSITORY(test_store__committing_a_pack_that_is_there_keeps_it),
        ON_REPOSITORY(test_store__killed_writer_leaves_nothing_visible),
        ON_REPOSITORY(test_store__clean_removes_leftovers_only),
        ON_REPOSITORY(test_store__free_space_is_known_or_refused),
        ON_REPOSITORY(test_store__serves_threads_in_parallel),
    };
    backend = b;
    return cmocka_run_group_tests_name(b->name, tests, NULL, NULL);
}
