#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "net/curl.h"
#include "net/http.h"

/* A script of its own: the library is looked for once. */
static void test_curl__says_which_package_is_missing(void **state)
{
    (void)state;
    static const char *const NAMES[] = {"libclawback-no-such-library.so.4", NULL};
    struct http_request q = {.method = "GET", .url = "http://127.0.0.1:1/", .shown = "x", .timeout_ms = 1000};
    struct http_response r;
    struct err err = {0};
    curl_load_from(NAMES);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_do(&q, &r, &err), -1);
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, "libcurl"));
        assert_non_null(strstr(err_hint(&err), "libcurl4"));
        http_response_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_curl__says_which_package_is_missing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
