#include "source/postgres_archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "source/pg_archive_image.h"

enum { IMAGE_BYTES_MAX = 1 << 20 };

/* Feeds it in portions of `step` bytes. The code of what went wrong. */
static enum err_code read_through(const void *p, size_t len, size_t step, struct pg_rows *rows, struct err *err)
{
    struct pg_archive *a = pg_archive_new();
    int rc = 0;
    *err = (struct err){0};
    for (size_t at = 0; at < len && rc == 0; at += step)
        rc = pg_archive_feed(a, (const char *)p + at, len - at < step ? len - at : step, err);
    if (rc == 0)
        rc = pg_archive_end(a, err);
    if (rc == 0 && rows != NULL)
        pg_archive_take_rows(a, rows);
    pg_archive_free(a);
    assert_int_equal(rc == 0, err->code == ERR_NONE);
    return err->code;
}

static enum err_code verdict(const struct buf *b)
{
    struct err err;
    enum err_code code = read_through(b->data, b->len, 1 << 20, NULL, &err), other;
    for (size_t step = 1; step < 20; step += 6) {
        struct err second;
        other = read_through(b->data, b->len, step, NULL, &second);
        assert_int_equal(other, code);
        assert_string_equal(second.message, err.message);
    }
    return code;
}

static struct buf whole(unsigned minor)
{
    struct buf b;
    buf_init(&b, IMAGE_BYTES_MAX);
    image_whole(&b, minor);
    return b;
}

static void test_archive__whole_one_is_good_in_every_version_and_portion(void **state)
{
    (void)state;
    for (unsigned minor = 12; minor <= 16; minor++) {
        struct buf b = whole(minor);
        for (size_t step = 1; step <= b.len; step += step < 40 ? 1 : 100) {
            struct pg_rows rows = {0};
            struct err err;
            if (read_through(b.data, b.len, step, &rows, &err) != ERR_NONE)
                fail_msg("1.%u in portions of %zu: %s", minor, step, err.message);
            assert_int_equal(rows.count, 2);
            assert_string_equal(rows.tables[0].schema, "other");
            assert_string_equal(rows.tables[0].name, "empty");
            assert_int_equal(rows.tables[0].rows, 0);
            assert_string_equal(rows.tables[1].name, "a table");
            assert_int_equal(rows.tables[1].rows, 3);
            pg_rows_release(&rows);
        }
        buf_release(&b);
    }
}

static void test_archive__cut_anywhere_is_bad(void **state)
{
    (void)state;
    struct err err;
    for (unsigned minor = 12; minor <= 16; minor += 2) {
        struct buf b = whole(minor);
        for (size_t len = 0; len < b.len; len++)
            assert_int_equal(read_through(b.data, len, 64, NULL, &err), ERR_CORRUPT);
        buf_append_byte(&b, 1); /* the beginning of another block */
        assert_int_equal(verdict(&b), ERR_CORRUPT);
        buf_release(&b);
    }
}

static void test_archive__empty_says_so(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(read_through("", 0, 1, NULL, &err), ERR_CORRUPT);
    assert_string_equal(err.message, "the dump is empty");
}

static void test_archive__text_is_no_dump(void **state)
{
    (void)state;
    static const char text[] = "--\n-- PostgreSQL database dump\n--\n";
    struct err err;
    assert_int_equal(read_through(text, sizeof text - 1, 100, NULL, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.message, "does not begin as one of pg_dump's"));
}

static void test_archive__newer_version_is_not_judged(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, IMAGE_BYTES_MAX);
    image_head(&b, 17, 0, 5);
    struct pg_archive *a = pg_archive_new();
    struct err err = {0};
    char version[16];
    for (size_t i = 0; i < b.len; i++) {
        assert_int_equal(pg_archive_is_known(a), i < PG_ARCHIVE_HEAD_BYTES);
        assert_int_equal(pg_archive_feed(a, b.data + i, 1, &err), 0);
    }
    assert_int_equal(pg_archive_end(a, &err), 0);
    assert_memory_equal(pg_archive_head(a), b.data, PG_ARCHIVE_HEAD_BYTES);
    pg_archive_version(a, version, sizeof version);
    assert_string_equal(version, "1.17");
    pg_archive_free(a);
    buf_release(&b);
}

static void test_archive__older_version_is_refused(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, IMAGE_BYTES_MAX);
    image_head(&b, 11, 0, 5);
    assert_int_equal(verdict(&b), ERR_UNSUPPORTED);
    buf_release(&b);
}

static void test_archive__nonsense_in_the_header_is_bad(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        unsigned char value;
    } changes[] = {{8, 8}, {9, 0}, {9, 9}, {10, 3}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        struct buf b = whole(14);
        b.data[changes[i].at] = changes[i].value;
        assert_int_equal(verdict(&b), ERR_CORRUPT);
        buf_release(&b);
    }
    struct buf b;
    buf_init(&b, IMAGE_BYTES_MAX);
    image_head(&b, 14, 0, 0);
    assert_int_equal(verdict(&b), ERR_CORRUPT);
    buf_clear(&b);
    image_head(&b, 14, 0, -3);
    assert_int_equal(verdict(&b), ERR_CORRUPT);
    buf_release(&b);
}

static const struct image_entry TABLE = {
    .id = 5, .has_data = true, .tag = "t", .kind = "TABLE DATA", .copy = "COPY", .schema = "public"};

static struct buf with_entries(const struct image_entry *entries, int count, int compression)
{
    struct buf b;
    buf_init(&b, IMAGE_BYTES_MAX);
    image_head(&b, 14, compression, count);
    for (int i = 0; i < count; i++)
        image_entry(&b, 14, &entries[i]);
    return b;
}

