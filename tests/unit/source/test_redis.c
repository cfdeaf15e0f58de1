#include "source/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "source/collecting_sink.h"
#include "source/rdb_crc.h"
#include "source/redis_server_double.h"

/* An empty dump and how it is sent. */
static char dump[64];
static size_t dump_len;
static char sent[128];
static size_t sent_len;

static int make_dump(void **state)
{
    (void)state;
    memcpy(dump, "REDIS0011\xff", 10);
    uint64_t sum = rdb_crc(0, dump, 10);
    for (int i = 0; i < 8; i++)
        dump[10 + i] = (char)(sum >> 8 * i);
    dump_len = 18;
    sent_len = (size_t)snprintf(sent, sizeof sent, "+FULLRESYNC x 0\r\n$18\r\n");
    memcpy(sent + sent_len, dump, dump_len);
    sent_len += dump_len;
    return 0;
}

#define BULK(text) bulk(text, (char[4096]){0})
static const char *bulk(const char *text, char room[4096])
{
    snprintf(room, 4096, "$%zu\r\n%s\r\n", strlen(text), text);
    return room;
}

#define MASTER "redis_version:7.0.15\r\nredis_mode:standalone\r\nrole:master\r\ndb0:keys=5,expires=0\r\n"

/* Makes a source and pushes it. The code of what failed before anything was pushed. */
static enum err_code take(const struct double_step *steps, size_t count, const struct redis_options *with,
                          struct collector *c, struct err *err)
{
    struct redis_double server;
    struct redis_options options = *with;
    struct source *s;
    double_start(&server, steps, count);
    options.url = server.url;
    collector_init(c, 10);
    int rc = redis_source_new(&s, &options, err);
    if (rc == 0) {
        assert_true(s->strict);
        assert_int_equal(s->paths.count, 1);
        assert_memory_equal(s->paths.items[0], "/redis/_tmp_clawback-redis-", 27);
        rc = source_push(s, &c->sink, &c->reporter, err);
        source_free(s);
    }
    double_stop(&server);
    return rc == 0 ? ERR_NONE : err->code;
}
#define TAKE(steps, c, err) \
    take(steps, sizeof(steps) / sizeof *(steps), &(struct redis_options){.timeout_ms = 5000}, c, err)

static void test_redis__pushes_the_dump_and_what_a_restore_needs(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    const struct double_step steps[] = {
        {.wants = "INFO", .answer = BULK(MASTER)},
        {.wants = "ACL", .answer = "*1\r\n+user default on\r\n"},
        {.wants = "CONFIG", .answer = "*2\r\n+appendonly\r\n+yes\r\n"},
        {.wants = ""},
        {.wants = "capa", .answer = "+OK\r\n"},
        {.wants = "rdb-only", .answer = "+OK\r\n"},
        {.wants = "PSYNC", .answer = sent, .answer_len = sent_len},
    };
    if (TAKE(steps, &c, &err) != ERR_NONE)
        fail_msg("%s", err.message);
    assert_int_equal(c.count, 2);
    assert_int_equal(c.depth, 0);
    assert_non_null(strstr(c.files[0].path, "/dump.rdb"));
    assert_int_equal(c.files[0].err.code, ERR_NONE);
    assert_int_equal(c.files[0].cut, SINK_CUT_SCATTERED);
    assert_int_equal(c.files[0].bytes.len, dump_len);
    assert_memory_equal(c.files[0].bytes.data, dump, dump_len);
    assert_non_null(strstr(c.files[1].path, "/server.json"));
    assert_non_null(strstr(buf_cstr(&c.files[1].bytes), "\"appendonly\": \"yes\""));
    assert_string_equal(buf_cstr(&c.warnings), "");
    collector_release(&c);
}

static void test_redis__a_dump_that_fails_is_unreadable(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    const struct double_step steps[] = {
        {.wants = "INFO", .answer = BULK(MASTER)},
        {.wants = "ACL", .answer = "-ERR unknown command\r\n"},
        {.wants = "CONFIG", .answer = "-NOPERM no\r\n"},
        {.wants = ""},
        {.wants = "capa", .answer = "+OK\r\n"},
        {.wants = "rdb-only", .answer = "+OK\r\n"},
        {.wants = "PSYNC", .answer = sent, .answer_len = sent_len - 1},
    };
    assert_int_equal(TAKE(steps, &c, &err), ERR_NONE);
    assert_int_equal(c.files[0].err.code, ERR_FAILED);
    assert_non_null(strstr(c.files[0].err.message, "in the middle"));
    collector_release(&c);
}

