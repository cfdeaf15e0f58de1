/*
 * Copies of databases at rest, in every state that a program may have left them in. What a copy holds is judged by
 * SQLite.
 */
#include "source/sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>

#include "os/clock.h"
#include "source/sqlite_image.h"
#include "store/scratch.h"

enum { BIG_BYTES = 9 << 20 }; /* more than is read at once */

struct place {
    char *dir, *path;
};

static struct place place_make(void)
{
    struct place p = {.dir = scratch_make()};
    p.path = os_path_join(p.dir, "x.db");
    return p;
}

static void place_remove(struct place *p)
{
    free(p->path);
    scratch_remove(p->dir);
}

static char *beside(const struct place *p, const char *suffix)
{
    return mem_printf("%s%s", p->path, suffix);
}

static off_t size_of(const struct place *p, const char *suffix)
{
    char *path = beside(p, suffix);
    struct stat st;
    off_t size = stat(path, &st) == 0 ? st.st_size : -1;
    free(path);
    return size;
}

static void patch(const struct place *p, const char *suffix, off_t at, const void *bytes, size_t len)
{
    char *path = beside(p, suffix);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(os_pwrite_full(fd, bytes, len, at < 0 ? lseek(fd, 0, SEEK_END) : at), 0);
    close(fd);
    free(path);
}

static void cut(const struct place *p, const char *suffix, off_t size)
{
    char *path = beside(p, suffix);
    assert_int_equal(truncate(path, size), 0);
    free(path);
}

/* Runs SQL in a process of its own, which then dies without closing anything: what lies in the WAL stays there. */
static void sql_then_die(const struct place *p, const char *sql)
{
    pid_t pid = fork();
    if (pid == 0) {
        sql_ok(sql_open(p->path), sql);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The same, but stays alive with the database open until told to go. */
struct holder {
    pid_t pid;
    int to_holder;
};

static struct holder hold(const struct place *p, const char *sql)
{
    int to_holder[2], to_us[2];
    char byte = 0;
    assert_int_equal(pipe2(to_holder, O_CLOEXEC) | pipe2(to_us, O_CLOEXEC), 0);
    struct holder h = {fork(), to_holder[1]};
    if (h.pid == 0) {
        close(to_holder[1]);
        sql_ok(sql_open(p->path), sql);
        if (write(to_us[1], &byte, 1) != 1 || read(to_holder[0], &byte, 1) < 0)
            _exit(1);
        _exit(0);
    }
    close(to_us[1]);
    close(to_holder[0]);
    assert_int_equal(read(to_us[0], &byte, 1), 1);
    close(to_us[0]);
    return h;
}

static void let_go(struct holder *h)
{
    int status;
    close(h->to_holder);
    assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
}

static void make(const struct place *p, const char *pragmas, unsigned rows)
{
    sqlite3 *db = sql_open(p->path);
    sql_ok(db, pragmas);
    char sql[256];
    snprintf(sql, sizeof sql,
             "CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB);"
             "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<%u)"
             "INSERT INTO t(body) SELECT randomblob(900) FROM c",
             rows);
    sql_ok(db, sql);
    sqlite3_close(db);
}

#define COUNT "SELECT count(*) FROM t"
#define FILL_BIG                                                                                              \
    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<10000) INSERT INTO t(body) SELECT " \
    "randomblob(950) FROM c"

static void expect_open_fails(const struct place *p, enum err_code code, const char *message)
{
    struct sqlite_capture *c;
    struct err err = {0};
    assert_int_equal(sqlite_capture_open(&c, p->path, 100, &err), -1);
    assert_non_null(strstr(err.message, p->path));
    assert_non_null(strstr(err.message, message));
    assert_int_equal(err.code, code);
}

static void test_sqlite__copies_every_page_size(void **state)
{
    (void)state;
    static const unsigned sizes[] = {512, 1024, 4096, 32768, 65536};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int wal = 0; wal < 2; wal++) {
            struct place p = place_make();
            char pragmas[100];
            snprintf(pragmas, sizeof pragmas, "PRAGMA page_size=%u; PRAGMA journal_mode=%s", sizes[i],
                     wal ? "WAL" : "DELETE");
            make(&p, pragmas, 300);
            sql_then_die(&p, "DELETE FROM t WHERE id%2=0; INSERT INTO t(body) VALUES(zeroblob(200000))");
            struct image image = image_take(p.path, 777);
            assert_int_equal(image.page_bytes, sizes[i]);
            assert_int_equal(image.len % sizes[i], 0);
            sqlite3 *db = image_open(&image);
            assert_true(image_is_sound(db));
            assert_int_equal(sql_number(db, COUNT), 151);
            sqlite3_close(db);
            place_remove(&p);
        }
    }
}

