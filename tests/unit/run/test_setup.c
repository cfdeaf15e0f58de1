#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "os/file.h"
#include "plan/config.h"
#include "run/setup.h"
#include "store/scratch.h"

static const char MOUNTINFO[] = "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
                                "31 27 250:17 / /mnt/drive rw - ext4 /dev/zz1 rw\n"
                                "32 27 0:44 / /srv/nas rw - nfs4 nas:/export rw\n";

/* As discover() would have left it, for a home that is nowhere. */
static struct discovery found(void)
{
    struct discovery d = {.source_path = mem_strdup("/home/u/.openclaw")};
    mounts_parse(MOUNTINFO, sizeof MOUNTINFO - 1, &d.mounts);
    strlist_add(&d.home.roots, "/home/u/.openclaw");
    return d;
}

static void add_git(struct discovery *d, const char *path, const char *remote)
{
    d->repositories = mem_array(d->repositories, d->repository_count + 1, sizeof *d->repositories);
    struct discovered_git *g = &d->repositories[d->repository_count++];
    *g = (struct discovered_git){.path = mem_strdup(path)};
    if (remote != NULL)
        strlist_add(&g->remotes, remote);
}

/* Renders, and has the configuration's own parser look at it. */
static struct plan *rendered(const struct discovery *d, const struct setup_choice *c, struct buf *text)
{
    struct plan *plan = NULL;
    struct config_report report = {0};
    struct err err = {0};
    buf_init(text, CONFIG_MAX_BYTES);
    setup_render(d, c, "/home/u", text);
    setenv("HOME", "/home/u", 1);
    if (config_parse(buf_cstr(text), text->len, "clawback.yaml", &plan, &report, &err) != 0)
        fail_msg("%s\n%s", err.message, buf_cstr(text));
    for (size_t i = 0; i < report.count; i++)
        print_message("%u: %s\n", report.items[i].line, report.items[i].message);
    config_report_release(&report);
    return plan;
}

static void add_destination(struct setup_choice *c, const struct discovery *d, const char *path)
{
    struct err err = {0};
    if (setup_add_destination(c, d, path, &err) != 0)
        fail_msg("%s", err.message);
}

static void test_setup__everything_becomes_a_valid_plan(void **state)
{
    (void)state;
    struct discovery d = found();
    struct setup_choice c = {.push = true, .archive = true, .passphrase_file = "/home/u/.config/clawback/passphrase"};
    struct buf text;
    strlist_add(&d.home.outside, "/srv/work\nspace");
    strlist_add(&d.extra, "/home/u/notes: all of them");
    strlist_add(&d.sqlite, "/home/u/.openclaw/state/openclaw.sqlite");
    add_git(&d, "/home/u/.openclaw/workspace", "origin");
    add_git(&d, "/home/u/.openclaw/workspace/erp", "backup");
    add_git(&d, "/home/u/.openclaw/workspace/#3, {x}", NULL);
    *discovered_server_add(&d.postgres) = (struct discovered_server){.container = mem_strdup("ai-erp-postgres"),
                                                                     .user = mem_strdup("erp_user"),
                                                                     .database = mem_strdup("ai_erp"),
                                                                     .access = DISCOVERED_STOPPED};
    *discovered_server_add(&d.postgres) =
        (struct discovered_server){.socket = mem_strdup("/run/postgresql/.s.PGSQL.5432"),
                                   .access = DISCOVERED_UNCLEAR,
                                   .why = mem_strdup("it is\nodd")};
    *discovered_server_add(&d.redis) =
        (struct discovered_server){.url = mem_strdup("redis://127.0.0.1:6379"), .access = DISCOVERED_READY};
    *discovered_server_add(&d.redis) = (struct discovered_server){.url = mem_strdup("redis://127.0.0.1:7000"),
                                                                  .access = DISCOVERED_NEEDS_SECRET,
                                                                  .why = mem_strdup("it wants a password")};
    add_destination(&c, &d, "/mnt/drive/clawback");
    add_destination(&c, &d, "/srv/nas/b");
    add_destination(&c, &d, "/srv/nas/c");
    struct plan *plan = rendered(&d, &c, &text);
    assert_string_equal(plan->home, "/home/u/.openclaw");
    assert_string_equal(plan->passphrase.name, "/home/u/.config/clawback/passphrase");
    assert_int_equal(plan->destination_count, 3);
    assert_true(plan_destination_find(plan, "drive")->require_mount);
    assert_string_equal(plan_destination_find(plan, "drive")->mount_point, "/mnt/drive");
    assert_string_equal(plan_destination_find(plan, "nas2")->location, "/srv/nas/c");
    assert_int_equal(plan->tier_count, 4);
    const struct plan_tier *git = plan_tier_find(plan, "git"), *config = plan_tier_find(plan, "config");
    assert_int_equal(git->git_count, 3);
    assert_string_equal(git->git[0].push, "origin");
    assert_string_equal(git->git[1].push, "backup");
    assert_null(git->git[2].push);
    assert_string_equal(git->git[2].path, "/home/u/.openclaw/workspace/#3, {x}");
    assert_true(git->keep.all);
    assert_int_equal(git->schedule.every_ms, 7200000);
    assert_int_equal(config->files.count, 2);
    assert_int_equal(config->exclude.count, 1);
    assert_int_equal(config->keep.policy.within.days, 7);
    const struct plan_tier *databases = plan_tier_find(plan, "databases"), *full = plan_tier_find(plan, "full");
    assert_int_equal(databases->postgres_count, 1);
    assert_string_equal(databases->postgres[0].database, "ai_erp");
    assert_int_equal(databases->redis_count, 1);
    assert_int_equal(databases->when, PLAN_RUNNING);
    assert_int_equal(full->format, PLAN_ARCHIVE);
    assert_int_equal(full->keep.policy.weekly, 4);
    assert_int_equal(full->keep.policy.monthly, 12);
    assert_int_equal(full->to.count, 3);
    assert_non_null(strstr(buf_cstr(&text), "it wants a password"));
    plan_free(plan);
    buf_release(&text);
    setup_choice_release(&c);
    discovery_release(&d);
}