static void test_redis__warns_of_replicas_and_nodes(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    const struct double_step steps[] = {
        {.wants = "INFO",
         .answer =
             BULK("redis_version:7.0.15\r\nrole:slave\r\nmaster_host:h\r\nmaster_port:1\r\nmaster_link_status:down\r\n"
                  "cluster_enabled:1\r\n")},
        {.wants = "ACL", .answer = "*0\r\n"},
        {.wants = "CONFIG", .answer = "*0\r\n"},
        {.wants = "CLUSTER", .answer = "$-1\r\n"},
        {.wants = ""},
        {.wants = "capa", .answer = "-NOMASTERLINK Can't SYNC while not connected with my master\r\n"},
    };
    assert_int_equal(TAKE(steps, &c, &err), ERR_NONE);
    assert_non_null(strstr(buf_cstr(&c.warnings), "is a replica of h:1, which may lag behind; the link to it is down"));
    assert_non_null(strstr(buf_cstr(&c.warnings), "is one node of a cluster"));
    assert_non_null(strstr(c.files[0].err.message, "lost its master"));
    collector_release(&c);
}

static void test_redis__tells_valkey_its_version(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    const struct double_step steps[] = {
        {.wants = "INFO", .answer = BULK("redis_version:7.2.4\r\nvalkey_version:9.0.1\r\n")},
        {.wants = "ACL", .answer = "*0\r\n"},
        {.wants = "CONFIG", .answer = "*0\r\n"},
        {.wants = ""},
        {.wants = "capa", .answer = "+OK\r\n"},
        {.wants = "rdb-only", .answer = "+OK\r\n"},
        {.wants = "9.0.1", .answer = "+OK\r\n"},
        {.wants = "PSYNC", .answer = sent, .answer_len = sent_len},
    };
    assert_int_equal(TAKE(steps, &c, &err), ERR_NONE);
    assert_int_equal(c.files[0].err.code, ERR_NONE);
    assert_non_null(strstr(buf_cstr(&c.warnings), "older format"));
    collector_release(&c);
}

static void test_redis__what_cannot_give_a_dump_is_refused_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *info, *word;
        enum err_code code;
    } cases[] = {
        {"redis_version:7\r\nloading:1\r\n", "still loading", ERR_FAILED},
        {"redis_version:7\r\nredis_mode:sentinel\r\n", "Sentinel", ERR_FAILED},
        {"hello:1\r\n", "no Redis server", ERR_FAILED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct collector c;
        struct err err = {0};
        const struct double_step steps[] = {
            {.wants = "INFO", .answer = BULK(cases[i].info)},
            {.wants = "ACL", .answer = "*0\r\n"},
            {.wants = "CONFIG", .answer = "*0\r\n"},
        };
        assert_int_equal(TAKE(steps, &c, &err), cases[i].code);
        if (strstr(err.message, cases[i].word) == NULL)
            fail_msg("%s", err.message);
        assert_int_equal(c.count, 0);
        collector_release(&c);
    }
}

static void test_redis__logs_in_with_what_is_given(void **state)
{
    (void)state;
    struct collector c;
    struct err err = {0};
    static const struct double_step steps[] = {
        {.wants = "$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\ngeheim", .answer = "-WRONGPASS no\r\n"}};
    const struct redis_options options = {.user = "ann", .password = "geheim"};
    assert_int_equal(take(steps, 1, &options, &c, &err), ERR_PERMISSION);
    assert_non_null(strstr(err.message, "'ann'"));
    assert_null(strstr(err.message, "geheim"));
    collector_release(&c);
}