static void test_sqlite__a_copy_of_a_resting_file_is_the_file(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA auto_vacuum=FULL", 100);
    struct image image = image_take(p.path, 4096);
    struct buf file;
    struct err err;
    buf_init(&file, BIG_BYTES);
    assert_int_equal(os_read_file(p.path, &file, &err), 0);
    assert_int_equal(file.len, image.len);
    assert_memory_equal(file.data, image.bytes, image.len);
    buf_release(&file);
    free(image.bytes);
    place_remove(&p);
}

static void test_sqlite__a_database_of_one_page(void **state)
{
    (void)state;
    struct place p = place_make();
    sqlite3 *db = sql_open(p.path);
    sql_ok(db, "PRAGMA user_version=7");
    sqlite3_close(db);
    assert_int_equal(image_number(p.path, "PRAGMA user_version"), 7);
    place_remove(&p);
}

static void test_sqlite__a_wal_holds_everything_but_the_first_page(void **state)
{
    (void)state;
    struct place p = place_make();
    sql_then_die(&p, "PRAGMA journal_mode=WAL; CREATE TABLE t(x); INSERT INTO t VALUES(5),(6)");
    assert_int_equal(size_of(&p, ""), 4096);
    assert_int_equal(image_number(p.path, COUNT), 2);
    place_remove(&p);
}

static void test_sqlite__an_empty_wal_is_none(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    patch(&p, "-wal", 0, "", 0);
    assert_int_equal(size_of(&p, "-wal"), 0);
    assert_int_equal(image_number(p.path, COUNT), 10);
    place_remove(&p);
}

static void test_sqlite__a_wal_with_a_bad_header_is_none(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "DELETE FROM t");
    assert_int_equal(image_number(p.path, COUNT), 0);
    patch(&p, "-wal", 13, "\xff\xee", 2); /* inside what the header's checksum covers */
    assert_int_equal(image_number(p.path, COUNT), 10);
    patch(&p, "-wal", 0, "nonsense", 8);
    assert_int_equal(image_number(p.path, COUNT), 10);
    cut(&p, "-wal", 31);
    assert_int_equal(image_number(p.path, COUNT), 10);
    place_remove(&p);
}

static void test_sqlite__garbage_after_the_last_commit_is_ignored(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "INSERT INTO t(body) VALUES(1)");
    static char garbage[10000];
    memset(garbage, 0x5a, sizeof garbage);
    patch(&p, "-wal", -1, garbage, sizeof garbage);
    assert_int_equal(image_number(p.path, COUNT), 11);
    place_remove(&p);
}

static void test_sqlite__a_torn_commit_is_not_taken(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "INSERT INTO t(body) VALUES(1)");
    off_t one = size_of(&p, "-wal");
    sql_then_die(&p, "INSERT INTO t(body) VALUES(2)");
    assert_int_equal(image_number(p.path, COUNT), 12);
    cut(&p, "-wal", size_of(&p, "-wal") - 1);
    assert_int_equal(image_number(p.path, COUNT), 11);
    patch(&p, "-wal", one - 1, "\x77", 1);
    assert_int_equal(image_number(p.path, COUNT), 10);
    place_remove(&p);
}

static void test_sqlite__uncommitted_frames_are_not_taken(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "PRAGMA cache_size=5; INSERT INTO t(body) VALUES(1); BEGIN; DELETE FROM t; " FILL_BIG);
    assert_true(size_of(&p, "-wal") > BIG_BYTES / 2);
    assert_int_equal(image_number(p.path, COUNT), 11);
    place_remove(&p);
}

static void test_sqlite__a_wal_may_grow_or_shrink_the_database(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 200);
    off_t before = size_of(&p, "");
    sql_then_die(&p, "PRAGMA wal_autocheckpoint=0; " FILL_BIG);
    struct image image = image_take(p.path, 100000);
    assert_true(image.len > (size_t)before && size_of(&p, "") == before);
    sqlite3 *db = image_open(&image);
    assert_true(image_is_sound(db));
    assert_int_equal(sql_number(db, COUNT), 10200);
    sqlite3_close(db);
    sql_then_die(&p, "PRAGMA wal_autocheckpoint=0; DELETE FROM t WHERE id>20; VACUUM");
    image = image_take(p.path, 100000);
    assert_true(image.len < (size_t)before);
    db = image_open(&image);
    assert_true(image_is_sound(db));
    assert_int_equal(sql_number(db, COUNT), 20);
    sqlite3_close(db);
    place_remove(&p);
}

