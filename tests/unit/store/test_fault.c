#include "store/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "os/clock.h"
#include "store/local.h"
#include "store/scratch.h"

#define ONE "1100000000000000000000000000000000000000000000000000000000000000"
#define TWO "2200000000000000000000000000000000000000000000000000000000000000"

/* A repository with one snapshot, ONE, behind a fault that counts from here. */
static struct store *faulty(enum store_fault kind, unsigned long call)
{
    struct err err = {0};
    struct store *inner;
    assert_int_equal(store_local_new(&inner, scratch_dir, &err), 0);
    assert_int_equal(store_create(inner, &err), 0);
    assert_int_equal(store_save(inner, STORE_SNAPSHOT, ONE, "text", 4, &err), 0);
    return store_fault_new(inner, kind, call);
}

static int ignore(void *ctx, const char *name, uint64_t size_bytes)
{
    (void)ctx;
    (void)name;
    (void)size_bytes;
    return 0;
}

enum op { CREATE, LIST, SIZE, READ, SAVE, REMOVE, SPOOL_NEW, SPOOL_WRITE, SPOOL_COMMIT, FREE_SPACE, CLEAN, OPS };

/* Does one call (with what it needs before it, which the inner store gets directly) and returns its code. */
static enum err_code call(struct store *s, struct store *direct, enum op op)
{
    struct err err = {0};
    struct store_spool *sp = NULL;
    uint64_t n;
    char text[4];
    int rc = 0;
    if (op == SPOOL_WRITE || op == SPOOL_COMMIT)
        assert_int_equal(store_spool_new(direct, &sp, NULL), 0);
    switch (op) {
    case CREATE:
        rc = store_create(s, &err);
        break;
    case LIST:
        rc = store_list(s, STORE_SNAPSHOT, ignore, NULL, &err);
        break;
    case SIZE:
        rc = store_size(s, STORE_SNAPSHOT, ONE, &n, &err);
        break;
    case READ:
        rc = store_read(s, STORE_SNAPSHOT, ONE, 0, text, 4, &err);
        break;
    case SAVE:
        rc = store_save(s, STORE_SNAPSHOT, TWO, "more", 4, &err);
        break;
    case REMOVE:
        rc = store_remove(s, STORE_SNAPSHOT, ONE, &err);
        break;
    case SPOOL_NEW:
        rc = store_spool_new(s, &sp, &err);
        break;
    case SPOOL_WRITE:
        rc = store_spool_write(s, sp, "pack", 4, &err);
        break;
    case SPOOL_COMMIT:
        rc = store_spool_commit(s, sp, STORE_PACK, TWO, &err);
        sp = NULL;
        break;
    case FREE_SPACE:
        rc = store_free_space(s, &n, &err);
        break;
    case CLEAN:
        rc = store_clean(s, &err);
        break;
    case OPS:
        break;
    }
    store_spool_discard(direct, sp);
    assert_int_equal(rc, err.code == ERR_NONE ? 0 : -1);
    return err.code;
}

static struct store *direct_store(void)
{
    struct store *s;
    assert_int_equal(store_local_new(&s, scratch_dir, NULL), 0);
    return s;
}

static bool exists(struct store *s, enum store_type type, const char *name)
{
    uint64_t bytes;
    return store_size(s, type, name, &bytes, NULL) == 0;
}

static void test_fault__counts_every_call(void **state)
{
    (void)state;
    struct store *s = faulty(STORE_FAULT_NONE, 0);
    struct store_spool *sp;
    char text[4];
    uint64_t n;
    assert_int_equal(store_fault_calls(s), 0);
    assert_int_equal(store_list(s, STORE_SNAPSHOT, ignore, NULL, NULL), 0);
    assert_int_equal(store_size(s, STORE_SNAPSHOT, ONE, &n, NULL), 0);
    assert_int_equal(store_read(s, STORE_SNAPSHOT, ONE, 0, text, 4, NULL), 0);
    assert_int_equal(store_save(s, STORE_SNAPSHOT, TWO, "more", 4, NULL), 0);
    assert_int_equal(store_remove(s, STORE_SNAPSHOT, TWO, NULL), 0);
    assert_int_equal(store_fault_calls(s), 5);
    assert_int_equal(store_spool_new(s, &sp, NULL), 0);
    assert_int_equal(store_spool_write(s, sp, "pack", 4, NULL), 0);
    assert_int_equal(store_spool_commit(s, sp, STORE_PACK, TWO, NULL), 0);
    assert_int_equal(store_free_space(s, &n, NULL), 0);
    assert_int_equal(store_clean(s, NULL), 0);
    assert_int_equal(store_create(s, NULL), 0);
    assert_int_equal(store_fault_calls(s), 11);
    store_free(s);
}

