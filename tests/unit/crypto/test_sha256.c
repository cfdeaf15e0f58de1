#include "crypto/sha256.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"

static void assert_hex(const struct id *id, const char *expected)
{
    char hex[ID_HEX_BYTES];
    assert_string_equal(id_to_hex(id, hex), expected);
}

/* FIPS 180-4's examples. */
static const char EMPTY[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
static const char ABC[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char MILLION_A[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static int setup(void **state)
{
    *state = sha256_new();
    return 0;
}

static int teardown(void **state)
{
    sha256_free(*state);
    return 0;
}

static void test_sha256__matches_the_standards_examples(void **state)
{
    struct id id;
    sha256_once(*state, "", 0, &id);
    assert_hex(&id, EMPTY);
    sha256_once(*state, "abc", 3, &id);
    assert_hex(&id, ABC);
    sha256_once(*state, NULL, 0, &id);
    assert_hex(&id, EMPTY);
}

static void test_sha256__parts_equal_the_whole(void **state)
{
    enum { MILLION = 1000000 };
    char *a = mem_alloc(MILLION);
    memset(a, 'a', MILLION);
    struct id id;
    sha256_begin(*state);
    for (size_t done = 0, part = 0; done < MILLION; done += part) {
        part = done * 2 + 1 < MILLION - done ? done * 2 + 1 : MILLION - done;
        sha256_add(*state, a + done, part);
    }
    sha256_end(*state, &id);
    assert_hex(&id, MILLION_A);
    sha256_once(*state, a, MILLION, &id);
    assert_hex(&id, MILLION_A);
    free(a);
}

static void test_sha256__begin_forgets_what_was_added(void **state)
{
    struct id id;
    sha256_begin(*state);
    sha256_add(*state, "something else", 14);
    sha256_begin(*state);
    sha256_add(*state, "ab", 2);
    sha256_add(*state, "", 0);
    sha256_add(*state, "c", 1);
    sha256_end(*state, &id);
    assert_hex(&id, ABC);
}

static void test_sha256__free_of_null_does_nothing(void **state)
{
    (void)state;
    sha256_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sha256__matches_the_standards_examples, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sha256__parts_equal_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sha256__begin_forgets_what_was_added, setup, teardown),
        cmocka_unit_test(test_sha256__free_of_null_does_nothing),
    };
    return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