static void test_sqlite__a_long_wal_of_few_pages(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA page_size=512; PRAGMA journal_mode=WAL", 1);
    pid_t pid = fork();
    if (pid == 0) {
        sqlite3 *db = sql_open(p.path);
        sql_ok(db, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF; CREATE TABLE n(n); INSERT INTO n VALUES(0)");
        for (int i = 0; i < 80000; i++)
            sql_ok(db, "UPDATE n SET n=n+1");
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(size_of(&p, "-wal") > 80000 * 536);
    assert_int_equal(image_number(p.path, "SELECT n FROM n"), 80000);
    place_remove(&p);
}

static void test_sqlite__a_wal_of_another_page_size_is_damage(void **state)
{
    (void)state;
    struct place p = place_make(), q = place_make();
    make(&p, "PRAGMA page_size=1024; PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "DELETE FROM t");
    make(&q, "PRAGMA page_size=4096; PRAGMA journal_mode=WAL", 10);
    char *from = beside(&p, "-wal"), *to = beside(&q, "-wal");
    assert_int_equal(rename(from, to), 0);
    expect_open_fails(&q, ERR_CORRUPT, "pages of 1024 bytes");
    free(from);
    free(to);
    place_remove(&p);
    place_remove(&q);
}

/* Big-endian machines write the other magic number, and checksums over big-endian words. */
static void test_sqlite__a_wal_in_the_other_byte_order(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL; PRAGMA page_size=4096", 10);
    sql_then_die(&p, "DELETE FROM t");
    char *path = beside(&p, "-wal");
    struct buf wal;
    struct err err;
    buf_init(&wal, BIG_BYTES);
    assert_int_equal(os_read_file(path, &wal, &err), 0);
    uint32_t sum[2] = {0, 0};
    wal.data[3] ^= 1;
    for (size_t at = 0; at < wal.len;) {
        size_t head = at == 0 ? 24 : 8, body = at == 0 ? 0 : 4096, sum_at = at == 0 ? 24 : at + 16;
        for (size_t i = 0; i < head + body; i += 8) {
            const unsigned char *w = wal.data + at + (i < head ? i : i - head + 24);
            sum[0] += ((uint32_t)w[0] << 24 | (uint32_t)w[1] << 16 | (uint32_t)w[2] << 8 | w[3]) + sum[1];
            sum[1] += ((uint32_t)w[4] << 24 | (uint32_t)w[5] << 16 | (uint32_t)w[6] << 8 | w[7]) + sum[0];
        }
        for (int i = 0; i < 8; i++)
            wal.data[sum_at + (size_t)i] = (unsigned char)(sum[i / 4] >> (24 - i % 4 * 8));
        at += at == 0 ? 32 : 24 + 4096;
    }
    patch(&p, "-wal", 0, wal.data, wal.len);
    buf_release(&wal);
    free(path);
    assert_int_equal(image_number(p.path, COUNT), 0);
    place_remove(&p);
}

static void test_sqlite__a_wal_of_a_newer_format_is_refused(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    unsigned char head[32] = {0x37, 0x7f, 0x06, 0x83, 0, 0x2d, 0xe2, 0x19, 0, 0, 0x10, 0};
    uint32_t sum[2] = {0, 0};
    for (size_t i = 0; i < 24; i += 8) {
        const unsigned char *w = head + i;
        sum[0] += ((uint32_t)w[0] << 24 | (uint32_t)w[1] << 16 | (uint32_t)w[2] << 8 | w[3]) + sum[1];
        sum[1] += ((uint32_t)w[4] << 24 | (uint32_t)w[5] << 16 | (uint32_t)w[6] << 8 | w[7]) + sum[0];
    }
    for (int i = 0; i < 8; i++)
        head[24 + i] = (unsigned char)(sum[i / 4] >> (24 - i % 4 * 8));
    patch(&p, "-wal", 0, head, sizeof head);
    expect_open_fails(&p, ERR_UNSUPPORTED, "format 3007001");
    place_remove(&p);
}

static void test_sqlite__nothing_is_created_or_touched(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "DELETE FROM t");
    char *shm = beside(&p, "-shm");
    assert_int_equal(unlink(shm), 0);
    free(shm);
    struct timespec old[2] = {{1000000000, 0}, {1000000000, 0}};
    char *wal = beside(&p, "-wal");
    assert_int_equal(utimensat(AT_FDCWD, p.path, old, 0) | utimensat(AT_FDCWD, wal, old, 0), 0);
    struct stat before[3], after[3];
    assert_int_equal(stat(p.path, &before[0]) | stat(wal, &before[1]) | stat(p.dir, &before[2]), 0);
    for (int insist = 0; insist < 2; insist++) {
        struct sqlite_capture *c;
        struct image image;
        struct err err;
        int rc =
            insist ? sqlite_capture_open_insisting(&c, p.path, 100, &err) : sqlite_capture_open(&c, p.path, 100, &err);
        assert_int_equal(rc, 0);
        assert_int_equal(sqlite_capture_mtime(c).tv_sec, 1000000000);
        assert_int_equal(image_read(c, 100000, 0, &image, &err), 0);
        free(image.bytes);
    }
    assert_int_equal(stat(p.path, &after[0]) | stat(wal, &after[1]) | stat(p.dir, &after[2]), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(before[i].st_mtim.tv_sec, after[i].st_mtim.tv_sec);
        assert_int_equal(before[i].st_mtim.tv_nsec, after[i].st_mtim.tv_nsec);
        assert_int_equal(before[i].st_atim.tv_sec, after[i].st_atim.tv_sec);
        assert_int_equal(before[i].st_size, after[i].st_size);
    }
    assert_int_equal(size_of(&p, "-shm"), -1);
    free(wal);
    place_remove(&p);
}

static void test_sqlite__mtime_is_the_newer_of_database_and_wal(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "DELETE FROM t");
    char *wal = beside(&p, "-wal");
    struct timespec early[2] = {{1000, 0}, {1000, 5}}, late[2] = {{2000, 0}, {1000, 6}};
    assert_int_equal(utimensat(AT_FDCWD, p.path, early, 0) | utimensat(AT_FDCWD, wal, late, 0), 0);
    struct sqlite_capture *c;
    struct err err;
    assert_int_equal(sqlite_capture_open(&c, p.path, 100, &err), 0);
    assert_int_equal(sqlite_capture_mtime(c).tv_nsec, 6);
    sqlite_capture_close(c);
    assert_int_equal(utimensat(AT_FDCWD, p.path, (struct timespec[2]){{3000, 0}, {3000, 0}}, 0), 0);
    assert_int_equal(sqlite_capture_open(&c, p.path, 100, &err), 0);
    assert_int_equal(sqlite_capture_mtime(c).tv_sec, 3000);
    sqlite_capture_close(c);
    free(wal);
    place_remove(&p);
}

static void test_sqlite__a_symlink_leads_to_the_wal_too(void **state)
{
    (void)state;
    struct place p = place_make(), q = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 10);
    sql_then_die(&p, "DELETE FROM t");
    assert_int_equal(symlink(p.path, q.path), 0);
    assert_int_equal(image_number(q.path, COUNT), 0);
    place_remove(&p);
    place_remove(&q);
}

