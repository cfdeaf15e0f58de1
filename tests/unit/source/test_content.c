#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "os/clock.h"
#include "os/file.h"
#include "source/files.h"
#include "source/recording_sink.h"

/* Each test has one file "f" in a directory, read once through the source. */
struct one {
    struct place place;
    struct recorder recorder;
};

static int setup(void **state)
{
    struct one *o = mem_zalloc(sizeof *o);
    place_make(&o->place);
    recorder_make(&o->recorder, &o->place);
    o->recorder.read_files = true;
    *state = o;
    return 0;
}

static int teardown(void **state)
{
    struct one *o = *state;
    recorder_release(&o->recorder);
    place_remove(&o->place);
    free(o);
    return 0;
}

static void run(struct one *o, const char *name, struct files_options options)
{
    struct strlist paths = {0};
    struct err err = {0};
    char *full = name[0] == '/' ? mem_strdup(name) : place_path(&o->place, name);
    strlist_add(&paths, full);
    options.paths = &paths;
    options.threads = 1;
    struct files *f;
    assert_int_equal(files_new(&f, &options, &o->recorder.reporter, &err), 0);
    assert_int_equal(files_run(f, &o->recorder.sink, &err), 0);
    files_free(f);
    free(full);
    strlist_release(&paths);
}

static void assert_content(struct one *o, const void *bytes, size_t len)
{
    assert_int_equal(o->recorder.content.len, len);
    if (len > 0)
        assert_memory_equal(o->recorder.content.data, bytes, len);
}

static unsigned char *noise(size_t len)
{
    unsigned char *p = mem_alloc(len);
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (unsigned char)(x >> 24);
    }
    return p;
}

static void test_content__reads_files_of_every_size(void **state)
{
    struct one *o = *state;
    static const size_t SIZES[] = {0, 1, 99, 511, 512, 4096, 32767, 32768, 32769, 131072, 131073, 1000000};
    static const size_t CAPS[] = {7, 4096, 32768, 1 << 20};
    unsigned char *bytes = noise(1000000);
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        place_bytes(&o->place, "f", bytes, SIZES[i]);
        for (size_t c = 0; c < sizeof CAPS / sizeof CAPS[0]; c++) {
            o->recorder.read_cap = CAPS[c];
            run(o, "f", (struct files_options){0});
            assert_content(o, bytes, SIZES[i]);
            assert_int_equal(o->recorder.last.size, SIZES[i]);
            assert_int_equal(o->recorder.attempts, 1);
            assert_int_equal(o->recorder.cut, SINK_CUT_FORMAT);
            assert_false(o->recorder.last_always);
        }
    }
    assert_int_equal(o->recorder.reports.len, 0);
    free(bytes);
}

static void test_content__cuts_finely_what_grows(void **state)
{
    struct one *o = *state;
    struct filter *growing = filter_new();
    assert_int_equal(filter_add(growing, "*.jsonl", false, NULL), 0);
    place_file(&o->place, "a.jsonl", "{}");
    run(o, "a.jsonl", (struct files_options){.fine_cut = growing});
    assert_int_equal(o->recorder.cut, SINK_CUT_GROWING);
    place_file(&o->place, "a.json", "{}");
    run(o, "a.json", (struct files_options){.fine_cut = growing});
    assert_int_equal(o->recorder.cut, SINK_CUT_FORMAT);
    filter_free(growing);
}

static void test_content__leaves_the_access_time_alone(void **state)
{
    struct one *o = *state;
    place_file(&o->place, "f", "text");
    const struct timespec times[2] = {{1000, 0}, {2000, 0}};
    assert_int_equal(utimensat(o->place.fd, "f", times, 0), 0);
    run(o, "", (struct files_options){0});
    struct stat st;
    assert_int_equal(fstatat(o->place.fd, "f", &st, 0), 0);
    assert_int_equal(st.st_atim.tv_sec, 1000);
}

/* stat says that it is empty, and it is not. */
static void test_content__reads_files_of_unknown_size_to_the_end(void **state)
{
    struct one *o = *state;
    struct buf expected;
    buf_init(&expected, 1 << 20);
    assert_int_equal(os_read_file("/proc/version", &expected, NULL), 0);
    run(o, "/proc/version", (struct files_options){0});
    assert_content(o, expected.data, expected.len);
    assert_int_equal(o->recorder.last.size, expected.len);
    buf_release(&expected);
}

