#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "os/pagecache.h"

/* A file of `bytes`, on disk and not in memory. /var/tmp, as /tmp may be in memory. */
struct file {
    int fd;
    size_t bytes;
};

static size_t cached_pages(const struct file *f, size_t from, size_t to)
{
    size_t pages = (f->bytes + 4095) / 4096, cached = 0;
    void *map = mmap(NULL, f->bytes, PROT_READ, MAP_SHARED, f->fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    unsigned char *answer = mem_alloc(pages);
    assert_int_equal(mincore(map, f->bytes, answer), 0);
    munmap(map, f->bytes);
    for (size_t i = from / 4096; i < pages && i < (to + 4095) / 4096; i++)
        cached += answer[i] & 1;
    free(answer);
    return cached;
}

static unsigned char byte_at(size_t at)
{
    return (unsigned char)(at * 7 + at / 4096);
}

static void drop_all(const struct file *f)
{
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void make_file(struct file *f, size_t bytes)
{
    char path[] = "/var/tmp/clawback-pagecache-XXXXXX";
    f->fd = mkstemp(path);
    f->bytes = bytes;
    assert_true(f->fd >= 0);
    unlink(path);
    unsigned char *p = mem_alloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        p[i] = byte_at(i);
    assert_int_equal(pwrite(f->fd, p, bytes, 0), (ssize_t)bytes);
    free(p);
    assert_int_equal(fsync(f->fd), 0);
    drop_all(f);
    if (cached_pages(f, 0, bytes) != 0) {
        close(f->fd);
        print_message("the page cache cannot be emptied here\n");
        skip();
    }
}

static void touch(const struct file *f, size_t from, size_t to)
{
    char c;
    assert_int_equal(posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM), 0); /* no reading ahead */
    for (size_t at = from; at < to; at += 4096)
        assert_int_equal(pread(f->fd, &c, 1, (off_t)at), 1);
    assert_int_equal(posix_fadvise(f->fd, 0, 0, POSIX_FADV_NORMAL), 0);
}

static void read_all(const struct file *f, size_t step)
{
    struct os_pagecache pc;
    unsigned char *p = mem_alloc(step);
    os_pagecache_begin(&pc, f->fd, f->bytes);
    for (size_t at = 0; at < f->bytes;) {
        ssize_t n = os_pagecache_read(&pc, p, step, at);
        size_t expected = f->bytes - at < step ? f->bytes - at : step;
        assert_int_equal(n, expected);
        for (size_t i = 0; i < expected; i += 97)
            assert_int_equal(p[i], byte_at(at + i));
        at += expected;
    }
    assert_int_equal(os_pagecache_read(&pc, p, step, f->bytes), 0);
    os_pagecache_end(&pc);
    os_pagecache_end(&pc);
    free(p);
}

enum { MB = 1 << 20 };
static const size_t SIZES[] = {1, 4096, 10000, 131072, 131073, 3 * MB, 33 * MB, 70 * MB + 5};

/*
 * The kernel drops and keeps pages of its own accord: a page that is still being read cannot be dropped, and a read
 * that doesn't wait finds what was fetched in the moment it looked. What counts is that we leave no trace: one attempt
 * of ten in which the kernel did nothing on the side shows it; a fault of ours shows in all ten.
 */
static bool once_of_ten(bool (*attempt)(size_t bytes), size_t bytes)
{
    for (int i = 0; i < 10; i++) {
        if (attempt(bytes))
            return true;
    }
    return false;
}

static bool leaves_nothing(size_t bytes)
{
    struct file f;
    make_file(&f, bytes);
    read_all(&f, bytes < MB ? 5000 : 3 * MB);
    bool nothing = cached_pages(&f, 0, f.bytes) == 0;
    close(f.fd);
    return nothing;
}

static void test_pagecache__leaves_nothing_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++)
        assert_true(once_of_ten(leaves_nothing, SIZES[i]));
}

static bool keeps_all(size_t bytes)
{
    struct file f;
    make_file(&f, bytes);
    touch(&f, 0, f.bytes);
    size_t before = cached_pages(&f, 0, f.bytes);
    read_all(&f, MB);
    bool kept = before == (f.bytes + 4095) / 4096 && cached_pages(&f, 0, f.bytes) == before;
    close(f.fd);
    return kept;
}

