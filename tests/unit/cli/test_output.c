#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"

static void test_output__durations_and_counts_for_people(void **state)
{
    (void)state;
    char d[32];
    assert_string_equal(cli_duration(0, d), "0 ms");
    assert_string_equal(cli_duration(999999999, d), "999 ms");
    assert_string_equal(cli_duration(4260000000, d), "4.2 s");
    assert_string_equal(cli_duration(62000000000, d), "1m 02s");
    assert_string_equal(cli_duration(3723000000000, d), "1h 02m 03s");
    assert_string_equal(cli_count(7, d), "7");
    assert_string_equal(cli_count(999, d), "999");
    assert_string_equal(cli_count(78412, d), "78,412");
    assert_string_equal(cli_count(UINT64_MAX, d), "18,446,744,073,709,551,615");
}

static void test_output__printable_escapes_what_could_mislead(void **state)
{
    (void)state;
    char out[128];
    assert_string_equal(cli_printable("/home/Jörg/日本.txt", out, sizeof out), "/home/Jörg/日本.txt");
    assert_string_equal(cli_printable("a\nb\tc\033[31md\x7f", out, sizeof out), "a\\nb\\tc\\x1b[31md\\x7f");
    assert_string_equal(cli_printable("\xff\xc3(", out, sizeof out), "\\xff\\xc3(");
    assert_string_equal(cli_printable("x\xe2\x80\xae"
                                      "fdp.exe\xc2\x85",
                                      out, sizeof out),
                        "x\\u202efdp.exe\\u0085");
    assert_string_equal(cli_printable("\xf3\xa0\x80\x81", out, sizeof out), "\\U000e0001");
}

static void test_output__printable_never_cuts_a_character(void **state)
{
    (void)state;
    char out[8];
    assert_string_equal(cli_printable("abcdeöö", out, sizeof out), "abcdeö");
    assert_string_equal(cli_printable("abcde\n\n", out, sizeof out), "abcde\\n");
    assert_string_equal(cli_printable("abcdef\n", out, sizeof out), "abcdef");
    out[0] = 'x';
    cli_printable("a", out, 0);
    assert_int_equal(out[0], 'x');
}

static void test_output__utf8_is_decoded_strictly(void **state)
{
    (void)state;
    uint32_t rune;
    assert_int_equal(text_decode("\xe2\x82\xac", 3, &rune), 3);
    assert_int_equal(rune, 0x20ac);
    static const char *const BAD[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80",
                                      "\xe2\x82",     "\xe2(\xac"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(text_decode(BAD[i], strlen(BAD[i]), &rune), 0);
    assert_int_equal(text_decode("", 0, &rune), 0);
}

static void test_output__columns_of_wide_and_combining_characters(void **state)
{
    (void)state;
    assert_int_equal(cli_text_columns("abc"), 3);
    assert_int_equal(cli_text_columns("日本"), 4);
    assert_int_equal(cli_text_columns("e\xcc\x81"), 1);
    assert_int_equal(cli_text_columns("\xff"), 1);
}

static void test_output__cutting_keeps_the_wanted_end(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t columns;
        bool keep_end;
        const char *expected;
    } CASES[] = {
        {"/usr/lib/x", 10, false, "/usr/lib/x"},
        {"/usr/lib/x", 6, false, "/usr/…"},
        {"/usr/lib/x", 6, true, "…lib/x"},
        {"日本語日本語", 7, false, "日本語…"},
        {"日本語日本語", 6, true, "…本語"},
        {"abc", 0, false, ""},
        {"abcd", 3, false, "ab."},
        {"abcd", 3, true, ".cd"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", CASES[i].text);
        cli_text_cut(text, CASES[i].columns, CASES[i].keep_end);
        assert_string_equal(text, CASES[i].expected);
        assert_true(cli_text_columns(text) <= CASES[i].columns);
    }
}

static void test_output__paragraphs_are_filled(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    const char *text = "one two  three\nfour a-very-long-word-indeed five";
    text_fill(&out, text, strlen(text), 4, 2, 14);
    assert_string_equal(buf_cstr(&out), "one two\n  three four\n  a-very-long-word-indeed\n  five");
    buf_release(&out);
}

static void test_output__tables_are_aligned(void **state)
{
    (void)state;
    struct cli_table *t = cli_table_new((const char *const[]){"ID", "Tags", ">Size", NULL});
    cli_table_row(t, (const char *const[]){"aa", "日本\nb", "5 B"});
    cli_table_row(t, (const char *const[]){"b\x1b", NULL, "1,000 B"});
    cli_table_row(t, (const char *const[]){"c", "x", NULL});
    struct buf out;
    buf_init(&out, 10000);
    cli_table_render(t, "2 rows", &out);
    assert_string_equal(buf_cstr(&out), "ID     Tags     Size\n"
                                        "--------------------\n"
                                        "aa     日本      5 B\n"
                                        "       b\n"
                                        "b\\x1b        1,000 B\n"
                                        "c      x\n"
                                        "--------------------\n"
                                        "2 rows\n");
    buf_release(&out);
    cli_table_free(t);
    cli_table_free(NULL);
}

static void test_output__json_takes_any_bytes(void **state)
{
    (void)state;
    json_t *good = cli_json_string("a\0b", 3), *bad = cli_json_string("x\xff\xe2\x82y", 5);
    assert_int_equal(json_string_length(good), 3);
    assert_string_equal(json_string_value(bad), "x\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdy");
    json_decref(good);
    json_decref(bad);
    struct timespec t = {.tv_sec = 1700000000, .tv_nsec = 120000000};
    json_t *when = cli_json_time(&t);
    assert_string_equal(json_string_value(when), "2023-11-14T22:13:20.12Z");
    json_decref(when);
    struct id id = {.bytes = {0xab}};
    json_t *name = cli_json_id(&id);
    assert_int_equal(json_string_length(name), 64);
    assert_memory_equal(json_string_value(name), "ab00", 4);
    json_decref(name);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output__durations_and_counts_for_people),
        cmocka_unit_test(test_output__printable_escapes_what_could_mislead),
        cmocka_unit_test(test_output__printable_never_cuts_a_character),
        cmocka_unit_test(test_output__utf8_is_decoded_strictly),
        cmocka_unit_test(test_output__columns_of_wide_and_combining_characters),
        cmocka_unit_test(test_output__cutting_keeps_the_wanted_end),
        cmocka_unit_test(test_output__paragraphs_are_filled),
        cmocka_unit_test(test_output__tables_are_aligned),
        cmocka_unit_test(test_output__json_takes_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