static void test_content__skips_holes(void **state)
{
    struct one *o = *state;
    place_bytes(&o->place, "f", "begin", 5);
    int fd = openat(o->place.fd, "f", O_WRONLY);
    assert_int_equal(pwrite(fd, "middle", 6, 4 << 20), 6);
    assert_int_equal(ftruncate(fd, 9 << 20), 0);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    if (st.st_blocks * 512 >= st.st_size) {
        print_message("no sparse files here\n");
        skip();
    }
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.hole_bytes + o->recorder.content.len, 9 << 20);
    assert_true(o->recorder.hole_bytes >= (8 << 20));
    assert_memory_equal(o->recorder.content.data, "begin", 5);
    assert_int_equal(o->recorder.last.size, 9 << 20);

    fd = openat(o->place.fd, "f", O_WRONLY | O_TRUNC);
    assert_int_equal(ftruncate(fd, 3 << 20), 0); /* nothing but a hole */
    close(fd);
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.hole_bytes + o->recorder.content.len, 3 << 20);
}

/* ---- files that change */

static void append_before_finish(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)attempt;
    if (step == 1)
        place_append(r->place, "f", "{\"line\":2}\n");
}

static void test_content__keeps_the_first_part_of_a_file_that_grew(void **state)
{
    struct one *o = *state;
    place_file(&o->place, "f", "{\"line\":1}\n");
    const struct timespec times[2] = {{1000, 0}, {2000, 0}};
    assert_int_equal(utimensat(o->place.fd, "f", times, 0), 0);
    o->recorder.meanwhile = append_before_finish;
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.attempts, 1);
    assert_content(o, "{\"line\":1}\n", 11);
    assert_int_equal(o->recorder.last.size, 11);
    assert_int_equal(o->recorder.last.mtime.tv_sec, 2000);
    assert_int_equal(o->recorder.reports.len, 0);
}

static void rewrite_once(struct recorder *r, unsigned attempt, unsigned step)
{
    if (step == 1 && attempt == 1)
        place_file(r->place, "f", "second content");
}

static void test_content__reads_a_changed_file_again(void **state)
{
    struct one *o = *state;
    place_file(&o->place, "f", "first one, long");
    o->recorder.meanwhile = rewrite_once;
    run(o, "f", (struct files_options){.with_atime = true});
    assert_int_equal(o->recorder.attempts, 2);
    assert_content(o, "second content", 14);
    assert_int_equal(o->recorder.last.size, 14);
    assert_int_equal(o->recorder.reports.len, 0);
    struct stat st;
    assert_int_equal(fstatat(o->place.fd, "f", &st, 0), 0);
    assert_int_equal(o->recorder.last.mtime.tv_nsec, st.st_mtim.tv_nsec);
    /* The ctime is that of the scan, so that the next run asks again for what was not asked again now. */
    assert_true(o->recorder.last.ctime.tv_nsec != st.st_ctim.tv_nsec ||
                o->recorder.last.ctime.tv_sec != st.st_ctim.tv_sec);
}

static void rewrite_always(struct recorder *r, unsigned attempt, unsigned step)
{
    char text[] = "content of attempt 0";
    text[sizeof text - 2] = (char)('0' + attempt);
    if (step == 1) {
        usleep(20000);
        place_file(r->place, "f", text);
    }
}

static void test_content__keeps_the_last_reading_of_a_file_that_always_changes(void **state)
{
    struct one *o = *state;
    place_file(&o->place, "f", "content of attempt 0");
    o->recorder.meanwhile = rewrite_always;
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.attempts, 3);
    assert_content(o, "content of attempt 2", 20);
    assert_string_equal(buf_cstr(&o->recorder.reports), "warning f: changed while it was read\n");
}

static void shrink(struct recorder *r, unsigned attempt, unsigned step)
{
    if (step == 0 && attempt == 1)
        assert_int_equal(truncate("/proc/self/cwd/f", 50000), 0);
    (void)r;
}

static void test_content__reads_a_file_that_shrank_again(void **state)
{
    struct one *o = *state;
    unsigned char *bytes = noise(400000);
    place_bytes(&o->place, "f", bytes, 400000);
    int cwd = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(fchdir(o->place.fd), 0);
    o->recorder.meanwhile = shrink;
    run(o, "f", (struct files_options){0});
    assert_int_equal(fchdir(cwd), 0);
    close(cwd);
    assert_int_equal(o->recorder.attempts, 2);
    assert_content(o, bytes, 50000);
    assert_int_equal(o->recorder.last.size, 50000);
    assert_int_equal(o->recorder.reports.len, 0);
    free(bytes);
}