static void test_sqlite__a_hot_journal_is_refused(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=DELETE", 1000);
    sql_then_die(&p, "PRAGMA cache_size=5; BEGIN; DELETE FROM t; " FILL_BIG);
    assert_true(size_of(&p, "-journal") > 0);
    expect_open_fails(&p, ERR_FAILED, "open it once with its own program");
    sqlite3 *db = sql_open(p.path);
    assert_int_equal(sql_number(db, COUNT), 1000);
    sqlite3_close(db);
    assert_int_equal(image_number(p.path, COUNT), 1000);
    place_remove(&p);
}

static void test_sqlite__a_finished_journal_is_no_obstacle(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=PERSIST", 50);
    assert_true(size_of(&p, "-journal") > 0);
    assert_int_equal(image_number(p.path, COUNT), 50);
    make(&p, "PRAGMA journal_mode=TRUNCATE; DROP TABLE t", 40);
    assert_int_equal(size_of(&p, "-journal"), 0);
    assert_int_equal(image_number(p.path, COUNT), 40);
    place_remove(&p);
}

static void test_sqlite__an_open_transaction_that_wrote_nothing_yet_is_no_obstacle(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=DELETE", 50);
    struct holder h = hold(&p, "BEGIN IMMEDIATE; DELETE FROM t");
    assert_true(size_of(&p, "-journal") > 0);
    assert_int_equal(image_number(p.path, COUNT), 50);
    let_go(&h);
    place_remove(&p);
}

