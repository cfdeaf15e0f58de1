/* What is particular to a directory; what all stores promise is in tests/contract. */
#include "store/local.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/strlist.h"
#include "os/clock.h"
#include "store/scratch.h"

#define ONE "1100000000000000000000000000000000000000000000000000000000000000"
#define TWO "2200000000000000000000000000000000000000000000000000000000000000"

struct fixture {
    char *dir;
    struct store *s;
};

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->dir = scratch_make();
    assert_int_equal(store_local_new(&f->s, f->dir, NULL), 0);
    assert_int_equal(store_create(f->s, NULL), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_free(f->s);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static void assert_ok(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%s", err->message);
}

static void save(struct store *s, enum store_type type, const char *name)
{
    struct err err = {0};
    assert_ok(store_save(s, type, name, "text", 4, &err), &err);
}

static void spool(struct store *s, const char *name, const char *text)
{
    struct err err = {0};
    struct store_spool *sp;
    assert_ok(store_spool_new(s, &sp, &err), &err);
    assert_ok(store_spool_write(s, sp, text, strlen(text), &err), &err);
    assert_ok(store_spool_commit(s, sp, STORE_PACK, name, &err), &err);
}

static int count_one(void *ctx, const char *name, uint64_t size_bytes)
{
    (void)name;
    (void)size_bytes;
    ++*(unsigned *)ctx;
    return 0;
}

static unsigned count(struct store *s, enum store_type type)
{
    unsigned n = 0;
    assert_int_equal(store_list(s, type, count_one, &n, NULL), 0);
    return n;
}

/* Number of temporary files anywhere below. nftw() knows no context. */
static unsigned leftovers;

static int count_leftover(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    leftovers += flag == FTW_F && strncmp(path + ftw->base, "tmp-", 4) == 0;
    return 0;
}

static unsigned count_leftovers(const char *dir)
{
    leftovers = 0;
    assert_int_equal(nftw(dir, count_leftover, 16, FTW_PHYS), 0);
    return leftovers;
}

static void remove_dir(const struct fixture *f, const char *name)
{
    char *path = os_path_join(f->dir, name);
    assert_int_equal(rmdir(path), 0);
    free(path);
}

/* --------------------------------------------------------------------------------------------------- layout and modes
 */

static void test_local__is_private(void **state)
{
    struct fixture *f = *state;
    static const char *const dirs[] = {"keys", "snapshots", "index", "locks", "data", "data/00", "data/7f", "data/ff"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        assert_int_equal(scratch_mode(f->dir, dirs[i]), 0700);
    save(f->s, STORE_CONFIG, NULL);
    save(f->s, STORE_KEY, ONE);
    spool(f->s, TWO, "pack");
    assert_int_equal(scratch_mode(f->dir, "config"), 0400);
    assert_int_equal(scratch_mode(f->dir, "keys/" ONE), 0400);
    assert_int_equal(scratch_mode(f->dir, "data/22/" TWO), 0400);
}

static void test_local__is_group_readable_where_the_config_is(void **state)
{
    struct fixture *f = *state;
    save(f->s, STORE_CONFIG, NULL);
    char *config = os_path_join(f->dir, "config");
    assert_int_equal(chmod(config, 0440), 0);
    free(config);
    mode_t mask = umask(077);
    remove_dir(f, "data/22");
    save(f->s, STORE_INDEX, ONE);
    spool(f->s, TWO, "pack");
    umask(mask);
    assert_int_equal(scratch_mode(f->dir, "index/" ONE), 0440);
    assert_int_equal(scratch_mode(f->dir, "data/22/" TWO), 0440);
    assert_int_equal(scratch_mode(f->dir, "data/22"), 0750);
}

static void test_local__makes_missing_pack_directories(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 256; i++) {
        char name[16];
        snprintf(name, sizeof name, "data/%02x", i);
        remove_dir(f, name);
    }
    assert_int_equal(count(f->s, STORE_PACK), 0);
    spool(f->s, ONE, "spooled");
    save(f->s, STORE_PACK, TWO);
    assert_int_equal(count(f->s, STORE_PACK), 2);
    assert_int_equal(scratch_mode(f->dir, "data/22"), 0700);
}

/* The disk may not be mounted: no repository must grow on the mount point. */
static void test_local__makes_no_other_directories(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_spool *sp;
    remove_dir(f, "index");
    assert_int_equal(store_save(f->s, STORE_INDEX, ONE, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_non_null(strstr(err.message, "'index'"));
    for (unsigned i = 0; i < 256; i++) {
        char name[16];
        snprintf(name, sizeof name, "data/%02x", i);
        remove_dir(f, name);
    }
    remove_dir(f, "data");
    assert_int_equal(store_spool_new(f->s, &sp, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_int_equal(store_save(f->s, STORE_PACK, ONE, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_false(scratch_has(f->dir, "index"));
    assert_false(scratch_has(f->dir, "data"));
}

static void test_local__creates_parents_and_completes_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store *s;
    char *path = os_path_join(f->dir, "some/where/deep");
    assert_ok(store_local_new(&s, path, &err), &err);
    assert_ok(store_create(s, &err), &err);
    assert_true(scratch_has(f->dir, "some/where/deep/data/c0"));
    store_free(s);
    free(path);
    remove_dir(f, "locks");
    assert_ok(store_create(f->s, &err), &err);
    assert_true(scratch_has(f->dir, "locks"));
}

static void test_local__create_says_what_is_in_the_way(void **state)
{
    struct fixture *f = *state;
    static const char *const obstacles[] = {"index", "data/33"};
    for (size_t i = 0; i < 2; i++) {
        struct err err = {0};
        remove_dir(f, obstacles[i]);
        scratch_write(f->dir, obstacles[i], "x", 1);
        assert_int_equal(store_create(f->s, &err), -1);
        assert_non_null(strstr(err.message, obstacles[i]));
        char *path = os_path_join(f->dir, obstacles[i]);
        assert_int_equal(unlink(path), 0);
        free(path);
        assert_ok(store_create(f->s, &err), &err);
    }
    struct err err = {0};
    struct store *s;
    scratch_write(f->dir, "file", "x", 1);
    char *path = os_path_join(f->dir, "file");
    assert_int_equal(store_local_new(&s, path, NULL), 0);
    assert_int_equal(store_create(s, &err), -1);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(store_list(s, STORE_KEY, count_one, NULL, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_int_equal(store_save(s, STORE_KEY, ONE, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    store_free(s);
    free(path);
}

static void test_local__place_that_is_not_there_is_no_repository(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store *s;
    uint64_t bytes;
    char *path = os_path_join(f->dir, "nothing");
    assert_int_equal(store_local_new(&s, path, NULL), 0);
    assert_int_equal(store_free_space(s, &bytes, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_int_equal(store_clean(s, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_non_null(strstr(err.message, path));
    assert_int_equal(store_save(s, STORE_CONFIG, NULL, "x", 1, &err), -1);
    assert_int_equal(err.code, ERR_NO_REPOSITORY);
    assert_false(scratch_has(f->dir, "nothing"));
    store_free(s);
    free(path);
}

/* Errors of any other kind than "missing" stay what they are: here a link that leads nowhere but to itself. */
static void test_local__other_errors_are_not_taken_for_a_missing_repository(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store *s;
    uint64_t bytes;
    remove_dir(f, "index");
    char *index = os_path_join(f->dir, "index"), *loop = os_path_join(f->dir, "loop");
    assert_int_equal(symlink("index", index), 0);
    assert_int_equal(symlink("loop", loop), 0);
    assert_int_equal(store_list(f->s, STORE_INDEX, count_one, NULL, &err), -1);
    assert_int_equal(err.sys_errno, ELOOP);
    assert_int_equal(store_save(f->s, STORE_INDEX, ONE, "x", 1, &err), -1);
    assert_int_equal(err.sys_errno, ELOOP);
    assert_non_null(strstr(err.message, "cannot write index '11000000'"));
    assert_int_equal(store_local_new(&s, loop, NULL), 0);
    assert_int_equal(store_free_space(s, &bytes, &err), -1);
    assert_int_equal(err.sys_errno, ELOOP);
    store_free(s);
    free(index);
    free(loop);
}

static void test_local__lists_only_what_it_could_read(void **state)
{
    struct fixture *f = *state;
    char *dir = os_path_join(f->dir, "index/" ONE);
    assert_int_equal(mkdir(dir, 0700), 0);
    scratch_write(f->dir, "data/" ONE, "beside", 6);
    scratch_write(f->dir, "data/22/" ONE, "astray", 6);
    assert_int_equal(count(f->s, STORE_INDEX), 0);
    assert_int_equal(count(f->s, STORE_PACK), 0);
    free(dir);
}

/* ------------------------------------------------------------------------------------------------------------- writing
 */

static void test_local__spool_lies_where_listings_skip_it(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_spool *sp;
    char *data = os_path_join(f->dir, "data");
    assert_ok(store_spool_new(f->s, &sp, &err), &err);
    assert_int_equal(count_leftovers(data), 1);
    assert_int_equal(count(f->s, STORE_PACK), 0);
    store_spool_discard(f->s, sp);
    assert_int_equal(count_leftovers(f->dir), 0);
    free(data);
}

static void test_local__replaces_a_damaged_pack_even_while_it_is_open(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char text[8] = "";
    scratch_write(f->dir, "data/11/" ONE, "cut", 3);
    assert_ok(store_read(f->s, STORE_PACK, ONE, 0, text, 3, &err), &err);
    assert_memory_equal(text, "cut", 3);
    spool(f->s, ONE, "complete");
    assert_ok(store_read(f->s, STORE_PACK, ONE, 0, text, 8, &err), &err);
    assert_memory_equal(text, "complete", 8);
    assert_int_equal(count_leftovers(f->dir), 0);
}

static void test_local__failed_commit_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    struct store_spool *sp;
    char *obstacle = os_path_join(f->dir, "data/11/" ONE);
    assert_int_equal(mkdir(obstacle, 0700), 0);
    assert_ok(store_spool_new(f->s, &sp, &err), &err);
    assert_int_equal(store_spool_commit(f->s, sp, STORE_PACK, ONE, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_non_null(strstr(err.message, f->dir));
    assert_int_equal(count_leftovers(f->dir), 0);
    free(obstacle);
}

static void test_local__refused_config_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    save(f->s, STORE_CONFIG, NULL);
    assert_int_equal(store_save(f->s, STORE_CONFIG, NULL, "x", 1, NULL), -1);
    assert_int_equal(count_leftovers(f->dir), 0);
}

static void test_local__reading_a_directory_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char byte, *obstacle = os_path_join(f->dir, "index/" ONE);
    assert_int_equal(mkdir(obstacle, 0700), 0);
    assert_int_equal(store_read(f->s, STORE_INDEX, ONE, 0, &byte, 1, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    free(obstacle);
}

static void age(const char *dir, const char *name, time_t seconds)
{
    char *path = os_path_join(dir, name);
    struct timespec times[2] = {{.tv_sec = os_now().tv_sec - seconds}, {.tv_sec = os_now().tv_sec - seconds}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    free(path);
}

/* Others take locks, or add keys, while the exclusive lock's holder cleans: what they are writing at the moment stays.
 */
static void test_local__clean_spares_what_others_may_be_writing(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    static const char *const shared[] = {"tmp-1", "keys/tmp-1", "locks/tmp-1"};
    for (size_t i = 0; i < 3; i++)
        scratch_write(f->dir, shared[i], "x", 1);
    assert_ok(store_clean(f->s, &err), &err);
    for (size_t i = 0; i < 3; i++) {
        assert_true(scratch_has(f->dir, shared[i]));
        age(f->dir, shared[i], 2 * 60 * 60);
    }
    assert_ok(store_clean(f->s, &err), &err);
    assert_int_equal(count_leftovers(f->dir), 0);
}

static void test_local__clean_touches_files_only(void **state)
{
    struct fixture *f = *state;
    struct err err = {0};
    char *dir = os_path_join(f->dir, "index/tmp-dir");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_ok(store_clean(f->s, &err), &err);
    assert_true(scratch_has(f->dir, "index/tmp-dir"));
    free(dir);
}

/* ----------------------------------------------------------------------------------------------------------- full disk
 */

/* A small file system below the fixture that goes with this process; the path is the caller's. Skips the test where
 * that is not allowed. */
static char *mount_small(const struct fixture *f, const char *options)
{
    char *dir = os_path_join(f->dir, "small");
    assert_int_equal(mkdir(dir, 0700), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", dir, "tmpfs", 0, options) != 0) {
        free(dir);
        skip();
    }
    return dir;
}

static void test_local__full_disk_is_said_and_leaves_no_trace(void **state)
{
    struct fixture *f = *state;
    char *dir = mount_small(f, "size=512k");
    static const char block[300 * 1024];
    struct store *s;
    struct err err = {0};
    assert_int_equal(store_local_new(&s, dir, NULL), 0);
    assert_ok(store_create(s, &err), &err);
    assert_ok(store_save(s, STORE_PACK, ONE, block, sizeof block, &err), &err);

    assert_int_equal(store_save(s, STORE_INDEX, TWO, block, sizeof block, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_non_null(strstr(err.message, dir));
    struct store_spool *sp;
    err_clear(&err);
    assert_ok(store_spool_new(s, &sp, &err), &err);
    assert_int_equal(store_spool_write(s, sp, block, sizeof block, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_non_null(strstr(err.message, dir));
    store_spool_discard(s, sp);
    assert_int_equal(count_leftovers(dir), 0);

    assert_int_equal(count(s, STORE_INDEX), 0);
    assert_int_equal(count(s, STORE_PACK), 1);
    assert_ok(store_remove(s, STORE_PACK, ONE, &err), &err);
    assert_ok(store_save(s, STORE_INDEX, TWO, block, sizeof block, &err), &err);
    store_free(s);
    assert_int_equal(umount(dir), 0);
    free(dir);
}

static void test_local__disk_without_inodes_is_full_too(void **state)
{
    struct fixture *f = *state;
    char *dir = mount_small(f, "size=4m,nr_inodes=263");
    struct store *s;
    struct err err = {0};
    assert_int_equal(store_local_new(&s, dir, NULL), 0);
    assert_ok(store_create(s, &err), &err);
    for (int i = 0; i < 2 && err.code == ERR_NONE; i++)
        (void)store_save(s, STORE_INDEX, i == 0 ? ONE : TWO, "x", 1, &err);
    assert_int_equal(err.code, ERR_NO_SPACE);
    struct store_spool *sp;
    err_clear(&err);
    assert_int_equal(store_spool_new(s, &sp, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    store_free(s);
    assert_int_equal(umount(dir), 0);
    free(dir);
}

/* --------------------------------------------------------------------------------------------------------------- kills
 */

static void save_all_kinds(const char *dir)
{
    struct store *s;
    struct store_spool *sp;
    if (store_local_new(&s, dir, NULL) != 0 || store_save(s, STORE_INDEX, ONE, "0123456789", 10, NULL) != 0 ||
        store_save(s, STORE_CONFIG, NULL, "0123456789", 10, NULL) != 0 || store_spool_new(s, &sp, NULL) != 0 ||
        store_spool_write(s, sp, "01234", 5, NULL) != 0 || store_spool_write(s, sp, "56789", 5, NULL) != 0 ||
        store_spool_commit(s, sp, STORE_PACK, TWO, NULL) != 0 || store_remove(s, STORE_SNAPSHOT, ONE, NULL) != 0)
        _exit(2);
    _exit(0);
}

enum run { RUN_KILLED, RUN_ENDED, RUN_NOT_ALLOWED };

/* Runs save_all_kinds() and kills it at the entry to its Nth system call, unless it ends by itself before. */
static enum run run_until_call(const char *dir, unsigned long n)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
            _exit(3);
        raise(SIGSTOP);
        save_all_kinds(dir);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        skip();                                                 /* tracing is not allowed here */
    for (unsigned long stops = 0; stops < 2 * n - 1; stops++) { /* two stops a call: entry and exit */
        assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status)) {
            assert_int_equal(WEXITSTATUS(status), 0);
            return RUN_ENDED;
        }
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return RUN_KILLED;
}

static void assert_whole_or_absent(struct store *s, enum store_type type, const char *name)
{
    struct err err = {0};
    struct buf b;
    buf_init(&b, 100);
    if (store_read_all(s, type, name, &b, &err) == 0)
        assert_string_equal(buf_cstr(&b), "0123456789");
    else
        assert_int_equal(err.code, ERR_NOT_FOUND);
    buf_release(&b);
}

static void test_local__killed_at_any_system_call_shows_nothing_half_written(void **state)
{
    (void)state;
    enum run run = RUN_KILLED;
    for (unsigned long n = 1; run == RUN_KILLED; n++) {
        struct fixture *f;
        set_up((void **)&f);
        save(f->s, STORE_SNAPSHOT, ONE);
        run = run_until_call(f->dir, n);
        assert_whole_or_absent(f->s, STORE_CONFIG, NULL);
        assert_whole_or_absent(f->s, STORE_INDEX, ONE);
        assert_whole_or_absent(f->s, STORE_PACK, TWO);
        assert_in_range(count(f->s, STORE_PACK), 0, 1);
        assert_int_equal(store_clean(f->s, NULL), 0);
        char *data = os_path_join(f->dir, "data");
        assert_int_equal(count_leftovers(data), 0);
        free(data);
        tear_down((void **)&f);
        assert_true(n < 1000);
    }
    if (run == RUN_NOT_ALLOWED)
        skip();
}

#define LOCAL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCAL_TEST(test_local__is_private),
        LOCAL_TEST(test_local__is_group_readable_where_the_config_is),
        LOCAL_TEST(test_local__makes_missing_pack_directories),
        LOCAL_TEST(test_local__makes_no_other_directories),
        LOCAL_TEST(test_local__creates_parents_and_completes_what_is_there),
        LOCAL_TEST(test_local__create_says_what_is_in_the_way),
        LOCAL_TEST(test_local__place_that_is_not_there_is_no_repository),
        LOCAL_TEST(test_local__other_errors_are_not_taken_for_a_missing_repository),
        LOCAL_TEST(test_local__lists_only_what_it_could_read),
        LOCAL_TEST(test_local__spool_lies_where_listings_skip_it),
        LOCAL_TEST(test_local__replaces_a_damaged_pack_even_while_it_is_open),
        LOCAL_TEST(test_local__failed_commit_leaves_nothing),
        LOCAL_TEST(test_local__refused_config_leaves_nothing),
        LOCAL_TEST(test_local__reading_a_directory_is_an_error),
        LOCAL_TEST(test_local__clean_spares_what_others_may_be_writing),
        LOCAL_TEST(test_local__clean_touches_files_only),
        LOCAL_TEST(test_local__full_disk_is_said_and_leaves_no_trace),
        LOCAL_TEST(test_local__disk_without_inodes_is_full_too),
        cmocka_unit_test(test_local__killed_at_any_system_call_shows_nothing_half_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
