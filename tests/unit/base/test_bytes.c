#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void test_bytes_text__has_three_digits_and_powers_of_1000(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } CASES[] = {{0, "0 B"},
                 {7, "7 B"},
                 {999, "999 B"},
                 {1000, "1.0 kB"},
                 {1234567, "1.2 MB"},
                 {99940000, "99.9 MB"},
                 {99960000, "100 MB"},
                 {999499999, "999 MB"},
                 {999500000, "1.0 GB"},
                 {1234567890, "1.2 GB"},
                 {271000000000, "271 GB"},
                 {UINT64_MAX, "18.4 EB"}};
    char out[BYTES_TEXT_BYTES];
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        assert_string_equal(bytes_text(CASES[i].bytes, out), CASES[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_text__has_three_digits_and_powers_of_1000),
    };
    return cmocka_run_group_tests_name("bytes", tests, NULL, NULL);
}
