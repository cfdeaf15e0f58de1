#include "source/sqlite_source.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

#include "os/file.h"
#include "source/collecting_sink.h"

static char root[64];

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/clawback-sqlite-XXXXXX");
    return mkdtemp(root) == NULL;
}

static const char *const names[] = {"a.db", "a.db-wal", "a.db-shm", "b.db", "text", "empty", "link", "out.db", "torn"};

static char *path_of(const char *name)
{
    return mem_printf("%s/%s", root, name);
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = path_of(names[i]);
        unlink(path);
        free(path);
    }
    return rmdir(root);
}

static void run_sql(const char *name, const char *sql)
{
    sqlite3 *db;
    char *path = path_of(name);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(path);
}

static void write_file(const char *name, const char *text)
{
    char *path = path_of(name);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0644, NULL), 0);
    free(path);
}

/* The source of these (NULL-terminated) pushed into the collector. The code of what push says. */
static enum err_code push(struct collector *c, struct err *err, const char *const *wanted)
{
    struct strlist paths = {0};
    struct source *s;
    collector_init(c, 1000);
    for (; *wanted != NULL; wanted++) {
        char *path = path_of(*wanted);
        strlist_add(&paths, path);
        free(path);
    }
    assert_int_equal(sqlite_source_new(&s, &paths, 0, err), 0);
    assert_true(s->strict);
    strlist_release(&paths);
    int rc = source_push(s, &c->sink, &c->reporter, err);
    source_free(s);
    return rc == 0 ? ERR_NONE : err->code;
}
#define PUSH(c, err, ...) push(c, err, (const char *const[]){__VA_ARGS__, NULL})

/* The number in the first row of the stored copy. */
static int first_number(const struct collected *f, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    char *path = path_of("out.db");
    assert_int_equal(os_write_file_atomic(path, f->bytes.data, f->bytes.len, 0644, NULL), 0);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int n = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    free(path);
    return n;
}

static void test_sqlite_source__captures_what_is_in_the_wal(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    sqlite3 *writer;
    char *path = path_of("a.db");
    assert_int_equal(sqlite3_open(path, &writer), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(writer, "pragma journal_mode=wal; create table t(x); insert into t values(7)", NULL, NULL, NULL),
        SQLITE_OK);
    run_sql("b.db", "create table t(x); insert into t values(8)");
    assert_int_equal(PUSH(&c, &err, "b.db", "a.db", "b.db"), ERR_NONE);
    assert_int_equal(c.count, 2); /* neither what lies beside it, nor one of them twice */
    const struct collected *a = collector_find(&c, path);
    assert_non_null(a);
    assert_int_equal(a->err.code, ERR_NONE);
    assert_int_equal(a->cut, SINK_CUT_FIXED);
    assert_int_equal(first_number(a, "select x from t"), 7);
    assert_int_equal(first_number(&c.files[1], "select x from t"), 8);
    assert_int_equal(c.depth, 0);
    assert_string_equal(buf_cstr(&c.warnings), "");
    collector_release(&c);
    sqlite3_close(writer);
    free(path);
}

static void test_sqlite_source__follows_a_symlink_to_where_the_database_lies(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    char *link = path_of("link"), *path = path_of("b.db");
    run_sql("b.db", "create table if not exists t(x)");
    assert_int_equal(symlink("b.db", link), 0);
    assert_int_equal(PUSH(&c, &err, "link", "b.db"), ERR_NONE);
    assert_int_equal(c.count, 1);
    assert_string_equal(c.files[0].path, path);
    collector_release(&c);
    free(link);
    free(path);
}

static void assert_refused(const char *name, const char *word)
{
    struct collector c;
    struct err err = {0};
    run_sql("b.db", "create table if not exists t(x)");
    assert_int_equal(PUSH(&c, &err, "b.db", name), ERR_FAILED);
    if (strstr(err.message, word) == NULL)
        fail_msg("'%s' is not in '%s'", word, err.message);
    assert_int_equal(c.count, 0);
    collector_release(&c);
}

static void test_sqlite_source__what_is_named_must_be_a_database(void **state)
{
    (void)state;
    write_file("text", "only some text that is longer than the header of a SQLite database, which has 100 bytes, "
                       "among them the magic at its start");
    write_file("empty", "");
    assert_refused("nothing", "does not exist");
    assert_refused("b.db/nothing", "does not exist");
    assert_refused("text", "no SQLite database");
    assert_refused("empty", "empty");
    struct collector c;
    struct err err = {0};
    assert_int_not_equal(PUSH(&c, &err, ""), ERR_NONE); /* a directory */
    collector_release(&c);
}

