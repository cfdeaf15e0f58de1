/* What is held back: in memory, and in a nameless file that nobody can read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/resource.h>
#include "archive_place.h"
#include "sink/archive_sink_hold.h"
#include "sink/archive_sink_spool.h"

enum { BYTES = (1 << 20) + 4321 };

/* The descriptor of the nameless file in the directory. */
static int find_nameless(const char *dir)
{
    DIR *d = opendir("/proc/self/fd");
    int found = -1;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char target[512] = "";
        (void)!readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        if (strncmp(target, dir, strlen(dir)) == 0 && strstr(target, "(deleted)") != NULL)
            found = (int)strtol(e->d_name, NULL, 10);
    }
    closedir(d);
    assert_true(found >= 0);
    return found;
}

static struct archive_spool *filled(const char *dir, const unsigned char *data)
{
    struct err err = {0};
    struct archive_spool *s = archive_spool_new(dir, &err);
    assert_non_null(s);
    for (size_t at = 0; at < BYTES; at += 100000)
        assert_ok(archive_spool_write(s, data + at, BYTES - at < 100000 ? BYTES - at : 100000, &err), &err);
    assert_ok(archive_spool_rewind(s, &err), &err);
    return s;
}

static void test_spool__gives_back_what_nobody_else_can_read(void **state)
{
    (void)state;
    char *dir = scratch_make();
    unsigned char *data = mem_alloc(BYTES), *back = mem_alloc(BYTES), *file = mem_alloc(2 * BYTES);
    struct err err = {0};
    for (size_t i = 0; i < BYTES; i++)
        data[i] = (unsigned char)("secret="[i % 7]);
    struct archive_spool *s = filled(dir, data);
    ssize_t n = pread(find_nameless(dir), file, 2 * BYTES, 0);
    assert_true(n > 100 && n < BYTES / 10); /* it is compressed */
    assert_null(memmem(file, (size_t)n, "secret", 6));
    size_t done = 0;
    for (int64_t got; (got = archive_spool_read(s, back + done, 77777, &err)) != 0; done += (size_t)got)
        assert_true(got > 0 && done + (size_t)got <= BYTES);
    assert_int_equal(done, BYTES);
    assert_memory_equal(back, data, BYTES);
    archive_spool_free(s);
    archive_spool_free(NULL);
    free(shell(false, "test -z \"$(ls -A %s)\"", dir));
    free(data);
    free(back);
    free(file);
    scratch_remove(dir);
}

static void test_spool__notices_every_damage(void **state)
{
    (void)state;
    char *dir = scratch_make();
    unsigned char *data = mem_alloc(BYTES), *back = mem_alloc(BYTES);
    struct err err = {0};
    fill(data, BYTES, 3);
    for (int what = 0; what < 5; what++) {
        struct archive_spool *s = filled(dir, data);
        int fd = find_nameless(dir);
        unsigned char b[4];
        assert_int_equal(pread(fd, b, 4, 0), 4);
        if (what == 0) { /* a bit */
            b[0] = 0;
            (void)!pread(fd, b, 1, 5000);
            b[0] ^= 1;
            assert_int_equal(pwrite(fd, b, 1, 5000), 1);
        } else if (what == 1) { /* the end */
            assert_int_equal(ftruncate(fd, 300000), 0);
        } else if (what == 2) { /* a length too large */
            assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, 0), 4);
        } else if (what == 3) { /* too small */
            assert_int_equal(pwrite(fd, "\1\0\0\0", 4, 0), 4);
        } else { /* the second record in the first one's place */
            size_t len = 4 + (b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16);
            unsigned char *record = mem_alloc(len);
            assert_int_equal(pread(fd, record, len, (off_t)len), (ssize_t)len);
            assert_int_equal(pwrite(fd, record, len, 0), (ssize_t)len);
            free(record);
        }
        assert_int_equal(archive_spool_read(s, back, BYTES, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        archive_spool_free(s);
    }
    free(data);
    free(back);
    scratch_remove(dir);
}

static void test_spool__says_where_there_is_no_room(void **state)
{
    (void)state;
    struct err err = {0};
    char *dir = scratch_make();
    assert_null(archive_spool_new("/nowhere/at/all", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    struct archive_spool *s = archive_spool_new(dir, &err);
    struct rlimit was, low;
    getrlimit(RLIMIT_FSIZE, &was);
    low = was;
    low.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &low);
    unsigned char *data = mem_alloc(BYTES);
    fill(data, BYTES, 2);
    int rc = archive_spool_write(s, data, BYTES, &err);
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(rc, -1);
    assert_non_null(strstr(err.message, dir));
    free(data);
    archive_spool_free(s);
    scratch_remove(dir);
}

/* ---- the hold */

static const char *dir_of(void *ctx)
{
    return ctx;
}

static void test_hold__memory_then_spool(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct err err = {0};
    struct archive_hold *h = archive_hold_new(1000, dir_of, dir);
    unsigned char data[5000], back[5000];
    size_t room, count;
    fill(data, sizeof data, 9);
    for (int again = 0; again < 2; again++) {
        unsigned char *to = archive_hold_room(h, &room);
        assert_int_equal(room, 1000);
        memcpy(to, data, 10);
        archive_hold_added(h, 10);
        assert_true(archive_hold_hole(h, 1 << 20));
        assert_true(archive_hold_hole(h, 5));
        assert_ok(archive_hold_add(h, data + 10, 2000, &err), &err);
        assert_null(archive_hold_room(h, &room));
        assert_ok(archive_hold_add(h, data + 2010, 2990, &err), &err);
        assert_int_equal(archive_hold_size(h), 5000 + (1 << 20) + 5);
        assert_int_equal(archive_hold_hole_bytes(h), (1 << 20) + 5);
        const struct tar_segment *s = archive_hold_segments(h, &count);
        assert_int_equal(count, 2);
        assert_int_equal(s[0].bytes, 10);
        assert_int_equal(s[1].offset, (1 << 20) + 15);
        assert_int_equal(s[1].bytes, 4990);
        assert_ok(archive_hold_end(h, &err), &err);
        size_t done = 0;
        for (int64_t n; (n = archive_hold_take(h, back + done, 777, &err)) != 0; done += (size_t)n)
            assert_true(n > 0);
        assert_int_equal(done, 5000);
        assert_memory_equal(back, data, 5000);
        archive_hold_reset(h);
        assert_int_equal(archive_hold_size(h), 0);
    }
    archive_hold_free(h);
    archive_hold_free(NULL);
    scratch_remove(dir);
}

static void test_hold__has_no_place_for_more(void **state)
{
    (void)state;
    struct err err = {0};
    char nowhere[] = "/nowhere/at/all";
    struct archive_hold *h = archive_hold_new(10, dir_of, NULL);
    assert_int_equal(archive_hold_add(h, "0123456789a", 11, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    archive_hold_free(h);
    h = archive_hold_new(10, dir_of, nowhere);
    assert_int_equal(archive_hold_add(h, "0123456789a", 11, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    archive_hold_reset(h);
    size_t holes = 0;
    for (; archive_hold_hole(h, 1) && holes < 1 << 20; holes++)
        archive_hold_pass(h, 1);
    assert_true(holes >= 1000 && holes < 1 << 20);
    archive_hold_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spool__gives_back_what_nobody_else_can_read),
        cmocka_unit_test(test_spool__notices_every_damage),
        cmocka_unit_test(test_spool__says_where_there_is_no_room),
        cmocka_unit_test(test_hold__memory_then_spool),
        cmocka_unit_test(test_hold__has_no_place_for_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