static void test_fault__fail_does_nothing_and_stays(void **state)
{
    (void)state;
    for (enum op op = CREATE; op < OPS; op++) {
        struct store *s = faulty(STORE_FAULT_FAIL, 2), *direct = direct_store();
        assert_int_equal(call(s, direct, LIST), ERR_NONE);
        assert_int_equal(call(s, direct, op), ERR_IO);
        assert_true(exists(direct, STORE_SNAPSHOT, ONE));
        assert_false(exists(direct, STORE_SNAPSHOT, TWO));
        assert_false(exists(direct, STORE_PACK, TWO));
        assert_int_equal(call(s, direct, op), ERR_IO);
        store_free(direct);
        store_free(s);
    }
}

static void test_fault__once_fails_one_call(void **state)
{
    (void)state;
    struct store *s = faulty(STORE_FAULT_ONCE, 2), *direct = direct_store();
    assert_int_equal(call(s, direct, READ), ERR_NONE);
    assert_int_equal(call(s, direct, READ), ERR_IO);
    assert_int_equal(call(s, direct, READ), ERR_NONE);
    store_free(direct);
    store_free(s);
}

static void test_fault__tear_shows_nothing_of_the_torn_write(void **state)
{
    (void)state;
    for (enum op op = LIST; op < OPS; op++) {
        struct store *s = faulty(STORE_FAULT_TEAR, 1), *direct = direct_store();
        assert_int_equal(call(s, direct, op), ERR_IO);
        assert_false(exists(direct, STORE_SNAPSHOT, TWO));
        assert_false(exists(direct, STORE_PACK, TWO));
        assert_int_equal(call(s, direct, READ), ERR_IO);
        store_free(direct);
        store_free(s);
    }
}

static void test_fault__torn_spool_write_leaves_a_part_in_the_spool(void **state)
{
    (void)state;
    struct store *s = faulty(STORE_FAULT_TEAR, 2), *direct = direct_store();
    struct store_spool *sp;
    uint64_t bytes;
    assert_int_equal(store_spool_new(s, &sp, NULL), 0);
    assert_int_equal(store_spool_write(s, sp, "12345678", 8, NULL), -1);
    assert_int_equal(store_spool_commit(direct, sp, STORE_PACK, TWO, NULL), 0);
    assert_int_equal(store_size(direct, STORE_PACK, TWO, &bytes, NULL), 0);
    assert_int_equal(bytes, 4);
    store_free(direct);
    store_free(s);
}

