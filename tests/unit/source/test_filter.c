#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "os/clock.h"
#include "source/filter.h"

/* Patterns are separated by a space. */
static struct filter *make(const char *patterns, bool ignore_case)
{
    struct filter *f = filter_new();
    char *copy = mem_strdup(patterns), *rest = copy, *pattern;
    while ((pattern = strsep(&rest, " ")) != NULL)
        assert_int_equal(filter_add(f, pattern, ignore_case, NULL), 0);
    free(copy);
    return f;
}

/* Asks both ways: of the path, and of its last name within its directory. */
static bool matches(const struct filter *f, const char *path)
{
    bool whole = filter_match(f, path);
    const char *slash = strrchr(path, '/');
    if (slash != NULL && slash[1] != '\0') {
        struct filter_dir d = {0};
        char *dir = slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
        filter_dir_enter(&d, f, "/some/other/directory/before");
        filter_dir_enter(&d, f, dir);
        assert_int_equal(filter_dir_match(&d, slash + 1, strlen(slash + 1)), whole);
        assert_int_equal(filter_dir_match(&d, slash + 1, strlen(slash + 1)), whole);
        filter_dir_release(&d);
        free(dir);
    }
    return whole;
}

struct match_case {
    const char *patterns, *path;
    bool match;
};

static void check(const struct match_case *cases, size_t count, bool ignore_case)
{
    for (size_t i = 0; i < count; i++) {
        struct filter *f = make(cases[i].patterns, ignore_case);
        if (matches(f, cases[i].path) != cases[i].match)
            fail_msg("'%s' on '%s' should be %d", cases[i].patterns, cases[i].path, cases[i].match);
        filter_free(f);
    }
}
#define CHECK(cases, ignore_case) check(cases, sizeof(cases) / sizeof(cases)[0], ignore_case)

static void test_filter__matches_relative_patterns_at_any_depth(void **state)
{
    (void)state;
    static const struct match_case CASES[] = {
        {"*.pyc", "/home/u/x.pyc", true},
        {"*.pyc", "/home/u/x.pyc.txt", false},
        {"*.pyc", "/home/u.pyc/x", true},
        {"node_modules", "/a/node_modules", true},
        {"node_modules", "/a/node_modules/b/c", true},
        {"node_modules", "/a/node_modulesx", false},
        {"b/c", "/a/b/c/d", true},
        {"b/c", "/a/b/x/c", false},
        {"b/*", "/a/b", false},
        {"b/*", "/a/b/x", true},
        {"cache*", "/a/cache2", true},
        {"cache*", "/a/xcache", false},
        {"*", "/a", true},
        {"?", "/ab/cd", false},
        {"x.[ch]", "/a/x.h", true},
        {"x.[ch]", "/a/x.o", false},
        {"a/b/c/d/e", "/b/c/d/e", false},
        {"name", "relative/name", true},
    };
    CHECK(CASES, false);
}

static void test_filter__anchors_patterns_that_start_with_a_slash(void **state)
{
    (void)state;
    static const struct match_case CASES[] = {
        {"/foo", "/foo", true},    {"/foo", "/foo/bar", true},     {"/foo", "/bar/foo", false},
        {"/foo/*", "/foo", false}, {"/foo/*/x", "/foo/y/x", true}, {"/foo/*/x", "/foo/y/z/x", false},
        {"/*", "/anything", true}, {"/", "/anything", false},      {"/", "/", true},
        {"/foo", "foo", false},    {"/foo/*.c", "foo/x.c", false},
    };
    CHECK(CASES, false);
}

static void test_filter__lets_double_stars_span_directories(void **state)
{
    (void)state;
    static const struct match_case CASES[] = {
        {"/a/**/z", "/a/z", true},
        {"/a/**/z", "/a/b/c/z", true},
        {"/a/**/z", "/a/b/c/z/below", true},
        {"/a/**/z", "/b/z", false},
        {"a/**/b/**/c", "/x/a/1/b/2/3/c", true},
        {"a/**/b/**/c", "/x/a/1/2/3/c", false},
        {"/a/**", "/a/x/y", true},
        {"/a/**", "/a", true},
        {"/a/**", "/ab", false},
        {"**", "/x", true},
        {"**/x", "/x", true},
        {"**/x/*.o", "/a/b/x/y.o", true},
        {"**/x/*.o", "/a/b/x/z/y.o", false},
        {"a**b", "/axxb", true},
        {"a**b", "/a/b", false},
    };
    CHECK(CASES, false);
}

static void test_filter__cleans_patterns(void **state)
{
    (void)state;
    static const struct match_case CASES[] = {
        {"/foo//bar/", "/foo/bar", true},
        {"/foo/./bar", "/foo/bar", true},
        {"/foo/../bar", "/bar", true},
        {"/foo/../bar", "/foo/bar", false},
        {"/../bar", "/bar", true},
        {"a/b/../../c", "/x/c", true},
        {"../c", "/x/c", false},
        {"a/../../c", "/x/../c", true},
        {"./foo", "/x/foo", true},
        {"foo/", "/x/foo", true},
        {".", "/x", false},
    };
    CHECK(CASES, false);
}

