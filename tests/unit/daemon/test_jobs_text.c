#include "daemon/jobs_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "plan/json5.h"

static void expect_error(const char *text, const char *message)
{
    struct jobs_text t;
    struct err err = {0};
    assert_int_equal(jobs_text_parse(&t, text, strlen(text), &err), -1);
    assert_string_equal(err.message, message);
    assert_int_equal(err.code, ERR_CORRUPT);
}

/* What it means, as jansson writes it. */
static void expect(const char *text, const char *meaning)
{
    struct jobs_text t;
    struct err err = {0};
    if (jobs_text_parse(&t, text, strlen(text), &err) != 0)
        fail_msg("%s: %s", text, err.message);
    json_t *value = jobs_text_json(&t, jobs_text_root(&t));
    char *is = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (meaning == NULL)
        assert_null(is);
    else
        assert_string_equal(is, meaning);
    free(is);
    json_decref(value);
    jobs_text_release(&t);
}

static void test_jobs_text__takes_what_json5_has(void **state)
{
    (void)state;
    expect("null", "null");
    expect("\xEF\xBB\xBF [1,-2,+3,.5,5.,1e2,0x1F,-0xa] // end", "[1,-2,3,0.5,5,100,31,-10]");
    expect("{a:1,$b_2:[],'c':{},\"d\":true,/* x */e:false , }",
           "{\"a\":1,\"$b_2\":[],\"c\":{},\"d\":true,\"e\":false}");
    expect("// one\n/* two\n */[null,]\r\n\t\v\f\xC2\xA0\xE2\x80\xA8", "[null]");
    expect("['a\\'b\\\"\\n\\t\\x41\\u00e9\\uD83D\\uDE00\\\nx\\\r\ny\\\xE2\x80\xA9z\\q']", "[\"a'b\\\"\\n\\tAé😀xyzq\"]");
    expect("{\xE2\x80\x8A\xE2\x80\xAF a\xE3\x80\x80:\xE1\x9A\x80 1}", "{\"a\":1}");
    expect("{\"a\":1,\"a\":2}", "{\"a\":2}");
    expect("[\"a\\b\\f\\r\\v\\/\\\\\"]", "[\"a\\b\\f\\r\\u000B/\\\\\"]");
}

static void test_jobs_text__has_no_value_for_what_cannot_be_one(void **state)
{
    (void)state;
    expect("[1e999]", NULL);
    expect("[Infinity]", NULL);
    expect("[-NaN]", NULL);
    expect("[\"\\0\"]", NULL);
    expect("[\"\\u0000\"]", NULL);
    expect("[\"\\uD800\"]", NULL);
    expect("[\"\\uDC00\\uD800\"]", NULL);
    expect("{\"a\":\"\xFF\"}", NULL);
}

