#include "source/redis_replica.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "os/clock.h"
#include "source/redis_server_double.h"

#define MARK "0123456789abcdef0123456789abcdef01234567"

/* Plays the script to a replica and reads all it gets, in steps of `step`. */
struct result {
    enum err_code code; /* of opening or reading */
    char message[ERR_MESSAGE_BYTES];
    struct buf payload;
    size_t steps_done;
};

static struct result play_with(const struct double_step *steps, size_t count, size_t step, const char *password,
                               const char *version, uint64_t idle_ms)
{
    struct redis_double server;
    struct redis_url url;
    struct err err = {0};
    struct result r = {0};
    struct redis_payload *payload = NULL;
    char *room = mem_alloc(step);
    buf_init(&r.payload, 10 << 20);
    double_start(&server, steps, count);
    assert_int_equal(redis_url_parse(server.url, &url, NULL), 0);
    struct redis_login login = {.url = &url,
                                .password = password,
                                .idle_ms = idle_ms,
                                .deadline_ns = os_monotonic_ns() + UINT64_C(20000000000)};
    int64_t n = redis_replica_open(&payload, &login, version, &err);
    if (n == 0) {
        while ((n = payload->ops->read(payload, room, step, &err)) > 0)
            buf_append(&r.payload, room, (size_t)n);
        if (n == 0)
            assert_int_equal(payload->ops->read(payload, room, step, &err), 0); /* still the end */
        payload->ops->close(payload);
    }
    r.code = n == 0 ? ERR_NONE : err.code;
    memcpy(r.message, err.message, sizeof r.message);
    redis_url_release(&url);
    free(room);
    r.steps_done = double_stop(&server);
    return r;
}

static struct result play(const struct double_step *steps, size_t count, size_t step)
{
    return play_with(steps, count, step, NULL, NULL, 10000);
}
#define PLAY(steps) play(steps, sizeof(steps) / sizeof *(steps), 4096)

static void assert_payload(struct result r, const char *expected, size_t len)
{
    if (r.code != ERR_NONE)
        fail_msg("%s", r.message);
    assert_int_equal(r.payload.len, len);
    assert_memory_equal(r.payload.data, expected, len);
    buf_release(&r.payload);
}

static void assert_failure(struct result r, enum err_code code, const char *word)
{
    assert_int_equal(r.code, code);
    if (strstr(r.message, word) == NULL)
        fail_msg("'%s' is not in '%s'", word, r.message);
    buf_release(&r.payload);
}

#define GREETING                                 \
    {.wants = "capa", .answer = "+OK\r\n"},      \
    {                                            \
        .wants = "rdb-only", .answer = "+OK\r\n" \
    }

static void test_redis_replica__takes_a_dump_of_known_length(void **state)
{
    (void)state;
    static const struct double_step steps[] = {
        GREETING,
        {.wants = "PSYNC", .answer = "+FULLRESYNC 8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb 0\r\n"},
        {.answer = "\n\n\n"}, /* alive */
        {.answer = "$10\r\nREDIS", .pause_ms = 5},
        {.answer = "56789*1\r\n$4\r\nPING\r\n", .pause_ms = 5}, /* what follows is no part of it */
    };
    assert_payload(PLAY(steps), "REDIS56789", 10);
}

static void test_redis_replica__takes_the_end_mark_off(void **state)
{
    (void)state;
    static const struct double_step steps[] = {
        GREETING,
        {.wants = "PSYNC", .answer = "\n\n"},
        {.answer = "+FULLRESYNC 8371b4fb1155b71f4a04d3e1bc3e18c4a990aeeb 0\r\n\n"},
        {.answer = "$EOF:" MARK "\r\nREDIS0123456789"},
        {.answer = "0123456789abcdef0123", .pause_ms = 5}, /* looks like it, and is not */
        {.answer = "--0123456789abcdef0123456789abcdef", .pause_ms = 5},
        {.answer = "01234567", .pause_ms = 5},
    };
    static const char expected[] = "REDIS01234567890123456789abcdef0123--";
    static const size_t reads[] = {1, 3, 40, 65536};
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++)
        assert_payload(play(steps, sizeof steps / sizeof *steps, reads[i]), expected, sizeof expected - 1);
}

static void test_redis_replica__finds_the_end_mark_wherever_it_is_cut(void **state)
{
    (void)state;
    for (size_t first = 1; first < REDIS_MARK_BYTES; first++) {
        char head[64];
        snprintf(head, sizeof head, "REDIS%.*s", (int)first, MARK);
        const struct double_step steps[] = {
            GREETING,
            {.wants = "PSYNC", .answer = "+FULLRESYNC x 0\r\n$EOF:" MARK "\r\n"},
            {.answer = head, .pause_ms = 3},
            {.answer = MARK + first, .pause_ms = 3},
        };
        assert_payload(PLAY(steps), "REDIS", 5);
    }
}

