/* Files, clocks, the pool. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/memory.h"
#include "os/pool.h"

static void test_memory__what_is_discarded_is_whole_pages_of_it_only(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20 };
    unsigned char *p = mem_alloc(BYTES);
    memset(p, 7, BYTES);
    os_memory_discard(p + 5000, BYTES - 10001);
    for (size_t i = 0; i < BYTES; i++)
        if (i < 5000 || i >= BYTES - 5001)
            assert_int_equal(p[i], 7);
    os_memory_discard(p + 10, 20); /* no whole page */
    assert_int_equal(p[15], 7);
    memset(p, 8, BYTES);
    assert_int_equal(p[BYTES / 2], 8);
    free(p);
}

static void test_time__both_ways(void **state)
{
    (void)state;
    static const struct {
        int64_t s;
        long ns;
        const char *text;
    } cases[] = {
        {0, 0, "1970-01-01T00:00:00Z"},
        {951782400, 0, "2000-02-29T00:00:00Z"},
        {1700000000, 123456789, "2023-11-14T22:13:20.123456789Z"},
        {1700000000, 500000000, "2023-11-14T22:13:20.5Z"},
        {-1, 0, "1969-12-31T23:59:59Z"},
        {-62167219200, 0, "0000-01-01T00:00:00Z"},
        {253402300799, 999000000, "9999-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct timespec t = {cases[i].s, cases[i].ns}, back;
        char out[OS_TIME_BYTES];
        size_t len = os_time_format(&t, out);
        assert_string_equal(out, cases[i].text);
        assert_int_equal(len, strlen(out));
        assert_int_equal(os_time_parse(out, len, &back), 0);
        assert_true(back.tv_sec == t.tv_sec && back.tv_nsec == t.tv_nsec);
    }
}

static void test_time_parse__takes_any_offset_and_refuses_the_rest(void **state)
{
    (void)state;
    struct timespec t;
    const char *text = "2023-11-15T00:13:20.25+02:00";
    assert_int_equal(os_time_parse(text, strlen(text), &t), 0);
    assert_true(t.tv_sec == 1700000000 && t.tv_nsec == 250000000);
    static const char *const bad[] = {"",
                                      "2023",
                                      "2023-11-15 00:13:20Z",
                                      "2023-13-15T00:13:20Z",
                                      "2023-11-15T00:13:20",
                                      "2023-11-15T00:13:20Zx",
                                      "2023-11-15T00:13:20+0200",
                                      "2023-11-15T24:13:20Z"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(os_time_parse(bad[i], strlen(bad[i]), &t), -1);
}

static void test_time_format__clamps_years(void **state)
{
    (void)state;
    char out[OS_TIME_BYTES];
    struct timespec t = {400000000000, 0};
    os_time_format(&t, out);
    assert_memory_equal(out, "9999-", 5);
    t.tv_sec = -100000000000;
    os_time_format(&t, out);
    assert_memory_equal(out, "0000-", 5);
}

static void test_path_absolute__is_lexically_clean(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"/", "/"},      {"//a//b/", "/a/b"}, {"/a/./b/../c", "/a/c"},
                                           {"/../..", "/"}, {"/a/b/../..", "/"}, {"/a/..b/...", "/a/..b/..."}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *p = os_path_absolute(cases[i][0]);
        assert_string_equal(p, cases[i][1]);
        free(p);
    }
    char *cwd = getcwd(NULL, 0), *here = os_path_absolute(".");
    assert_string_equal(cwd, here);
    free(cwd);
    free(here);
}

static void test_path_expand_home__expands_only_our_own(void **state)
{
    (void)state;
    setenv("HOME", "/h", 1);
    static const char *const cases[][2] = {{"~", "/h"}, {"~/x", "/h/x"}, {"~other/x", "~other/x"}, {"/~", "/~"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *p = os_path_expand_home(cases[i][0]);
        assert_string_equal(p, cases[i][1]);
        free(p);
    }
}

static size_t entries_in(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(dir);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static void test_write_file_atomic__replaces_and_leaves_nothing_else(void **state)
{
    (void)state;
    struct err err;
    struct stat st;
    struct buf b;
    char dir[] = "/tmp/clawback-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *deep = os_path_join(dir, "a/b"), *path = os_path_join(deep, "file");
    assert_int_equal(os_make_dirs(deep, 0700, &err), 0);
    assert_int_equal(os_make_dirs(deep, 0700, &err), 0);
    assert_int_equal(os_write_file_atomic(path, "one", 3, 0640, &err), 0);
    assert_int_equal(os_write_file_atomic(path, "second", 6, 0600, &err), 0);
    assert_int_equal(entries_in(deep), 1);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    buf_init(&b, 6);
    assert_int_equal(os_read_file(path, &b, &err), -1); /* no room to see the end: too large */
    buf_release(&b);
    buf_init(&b, 100);
    assert_int_equal(os_read_file(path, &b, &err), 0);
    assert_string_equal(buf_cstr(&b), "second");
    buf_release(&b);
    assert_int_equal(os_write_file_atomic("/nonexistent/x", "", 0, 0600, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(os_make_dirs(path, 0700, &err), -1); /* a file is in the way */
    unlink(path);
    rmdir(deep);
    free(path);
    free(deep);
    deep = os_path_join(dir, "a");
    rmdir(deep);
    free(deep);
    rmdir(dir);
}

struct counter {
    _Atomic int n;
};

static void add_one(void *arg, unsigned worker)
{
    struct counter *c = arg;
    (void)worker;
    atomic_fetch_add(&c->n, 1);
}

static void test_pool__runs_every_task(void **state)
{
    (void)state;
    struct counter count = {0};
    struct pool *p = pool_new(4, 8);
    assert_int_equal(pool_size(p), 4);
    for (int i = 0; i < 10000; i++)
        pool_submit(p, add_one, &count);
    pool_wait(p);
    assert_int_equal(count.n, 10000);
    int tried = 0;
    for (int i = 0; i < 1000; i++)
        tried += pool_try_submit(p, add_one, &count);
    pool_free(p);
    assert_int_equal(count.n, 10000 + tried);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__what_is_discarded_is_whole_pages_of_it_only),
        cmocka_unit_test(test_time__both_ways),
        cmocka_unit_test(test_time_parse__takes_any_offset_and_refuses_the_rest),
        cmocka_unit_test(test_time_format__clamps_years),
        cmocka_unit_test(test_path_absolute__is_lexically_clean),
        cmocka_unit_test(test_path_expand_home__expands_only_our_own),
        cmocka_unit_test(test_write_file_atomic__replaces_and_leaves_nothing_else),
        cmocka_unit_test(test_pool__runs_every_task),
    };
    return cmocka_run_group_tests_name("os", tests, NULL, NULL);
}