static void test_fault__no_space_stops_writes_only(void **state)
{
    (void)state;
    for (enum op op = CREATE; op < OPS; op++) {
        bool writes = op == CREATE || op == SAVE || op == SPOOL_NEW || op == SPOOL_WRITE || op == SPOOL_COMMIT;
        struct store *s = faulty(STORE_FAULT_NO_SPACE, 2), *direct = direct_store();
        assert_int_equal(call(s, direct, LIST), ERR_NONE);
        assert_int_equal(call(s, direct, op), writes ? ERR_NO_SPACE : ERR_NONE);
        assert_int_equal(call(s, direct, SAVE), ERR_NO_SPACE);
        store_free(direct);
        store_free(s);
    }
    struct store *s = faulty(STORE_FAULT_NO_SPACE, 1);
    uint64_t bytes = 1;
    assert_int_equal(store_free_space(s, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    store_free(s);
}

static void test_fault__late_does_it_and_fails(void **state)
{
    (void)state;
    for (enum op op = LIST; op < OPS; op++) {
        struct store *s = faulty(STORE_FAULT_LATE, 1), *direct = direct_store();
        assert_int_equal(call(s, direct, op), ERR_IO);
        assert_int_equal(exists(direct, STORE_SNAPSHOT, ONE), op != REMOVE);
        assert_int_equal(exists(direct, STORE_SNAPSHOT, TWO), op == SAVE);
        assert_int_equal(exists(direct, STORE_PACK, TWO), op == SPOOL_COMMIT);
        (void)store_remove(direct, STORE_SNAPSHOT, TWO, NULL);
        (void)store_remove(direct, STORE_PACK, TWO, NULL);
        assert_int_equal(call(s, direct, READ), ERR_IO);
        store_free(direct);
        store_free(s);
    }
}

static void test_fault__late_passes_on_what_failed_by_itself(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *s = faulty(STORE_FAULT_LATE, 1);
    assert_int_equal(store_remove(s, STORE_SNAPSHOT, TWO, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    store_free(s);
}

static void test_fault__delay_takes_its_time_and_works(void **state)
{
    (void)state;
    struct store *s = faulty(STORE_FAULT_DELAY, 1), *direct = direct_store();
    uint64_t start = os_monotonic_ns();
    assert_int_equal(call(s, direct, READ), ERR_NONE);
    assert_true(os_monotonic_ns() - start >= STORE_FAULT_DELAY_MS * UINT64_C(1000000));
    store_free(direct);
    store_free(s);
}

static enum err_code first_read(const char *fault)
{
    struct store *s, *direct = direct_store();
    struct err err = {0};
    setenv("CLAWBACK_TEST_FAULT", fault, 1);
    assert_int_equal(store_open(&s, scratch_dir, &err), 0);
    unsetenv("CLAWBACK_TEST_FAULT");
    enum err_code code = call(s, direct, READ);
    store_free(s);
    store_free(direct);
    return code;
}

static void test_fault__environment_wraps_opened_stores(void **state)
{
    (void)state;
    store_free(faulty(STORE_FAULT_NONE, 0));
    static const char *const failing[] = {"fail:1", "once:1", "tear:1", "late:1"};
    static const char *const passing[] = {"fail:2", "no-space:1", "delay:7"};
    static const char *const malformed[] = {"", "fail", "fail:", "fail:0", "fail:2x", "fail: 2", "fail:-2", "fial:2"};
    for (size_t i = 0; i < sizeof failing / sizeof failing[0]; i++)
        assert_int_equal(first_read(failing[i]), ERR_IO);
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        assert_int_equal(first_read(passing[i]), ERR_NONE);
    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        assert_int_equal(first_read(malformed[i]), ERR_IO);
}

static void count_calls(const char *path)
{
    struct store *s;
    setenv("CLAWBACK_TEST_FAULT_COUNT", path, 1);
    assert_int_equal(store_open(&s, scratch_dir, NULL), 0);
    unsetenv("CLAWBACK_TEST_FAULT_COUNT");
    for (int i = 0; i < 3; i++)
        assert_int_equal(store_list(s, STORE_SNAPSHOT, ignore, NULL, NULL), 0);
    store_free(s);
}

static void test_fault__environment_asks_for_the_count(void **state)
{
    (void)state;
    store_free(faulty(STORE_FAULT_NONE, 0));
    char *path = os_path_join(scratch_dir, "count");
    struct buf b;
    buf_init(&b, 100);
    count_calls(path);
    assert_int_equal(os_read_file(path, &b, NULL), 0);
    assert_string_equal(buf_cstr(&b), "3\n");
    count_calls("/nowhere/at/all"); /* nobody to tell, nothing breaks */
    buf_release(&b);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fault__counts_every_call, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__fail_does_nothing_and_stays, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__once_fails_one_call, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__tear_shows_nothing_of_the_torn_write, scratch_set_up,
                                        scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__torn_spool_write_leaves_a_part_in_the_spool, scratch_set_up,
                                        scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__no_space_stops_writes_only, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__late_does_it_and_fails, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__late_passes_on_what_failed_by_itself, scratch_set_up,
                                        scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__delay_takes_its_time_and_works, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__environment_wraps_opened_stores, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_fault__environment_asks_for_the_count, scratch_set_up, scratch_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
