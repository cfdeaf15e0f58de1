#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "plan/config.h"
#include "plan/parsed.h"
#include "repo/repo.h"
#include "run/destination.h"
#include "run/recovery_kit.h"
#include "store/scratch.h"

static char *base, *state_dir;
static const char PASSPHRASE[] = "k7wq2mzr9xv4hnbt3jdp";

static int set_up(void **state)
{
    (void)state;
    char *made = scratch_make();
    base = realpath(made, NULL);
    free(made);
    state_dir = os_path_join(base, "state");
    setenv("HOME", base, 1);
    scratch_write(base, "passphrase", PASSPHRASE, strlen(PASSPHRASE));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(state_dir);
    scratch_remove(base);
    return 0;
}

static struct plan *plan_of(const char *text)
{
    return parsed(text, "x.yaml", true);
}

static char *page_of(const struct plan *p, bool with_passphrase, bool html)
{
    struct kit kit;
    struct err err = {0};
    struct buf out;
    buf_init(&out, 1 << 20);
    if (recovery_kit_make(p, state_dir, "clawback test", with_passphrase, &kit, &err) != 0)
        fail_msg("%s", err.message);
    if (html)
        recovery_kit_html(&kit, &out);
    else
        recovery_kit_text(&kit, &out);
    recovery_kit_release(&kit);
    char *text = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}