static void test_redis__options_are_checked(void **state)
{
    (void)state;
    static const struct redis_options wrong[] = {
        {0},
        {.container = "x", .url = "redis://h"},
        {.url = "http://h"},
        {.url = "redis://ann@h"},
        {.url = "redis://h", .user = "ann"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct source *s;
        struct err err = {0};
        struct redis_probe probe;
        assert_int_equal(redis_source_new(&s, &wrong[i], &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        redis_probe(&wrong[i], &probe);
        assert_int_equal(probe.state, REDIS_FAILED);
        assert_int_equal(probe.why.code, ERR_USAGE);
    }
}

static void test_redis__a_server_that_is_down_is_not_found(void **state)
{
    (void)state;
    struct source *s;
    struct err err = {0};
    assert_int_equal(redis_source_new(&s, &(struct redis_options){.url = "unix:///nonexistent/s"}, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

/* ---- the probe */

static struct redis_probe probe(const struct double_step *steps, size_t count, const char *password)
{
    struct redis_double server;
    struct redis_probe out;
    double_start(&server, steps, count);
    redis_probe(&(struct redis_options){.url = server.url, .password = password, .timeout_ms = 1000}, &out);
    double_stop(&server);
    return out;
}
#define PROBE(steps) probe(steps, sizeof(steps) / sizeof *(steps), NULL)

static void test_redis_probe__tells_what_runs_there(void **state)
{
    (void)state;
    const struct double_step steps[] = {
        {.wants = "INFO", .answer = BULK(MASTER "used_memory:100\r\n")},
        {.wants = "COMMAND", .answer = "*1\r\n*2\r\n+psync\r\n:-3\r\n"},
        {.wants = "replconf", .answer = "+OK\r\n"},
        {.wants = "psync", .answer = "+OK\r\n"},
    };
    struct redis_probe p = PROBE(steps);
    assert_int_equal(p.state, REDIS_UP);
    assert_string_equal(p.product, "redis");
    assert_string_equal(p.version, "7.0.15");
    assert_int_equal(p.keys, 5);
    assert_int_equal(p.used_memory_bytes, 100);
    assert_true(p.may_replicate);
    assert_false(p.wants_password || p.is_replica || p.is_cluster);
}

static void test_redis_probe__sees_that_replication_is_not_to_be_had(void **state)
{
    (void)state;
#define HAS_PSYNC                                            \
    {.wants = "INFO", .answer = BULK(MASTER)},               \
    {                                                        \
        .wants = "psync", .answer = "*1\r\n*1\r\n+psync\r\n" \
    }
    const struct double_step renamed[] = {
        {.wants = "INFO", .answer = BULK(MASTER)},
        {.wants = "psync", .answer = "*1\r\n*-1\r\n"},
        {.wants = "sync", .answer = "*1\r\n*-1\r\n"},
    };
    assert_false(PROBE(renamed).may_replicate);
    const struct double_step only_sync[] = {
        {.wants = "INFO", .answer = BULK(MASTER)},
        {.wants = "psync", .answer = "*1\r\n*-1\r\n"},
        {.wants = "sync", .answer = "*1\r\n*1\r\n+sync\r\n"},
        {.wants = "replconf", .answer = "+OK\r\n"},
        {.wants = "sync", .answer = "+OK\r\n"},
    };
    assert_true(PROBE(only_sync).may_replicate);
    const struct double_step forbidden[] = {
        HAS_PSYNC,
        {.wants = "replconf", .answer = "+OK\r\n"},
        {.wants = "DRYRUN", .answer = "$60\r\nThis user has no permissions to run the 'psync' command.1234\r\n"},
    };
    assert_false(PROBE(forbidden).may_replicate);
    const struct double_step half[] = {
        HAS_PSYNC,
        {.wants = "replconf", .answer = "$12\r\nnot replconf\r\n"},
    };
    assert_false(PROBE(half).may_replicate);
    const struct double_step untold[] = {
        {.wants = "INFO", .answer = BULK(MASTER)},
        {.wants = "COMMAND", .answer = "-NOPERM\r\n"},
        {.wants = "DRYRUN", .answer = "-NOPERM\r\n"},
        {.wants = "DRYRUN", .answer = "-NOPERM\r\n"},
    };
    assert_true(PROBE(untold).may_replicate);
}

static void test_redis_probe__tells_why_it_does_not_get_in(void **state)
{
    (void)state;
    static const struct double_step noauth[] = {{.wants = "INFO", .answer = "-NOAUTH Authentication required.\r\n"}};
    struct redis_probe p = PROBE(noauth);
    assert_int_equal(p.state, REDIS_DENIED);
    assert_true(p.wants_password);
    static const struct double_step wrong[] = {{.wants = "AUTH", .answer = "-WRONGPASS no\r\n"}};
    p = probe(wrong, 1, "x");
    assert_int_equal(p.state, REDIS_DENIED);
    assert_false(p.wants_password);
    static const struct double_step loading[] = {{.wants = "INFO", .answer = "-LOADING Redis is loading\r\n"}};
    assert_int_equal(PROBE(loading).state, REDIS_LOADING);
    const struct double_step reading[] = {{.wants = "INFO", .answer = BULK("redis_version:7\r\nloading:1\r\n")}};
    p = PROBE(reading);
    assert_int_equal(p.state, REDIS_LOADING);
    assert_non_null(strstr(p.why.message, "still loading"));
    static const struct double_step other[] = {{.wants = "INFO", .answer = "HTTP/1.1 400 Bad Request\r\n\r\n"}};
    assert_int_equal(PROBE(other).state, REDIS_FAILED);
    static const struct double_step silent[] = {{.wants = "INFO", .answer = NULL, .stalls = true}};
    p = PROBE(silent);
    assert_int_equal(p.state, REDIS_FAILED);
    assert_int_equal(p.why.code, ERR_TIMEOUT);
    redis_probe(&(struct redis_options){.url = "unix:///nonexistent/s"}, &p);
    assert_int_equal(p.state, REDIS_DOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis__pushes_the_dump_and_what_a_restore_needs),
        cmocka_unit_test(test_redis__a_dump_that_fails_is_unreadable),
        cmocka_unit_test(test_redis__warns_of_replicas_and_nodes),
        cmocka_unit_test(test_redis__tells_valkey_its_version),
        cmocka_unit_test(test_redis__what_cannot_give_a_dump_is_refused_at_once),
        cmocka_unit_test(test_redis__logs_in_with_what_is_given),
        cmocka_unit_test(test_redis__options_are_checked),
        cmocka_unit_test(test_redis__a_server_that_is_down_is_not_found),
        cmocka_unit_test(test_redis_probe__tells_what_runs_there),
        cmocka_unit_test(test_redis_probe__sees_that_replication_is_not_to_be_had),
        cmocka_unit_test(test_redis_probe__tells_why_it_does_not_get_in),
    };
    return cmocka_run_group_tests(tests, make_dump, NULL);
}
