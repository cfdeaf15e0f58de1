#include "plan/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/nearest.h"
#include "os/file.h"
#include "plan/config_values.h"
#include "plan/parsed.h"
#include "store/scratch.h"

static char *dir;

/* Enough around a tier or a destination for everything else to be right. */
#define HEAD "passphrase: {file: /p}\ndestinations: {usb: {path: /mnt/b}}\n"
#define TIER HEAD "tiers:\n  t:\n    files: /x\n    to: usb\n"

static struct plan *parse(const char *text)
{
    return parsed(text, "c.yaml", false);
}

/* One mistake (or warning) at a line, and no other one of its kind. */
static void expect_one(const char *text, bool warning, unsigned line, const char *message)
{
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    int rc = config_parse(text, strlen(text), "c.yaml", &plan, &report, &err);
    bool found = false;
    for (size_t i = 0; i < report.count; i++)
        found |= report.items[i].warning == warning && report.items[i].line == line &&
                 strstr(report.items[i].message, message) != NULL;
    size_t of_kind = warning ? report.count - report.errors : report.errors;
    if (rc != (warning ? 0 : -1) || of_kind != 1 || !found) {
        for (size_t i = 0; i < report.count; i++)
            print_error("%u:%u: %s\n", report.items[i].line, report.items[i].column, report.items[i].message);
        fail_msg("expected %u: %s in:\n%s", line, message, text);
    }
    if (!warning) {
        assert_null(plan);
        assert_int_equal(err.code, ERR_USAGE);
    }
    plan_free(plan);
    config_report_release(&report);
}

static void mistake(const char *text, unsigned line, const char *message)
{
    expect_one(text, false, line, message);
}

static void warning(const char *text, unsigned line, const char *message)
{
    expect_one(text, true, line, message);
}

/* A line that is added to a tier which is right without it, as line 7. */
static void tier_mistake(const char *line, const char *message)
{
    char *text = mem_printf("%s    %s\n", TIER, line);
    mistake(text, 7, message);
    free(text);
}

/* --- what is right */

static const char EXAMPLE[] = "home: ~/.openclaw\n"
                              "passphrase: {file: ~/.config/clawback/passphrase}\n"
                              "destinations:\n"
                              "  usb:\n"
                              "    path: /mnt/backups\n"
                              "    require_mount: true          # never fill /\n"
                              "    reserve: 100MB\n"
                              "  second:\n"
                              "    path: /srv/nas/backups\n"
                              "tiers:\n"
                              "  git:\n"
                              "    every: 2h\n"
                              "    git:\n"
                              "      - {path: ~/.openclaw/workspace, push: origin}\n"
                              "      - {path: ~/.openclaw/workspace/ai-erp, push: origin}\n"
                              "    to: [usb]\n"
                              "    keep: {all: true}\n"
                              "  config:\n"
                              "    every: 2h\n"
                              "    files: [~/.openclaw]\n"
                              "    exclude: [\"*.log\"]\n"
                              "    to: [usb, second]\n"
                              "    keep: {within: 7d}\n"
                              "  databases:\n"
                              "    every: 2h\n"
                              "    postgres: [{container: ai-erp-postgres, user: erp_user, database: ai_erp}]\n"
                              "    redis: [{container: ai-erp-redis}, {url: \"redis://127.0.0.1:6379\"}]\n"
                              "    when: running                # skipped and recorded\n"
                              "    to: [usb]\n"
                              "    keep: {within: 3d}\n"
                              "  full:\n"
                              "    cron: \"0 0 * * 0\"\n"
                              "    files: [~/.openclaw]\n"
                              "    format: archive\n"
                              "    to: [usb]\n"
                              "    keep: {weekly: 4, monthly: 12}\n";

static void test_config__understands_the_example(void **state)
{
    (void)state;
    setenv("HOME", "/home/me/", 1);
    struct plan *p = parse(EXAMPLE);
    assert_string_equal(p->file, "c.yaml");
    assert_string_equal(p->home, "/home/me/.openclaw");
    assert_int_equal(p->passphrase.kind, SECRET_FILE);
    assert_string_equal(p->passphrase.name, "/home/me/.config/clawback/passphrase");
    assert_int_equal(p->destination_count, 2);
    const struct plan_destination *usb = plan_destination_find(p, "usb");
    assert_string_equal(usb->location, "/mnt/backups");
    assert_true(usb->require_mount && usb->reserve_bytes == 100000000 && usb->line == 4);
    assert_false(plan_destination_find(p, "second")->require_mount);
    assert_null(plan_destination_find(p, "third"));
    assert_int_equal(p->tier_count, 4);
    const struct plan_tier *t = plan_tier_find(p, "git");
    assert_true(t->schedule.kind == SCHEDULE_EVERY && t->schedule.every_ms == 7200000);
    assert_int_equal(t->git_count, 2);
    assert_string_equal(t->git[1].path, "/home/me/.openclaw/workspace/ai-erp");
    assert_string_equal(t->git[1].push, "origin");
    assert_true(t->keep.all && retention_is_empty(&t->keep.policy));
    t = plan_tier_find(p, "config");
    assert_string_equal(t->files.items[0], "/home/me/.openclaw");
    assert_string_equal(t->exclude.items[0], "*.log");
    assert_true(t->to.count == 2 && t->keep.policy.within.days == 7);
    t = plan_tier_find(p, "databases");
    assert_string_equal(t->postgres[0].container, "ai-erp-postgres");
    assert_string_equal(t->postgres[0].user, "erp_user");
    assert_string_equal(t->postgres[0].database, "ai_erp");
    assert_true(t->redis_count == 2 && t->redis[1].container == NULL && t->when == PLAN_RUNNING);
    assert_string_equal(t->redis[1].url, "redis://127.0.0.1:6379");
    t = plan_tier_find(p, "full");
    assert_true(t->schedule.kind == SCHEDULE_CRON && t->schedule.cron.days_of_week == 1);
    assert_string_equal(t->schedule.cron_text, "0 0 * * 0");
    assert_true(t->format == PLAN_ARCHIVE && t->keep.policy.weekly == 4 && t->keep.policy.monthly == 12);
    assert_string_equal(t->archive.prefix, "full");
    assert_null(plan_tier_find(p, "none"));
    plan_free(p);
}