static void test_jobs_text__says_where_a_mistake_is(void **state)
{
    (void)state;
    expect_error("", "line 1, column 1: a value is missing at the end");
    expect_error("{\n  \"wakeMode\": \"now\" // or \"immediate\"\n  \"payload\": {}\n}",
                 "line 2, column 20: a comma is missing here");
    expect_error("[1\r\n,2\r3 \n 4]", "line 2, column 3: a comma is missing here");
    expect_error("[\"\xC3\xA9\" 4]", "line 1, column 5: a comma is missing here");
    expect_error("[1,,2]", "line 1, column 4: a value is missing, or a quote around it");
    expect_error("[nulls]", "line 1, column 2: a value is missing, or a quote around it");
    expect_error("[1", "line 1, column 3: an array is not closed");
    expect_error("[1,", "line 1, column 4: an array is not closed");
    expect_error("{\"a\":1", "line 1, column 7: an object is not closed");
    expect_error("{", "line 1, column 2: an object is not closed");
    expect_error("{\"a\" 1}", "line 1, column 6: a colon is missing after a key");
    expect_error("{-:1}", "line 1, column 2: a key is missing, or a quote around it");
    expect_error("[1}", "line 1, column 3: a comma or ']' is missing");
    expect_error("{a:1]", "line 1, column 5: a comma or '}' is missing");
    expect_error("[] []", "line 1, column 4: something follows the end of the document");
    expect_error("[/* ", "line 1, column 2: a comment is not closed");
    expect_error("[1 /* ", "line 1, column 4: a comment is not closed");
    expect_error("{a /* ", "line 1, column 4: a comment is not closed");
    expect_error("{a: /* ", "line 1, column 5: a comment is not closed");
    expect_error("[] /* ", "line 1, column 4: a comment is not closed");
    expect_error("\"abc", "line 1, column 1: a string is not closed");
    expect_error("{'a", "line 1, column 2: a string is not closed");
    expect_error("\"abc\n\"", "line 1, column 1: a string is not closed on its line");
    expect_error("\"\\", "line 1, column 3: a string is not closed");
    expect_error("\"\\x4\"", "line 1, column 5: an escape sequence lacks its hexadecimal digits");
    expect_error("\"\\u12\"", "line 1, column 6: an escape sequence lacks its hexadecimal digits");
    expect_error("\"\\1\"", "line 1, column 3: a backslash stands before a digit");
    expect_error("\"\\01\"", "line 1, column 3: a backslash stands before a digit");
    expect_error("01", "line 1, column 1: a number starts with 0");
    expect_error("[-]", "line 1, column 3: a number has no digits");
    expect_error("1e", "line 1, column 3: a number's exponent has no digits");
    expect_error("1e+", "line 1, column 4: a number's exponent has no digits");
    expect_error("0x", "line 1, column 3: a hexadecimal number has no digits");
    expect_error("1a", "line 1, column 1: a number is malformed");
    expect_error("1.2.3", "line 1, column 1: a number is malformed");
}

static void test_jobs_text__turns_nul_bytes_down(void **state)
{
    (void)state;
    struct jobs_text t;
    struct err err = {0};
    assert_int_equal(jobs_text_parse(&t, "[\"a\0b\"]", 7, &err), -1);
    assert_string_equal(err.message, "line 1, column 4: a NUL byte stands in a string");
    assert_int_equal(jobs_text_parse(&t, "[1\0]", 4, &err), -1);
    assert_string_equal(err.message, "line 1, column 3: a comma or ']' is missing");
    assert_int_equal(jobs_text_parse(&t, "\0", 1, &err), -1);
    assert_int_equal(jobs_text_parse(&t, "[]\0", 3, &err), -1);
}

static void test_jobs_text__limits_nesting_and_numbers_of_values(void **state)
{
    (void)state;
    struct jobs_text t;
    struct err err = {0};
    char deep[2 * JOBS_TEXT_NESTING_MAX + 3] = {0};
    memset(deep, '[', JOBS_TEXT_NESTING_MAX);
    memset(deep + JOBS_TEXT_NESTING_MAX, ']', JOBS_TEXT_NESTING_MAX);
    expect(deep, deep);
    memset(deep, '[', JOBS_TEXT_NESTING_MAX + 1);
    expect_error(deep, "line 1, column 61: it is nested too deeply");
    size_t len = 2 * (size_t)JOBS_TEXT_NODES_MAX + 2;
    char *many = malloc(len);
    for (size_t i = 0; i < len; i += 2)
        memcpy(many + i, "0,", 2);
    many[0] = '[';
    many[1] = '0';
    many[len - 2] = ']';
    many[len - 1] = '\n';
    many[2] = ',';
    many[3] = ' ';
    many[4] = '1';
    assert_int_equal(jobs_text_parse(&t, many, len, &err), -1);
    assert_non_null(strstr(err.message, "there are too many values"));
    free(many);
}

static void test_jobs_text__knows_where_values_are(void **state)
{
    (void)state;
    const char *text = "{ 'a' : [1, 22] , \"b\\u0063\" : {}, b: 3, b: 4}";
    struct jobs_text t;
    assert_int_equal(jobs_text_parse(&t, text, strlen(text), NULL), 0);
    const struct jobs_node *root = jobs_text_root(&t), *a = jobs_text_member(&t, root, "a");
    assert_int_equal(root->start, 0);
    assert_int_equal(root->end, strlen(text));
    assert_memory_equal(text + a->start, "[1, 22]", 7);
    assert_int_equal(a->end - a->start, 7);
    assert_memory_equal(text + a->key_start, "'a'", 3);
    assert_int_equal(text[a->comma], ',');
    const struct jobs_node *second = jobs_text_next(&t, jobs_text_first(&t, a));
    assert_memory_equal(text + second->start, "22", 2);
    assert_int_equal(second->comma, 0);
    assert_null(jobs_text_next(&t, second));
    assert_null(jobs_text_member(&t, second, "x"));
    assert_null(jobs_text_member(&t, root, "x"));
    assert_false(jobs_text_key_is(&t, second, ""));
    char *key = jobs_text_key(&t, jobs_text_member(&t, root, "bc"));
    assert_string_equal(key, "bc");
    free(key);
    int64_t value;
    assert_true(jobs_text_integer(&t, jobs_text_member(&t, root, "b"), &value));
    assert_int_equal(value, 4); /* the last one counts */
    jobs_text_release(&t);
}

