#include "plan/json5.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static void expect_bytes(const char *text, size_t len, const char *json)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    if (json5_to_json(text, len, &out, &err) != 0)
        fail_msg("'%s': %s", text, err.message);
    assert_string_equal(buf_cstr(&out), json);
    json_error_t why;
    json_t *parsed = json_loadb(buf_cstr(&out), out.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (parsed == NULL)
        fail_msg("'%s' became '%s', which is no JSON: %s", text, json, why.text);
    json_decref(parsed);
    buf_release(&out);
}

static void expect(const char *text, const char *json)
{
    expect_bytes(text, strlen(text), json);
}

static void expect_error(const char *text, const char *message)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    assert_int_equal(json5_to_json(text, strlen(text), &out, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_string_equal(err.message, message);
    assert_int_equal(json5_to_json(text, strlen(text), &out, NULL), -1);
    buf_release(&out);
}

static void test_json5__passes_json_through(void **state)
{
    (void)state;
    expect("{\"a\":[1,-2.5e+3,true,false,null,\"x\\n\\u00e9\\/\"]}",
           "{\"a\":[1,-2.5e+3,true,false,null,\"x\\n\\u00e9/\"]}");
    expect("[]", "[]");
    expect("{}", "{}");
    expect("0", "0");
    expect("\"\xC3\xA9\"", "\"\xC3\xA9\"");
}

static void test_json5__drops_comments_and_keeps_lines(void **state)
{
    (void)state;
    expect("// head\n{ // one\n a: 1, /* two\n three */ b: 2 }\n// tail", "\n{\n\"a\":1\n,\"b\":2}\n");
    expect("/**/[/***/1/* // */]//", "[1]");
    expect("[1,\r\n2,\r3,\n4]", "[1\n,2\n,3\n,4]");
    expect("[1,\xE2\x80\xA8// x\xE2\x80\xA9 2]", "[1\n\n,2]");
}

static void test_json5__takes_trailing_commas(void **state)
{
    (void)state;
    expect("[1,[2,],{a:3,},]", "[1,[2],{\"a\":3}]");
}

static void test_json5__quotes_keys(void **state)
{
    (void)state;
    expect("{a:1,$b_2:2,_:3,'d e':4,null:5,caf\xC3\xA9:6,\\u0061b:7}",
           "{\"a\":1,\"$b_2\":2,\"_\":3,\"d e\":4,\"null\":5,\"caf\xC3\xA9\":6,\"\\u0061b\":7}");
    expect("{$include : './x.json'}", "{\"$include\":\"./x.json\"}");
}

static void test_json5__takes_all_kinds_of_strings(void **state)
{
    (void)state;
    expect("'it\\'s \"so\"'", "\"it's \\\"so\\\"\"");
    expect("\"it's\"", "\"it's\"");
    expect("'a\tb\\tc\\vd\\b\\f\\r\\\\'", "\"a\\tb\\tc\\u000bd\\b\\f\\r\\\\\"");
    expect("'\\x41\\u00E9\\q\\0'", "\"\\u0041\\u00E9q\\u0000\"");
    expect("'one \\\ntwo \\\r\nthree\\\xE2\x80\xA8'", "\"one two three\"");
    expect("'\xE2\x80\xA8'", "\"\xE2\x80\xA8\"");
    expect("''", "\"\"");
}

static void test_json5__takes_all_kinds_of_numbers(void **state)
{
    (void)state;
    expect("[+1,.5,5.,-.5,5.e3,+.5E-2,1e9,-0]", "[1,0.5,5.0,-0.5,5.0e3,0.5E-2,1e9,-0]");
    expect("[0x10,-0XfF,+0x0,0x00000000000000000001]", "[16,-255,0,1]");
    expect("0x7fffffffffffffff", "9223372036854775807");
}

static void test_json5__skips_every_blank(void **state)
{
    (void)state;
    expect("\xEF\xBB\xBF \t\v\f\xC2\xA0\xE1\x9A\x80\xE2\x80\x80\xE2\x80\x8A\xE2\x80\xAF\xE2\x81\x9F\xE3\x80\x80[ ]",
           "[]");
}

static void test_json5__refuses_what_json_has_no_form_for(void **state)
{
    (void)state;
    expect_error("Infinity", "line 1: Infinity and NaN are not supported");
    expect_error("[-Infinity]", "line 1: Infinity and NaN are not supported");
    expect_error("{a:\n+NaN}", "line 2: Infinity and NaN are not supported");
    expect_error("NaN", "line 1: Infinity and NaN are not supported");
    expect_error("0x10000000000000000", "line 1: a hexadecimal number is too large");
}

static void test_json5__names_the_line_of_a_mistake(void **state)
{
    (void)state;
    expect_error("{\n a: 1\n b: 2\n}", "line 3: a comma or '}' is missing");
    expect_error("[1\r\n2]", "line 2: a comma or ']' is missing");
    expect_error("{a:'x\ny'}", "line 1: a string is not closed on its line");
    expect_error("{a:1,\n/* never\nclosed", "line 2: a comment is not closed");
    expect_error("['\\\n\n']", "line 2: a string is not closed on its line");
    expect_error("/* a\nb */\n{", "line 3: an object is not closed");
}

static void test_json5__refuses_malformed_structure(void **state)
{
    (void)state;
    expect_error("", "line 1: a value is missing at the end");
    expect_error("{a}", "line 1: a colon is missing after a key");
    expect_error("{a:}", "line 1: a value is missing, or a quote around it");
    expect_error("{,}", "line 1: a key is missing, or a quote around it");
    expect_error("[,]", "line 1: a value is missing, or a quote around it");
    expect_error("[1,,2]", "line 1: a value is missing, or a quote around it");
    expect_error("{1a:2}", "line 1: a key is missing, or a quote around it");
    expect_error("{a:1", "line 1: an object is not closed");
    expect_error("[1", "line 1: an array is not closed");
    expect_error("[1}", "line 1: a comma or ']' is missing");
    expect_error("1 2", "line 1: something follows the end of the document");
    expect_error("[truex]", "line 1: a value is missing, or a quote around it");
    expect_error("[hello]", "line 1: a value is missing, or a quote around it");
    expect_error("/", "line 1: a value is missing, or a quote around it");
    expect_error("{a /* ", "line 1: a comment is not closed");
    expect_error("[1 /* ", "line 1: a comment is not closed");
    expect_error("[/* ", "line 1: a comment is not closed");
    expect_error("{a: /* ", "line 1: a comment is not closed");
    expect_error("1 /* ", "line 1: a comment is not closed");
}

static void test_json5__refuses_malformed_values(void **state)
{
    (void)state;
    expect_error("012", "line 1: a number starts with 0");
    expect_error("+", "line 1: a number has no digits");
    expect_error(".", "line 1: a number has no digits");
    expect_error("- 1", "line 1: a number has no digits");
    expect_error("1e", "line 1: a number's exponent has no digits");
    expect_error("0x", "line 1: a hexadecimal number has no digits");
    expect_error("0xg", "line 1: a hexadecimal number has no digits");
    expect_error("1a", "line 1: a number is malformed");
    expect_error("1.2.3", "line 1: a number is malformed");
    expect_error("'x", "line 1: a string is not closed");
    expect_error("'x\\", "line 1: a string is not closed");
    expect_error("'\\x4'", "line 1: an escape sequence lacks its hexadecimal digits");
    expect_error("'\\u12", "line 1: an escape sequence lacks its hexadecimal digits");
    expect_error("{\\u00g0:1}", "line 1: an escape sequence lacks its hexadecimal digits");
    expect_error("{'\\x4':1}", "line 1: an escape sequence lacks its hexadecimal digits");
    expect_error("'\\1'", "line 1: a backslash stands before a digit");
    expect_error("'\\01'", "line 1: a backslash stands before a digit");
}

static void test_json5__limits_nesting(void **state)
{
    (void)state;
    char text[2 * JSON5_NESTING_MAX + 3] = {0};
    memset(text, '[', JSON5_NESTING_MAX);
    memset(text + JSON5_NESTING_MAX, ']', JSON5_NESTING_MAX);
    expect(text, text);
    memset(text, '[', JSON5_NESTING_MAX + 1);
    expect_error(text, "line 1: it is nested too deeply");
}

static void test_json5__respects_the_buffers_maximum(void **state)
{
    (void)state;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 4);
    assert_int_equal(json5_to_json("[1,2,3]", 7, &out, &err), -1);
    assert_string_equal(err.message, "the document is too large");
    buf_release(&out);
}

