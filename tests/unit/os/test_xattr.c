#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/open.h"
#include "os/xattr.h"

struct fixture {
    char file[64], link[64];
    struct arena arena;
    bool supported;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    snprintf(f->file, sizeof f->file, "/tmp/clawback-xattr-XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    f->supported = fsetxattr(fd, "user.probe", "x", 1, 0) == 0 && fremovexattr(fd, "user.probe") == 0;
    close(fd);
    snprintf(f->link, sizeof f->link, "%s.link", f->file);
    assert_int_equal(symlink(f->file, f->link), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->file);
    unlink(f->link);
    arena_release(&f->arena);
    free(f);
    return 0;
}

static void need_support(const struct fixture *f)
{
    if (!f->supported) {
        print_message("no extended attributes here\n");
        skip();
    }
}

static const struct os_xattr *find(const struct os_xattr *all, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            return &all[i];
    fail_msg("no attribute %s", name);
    return NULL;
}

static void test_xattr__none_is_no_error(void **state)
{
    struct fixture *f = *state;
    struct os_xattr *all;
    size_t count = 7;
    assert_int_equal(os_xattr_read(f->file, false, &f->arena, &all, &count, NULL), 0);
    assert_int_equal(count, 0);
    assert_int_equal(os_xattr_read("/proc/version", false, &f->arena, &all, &count, NULL), 0);
    assert_int_equal(count, 0);
}

static void test_xattr__reads_values_of_all_sizes(void **state)
{
    struct fixture *f = *state;
    need_support(f);
    char large[3000];
    memset(large, 'L', sizeof large);
    assert_int_equal(setxattr(f->file, "user.empty", "", 0, 0), 0);
    assert_int_equal(setxattr(f->file, "user.binary", "a\0b", 3, 0), 0);
    if (setxattr(f->file, "user.large", large, sizeof large, 0) != 0)
        memset(large, 0, 1); /* the file system has no room for it */
    struct os_xattr *all;
    size_t count;
    assert_int_equal(os_xattr_read(f->file, false, &f->arena, &all, &count, NULL), 0);
    assert_int_equal(count, large[0] == 'L' ? 3 : 2);
    assert_int_equal(find(all, count, "user.empty")->size, 0);
    assert_non_null(find(all, count, "user.empty")->value);
    assert_memory_equal(find(all, count, "user.binary")->value, "a\0b", 3);
    if (large[0] == 'L') {
        assert_int_equal(find(all, count, "user.large")->size, sizeof large);
        assert_memory_equal(find(all, count, "user.large")->value, large, sizeof large);
    }
}

static void test_xattr__reads_long_lists_in_the_kernels_order(void **state)
{
    struct fixture *f = *state;
    need_support(f);
    char name[256], names[65536];
    unsigned made = 0;
    for (; made < 30; made++) {
        snprintf(name, sizeof name, "user.%0100u", made);
        if (setxattr(f->file, name, "v", 1, 0) != 0)
            break;
    }
    struct os_xattr *all;
    size_t count;
    assert_int_equal(os_xattr_read(f->file, false, &f->arena, &all, &count, NULL), 0);
    assert_int_equal(count, made);
    ssize_t len = listxattr(f->file, names, sizeof names);
    assert_true(len > 0);
    const char *s = names;
    for (size_t i = 0; i < count; i++, s += strlen(s) + 1)
        assert_string_equal(all[i].name, s);
}

static void test_xattr__follows_symlinks_on_request_only(void **state)
{
    struct fixture *f = *state;
    need_support(f);
    assert_int_equal(setxattr(f->file, "user.a", "1", 1, 0), 0);
    struct os_xattr *all;
    size_t count;
    assert_int_equal(os_xattr_read(f->link, true, &f->arena, &all, &count, NULL), 0);
    assert_int_equal(count, 1);
    assert_int_equal(os_xattr_read(f->link, false, &f->arena, &all, &count, NULL), 0);
    assert_int_equal(count, 0);
}

static void test_xattr__reads_along_a_path_that_is_too_long_to_name(void **state)
{
    struct fixture *f = *state;
    need_support(f);
    assert_int_equal(setxattr(f->file, "user.a", "1", 1, 0), 0);
    char *path = mem_alloc(9000);
    size_t at = 0;
    for (; at < 8000; at += 5)
        memcpy(path + at, at == 0 ? "/tmp/" : "././/", 5);
    snprintf(path + at, 9000 - at, "%s", f->file + 5);
    struct os_xattr *all;
    size_t count;
    assert_int_equal(os_xattr_read(path, false, &f->arena, &all, &count, NULL), 0);
    assert_int_equal(count, 1);
    snprintf(path + at, 9000 - at, "%s", "nothing-of-that-name");
    struct err err;
    assert_int_equal(os_xattr_read(path, false, &f->arena, &all, &count, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    free(path);
}

static void test_xattr__says_what_is_missing(void **state)
{
    struct fixture *f = *state;
    struct os_xattr *all;
    size_t count;
    struct err err;
    assert_int_equal(os_xattr_read("/nonexistent/file", false, &f->arena, &all, &count, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(count, 0);
}

static void test_open__walks_long_paths_and_names_what_fails(void **state)
{
    (void)state;
    char *path = mem_alloc(20000);
    memset(path, 'x', 10000);
    path[0] = '/';
    path[10000] = '\0';
    assert_int_equal(os_open(path, O_RDONLY), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    for (size_t i = 0; i < 10000; i += 2)
        memcpy(path + i, "/.", 2);
    int fd = os_open(path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
    memcpy(path + 2000, "/y", 2);
    assert_int_equal(os_open(path, O_RDONLY), -1);
    assert_int_equal(errno, ENOENT);
    memcpy(path + 2000, "/.", 2);
    memcpy(path + 6000, "/y", 2); /* in the second piece */
    assert_int_equal(os_open(path, O_RDONLY), -1);
    assert_int_equal(errno, ENOENT);
    free(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_xattr__none_is_no_error),
        TEST(test_xattr__reads_values_of_all_sizes),
        TEST(test_xattr__reads_long_lists_in_the_kernels_order),
        TEST(test_xattr__follows_symlinks_on_request_only),
        TEST(test_xattr__reads_along_a_path_that_is_too_long_to_name),
        TEST(test_xattr__says_what_is_missing),
        TEST(test_open__walks_long_paths_and_names_what_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