static void test_pagecache__keeps_what_was_cached(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++)
        assert_true(once_of_ten(keeps_all, SIZES[i]));
}

static bool tells_megabytes_apart(size_t bytes)
{
    struct file f;
    make_file(&f, bytes);
    touch(&f, 8 * MB, 9 * MB);
    touch(&f, 35 * MB, 36 * MB);
    read_all(&f, MB);
    bool told = cached_pages(&f, 8 * MB, 9 * MB) == 256 && cached_pages(&f, 35 * MB, 36 * MB) == 256 &&
                cached_pages(&f, 0, f.bytes) == 512;
    close(f.fd);
    return told;
}

static bool tells_a_beginning(size_t bytes)
{
    struct file f;
    make_file(&f, bytes);
    touch(&f, 0, 40960);
    read_all(&f, bytes);
    bool told = cached_pages(&f, 0, 40960) == 10 && cached_pages(&f, 0, f.bytes) == 10;
    close(f.fd);
    return told;
}

static void test_pagecache__tells_cached_parts_from_others(void **state)
{
    (void)state;
    assert_true(once_of_ten(tells_megabytes_apart, 40 * MB));
    assert_true(once_of_ten(tells_a_beginning, 100000));
}

static bool follows_jumps(size_t bytes)
{
    struct file f;
    make_file(&f, bytes);
    struct os_pagecache pc;
    unsigned char p[4096];
    os_pagecache_begin(&pc, f.fd, f.bytes);
    assert_int_equal(os_pagecache_read(&pc, p, sizeof p, 0), sizeof p);
    assert_int_equal(os_pagecache_read(&pc, p, sizeof p, 130 * (uint64_t)MB), sizeof p);
    assert_int_equal(os_pagecache_read(&pc, p, sizeof p, 40 * (uint64_t)MB), sizeof p);
    os_pagecache_end(&pc);
    bool nothing = cached_pages(&f, 0, f.bytes) == 0;
    close(f.fd);
    return nothing;
}

static void test_pagecache__follows_jumps(void **state)
{
    (void)state;
    assert_true(once_of_ten(follows_jumps, 140 * MB));
}

static void test_pagecache__reads_what_cannot_be_asked(void **state)
{
    (void)state;
    struct os_pagecache pc;
    char p[4096];
    int fd = open("/proc/version", O_RDONLY);
    os_pagecache_begin(&pc, fd, 0);
    assert_true(os_pagecache_read(&pc, p, sizeof p, 0) > 10);
    os_pagecache_end(&pc);
    close(fd);
    fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    os_pagecache_begin(&pc, fd, 100);
    assert_int_equal(os_pagecache_read(&pc, p, 100, 0), -1);
    os_pagecache_end(&pc);
    os_pagecache_begin(&pc, fd, MB);
    assert_int_equal(os_pagecache_read(&pc, p, 100, 0), -1);
    os_pagecache_end(&pc);
    close(fd);
}

static void test_pagecache__stops_where_a_file_was_cut(void **state)
{
    (void)state;
    struct file f;
    unsigned char *p = mem_alloc(MB);
    make_file(&f, 200000);
    struct os_pagecache pc;
    os_pagecache_begin(&pc, f.fd, 300000);
    assert_int_equal(os_pagecache_read(&pc, p, MB, 0), 200000);
    os_pagecache_end(&pc);
    os_pagecache_begin(&pc, f.fd, 100000);
    assert_int_equal(ftruncate(f.fd, 50000), 0);
    assert_int_equal(os_pagecache_read(&pc, p, 100000, 0), 50000);
    os_pagecache_end(&pc);
    close(f.fd);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pagecache__leaves_nothing_behind),
        cmocka_unit_test(test_pagecache__keeps_what_was_cached),
        cmocka_unit_test(test_pagecache__tells_cached_parts_from_others),
        cmocka_unit_test(test_pagecache__follows_jumps),
        cmocka_unit_test(test_pagecache__reads_what_cannot_be_asked),
        cmocka_unit_test(test_pagecache__stops_where_a_file_was_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