static void test_json5__reads_no_further_than_told(void **state)
{
    (void)state;
    char *text = malloc(3);
    memcpy(text, "[1]", 3);
    expect_bytes(text, 3, "[1]");
    struct buf out;
    buf_init(&out, 100);
    for (size_t len = 0; len < 3; len++)
        assert_int_equal(json5_to_json(text, len, &out, NULL), -1);
    expect_bytes("1\0002", 1, "1");
    assert_int_equal(json5_to_json("1\0002", 3, &out, NULL), -1);
    buf_release(&out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json5__passes_json_through),
        cmocka_unit_test(test_json5__drops_comments_and_keeps_lines),
        cmocka_unit_test(test_json5__takes_trailing_commas),
        cmocka_unit_test(test_json5__quotes_keys),
        cmocka_unit_test(test_json5__takes_all_kinds_of_strings),
        cmocka_unit_test(test_json5__takes_all_kinds_of_numbers),
        cmocka_unit_test(test_json5__skips_every_blank),
        cmocka_unit_test(test_json5__refuses_what_json_has_no_form_for),
        cmocka_unit_test(test_json5__names_the_line_of_a_mistake),
        cmocka_unit_test(test_json5__refuses_malformed_structure),
        cmocka_unit_test(test_json5__refuses_malformed_values),
        cmocka_unit_test(test_json5__limits_nesting),
        cmocka_unit_test(test_json5__respects_the_buffers_maximum),
        cmocka_unit_test(test_json5__reads_no_further_than_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
