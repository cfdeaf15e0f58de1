#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "base/json_scan.h"

static bool skips(const char *json)
{
    struct json_scan s;
    json_scan_init(&s, json, strlen(json));
    return json_skip(&s, NULL) && json_scan_at_end(&s);
}

static void test_json__accepts_what_is_json(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "[]",
        " [ ] ",
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5e+10",
        "1E3",
        "0.5",
        "\"\"",
        "\"a\\u00e9\\n\\\\\\\"\"",
        "[1,2,[3,{}]]",
        "{\"a\":1,\"b\":{\"c\":[true,null]}}",
        "\"01234567890123456789\\t0123456789\"",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!skips(good[i]))
            fail_msg("refused: %s", good[i]);
}

static void test_json__refuses_what_is_not(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "{",       "[",        "[1",         "[1,",
        "[1,]",  "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
        "nul",   "truex",   "01",       "1.",         "1e",
        "-",     "+1",      "1-2",      ".5",         "\"",
        "\"a",   "\"a\\\"", "\"\\x\"",  "\"a\nb\"",   "\"12345678\001\"",
        "[1 2]", "{}{}",    "1 2",      "\"\\",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (skips(bad[i]))
            fail_msg("accepted: %s", bad[i]);
}

static void test_json__limits_nesting(void **state)
{
    (void)state;
    char deep[400];
    memset(deep, '[', 200);
    memset(deep + 200, ']', 199);
    deep[399] = '\0';
    assert_false(skips(deep));
    assert_true(skips("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"));
}

static void test_json__numbers(void **state)
{
    (void)state;
    struct json_scan s;
    json_scan_init(&s, "18446744073709551615", 20);
    assert_true(json_u64(&s) == UINT64_MAX && json_scan_at_end(&s));
    static const char *const bad[] = {"18446744073709551616", "-1", "1.0", "1e1", "x", "", "00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_scan_init(&s, bad[i], strlen(bad[i]));
        json_u64(&s);
        assert_true(json_scan_failed(&s));
    }
    json_scan_init(&s, "-9223372036854775808", 20);
    assert_true(json_i64(&s) == INT64_MIN && !json_scan_failed(&s));
    json_scan_init(&s, "-9223372036854775809", 20);
    json_i64(&s);
    assert_true(json_scan_failed(&s));
}

/* A quote, a backslash or a control character at every place of a long string. */
static void test_json__strings_end_where_they_end(void **state)
{
    (void)state;
    for (size_t at = 1; at < 40; at++) {
        char text[64];
        struct json_scan s;
        struct json_slice out;
        memset(text, 0xc3, sizeof text);
        text[0] = '"';
        text[at] = '"';
        json_scan_init(&s, text, sizeof text);
        assert_true(json_scan_string(&s, &out));
        assert_int_equal(out.len, at - 1);
        assert_false(out.escaped);
        text[at] = '\\';
        text[at + 1] = '"';
        text[50] = '"';
        json_scan_init(&s, text, sizeof text);
        assert_true(json_scan_string(&s, &out));
        assert_true(out.escaped);
        assert_int_equal(out.len, 49);
        text[at] = 0x1f;
        json_scan_init(&s, text, sizeof text);
        assert_false(json_scan_string(&s, &out));
    }
}

static void unescapes_to(const char *text, const char *want)
{
    struct buf out;
    struct json_slice in = {text, strlen(text), true};
    buf_init(&out, 1000);
    assert_true(json_unescape(&in, &out));
    assert_string_equal(buf_cstr(&out), want);
    buf_release(&out);
}

static void test_json_unescape__all_escapes(void **state)
{
    (void)state;
    unescapes_to("a\\\"\\\\\\/\\b\\f\\n\\r\\tz", "a\"\\/\b\f\n\r\tz");
    unescapes_to("\\u0041\\u00e9\\u20ac\\ud83d\\ude00", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    unescapes_to("\\ud83dx\\ude00", "\xef\xbf\xbdx\xef\xbf\xbd"); /* lone surrogates */
    static const char *const bad[] = {"\\", "\\x", "\\u12", "\\u12g4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf out;
        struct json_slice in = {bad[i], strlen(bad[i]), true};
        buf_init(&out, 100);
        assert_false(json_unescape(&in, &out));
        buf_release(&out);
    }
}

static void test_json__walks_objects_and_arrays(void **state)
{
    (void)state;
    const char *json = "{\"list\":[1,2,3],\"skip\":{\"x\":[null]},\"flag\":true,\"none\":null}";
    struct json_scan s;
    struct json_slice key, text;
    uint64_t sum = 0;
    bool flag = false, none = false;
    json_scan_init(&s, json, strlen(json));
    assert_true(json_object_begin(&s));
    while (json_object_next(&s, &key)) {
        if (json_key_is(&key, "list")) {
            json_array_begin(&s);
            while (json_array_next(&s))
                sum += json_u64(&s);
        } else if (json_key_is(&key, "flag")) {
            flag = json_bool(&s);
        } else if (json_key_is(&key, "none")) {
            none = json_scan_null(&s);
        } else {
            assert_true(json_skip(&s, &text));
            assert_int_equal(text.len, strlen("{\"x\":[null]}"));
        }
    }
    assert_true(json_scan_at_end(&s));
    assert_int_equal(sum, 6);
    assert_true(flag && none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__accepts_what_is_json),
        cmocka_unit_test(test_json__refuses_what_is_not),
        cmocka_unit_test(test_json__limits_nesting),
        cmocka_unit_test(test_json__numbers),
        cmocka_unit_test(test_json__strings_end_where_they_end),
        cmocka_unit_test(test_json_unescape__all_escapes),
        cmocka_unit_test(test_json__walks_objects_and_arrays),
    };
    return cmocka_run_group_tests_name("json_scan", tests, NULL, NULL);
}
