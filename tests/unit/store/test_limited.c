#include "store/limited.h"

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

enum { PIECE_BYTES = 64 << 10, RATE_BYTES_PER_S = 256 << 10, LEAST_MS = 120 };

static unsigned char piece[PIECE_BYTES];

static struct store *limited(uint64_t bytes_per_s)
{
    struct err err = {0};
    struct store *inner;
    assert_int_equal(store_local_new(&inner, scratch_dir, &err), 0);
    assert_int_equal(store_create(inner, &err), 0);
    return store_limited_new(inner, bytes_per_s);
}

static uint64_t ms_since(uint64_t start_ns)
{
    return (os_monotonic_ns() - start_ns) / 1000000;
}

/* 64 KiB at 256 KiB a second take 250 ms, of which the burst that is allowed takes 100 at most. */
static void test_limited__saving_takes_its_time(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *s = limited(RATE_BYTES_PER_S);
    uint64_t start = os_monotonic_ns();
    assert_int_equal(store_save(s, STORE_SNAPSHOT, ONE, piece, sizeof piece, &err), 0);
    assert_true(ms_since(start) >= LEAST_MS);
    store_free(s);
}

static void test_limited__spooling_takes_its_time_and_keeps_the_bytes(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *s = limited(RATE_BYTES_PER_S);
    struct store_spool *sp;
    static unsigned char back[PIECE_BYTES];
    for (size_t i = 0; i < sizeof piece; i++)
        piece[i] = (unsigned char)(i * 7);
    uint64_t start = os_monotonic_ns();
    assert_int_equal(store_spool_new(s, &sp, &err), 0);
    assert_int_equal(store_spool_write(s, sp, piece, sizeof piece, &err), 0);
    assert_true(ms_since(start) >= LEAST_MS);
    assert_int_equal(store_spool_commit(s, sp, STORE_PACK, TWO, &err), 0);
    assert_int_equal(store_read(s, STORE_PACK, TWO, 0, back, sizeof back, &err), 0);
    assert_memory_equal(back, piece, sizeof piece);
    store_free(s);
}

static void test_limited__no_limit_is_the_store_itself(void **state)
{
    (void)state;
    struct err err = {0};
    struct store *inner;
    assert_int_equal(store_local_new(&inner, scratch_dir, &err), 0);
    assert_ptr_equal(store_limited_new(inner, 0), inner);
    store_free(inner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_limited__saving_takes_its_time, scratch_set_up, scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_limited__spooling_takes_its_time_and_keeps_the_bytes, scratch_set_up,
                                        scratch_tear_down),
        cmocka_unit_test_setup_teardown(test_limited__no_limit_is_the_store_itself, scratch_set_up, scratch_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