static void test_config__has_defaults(void **state)
{
    (void)state;
    struct plan *p = parse(TIER "    git: /g\n    command: {name: c, command: x}\n");
    char host[256];
    gethostname(host, sizeof host);
    assert_string_equal(p->host, host);
    assert_null(p->home);
    assert_true(p->destinations[0].reserve_bytes == 100000000 && p->destinations[0].compression == NULL);
    assert_int_equal(p->destinations[0].passphrase.kind, SECRET_NONE);
    const struct plan_tier *t = &p->tiers[0];
    assert_true(t->schedule.kind == SCHEDULE_NONE && !t->disabled && t->format == PLAN_REPOSITORY && t->line == 4);
    assert_true(t->timeout_ms == 3600000 && t->hooks.timeout_ms == 600000 && t->git[0].timeout_ms == 300000);
    assert_true(t->when == PLAN_ALWAYS && t->on_shrink == PLAN_SHRINK_FAIL && !t->no_agent_excludes);
    assert_true(!t->keep.all && retention_is_empty(&t->keep.policy));
    assert_string_equal(t->commands[0].command.items[0], "/bin/sh");
    assert_string_equal(t->commands[0].command.items[1], "-c");
    assert_string_equal(t->commands[0].command.items[2], "x");
    assert_int_equal(t->commands[0].command.count, 3);
    plan_free(p);
}

