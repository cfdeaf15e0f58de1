/* Archives as files: names, times, what is the newest, what goes when one is removed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/file.h>
#include <utime.h>
#include "archive_place.h"
#include "os/clock.h"
#include "sink/archive_file.h"

/* As on FAT: in place of the C library's. */
static int symlink_errno;
int symlink(const char *target, const char *path) /* NOLINT(readability-inconsistent-declaration-parameter-name) */
{
    errno = symlink_errno;
    return symlink_errno != 0 ? -1 : symlinkat(target, AT_FDCWD, path);
}

static const struct archive_kind GPG = {COMPRESS_GZIP, true};

static void test_archive_prefix__refuses_what_would_confuse_names(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", ".x", "-x", "a/b", "a\nb", "a\\b", "latest", "full_latest", "a\x7f"};
    struct err err = {0};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(archive_prefix_check(BAD[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
    char long_one[102];
    memset(long_one, 'x', 101);
    long_one[101] = '\0';
    assert_int_equal(archive_prefix_check(long_one, &err), -1);
    assert_int_equal(archive_prefix_check(long_one + 1, &err), 0);
    assert_int_equal(archive_prefix_check("full backup_of-ämail.2", &err), 0);
}

static void test_archive_file_name__gets_longer_until_it_is_free(void **state)
{
    (void)state;
    struct timespec t = {.tv_sec = 1770172245}; /* 2026-02-04 02:30:45 UTC */
    static const char *const NAMES[] = {"full_2026-02-04_02.tar.gz.gpg", "full_2026-02-04_02-30.tar.gz.gpg",
                                        "full_2026-02-04_02-30-45.tar.gz.gpg", "full_2026-02-04_02-30-45-2.tar.gz.gpg",
                                        "full_2026-02-04_02-30-45-3.tar.gz.gpg"};
    for (unsigned i = 0; i < 5; i++) {
        char *name = archive_file_name("full", &t, &GPG, i);
        assert_string_equal(name, NAMES[i]);
        struct archive_file f;
        assert_true(archive_file_parse(name, &f));
        assert_string_equal(f.prefix, "full");
        assert_int_equal(f.time.tv_sec, i == 0 ? 1770170400 : i == 1 ? 1770172200 : 1770172245);
        assert_int_equal(f.number, i < 3 ? 1 : i - 1);
        assert_true(f.kind.encrypted && f.kind.codec == COMPRESS_GZIP);
        archive_file_release(&f);
        free(name);
    }
    struct archive_kind plain = {COMPRESS_NONE, false}, zstd = {COMPRESS_ZSTD, false};
    char *name = archive_file_name("a_b", &t, &plain, 0);
    assert_string_equal(name, "a_b_2026-02-04_02.tar");
    free(name);
    name = archive_file_name("a_b", &t, &zstd, 0);
    assert_string_equal(name, "a_b_2026-02-04_02.tar.zst");
    free(name);
}

static void test_archive_file_parse__takes_nothing_else(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",
                                      "full",
                                      "x.tar",
                                      "full_2026-02-04_02.tar.gz.gpg.sha256",
                                      "full_2026-02-04_02.zip",
                                      "full_2026-02-04.tar.gz",
                                      "full_2026-13-04_02.tar.gz",
                                      "full_2026-02-31_02.tar.gz",
                                      "full_2026-02-04_24.tar.gz",
                                      "full_2026-02-04_02-60.tar.gz",
                                      "full_2026-02-04_02-30-45-1.tar.gz",
                                      "full_2026-02-04_02-30-45-.tar.gz",
                                      "full_2026-02-04_02-30-45-1234567.tar.gz",
                                      "full_2026-02-04_2x.tar.gz",
                                      "full_2026-02-04_02-30-45-2-2.tar.gz",
                                      "_2026-02-04_02.tar.gz",
                                      "2026-02-04_02.tar.gz",
                                      ".x_2026-02-04_02.tar.gz",
                                      "latest.tar.gz.gpg",
                                      "full_1969-02-04_02.tar.gz"};
    struct archive_file f;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        if (archive_file_parse(BAD[i], &f))
            fail_msg("'%s' was taken", BAD[i]);
}

/* ---- in a directory */

static void make(const char *dir, const char *name)
{
    struct id id = {{1, 2, 3}};
    struct err err = {0};
    scratch_write(dir, name, "1234567", 7);
    assert_ok(archive_checksum_write(dir, name, &id, "a line\nanother\n", 0600, &err), &err);
}

static void assert_link(const char *dir, const char *name, const char *target)
{
    char found[256] = "", *path = os_path_join(dir, name);
    ssize_t n = readlink(path, found, sizeof found - 1);
    free(path);
    if (target == NULL) {
        assert_int_equal(n, -1);
        return;
    }
    assert_true(n > 0);
    assert_string_equal(found, target);
}

static void test_archive_list__knows_archives_from_other_files(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct archive_list l;
    struct err err = {0};
    make(dir, "full_2026-02-04_02-30.tar.gz.gpg");
    make(dir, "full_2026-02-04_02.tar.gz.gpg");
    make(dir, "full_2026-02-04_02-30-00-2.tar.gz.gpg");
    make(dir, "home_2025-12-31_23.tar.zst");
    scratch_write(dir, "notes.txt", "x", 1);
    assert_ok(archive_latest_update(dir, &err), &err);
    free(shell(false, "mkdir '%s/full_2026-02-04_04.tar.gz.gpg'", dir));
    assert_ok(archive_list_load(&l, dir, NULL, &err), &err);
    assert_int_equal(l.count, 4);
    assert_string_equal(l.items[0].name, "home_2025-12-31_23.tar.zst");
    assert_string_equal(l.items[1].name, "full_2026-02-04_02.tar.gz.gpg");
    assert_string_equal(l.items[2].name, "full_2026-02-04_02-30.tar.gz.gpg");
    assert_string_equal(l.items[3].name, "full_2026-02-04_02-30-00-2.tar.gz.gpg");
    assert_int_equal(l.items[0].bytes, 7);
    assert_true(l.items[0].modified.tv_sec > 1000000000);
    assert_true(l.total_bytes > 4 * (7 + 64 + 2 + 26));
    archive_list_release(&l);
    assert_ok(archive_list_load(&l, dir, "home", &err), &err);
    assert_int_equal(l.count, 1);
    archive_list_release(&l);
    assert_int_equal(archive_list_load(&l, "/nowhere", NULL, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    scratch_remove(dir);
}

static void test_archive_latest__follows_what_comes_and_goes(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct err err = {0};
    make(dir, "full_2026-02-04_02.tar.gz.gpg");
    make(dir, "home_2026-02-04_04.tar.zst");
    free(shell(false, "ln -s elsewhere %s/my_latest.tar.gz", dir));
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_link(dir, "latest.tar.zst", "home_2026-02-04_04.tar.zst");
    assert_link(dir, "home_latest.tar.zst", "home_2026-02-04_04.tar.zst");
    assert_link(dir, "full_latest.tar.gz.gpg", "full_2026-02-04_02.tar.gz.gpg");
    assert_link(dir, "latest.tar.gz.gpg", NULL);

    /* A newer one of another kind: nothing is left that would go on naming the older one. */
    make(dir, "home_2026-02-04_06.tar.gz.gpg");
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_link(dir, "latest.tar.gz.gpg", "home_2026-02-04_06.tar.gz.gpg");
    assert_link(dir, "latest.tar.zst", NULL);
    assert_link(dir, "home_latest.tar.zst", NULL);
    assert_ok(archive_file_remove(dir, "home_2026-02-04_06.tar.gz.gpg", &err), &err);
    assert_link(dir, "latest.tar.zst", "home_2026-02-04_04.tar.zst");
    assert_false(scratch_has(dir, "home_2026-02-04_06.tar.gz.gpg.sha256"));
    assert_ok(archive_file_remove(dir, "home_2026-02-04_04.tar.zst", &err), &err);
    assert_ok(archive_file_remove(dir, "full_2026-02-04_02.tar.gz.gpg", &err), &err);
    assert_link(dir, "latest.tar.gz.gpg", NULL);
    assert_link(dir, "full_latest.tar.gz.gpg", NULL);
    assert_link(dir, "my_latest.tar.gz", "elsewhere"); /* not ours */
    assert_int_equal(archive_file_remove(dir, "full_2026-02-04_02.tar.gz.gpg", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(archive_file_remove(dir, "notes.txt", &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(archive_latest_update("/nowhere", &err), -1);
    scratch_remove(dir);
}

/* With what its checksum file says of how much failed and was absent. */
static void make_lacking(const char *dir, const char *name, size_t failed, size_t absent)
{
    struct id id = {{1, 2, 3}};
    struct err err = {0};
    struct buf summary;
    buf_init(&summary, 1000);
    buf_append_str(&summary, "host of mine\n");
    archive_lack_write(&summary, failed, absent);
    scratch_write(dir, name, "1234567", 7);
    assert_ok(archive_checksum_write(dir, name, &id, buf_cstr(&summary), 0600, &err), &err);
    buf_release(&summary);
}

static void assert_lacks(const char *dir, const char *name, enum archive_lack lacks)
{
    struct archive_list l;
    struct err err = {0};
    assert_ok(archive_list_load(&l, dir, NULL, &err), &err);
    for (size_t i = 0; i < l.count; i++)
        if (strcmp(l.items[i].name, name) == 0) {
            assert_int_equal(l.items[i].lacks, lacks);
            archive_list_release(&l);
            return;
        }
    fail_msg("'%s' is not in the list", name);
}

static void test_archive_list__knows_what_lacks_something(void **state)
{
    (void)state;
    char *dir = scratch_make();
    static const char *const NAMES[] = {"full_2026-02-04_02.tar", "full_2026-02-04_03.tar", "full_2026-02-04_04.tar",
                                        "full_2026-02-04_05.tar", "full_2026-02-04_06.tar", "full_2026-02-04_07.tar"};
    make_lacking(dir, NAMES[0], 0, 0);
    make_lacking(dir, NAMES[1], 0, 1);
    make_lacking(dir, NAMES[2], 2, 0);
    make_lacking(dir, NAMES[3], 1, 1);
    make(dir, NAMES[4]); /* as older programs made them */
    scratch_write(dir, NAMES[5], "1234567", 7);
    assert_lacks(dir, NAMES[0], ARCHIVE_LACKS_NOTHING);
    assert_lacks(dir, NAMES[1], ARCHIVE_LACKS_ABSENT);
    assert_lacks(dir, NAMES[2], ARCHIVE_LACKS_FAILED);
    assert_lacks(dir, NAMES[3], ARCHIVE_LACKS_FAILED);
    assert_lacks(dir, NAMES[4], ARCHIVE_LACKS_UNKNOWN);
    assert_lacks(dir, NAMES[5], ARCHIVE_LACKS_UNKNOWN);
    char *seen = shell(false, "cd %s && grep -h complete *.sha256", dir);
    assert_string_equal(seen, "# complete: yes\n# complete: no: 1 not running\n# complete: no: 2 failed\n"
                              "# complete: no: 1 failed, 1 not running");
    free(seen);
    free(shell(false, "cd %s && sed -i 's/complete: yes/complete: perhaps/' %s.sha256", dir, NAMES[0]));
    assert_lacks(dir, NAMES[0], ARCHIVE_LACKS_UNKNOWN);
    scratch_remove(dir);
}

static void test_archive_latest__stays_with_what_has_all(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct err err = {0};
    /* While there is no better one, what lacks something is better than nothing. */
    make_lacking(dir, "full_2026-02-04_01.tar", 1, 0);
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_link(dir, "latest.tar", "full_2026-02-04_01.tar");
    make_lacking(dir, "full_2026-02-04_02.tar", 0, 1);
    make_lacking(dir, "full_2026-02-04_03.tar", 1, 0);
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_link(dir, "latest.tar", "full_2026-02-04_02.tar");
    make(dir, "full_2026-02-04_04.tar");
    make_lacking(dir, "full_2026-02-04_05.tar", 0, 1);
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_link(dir, "latest.tar", "full_2026-02-04_04.tar");

    make_lacking(dir, "full_2026-02-04_06.tar", 0, 0);
    make_lacking(dir, "full_2026-02-04_07.tar", 0, 1);
    make_lacking(dir, "home_2026-02-04_08.tar", 1, 0);
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_link(dir, "latest.tar", "full_2026-02-04_06.tar");
    assert_link(dir, "full_latest.tar", "full_2026-02-04_06.tar");
    assert_link(dir, "home_latest.tar", "home_2026-02-04_08.tar");
    make_lacking(dir, "full_2026-02-04_09.tar", 0, 0);
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_link(dir, "latest.tar", "full_2026-02-04_09.tar");
    /* And when it goes, the one before it has its place again. */
    assert_ok(archive_file_remove(dir, "full_2026-02-04_09.tar", &err), &err);
    assert_link(dir, "latest.tar", "full_2026-02-04_06.tar");
    scratch_remove(dir);
}

/* Text files from a time, or a machine, without symlinks give way. */
static void test_archive_latest__replaces_its_text_files(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct err err = {0};
    make(dir, "full_2026-02-04_02.tar.gz.gpg");
    scratch_write(dir, "latest.txt", "full_2025-02-04_02.tar.gz.gpg\n", 30);
    scratch_write(dir, "my_latest.txt", "my own words\n", 13);
    scratch_write(dir, "empty_latest.txt", "", 0);
    assert_ok(archive_latest_update(dir, &err), &err);
    assert_false(scratch_has(dir, "latest.txt"));
    assert_true(scratch_has(dir, "my_latest.txt"));
    assert_true(scratch_has(dir, "empty_latest.txt"));
    assert_link(dir, "latest.tar.gz.gpg", "full_2026-02-04_02.tar.gz.gpg");
    scratch_remove(dir);
}

static void test_archive_latest__is_a_text_where_there_are_no_symlinks(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct err err = {0};
    symlink_errno = EPERM;
    make(dir, "full_2026-02-04_02.tar.gz.gpg");
    assert_ok(archive_latest_update(dir, &err), &err);
    make(dir, "full_2026-02-04_04.tar.gz.gpg");
    assert_ok(archive_latest_update(dir, &err), &err);
    char *seen = shell(false, "cd %s && cat latest.txt full_latest.txt && ls | wc -l", dir);
    assert_string_equal(seen, "full_2026-02-04_04.tar.gz.gpg\nfull_2026-02-04_04.tar.gz.gpg\n6");
    free(seen);
    assert_ok(archive_file_remove(dir, "full_2026-02-04_04.tar.gz.gpg", &err), &err);
    assert_ok(archive_file_remove(dir, "full_2026-02-04_02.tar.gz.gpg", &err), &err);
    assert_false(scratch_has(dir, "latest.txt"));
    symlink_errno = 0;
    scratch_remove(dir);
}

static void test_archive_latest__says_when_a_directory_is_in_its_way(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct err err = {0};
    make(dir, "full_2026-02-04_02.tar.gz.gpg");
    free(shell(false, "mkdir %s/latest.tar.gz.gpg", dir));
    assert_int_equal(archive_latest_update(dir, &err), -1);
    assert_non_null(strstr(err.message, "cannot point 'latest.tar.gz.gpg'"));
    scratch_remove(dir);
}

static void test_archive_checksum__is_taken_by_sha256sum(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct id id, back;
    struct err err = {0};
    const char *name = "full_2026-02-04_02.tar.gz.gpg";
    make(dir, name);
    char *hex = shell(false, "sha256sum %s/%s | cut -c1-64", dir, name);
    assert_int_equal(id_from_hex(hex, 64, &id), 0);
    free(hex);
    assert_ok(archive_checksum_write(dir, name, &id, "a line\nanother\n", 0600, &err), &err);
    free(shell(false, "cd %s && sha256sum --strict --status -c *.sha256", dir));
    assert_ok(archive_checksum_read(dir, name, &back, &err), &err);
    assert_true(id_equal(&id, &back));
    assert_int_equal(archive_checksum_read(dir, "full_2026-02-04_04.tar.gz.gpg", &back, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    free(shell(false, "cd %s && sed -i s/full/fool/ *.sha256", dir));
    assert_int_equal(archive_checksum_read(dir, name, &back, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(archive_checksum_write("/nowhere", name, &id, "", 0600, &err), -1);
    scratch_remove(dir);
}

/* ---- left behind */

static void age(const char *dir, const char *name, time_t seconds)
{
    char *path = os_path_join(dir, name);
    struct utimbuf t = {os_now().tv_sec - seconds, os_now().tv_sec - seconds};
    assert_int_equal(utime(path, &t), 0);
    free(path);
}

static void test_archive_clean__removes_what_nobody_writes_any_more(void **state)
{
    (void)state;
    char *dir = scratch_make();
    struct err err = {0};
    char *ours = archive_temporary_name("here", &err), *written = archive_temporary_name("here", &err);
    char *theirs = archive_temporary_name("there", &err), *old = archive_temporary_name("there", &err);
    char *kept[] = {written, theirs, mem_strdup(".clawback-odd.partial"), mem_strdup("a.tmp-0123456789abcdef")};
    char *gone[] = {ours, old, mem_strdup("x.sha256.tmp-0123456789abcdef"),
                    mem_strdup("latest.txt.tmp-0123456789abcdef"), mem_strdup(".clawback-latest-12")};
    assert_string_not_equal(ours, written);
    for (size_t i = 0; i < 4; i++)
        scratch_write(dir, kept[i], "12345678", 8);
    for (size_t i = 0; i < 5; i++) {
        scratch_write(dir, gone[i], "12345678", 8);
        age(dir, gone[i], i == 0 ? 0 : i == 1 ? 90000 : 4000);
    }
    scratch_write(dir, "y.sha256.tmp-0123456789abcdef", "young", 5);
    char *path = os_path_join(dir, written);
    int fd = open(path, O_RDWR);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    uint64_t freed = 0;
    assert_int_equal(archive_clean(dir, "here", &freed, &err), 5);
    assert_true(freed > 0);
    for (size_t i = 0; i < 4; i++)
        assert_true(scratch_has(dir, kept[i]));
    for (size_t i = 0; i < 5; i++)
        assert_false(scratch_has(dir, gone[i]));
    assert_true(scratch_has(dir, "y.sha256.tmp-0123456789abcdef"));
    close(fd);
    assert_int_equal(archive_clean(dir, "here", NULL, &err), 1); /* its writer is gone */
    assert_int_equal(archive_clean("/nowhere", NULL, NULL, &err), -1);
    for (size_t i = 0; i < 4; i++)
        free(kept[i]);
    for (size_t i = 0; i < 5; i++)
        free(gone[i]);
    free(path);
    scratch_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archive_prefix__refuses_what_would_confuse_names),
        cmocka_unit_test(test_archive_file_name__gets_longer_until_it_is_free),
        cmocka_unit_test(test_archive_file_parse__takes_nothing_else),
        cmocka_unit_test(test_archive_list__knows_archives_from_other_files),
        cmocka_unit_test(test_archive_latest__follows_what_comes_and_goes),
        cmocka_unit_test(test_archive_list__knows_what_lacks_something),
        cmocka_unit_test(test_archive_latest__stays_with_what_has_all),
        cmocka_unit_test(test_archive_latest__replaces_its_text_files),
        cmocka_unit_test(test_archive_latest__is_a_text_where_there_are_no_symlinks),
        cmocka_unit_test(test_archive_latest__says_when_a_directory_is_in_its_way),
        cmocka_unit_test(test_archive_checksum__is_taken_by_sha256sum),
        cmocka_unit_test(test_archive_clean__removes_what_nobody_writes_any_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
