#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

/* RFC 4648's own examples, and the two last letters of the alphabet. */
static const struct {
    const char *plain, *text;
} CASES[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"\xfb\xff\xbf", "+/+/"},
};

static void test_base64__encodes_and_decodes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buf text, plain;
        buf_init(&text, 100);
        buf_init(&plain, 100);
        base64_encode(CASES[i].plain, strlen(CASES[i].plain), &text);
        assert_string_equal(buf_cstr(&text), CASES[i].text);
        assert_int_equal(base64_decode(CASES[i].text, strlen(CASES[i].text), &plain), 0);
        assert_string_equal(buf_cstr(&plain), CASES[i].plain);
        buf_release(&text);
        buf_release(&plain);
    }
}

static void test_base64__keeps_zero_bytes(void **state)
{
    (void)state;
    struct buf plain;
    buf_init(&plain, 100);
    assert_int_equal(base64_decode("AAAA/w==", 8, &plain), 0);
    assert_int_equal(plain.len, 4);
    assert_memory_equal(plain.data, "\0\0\0\xff", 4);
    buf_release(&plain);
}

static void test_base64__rejects_malformed_text(void **state)
{
    (void)state;
    static const char *const BAD[] = {"A",
                                      "AB",
                                      "ABC",
                                      "ABCDE",
                                      "A===",
                                      "====",
                                      "AB=C",
                                      "=ABC",
                                      "AB==CDEF",
                                      "AB\nC",
                                      "AB-_",
                                      " ABC",
                                      "AB\x80"
                                      "C"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct buf plain;
        buf_init(&plain, 100);
        assert_int_equal(base64_decode(BAD[i], strlen(BAD[i]), &plain), -1);
        buf_release(&plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64__encodes_and_decodes),
        cmocka_unit_test(test_base64__keeps_zero_bytes),
        cmocka_unit_test(test_base64__rejects_malformed_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