static void test_config__understands_every_key(void **state)
{
    (void)state;
    setenv("HOME", "/home/me", 1);
    struct plan *p = parse(
        "version: 1\nhome: /h/../h2/\nhost: box\npassphrase: {command: [pass, show, \"\"]}\n"
        "limits: {cpus: 2, read: 20MB/s}\n"
        "hooks: {before: [/bin/a, \"x y\"], after: echo, failure: echo fail, timeout: 5m}\n"
        "destinations:\n"
        "  usb: {path: /mnt/b, require_mount: yes, reserve: 1.5GiB, limit_write: 5MB, compression: max}\n"
        "  p.l_a-1: {repository: \"local:/srv/p/\", require_mount: /srv/./, allow_unencrypted: on, reserve: 0, "
        "passphrase: {credential: x},"
        " compression: auto}\n"
        "tiers:\n"
        "  all:\n    cron: 30 2 * * mon-fri\n    timezone: Europe/Berlin\n    files: [~/a, ~/, /b/c d/]\n"
        "    exclude: [\"~/x/*.log\", \"!y\"]\n    exclude_if_present: .nobackup\n    exclude_caches: true\n"
        "    exclude_larger_than: 1GB\n    one_file_system: True\n    agent_excludes: no\n"
        "    git: [~/g, {path: /g2, push: origin, timeout: 1m}]\n"
        "    postgres: [{}, {socket: /run/pg, user: u, database: d, password: {env: PG_P}}, {url: postgres://u@h/d}]\n"
        "    redis: {url: unix:///run/r.sock, user: x, password: {file: /r}}\n"
        "    sqlite: [/s.db]\n    command: [{name: crontab, command: [crontab, -l]}]\n"
        "    when: always\n    on_shrink: warn\n    format: repository\n    to: [usb, p.l_a-1]\n"
        "    keep: {within: 1y2m3d4h, last: 3, hourly: 1, daily: all, yearly: 2, within_daily: 2m}\n"
        "    hooks: {after: x}\n    timeout: 90m\n"
        "  once:\n    at: 2030-01-01 12:00\n    timezone: America/New_York\n    enabled: false\n    sqlite: /x\n"
        "    format: archive\n    archive: {prefix: foo, compression: none, encrypt: false}\n    to: p.l_a-1\n"
        "  keys:\n    at: 2030-01-01T00:00:00Z\n    files: /k\n    format: archive\n"
        "    archive: {compression: zstd, recipients: [a@b.c, 0xABCD]}\n    to: usb\n    keep:\n    exclude:\n");
    assert_string_equal(p->home, "/h2");
    assert_string_equal(p->host, "box");
    assert_true(p->passphrase.kind == SECRET_COMMAND && p->passphrase.command.count == 3);
    assert_true(p->cpus == 2 && p->limit_read_bytes_per_s == 20000000 && p->hooks.timeout_ms == 300000);
    assert_true(p->hooks.before.count == 2 && p->hooks.after.count == 3 && p->hooks.failure.count == 3);
    const struct plan_destination *d = p->destinations;
    assert_true(d[0].require_mount && d[0].reserve_bytes == 1610612736 && d[0].limit_write_bytes_per_s == 5000000);
    assert_string_equal(d[0].compression, "max");
    assert_null(d[0].mount_point);
    assert_true(d[1].require_mount);
    assert_string_equal(d[1].mount_point, "/srv");
    assert_string_equal(d[1].location, "/srv/p");
    assert_true(d[1].allow_unencrypted && d[1].reserve_bytes == 0 && d[1].compression == NULL);
    assert_true(d[1].passphrase.kind == SECRET_CREDENTIAL);
    const struct plan_tier *t = p->tiers;
    assert_string_equal(t->schedule.zone, "Europe/Berlin");
    assert_string_equal(t->files.items[0], "/home/me/a");
    assert_string_equal(t->files.items[1], "/home/me");
    assert_string_equal(t->files.items[2], "/b/c d");
    assert_string_equal(t->exclude.items[0], "/home/me/x/*.log");
    assert_string_equal(t->exclude_if_present.items[0], ".nobackup");
    assert_true(t->exclude_caches && t->exclude_larger_than == 1000000000 && t->one_file_system);
    assert_true(t->no_agent_excludes && t->on_shrink == PLAN_SHRINK_WARN && t->timeout_ms == 5400000);
    assert_string_equal(t->git[0].path, "/home/me/g");
    assert_true(t->git[0].push == NULL && t->git[1].timeout_ms == 60000);
    assert_true(t->postgres_count == 3 && t->postgres[1].password.kind == SECRET_ENV);
    assert_string_equal(t->postgres[1].socket, "/run/pg");
    assert_true(t->redis_count == 1 && t->redis[0].password.kind == SECRET_FILE);
    assert_string_equal(t->redis[0].user, "x");
    assert_string_equal(t->commands[0].command.items[1], "-l");
    const struct retention_policy *k = &t->keep.policy;
    assert_true(k->within.years == 1 && k->within.months == 2 && k->within.days == 3 && k->within.hours == 4);
    assert_true(k->last == 3 && k->hourly == 1 && k->daily == -1 && k->yearly == 2 && k->within_daily.months == 2);
    assert_true(t[1].schedule.kind == SCHEDULE_AT && t[1].schedule.at_ms == INT64_C(1893517200000) && t[1].disabled);
    assert_true(t[1].archive.unencrypted && t[1].archive.codec == PLAN_UNCOMPRESSED);
    assert_string_equal(t[1].archive.prefix, "foo");
    assert_true(t[2].archive.recipients.count == 2 && t[2].archive.codec == PLAN_ZSTD && t[2].exclude.count == 0);
    plan_free(p);
    plan_free(NULL);
}

static void test_config__anchors_save_writing(void **state)
{
    (void)state;
    struct plan *p = parse(HEAD "tiers:\n  a: &a\n    files: /x\n    to: usb\n    keep: {daily: 7}\n"
                                "  b:\n    <<: *a\n    files: /y\n");
    assert_string_equal(p->tiers[1].files.items[0], "/y");
    assert_int_equal(p->tiers[1].keep.policy.daily, 7);
    plan_free(p);
}

/* --- what is wrong */

static void test_config__names_unknown_keys_and_what_was_meant(void **state)
{
    (void)state;
    mistake(TIER "hom: /x\n", 7, "unknown key 'hom'; did you mean 'home'?");
    mistake(TIER "weather: {}\n", 7, "unknown key 'weather', expected one of version, home,");
    tier_mistake("evrey: 2h", "tiers.t: unknown key 'evrey'; did you mean 'every'?");
    tier_mistake("keep: {dayly: 2}", "tiers.t.keep: unknown key 'dayly'; did you mean 'daily'?");
    tier_mistake("git: [/a, {path: /b, remote: x}]",
                 "tiers.t.git[2]: unknown key 'remote', expected one of path, push,");
    mistake(TIER "\"\\e[31m\": 1\n", 7, "unknown key '?[31m'");
}

