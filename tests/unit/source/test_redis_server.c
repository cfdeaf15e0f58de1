#include "source/redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A server that answers from a table: the first word of the command decides. */
struct answers {
    const char *info, *acl, *config, *cluster; /* NULL: an error; a '|' ends an item of an array */
    const char *broken;                        /* asking this fails altogether */
    unsigned asked;
};

static int answer(void *ctx, const char *const *argv, struct redis_reply *out, struct err *err)
{
    struct answers *a = ctx;
    const char *text = strcmp(argv[0], "INFO") == 0     ? a->info
                       : strcmp(argv[0], "ACL") == 0    ? a->acl
                       : strcmp(argv[0], "CONFIG") == 0 ? a->config
                                                        : a->cluster;
    a->asked++;
    redis_reply_release(out);
    if (a->broken != NULL && strcmp(argv[0], a->broken) == 0)
        return err_set(err, ERR_IO, "it broke");
    out->kind = text == NULL ? REDIS_ERROR : REDIS_ARRAY;
    if (text == NULL)
        strlist_add(&out->items, "NOPERM this user has no permissions");
    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, "|");
        strlist_add_len(&out->items, text, len);
        text += len + (text[len] == '|');
    }
    return 0;
}

static enum err_code look(struct answers *a, struct redis_server *out, struct err *err)
{
    struct redis_asker asker = {.ask = answer, .ctx = a, .where = "here"};
    return redis_server_look(out, &asker, err) == 0 ? ERR_NONE : err->code;
}

#define INFO_7                                                                                                         \
    "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nos:Linux\r\n\r\n# Memory\r\nused_memory:1189216\r\n" \
    "# Persistence\r\nloading:0\r\n# Replication\r\nrole:master\r\n# Cluster\r\ncluster_enabled:0\r\n# Modules\r\n"    \
    "module:name=ReJSON,ver=20609,api=1,filters=0\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n"                 \
    "db3:keys=20,expires=5,avg_ttl=7\r\nnonsense\r\n"

static void test_redis_server__tells_what_a_restore_needs(void **state)
{
    (void)state;
    struct redis_server s;
    struct err err = {0};
    struct answers a = {.info = INFO_7,
                        .acl = "user default on nopass ~* &* +@all|user ann on #1234 ~\xff* +get",
                        .config = "appendonly|no|requirepass|geheim|masterauth|auch|maxmemory|100|save||odd"};
    assert_int_equal(look(&a, &s, &err), ERR_NONE);
    assert_string_equal(s.product, "redis");
    assert_string_equal(s.version, "7.0.15");
    assert_string_equal(s.mode, "standalone");
    assert_string_equal(s.role, "master");
    assert_int_equal(s.keys, 21);
    assert_int_equal(s.used_memory_bytes, 1189216);
    assert_false(s.is_replica || s.is_cluster || s.is_loading);
    struct buf text;
    buf_init(&text, 1 << 20);
    redis_server_write(&s, &text);
    json_t *document = json_loadb((char *)text.data, text.len, 0, NULL);
    assert_non_null(document);
    json_t *config = json_object_get(document, "config"), *databases = json_object_get(document, "databases");
    assert_string_equal(json_string_value(json_object_get(config, "appendonly")), "no");
    assert_string_equal(json_string_value(json_object_get(config, "maxmemory")), "100");
    assert_string_equal(json_string_value(json_object_get(config, "save")), "");
    assert_int_equal(json_object_size(config), 3);
    assert_null(strstr(buf_cstr(&text), "geheim"));
    assert_null(strstr(buf_cstr(&text), "auch"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(databases, "3"), "keys")), 20);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(databases, "3"), "expires")), 5);
    assert_string_equal(json_string_value(json_array_get(json_object_get(document, "acl"), 1)),
                        "user ann on #1234 ~\\xff* +get");
    json_t *module = json_array_get(json_object_get(document, "modules"), 0);
    assert_string_equal(json_string_value(json_object_get(module, "name")), "ReJSON");
    assert_string_equal(json_string_value(json_object_get(module, "version")), "20609");
    assert_null(json_object_get(document, "cluster"));
    json_decref(document);
    buf_release(&text);
    redis_server_release(&s);
}

