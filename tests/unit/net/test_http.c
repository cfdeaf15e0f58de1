#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/curl.h"
#include "net/http.h"
#include "net/tiny_server.h"
#include "os/clock.h"

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

static struct http_request get(const char *url)
{
    return (struct http_request){.method = "GET", .url = url, .shown = "the server", .timeout_ms = 5000};
}

static void test_http__gets(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {
        "HTTP/1.1 404 Not Found\r\nDate: Wed, 04 Feb 2026 06:00:00 GMT\r\nContent-Length: 2\r\n\r\nno", NULL};
    struct tiny_server t;
    struct http_response r;
    struct err err = {0};
    static const char *const HEADERS[] = {"X-One: 1", "X-Two: 2", NULL};
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/a?b=c"));
    q.headers = HEADERS;
    assert_int_equal(http_do(&q, &r, &err), 0);
    assert_int_equal(r.status, 404);
    assert_true(r.date_ms == 1770184800000);
    assert_int_equal(r.retry_after_ms, 0);
    assert_string_equal(buf_cstr(&r.body), "no");
    const char *asked = tiny_request(&t, 0);
    assert_int_equal(strncmp(asked, "GET /a?b=c HTTP/1.1\r\n", 21), 0);
    assert_non_null(strstr(asked, "User-Agent: clawback/"));
    assert_non_null(strstr(asked, "X-One: 1\r\n"));
    assert_non_null(strstr(asked, "X-Two: 2\r\n"));
    http_response_release(&r);
    tiny_stop(&t);
}

static void test_http__posts_without_asking_first(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {OK_ANSWER, NULL};
    struct tiny_server t;
    struct http_response r;
    char *body = mem_zalloc(100001);
    memset(body, 'b', 100000);
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/"));
    q.method = "POST";
    q.body = body;
    q.body_len = 100000;
    assert_int_equal(http_do(&q, &r, NULL), 0);
    assert_int_equal(strncmp(tiny_request(&t, 0), "POST / HTTP/1.1\r\n", 17), 0);
    assert_null(strstr(tiny_request(&t, 0), "Expect"));
    assert_non_null(strstr(tiny_request(&t, 0), body));
    http_response_release(&r);
    tiny_stop(&t);
    free(body);
}

static void test_http__keeps_its_connection(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {OK_ANSWER, NULL};
    struct tiny_server t;
    struct http_response r;
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/"));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http_do(&q, &r, NULL), 0);
        http_response_release(&r);
    }
    assert_int_equal(tiny_count(&t), 3);
    assert_int_equal(t.connections, 1);
    tiny_stop(&t);
}

static void test_http__reads_when_to_come_again(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {
        "HTTP/1.1 429 Slow\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\nRetry-After: 1.5\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\nRetry-After: Wed, 04 Feb 2026 06:01:00 GMT\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\nRetry-After: Wed, 04 Feb 2020 06:01:00 GMT\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n",
        NULL};
    static const uint64_t EXPECTED[] = {17000, 1500, 60000, 86400000, 0, 0};
    struct timespec now = {.tv_sec = 1770184800};
    struct tiny_server t;
    struct http_response r;
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/"));
    os_clock_set(&now);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(http_do(&q, &r, NULL), 0);
        assert_int_equal(r.retry_after_ms, EXPECTED[i]);
        http_response_release(&r);
    }
    os_clock_set(NULL);
    tiny_stop(&t);
}

static void test_http__takes_only_so_much(void **state)
{
    (void)state;
    char *answer = mem_zalloc(300001);
    size_t head = (size_t)snprintf(answer, 100, "HTTP/1.1 200 OK\r\nContent-Length: 299900\r\n\r\n");
    memset(answer + head, 'x', 299900);
    const char *answers[] = {answer, NULL};
    struct tiny_server t;
    struct http_response r;
    tiny_start(&t, answers);
    struct http_request q = get(tiny_url(&t, "/"));
    assert_int_equal(http_do(&q, &r, NULL), 0);
    assert_int_equal(r.body.len, HTTP_BODY_MAX_BYTES);
    assert_false(r.body.overflow);
    http_response_release(&r);
    tiny_stop(&t);
    free(answer);
}

static void fails(const struct http_request *q, enum err_code code, const char *words)
{
    struct http_response r;
    struct err err = {0};
    assert_int_equal(http_do(q, &r, &err), -1);
    if (err.code != code || strstr(err.message, words) == NULL || strstr(err.message, "sEcReT") != NULL)
        fail_msg("%d, not %d: %s", err.code, code, err.message);
    http_response_release(&r);
}

static void test_http__says_why_there_is_no_answer(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {TINY_CLOSE, "garbage\r\n\r\nmore", TINY_HANG, NULL};
    struct tiny_server t;
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/sEcReT"));
    fails(&q, ERR_IO, "cannot reach 'the server': ");
    fails(&q, ERR_IO, "cannot talk to 'the server': what it answers is no proper answer: ");
    q.timeout_ms = 200;
    uint64_t began = os_monotonic_ns();
    fails(&q, ERR_TIMEOUT, "no answer within 0.2 s");
    assert_true(os_monotonic_ns() - began < 2000000000);
    tiny_stop(&t);
    q.timeout_ms = 5000;
    fails(&q, ERR_IO, "cannot reach 'the server': ");
    q.url = "ftp://127.0.0.1/sEcReT";
    fails(&q, ERR_USAGE, "https://");
    q.url = "https://user:sEcReT@[/";
    fails(&q, ERR_IO, "cannot reach");
    q.url = "http://no-such-host.invalid/sEcReT";
    fails(&q, ERR_IO, "esolv");
    q.url = "https://127.0.0.1:1/";
    q.ca_file = "/nonexistent/ca.pem";
    struct http_response r;
    struct err err = {0};
    assert_int_equal(http_do(&q, &r, &err), -1);
    http_response_release(&r);
}