static void test_sqlite_source__a_damaged_one_is_an_error_and_no_plain_copy(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    char *path = path_of("torn");
    struct buf bytes;
    buf_init(&bytes, 1 << 20);
    run_sql("b.db", "create table if not exists t(x); create table if not exists u(x)");
    char *whole = path_of("b.db");
    assert_int_equal(os_read_file(whole, &bytes, NULL), 0);
    assert_true(bytes.len >= 8192);
    assert_int_equal(os_write_file_atomic(path, bytes.data, bytes.len - 4096 - 100, 0644, NULL), 0);
    assert_int_equal(PUSH(&c, &err, "torn"), ERR_NONE);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.files[0].err.code, ERR_CORRUPT);
    assert_int_equal(c.files[0].bytes.len, 0);
    assert_string_equal(buf_cstr(&c.warnings), "");
    collector_release(&c);
    buf_release(&bytes);
    free(whole);
    free(path);
}

static void test_sqlite_source__refuses_paths_that_are_none(void **state)
{
    (void)state;
    struct strlist none = {0}, relative = {0};
    struct source *s;
    struct err err = {0};
    strlist_add(&relative, "a.db");
    assert_int_equal(sqlite_source_new(&s, &none, 0, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(sqlite_source_new(&s, &relative, 0, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    strlist_release(&relative);
}

/* A sink that hands a content back unread, as one does that has failed. */
static int forgetful_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                           struct err *err)
{
    (void)s;
    (void)node;
    (void)path;
    content->release(content->ctx);
    return err_set(err, ERR_NO_SPACE, "the sink is full");
}

static int forgetful_dir(struct sink *s, const struct node *dir, struct err *err)
{
    (void)s;
    (void)dir;
    (void)err;
    return 0;
}

static void test_sqlite_source__passes_a_failing_sink_on(void **state)
{
    (void)state;
    static const struct sink_ops ops = {.dir_begin = forgetful_dir, .entry = forgetful_entry};
    struct sink sink = {.ops = &ops};
    struct collector c;
    struct strlist paths = {0};
    struct source *s;
    struct err err = {0};
    char *path = path_of("b.db");
    run_sql("b.db", "create table if not exists t(x)");
    collector_init(&c, 10);
    strlist_add(&paths, path);
    assert_int_equal(sqlite_source_new(&s, &paths, 0, &err), 0);
    assert_int_equal(source_push(s, &sink, &c.reporter, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    source_free(s);
    strlist_release(&paths);
    collector_release(&c);
    free(path);
}

/* A sink that opens a file only when it is gone. */
static enum err_code late_code;
static int late_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                      struct err *err)
{
    struct sink_stream stream;
    struct node copy = *node;
    (void)s;
    unlink(path);
    assert_int_equal(content->open(content->ctx, 1, &copy, &stream, err), -1);
    late_code = err->code;
    content->release(content->ctx);
    return 0;
}

static int ignored_end(struct sink *s, struct err *err)
{
    (void)s;
    (void)err;
    return 0;
}

static void test_sqlite_source__one_that_vanishes_is_an_error(void **state)
{
    (void)state;
    static const struct sink_ops ops = {.dir_begin = forgetful_dir, .entry = late_entry, .dir_end = ignored_end};
    struct sink sink = {.ops = &ops};
    struct collector c;
    struct strlist paths = {0};
    struct source *s;
    struct err err = {0};
    char *path = path_of("b.db");
    run_sql("b.db", "create table if not exists t(x)");
    collector_init(&c, 10);
    strlist_add(&paths, path);
    assert_int_equal(sqlite_source_new(&s, &paths, 0, &err), 0);
    assert_int_equal(source_push(s, &sink, &c.reporter, &err), 0);
    assert_int_equal(late_code, ERR_FAILED); /* NOT_FOUND would mean to a sink that all is well */
    source_free(s);
    strlist_release(&paths);
    collector_release(&c);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqlite_source__captures_what_is_in_the_wal),
        cmocka_unit_test(test_sqlite_source__follows_a_symlink_to_where_the_database_lies),
        cmocka_unit_test(test_sqlite_source__what_is_named_must_be_a_database),
        cmocka_unit_test(test_sqlite_source__a_damaged_one_is_an_error_and_no_plain_copy),
        cmocka_unit_test(test_sqlite_source__refuses_paths_that_are_none),
        cmocka_unit_test(test_sqlite_source__passes_a_failing_sink_on),
        cmocka_unit_test(test_sqlite_source__one_that_vanishes_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