static void test_filter__takes_matches_back(void **state)
{
    (void)state;
    static const struct match_case CASES[] = {
        {"/a/* !/a/keep", "/a/drop", true},
        {"/a/* !/a/keep", "/a/keep", false},
        {"/a/* !/a/keep", "/a/keep/below", false},
        {"/a/* !/a/keep /a/keep/*.o", "/a/keep/x.o", true},
        {"/a/* !/a/keep /a/keep/*.o", "/a/keep/x.c", false},
        {"!** *.go", "/x.go", true},
        {"*.go !**", "/x.go", false},
        {"!x", "/x", false},
    };
    CHECK(CASES, false);
}

static void test_filter__ignores_case_on_request(void **state)
{
    (void)state;
    static const struct match_case CASES[] = {
        {"*.JPG", "/a/x.jpg", true},
        {"*.jpg", "/a/X.JPG", true},
        {"/A/b", "/a/B/c", true},
        {"[A-C]x", "/BX", true},
        {"\xc3\x84rger", "/\xc3\xa4RGER", true},         /* Ärger */
        {"\xd0\x96", "/\xd0\xb6", true},                 /* Cyrillic */
        {"\xf0\x90\x90\x80", "/\xf0\x90\x90\xa8", true}, /* Deseret, four bytes */
        {"\xe1\xb8\x80", "/\xe1\xb8\x81", true},
        {"\xff", "/\xff", true},
        {"*.jpg", "/a/x.png", false},
    };
    CHECK(CASES, true);
    struct filter *f = make("*.JPG", false);
    assert_false(matches(f, "/x.jpg"));
    filter_free(f);
}

static void test_filter__keeps_the_two_case_rules_apart(void **state)
{
    (void)state;
    struct filter *f = make("secret", false);
    assert_int_equal(filter_add(f, "!secret", true, NULL), 0);
    assert_int_equal(filter_add(f, "*.tmp", true, NULL), 0);
    assert_true(matches(f, "/secret"));
    assert_true(matches(f, "/X.TMP"));
    assert_false(matches(f, "/SECRET"));
    filter_free(f);
}

static void test_filter__says_what_may_match_below(void **state)
{
    (void)state;
    static const struct match_case CASES[] = {
        {"x", "/any", true},
        {"/a/b/c", "/", true},
        {"/a/b/c", "/a", true},
        {"/a/b/c", "/a/b/c/d", true},
        {"/a/b/c", "/a/x", false},
        {"/a/*/c", "/a/x", true},
        {"/a/*/c", "/a/x/y", false},
        {"/a/**/c", "/a/x/y/z", true},
        {"/a/**/c", "/b", false},
        {"/a", "a", false},
        {"/a/* !/a/b", "/a/b", false},
        {"/a/* !/a/b", "/a", true},
        {"/a/* !/a/b /a/b/c", "/a/b", true},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct filter *f = make(CASES[i].patterns, false);
        if (filter_may_match_below(f, CASES[i].path) != CASES[i].match)
            fail_msg("'%s' below '%s' should be %d", CASES[i].patterns, CASES[i].path, CASES[i].match);
        filter_free(f);
    }
    struct filter *none = filter_new();
    assert_false(filter_may_match_below(none, "/"));
    assert_false(filter_may_match_below(none, "/a"));
    filter_free(none);
}

static void test_filter__names_a_malformed_pattern(void **state)
{
    (void)state;
    struct err err = {0};
    struct filter *f = filter_new();
    assert_int_equal(filter_add(f, "a/[b", false, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, "'a/[b'"));
    char *large = mem_alloc(70001);
    memset(large, 'x', 70000);
    large[70000] = '\0';
    assert_int_equal(filter_add(f, large, false, &err), -1);
    free(large);
    assert_true(filter_is_empty(f));
    assert_int_equal(filter_add(f, "", false, &err), 0);
    assert_true(filter_is_empty(f));
    assert_false(filter_match(f, "/x"));
    assert_int_equal(filter_add(f, "x", true, &err), 0);
    assert_false(filter_is_empty(f));
    assert_false(filter_match(f, ""));
    filter_free(f);
    filter_free(NULL);
}

static void test_filter__handles_deep_paths(void **state)
{
    (void)state;
    struct filter *f = make("/d/**/end needle", false);
    char *path = mem_alloc(4000);
    path[0] = '\0';
    for (int i = 0; i < 900; i++)
        memcpy(path + 2 * i, "/d", 3);
    assert_false(matches(f, path));
    memcpy(path + 1800, "/end", 5);
    assert_true(matches(f, path));
    memcpy(path + 1800, "/needle", 8);
    assert_true(matches(f, path));
    free(path);
    filter_free(f);
}

/* ---- pattern files */

static int add_text(struct filter *f, const char *text, size_t len, struct err *err)
{
    char path[] = "/tmp/clawback-source-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t)len);
    close(fd);
    int rc = filter_add_file(f, path, false, err);
    unlink(path);
    return rc;
}

