#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_scan.h"
#include "repo/quote.h"

struct quote_case {
    const char *raw, *quoted;
};

static void check(const struct quote_case *c, void (*quote)(const char *, size_t, struct buf *))
{
    struct buf out;
    buf_init(&out, 10000);
    quote(c->raw, strlen(c->raw), &out);
    assert_string_equal(buf_cstr(&out), c->quoted);
    buf_release(&out);
}

/* As the format's first implementation stored these names, but for what newer Unicode made printable. */
static const struct quote_case NAMES[] = {
    {"", ""},
    {"plain-NAME_1.txt ~", "plain-NAME_1.txt ~"},
    {"quote\"s", "quote\\\\\\\"s"},
    {"back\\slash", "back\\\\\\\\slash"},
    {"apo'strophe", "apo'strophe"},
    {"new\nline", "new\\\\nline"},
    {"tab\tbell\abs\bff\fvt\vcr\r", "tab\\\\tbell\\\\abs\\\\bff\\\\fvt\\\\vcr\\\\r"},
    {"\x01\x02\x1f", "\\\\x01\\\\x02\\\\x1f"},
    {"esc\x1b[31m", "esc\\\\x1b[31m"},
    {"del\x7f", "del\\\\x7f"},
    {"<html>&amp;", "\\u003chtml\\u003e\\u0026amp;"},
    {"caf\xc3\xa9", "caf\xc3\xa9"},
    {"\xe4\xb8\xad\xe6\x96\x87", "\xe4\xb8\xad\xe6\x96\x87"},
    {"\xf0\x9f\x98\x80 emoji", "\xf0\x9f\x98\x80 emoji"},
    {"combining e\xcc\x81", "combining e\xcc\x81"},
    {"fffd\xef\xbf\xbd", "fffd\xef\xbf\xbd"},
    {"\xf3\xa0\x84\x80vs", "\xf3\xa0\x84\x80vs"},
    {"c1\xc2\x85", "c1\\\\u0085"},
    {"nbsp\xc2\xa0x", "nbsp\\\\u00a0x"},
    {"shy\xc2\xad", "shy\\\\u00ad"},
    {"ls\xe2\x80\xa8ps\xe2\x80\xa9", "ls\\\\u2028ps\\\\u2029"},
    {"zwj\xe2\x80\x8d", "zwj\\\\u200d"},
    {"bom\xef\xbb\xbf", "bom\\\\ufeff"},
    {"pua\xee\x80\x80", "pua\\\\ue000"},
    {"unassigned\xcd\xb8", "unassigned\\\\u0378"},
    {"ideographic-space\xe3\x80\x80", "ideographic-space\\\\u3000"},
    {"\xf0\xaf\xbf\xbf", "\\\\U0002ffff"},
    {"\xf4\x8f\xbf\xbf", "\\\\U0010ffff"},
    {"tag\xf3\xa0\x80\x81", "tag\\\\U000e0001"},
    {"\xff\xfeinvalid", "\\\\xff\\\\xfeinvalid"},
    {"sur\xed\xa0\x80", "sur\\\\xed\\\\xa0\\\\x80"},
    {"overlong\xc0\xafz", "overlong\\\\xc0\\\\xafz"},
    {"overlong\xe0\x80\xaf", "overlong\\\\xe0\\\\x80\\\\xaf"},
    {"overlong\xf0\x80\x80\xaf", "overlong\\\\xf0\\\\x80\\\\x80\\\\xaf"},
    {"too high\xf4\x90\x80\x80", "too high\\\\xf4\\\\x90\\\\x80\\\\x80"},
    {"truncated\xe2\x82", "truncated\\\\xe2\\\\x82"},
    {"truncated\xf0\x9f\x98", "truncated\\\\xf0\\\\x9f\\\\x98"},
    {"truncated\xc3", "truncated\\\\xc3"},
    {"\xe2\x82Z\xc3Z", "\\\\xe2\\\\x82Z\\\\xc3Z"},
    {"\\x41", "\\\\\\\\x41"},
    {"\\u0041\"", "\\\\\\\\u0041\\\\\\\""},
};

static const struct quote_case TEXTS[] = {
    {"", ""},
    {"target/\xff\xfe \"q\" <a>&\n\t\x01\x7f \xe2\x80\xa8 \xf0\x9f\x98\x80 \\",
     "target/\\ufffd\\ufffd \\\"q\\\" \\u003ca\\u003e\\u0026\\n\\t\\u0001\x7f \\u2028 \xf0\x9f\x98\x80 \\\\"},
    {"\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"},
    {"\b\f\r\v\xe2\x80\xa9\xc2\xad", "\\b\\f\\r\\u000b\\u2029\xc2\xad"},
    {"end \xc3", "end \\ufffd"},
};

static void test_quote__names_are_escaped_as_the_format_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        check(&NAMES[i], quote_name);
}

static void test_quote__texts_are_escaped_as_the_format_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof TEXTS / sizeof TEXTS[0]; i++)
        check(&TEXTS[i], quote_json);
}

/* JSON text of a name back to raw bytes. */
static void assert_name_reads_as(const char *text, size_t text_len, const char *raw, size_t raw_len)
{
    struct json_slice slice = {text, text_len, memchr(text, '\\', text_len) != NULL};
    struct buf quoted, out;
    buf_init(&quoted, 10000);
    buf_init(&out, 10000);
    assert_true(json_unescape(&slice, &quoted));
    assert_true(quote_unquote(buf_cstr(&quoted), quoted.len, &out));
    assert_int_equal(out.len, raw_len);
    assert_memory_equal(buf_cstr(&out), raw, raw_len);
    buf_release(&quoted);
    buf_release(&out);
}

