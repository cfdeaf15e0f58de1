#include "source/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct redis_url parsed(const char *text)
{
    struct redis_url u;
    struct err err = {0};
    if (redis_url_parse(text, &u, &err) != 0)
        fail_msg("'%s': %s", text, err.message);
    return u;
}

static void assert_text(const char *found, const char *expected)
{
    if (expected == NULL)
        assert_null(found);
    else
        assert_string_equal(found, expected);
}

static void assert_server(const char *text, const char *host, unsigned port, const char *user, const char *password,
                          const char *display)
{
    struct redis_url u = parsed(text);
    assert_text(u.host, host);
    assert_null(u.socket);
    assert_int_equal(u.port, port);
    assert_text(u.user, user);
    assert_text(u.password, password);
    assert_text(u.display, display);
    redis_url_release(&u);
}

static void test_redis_url__names_a_server(void **state)
{
    (void)state;
    assert_server("redis://127.0.0.1", "127.0.0.1", 6379, NULL, NULL, "127.0.0.1:6379");
    assert_server("redis://db.example:7000/", "db.example", 7000, NULL, NULL, "db.example:7000");
    assert_server("redis://localhost:6379/2", "localhost", 6379, NULL, NULL, "localhost:6379");
    assert_server("redis://[::1]", "::1", 6379, NULL, NULL, "[::1]:6379");
    assert_server("redis://[fe80::1]:7000/0", "fe80::1", 7000, NULL, NULL, "[fe80::1]:7000");
}

static void test_redis_url__takes_user_and_password(void **state)
{
    (void)state;
    assert_server("redis://:secret@h", "h", 6379, NULL, "secret", "h:6379");
    assert_server("redis://ann:secret@h:1", "h", 1, "ann", "secret", "h:1");
    assert_server("redis://ann@h", "h", 6379, "ann", NULL, "h:6379");
    assert_server("redis://ann:@h", "h", 6379, "ann", "", "h:6379");
    assert_server("redis://a%40b:p%3a%2F%25@h", "h", 6379, "a@b", "p:/%", "h:6379");
    assert_server("redis://:a/b@c@h", "h", 6379, NULL, "a/b@c", "h:6379"); /* forgiven */
}

static void test_redis_url__names_a_socket(void **state)
{
    (void)state;
    struct redis_url u = parsed("unix:///run/redis%20x/s.sock?user=ann");
    assert_null(u.host);
    assert_string_equal(u.socket, "/run/redis x/s.sock");
    assert_string_equal(u.display, "/run/redis x/s.sock");
    assert_string_equal(u.user, "ann");
    assert_false(u.tls);
    redis_url_release(&u);
    u = parsed("redis+unix:///s");
    assert_string_equal(u.socket, "/s");
    redis_url_release(&u);
}

static void test_redis_url__takes_options_of_tls(void **state)
{
    (void)state;
    struct redis_url u = parsed("rediss://h:7/0?cacert=/a%26b&cert=/c&key=/k&sni=name&insecure=true&");
    assert_true(u.tls);
    assert_true(u.tls_insecure);
    assert_int_equal(u.port, 7);
    assert_string_equal(u.tls_ca_file, "/a&b");
    assert_string_equal(u.tls_cert_file, "/c");
    assert_string_equal(u.tls_key_file, "/k");
    assert_string_equal(u.tls_name, "name");
    redis_url_release(&u);
    u = parsed("rediss://h?insecure=no&cacert=/a&cacert=/b");
    assert_false(u.tls_insecure);
    assert_string_equal(u.tls_ca_file, "/b");
    redis_url_release(&u);
}

static void test_redis_url__refuses_what_is_wrong_and_shows_no_secret(void **state)
{
    (void)state;
    static const struct {
        const char *text, *word;
    } wrong[] = {
        {"", "begins with"},
        {"http://h", "begins with"},
        {"redis://", "no host"},
        {"redis://:hush@", "no host"},
        {"redis://h:x", "port"},
        {"redis://h:", "port"},
        {"redis://h:65536", "65535"},
        {"redis://ann:hush", "port"},
        {"redis://h/hush", "database"},
        {"redis://h/99999999999", "database"},
        {"redis://[::1", "without a ']'"},
        {"redis://[::1]hush", "may follow"},
        {"redis://:hu%sh@h", "hex digits"},
        {"redis://:hush%4@h", "hex digits"},
        {"redis://:hush%00@h", "hex digits"},
        {"redis://hush%2@h", "hex digits"},
        {"redis://h%2", "hex digits"},
        {"redis://:a?hush@h", "%3F"},
        {"redis://h?cacert=/a", "unknown option"},
        {"rediss://h?color=red", "unknown option"},
        {"rediss://h?insecure=maybe", "true or false"},
        {"rediss://h?cert=/a", "both or none"},
        {"rediss://h?cacert=%zz", "hex digits"},
        {"unix://s", "absolute"},
        {"unix://", "absolute"},
        {"unix:///a%2", "hex digits"},
        {"unix:///s?insecure=true", "only user"},
        {"unix:///s?user=%q", "hex digits"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct redis_url u;
        struct err err = {0};
        assert_int_equal(redis_url_parse(wrong[i].text, &u, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        if (strstr(err.message, wrong[i].word) == NULL)
            fail_msg("'%s' is not in '%s'", wrong[i].word, err.message);
        assert_null(strstr(err.message, "hush"));
        assert_null(u.display);
        assert_null(u.password);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_url__names_a_server),
        cmocka_unit_test(test_redis_url__takes_user_and_password),
        cmocka_unit_test(test_redis_url__names_a_socket),
        cmocka_unit_test(test_redis_url__takes_options_of_tls),
        cmocka_unit_test(test_redis_url__refuses_what_is_wrong_and_shows_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
