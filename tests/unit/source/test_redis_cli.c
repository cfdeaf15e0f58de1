#include "source/redis_cli.h"

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

#include "base/mem.h"
#include "os/file.h"
#include "source/collecting_sink.h"
#include "source/redis.h"

/*
 * A stand-in for docker and for the programs in a container: `docker exec` runs what it is told, with nothing in PATH
 * but a directory of our own. Every command line, and what REDISCLI_AUTH was for the program, are written down.
 */
static char root[64];

static void put(const char *name, const char *text)
{
    char *path = mem_printf("%s/%s", root, name);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0755, NULL), 0);
    free(path);
}

static void drop(const char *name)
{
    char *path = mem_printf("%s/%s", root, name);
    (void)unlink(path);
    free(path);
}

static void get(const char *name, struct buf *out)
{
    char *path = mem_printf("%s/%s", root, name);
    buf_clear(out);
    (void)os_read_file(path, out, NULL);
    free(path);
}

static const char docker[] = "#!/bin/sh\n"
                             "dir=${0%/*/*}\n"
                             "echo \"$@\" >>$dir/calls\n"
                             "case $1 in\n"
                             "container) cat $dir/inspect; exit;;\n"
                             "exec) ;;\n"
                             "*) exit 1;;\n"
                             "esac\n"
                             "shift\n"
                             "while :; do case $1 in\n"
                             "-e) case $2 in *=*) export \"$2\";; esac; shift 2;;\n"
                             "*) break;;\n"
                             "esac; done\n"
                             "shift\n"
                             ". $dir/environment\n"
                             "export DIR=$dir\n"
                             "PATH=$dir/inside exec \"$@\"\n";

static const char *const files[] = {"docker/docker", "inspect",          "environment",      "calls",
                                    "auth",          "inside/redis-cli", "inside/valkey-cli"};

/* What a container has besides. */
static const char *const tools[] = {"sh", "cat", "sleep"};

static void inspect(const char *status, const char *env)
{
    char *text =
        mem_printf("[{\"Id\": \"c0ffee\", \"Name\": \"/box\", \"Config\": {\"Image\": \"redis\", \"Env\": [%s]}, "
                   "\"State\": {\"Status\": \"%s\", \"Running\": %s, \"Paused\": false}, "
                   "\"NetworkSettings\": {\"Ports\": {}}}]",
                   env, status, strcmp(status, "running") == 0 ? "true" : "false");
    put("inspect", text);
    free(text);
}

/* A redis-cli that writes down its password, and then does this. */
static void program(const char *name, const char *script)
{
    char *text = mem_printf(
        "#!/bin/sh\n[ \"$1\" = --version ] && exit 0\necho \"${REDISCLI_AUTH-none}\" >$DIR/auth\n%s\n", script);
    char *file = mem_printf("inside/%s", name);
    put(file, text);
    free(file);
    free(text);
}

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/clawback-cli-XXXXXX");
    assert_non_null(mkdtemp(root));
    static const char *const dirs[] = {"docker", "inside"};
    for (size_t i = 0; i < 2; i++) {
        char *path = mem_printf("%s/%s", root, dirs[i]);
        assert_int_equal(mkdir(path, 0755), 0);
        free(path);
    }
    char *path = mem_printf("%s/docker:/usr/bin:/bin", root);
    setenv("PATH", path, 1);
    free(path);
    put("docker/docker", docker);
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        char *from = mem_printf("/bin/%s", tools[i]), *to = mem_printf("%s/inside/%s", root, tools[i]);
        assert_int_equal(symlink(from, to), 0);
        free(from);
        free(to);
    }
    return 0;
}

static int clean(void **state)
{
    (void)state;
    put("environment", "");
    drop("calls");
    drop("auth");
    drop("inside/redis-cli");
    drop("inside/valkey-cli");
    inspect("running", "");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        drop(files[i]);
    for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
        char *name = mem_printf("inside/%s", tools[i]);
        drop(name);
        free(name);
    }
    char *inside = mem_printf("%s/inside", root), *outside = mem_printf("%s/docker", root);
    rmdir(inside);
    rmdir(outside);
    free(inside);
    free(outside);
    return rmdir(root);
}