static void test_quote__names_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        assert_name_reads_as(NAMES[i].quoted, strlen(NAMES[i].quoted), NAMES[i].raw, strlen(NAMES[i].raw));
}

static void test_quote__every_pair_of_bytes_comes_back(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x10000; i++) {
        const char raw[] = {'a', (char)(i >> 8), (char)i};
        struct buf text;
        buf_init(&text, 100);
        quote_name(raw, sizeof raw, &text);
        assert_true(quote_is_utf8(buf_cstr(&text), text.len));
        assert_name_reads_as(buf_cstr(&text), text.len, raw, sizeof raw);
        buf_release(&text);
    }
}

static void test_quote__unquote_takes_every_escape(void **state)
{
    (void)state;
    static const struct quote_case CASES[] = {
        {"\\a\\b\\f\\n\\r\\t\\v\\\\\\\"", "\a\b\f\n\r\t\v\\\""},
        {"\\x41\\xfF\\101\\377", "A\xff"
                                 "A\xff"},
        {"\\u0041\\u00e9\\u20AC\\U0001f600", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"raw\xc3\xa9", "raw\xc3\xa9"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct buf out;
        buf_init(&out, 100);
        assert_true(quote_unquote(CASES[i].raw, strlen(CASES[i].raw), &out));
        assert_string_equal(buf_cstr(&out), CASES[i].quoted);
        buf_release(&out);
    }
}

static void test_quote__unquote_rejects_malformed_text(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "\\",      "a\\",     "\\q",         "\\'",         "\\x4",       "\\x4g", "\\400", "\\08", "\\12",  "\\u123",
        "\\ud800", "\\udfff", "\\U00110000", "\\U0000d800", "\\U1234567", "a\"b",  "a\nb",  "\\8",  "\\X41", "\\u12g4"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct buf out;
        buf_init(&out, 100);
        assert_false(quote_unquote(BAD[i], strlen(BAD[i]), &out));
        buf_release(&out);
    }
    struct buf out;
    buf_init(&out, 100);
    assert_false(quote_unquote("\\\0", 2, &out)); /* NUL is no letter of any escape */
    assert_false(quote_unquote("\\x\0"
                               "0",
                               4, &out));
    buf_release(&out);
}

static void test_quote__printable_is_unicode_15(void **state)
{
    (void)state;
    static const uint32_t PRINTABLE[] = {' ',     '~',     0xa1,    0xff,
                                         0x377,   0xfffd,  0x10000, 0x3400,
                                         0x9fff,  0xac00,  0xd7a3,  0x20c0 /* 14.0 */,
                                         0x1e4d0, 0x1fae8, 0x31350, 0x323af /* 15.0 */,
                                         0xe01ef};
    static const uint32_t OTHER[] = {
        0,       0x1f,    0x7f,    0xa0,    0xad,     0x378,    0x2028,    0x2029,
        0x3000,  0xd800,  0xdfff,  0xe000,  0xfeff,   0xffff,   0x1fae9,   0x2ebf0 /* 15.1 */,
        0x323b0, 0xe0001, 0xe01f0, 0xf0000, 0x10ffff, 0x110000, 0xffffffff};
    for (size_t i = 0; i < sizeof PRINTABLE / sizeof PRINTABLE[0]; i++)
        assert_true(quote_is_printable(PRINTABLE[i]));
    for (size_t i = 0; i < sizeof OTHER / sizeof OTHER[0]; i++)
        assert_false(quote_is_printable(OTHER[i]));
}

/* Unicode 15.0 has 149,186 graphic and format characters. 170 of them are format characters (Cf) and 19 are separators,
 * one of which, the ASCII space, counts as printable. */
static void test_quote__table_has_every_printable_rune(void **state)
{
    (void)state;
    unsigned count = 0;
    for (uint32_t rune = 0; rune <= 0x10ffff; rune++)
        count += quote_is_printable(rune);
    assert_int_equal(count, 149186 - 170 - 19 + 1);
}

static void test_quote__tells_utf8_from_other_bytes(void **state)
{
    (void)state;
    assert_true(quote_is_utf8("", 0));
    assert_true(quote_is_utf8("a\0b", 3));
    assert_true(quote_is_utf8("\xc2\x80\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 19));
    static const char *const BAD[] = {
        "\x80",     "\xc1\xbf",  "\xe0\x9f\xbf", "\xed\xa0\x80",  "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "a\xc3",
        "\xe2\x82", "\xe2(\xa1", "\xe2\x82(",    "\xf0(\x8c\xbc", "\xf0\x90(\xbc",    "\xf0\x90\x80(",        "\xc3("};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_false(quote_is_utf8(BAD[i], strlen(BAD[i])));
}

static void test_quote__stops_at_the_buffers_maximum(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 5);
    quote_name("abc\n", 4, &out);
    assert_true(out.overflow);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quote__names_are_escaped_as_the_format_does),
        cmocka_unit_test(test_quote__texts_are_escaped_as_the_format_does),
        cmocka_unit_test(test_quote__names_come_back),
        cmocka_unit_test(test_quote__every_pair_of_bytes_comes_back),
        cmocka_unit_test(test_quote__unquote_takes_every_escape),
        cmocka_unit_test(test_quote__unquote_rejects_malformed_text),
        cmocka_unit_test(test_quote__printable_is_unicode_15),
        cmocka_unit_test(test_quote__table_has_every_printable_rune),
        cmocka_unit_test(test_quote__tells_utf8_from_other_bytes),
        cmocka_unit_test(test_quote__stops_at_the_buffers_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