#define TO(status, where) "HTTP/1.1 " status " x\r\nLocation: " where "\r\nContent-Length: 0\r\n\r\n"

static void test_http__follows_within_a_host(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {TO("302", "/there"), OK_ANSWER, NULL};
    static const char *const HEADERS[] = {"X-Token: sEcReT", NULL};
    struct tiny_server t;
    struct http_response r;
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/here"));
    q.headers = HEADERS;
    assert_int_equal(http_do(&q, &r, NULL), 0);
    assert_int_equal(r.status, 200);
    assert_string_equal(buf_cstr(&r.body), "hi");
    assert_non_null(strstr(tiny_request(&t, 1), "GET /there "));
    assert_non_null(strstr(tiny_request(&t, 1), "sEcReT"));
    http_response_release(&r);
    tiny_stop(&t);
}

static void test_http__a_post_is_not_turned_into_a_get(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {TO("302", "/there"), TO("308", "/there"), OK_ANSWER, NULL};
    struct tiny_server t;
    struct http_response r;
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/here"));
    q.method = "POST";
    q.body = "text";
    q.body_len = 4;
    assert_int_equal(http_do(&q, &r, NULL), 0);
    assert_int_equal(r.status, 302);
    assert_int_equal(tiny_count(&t), 1);
    http_response_release(&r);
    assert_int_equal(http_do(&q, &r, NULL), 0);
    assert_int_equal(r.status, 200);
    assert_int_equal(strncmp(tiny_request(&t, 2), "POST /there ", 12), 0);
    assert_non_null(strstr(tiny_request(&t, 2), "\r\n\r\ntext"));
    http_response_release(&r);
    tiny_stop(&t);
}

static void test_http__does_not_follow_to_another_host_in_the_clear(void **state)
{
    (void)state;
    struct tiny_server a, b;
    static const char *const OK[] = {OK_ANSWER, NULL};
    tiny_start(&b, OK);
    char *to = mem_printf(TO("302", "%s"), tiny_url(&b, "/"));
    const char *answers[] = {to, NULL};
    struct http_response r;
    tiny_start(&a, answers);
    struct http_request q = get(tiny_url(&a, "/"));
    assert_int_equal(http_do(&q, &r, NULL), 0);
    assert_int_equal(r.status, 302);
    assert_int_equal(tiny_count(&b), 0);
    http_response_release(&r);
    tiny_stop(&a);
    tiny_stop(&b);
    free(to);
}

static void test_http__does_not_go_round_in_circles(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {TO("307", "/again"), NULL};
    struct tiny_server t;
    struct http_response r;
    tiny_start(&t, ANSWERS);
    struct http_request q = get(tiny_url(&t, "/"));
    assert_int_equal(http_do(&q, &r, NULL), 0);
    assert_int_equal(r.status, 307);
    assert_int_equal(tiny_count(&t), HTTP_REDIRECTS_MAX + 1);
    http_response_release(&r);
    tiny_stop(&t);
}

static void *ask(void *arg)
{
    struct http_response r;
    struct http_request q = get(arg);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(http_do(&q, &r, NULL), 0);
        http_response_release(&r);
    }
    return NULL;
}

static void test_http__each_thread_has_its_own_connection(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {OK_ANSWER, NULL};
    struct tiny_server t[3];
    pthread_t threads[3];
    char urls[3][64];
    for (int i = 0; i < 3; i++) {
        tiny_start(&t[i], ANSWERS);
        snprintf(urls[i], sizeof urls[i], "%s", tiny_url(&t[i], "/"));
        pthread_create(&threads[i], NULL, ask, urls[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(t[i].connections, 1);
        assert_int_equal(tiny_count(&t[i]), 5);
        tiny_stop(&t[i]);
    }
}

static void test_http__shows_only_the_host_of_an_address(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {{"https://hooks.example.org/T/sEcReT?x=y", "https://hooks.example.org/…"},
                                           {"http://u:sEcReT@host:8080", "http://host:8080/…"},
                                           {"smtp://a@b.example:25/x", "smtp://b.example:25/…"},
                                           {"https://a@b@c/", "https://c/…"},
                                           {"https:///sEcReT", "an address that is no URL"},
                                           {"12345:sEcReT", "an address that is no URL"},
                                           {"12345:sEc://ReT", "an address that is no URL"},
                                           {"", "an address that is no URL"}};
    char shown[128];
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        http_show_url(CASES[i][0], shown, sizeof shown);
        assert_string_equal(shown, CASES[i][1]);
    }
}

int main(void)
{
    unsetenv("http_proxy");
    unsetenv("https_proxy");
    unsetenv("HTTPS_PROXY");
    unsetenv("all_proxy");
    unsetenv("ALL_PROXY");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http__gets),
        cmocka_unit_test(test_http__posts_without_asking_first),
        cmocka_unit_test(test_http__keeps_its_connection),
        cmocka_unit_test(test_http__reads_when_to_come_again),
        cmocka_unit_test(test_http__takes_only_so_much),
        cmocka_unit_test(test_http__says_why_there_is_no_answer),
        cmocka_unit_test(test_http__follows_within_a_host),
        cmocka_unit_test(test_http__a_post_is_not_turned_into_a_get),
        cmocka_unit_test(test_http__does_not_follow_to_another_host_in_the_clear),
        cmocka_unit_test(test_http__does_not_go_round_in_circles),
        cmocka_unit_test(test_http__each_thread_has_its_own_connection),
        cmocka_unit_test(test_http__shows_only_the_host_of_an_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