static struct redis_cli *open_cli(const char *user, const char *password)
{
    struct redis_cli *c;
    struct err err = {0};
    if (redis_cli_open(&c, "box", user, password, 5000, &err) != 0)
        fail_msg("%s", err.message);
    return c;
}

static const char *const info[] = {"INFO", NULL};

/* What asking INFO gives: the items joined, or the error's message. */
static char *ask(struct redis_cli *c, enum err_code *code)
{
    struct redis_reply reply = {0};
    struct err err = {0};
    int rc = redis_ask(&c->asker, "INFO", info, &reply, &err);
    *code = rc == 0 ? ERR_NONE : err.code;
    char *text = rc == 0 ? strlist_join(&reply.items, "|") : mem_strdup(err.message);
    redis_reply_release(&reply);
    return text;
}

static void assert_asked(const char *user, const char *password, enum err_code expected, const char *word)
{
    struct redis_cli *c = open_cli(user, password);
    enum err_code code;
    char *text = ask(c, &code);
    if (code != expected || strstr(text, word) == NULL)
        fail_msg("code %d: '%s' is not in '%s'", code, word, text);
    free(text);
    redis_cli_close(c);
}

static void assert_file(const char *name, const char *with, const char *without)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    get(name, &b);
    if (with != NULL && strstr(buf_cstr(&b), with) == NULL)
        fail_msg("'%s' is not in '%s'", with, buf_cstr(&b));
    if (without != NULL && strstr(buf_cstr(&b), without) != NULL)
        fail_msg("'%s' is in '%s'", without, buf_cstr(&b));
    buf_release(&b);
}

static void test_redis_cli__answers_are_lines(void **state)
{
    (void)state;
    program("redis-cli", "printf 'role:master\\n\\nlast'");
    assert_asked(NULL, NULL, ERR_NONE, "role:master||last");
    assert_file("auth", "none", NULL);
    assert_file("calls", "redis-cli INFO", "REDISCLI_AUTH");
}

static void test_redis_cli__passwords_are_no_arguments(void **state)
{
    (void)state;
    program("redis-cli", "echo x");
    assert_asked("ann", "geheim", ERR_NONE, "x");
    assert_file("auth", "geheim", NULL);
    assert_file("calls", "-e REDISCLI_AUTH ", "geheim");
    assert_file("calls", "redis-cli --user ann INFO", NULL);
}

static void test_redis_cli__uses_the_containers_own_password_and_port(void **state)
{
    (void)state;
    program("redis-cli", "echo x");
    inspect("running", "\"REDIS_PASSWORD=intern\", \"REDIS_PORT_NUMBER=7000\"");
    put("environment", "export REDIS_PASSWORD=intern");
    assert_asked(NULL, NULL, ERR_NONE, "x");
    assert_file("auth", "intern", NULL);
    assert_file("calls", "redis-cli -p 7000 INFO", "intern");
    inspect("running", "\"REDISCLI_AUTH=own\", \"REDIS_PORT=tcp://10.0.0.1:6379\"");
    put("environment", "export REDISCLI_AUTH=own");
    assert_asked(NULL, NULL, ERR_NONE, "x");
    assert_file("auth", "own", NULL);
    assert_file("calls", NULL, "tcp://");
    inspect("running", "\"VALKEY_PASSWORD=v\"");
    put("environment", "export VALKEY_PASSWORD=v");
    assert_asked(NULL, NULL, ERR_NONE, "x");
    assert_file("auth", "v", NULL);
    inspect("running", "\"KEYDB_PASSWORD=k\"");
    put("environment", "export KEYDB_PASSWORD=k");
    assert_asked(NULL, "given", ERR_NONE, "x");
    assert_file("auth", "given", NULL);
    assert_asked(NULL, NULL, ERR_NONE, "x");
    assert_file("auth", "k", NULL);
}

