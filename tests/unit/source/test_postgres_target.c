#include "source/postgres_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void assert_text(const char *found, const char *expected)
{
    if (expected == NULL)
        assert_null(found);
    else
        assert_string_equal(found != NULL ? found : "(null)", expected);
}

static void test_target__urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *url, *user, *database, *password, *place, *connection;
    } cases[] = {
        {"postgresql://u:p@h:5433/shop", "u", "shop", "p", "/postgres/h:5433/shop", "postgresql://u@h:5433/DB"},
        {"postgres://h", NULL, NULL, NULL, "/postgres/h", "postgresql://h/DB"},
        {"postgresql://h:5432", NULL, NULL, NULL, "/postgres/h", "postgresql://h:5432/DB"},
        {"postgresql://", NULL, NULL, NULL, "/postgres/local", "postgresql:///DB"},
        {"postgresql://a:1,b:5432/", NULL, NULL, NULL, "/postgres/a:1,b:5432", "postgresql://a:1,b:5432/DB"},
        {"postgresql://[::1]:5432/x", NULL, "x", NULL, "/postgres/[::1]/x", "postgresql://[::1]:5432/DB"},
        {"postgresql://u%40x:p%3A%2f%25@h/a%20b", "u@x", "a b", "p:/%", "/postgres/h/a b", "postgresql://u%40x@h/DB"},
        {"postgresql://u:p@ss@h", "u", NULL, "p@ss", "/postgres/h", "postgresql://u@h/DB"},
        {"postgresql://:p@h", NULL, NULL, "p", "/postgres/h", "postgresql://h/DB"},
        {"postgresql://h/?sslmode=require&password=geheim&user=u&dbname=d&connect_timeout=3", "u", "d", "geheim",
         "/postgres/h/d", "postgresql://u@h/DB?sslmode=require&connect_timeout=3"},
        {"postgresql://h?password", NULL, NULL, "", "/postgres/h", "postgresql://h/DB"},
        {"postgresql://h?&a=b&", NULL, NULL, NULL, "/postgres/h", "postgresql://h/DB?a=b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pg_target t;
        struct err err = {0};
        struct postgres_options o = {.url = cases[i].url};
        if (pg_target_init(&t, &o, &err) != 0)
            fail_msg("%s: %s", cases[i].url, err.message);
        assert_text(t.user, cases[i].user);
        assert_text(t.database, cases[i].database);
        assert_text(t.password, cases[i].password);
        assert_text(t.place, cases[i].place);
        char *connection = pg_target_connection(&t, "DB");
        assert_string_equal(connection, cases[i].connection);
        free(connection);
        pg_target_release(&t);
    }
}

static void test_target__bad_urls_are_refused_without_quoting_them(void **state)
{
    (void)state;
    char large[70000] = "postgresql://";
    memset(large + 13, 'x', sizeof large - 14);
    const char *const urls[] = {"mysql://u:geheim@h",
                                "geheim",
                                "postgresql://u:geheim%@h",
                                "postgresql://u:geheim%4@h",
                                "postgresql://u:geheim%zz@h",
                                "postgresql://u:geheim%00@h",
                                "postgresql://u%0g:geheim@h",
                                "postgresql://h/geheim%9",
                                "postgresql://h/?sslpassword=geheim",
                                "postgresql://h/?user=geheim%q",
                                large};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct pg_target t;
        struct err err = {0};
        struct postgres_options o = {.url = urls[i]};
        assert_int_equal(pg_target_init(&t, &o, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_null(strstr(err.message, "geheim"));
    }
}

static void test_target__options_override_the_url(void **state)
{
    (void)state;
    struct pg_target t;
    struct postgres_options o = {
        .url = "postgresql://u:p@h/d", .user = "v", .database = "e/\xc3\xa9?", .password = "q"};
    assert_int_equal(pg_target_init(&t, &o, NULL), 0);
    assert_string_equal(t.user, "v");
    assert_string_equal(t.password, "q");
    assert_string_equal(t.place, "/postgres/h/e_\xc3\xa9?");
    assert_string_equal(t.label, "the server at 'h'");
    char *connection = pg_target_connection(&t, t.database);
    assert_string_equal(connection, "postgresql://v@h/e%2F%C3%A9%3F");
    free(connection);
    connection = pg_target_connection(&t, NULL);
    assert_string_equal(connection, "postgresql://v@h/");
    free(connection);
    pg_target_release(&t);
}

static void test_target__sockets_and_containers_become_quoted_pairs(void **state)
{
    (void)state;
    static const struct {
        struct postgres_options o;
        const char *place, *label, *connection;
    } cases[] = {
        {{.container = "erp"}, "/postgres/erp", "the container 'erp'", "dbname='it\\'s = \\\\ d'"},
        {{.container = "erp", .user = "u", .database = "x"},
         "/postgres/erp/x",
         "the container 'erp'",
         "dbname='it\\'s = \\\\ d' user='u'"},
        {{.socket = "/run/pg"},
         "/postgres/run_pg",
         "the server at '/run/pg'",
         "dbname='it\\'s = \\\\ d' host='/run/pg' port='5432'"},
        {{.socket = "/run/pg/.s.PGSQL.5433"},
         "/postgres/run_pg:5433",
         "the server at '/run/pg'",
         "dbname='it\\'s = \\\\ d' host='/run/pg' port='5433'"},
        {{.socket = "/.s.PGSQL.5433"},
         "/postgres/:5433",
         "the server at '/'",
         "dbname='it\\'s = \\\\ d' host='/' port='5433'"},
        {{.user = NULL}, "/postgres/local", "the local server", "dbname='it\\'s = \\\\ d'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pg_target t;
        assert_int_equal(pg_target_init(&t, &cases[i].o, NULL), 0);
        assert_string_equal(t.place, cases[i].place);
        assert_string_equal(t.label, cases[i].label);
        char *connection = pg_target_connection(&t, "it's = \\ d");
        assert_string_equal(connection, cases[i].connection);
        free(connection);
        pg_target_release(&t);
    }
}

static void test_target__contradictions_are_refused(void **state)
{
    (void)state;
    static const struct postgres_options options[] = {
        {.container = "a", .url = "postgresql://h"}, {.socket = "/x", .url = "postgresql://h"}, {.socket = "relative"}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct pg_target t;
        struct err err = {0};
        assert_int_equal(pg_target_init(&t, &options[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_target__urls_are_taken_apart),
        cmocka_unit_test(test_target__bad_urls_are_refused_without_quoting_them),
        cmocka_unit_test(test_target__options_override_the_url),
        cmocka_unit_test(test_target__sockets_and_containers_become_quoted_pairs),
        cmocka_unit_test(test_target__contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