static void test_setup__the_least_there_is_becomes_a_valid_plan(void **state)
{
    (void)state;
    struct discovery d = found();
    struct setup_choice c = {.passphrase_file = "/home/u/.openclaw/key"};
    struct buf text;
    add_git(&d, "/home/u/.openclaw", "origin");
    add_destination(&c, &d, "/var/backups");
    assert_true(c.destinations[0].same_disk);
    assert_false(c.destinations[0].require_mount);
    struct plan *plan = rendered(&d, &c, &text);
    assert_int_equal(plan->tier_count, 2); /* no archive, no databases */
    assert_null(plan_tier_find(plan, "git")->git[0].push);
    /* The passphrase lies in what is backed up: it is left out. */
    assert_true(strlist_contains(&plan_tier_find(plan, "config")->exclude, "/home/u/.openclaw/key"));
    plan_free(plan);
    buf_release(&text);
    setup_choice_release(&c);
    discovery_release(&d);
}

static void test_setup__databases_alone_are_enough_and_locked_ones_are_not(void **state)
{
    (void)state;
    struct discovery d = found();
    struct setup_choice c = {.passphrase_file = "/home/u/p", .archive = true, .host = "true"};
    struct buf text;
    strlist_release(&d.home.roots);
    assert_false(setup_has_sources(&d));
    struct discovered_server *s = discovered_server_add(&d.redis);
    s->url = mem_strdup("redis://127.0.0.1:1");
    s->access = DISCOVERED_NEEDS_SECRET;
    assert_false(setup_has_sources(&d));
    s->access = DISCOVERED_READY;
    assert_true(setup_has_sources(&d));
    add_destination(&c, &d, "/mnt/drive");
    struct plan *plan = rendered(&d, &c, &text);
    assert_int_equal(plan->tier_count, 1);
    assert_string_equal(plan->host, "true");
    plan_free(plan);
    buf_release(&text);
    s->access = DISCOVERED_NEEDS_SECRET; /* nothing but comments is left of the tier */
    strlist_add(&d.home.roots, "/home/u/.openclaw");
    plan = rendered(&d, &c, &text);
    assert_null(plan_tier_find(plan, "databases"));
    plan_free(plan);
    buf_release(&text);
    setup_choice_release(&c);
    discovery_release(&d);
}