static void test_config__says_what_was_found_and_expected(void **state)
{
    (void)state;
    tier_mistake("every: 2 hours", "tiers.t.every: found '2 hours', expected a duration like 30s, 10m or 2h");
    tier_mistake("every: 7200", "expected a duration");
    tier_mistake("every: 30s", "tiers.t.every: found '30s', expected a minute or more");
    tier_mistake("every: [2h]", "found a list, expected a duration");
    tier_mistake("every:", "found nothing, expected a duration");
    tier_mistake("cron: 61 * * * *", "tiers.t.cron: minute '61': 61 is not between");
    tier_mistake("cron: 0 0 30 2 *", "it never comes");
    tier_mistake("cron: {}", "found keys with values, expected a cron expression");
    tier_mistake("at: soon", "tiers.t.at: 'soon' is no time");
    tier_mistake("at: []", "expected a time");
    tier_mistake("timeout: 0s", "expected a duration");
    tier_mistake("timeout: -1h", "expected a duration");
    tier_mistake("timeout: 99999999999999999999h", "expected a duration");
    tier_mistake("exclude_larger_than: big", "found 'big', expected a size");
    tier_mistake("exclude_larger_than: 99999999999GB", "expected a size");
    tier_mistake("exclude_caches: maybe", "found 'maybe', expected true or false");
    tier_mistake("exclude_caches: \"true\"", "found 'true', expected true or false");
    tier_mistake("enabled: 1", "expected true or false");
    tier_mistake("exclude: [a, [b]]", "tiers.t.exclude[2]: found a list, expected a pattern");
    tier_mistake("exclude: [\"[a\"]", "tiers.t.exclude[1]: ");
    tier_mistake("exclude: {a: b}", "expected a pattern");
    tier_mistake("exclude_if_present: [\"\"]", "expected text");
    tier_mistake("when: sometimes", "found 'sometimes', expected always or running");
    tier_mistake("on_shrink: []", "found a list, expected fail or warn");
    tier_mistake("format: zip", "expected repository or archive");
    tier_mistake("sqlite: rel/path", "found 'rel/path', expected a path that begins with / or ~/");
}

static void test_config__checks_numbers_paths_and_names(void **state)
{
    (void)state;
    mistake(TIER "home: ~\n", 7, "found ~, which is nothing in YAML");
    mistake(TIER "home: ~other/x\n", 7, "expected a path that begins with / or ~/");
    mistake(TIER "version: 2\n", 7, "expected 1, the only version");
    mistake(TIER "host: -x\n", 7, "does not begin with '-'");
    mistake(TIER "limits: {cpus: 0}\n", 7, "limits.cpus: found '0', expected a whole number from 1 to 1024");
    mistake(TIER "limits: {cpus: 9999999999}\n", 7, "expected a whole number");
    mistake(TIER "limits: {cpus: 2x}\n", 7, "expected a whole number");
    mistake(TIER "limits: {read: 0}\n", 7, "expected bytes a second");
    mistake(TIER "limits: {read: /s}\n", 7, "expected bytes a second");
    mistake(TIER "limits: 5\n", 7, "limits: found '5', expected keys with values");
    mistake(TIER "hooks: {before: []}\n", 7, "hooks.before: found a list, expected a command");
    mistake(TIER "hooks: {before: [\"\"]}\n", 7, "expected the program's name");
    mistake(TIER "hooks: {before: [a, ~]}\n", 7, "expected an argument");
    mistake(HEAD "tiers: {\"a b\": {files: /x, to: usb}}\n", 3, "tiers: found 'a b', expected a name of letters");
    mistake(HEAD "tiers: {-a: {files: /x, to: usb}}\n", 3, "that begins with a letter or digit");
    mistake(HEAD "tiers: [a]\n", 3, "found a list, expected a name for each");
}

static void test_config__checks_each_destination(void **state)
{
    (void)state;
#define WITH(text) "passphrase: {file: /p}\ntiers: {t: {files: /x, to: d}}\ndestinations:\n  d: {" text "}\n"
    mistake(WITH(""), 4, "destinations.d: it says nowhere where it is");
    mistake(WITH("path: x/y"), 4, "destinations.d.path: found 'x/y', expected a path");
    mistake(WITH("path: /x1, repository: /y1"), 4, "found 'repository' beside 'path', expected one of both");
    mistake(WITH("repository: \"s9://bucket\""), 4,
            "destinations.d.repository: repositories at 's9:' are not supported");
    mistake(WITH("repository: somewhere"), 4, "expected a path that begins with / or ~/, or a location");
    mistake(WITH("repository: local:rel"), 4, "expected a path");
    mistake(WITH("path: /b, reserve: -5"), 4, "expected a size");
    mistake(WITH("path: /b, compression: lots"), 4, "expected auto, off, fastest, better or max");
    mistake(WITH("path: /b, limit_write: fast"), 4, "expected bytes a second");
    mistake(WITH("path: /b, require_mount: b"), 4, "expected true, false, or the directory below /");
    mistake(WITH("path: /b, require_mount: \"true\""), 4, "expected true, false, or");
    mistake(WITH("path: /b, require_mount: [/b]"), 4, "expected true, false, or");
    mistake(WITH("path: /b, require_mount: /x/.."), 4, "expected true, false, or the directory below /");
    mistake(WITH("path: /b, allow_unencrypted: /b"), 4, "expected true or false");
    mistake(WITH("path: /b}\n  e: {path: /b/"), 5, "destination 'd' is in the same place");
    mistake("passphrase: {file: /p}\ntiers: {t: {files: /x, to: d}}\n", 1, "no destination is named");
    mistake("passphrase: {file: /p}\ntiers: {t: {files: /x, to: d}}\ndestinations: [d]\n", 3, "found a list");
    mistake("passphrase: {file: /p}\ntiers: {t: {files: /x, to: d}}\ndestinations: {d: 5}\n", 3,
            "destinations.d: found '5'");
    warning(WITH("path: /b}\n  e: {path: /c"), 5, "destinations.e: nothing goes there");
    warning(WITH("path: /x/y"), 2, "tiers.t.to: destination 'd' lies inside of '/x'");
}