static void test_sqlite__a_file_half_written_by_a_paused_writer_times_out(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=DELETE", 50);
    struct holder h = hold(&p, "PRAGMA cache_size=5; BEGIN IMMEDIATE; DELETE FROM t; " FILL_BIG);
    os_sleep_ms(50);
    expect_open_fails(&p, ERR_TIMEOUT, "stayed locked");
    struct sqlite_capture *c;
    struct err err = {0};
    assert_int_equal(sqlite_capture_open_insisting(&c, p.path, 50, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    let_go(&h);
    place_remove(&p);
}

static void test_sqlite__a_wal_database_in_exclusive_mode_is_read_without_locks(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=WAL", 50);
    struct holder h = hold(&p, "PRAGMA locking_mode=EXCLUSIVE; DELETE FROM t WHERE id>3");
    assert_int_equal(image_number(p.path, COUNT), 3);
    struct sqlite_capture *c;
    struct image image;
    struct err err = {0};
    assert_int_equal(sqlite_capture_open_insisting(&c, p.path, 50, &err), 0);
    assert_int_equal(image_read(c, 4096, 0, &image, &err), 0);
    free(image.bytes);
    let_go(&h);
    place_remove(&p);
}

/* Opens a big WAL database that another process has open, reads half of it, lets `sql` happen there, and reads on. */
static int copy_across(const struct place *p, bool insist, const char *setup, const char *sql, long long *count_out)
{
    sqlite3 *other;
    struct sqlite_capture *c;
    struct image image = {0};
    struct err err = {0};
    struct holder h = hold(p, setup);
    int rc =
        insist ? sqlite_capture_open_insisting(&c, p->path, 1000, &err) : sqlite_capture_open(&c, p->path, 1000, &err);
    if (rc != 0)
        fail_msg("%s", err.message);
    size_t len = (size_t)sqlite_capture_bytes(c), half = len / 2 / 4096 * 4096;
    assert_true(len > 8 << 20);
    image.bytes = mem_alloc(len);
    image.len = len;
    assert_int_equal(sqlite_capture_read(c, image.bytes, half, &err), half);
    sql_then_die(p, sql);
    rc = sqlite_capture_read(c, image.bytes + half, len - half, &err) == (int64_t)(len - half) ? 0 : -1;
    if (rc == 0)
        rc = sqlite_capture_verify(c, &err);
    if (rc != 0)
        assert_int_equal(err.code, ERR_CHANGED);
    sqlite_capture_close(c);
    let_go(&h);
    if (rc != 0) {
        free(image.bytes);
        return rc;
    }
    other = image_open(&image);
    assert_true(image_is_sound(other));
    *count_out = sql_number(other, COUNT);
    sqlite3_close(other);
    return 0;
}

#define NO_CHECKPOINT "PRAGMA wal_autocheckpoint=0; "

static void test_sqlite__commits_while_reading_do_no_harm(void **state)
{
    (void)state;
    struct place p = place_make();
    long long count = 0;
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    assert_int_equal(copy_across(&p, false, NO_CHECKPOINT "DELETE FROM t WHERE id=5",
                                 NO_CHECKPOINT "DELETE FROM t WHERE id%2", &count),
                     0);
    assert_int_equal(count, 9999);
    place_remove(&p);
}

static void test_sqlite__a_checkpoint_of_what_is_copied_does_no_harm(void **state)
{
    (void)state;
    struct place p = place_make();
    long long count = 0;
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    assert_int_equal(
        copy_across(&p, false, NO_CHECKPOINT "DELETE FROM t WHERE id%7=0", "PRAGMA wal_checkpoint(PASSIVE)", &count),
        0);
    assert_int_equal(count, 10000 - 10000 / 7);
    place_remove(&p);
}

static void test_sqlite__a_checkpoint_of_newer_commits_spoils_the_copy(void **state)
{
    (void)state;
    struct place p = place_make();
    long long count = 0;
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    assert_int_equal(copy_across(&p, false, NO_CHECKPOINT "DELETE FROM t WHERE id%7=0",
                                 NO_CHECKPOINT "DELETE FROM t WHERE id%2; PRAGMA wal_checkpoint(PASSIVE)", &count),
                     -1);
    place_remove(&p);
}

static void test_sqlite__a_truncated_wal_spoils_the_copy(void **state)
{
    (void)state;
    struct place p = place_make();
    long long count = 0;
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    assert_int_equal(
        copy_across(&p, false, NO_CHECKPOINT "DELETE FROM t WHERE id%7=0", "PRAGMA wal_checkpoint(TRUNCATE)", &count),
        -1);
    place_remove(&p);
}

static void test_sqlite__insisting_keeps_checkpoints_away(void **state)
{
    (void)state;
    struct place p = place_make();
    long long count = 0;
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    assert_int_equal(copy_across(&p, true, NO_CHECKPOINT "DELETE FROM t WHERE id%7=0",
                                 "DELETE FROM t WHERE id%2; PRAGMA wal_checkpoint(PASSIVE); DELETE FROM t", &count),
                     0);
    assert_int_equal(count, 10000 - 10000 / 7);
    place_remove(&p);
}

static void test_sqlite__insisting_outlives_a_restart_of_the_wal(void **state)
{
    (void)state;
    struct place p = place_make();
    long long count = 0;
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    /* All of the WAL is in the file before the copy begins: the next writer starts it over. */
    assert_int_equal(copy_across(&p, true, NO_CHECKPOINT "DELETE FROM t WHERE id%7=0; PRAGMA wal_checkpoint(PASSIVE)",
                                 "DELETE FROM t WHERE id%2; PRAGMA wal_checkpoint(PASSIVE); DELETE FROM t", &count),
                     0);
    assert_int_equal(count, 10000 - 10000 / 7);
    place_remove(&p);
}

static void test_sqlite__without_insisting_a_restart_of_the_wal_spoils_the_copy(void **state)
{
    (void)state;
    struct place p = place_make();
    long long count = 0;
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    assert_int_equal(copy_across(&p, false, NO_CHECKPOINT "DELETE FROM t WHERE id%7=0; PRAGMA wal_checkpoint(PASSIVE)",
                                 NO_CHECKPOINT "DELETE FROM t WHERE id%2", &count),
                     -1);
    place_remove(&p);
}

static void test_sqlite__a_commit_that_is_taken_back_spoils_the_copy(void **state)
{
    (void)state;
    struct place p = place_make();
    struct sqlite_capture *c;
    struct err err = {0};
    make(&p, "PRAGMA journal_mode=WAL", 10000);
    sql_then_die(&p, NO_CHECKPOINT "DELETE FROM t WHERE id%7=0");
    off_t first = size_of(&p, "-wal");
    sql_then_die(&p, NO_CHECKPOINT "DELETE FROM t WHERE id%11=0");
    for (int change = 0; change < 2; change++) {
        assert_int_equal(sqlite_capture_open(&c, p.path, 1000, &err), 0);
        unsigned char *bytes = mem_alloc((size_t)sqlite_capture_bytes(c));
        assert_true(sqlite_capture_read(c, bytes, (size_t)sqlite_capture_bytes(c), &err) > 0);
        if (change == 1)
            patch(&p, "-wal", first + 24 + 2000, "taken back", 10);
        assert_int_equal(sqlite_capture_verify(c, &err), change == 1 ? -1 : 0);
        sqlite_capture_close(c);
        free(bytes);
    }
    assert_int_equal(err.code, ERR_CHANGED);
    place_remove(&p);
}

static void test_sqlite__a_write_to_a_rollback_database_spoils_the_copy(void **state)
{
    (void)state;
    struct place p = place_make();
    struct sqlite_capture *c;
    struct image image;
    struct err err = {0};
    make(&p, "PRAGMA journal_mode=DELETE", 10000);
    assert_int_equal(sqlite_capture_open(&c, p.path, 1000, &err), 0);
    sql_then_die(&p, "DELETE FROM t WHERE id=9000");
    assert_int_equal(image_read(c, 65536, 0, &image, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
    place_remove(&p);
}

static void test_sqlite__two_writes_within_one_clock_tick_are_told_apart(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA journal_mode=DELETE", 10000);
    off_t last = size_of(&p, "") - 1;
    for (int i = 0; i < 10; i++) {
        struct sqlite_capture *c;
        struct image image;
        struct err err = {0};
        patch(&p, "", last, "a", 1);
        assert_int_equal(sqlite_capture_open(&c, p.path, 1000, &err), 0);
        patch(&p, "", last, "b", 1);
        assert_int_equal(image_read(c, 1 << 20, 0, &image, &err), -1);
        assert_int_equal(err.code, ERR_CHANGED);
    }
    place_remove(&p);
}

static void test_sqlite__insisting_holds_a_rollback_database_still(void **state)
{
    (void)state;
    struct place p = place_make();
    struct sqlite_capture *c;
    struct image image;
    struct err err = {0};
    make(&p, "PRAGMA journal_mode=DELETE", 10000);
    assert_int_equal(sqlite_capture_open_insisting(&c, p.path, 1000, &err), 0);
    pid_t pid = fork();
    if (pid == 0) {
        sqlite3 *db;
        sqlite3_open(p.path, &db);
        _exit(sqlite3_exec(db, "DELETE FROM t WHERE id=9000", NULL, NULL, NULL) == SQLITE_BUSY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(image_read(c, 65536, 0, &image, &err), 0);
    free(image.bytes);
    sql_then_die(&p, "DELETE FROM t WHERE id=9000"); /* free again */
    place_remove(&p);
}

static void test_sqlite__a_replaced_file_spoils_the_copy(void **state)
{
    (void)state;
    struct place p = place_make(), q = place_make();
    struct sqlite_capture *c;
    struct image image;
    struct err err = {0};
    make(&p, "PRAGMA journal_mode=DELETE", 10000);
    make(&q, "PRAGMA journal_mode=DELETE", 10000);
    assert_int_equal(sqlite_capture_open(&c, p.path, 1000, &err), 0);
    assert_int_equal(rename(q.path, p.path), 0);
    assert_int_equal(image_read(c, 65536, 0, &image, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
    assert_non_null(strstr(err.message, "replaced"));
    place_remove(&p);
    place_remove(&q);
}

static void test_sqlite__the_page_under_the_lock_bytes_is_copied(void **state)
{
    (void)state;
    /* A database of more than 1 GiB, nearly all of it a hole: page numbers after the lock bytes keep their place. */
    struct place p = place_make();
    sqlite3 *db = sql_open(p.path);
    sql_ok(db, "PRAGMA page_size=65536; PRAGMA journal_mode=OFF; CREATE TABLE t(x)");
    sqlite3_close(db);
    const uint32_t pages = (1 << 30) / 65536 + 3;
    unsigned char size[4] = {(unsigned char)(pages >> 24), (unsigned char)(pages >> 16), (unsigned char)(pages >> 8),
                             (unsigned char)pages};
    patch(&p, "", 28, size, 4);
    cut(&p, "", (off_t)pages * 65536);
    patch(&p, "", (off_t)(1 << 30) + 65536, "after", 5);
    struct sqlite_capture *c;
    struct err err = {0};
    assert_int_equal(sqlite_capture_open(&c, p.path, 1000, &err), 0);
    assert_int_equal(sqlite_capture_bytes(c), (uint64_t)pages * 65536);
    unsigned char *piece = mem_alloc(16 << 20);
    uint64_t at = 0;
    int64_t n;
    bool found = false;
    for (; (n = sqlite_capture_read(c, piece, 16 << 20, &err)) > 0; at += (uint64_t)n)
        if (at == 1 << 30)
            found = memcmp(piece + 65536, "after", 5) == 0;
    assert_int_equal(n, 0);
    assert_true(found);
    assert_int_equal(sqlite_capture_verify(c, &err), 0);
    sqlite_capture_close(c);
    free(piece);
    place_remove(&p);
}

static void test_sqlite__refuses_what_is_no_database(void **state)
{
    (void)state;
    struct place p = place_make();
    expect_open_fails(&p, ERR_NOT_FOUND, "cannot open");
    patch(&p, "", 0, "SQLite format 3\0 and no more", 28);
    expect_open_fails(&p, ERR_CORRUPT, "not a SQLite database");
    place_remove(&p);
}

static void test_sqlite__refuses_a_newer_version(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA user_version=1", 1);
    patch(&p, "", 18, "\3\3", 2);
    expect_open_fails(&p, ERR_UNSUPPORTED, "format version 3");
    place_remove(&p);
}

static void test_sqlite__refuses_a_file_cut_short(void **state)
{
    (void)state;
    struct place p = place_make();
    make(&p, "PRAGMA user_version=1", 100);
    cut(&p, "", size_of(&p, "") - 4096);
    expect_open_fails(&p, ERR_CORRUPT, "cut short");
    place_remove(&p);
}

static void test_sqlite__tells_databases_by_their_header(void **state)
{
    (void)state;
    unsigned char head[100] = "SQLite format 3";
    head[16] = 0x10;
    head[18] = head[19] = 1;
    head[21] = 64;
    head[22] = head[23] = 32;
    assert_true(sqlite_is_database(head, sizeof head));
    assert_false(sqlite_is_database(head, sizeof head - 1));
    assert_false(sqlite_is_database(head, 0));
    static const struct {
        size_t at;
        unsigned char value;
        bool yes;
    } changes[] = {{0, 's', false}, {15, ' ', false}, {16, 0x11, false}, {16, 0, false},
                   {16, 1, false},  {17, 1, false},   {21, 65, false},   {22, 0, false},
                   {23, 0, false},  {19, 9, true},    {20, 255, true},   {50, 77, true}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        unsigned char changed[100];
        memcpy(changed, head, sizeof changed);
        changed[changes[i].at] = changes[i].value;
        if (changes[i].at == 16 && changes[i].value == 1)
            changed[17] = 0x80; /* 384 */
        assert_int_equal(sqlite_is_database(changed, sizeof changed), changes[i].yes);
    }
    head[16] = 0;
    head[17] = 1; /* 65,536 */
    assert_true(sqlite_is_database(head, sizeof head));
    head[16] = 2;
    head[17] = 0;
    head[20] = 33; /* leaves fewer than 480 bytes of a page of 512 */
    assert_false(sqlite_is_database(head, sizeof head));
}

static void test_sqlite__cuts_grow_with_the_file(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20, gib = 1 << 30;
    assert_int_equal(sqlite_cut_bytes(0, 512), 4096);
    assert_int_equal(sqlite_cut_bytes(0, 8192), 8192);
    assert_int_equal(sqlite_cut_bytes(16 * mib - 1, 4096), 4096);
    assert_int_equal(sqlite_cut_bytes(16 * mib, 4096), 8192);
    assert_int_equal(sqlite_cut_bytes(64 * mib, 4096), 16384);
    assert_int_equal(sqlite_cut_bytes(256 * mib - 1, 4096), 16384);
    assert_int_equal(sqlite_cut_bytes(256 * mib, 4096), 32768);
    assert_int_equal(sqlite_cut_bytes(16 * gib, 4096), 65536);
    assert_int_equal(sqlite_cut_bytes(256 * gib, 4096), 131072);
    assert_int_equal(sqlite_cut_bytes(5, 65536), 65536);
    assert_int_equal(sqlite_cut_bytes(256 * gib, 65536), 131072);
}

static void test_sqlite__closing_nothing_is_nothing(void **state)
{
    (void)state;
    sqlite_capture_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlite__copies_every_page_size),
        cmocka_unit_test(test_sqlite__a_copy_of_a_resting_file_is_the_file),
        cmocka_unit_test(test_sqlite__a_database_of_one_page),
        cmocka_unit_test(test_sqlite__a_wal_holds_everything_but_the_first_page),
        cmocka_unit_test(test_sqlite__an_empty_wal_is_none),
        cmocka_unit_test(test_sqlite__a_wal_with_a_bad_header_is_none),
        cmocka_unit_test(test_sqlite__garbage_after_the_last_commit_is_ignored),
        cmocka_unit_test(test_sqlite__a_torn_commit_is_not_taken),
        cmocka_unit_test(test_sqlite__uncommitted_frames_are_not_taken),
        cmocka_unit_test(test_sqlite__a_wal_may_grow_or_shrink_the_database),
        cmocka_unit_test(test_sqlite__a_long_wal_of_few_pages),
        cmocka_unit_test(test_sqlite__a_wal_of_another_page_size_is_damage),
        cmocka_unit_test(test_sqlite__a_wal_in_the_other_byte_order),
        cmocka_unit_test(test_sqlite__a_wal_of_a_newer_format_is_refused),
        cmocka_unit_test(test_sqlite__nothing_is_created_or_touched),
        cmocka_unit_test(test_sqlite__mtime_is_the_newer_of_database_and_wal),
        cmocka_unit_test(test_sqlite__a_symlink_leads_to_the_wal_too),
        cmocka_unit_test(test_sqlite__a_hot_journal_is_refused),
        cmocka_unit_test(test_sqlite__a_finished_journal_is_no_obstacle),
        cmocka_unit_test(test_sqlite__an_open_transaction_that_wrote_nothing_yet_is_no_obstacle),
        cmocka_unit_test(test_sqlite__a_file_half_written_by_a_paused_writer_times_out),
        cmocka_unit_test(test_sqlite__a_wal_database_in_exclusive_mode_is_read_without_locks),
        cmocka_unit_test(test_sqlite__commits_while_reading_do_no_harm),
        cmocka_unit_test(test_sqlite__a_checkpoint_of_what_is_copied_does_no_harm),
        cmocka_unit_test(test_sqlite__a_checkpoint_of_newer_commits_spoils_the_copy),
        cmocka_unit_test(test_sqlite__a_truncated_wal_spoils_the_copy),
        cmocka_unit_test(test_sqlite__insisting_keeps_checkpoints_away),
        cmocka_unit_test(test_sqlite__insisting_outlives_a_restart_of_the_wal),
        cmocka_unit_test(test_sqlite__without_insisting_a_restart_of_the_wal_spoils_the_copy),
        cmocka_unit_test(test_sqlite__a_commit_that_is_taken_back_spoils_the_copy),
        cmocka_unit_test(test_sqlite__a_write_to_a_rollback_database_spoils_the_copy),
        cmocka_unit_test(test_sqlite__two_writes_within_one_clock_tick_are_told_apart),
        cmocka_unit_test(test_sqlite__insisting_holds_a_rollback_database_still),
        cmocka_unit_test(test_sqlite__a_replaced_file_spoils_the_copy),
        cmocka_unit_test(test_sqlite__the_page_under_the_lock_bytes_is_copied),
        cmocka_unit_test(test_sqlite__refuses_what_is_no_database),
        cmocka_unit_test(test_sqlite__refuses_a_newer_version),
        cmocka_unit_test(test_sqlite__refuses_a_file_cut_short),
        cmocka_unit_test(test_sqlite__tells_databases_by_their_header),
        cmocka_unit_test(test_sqlite__cuts_grow_with_the_file),
        cmocka_unit_test(test_sqlite__closing_nothing_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
