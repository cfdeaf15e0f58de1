/* Errors, memory, buffers, IDs, string lists. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/mem.h"
#include "base/strlist.h"

static void test_err__wraps_from_the_inside_out(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(err_errno(&err, EISDIR, "cannot read '%s'", "x"), -1);
    assert_int_equal(err.code, ERR_FAILED); /* no disk is to blame */
    assert_int_equal(err_errno(&err, ENOSPC, "cannot write '%s'", "x"), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(err.sys_errno, ENOSPC);
    assert_string_equal(err.message, "cannot write 'x': No space left on device");
    err_wrap(&err, "cannot store pack %d", 7);
    assert_string_equal(err.message, "cannot store pack 7: cannot write 'x': No space left on device");
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(err_set(NULL, ERR_IO, "nobody asks"), -1);
}

static void test_err__cuts_what_is_too_long(void **state)
{
    (void)state;
    struct err err;
    char long_text[3000];
    memset(long_text, 'a', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    err_set(&err, ERR_FAILED, "%s", long_text);
    err_wrap(&err, "%s", long_text);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_BYTES - 1);
}

static void test_err__keeps_the_beginning_and_the_reason_of_what_is_too_long(void **state)
{
    (void)state;
    struct err err;
    char path[3000];
    for (size_t i = 0; i + 2 < sizeof path; i += 2)
        memcpy(path + i, "é", 2);
    path[sizeof path - 2] = '\0';
    err_errno(&err, ENOSPC, "cannot write '%s'", path);
    assert_true(strlen(err.message) < ERR_MESSAGE_BYTES && strlen(err.message) > ERR_MESSAGE_BYTES - 8);
    assert_memory_equal(err.message, "cannot write 'é", strlen("cannot write 'é"));
    assert_string_equal(err.message + strlen(err.message) - strlen("é': No space left on device"),
                        "é': No space left on device");
    err_wrap(&err, "pack '%s'", path);
    assert_memory_equal(err.message, "pack 'é", strlen("pack 'é"));
    assert_non_null(strstr(err.message, "…"));
    assert_string_equal(err.message + strlen(err.message) - strlen("No space left on device"),
                        "No space left on device");
    assert_int_equal(err.code, ERR_NO_SPACE);
    for (const char *p = err.message; *p != '\0'; p++) /* no character was cut in two */
        assert_true(((unsigned char)*p & 0xc0) != 0x80 || ((unsigned char)p[-1] & 0x80) != 0);
    err_set(&err, ERR_USAGE, "'%s' is no number", path);
    assert_non_null(strstr(err.message, "is no number"));
}

static void test_err__advice_goes_before_what_the_code_says(void **state)
{
    (void)state;
    struct err err;
    err_set(&err, ERR_NO_SPACE, "full");
    assert_non_null(strstr(err_hint(&err), "prune"));
    err_advise(&err, "buy a disk");
    err_wrap(&err, "restore");
    assert_string_equal(err_hint(&err), "buy a disk");
    err_set(&err, ERR_USAGE, "another one");
    assert_null(err_hint(&err));
    assert_int_equal(err_advise(NULL, "nobody listens"), -1);
}

static void test_err__exit_statuses_are_the_documented_ones(void **state)
{
    (void)state;
    assert_int_equal(err_exit_status(ERR_NONE), 0);
    assert_int_equal(err_exit_status(ERR_CORRUPT), 1);
    assert_int_equal(err_exit_status(ERR_PARTIAL), 3);
    assert_int_equal(err_exit_status(ERR_NO_REPOSITORY), 10);
    assert_int_equal(err_exit_status(ERR_LOCKED), 11);
    assert_int_equal(err_exit_status(ERR_WRONG_PASSPHRASE), 12);
    assert_int_equal(err_exit_status(ERR_INTERRUPTED), 130);
}

static void test_buf__grows_to_its_maximum_and_no_further(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_string_equal(buf_cstr(&b), "");
    buf_append_str(&b, "12345");
    buf_append_u64(&b, 67890);
    assert_false(b.overflow);
    assert_string_equal(buf_cstr(&b), "1234567890");
    buf_append_byte(&b, 'x');
    assert_true(b.overflow);
    assert_int_equal(b.len, 10);
    buf_clear(&b);
    buf_printf(&b, "%s-%d", "ab", 7);
    assert_string_equal(buf_cstr(&b), "ab-7");
    buf_append_u64(&b, 0);
    assert_string_equal(buf_cstr(&b), "ab-70");
    buf_shrink(&b, 4);
    assert_int_equal(b.cap, 0);
    buf_release(&b);
}

static void test_id__hex_both_ways(void **state)
{
    (void)state;
    const char *hex = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
    struct id id;
    char out[ID_HEX_BYTES], shorter[ID_SHORT_CHARS + 1];
    assert_int_equal(id_from_hex(hex, 64, &id), 0);
    assert_string_equal(id_to_hex(&id, out), hex);
    assert_string_equal(id_to_short(&id, shorter), "00112233");
    assert_int_equal(id_from_hex(hex, 63, &id), -1);
    assert_int_equal(id_from_hex("g0112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef", 64, &id), -1);
    assert_int_equal(id_from_hex("0A112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef", 64, &id), -1);
}

static void test_arena__keeps_what_it_gave(void **state)
{
    (void)state;
    struct arena a;
    char *strings[2000];
    arena_init(&a);
    for (size_t i = 0; i < 2000; i++) {
        char text[16];
        int n = snprintf(text, sizeof text, "%zu", i);
        strings[i] = arena_strndup(&a, text, (size_t)n);
        assert_int_equal((uintptr_t)strings[i] % 16, 0);
        if (i % 100 == 0)
            memset(arena_alloc(&a, 300000), 0xff, 300000);
    }
    for (size_t i = 0; i < 2000; i++)
        assert_int_equal(strtoul(strings[i], NULL, 10), i);
    arena_release(&a);
}

static void test_strlist__adds_sorts_and_removes(void **state)
{
    (void)state;
    struct strlist l = {0}, copy = {0};
    strlist_add(&l, "b");
    strlist_add(&l, "a");
    strlist_add_len(&l, "bcd", 1);
    strlist_copy(&copy, &l);
    assert_true(strlist_equal(&l, &copy));
    strlist_sort(&l);
    assert_string_equal(l.items[0], "a");
    assert_false(strlist_equal(&l, &copy));
    strlist_remove(&l, "b");
    assert_int_equal(l.count, 1);
    assert_true(strlist_contains(&l, "a") && !strlist_contains(&l, "b"));
    strlist_release(&l);
    strlist_release(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__wraps_from_the_inside_out),
        cmocka_unit_test(test_err__cuts_what_is_too_long),
        cmocka_unit_test(test_err__keeps_the_beginning_and_the_reason_of_what_is_too_long),
        cmocka_unit_test(test_err__advice_goes_before_what_the_code_says),
        cmocka_unit_test(test_err__exit_statuses_are_the_documented_ones),
        cmocka_unit_test(test_buf__grows_to_its_maximum_and_no_further),
        cmocka_unit_test(test_id__hex_both_ways),
        cmocka_unit_test(test_arena__keeps_what_it_gave),
        cmocka_unit_test(test_strlist__adds_sorts_and_removes),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
