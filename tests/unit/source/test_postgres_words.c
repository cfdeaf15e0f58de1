#include "source/postgres_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct err explained(const char *words)
{
    struct err err = {0};
    err_set(&err, ERR_FAILED, "command 'psql' exited with status 2");
    pg_words_explain(words, &err);
    return err;
}

static void test_words__what_tools_say_becomes_a_code_and_advice(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum err_code code;
        const char *message;
    } cases[] = {
        {"psql: error: connection to server on socket \"/x/.s.PGSQL.5432\" failed: No such file or directory\n"
         "\tIs the server running locally and accepting connections on that socket?\n",
         ERR_NOT_FOUND,
         "connection to server on socket \"/x/.s.PGSQL.5432\" failed: No such file or directory (nobody listens there: "
         "is "
         "the server running?)"},
        {"psql: error: connection to server at \"h\" (127.0.0.1), port 5432 failed: Connection refused\n"
         "\tIs the server running on that host and accepting TCP/IP connections?\n",
         ERR_NOT_FOUND,
         "connection to server at \"h\" (127.0.0.1), port 5432 failed: Connection refused (nobody listens there: is "
         "the "
         "server running?)"},
        {"psql: error: connection to server at \"h\", port 1 failed: FATAL:  password authentication failed for user "
         "\"u\"\n",
         ERR_PERMISSION, "password authentication failed for user \"u\" (check user and password)"},
        {"psql: error: connection to server at \"h\", port 5432 failed: Connection timed out\n"
         "\tIs the server running on that host and accepting TCP/IP connections?\n",
         ERR_TIMEOUT,
         "connection to server at \"h\", port 5432 failed: Connection timed out (the server does not answer)"},
        {"psql: error: connection to server on socket \"/x\" failed: Permission denied\n"
         "\tIs the server running locally and accepting connections on that socket?\n",
         ERR_PERMISSION,
         "connection to server on socket \"/x\" failed: Permission denied (this user may not use the server's socket)"},
        {"psql: error: FATAL:  database \"x\" does not exist\n", ERR_FAILED,
         "database \"x\" does not exist ('psql --list' shows which there are)"},
        {"psql: error: FATAL:  role \"x\" does not exist\n", ERR_PERMISSION,
         "role \"x\" does not exist (name a user that the server has)"},
        {"pg_dump: error: query failed: ERROR:  permission denied for table secret\n"
         "pg_dump: detail: Query was: LOCK TABLE public.secret IN ACCESS SHARE MODE\n",
         ERR_PERMISSION,
         "permission denied for table secret, Query was: LOCK TABLE public.secret IN ACCESS SHARE MODE (grant this "
         "user "
         "the role pg_read_all_data (PostgreSQL 14 and newer), or SELECT on all tables and sequences)"},
        {"pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout\n"
         "pg_dump: detail: Query was: LOCK TABLE public.t IN ACCESS SHARE MODE\n",
         ERR_TIMEOUT,
         "canceling statement due to statement timeout, Query was: LOCK TABLE public.t IN ACCESS SHARE MODE (somebody "
         "holds "
         "a lock on it)"},
        {"ERROR:  canceling statement due to lock timeout\n", ERR_TIMEOUT,
         "canceling statement due to lock timeout (somebody holds a lock on a table)"},
        {"ERROR:  canceling statement due to statement timeout\n", ERR_TIMEOUT,
         "canceling statement due to statement timeout"},
        {"pg_dump: error: aborting because of server version mismatch\n"
         "pg_dump: detail: server version: 16.1; pg_dump version: 15.2\n",
         ERR_UNSUPPORTED,
         "aborting because of server version mismatch, server version: 16.1; pg_dump version: 15.2 (install the client "
         "tools of the server's version, or newer ones)"},
        {"WARNING: something\nWARNING: another thing\r\n", ERR_FAILED, "WARNING: another thing"},
        {"\n\nFATAL:  Passwort-Authentifizierung f\xc3\xbcr Benutzer \xc2\xbbu\xc2\xab fehlgeschlagen\n", ERR_FAILED,
         "Passwort-Authentifizierung f\xc3\xbcr Benutzer \xc2\xbbu\xc2\xab fehlgeschlagen"},
        {"error:\n", ERR_FAILED, "error:"},
        {"a\x1b[1mb\n", ERR_FAILED, "a [1mb"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = explained(cases[i].words);
        assert_string_equal(err.message, cases[i].message);
        assert_int_equal(err.code, cases[i].code);
    }
}

static void test_words__nothing_said_leaves_what_was_known(void **state)
{
    (void)state;
    assert_string_equal(explained("").message, "command 'psql' exited with status 2");
    assert_string_equal(explained("\r\n\n").message, "command 'psql' exited with status 2");
}

static void test_words__a_timeout_stays_one(void **state)
{
    (void)state;
    struct err err = {0};
    err_set(&err, ERR_TIMEOUT, "it took too long");
    pg_words_explain("FATAL:  terminating connection\n", &err);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.message, "it took too long");
}

static void test_words__long_lines_are_cut(void **state)
{
    (void)state;
    char words[5000];
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    assert_in_range(strlen(explained(words).message), 300, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words__what_tools_say_becomes_a_code_and_advice),
        cmocka_unit_test(test_words__nothing_said_leaves_what_was_known),
        cmocka_unit_test(test_words__a_timeout_stays_one),
        cmocka_unit_test(test_words__long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