static void test_config__tells_what_excludes_each_other(void **state)
{
    (void)state;
    mistake(TIER "    every: 2h\n    cron: \"@daily\"\n", 8,
            "tiers.t: found 'cron' beside 'every', expected one of both");
    tier_mistake("timezone: Europe/Berlin", "'timezone' says nothing without 'cron' or 'at'");
    mistake(TIER "    cron: \"@daily\"\n    timezone: Mars/Base\n", 8, "time zone 'Mars/Base' is not known");
    tier_mistake("postgres: [{container: c, url: postgres://h}]",
                 "tiers.t.postgres[1]: found 'url' beside 'container'");
    tier_mistake("redis: [{}]", "tiers.t.redis[1]: it says nowhere where the server is");
    tier_mistake("redis: {container: c, url: redis://h}", "tiers.t.redis: found 'url' beside 'container'");
    tier_mistake("redis: {url: redis://h:99999}", "tiers.t.redis.url: the port");
    tier_mistake("redis: {url: \"redis://:p?ass@h\"}", "tiers.t.redis.url: the URL cannot be understood");
    tier_mistake("redis: {url: http://h}",
                 "tiers.t.redis.url: expected a URL that begins with redis://, rediss:// or unix://");
    tier_mistake("redis: [x]", "tiers.t.redis[1]: found 'x', expected keys with values");
    tier_mistake("git: [{push: origin}]", "tiers.t.git[1]: expected 'path'");
    tier_mistake("git: [{path: /x, push: --force}]", "does not begin with '-'");
    tier_mistake("command: [{name: a}]", "tiers.t.command[1]: expected 'command'");
    tier_mistake("command: [{command: a}]", "tiers.t.command[1]: expected 'name'");
    tier_mistake("command: [{name: a/b, command: x}]", "expected a name of letters");
    tier_mistake("command: [{name: a, command: x}, {name: a, command: y}]", "two commands have the name 'a'");
    tier_mistake("archive: {prefix: x}", "'archive' says nothing without 'format: archive'");
    tier_mistake("archive: {prefix: x}\n    format: repository", "'archive' says nothing without 'format: archive'");
    tier_mistake("format: archiv\n    archive: {prefix: x}", "found 'archiv'"); /* the only one */
    tier_mistake("keep: {all: true, last: 3}", "tiers.t.keep: found 'all' beside other rules");
    tier_mistake("keep: {}", "tiers.t.keep: it keeps nothing");
    tier_mistake("keep: {all: false}", "it keeps nothing");
    tier_mistake("keep: {last: 0}", "tiers.t.keep.last: found '0', expected how many");
    tier_mistake("keep: {last: -1}", "found '-1', expected how many");
    tier_mistake("keep: {last: 9999999999}", "expected how many");
    tier_mistake("keep: {within: 7}", "tiers.t.keep.within: found '7', expected a time like 7d");
    tier_mistake("keep: 7d", "found '7d', expected keys with values");
}

static void test_config__wants_sources_and_a_goal(void **state)
{
    (void)state;
    mistake(HEAD "tiers:\n  t:\n    to: usb\n", 4, "tiers.t: it backs nothing up");
    mistake(HEAD "tiers:\n  t:\n    to: usb\n    files: []\n", 4, "tiers.t: it backs nothing up");
    mistake(HEAD "tiers:\n  t:\n    files: /x\n", 4, "tiers.t: it goes nowhere");
    mistake(HEAD "tiers:\n  t:\n    files: /x\n    to: []\n", 6, "it goes nowhere");
    mistake(HEAD "tiers:\n  t:\n    files: /x\n    to: usbb\n", 6,
            "tiers.t.to: there is no destination 'usbb'; did you mean 'usb'?");
    mistake(HEAD "tiers:\n  t:\n    files: /x\n    to: nowhere\n", 6,
            "there is no destination 'nowhere', expected a name");
    mistake(HEAD "tiers:\n  t:\n    files: /x\n    to: [usb, usb]\n", 6, "destination 'usb' is named twice");
    mistake(HEAD, 1, "no tier is named");
    mistake(HEAD "tiers:\n", 3, "no tier is named");
    warning(HEAD "tiers:\n  t:\n    git: /x\n    to: [usb]\n    exclude: [x]\n", 7,
            "tiers.t: 'exclude' has nothing to do");
}