static void expect_refused(struct setup_choice *c, const struct discovery *d, const char *path, const char *part)
{
    struct err err = {0};
    assert_int_equal(setup_add_destination(c, d, path, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    if (strstr(err.message, part) == NULL)
        fail_msg("'%s' is not in: %s", part, err.message);
}

static void test_setup__destinations_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    struct discovery d = found();
    struct setup_choice c = {0};
    expect_refused(&c, &d, "/home/u/.openclaw/backups", "lies in what is backed up");
    expect_refused(&c, &d, "/dev/null", "no directory");
    add_destination(&c, &d, "/mnt/drive/");
    expect_refused(&c, &d, "/mnt/./drive", "twice");
    assert_int_equal(c.destination_count, 1);
    setup_choice_release(&c);
    discovery_release(&d);
}

static void expect_yaml(const char *text, const char *expected)
{
    struct buf out;
    buf_init(&out, 1000);
    setup_yaml_string(text, &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_release(&out);
}

static void test_setup__strings_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    expect_yaml("/home/u/x", "/home/u/x");
    expect_yaml("~/x", "~/x");
    expect_yaml("", "\"\"");
    expect_yaml("~", "\"~\"");
    expect_yaml("true", "\"true\"");
    expect_yaml("No", "\"No\"");
    expect_yaml("123", "\"123\"");
    expect_yaml("-x", "\"-x\"");
    expect_yaml("a b", "\"a b\"");
    expect_yaml("a: b", "\"a: b\"");
    expect_yaml("a#b", "\"a#b\"");
    expect_yaml("a\"b\\c\n", "\"a\\\"b\\\\c\\x0a\"");
    expect_yaml("gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"");
}

static void test_setup__judges_passphrases(void **state)
{
    (void)state;
    assert_null(setup_passphrase_weakness("k7wq2mzr9xv4hnbt3jdp"));
    assert_null(setup_passphrase_weakness("correct horse battery staple"));
    assert_non_null(strstr(setup_passphrase_weakness("hunter2"), "7 characters"));
    assert_non_null(strstr(setup_passphrase_weakness("x"), "1 character;"));
    assert_non_null(setup_passphrase_weakness("aaaaaaaaaaaaaaaaaaaaaaaaaa"));
    assert_non_null(setup_passphrase_weakness("abcabcabcabcabcabcabcabc"));
    assert_non_null(setup_passphrase_weakness("abcdefghijklmnopqrstuvwxyz"));
}

/* --- an agent's bot */

/* Where the configuration of an agent leads to. */
static void expect_bot(const char *name, const char *config, const char *key, const char *token_file, const char *chat)
{
    char *dir = scratch_make(), *path = os_path_join(dir, name);
    struct strlist roots = {0};
    struct setup_telegram found;
    assert_int_equal(os_write_file_atomic(path, config, strlen(config), 0600, NULL), 0);
    strlist_add(&roots, "/nowhere");
    strlist_add(&roots, strcmp(name, "alone.json") == 0 ? path : dir);
    setup_telegram_find(&roots, &found);
    if (key == NULL) {
        assert_null(found.config);
        assert_null(found.key);
    } else {
        assert_string_equal(found.config, path);
        assert_string_equal(found.key, key);
    }
    assert_string_equal(found.token_file != NULL ? found.token_file : "", token_file);
    assert_string_equal(found.chat != NULL ? found.chat : "", chat);
    setup_telegram_release(&found);
    strlist_release(&roots);
    free(path);
    scratch_remove(dir);
}

static void test_setup__finds_the_bot_that_an_agent_has(void **state)
{
    (void)state;
    static const char KEY[] = "channels.telegram.botToken";
    expect_bot("openclaw.json", "{channels: {telegram: {botToken: '1:x', allowFrom: ['*', 'telegram:77']}}} // JSON5",
               KEY, "", "77");
    expect_bot("clawdbot.json", "{\"telegram\": {\"botToken\": \"1:x\", \"allowFrom\": [88]}}", "telegram.botToken", "",
               "88");
    expect_bot("moltbot.json", "{channels: {telegram: {tokenFile: '/t'}}}", "channels.telegram.tokenFile", "/t", "");
    expect_bot("openclaw.json", "{channels: {telegram: {tokenFile: 't'}}}", "channels.telegram.tokenFile", "", "");
    expect_bot("alone.json", "{channels: {telegram: {accounts: {a: {}, b: {botToken: 'x', allowFrom: [true, 'me']}}}}}",
               "channels.telegram.accounts.b.botToken", "", "");
}

static void test_setup__finds_no_bot_where_there_is_none(void **state)
{
    (void)state;
    static const char *const CONFIGS[] = {"",
                                          "{",
                                          "[]",
                                          "{}",
                                          "{channels: {telegram: {botToken: ''}}}",
                                          "{channels: {telegram: {botToken: {source: 'env'}}}}",
                                          "{channels: 5, telegram: []}"};
    for (size_t i = 0; i < sizeof CONFIGS / sizeof *CONFIGS; i++)
        expect_bot("openclaw.json", CONFIGS[i], NULL, "", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setup__everything_becomes_a_valid_plan),
        cmocka_unit_test(test_setup__the_least_there_is_becomes_a_valid_plan),
        cmocka_unit_test(test_setup__databases_alone_are_enough_and_locked_ones_are_not),
        cmocka_unit_test(test_setup__destinations_that_make_no_sense_are_refused),
        cmocka_unit_test(test_setup__strings_are_quoted_where_they_must_be),
        cmocka_unit_test(test_setup__judges_passphrases),
        cmocka_unit_test(test_setup__finds_the_bot_that_an_agent_has),
        cmocka_unit_test(test_setup__finds_no_bot_where_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
