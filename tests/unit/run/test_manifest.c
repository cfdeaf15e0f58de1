#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "os/file.h"
#include "plan/config.h"
#include "plan/parsed.h"
#include "run/manifest.h"
#include "run/sensitive.h"
#include "store/scratch.h"

static char *base;

static int setup(void **state)
{
    (void)state;
    char *made = scratch_make();
    base = realpath(made, NULL);
    free(made);
    setenv("HOME", base, 1);
    unsetenv("OPENCLAW_STATE_DIR");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_remove(base);
    return 0;
}

static char *in_base(const char *name)
{
    return os_path_join(base, name);
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    char *path = in_base(name), *dir = mem_strdup(path);
    *strrchr(dir, '/') = '\0';
    struct err err;
    assert_int_equal(os_make_dirs(dir, 0755, &err), 0);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), mode, &err), 0);
    free(dir);
    free(path);
}

static struct plan *plan_of(const char *tiers)
{
    char *text = mem_printf("passphrase: {env: X}\ndestinations: {d: {path: %s/backups}}\ntiers:\n%s", base, tiers);
    struct plan *plan = parsed(text, "x.yaml", true);
    free(text);
    return plan;
}

static struct manifest make(const struct plan *p, bool look_into)
{
    struct manifest m;
    struct err err = {0};
    struct manifest_progress progress = {0};
    const struct manifest_options options = {.look_into = look_into, .server_timeout_ms = 1000};
    if (manifest_make(p, &p->tiers[0], &options, &progress, &m, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(atomic_load(&progress.files), m.files);
    return m;
}

static const struct manifest_exclude *exclude_of(const struct manifest *m, const char *rule)
{
    for (size_t i = 0; i < m->exclude_count; i++)
        if (strcmp(m->excludes[i].rule, rule) == 0)
            return &m->excludes[i];
    fail_msg("no exclude '%s'", rule);
    return NULL;
}

static const char *secret_of(const struct manifest *m, const char *name)
{
    for (size_t i = 0; i < m->secret_count; i++)
        if (strcmp(m->secrets[i].path + strlen(m->secrets[i].path) - strlen(name), name) == 0)
            return m->secrets[i].what;
    return NULL;
}

static void test_manifest__counts_what_is_taken_and_explains_what_is_not(void **state)
{
    (void)state;
    write_file("data/a.txt", "12345", 0600);
    write_file("data/sub/b.txt", "1234567890", 0600);
    write_file("data/c.log", "123", 0600);
    write_file("data/sub/d.log", "1234", 0600);
    write_file("data/keep.log", "xx", 0600);
    write_file("data/cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55", 0600);
    write_file("data/cache/big", "0123456789", 0600);
    write_file("data/large", "012345678901234567890123456789012345678901234567890123456789", 0600);
    char *tier = mem_printf(
        "  t: {files: [%s/data, %s/data/sub, %s/gone], exclude: ['*.log', '!keep.log'], exclude_caches: true, "
        "exclude_larger_than: 50, to: [d]}\n",
        base, base, base);
    struct plan *p = plan_of(tier);
    struct manifest m = make(p, false);
    assert_int_equal(m.path_count, 2); /* one lies in the other */
    assert_int_equal(m.paths[0].files, 4);
    assert_int_equal(m.paths[0].bytes, 5 + 10 + 2 + 43);
    assert_int_equal(m.paths[0].dirs, 3);
    assert_true(m.paths[1].missing);
    assert_int_equal(m.files, 4);
    const struct manifest_exclude *logs = exclude_of(&m, "*.log");
    assert_int_equal(logs->files, 2);
    assert_int_equal(logs->bytes, 7);
    assert_string_equal(logs->why, "the tier's own exclude");
    assert_non_null(strstr(logs->example, "c.log"));
    assert_int_equal(exclude_of(&m, "larger than the limit")->bytes, 60);
    assert_int_equal(exclude_of(&m, "a file beside it marks the directory as excluded")->bytes, 10);
    assert_int_equal(m.excluded_bytes, 7 + 60 + 10);
    assert_string_equal(m.excludes[0].rule, "larger than the limit"); /* the largest first */
    manifest_release(&m);
    plan_free(p);
    free(tier);
}

static void test_manifest__knows_an_agents_home(void **state)
{
    (void)state;
    write_file(".openclaw/openclaw.json", "{}", 0600);
    write_file(".openclaw/workspace/node_modules/x.js", "123456", 0600);
    write_file(".openclaw/cache/y", "12", 0600);
    struct plan *p = plan_of("  t: {files: [~/.openclaw], to: [d]}\n");
    struct manifest m = make(p, false);
    assert_int_equal(exclude_of(&m, "node_modules")->bytes, 6);
    assert_non_null(strstr(exclude_of(&m, "node_modules")->why, "package manager"));
    char *cache = in_base(".openclaw/cache");
    assert_int_equal(exclude_of(&m, cache)->bytes, 2);
    assert_non_null(secret_of(&m, "openclaw.json"));
    free(cache);
    manifest_release(&m);
    plan_free(p);
}

static void test_manifest__a_missing_path_alone_is_no_error(void **state)
{
    (void)state;
    struct plan *p = plan_of("  t: {files: [~/gone], to: [d]}\n");
    struct manifest m = make(p, false);
    assert_int_equal(m.path_count, 1);
    assert_true(m.paths[0].missing);
    assert_int_equal(m.files, 0);
    manifest_release(&m);
    plan_free(p);
}

static void test_manifest__names_secrets_by_what_is_in_them(void **state)
{
    (void)state;
    write_file("data/notes.txt", "my key is sk-ant-api03-abcdefghijklmnopqrstuvwxyz so there", 0644);
    write_file("data/plain.txt", "nothing to see", 0644);
    write_file("data/.env", "A=b", 0600);
    struct plan *p = plan_of("  t: {files: [~/data], to: [d]}\n");
    struct manifest m = make(p, true);
    assert_string_equal(secret_of(&m, "notes.txt"), "API key");
    assert_null(secret_of(&m, "plain.txt"));
    assert_non_null(secret_of(&m, ".env"));
    assert_int_equal(m.secret_count, 2);
    manifest_release(&m);
    m = make(p, false);
    assert_null(secret_of(&m, "notes.txt"));
    manifest_release(&m);
    plan_free(p);
}

static void test_manifest__repositories_databases_and_commands(void **state)
{
    (void)state;
    write_file("x.sqlite", "123", 0600);
    write_file("x.sqlite-wal", "1", 0600);
    struct plan *p = plan_of("  t:\n    git: [{path: ~/nowhere}]\n    sqlite: [~/x.sqlite, ~/y.sqlite]\n"
                             "    redis: [{url: 'redis://:hush@127.0.0.1:1'}, {container: c}]\n"
                             "    postgres: [{url: 'postgresql://u:hush@127.0.0.1:1/x?password=hush'}, {socket: /tmp}, "
                             "{container: c}]\n    command: [{name: n, command: [date]}]\n    to: [d]\n");
    struct manifest m = make(p, false);
    static const char *const KINDS[] = {"git",   "postgres", "postgres", "postgres", "redis",
                                        "redis", "sqlite",   "sqlite",   "command"};
    assert_int_equal(m.item_count, sizeof KINDS / sizeof *KINDS);
    for (size_t i = 0; i < m.item_count; i++) {
        assert_string_equal(m.items[i].kind, KINDS[i]);
        assert_null(strstr(m.items[i].name, "hush"));
    }
    assert_true(m.items[0].problem);
    assert_string_equal(m.items[1].name, "postgresql://u@127.0.0.1:1/x");
    assert_int_equal(m.items[6].bytes, 3);
    assert_non_null(m.items[6].detail);
    assert_true(m.items[7].problem);
    manifest_release(&m);
    plan_free(p);
}

/* ---- secrets */

static void test_sensitive__by_name(void **state)
{
    (void)state;
    static const char *const SECRET[] = {"/h/.openclaw/openclaw.json",
                                         "/h/.openclaw/openclaw.json.bak",
                                         "/h/.openclaw/credentials/x",
                                         "/h/.openclaw/telegram/session",
                                         "/h/x/.env",
                                         "/h/x/.env.production",
                                         "/h/x/prod.env",
                                         "/h/server.pem",
                                         "/h/.ssh/id_ed25519",
                                         "/h/x/id_rsa",
                                         "/h/.openclaw/state/openclaw.sqlite",
                                         "/h/.pgpass"};
    static const char *const PLAIN[] = {"/h/x/.env.example", "/h/id_rsa.pub",     "/srv/credentials/readme",
                                        "/h/notes.md",       "/h/environment.ts", "/srv/identity/theory.md"};
    for (size_t i = 0; i < sizeof SECRET / sizeof *SECRET; i++)
        if (sensitive_by_name(SECRET[i]) == NULL)
            fail_msg("%s", SECRET[i]);
    for (size_t i = 0; i < sizeof PLAIN / sizeof *PLAIN; i++)
        if (sensitive_by_name(PLAIN[i]) != NULL)
            fail_msg("%s", PLAIN[i]);
}

static void expect_content(const char *text, const char *what)
{
    const char *found = sensitive_by_content(text, strlen(text));
    if (what == NULL ? found != NULL : found == NULL || strcmp(found, what) != 0)
        fail_msg("'%s' is '%s'", text, found != NULL ? found : "nothing");
}

static void test_sensitive__by_content(void **state)
{
    (void)state;
    expect_content("-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key");
    expect_content("key=sk-ant-api03-abcdefghijklmnopqrstuvwxyz\n", "API key");
    expect_content("task-sk-ant-api03-abcdefghijklmnopqrstuvwxyz\n", NULL); /* part of a longer word */
    expect_content("sk-short", NULL);
    expect_content("AKIAABCDEFGHIJKLMNOP", "cloud key");
    expect_content("ghp_0123456789abcdefghijABCDEFGHIJ012345", "GitHub token");
    expect_content("bot 123456789:AAabcdefghijklmnopqrstuvwxyz0123456 x", "Telegram token");
    expect_content("12:AAabcdefghijklmnopqrstuvwxyz0123456", NULL);
    expect_content("postgres://u:secret@db/x", "password in a URL");
    expect_content("postgres://u:${PASSWORD}@db/x", NULL);
    expect_content("see https://example.com:80/a@b", NULL);
    expect_content("nothing", NULL);
    expect_content("", NULL);
    assert_null(sensitive_by_content("\0-----BEGIN PRIVATE KEY-----", 28));
}

static void test_sensitive__files(void **state)
{
    (void)state;
    write_file("s/env", "DATABASE_URL=postgres://u:secret@db/x", 0600);
    write_file("s/.env.example", "DATABASE_URL=postgres://u:secret@db/x", 0600);
    char *env = in_base("s/env"), *example = in_base("s/.env.example"), *gone = in_base("s/gone"), *dir = in_base("s");
    assert_non_null(sensitive_file(env));
    assert_null(sensitive_file(example));
    assert_null(sensitive_file(gone));
    assert_null(sensitive_file(dir));
    free(env);
    free(example);
    free(gone);
    free(dir);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_manifest__counts_what_is_taken_and_explains_what_is_not),
        TEST(test_manifest__knows_an_agents_home),
        TEST(test_manifest__a_missing_path_alone_is_no_error),
        TEST(test_manifest__names_secrets_by_what_is_in_them),
        TEST(test_manifest__repositories_databases_and_commands),
        TEST(test_sensitive__by_name),
        TEST(test_sensitive__by_content),
        TEST(test_sensitive__files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