static void test_redis_cli__takes_another_program_where_there_is_no_redis_cli(void **state)
{
    (void)state;
    program("valkey-cli", "echo valkey");
    assert_asked(NULL, NULL, ERR_NONE, "valkey");
    drop("inside/valkey-cli");
    struct redis_cli *c;
    struct err err = {0};
    assert_int_equal(redis_cli_open(&c, "box", NULL, NULL, 5000, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "'url'"));
    put("inside/redis-cli", "#!/bin/sh\nexit 3\n");
    assert_int_equal(redis_cli_open(&c, "box", NULL, NULL, 5000, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
}

static void test_redis_cli__complaints_of_the_server_are_understood(void **state)
{
    (void)state;
    program("redis-cli", "echo 'NOAUTH Authentication required.'");
    assert_asked(NULL, NULL, ERR_PERMISSION, "Redis at 'container box' wants a password");
    program("redis-cli", "echo 'LOADING Redis is loading the dataset in memory'");
    assert_asked(NULL, NULL, ERR_FAILED, "still loading");
    program("redis-cli", "echo 'AUTH failed: WRONGPASS invalid username-password pair or user is disabled.' >&2; "
                         "echo 'NOAUTH Authentication required.'");
    assert_asked("ann", "geheim", ERR_PERMISSION, "refuses the password of user 'ann'");
    program("redis-cli", "echo 'Could not connect to Redis at 127.0.0.1:6379: Connection refused' >&2; exit 1");
    assert_asked(NULL, NULL, ERR_NOT_FOUND, "no Redis server listens in container 'box'");
    program("redis-cli", "echo 'out of cheese' >&2; exit 1");
    assert_asked(NULL, NULL, ERR_FAILED, "out of cheese");
}

static void test_redis_cli__a_container_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    struct redis_cli *c;
    struct err err = {0};
    inspect("exited", "");
    assert_int_equal(redis_cli_open(&c, "box", NULL, NULL, 5000, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
}

static enum err_code take_dump(const char *script, uint64_t timeout_ms, struct buf *out, char message[])
{
    struct redis_payload *payload;
    struct err err = {0};
    char room[10];
    program("redis-cli", script);
    struct redis_cli *c = open_cli(NULL, NULL);
    int64_t n = redis_cli_dump(&payload, c, timeout_ms, &err);
    if (n == 0) {
        assert_true(payload->may_have_mark);
        while ((n = payload->ops->read(payload, room, sizeof room, &err)) > 0)
            buf_append(out, room, (size_t)n);
        payload->ops->close(payload);
    }
    redis_cli_close(c);
    memcpy(message, err.message, sizeof err.message);
    return n == 0 ? ERR_NONE : err.code;
}

static void assert_dump_fails(const char *script, enum err_code code, const char *word)
{
    char message[ERR_MESSAGE_BYTES];
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(take_dump(script, 1000, &out, message), code);
    if (strstr(message, word) == NULL)
        fail_msg("'%s' is not in '%s'", word, message);
    buf_release(&out);
}

static void test_redis_cli__a_dump_is_what_the_program_writes(void **state)
{
    (void)state;
    char message[ERR_MESSAGE_BYTES];
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_int_equal(
        take_dump("echo 'sending REPLCONF capa eof' >&2; printf 'REDIS0011 and more than ten bytes'", 0, &out, message),
        ERR_NONE);
    assert_string_equal(buf_cstr(&out), "REDIS0011 and more than ten bytes");
    assert_file("calls", "redis-cli --rdb -", NULL);
    buf_release(&out);
}

static void test_redis_cli__a_dump_that_fails_says_why(void **state)
{
    (void)state;
    assert_dump_fails("echo 'REPLCONF capa error: NOAUTH Authentication required.' >&2; "
                      "echo 'SYNC with master failed: -NOAUTH Authentication required.' >&2; exit 1",
                      ERR_PERMISSION, "wants a password");
    assert_dump_fails("echo \"SYNC with master failed: -NOMASTERLINK Can't SYNC\" >&2; exit 1", ERR_FAILED,
                      "lost its master");
    assert_dump_fails("printf REDIS; echo 'I/O error reading payload from socket' >&2; exit 1", ERR_FAILED,
                      "I/O error reading payload");
    assert_dump_fails("printf REDIS; sleep 20", ERR_TIMEOUT, "took too long");
}

/* ---- the source and the probe, by a container */

/* An empty dump without a checksum, behind the answer to INFO. */
static const char server[] =
    "case \"$*\" in\n"
    "*INFO*) printf 'redis_version:7.0.15\\nrole:master\\nused_memory:9\\ndb0:keys=3,expires=0\\n' ;;\n"
    "*--rdb*) printf 'REDIS0011\\377\\000\\000\\000\\000\\000\\000\\000\\000' ;;\n"
    "*) echo 'ERR unknown command' ;;\n"
    "esac";

static void test_redis_cli__a_container_is_a_source(void **state)
{
    (void)state;
    struct source *s;
    struct collector c;
    struct err err = {0};
    program("redis-cli", server);
    if (redis_source_new(&s, &(struct redis_options){.container = "box", .user = "ann"}, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(s->paths.items[0], "/redis/box");
    collector_init(&c, 5);
    assert_int_equal(source_push(s, &c.sink, &c.reporter, &err), 0);
    source_free(s);
    assert_int_equal(c.count, 2);
    if (c.files[0].err.code != ERR_NONE)
        fail_msg("%s", c.files[0].err.message);
    assert_string_equal(c.files[0].path, "/redis/box/dump.rdb");
    assert_int_equal(c.files[0].bytes.len, 18);
    assert_non_null(strstr(buf_cstr(&c.warnings), "rdbchecksum"));
    collector_release(&c);
    program("redis-cli", "echo 'NOAUTH Authentication required.'");
    assert_int_equal(redis_source_new(&s, &(struct redis_options){.container = "box"}, &err), -1);
    assert_int_equal(err.code, ERR_PERMISSION);
}

static void test_redis_cli__a_container_is_probed(void **state)
{
    (void)state;
    struct redis_probe p;
    const struct redis_options options = {.container = "box"};
    program("redis-cli", server);
    redis_probe(&options, &p);
    assert_int_equal(p.state, REDIS_UP);
    assert_string_equal(p.version, "7.0.15");
    assert_int_equal(p.keys, 3);
    assert_true(p.may_replicate); /* it was not to be found out */
    program("redis-cli", "echo 'NOAUTH Authentication required.'");
    redis_probe(&options, &p);
    assert_int_equal(p.state, REDIS_DENIED);
    inspect("exited", "");
    redis_probe(&options, &p);
    assert_int_equal(p.state, REDIS_DOWN);
}

static void test_redis_cli__a_container_that_stops_meanwhile_is_told(void **state)
{
    (void)state;
    struct redis_payload *payload;
    struct err err = {0};
    program("redis-cli", "echo x");
    struct redis_cli *c = open_cli(NULL, NULL);
    drop("inside/redis-cli");
    assert_int_equal(redis_cli_dump(&payload, c, 1000, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    redis_cli_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_redis_cli__answers_are_lines, clean),
        cmocka_unit_test_setup(test_redis_cli__passwords_are_no_arguments, clean),
        cmocka_unit_test_setup(test_redis_cli__uses_the_containers_own_password_and_port, clean),
        cmocka_unit_test_setup(test_redis_cli__takes_another_program_where_there_is_no_redis_cli, clean),
        cmocka_unit_test_setup(test_redis_cli__complaints_of_the_server_are_understood, clean),
        cmocka_unit_test_setup(test_redis_cli__a_container_that_is_not_there_is_not_found, clean),
        cmocka_unit_test_setup(test_redis_cli__a_dump_is_what_the_program_writes, clean),
        cmocka_unit_test_setup(test_redis_cli__a_dump_that_fails_says_why, clean),
        cmocka_unit_test_setup(test_redis_cli__a_container_is_a_source, clean),
        cmocka_unit_test_setup(test_redis_cli__a_container_is_probed, clean),
        cmocka_unit_test_setup(test_redis_cli__a_container_that_stops_meanwhile_is_told, clean),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