static void test_redis_server__what_is_not_permitted_is_null(void **state)
{
    (void)state;
    struct redis_server s;
    struct err err = {0};
    struct answers a = {.info = INFO_7};
    assert_int_equal(look(&a, &s, &err), ERR_NONE);
    assert_true(json_is_null(json_object_get(s.document, "acl")));
    assert_true(json_is_null(json_object_get(s.document, "config")));
    redis_server_release(&s);
    redis_server_release(&s);
}

static void assert_product(const char *info, const char *product, const char *version)
{
    struct redis_server s;
    struct err err = {0};
    struct answers a = {.info = info};
    assert_int_equal(look(&a, &s, &err), ERR_NONE);
    assert_string_equal(s.product, product);
    assert_string_equal(s.version, version);
    redis_server_release(&s);
}

static void test_redis_server__knows_its_relatives(void **state)
{
    (void)state;
    assert_product("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.0.1\r\nserver_mode:standalone\r\n",
                   "valkey", "9.0.1");
    assert_product("valkey_version:8.1.0\nredis_version:7.2.4\n", "valkey", "8.1.0");
    assert_product("redis_version:6.3.4\r\n# KeyDB\r\nmvcc_depth:0\r\n", "keydb", "6.3.4");
    assert_product("redis_version:6.2.11\r\ndragonfly_version:df-v1.2\r\n", "dragonfly", "df-v1.2");
    assert_product("redis_version:2.8.1", "redis", "2.8.1");
}

static void test_redis_server__tells_replicas_and_nodes(void **state)
{
    (void)state;
    struct redis_server s;
    struct err err = {0};
    struct answers a = {.info = "redis_version:7.0.15\r\nrole:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\n"
                                "master_link_status:up\r\ncluster_enabled:1\r\n",
                        .cluster = "07c3 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-5460\n\nabc x\n"};
    assert_int_equal(look(&a, &s, &err), ERR_NONE);
    assert_true(s.is_replica && s.is_cluster && s.master_link_up);
    assert_string_equal(s.master_host, "10.0.0.1");
    assert_string_equal(s.master_port, "6379");
    assert_int_equal(json_array_size(json_object_get(s.document, "cluster")), 2);
    redis_server_release(&s);
}

static void test_redis_server__a_loading_one_is_asked_no_more(void **state)
{
    (void)state;
    struct redis_server s;
    struct err err = {0};
    struct answers a = {.info = "redis_version:7.0.15\r\nloading:1\r\n"};
    assert_int_equal(look(&a, &s, &err), ERR_NONE);
    assert_true(s.is_loading);
    assert_int_equal(a.asked, 1);
    redis_server_release(&s);
}

static void test_redis_server__failures_are_errors(void **state)
{
    (void)state;
    static const char *const commands[] = {"INFO", "ACL", "CONFIG", "CLUSTER"};
    struct redis_server s;
    struct err err = {0};
    for (size_t i = 0; i < 4; i++) {
        struct answers a = {.info = "redis_version:7\r\ncluster_enabled:1\r\n", .broken = commands[i]};
        assert_int_equal(look(&a, &s, &err), ERR_IO);
        assert_null(s.document);
    }
    struct answers denied = {.info = NULL}, other = {.info = "hello:world"};
    assert_int_equal(look(&denied, &s, &err), ERR_PERMISSION);
    assert_non_null(strstr(err.message, "+info"));
    assert_int_equal(look(&other, &s, &err), ERR_FAILED);
    assert_non_null(strstr(err.message, "no Redis server"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_server__tells_what_a_restore_needs),
        cmocka_unit_test(test_redis_server__what_is_not_permitted_is_null),
        cmocka_unit_test(test_redis_server__knows_its_relatives),
        cmocka_unit_test(test_redis_server__tells_replicas_and_nodes),
        cmocka_unit_test(test_redis_server__a_loading_one_is_asked_no_more),
        cmocka_unit_test(test_redis_server__failures_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