static void test_filter__reads_a_pattern_file(void **state)
{
    (void)state;
    static const char TEXT[] = "\xef\xbb\xbf"
                               "# comment\n\n  *.o \t\r\n\n\t# another\n/with space/x\n!keep.o\nlast";
    struct filter *f = filter_new();
    struct err err;
    assert_int_equal(add_text(f, TEXT, strlen(TEXT), &err), 0);
    assert_true(matches(f, "/a.o"));
    assert_false(matches(f, "/keep.o"));
    assert_true(matches(f, "/with space/x"));
    assert_true(matches(f, "/last"));
    assert_false(matches(f, "/# comment"));
    filter_free(f);
}

static void test_filter__expands_variables_in_a_pattern_file(void **state)
{
    (void)state;
    setenv("CLAWBACK_TEST_DIR", "/base", 1);
    unsetenv("CLAWBACK_TEST_NONE");
    static const char TEXT[] =
        "$CLAWBACK_TEST_DIR/one\n${CLAWBACK_TEST_DIR}two\ncost$$5\nend$\nx${CLAWBACK_TEST_NONE}y\n"
        "a$1b\nq${open\nd$.e\n";
    struct filter *f = filter_new();
    struct err err;
    assert_int_equal(add_text(f, TEXT, strlen(TEXT), &err), 0);
    assert_true(matches(f, "/base/one"));
    assert_true(matches(f, "/basetwo"));
    assert_true(matches(f, "/cost$5"));
    assert_true(matches(f, "/end$"));
    assert_true(matches(f, "/xy"));
    assert_true(matches(f, "/ab"));
    assert_true(matches(f, "/qopen"));
    assert_true(matches(f, "/d$.e"));
    assert_false(matches(f, "/other"));
    filter_free(f);
}

static void test_filter__names_line_and_file_of_a_mistake(void **state)
{
    (void)state;
    struct filter *f = filter_new();
    struct err err;
    assert_int_equal(add_text(f, "good\n[bad\n", 10, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, "line 2"));
    assert_non_null(strstr(err.message, "pattern file"));
    assert_int_equal(add_text(f, "a\0b", 3, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(filter_add_file(f, "/nonexistent/patterns", false, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    filter_free(f);
}

static void test_filter__reads_patterns_from_standard_input(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDIN_FILENO);
    struct err err;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "*.x\n", 4), 4);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct filter *f = filter_new();
    int rc = filter_add_file(f, "-", false, &err);
    int dir = dup(saved); /* a descriptor that cannot be read from */
    close(STDIN_FILENO);
    int rc_closed = filter_add_file(f, "-", false, &err);
    dup2(saved, STDIN_FILENO);
    close(saved);
    close(dir);
    assert_int_equal(rc, 0);
    assert_int_equal(rc_closed, -1);
    assert_true(matches(f, "/a.x"));
    filter_free(f);
}

/* The bench's order of magnitude: far below a microsecond a name. Sanitizers cost some. */
static void test_filter__is_quick_within_a_directory(void **state)
{
    (void)state;
    struct filter *f = filter_new();
    for (int i = 0; i < 60; i++) {
        char pattern[64];
        snprintf(pattern, sizeof pattern, i % 3 == 0 ? "*.suffix%d" : i % 3 == 1 ? "literal%d" : "/rooted/at/%d", i);
        assert_int_equal(filter_add(f, pattern, false, NULL), 0);
    }
    struct filter_dir d = {0};
    uint64_t start = os_monotonic_ns();
    for (int dir = 0; dir < 1000; dir++) {
        filter_dir_enter(&d, f, "/usr/src/linux/drivers/net/ethernet");
        for (int i = 0; i < 15; i++)
            assert_false(filter_dir_match(&d, "some_source_file.c", 18));
    }
    assert_true(os_monotonic_ns() - start < 2000000000u);
    filter_dir_release(&d);
    filter_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter__matches_relative_patterns_at_any_depth),
        cmocka_unit_test(test_filter__anchors_patterns_that_start_with_a_slash),
        cmocka_unit_test(test_filter__lets_double_stars_span_directories),
        cmocka_unit_test(test_filter__cleans_patterns),
        cmocka_unit_test(test_filter__takes_matches_back),
        cmocka_unit_test(test_filter__ignores_case_on_request),
        cmocka_unit_test(test_filter__keeps_the_two_case_rules_apart),
        cmocka_unit_test(test_filter__says_what_may_match_below),
        cmocka_unit_test(test_filter__names_a_malformed_pattern),
        cmocka_unit_test(test_filter__handles_deep_paths),
        cmocka_unit_test(test_filter__reads_a_pattern_file),
        cmocka_unit_test(test_filter__expands_variables_in_a_pattern_file),
        cmocka_unit_test(test_filter__names_line_and_file_of_a_mistake),
        cmocka_unit_test(test_filter__reads_patterns_from_standard_input),
        cmocka_unit_test(test_filter__is_quick_within_a_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
