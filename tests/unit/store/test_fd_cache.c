#include "store/fd_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

/* Stands for a directory full of packs: every open gives a descriptor of its own. */
static unsigned opened;

static int open_one(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    opened++;
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int open_nothing(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    errno = ENOENT;
    return -1;
}

static const char *name_of(unsigned i, char out[ID_HEX_BYTES])
{
    snprintf(out, ID_HEX_BYTES, "%064x", i);
    return out;
}

#define NAME(i) name_of(i, (char[ID_HEX_BYTES]){0})

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_fd_cache__opens_once(void **state)
{
    (void)state;
    struct fd_cache *c = fd_cache_new();
    opened = 0;
    int a = fd_cache_acquire(c, NAME(1), open_one, NULL);
    int b = fd_cache_acquire(c, NAME(1), open_one, NULL);
    assert_int_equal(a, b);
    fd_cache_release(c, a);
    fd_cache_release(c, b);
    assert_int_equal(fd_cache_acquire(c, NAME(1), open_one, NULL), a);
    fd_cache_release(c, a);
    assert_int_equal(opened, 1);
    fd_cache_free(c);
    assert_false(is_open(a));
    fd_cache_free(NULL);
}

static void test_fd_cache__passes_on_why_it_cannot_open(void **state)
{
    (void)state;
    struct fd_cache *c = fd_cache_new();
    assert_int_equal(fd_cache_acquire(c, NAME(1), open_nothing, NULL), -1);
    assert_int_equal(errno, ENOENT);
    fd_cache_free(c);
}

static void test_fd_cache__closes_the_least_recently_used(void **state)
{
    (void)state;
    struct fd_cache *c = fd_cache_new();
    for (unsigned i = 0; i < FD_CACHE_SLOTS; i++)
        fd_cache_release(c, fd_cache_acquire(c, NAME(i), open_one, NULL));
    opened = 0;
    fd_cache_release(c, fd_cache_acquire(c, NAME(0), open_one, NULL)); /* 1 is the oldest now */
    fd_cache_release(c, fd_cache_acquire(c, NAME(100), open_one, NULL));
    assert_int_equal(opened, 1);
    fd_cache_release(c, fd_cache_acquire(c, NAME(0), open_one, NULL));
    assert_int_equal(opened, 1);
    fd_cache_release(c, fd_cache_acquire(c, NAME(1), open_one, NULL));
    assert_int_equal(opened, 2);
    fd_cache_free(c);
}

static void test_fd_cache__serves_more_at_once_than_it_has_slots(void **state)
{
    (void)state;
    enum { MANY = FD_CACHE_SLOTS + 5 };
    struct fd_cache *c = fd_cache_new();
    int fds[MANY];
    for (unsigned i = 0; i < MANY; i++)
        fds[i] = fd_cache_acquire(c, NAME(i), open_one, NULL);
    for (unsigned i = 0; i < MANY; i++)
        assert_true(is_open(fds[i]));
    for (unsigned i = 0; i < MANY; i++) {
        fd_cache_release(c, fds[i]);
        assert_int_equal(is_open(fds[i]), i < FD_CACHE_SLOTS);
    }
    fd_cache_free(c);
}

static void test_fd_cache__dropped_name_is_opened_anew(void **state)
{
    (void)state;
    struct fd_cache *c = fd_cache_new();
    opened = 0;
    int held = fd_cache_acquire(c, NAME(1), open_one, NULL);
    fd_cache_drop(c, NAME(1));
    assert_true(is_open(held));
    int fresh = fd_cache_acquire(c, NAME(1), open_one, NULL);
    assert_int_not_equal(fresh, held);
    assert_int_equal(opened, 2);
    fd_cache_release(c, held);
    assert_false(is_open(held));
    fd_cache_release(c, fresh);
    assert_true(is_open(fresh));
    fd_cache_drop(c, NAME(1));
    assert_false(is_open(fresh));
    fd_cache_drop(c, NAME(2));
    fd_cache_free(c);
}

/* While one thread opens, another gets there first: simulated by an open function that does the other's work. */
static int open_slowly(void *ctx, const char *name)
{
    int other = fd_cache_acquire(ctx, name, open_one, NULL);
    fd_cache_release(ctx, other);
    return open_one(NULL, name);
}

static void test_fd_cache__keeps_one_of_two_that_opened_at_once(void **state)
{
    (void)state;
    struct fd_cache *c = fd_cache_new();
    opened = 0;
    int a = fd_cache_acquire(c, NAME(1), open_slowly, c);
    int b = fd_cache_acquire(c, NAME(1), open_one, NULL);
    assert_int_equal(opened, 2);
    assert_int_equal(a, b);
    fd_cache_release(c, a);
    fd_cache_release(c, b);
    fd_cache_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fd_cache__opens_once),
        cmocka_unit_test(test_fd_cache__passes_on_why_it_cannot_open),
        cmocka_unit_test(test_fd_cache__closes_the_least_recently_used),
        cmocka_unit_test(test_fd_cache__serves_more_at_once_than_it_has_slots),
        cmocka_unit_test(test_fd_cache__dropped_name_is_opened_anew),
        cmocka_unit_test(test_fd_cache__keeps_one_of_two_that_opened_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
