#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "source/glob.h"

static bool match(const char *pattern, const char *name)
{
    return glob_match(pattern, strlen(pattern), name, strlen(name));
}

static void test_glob__matches_stars_and_question_marks(void **state)
{
    (void)state;
    assert_true(match("", ""));
    assert_false(match("", "a"));
    assert_true(match("*", ""));
    assert_true(match("**", "anything"));
    assert_true(match("a*b*c", "a-b-b-c"));
    assert_false(match("a*b*c", "a-b-b-cd"));
    assert_true(match("*.tar.*", "x.tar.tar.gz"));
    assert_true(match("?x", "\xc3\xa4x"));
    assert_false(match("??x", "\xc3\xa4x"));
    assert_true(match("??", "\xff\xfe"));
    assert_false(match("?", ""));
    assert_false(match("*?", ""));
}

static void test_glob__matches_sets(void **state)
{
    (void)state;
    assert_true(match("[a-c]x", "bx"));
    assert_false(match("[a-c]x", "dx"));
    assert_true(match("[^a-c]", "d"));
    assert_false(match("[^a-c]", "a"));
    assert_true(match("[\\]]", "]"));
    assert_true(match("[\\-x]", "-"));
    assert_true(match("[!a]", "!"));
    assert_true(match("[\xc3\xa4-\xc3\xbc]", "\xc3\xb6"));
    assert_false(match("[a]", ""));
    assert_true(match("*[0-9].log", "x7.7.log"));
    assert_true(match("[z-a]", "b") == false);
}

static void test_glob__takes_escaped_bytes_literally(void **state)
{
    (void)state;
    assert_true(match("\\*", "*"));
    assert_false(match("\\*", "x"));
    assert_true(match("a\\[b", "a[b"));
    assert_true(match("\\\\", "\\"));
    assert_true(match("a]", "a]"));
}

static void test_glob__rejects_malformed_patterns(void **state)
{
    (void)state;
    static const char *const BAD[] = {"[",    "[]",  "[^]", "[a",   "[a-",    "[a-]", "[-a]",
                                      "[]a]", "a\\", "[\\", "[a\\", "[\xff]", "x*[",  "[a-\xff]"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_false(glob_is_valid(BAD[i], strlen(BAD[i])));
    static const char *const GOOD[] = {"", "*", "a]", "[a]", "[^a]", "[a-z0-9_]", "\\[", "[\\]]", "\xff"};
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++)
        assert_true(glob_is_valid(GOOD[i], strlen(GOOD[i])));
}

static void test_glob__decodes_utf8_strictly(void **state)
{
    (void)state;
    uint32_t rune;
    assert_int_equal(glob_decode("\xf0\x9f\x98\x80", 4, &rune), 4);
    assert_int_equal(rune, 0x1F600);
    assert_int_equal(glob_decode("\xe2\x82\xac", 3, &rune), 3);
    assert_int_equal(rune, 0x20AC);
    static const char *const BAD[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc3",
                                      "\xc3x",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(glob_decode(BAD[i], strlen(BAD[i]), &rune), 1);
        assert_int_equal(rune, 0xFFFD);
    }
}

/* Backtracking must not explode. */
static void test_glob__is_quick_on_many_stars(void **state)
{
    (void)state;
    char name[4096];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_false(match("*a*a*a*a*a*a*a*a*a*a*a*a*b", name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob__matches_stars_and_question_marks),
        cmocka_unit_test(test_glob__matches_sets),
        cmocka_unit_test(test_glob__takes_escaped_bytes_literally),
        cmocka_unit_test(test_glob__rejects_malformed_patterns),
        cmocka_unit_test(test_glob__decodes_utf8_strictly),
        cmocka_unit_test(test_glob__is_quick_on_many_stars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