static void test_config__guards_archives(void **state)
{
    (void)state;
#define ARCHIVE(destination, tier)                                                                                 \
    "passphrase: {file: /p}\ndestinations: {d: {" destination "}}\ntiers:\n  t: {files: /x, format: archive, to: " \
    "d, " tier "}\n"
    mistake(ARCHIVE("path: /b", "archive: {encrypt: false}"), 4, "does not have 'allow_unencrypted: true'");
    mistake(ARCHIVE("path: /b, allow_unencrypted: true", "archive: {encrypt: false, recipients: [a]}"), 4,
            "found 'recipients' beside 'encrypt: false'");
    mistake(ARCHIVE("path: /b", "archive: {recipients: [-a]}"), 4, "does not begin with '-'");
    mistake(ARCHIVE("path: /b", "archive: {prefix: a/b}"), 4, "expected a name of letters");
    mistake(ARCHIVE("path: /b", "archive: {compression: rar}"), 4, "expected gzip, zstd or none");
    mistake(ARCHIVE("path: /b", "archive: {prefix: u}") "  u: {files: /y, format: archive, to: d}\n", 5,
            "archives of tier 't' have the same names there");
}

static void test_config__wants_a_passphrase_where_one_is_needed(void **state)
{
    (void)state;
    mistake("destinations: {d: {path: /b}}\ntiers:\n  t: {files: /x, to: d}\n", 3,
            "destination 'd' needs a passphrase");
    plan_free(parse("destinations: {d: {path: /b, passphrase: {env: P}}}\ntiers:\n  t: {files: /x, to: d}\n"));
    plan_free(parse("destinations: {d: {path: /b}}\ntiers:\n  t: {files: /x, to: d, format: archive, archive: "
                    "{recipients: a}}\n"));
    mistake("destinations: {d: {path: /b}}\ntiers:\n  t: {files: /x, to: d, format: archive}\n", 3,
            "needs a passphrase");
}

/* --- secrets */

static void never_said(const char *text, const char *secret)
{
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    assert_int_equal(config_parse(text, strlen(text), "c.yaml", &plan, &report, &err), -1);
    assert_null(strstr(err.message, secret));
    for (size_t i = 0; i < report.count; i++)
        assert_null(strstr(report.items[i].message, secret));
    config_report_release(&report);
}

static void test_config__wants_the_way_to_a_secret_not_the_secret(void **state)
{
    (void)state;
#define REST "\ndestinations: {d: {path: /b}}\ntiers: {t: {files: /x, to: d}}\n"
    mistake("passphrase: hunter2" REST, 1, "secrets do not belong into this file; expected {file: PATH}");
    mistake("passphrase: {}" REST, 1, "expected one of {file: PATH}");
    mistake("passphrase: [hunter2]" REST, 1, "expected one of {file: PATH}");
    mistake("passphrase: {file: /p, env: X}" REST, 1, "expected one of {file: PATH}");
    mistake("passphrase:" REST, 1, "expected one of {file: PATH}");
    mistake("passphrase: {env: 2X}" REST, 1, "passphrase.env: expected the name of a variable");
    mistake("passphrase: {env: [X]}" REST, 1, "expected the name of a variable");
    mistake("passphrase: {credential: ../x}" REST, 1, "expected the name of a systemd credential");
    mistake("passphrase: {file: p}" REST, 1, "expected a path");
    mistake("passphrase: {command: []}" REST, 1, "expected a command");
    mistake("passphrase: {hunter2}" REST, 1, "unknown key; expected one of {file: PATH}");
    never_said("passphrase: hunter2" REST, "hunter2");
    never_said("passphrase: {hunter2}" REST, "hunter2");
    never_said("passphrase: {env: hunter-2}" REST, "hunter");
    never_said(TIER "    redis: {url: \"http://:hunter2@h\"}\n", "hunter2");
    never_said(TIER "    redis: {url: \"redis://:a?hunter2@h\"}\n", "hunter2");
    never_said(TIER "    redis: {url: \"redis://:hunter2@h\", passwort: x}\n", "hunter2");
    never_said(TIER "    redis: {url: \"redis://:hunter2@h\", password: hunter2}\n", "hunter2");
}

static void test_config__passwords_in_urls_are_warned_of_unless_the_file_is_private(void **state)
{
    (void)state;
    static const char TEXT[] = TIER "    redis: [{url: \"redis://:x@h\"}]\n";
    mistake(TIER "    redis: {url: \"redis://:x@h\", password: {env: X}}\n", 7, "a password in the URL as well");
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    char *path = os_path_join(dir, "clawback.yaml");
    static const mode_t MODES[] = {0600, 0640, 0604};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(os_write_file_atomic(path, TEXT, sizeof TEXT - 1, 0600, NULL), 0);
        assert_int_equal(chmod(path, MODES[i]), 0);
        assert_int_equal(config_load(path, &plan, &report, &err), 0);
        assert_string_equal(plan->file, path);
        assert_int_equal(report.count, i == 0 ? 0 : 1);
        config_report_release(&report);
        plan_free(plan);
    }
    free(path);
}