static void test_redis_replica__tells_valkey_its_version(void **state)
{
    (void)state;
    static const struct double_step steps[] = {
        GREETING,
        {.wants = "$7\r\nversion\r\n$5\r\n9.0.1", .answer = "+OK\r\n"},
        {.wants = "PSYNC", .answer = "+FULLRESYNC x 0\r\n$1\r\nx"},
    };
    assert_payload(play_with(steps, sizeof steps / sizeof *steps, 100, NULL, "9.0.1", 10000), "x", 1);
}

static void test_redis_replica__old_servers_know_less(void **state)
{
    (void)state;
    static const struct double_step steps[] = {
        {.wants = "capa", .answer = "-ERR unknown command 'REPLCONF'\r\n"},
        {.wants = "rdb-only", .answer = "-ERR Unrecognized REPLCONF option: rdb-only\r\n"},
        {.wants = "PSYNC", .answer = "-ERR unknown command 'PSYNC'\r\n"},
        {.wants = "SYNC", .answer = "\n$3\r\nabc"},
    };
    assert_payload(PLAY(steps), "abc", 3);
}

static void test_redis_replica__logs_in_first(void **state)
{
    (void)state;
    static const struct double_step steps[] = {
        {.wants = "$4\r\nAUTH\r\n$6\r\ngeheim", .answer = "+OK\r\n"},
        GREETING,
        {.wants = "PSYNC", .answer = "+FULLRESYNC x 0\r\n$1\r\nx"},
    };
    assert_payload(play_with(steps, sizeof steps / sizeof *steps, 100, "geheim", NULL, 10000), "x", 1);
    static const struct double_step without[] = {
        {.wants = "AUTH",
         .answer = "-ERR AUTH <password> called without any password configured for the default "
                   "user. Are you sure your configuration is correct?\r\n"},
        GREETING,
        {.wants = "PSYNC", .answer = "+FULLRESYNC x 0\r\n$1\r\nx"},
    };
    assert_payload(play_with(without, sizeof without / sizeof *without, 100, "geheim", NULL, 10000), "x", 1);
    static const struct double_step refused[] = {
        {.wants = "AUTH", .answer = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
    };
    struct result r = play_with(refused, 1, 100, "geheim", NULL, 10000);
    assert_null(strstr(r.message, "geheim"));
    assert_failure(r, ERR_PERMISSION, "refuses the password of user 'default'");
}

/* What a server may say instead of giving a dump. */
static void assert_complaint(const char *answer, enum err_code code, const char *word)
{
    const struct double_step steps[] = {GREETING, {.wants = "PSYNC", .answer = answer}};
    assert_failure(PLAY(steps), code, word);
}

static void test_redis_replica__complaints_say_what_to_do(void **state)
{
    (void)state;
    assert_complaint("-NOAUTH Authentication required.\r\n", ERR_PERMISSION, "give one with 'password'");
    assert_complaint("-NOPERM User x has no permissions to run the 'psync' command\r\n", ERR_PERMISSION,
                     "ACL SETUSER default +info +replconf +psync");
    assert_complaint("-LOADING Redis is loading the dataset in memory\r\n", ERR_FAILED, "try again later");
    assert_complaint("-NOMASTERLINK Can't SYNC while not connected with my master\r\n", ERR_FAILED, "lost its master");
    assert_complaint("-MASTERDOWN Link with MASTER is down\r\n", ERR_FAILED, "lost its master");
    assert_complaint("-MISCONF Redis is configured\tto save\x01 RDB\r\n", ERR_FAILED,
                     "refused PSYNC: MISCONF Redis is configured to save  RDB");
    assert_complaint("+CONTINUE\r\n", ERR_FAILED, "did not answer PSYNC");
    assert_complaint("+FULLRESYNC x 0\r\n-ERR BGSAVE failed, replication can't continue\r\n", ERR_FAILED,
                     "BGSAVE failed");
    assert_complaint("+FULLRESYNC x 0\r\nhello\r\n", ERR_FAILED, "did not announce");
    assert_complaint("+FULLRESYNC x 0\r\n$EOF:abc\r\n", ERR_FAILED, "wrong end mark");
    assert_complaint("+FULLRESYNC x 0\r\n$12x\r\n", ERR_FAILED, "wrong length");
    assert_complaint("+FULLRESYNC x 0\r\n$0\r\n", ERR_FAILED, "wrong length");
    assert_complaint("+FULLRESYNC x 0\r\n$-5\r\n", ERR_FAILED, "wrong length");
    assert_complaint("+FULLRESYNC x 0\r\n$\r\n", ERR_FAILED, "wrong length");
    static const struct double_step denied[] = {
        {.wants = "capa", .answer = "-DENIED Redis is running in protected mode because\r\n"}};
    assert_failure(PLAY(denied), ERR_PERMISSION, "protected mode");
    static const struct double_step renamed[] = {
        GREETING,
        {.wants = "PSYNC", .answer = "-ERR unknown command 'PSYNC', with args beginning with: \r\n"},
        {.wants = "SYNC", .answer = "-ERR unknown command 'SYNC', with args beginning with: \r\n"},
    };
    assert_failure(PLAY(renamed), ERR_FAILED, "rename-command");
    static const struct double_step forbidden[] = {
        {.wants = "capa", .answer = "-NOPERM User bob has no permissions to run the 'replconf' command\r\n"}};
    assert_failure(PLAY(forbidden), ERR_PERMISSION, "REPLCONF");
}

static void test_redis_replica__a_server_that_dies_is_told(void **state)
{
    (void)state;
    static const struct double_step before[] = {GREETING, {.wants = "PSYNC", .answer = "\n"}};
    assert_failure(PLAY(before), ERR_FAILED, "its log says why");
    static const struct double_step within[] = {GREETING,
                                                {.wants = "PSYNC", .answer = "+FULLRESYNC x 0\r\n$10\r\nabc"}};
    assert_failure(PLAY(within), ERR_FAILED, "in the middle");
    static const struct double_step marked[] = {
        GREETING, {.wants = "PSYNC", .answer = "+FULLRESYNC x 0\r\n$EOF:" MARK "\r\nabcdef0123456789abcdef"}};
    assert_failure(PLAY(marked), ERR_FAILED, "in the middle");
    static const struct double_step at_once[] = {{.wants = "capa", .answer = NULL}};
    assert_int_equal(PLAY(at_once).code, ERR_IO);
}

static void test_redis_replica__a_server_that_hangs_is_given_up(void **state)
{
    (void)state;
    static const struct double_step before[] = {GREETING, {.wants = "PSYNC", .answer = "\n", .stalls = true}};
    assert_failure(play_with(before, 3, 100, NULL, NULL, 100), ERR_TIMEOUT, "did not answer");
    static const struct double_step within[] = {
        GREETING, {.wants = "PSYNC", .answer = "+FULLRESYNC x 0\r\n$10\r\nabc", .stalls = true}};
    assert_failure(play_with(within, 3, 100, NULL, NULL, 100), ERR_TIMEOUT, "did not answer");
}

static void test_redis_replica__the_time_for_all_of_it_is_kept(void **state)
{
    (void)state;
    static const struct double_step steps[] = {
        GREETING,
        {.wants = "PSYNC", .answer = "\n"},
        {.answer = "\n", .pause_ms = 100},
        {.answer = "\n", .pause_ms = 100},
        {.answer = "\n", .pause_ms = 100},
        {.answer = "\n", .pause_ms = 100, .stalls = true},
    };
    struct redis_double server;
    struct redis_url url;
    struct redis_payload *payload;
    struct err err = {0};
    double_start(&server, steps, sizeof steps / sizeof *steps);
    assert_int_equal(redis_url_parse(server.url, &url, NULL), 0);
    struct redis_login login = {
        .url = &url, .idle_ms = 5000, .deadline_ns = os_monotonic_ns() + 250 * UINT64_C(1000000)};
    assert_int_equal(redis_replica_open(&payload, &login, NULL, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "took too long"));
    redis_url_release(&url);
    double_stop(&server);
}

static void test_redis_replica__nobody_listening_is_not_found(void **state)
{
    (void)state;
    static const char *const urls[] = {"unix:///nonexistent/s", "redis://127.0.0.1:1"};
    for (size_t i = 0; i < 2; i++) {
        struct redis_url url;
        struct redis_payload *payload;
        struct err err = {0};
        assert_int_equal(redis_url_parse(urls[i], &url, NULL), 0);
        struct redis_login login = {.url = &url, .idle_ms = 1000, .deadline_ns = UINT64_MAX};
        assert_int_equal(redis_replica_open(&payload, &login, NULL, &err), -1);
        assert_int_equal(err.code, ERR_NOT_FOUND);
        redis_url_release(&url);
    }
}

static void test_redis_replica__the_path_of_a_socket_has_a_limit(void **state)
{
    (void)state;
    struct redis_url url;
    struct redis_payload *payload;
    struct err err = {0};
    assert_int_equal(
        redis_url_parse("unix:///aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/s",
                        &url, NULL),
        0);
    struct redis_login login = {.url = &url, .idle_ms = 1000, .deadline_ns = UINT64_MAX};
    assert_int_equal(redis_replica_open(&payload, &login, NULL, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    redis_url_release(&url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_replica__takes_a_dump_of_known_length),
        cmocka_unit_test(test_redis_replica__takes_the_end_mark_off),
        cmocka_unit_test(test_redis_replica__finds_the_end_mark_wherever_it_is_cut),
        cmocka_unit_test(test_redis_replica__tells_valkey_its_version),
        cmocka_unit_test(test_redis_replica__old_servers_know_less),
        cmocka_unit_test(test_redis_replica__logs_in_first),
        cmocka_unit_test(test_redis_replica__complaints_say_what_to_do),
        cmocka_unit_test(test_redis_replica__a_server_that_dies_is_told),
        cmocka_unit_test(test_redis_replica__a_server_that_hangs_is_given_up),
        cmocka_unit_test(test_redis_replica__the_time_for_all_of_it_is_kept),
        cmocka_unit_test(test_redis_replica__nobody_listening_is_not_found),
        cmocka_unit_test(test_redis_replica__the_path_of_a_socket_has_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