static void replace_file(struct recorder *r, unsigned attempt, unsigned step)
{
    if (step != 0 || attempt != 1)
        return;
    place_file(r->place, "new", "new content");
    assert_int_equal(renameat(r->place->fd, "new", r->place->fd, "f"), 0);
}

/* What was opened is whole, whatever happened to its name. */
static void test_content__keeps_a_file_that_lost_its_name(void **state)
{
    struct one *o = *state;
    place_file(&o->place, "f", "old content");
    o->recorder.meanwhile = replace_file;
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.attempts, 1);
    assert_content(o, "old content", 11);
}

/* ---- names that change between scan and open */

/* Changes "z" while "a" is read: the scan has seen both. */
static void remove_z(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)attempt;
    if (step == 0)
        (void)unlinkat(r->place->fd, "z", 0);
}

static void link_z(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)attempt;
    if (step == 0 && unlinkat(r->place->fd, "z", 0) == 0)
        (void)symlinkat("a", r->place->fd, "z");
}

static void pipe_z(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)attempt;
    if (step == 0 && unlinkat(r->place->fd, "z", 0) == 0)
        (void)mkfifoat(r->place->fd, "z", 0600);
}

static void replace_z(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)attempt;
    if (step == 0 && faccessat(r->place->fd, "replaced", F_OK, 0) != 0) {
        place_file(r->place, "new", "of another inode");
        assert_int_equal(fchmodat(r->place->fd, "new", 0604, 0), 0);
        assert_int_equal(renameat(r->place->fd, "new", r->place->fd, "z"), 0);
        place_file(r->place, "replaced", "");
    }
}

static enum err_code run_with_z(struct one *o, void (*meanwhile)(struct recorder *r, unsigned attempt, unsigned step))
{
    place_file(&o->place, "a", "first");
    place_file(&o->place, "z", "last");
    o->recorder.open_error = ERR_NONE;
    o->recorder.meanwhile = meanwhile;
    run(o, "", (struct files_options){0});
    return o->recorder.open_error;
}

static void test_content__says_that_a_file_vanished(void **state)
{
    assert_int_equal(run_with_z(*state, remove_z), ERR_NOT_FOUND);
}

static void test_content__never_opens_what_is_no_file_any_more(void **state)
{
    assert_int_equal(run_with_z(*state, link_z), ERR_CHANGED);
    assert_int_equal(unlinkat(((struct one *)*state)->place.fd, "z", 0), 0);
    assert_int_equal(run_with_z(*state, pipe_z), ERR_CHANGED);
}

static void test_content__takes_a_file_that_was_replaced_with_its_metadata(void **state)
{
    struct one *o = *state;
    struct stat old;
    place_file(&o->place, "z", "last");
    assert_int_equal(fstatat(o->place.fd, "z", &old, 0), 0);
    assert_int_equal(run_with_z(o, replace_z), ERR_NONE);
    assert_content(o, "of another inode", 16);
    assert_int_equal(o->recorder.last.size, 16);
    assert_int_equal(o->recorder.last.mode, 0604);
    assert_int_equal(o->recorder.last.inode, old.st_ino); /* so that the next run finds it changed */
}

static void test_content__honours_the_rate_limit(void **state)
{
    struct one *o = *state;
    unsigned char *bytes = noise(200000);
    place_bytes(&o->place, "f", bytes, 200000);
    uint64_t start = os_monotonic_ns();
    run(o, "f", (struct files_options){.limit_read_bytes_per_s = 500000});
    assert_true(os_monotonic_ns() - start > 250000000u); /* 0.4 s less the burst */
    assert_content(o, bytes, 200000);
    free(bytes);
}

/* ---- SQLite */

static void exec(sqlite3 *db, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
}

/* A database of a few hundred KB. In WAL mode its newest rows are in the -wal. */
static sqlite3 *make_database(struct one *o, const char *mode)
{
    char *path = place_path(&o->place, "f"), sql[64];
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    free(path);
    snprintf(sql, sizeof sql, "PRAGMA journal_mode=%s", mode);
    exec(db, sql);
    exec(db, "PRAGMA wal_autocheckpoint=0");
    exec(db, "CREATE TABLE t(x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) "
             "INSERT INTO t SELECT hex(randomblob(50)) FROM n");
    return db;
}