/* --- the report, files */

static void test_config__reports_every_mistake_in_order(void **state)
{
    (void)state;
    static const char TEXT[] =
        "hom: x\npassphrase: y\ndestinations: {d: {path: z}}\ntiers:\n  t: {every: 1, to: q, keep: {}}\n";
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    assert_int_equal(config_parse(TEXT, strlen(TEXT), "my.yaml", &plan, &report, &err), -1);
    assert_int_equal(report.errors, report.count);
    assert_true(report.errors >= 7);
    for (size_t i = 1; i < report.count; i++)
        assert_true(report.items[i - 1].line <= report.items[i].line);
    assert_true(strncmp(err.message, "my.yaml:1: unknown key 'hom'", 28) == 0);
    assert_non_null(strstr(err.message, "more mistakes"));
    config_report_release(&report);
}

static void test_config__stops_counting_at_a_hundred(void **state)
{
    (void)state;
    struct buf text;
    struct plan *plan;
    struct config_report report;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 500; i++)
        buf_printf(&text, "key%d: 1\n", i);
    assert_int_equal(config_parse(buf_cstr(&text), text.len, "c", &plan, &report, NULL), -1);
    assert_int_equal(report.count, 101);
    assert_string_equal(report.items[0].message, "there are more mistakes than are shown");
    config_report_release(&report);
    buf_release(&text);
}

static void test_config__a_key_that_is_there_twice_hides_no_other_mistake(void **state)
{
    (void)state;
    mistake(TIER "home: /a\nhome: /b\n", 8, "key 'home' is there twice, first in line 7");
    mistake(HEAD "tiers:\n  t:\n    files: /x\n    to: usb\n    to: usb\n", 7,
            "key 'to' is there twice, first in line 6");
    struct plan *plan;
    struct config_report report;
    static const char text[] = TIER "home: /a\nhome: b\nhost: [x]\n  \nhost: y\n";
    assert_int_equal(config_parse(text, strlen(text), "c", &plan, &report, NULL), -1);
    assert_int_equal(report.errors, 4);
    const unsigned lines[] = {8, 8, 9, 11};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(report.items[i].line, lines[i]);
    config_report_release(&report);
}

/* Two of a kind and one of it: what is checked across keys is one of both, not the one by the places of the other. */
static void test_config__reports_sections_that_are_there_twice(void **state)
{
    (void)state;
    mistake(HEAD "destinations: {usb: {path: /m}, b: {path: /n}, c: {path: /n}}\ntiers: {t: {files: /x, to: usb}}\n", 3,
            "there twice");
    mistake(TIER "tiers: {a: {files: /x, to: usb}, b: {files: /x, to: usb}, c: {files: /x, to: usb}}\n", 7,
            "there twice");
    mistake(TIER "alerts: {channels: {a: {syslog: user}}}\n"
                 "alerts: {channels: {a: {syslog: user}, b: {syslog: user}, c: {syslog: user}}}\n",
            8, "there twice");
    mistake(TIER "alerts: {channels: ~, channels: {a: {syslog: user}, b: {syslog: user}}}\n", 7, "there twice");
}