static void assert_bad(struct buf *b, const char *why)
{
    struct err err;
    assert_int_equal(verdict(b), ERR_CORRUPT);
    read_through(b->data, b->len, 100, NULL, &err);
    if (strstr(err.message, why) == NULL)
        fail_msg("'%s' is not in '%s'", why, err.message);
    buf_release(b);
}

static void test_archive__data_that_is_missing_is_named(void **state)
{
    (void)state;
    struct buf b = with_entries(&TABLE, 1, 0);
    assert_bad(&b, "no data for the entry 5 (t)");
    struct image_entry objects = {.id = 6, .has_data = true, .tag = "BLOBS", .kind = "BLOBS"};
    b = with_entries(&objects, 1, 0);
    assert_bad(&b, "no data for the entry 6 (large objects)");
}

static void test_archive__blocks_that_belong_to_nothing_are_bad(void **state)
{
    (void)state;
    static const char *const data[] = {"1\n", IMAGE_COPY_END, NULL};
    struct buf b = with_entries(&TABLE, 1, 0);
    image_block(&b, 6, data);
    assert_bad(&b, "does not name");
    struct image_entry no_data = {.id = 5, .tag = "v", .kind = "VIEW"};
    b = with_entries(&no_data, 1, 0);
    image_block(&b, 5, data);
    assert_bad(&b, "does not name");
    b = with_entries(&TABLE, 1, 0);
    image_block(&b, 5, data);
    image_block(&b, 5, data);
    assert_bad(&b, "twice");
    b = with_entries(&TABLE, 1, 0);
    buf_append_byte(&b, 2);
    assert_bad(&b, "no known kind");
}

static void test_archive__entries_that_make_no_sense_are_bad(void **state)
{
    (void)state;
    struct image_entry two[] = {TABLE, TABLE};
    struct buf b = with_entries(two, 2, 0);
    assert_bad(&b, "the same number");
    two[0].id = 0;
    b = with_entries(two, 1, 0);
    assert_bad(&b, "no number");
    buf_init(&b, IMAGE_BYTES_MAX);
    image_head(&b, 14, 0, 1);
    image_int(&b, 5);
    image_int(&b, 1);
    image_int(&b, -2);
    assert_bad(&b, "negative length");
    b = with_entries(&TABLE, 1, 0);
    buf_append_byte(&b, 1);
    image_int(&b, 5);
    image_int(&b, -7);
    assert_bad(&b, "negative length");
}

static void test_archive__table_data_must_end_as_copy_data_does(void **state)
{
    (void)state;
    static const char *const endings[][3] = {
        {"1\n2\n", NULL}, {"1\n\\.\n", NULL}, {"\\.\n\n", NULL}, {"1\n\\.\n\n\n", "x", NULL}, {NULL}};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        struct buf b = with_entries(&TABLE, 1, 0);
        image_block(&b, 5, endings[i]);
        assert_bad(&b, "stops short");
    }
}

/* Compressed data, and INSERT commands, are opaque: nothing is counted, nothing is asked of their end. */
static void test_archive__rows_are_counted_only_where_they_can_be(void **state)
{
    (void)state;
    struct image_entry inserts = TABLE;
    struct err err;
    for (int i = 0; i < 2; i++) {
        inserts.copy = i == 0 ? NULL : "COPY";
        struct buf b = with_entries(&inserts, 1, i == 0 ? 0 : -1);
        struct pg_rows rows = {0};
        image_block(&b, 5, (const char *const[]){"INSERT INTO t VALUES (1);\n", NULL});
        assert_int_equal(read_through(b.data, b.len, 9, &rows, &err), ERR_NONE);
        assert_int_equal(rows.count, 0);
        pg_rows_release(&rows);
        buf_release(&b);
    }
}

static void test_archive__long_names_are_cut(void **state)
{
    (void)state;
    char name[10000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct image_entry e = TABLE;
    e.tag = name;
    struct buf b = with_entries(&e, 1, 0);
    struct pg_rows rows = {0};
    struct err err;
    image_block(&b, 5, (const char *const[]){IMAGE_COPY_END, NULL});
    assert_int_equal(read_through(b.data, b.len, 777, &rows, &err), ERR_NONE);
    assert_int_equal(strlen(rows.tables[0].name), 4096);
    pg_rows_release(&rows);
    buf_release(&b);
}

static void test_archive__free_of_nothing_is_nothing(void **state)
{
    (void)state;
    pg_archive_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_archive__whole_one_is_good_in_every_version_and_portion),
        cmocka_unit_test(test_archive__cut_anywhere_is_bad),
        cmocka_unit_test(test_archive__empty_says_so),
        cmocka_unit_test(test_archive__text_is_no_dump),
        cmocka_unit_test(test_archive__newer_version_is_not_judged),
        cmocka_unit_test(test_archive__older_version_is_refused),
        cmocka_unit_test(test_archive__nonsense_in_the_header_is_bad),
        cmocka_unit_test(test_archive__data_that_is_missing_is_named),
        cmocka_unit_test(test_archive__blocks_that_belong_to_nothing_are_bad),
        cmocka_unit_test(test_archive__entries_that_make_no_sense_are_bad),
        cmocka_unit_test(test_archive__table_data_must_end_as_copy_data_does),
        cmocka_unit_test(test_archive__rows_are_counted_only_where_they_can_be),
        cmocka_unit_test(test_archive__long_names_are_cut),
        cmocka_unit_test(test_archive__free_of_nothing_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