static void expect_in(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void save(struct repo *repo, const char *host, const char *tag, const char *path)
{
    struct codec *codec = codec_new(repo, NULL);
    struct snapshot s;
    snapshot_init(&s);
    s.time.tv_sec = 1700000000;
    s.hostname = mem_strdup(host);
    strlist_add(&s.paths, path);
    strlist_add(&s.tags, tag);
    struct err err = {0};
    if (repo_save_snapshot(repo, codec, &s, &err) != 0)
        fail_msg("%s", err.message);
    snapshot_release(&s);
    codec_free(codec);
}

static const char PLAN[] =
    "host: my host\npassphrase: {file: ~/passphrase}\n"
    "destinations:\n  usb: {path: ~/backups}\n  nas: {path: /nowhere/nas, require_mount: true}\n"
    "tiers:\n"
    "  git: {git: [{path: ~/w}], to: [usb]}\n"
    "  config: {files: [~/data], to: [usb, nas]}\n"
    "  db:\n    postgres: [{container: pg, user: erp}, {socket: /run},\n"
    "      {url: 'postgresql://u@db.example:5432/'}, {url: 'postgresql://other:5433/', database: shop}]\n"
    "    redis: [{container: cache}, {url: 'redis://127.0.0.1:1'}]\n    sqlite: [~/x.db]\n"
    "    command: [{name: c, command: [date]}]\n    to: [usb]\n"
    "  full: {files: [~/data], format: archive, to: [usb]}\n"
    "  keys: {files: [~/data], format: archive, archive: {recipients: [me@x], compression: zstd, "
    "prefix: k}, to: [usb]}\n";

static void test_kit__before_the_first_backup_it_follows_the_plan(void **state)
{
    (void)state;
    struct plan *p = plan_of(PLAN);
    char *text = page_of(p, false, false);
    expect_in(text, "Recovery kit for my host");
    expect_in(text, "No backup was made yet");
    expect_in(text, "--host 'my host' --tag tier=config --path");
    expect_in(text, "--tag tier=git --path /git");
    expect_in(text, "--path /postgres/pg --target");
    expect_in(text, "--path /postgres/local --target");
    expect_in(text, "--path /postgres/db.example --target");
    expect_in(text, "--path /postgres/other:5433/shop --target");
    expect_in(text, "--path /redis/cache --target");
    expect_in(text, "--path /redis/127.0.0.1:1 --target");
    expect_in(text, "______");
    expect_in(text, "nothing is mounted at '/nowhere/nas'");
    expect_in(text, "or RESTIC_REPOSITORY=/nowhere/nas (nas)");
    assert_null(strstr(text, PASSPHRASE));
    free(text);
    plan_free(p);
}

static void test_kit__follows_what_is_stored(void **state)
{
    (void)state;
    struct plan *p = plan_of(PLAN);
    struct repo *repo;
    struct err err = {0};
    assert_int_equal(destination_open(p, &p->destinations[0], NULL, true, &repo, &err), 0);
    char *sqlite = os_path_join(base, "x.db"), hex[ID_HEX_BYTES];
    save(repo, "my host", "tier=git", "/git/h/my work");
    save(repo, "my host", "tier=git", "/git/h/my work");
    save(repo, "my host", "tier=config", "/h/it's");
    save(repo, "my host", "tier=db", "/postgres/pg/shop");
    save(repo, "my host", "tier=db", "/postgres/local");
    save(repo, "my host", "tier=db", "/redis/cache");
    save(repo, "my host", "tier=db", "/redis/127.0.0.1:1");
    save(repo, "my host", "tier=db", "/command/c");
    save(repo, "my host", "tier=db", sqlite);
    save(repo, "another", "tier=config", "/not/ours");
    save(repo, "my host", "tier=gone", "/of/a/tier/that/is/gone");
    save(repo, "my host", "untagged", "/by/hand");
    id_to_hex(&repo->config.id, hex);
    hex[16] = '\0';
    repo_free(repo);
    char *text = page_of(p, false, false);
    expect_in(text, hex);
    expect_in(text, "--tag tier=git --path '/git/h/my work' --target restored   # only at usb\n");
    expect_in(text, "$ find restored/git -path '*/git-dir/HEAD'");
    expect_in(text, "has the tag 'suspect'");
    expect_in(text, "Where that container is no more");
    expect_in(text, "--path '/h/it'\\''s' --target restored");
    expect_in(text, "docker exec -i pg env PGUSER=erp psql");
    expect_in(text, "for f in restored/postgres/pg/shop/*.dump; do docker exec -i pg env PGUSER=erp pg_restore");
    expect_in(text, "for f in restored/postgres/local/*.dump; do pg_restore");
    expect_in(text, "docker cp restored/redis/cache/dump.rdb cache:/data/dump.rdb");
    expect_in(text, "install -D -m 644 restored/redis/127.0.0.1:1/dump.rdb");
    expect_in(text, "--path /command/c");
    expect_in(text, sqlite);
    expect_in(text, "apt install restic gnupg tar zstd git postgresql redis-server");
    expect_in(text, "full_latest.tar.gz.gpg' | tar xz");
    expect_in(text, "k_latest.tar.zst.gpg' | tar x --zstd");
    expect_in(text, "private key of one of its recipients");
    assert_null(strstr(text, "/not/ours"));
    assert_null(strstr(text, "/of/a/tier"));
    assert_null(strstr(text, "/by/hand"));
    char *second = strstr(text, "--path '/git/h/my work'");
    assert_null(strstr(second + 1, "--path '/git/h/my work'")); /* each once */
    free(text);
    free(sqlite);
    plan_free(p);
}

static void test_kit__each_destination_says_what_opens_it_and_what_it_holds(void **state)
{
    (void)state;
    static const char OWN[] = "another-one-of-twenty-letters";
    scratch_write(base, "own", OWN, strlen(OWN));
    struct plan *p = plan_of("host: h\npassphrase: {file: ~/passphrase}\ndestinations:\n  usb: {path: ~/usb}\n"
                             "  nas: {path: ~/nas, passphrase: {file: ~/own}}\ntiers:\n"
                             "  git: {git: [{path: ~/w}], to: [usb]}\n  config: {files: [~/data], to: [usb, nas]}\n"
                             "  full: {files: [~/data], format: archive, to: [nas, usb]}\n"
                             "  resting: {files: [~/data], enabled: false, to: [nas]}\n");
    char *text = page_of(p, false, false), *nas = mem_printf("%s/nas", base), *expected;
    char *filled = page_of(p, false, true); /* where no line breaks */
    expect_in(filled, "For usb: Without it nobody can read anything there. On the machine it came from file '");
    expect_in(filled, "For nas: Without it");
    expect_in(filled, "/own';");
    expect_in(text, "cat > passphrase-nas.txt)");
    expect_in(text, "RESTIC_PASSWORD_FILE=passphrase.txt\n");
    expected = mem_printf("or RESTIC_REPOSITORY=%s RESTIC_PASSWORD_FILE=passphrase-nas.txt (nas)", nas);
    expect_in(filled, expected);
    free(expected);
    expect_in(filled, "the tiers git, config, full (archives)<");
    expect_in(filled, "the tiers config, full (archives)<");
    expect_in(text, "/w --target restored   # only at usb\n");
    expect_in(text, "/data --target restored\n");
    /* One file for both, with the passphrase of the first that its tier names. */
    expect_in(text, "--passphrase-file passphrase-nas.txt --decrypt");
    expected = mem_printf("or %s/archives/h/full_latest.tar.gz.gpg (nas)", nas);
    expect_in(filled, expected);
    free(expected);
    free(filled);
    assert_null(strstr(text, PASSPHRASE));
    assert_null(strstr(text, OWN));
    free(text);
    text = page_of(p, true, false);
    expect_in(text, PASSPHRASE);
    expect_in(text, OWN);
    free(text);
    free(nas);
    plan_free(p);
}

static void test_kit__follows_where_it_is_stored(void **state)
{
    (void)state;
    struct plan *p = plan_of("host: my host\npassphrase: {file: ~/passphrase}\n"
                             "destinations: {usb: {path: ~/usb}, nas: {path: ~/nas}, gone: {path: /nowhere, "
                             "require_mount: true}}\n"
                             "tiers:\n  config: {files: [~/data], to: [usb, nas, gone]}\n");
    struct err err = {0};
    for (size_t i = 0; i < 2; i++) {
        struct repo *repo;
        assert_int_equal(destination_open(p, &p->destinations[i], NULL, true, &repo, &err), 0);
        save(repo, "my host", "tier=config", "/both");
        if (i == 1)
            save(repo, "my host", "tier=config", "/later");
        repo_free(repo);
    }
    char *text = page_of(p, false, false);
    expect_in(text, "--path /both --target restored\n");
    expect_in(text, "--path /later --target restored   # only at nas, gone\n");
    free(text);
    plan_free(p);
}

static void test_kit__html_is_escaped_and_stands_alone(void **state)
{
    (void)state;
    struct plan *p = plan_of("host: <b>&\"\npassphrase: {file: ~/passphrase}\ndestinations: {usb: {path: ~/backups}}\n"
                             "tiers:\n  config: {files: [~/data], to: [usb]}\n");
    char *text = page_of(p, true, true);
    expect_in(text, "<h1>Recovery kit for &lt;b&gt;&amp;&quot;</h1>");
    expect_in(text, PASSPHRASE);
    expect_in(text, "class=\"warning\"");
    expect_in(text, "size: A4");
    assert_null(strstr(text, "http"));
    assert_null(strstr(text, "<b>&\""));
    assert_null(strstr(text, "class=\"line\""));
    free(text);
    text = page_of(p, false, true);
    expect_in(text, "class=\"line\"");
    assert_null(strstr(text, PASSPHRASE));
    free(text);
    plan_free(p);
}

static void test_kit__an_unencrypted_archive_needs_no_gpg(void **state)
{
    (void)state;
    struct plan *p =
        plan_of("passphrase: {file: ~/passphrase}\ndestinations: {usb: {path: ~/backups, allow_unencrypted: "
                "true}}\ntiers:\n  a: {files: [~/data], format: archive, archive: {encrypt: false}, to: [usb]}\n");
    char *text = page_of(p, false, false);
    expect_in(text, "tar xz -C restored <");
    assert_null(strstr(text, "gpg --batch"));
    assert_null(strstr(text, "restic snapshots"));
    free(text);
    plan_free(p);
}

static void test_kit__without_the_passphrase_asked_for_there_is_no_page(void **state)
{
    (void)state;
    struct plan *p = plan_of("passphrase: {file: ~/gone}\ndestinations: {usb: {path: ~/backups}}\n"
                             "tiers:\n  config: {files: [~/data], to: [usb]}\n");
    struct kit kit;
    struct err err = {0};
    assert_int_equal(recovery_kit_make(p, state_dir, "v", true, &kit, &err), -1);
    assert_non_null(strstr(err.message, "passphrase"));
    recovery_kit_release(&kit);
    plan_free(p);
    p = plan_of(
        "passphrase: {file: ~/passphrase}\ndestinations: {usb: {path: ~/backups}, nas: {path: ~/nas, passphrase: "
        "{file: ~/gone}}}\ntiers:\n  config: {files: [~/data], to: [usb, nas]}\n");
    assert_int_equal(recovery_kit_make(p, state_dir, "v", true, &kit, &err), -1);
    assert_non_null(strstr(err.message, "passphrase of destination 'nas'"));
    recovery_kit_release(&kit);
    plan_free(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_kit__before_the_first_backup_it_follows_the_plan),
        TEST(test_kit__follows_what_is_stored),
        TEST(test_kit__each_destination_says_what_opens_it_and_what_it_holds),
        TEST(test_kit__follows_where_it_is_stored),
        TEST(test_kit__html_is_escaped_and_stands_alone),
        TEST(test_kit__an_unencrypted_archive_needs_no_gpg),
        TEST(test_kit__without_the_passphrase_asked_for_there_is_no_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