/* The rows of a copy, which must be sound. */
static int count_rows(struct one *o)
{
    place_bytes(&o->place, "copy", o->recorder.content.data, o->recorder.content.len);
    char *path = place_path(&o->place, "copy");
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_string_equal(sqlite3_column_text(s, 0), "ok");
    sqlite3_finalize(s);
    assert_int_equal(sqlite3_prepare_v2(db, "SELECT count(*) FROM t", -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int rows = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    unlink(path);
    free(path);
    return rows;
}

static void test_content__captures_a_live_database_with_its_wal(void **state)
{
    struct one *o = *state;
    sqlite3 *db = make_database(o, "WAL");
    run(o, "", (struct files_options){0});
    assert_non_null(strstr(buf_cstr(&o->recorder.order), "/\nf\n/\n"));
    assert_non_null(strstr(buf_cstr(&o->recorder.reports), "excluded f-wal: part of the SQLite database beside it\n"));
    assert_non_null(strstr(buf_cstr(&o->recorder.reports), "excluded f-shm"));
    assert_true(o->recorder.last_always);
    assert_int_equal(o->recorder.cut, SINK_CUT_FIXED);
    assert_int_equal(o->recorder.cut_bytes % 4096, 0);
    assert_int_equal(o->recorder.last.size, o->recorder.content.len);
    assert_int_equal(count_rows(o), 2000);
    run(o, "f", (struct files_options){.limit_read_bytes_per_s = 1 << 30}); /* given by itself */
    assert_true(o->recorder.last_always);
    assert_int_equal(count_rows(o), 2000);
    sqlite3_close(db);
}

static void test_content__trusts_the_stat_of_a_database_at_rest(void **state)
{
    struct one *o = *state;
    sqlite3 *db = make_database(o, "DELETE");
    sqlite3_close(db);
    place_file(&o->place, "f-wal", "");
    run(o, "", (struct files_options){0});
    assert_string_equal(buf_cstr(&o->recorder.order), "/\nf\n/\n");
    assert_false(o->recorder.last_always);
    assert_int_equal(o->recorder.cut, SINK_CUT_FIXED);
    assert_int_equal(count_rows(o), 2000);
}

static void test_content__keeps_siblings_of_what_is_no_database(void **state)
{
    struct one *o = *state;
    place_file(&o->place, "f", "no database at all");
    place_file(&o->place, "f-wal", "1");
    place_file(&o->place, "f-journal", "2");
    place_file(&o->place, "alone-shm", "3");
    place_file(&o->place, "-wal", "4");
    place_dir(&o->place, "dir");
    place_file(&o->place, "dir-wal", "5");
    run(o, "", (struct files_options){0});
    assert_string_equal(buf_cstr(&o->recorder.order), "/\n-wal\nalone-shm\ndir/\n/\ndir-wal\nf\nf-journal\nf-wal\n/\n");
    assert_int_equal(o->recorder.reports.len, 0);
}

static void test_content__copies_databases_plainly_on_request(void **state)
{
    struct one *o = *state;
    sqlite3 *db = make_database(o, "WAL");
    run(o, "", (struct files_options){.ignore_sqlite = true});
    assert_string_equal(buf_cstr(&o->recorder.order), "/\nf\nf-shm\nf-wal\n/\n");
    assert_int_equal(o->recorder.cut, SINK_CUT_FORMAT);
    sqlite3_close(db);
}

/* A sound header, and less behind it than it promises. */
enum { DAMAGED_BYTES = 40000 };

static void make_damaged(struct one *o)
{
    sqlite3_close(make_database(o, "DELETE"));
    char *path = place_path(&o->place, "f");
    assert_int_equal(truncate(path, DAMAGED_BYTES), 0);
    free(path);
}

static void test_content__stores_a_damaged_database_as_it_is(void **state)
{
    struct one *o = *state;
    make_damaged(o);
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.open_error, ERR_NONE);
    assert_int_equal(o->recorder.content.len, DAMAGED_BYTES);
    assert_int_equal(o->recorder.last.size, DAMAGED_BYTES);
    assert_int_equal(o->recorder.cut, SINK_CUT_FORMAT);
    assert_string_equal(buf_cstr(&o->recorder.reports),
                        "warning f: looks like a SQLite database but is damaged; stored as it is\n");
}

static void test_content__refuses_a_damaged_database_with_data_beside_it(void **state)
{
    struct one *o = *state;
    make_damaged(o);
    place_file(&o->place, "f-wal", "data");
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.open_error, ERR_CORRUPT);
    assert_int_equal(o->recorder.content.len, 0);
}

static void damage_again(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)attempt;
    if (step == 1) {
        int fd = openat(r->place->fd, "f", O_WRONLY);
        usleep(20000);
        assert_int_equal(pwrite(fd, "x", 1, 30000), 1);
        close(fd);
    }
}

