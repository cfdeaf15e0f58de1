#include "source/postgres_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct pg_rows rows_of(const struct pg_table *tables)
{
    struct pg_rows r = {0};
    for (; tables->name != NULL; tables++)
        assert_int_equal(pg_rows_add(&r, tables->schema, tables->name, tables->rows, NULL), 0);
    pg_rows_sort(&r);
    return r;
}

static int compare(const struct pg_table *counted, const struct pg_table *dumped, size_t *missing, char *first,
                   struct err *err)
{
    struct pg_rows a = rows_of(counted), b = rows_of(dumped);
    const struct pg_table *t;
    int rc = pg_rows_compare(&a, &b, missing, &t, err);
    if (t != NULL)
        snprintf(first, 10, "%s", t->name);
    pg_rows_release(&a);
    pg_rows_release(&b);
    return rc;
}

static void test_rows__same_tables_agree_in_any_order(void **state)
{
    (void)state;
    size_t missing;
    char first[10] = "";
    struct err err = {0};
    struct pg_table a[] = {{"s", "b", 2}, {"s", "a", 1}, {"r", "c", 0}, {NULL, NULL, 0}};
    struct pg_table b[] = {{"r", "c", 0}, {"s", "b", 2}, {"s", "a", 1}, {"z", "only in the dump", 9}, {NULL, NULL, 0}};
    assert_int_equal(compare(a, b, &missing, first, &err), 0);
    assert_int_equal(missing, 0);
}

static void test_rows__another_number_is_corruption(void **state)
{
    (void)state;
    size_t missing;
    char first[10] = "";
    struct err err = {0};
    struct pg_table a[] = {{"s", "a", 1}, {"s", "b", 2}, {NULL, NULL, 0}};
    struct pg_table b[] = {{"s", "a", 1}, {"s", "b", 3}, {NULL, NULL, 0}};
    assert_int_equal(compare(a, b, &missing, first, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_string_equal(err.message, "the dump has 3 rows of the table s.b, which has 2 in the same snapshot");
}

static void test_rows__tables_with_rows_that_are_missing_are_counted(void **state)
{
    (void)state;
    size_t missing;
    char first[10] = "";
    struct pg_table a[] = {{"s", "a", 1}, {"s", "b", 2}, {"s", "c", 0}, {"s", "d", 1}, {NULL, NULL, 0}};
    struct pg_table b[] = {{"s", "a", 1}, {NULL, NULL, 0}};
    assert_int_equal(compare(a, b, &missing, first, NULL), 0);
    assert_int_equal(missing, 2);
    assert_string_equal(first, "b");
}

static void assert_document(const struct pg_table *tables, const char *database, const char *expected)
{
    struct pg_rows r = rows_of(tables);
    struct buf b;
    buf_init(&b, 1 << 20);
    pg_rows_write(&r, database, &b);
    assert_string_equal(buf_cstr(&b), expected);
    buf_release(&b);
    pg_rows_release(&r);
}

static void test_rows__document_lists_tables_by_name_and_the_sum(void **state)
{
    (void)state;
    struct pg_table none[] = {{NULL, NULL, 0}};
    assert_document(none, "d", "{\n  \"database\": \"d\",\n  \"tables\": [],\n  \"rows\": 0\n}\n");
    struct pg_table two[] = {{"s", "b", 3}, {"a", "x", 4}, {NULL, NULL, 0}};
    assert_document(
        two, "d",
        "{\n  \"database\": \"d\",\n  \"tables\": [\n    {\"schema\": \"a\", \"name\": \"x\", \"rows\": 4},\n"
        "    {\"schema\": \"s\", \"name\": \"b\", \"rows\": 3}\n  ],\n  \"rows\": 7\n}\n");
}

static void test_rows__odd_names_stay_valid_json(void **state)
{
    (void)state;
    static const struct {
        const char *name, *written;
    } cases[] = {
        {"a\"b\\c\n", "a\\\"b\\\\c\\u000a"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xff", "\xef\xbf\xbd"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe0\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\x80z", "\xef\xbf\xbdz"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pg_table none[] = {{NULL, NULL, 0}};
        char expected[200];
        snprintf(expected, sizeof expected, "{\n  \"database\": \"%s\",\n  \"tables\": [],\n  \"rows\": 0\n}\n",
                 cases[i].written);
        assert_document(none, cases[i].name, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows__same_tables_agree_in_any_order),
        cmocka_unit_test(test_rows__another_number_is_corruption),
        cmocka_unit_test(test_rows__tables_with_rows_that_are_missing_are_counted),
        cmocka_unit_test(test_rows__document_lists_tables_by_name_and_the_sum),
        cmocka_unit_test(test_rows__odd_names_stay_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