static bool integer_of(const char *text, int64_t *out)
{
    struct jobs_text t;
    assert_int_equal(jobs_text_parse(&t, text, strlen(text), NULL), 0);
    bool ok = jobs_text_integer(&t, jobs_text_root(&t), out);
    jobs_text_release(&t);
    return ok;
}

static void test_jobs_text__takes_whole_numbers_only(void **state)
{
    (void)state;
    static const char *const BAD[] = {"1.5",   "1e300", "9223372036854775808", "-1e-1", "NaN", "-Infinity", "1e19",
                                      "\"1\"", "null",  "0x1ffffffffffffffff"};
    int64_t value;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        if (integer_of(BAD[i], &value))
            fail_msg("%s was taken", BAD[i]);
    char longest[100];
    memset(longest, '0', sizeof longest);
    memcpy(longest, "1.", 2);
    longest[sizeof longest - 1] = '\0';
    assert_false(integer_of(longest, &value));
    assert_true(integer_of("9223372036854775807", &value) && value == INT64_MAX);
    assert_true(integer_of("-5", &value) && value == -5);
    assert_true(integer_of("+7.2e6", &value) && value == 7200000);
    assert_true(integer_of("-2.0", &value) && value == -2);
    assert_true(integer_of("0x1e", &value) && value == 30);
}

/* The project's other reader of JSON5, whose output is jansson's to read. */
static void test_jobs_text__agrees_with_the_other_reader(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "{a:1,'b':[.5,5.,+1,-0x1F,1e9,],\"c\":'it\\'s \\x41\\u00e9\\\n',/* d */$e_:null,f:true,g:{}}",
        "{\"jobs\":[{\"id\":\"x\",\"schedule\":{\"kind\":\"every\",\"everyMs\":7200000}}]} // end",
        "[1.25e-3, \"\\u2028\", '\\b\\f\\v', [], [[]], {\"\": {}}]"};
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        struct jobs_text t;
        struct buf plain;
        buf_init(&plain, 1 << 20);
        assert_int_equal(json5_to_json(TEXTS[i], strlen(TEXTS[i]), &plain, NULL), 0);
        json_t *other = json_loads(buf_cstr(&plain), JSON_DECODE_ANY, NULL);
        assert_int_equal(jobs_text_parse(&t, TEXTS[i], strlen(TEXTS[i]), NULL), 0);
        json_t *ours = jobs_text_json(&t, jobs_text_root(&t));
        char *a = json_dumps(ours, JSON_SORT_KEYS), *b = json_dumps(other, JSON_SORT_KEYS);
        if (strstr(TEXTS[i], "5.,") == NULL) /* "5." is whole for us and has a fraction there */
            assert_string_equal(a, b);
        free(a);
        free(b);
        json_decref(ours);
        json_decref(other);
        jobs_text_release(&t);
        buf_release(&plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_text__takes_what_json5_has),
        cmocka_unit_test(test_jobs_text__has_no_value_for_what_cannot_be_one),
        cmocka_unit_test(test_jobs_text__says_where_a_mistake_is),
        cmocka_unit_test(test_jobs_text__turns_nul_bytes_down),
        cmocka_unit_test(test_jobs_text__limits_nesting_and_numbers_of_values),
        cmocka_unit_test(test_jobs_text__knows_where_values_are),
        cmocka_unit_test(test_jobs_text__takes_whole_numbers_only),
        cmocka_unit_test(test_jobs_text__agrees_with_the_other_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