static void test_content__never_keeps_a_damaged_database_that_changes(void **state)
{
    struct one *o = *state;
    make_damaged(o);
    o->recorder.meanwhile = damage_again;
    run(o, "f", (struct files_options){0});
    assert_int_equal(o->recorder.attempts, 3);
    assert_int_equal(o->recorder.open_error, ERR_CHANGED);
}

static sqlite3 *writer;

static void write_row(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)r;
    if (step == 1 && attempt < 3) {
        usleep(20000);
        (void)sqlite3_exec(writer, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
    }
}

static void test_content__captures_a_database_that_is_written_to(void **state)
{
    struct one *o = *state;
    static const char *const MODES[] = {"DELETE", "WAL"};
    for (size_t i = 0; i < 2; i++) {
        writer = make_database(o, MODES[i]);
        o->recorder.meanwhile = write_row;
        o->recorder.open_error = ERR_NONE;
        run(o, "f", (struct files_options){0});
        sqlite3_close(writer);
        assert_int_equal(o->recorder.open_error, ERR_NONE);
        assert_true(count_rows(o) >= 2000);
        assert_int_equal(unlinkat(o->place.fd, "f", 0), 0);
    }
}

/* Larger than what is read in one go when it is opened. */
static void make_large_database(struct one *o)
{
    writer = make_database(o, "DELETE");
    exec(writer, "INSERT INTO t VALUES(zeroblob(12000000))");
}

static unsigned writes; /* how many attempts are disturbed */

static void write_at_start(struct recorder *r, unsigned attempt, unsigned step)
{
    (void)r;
    if (step == 0 && attempt <= writes)
        (void)sqlite3_exec(writer, "UPDATE t SET x = hex(randomblob(50)) WHERE rowid % 7 = 0 AND rowid <= 2000", NULL,
                           NULL, NULL);
}

static void test_content__captures_a_database_again_that_changed_meanwhile(void **state)
{
    struct one *o = *state;
    make_large_database(o);
    writes = 1;
    o->recorder.meanwhile = write_at_start;
    run(o, "f", (struct files_options){0});
    sqlite3_close(writer);
    assert_int_equal(o->recorder.open_error, ERR_NONE);
    assert_int_equal(o->recorder.attempts, 2);
    assert_int_equal(count_rows(o), 2001);
}

/* A writer that never rests is held off by the locks of the second attempt. */
static void test_content__captures_a_database_that_never_rests(void **state)
{
    struct one *o = *state;
    make_large_database(o);
    writes = 3;
    o->recorder.meanwhile = write_at_start;
    run(o, "f", (struct files_options){0});
    sqlite3_close(writer);
    assert_int_equal(o->recorder.open_error, ERR_NONE);
    assert_int_equal(o->recorder.attempts, 2);
    assert_int_equal(count_rows(o), 2001);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_content__reads_files_of_every_size),
        TEST(test_content__cuts_finely_what_grows),
        TEST(test_content__leaves_the_access_time_alone),
        TEST(test_content__reads_files_of_unknown_size_to_the_end),
        TEST(test_content__skips_holes),
        TEST(test_content__keeps_the_first_part_of_a_file_that_grew),
        TEST(test_content__reads_a_changed_file_again),
        TEST(test_content__keeps_the_last_reading_of_a_file_that_always_changes),
        TEST(test_content__reads_a_file_that_shrank_again),
        TEST(test_content__keeps_a_file_that_lost_its_name),
        TEST(test_content__says_that_a_file_vanished),
        TEST(test_content__never_opens_what_is_no_file_any_more),
        TEST(test_content__takes_a_file_that_was_replaced_with_its_metadata),
        TEST(test_content__honours_the_rate_limit),
        TEST(test_content__captures_a_live_database_with_its_wal),
        TEST(test_content__trusts_the_stat_of_a_database_at_rest),
        TEST(test_content__keeps_siblings_of_what_is_no_database),
        TEST(test_content__copies_databases_plainly_on_request),
        TEST(test_content__stores_a_damaged_database_as_it_is),
        TEST(test_content__refuses_a_damaged_database_with_data_beside_it),
        TEST(test_content__never_keeps_a_damaged_database_that_changes),
        TEST(test_content__captures_a_database_that_is_written_to),
        TEST(test_content__captures_a_database_again_that_changed_meanwhile),
        TEST(test_content__captures_a_database_that_never_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