static void test_config__turns_down_what_is_no_configuration(void **state)
{
    (void)state;
    mistake("", 1, "the file is empty");
    mistake("# only\n", 1, "the file is empty");
    mistake("just text\n", 1, "expected keys with values");
    mistake("- a\n", 1, "found a list");
    mistake("a: [\n", 2, "did not find expected node content");
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    char *huge = mem_zalloc(CONFIG_MAX_BYTES + 2);
    assert_int_equal(config_parse(huge, CONFIG_MAX_BYTES + 1, "c", &plan, &report, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    config_report_release(&report);
    char *path = os_path_join(dir, "huge.yaml");
    assert_int_equal(os_write_file_atomic(path, huge, CONFIG_MAX_BYTES + 1, 0600, NULL), 0);
    assert_int_equal(config_load(path, &plan, &report, &err), -1);
    assert_int_equal(report.count, 0);
    free(huge);
    free(path);
    assert_int_equal(config_load("/no/such/file", &plan, &report, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(report.count, 0);
}

static void expect_default(const char *expected)
{
    char *path = config_default_path();
    assert_string_equal(path, expected);
    free(path);
}

static void test_config__has_a_default_place(void **state)
{
    (void)state;
    setenv("HOME", "/home/me", 1);
    setenv("CLAWBACK_CONFIG", "~/my.yaml", 1);
    expect_default("/home/me/my.yaml");
    unsetenv("CLAWBACK_CONFIG");
    setenv("XDG_CONFIG_HOME", "/xdg", 1);
    if (access("/etc/clawback/clawback.yaml", F_OK) != 0)
        expect_default("/xdg/clawback/clawback.yaml");
    setenv("XDG_CONFIG_HOME", "relative", 1);
    if (access("/etc/clawback/clawback.yaml", F_OK) != 0)
        expect_default("/home/me/.config/clawback/clawback.yaml");
    unsetenv("XDG_CONFIG_HOME");
}

/* --- values */

static void test_size__is_decimal_or_binary_as_its_unit_says(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } GOOD[] = {{"0", 0},
                {"500", 500},
                {"5B", 5},
                {"1kB", 1000},
                {"100MB", 100000000},
                {"64MiB", 67108864},
                {"64M", 67108864},
                {"64Mi", 67108864},
                {"2 GiB", 2147483648},
                {"1.5GB", 1500000000},
                {"0.5k", 512},
                {"1TB", 1000000000000},
                {"3P", 3377699720527872},
                {"18446744073709551615", UINT64_MAX},
                {"1.2345MB", 1234000}};
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        uint64_t bytes = 1;
        assert_int_equal(size_parse(GOOD[i].text, &bytes, NULL), 0);
        if (bytes != GOOD[i].bytes)
            fail_msg("%s: %llu", GOOD[i].text, (unsigned long long)bytes);
    }
    static const char *const BAD[] = {"",           "MB",       "-1",   "1X",  "1MBB", "1.",    ".5MB",
                                      "1.5",        "1 ",       " 1",   "1e3", "0x10", "1,5GB", "18446744073709551616",
                                      "99999999PB", "17000PiB", "1KiBs"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        uint64_t bytes;
        struct err err = {0};
        if (size_parse(BAD[i], &bytes, &err) == 0)
            fail_msg("'%s' was taken", BAD[i]);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

static void test_url__passwords_are_found_and_hidden(void **state)
{
    (void)state;
    static const char *const PAIRS[][2] = {
        {"redis://:x@h:1/0", "redis://:***@h:1/0"},
        {"postgres://u:a@b:c@h/d", "postgres://u:***@h/d"},
        {"redis://:p?q@h", "redis://:***@h"},
        {"postgres://h/d?user=u&password=x&a=b", "postgres://h/d?user=u&password=***&a=b"},
        {"postgres://u:x@h/d?password=y", "postgres://u:***@h/d?password=***"},
    };
    for (size_t i = 0; i < sizeof PAIRS / sizeof *PAIRS; i++) {
        char *hidden = url_without_password(PAIRS[i][0]);
        assert_string_equal(hidden, PAIRS[i][1]);
        assert_true(url_has_password(PAIRS[i][0]));
        free(hidden);
    }
    static const char *const NONE[] = {"redis://h:6379",       "postgres://u@h/d",
                                       "postgres://u:@h",      "x",
                                       "redis://[::1]:6379/0", "postgres://h:5432/d?application_name=a@b"};
    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++) {
        char *same = url_without_password(NONE[i]);
        assert_false(url_has_password(NONE[i]));
        assert_string_equal(same, NONE[i]);
        free(same);
    }
}

static void test_nearest__finds_what_was_meant(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"every", "exclude", "files", "git", "to", NULL};
    assert_string_equal(nearest_word("evrey", WORDS), "every");
    assert_string_equal(nearest_word("excl", WORDS), "exclude");
    assert_string_equal(nearest_word("file", WORDS), "files");
    assert_string_equal(nearest_word("gti", WORDS), "git");
    assert_null(nearest_word("whatever", WORDS));
    assert_null(nearest_word("", WORDS));
    assert_null(nearest_word("a-word-that-is-longer-than-anything-there-could-be-meant", WORDS));
}

static int set_up(void **state)
{
    (void)state;
    dir = scratch_make();
    setenv("TZ", "UTC", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config__understands_the_example),
        cmocka_unit_test(test_config__has_defaults),
        cmocka_unit_test(test_config__understands_every_key),
        cmocka_unit_test(test_config__anchors_save_writing),
        cmocka_unit_test(test_config__names_unknown_keys_and_what_was_meant),
        cmocka_unit_test(test_config__says_what_was_found_and_expected),
        cmocka_unit_test(test_config__checks_numbers_paths_and_names),
        cmocka_unit_test(test_config__checks_each_destination),
        cmocka_unit_test(test_config__tells_what_excludes_each_other),
        cmocka_unit_test(test_config__wants_sources_and_a_goal),
        cmocka_unit_test(test_config__guards_archives),
        cmocka_unit_test(test_config__wants_a_passphrase_where_one_is_needed),
        cmocka_unit_test(test_config__wants_the_way_to_a_secret_not_the_secret),
        cmocka_unit_test(test_config__passwords_in_urls_are_warned_of_unless_the_file_is_private),
        cmocka_unit_test(test_config__reports_every_mistake_in_order),
        cmocka_unit_test(test_config__stops_counting_at_a_hundred),
        cmocka_unit_test(test_config__a_key_that_is_there_twice_hides_no_other_mistake),
        cmocka_unit_test(test_config__reports_sections_that_are_there_twice),
        cmocka_unit_test(test_config__turns_down_what_is_no_configuration),
        cmocka_unit_test(test_config__has_a_default_place),
        cmocka_unit_test(test_size__is_decimal_or_binary_as_its_unit_says),
        cmocka_unit_test(test_url__passwords_are_found_and_hidden),
        cmocka_unit_test(test_nearest__finds_what_was_meant),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
