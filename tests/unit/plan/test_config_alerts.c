/* What a configuration says about watching and telling: health, alerts, retry. */
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
#include "plan/url_token.h"
#include "store/scratch.h"

#define BASE                                \
    "passphrase: {file: /p}\n"              \
    "destinations: {usb: {path: /mnt/b}}\n" \
    "tiers:\n"                              \
    "  config: {files: /x, to: usb}\n"      \
    "  full: {files: /y, to: usb}\n"
enum { NEXT_LINE = 6 };

static struct plan *parse(const char *text)
{
    return parsed(text, "c.yaml", false);
}

/* These lines after the base hold one mistake, which is in the so many-th of them (from 1). */
static void mistake(const char *lines, unsigned line, const char *message)
{
    char *text = mem_printf("%s%s\n", BASE, lines);
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    int rc = config_parse(text, strlen(text), "c.yaml", &plan, &report, &err);
    bool found = false;
    for (size_t i = 0; i < report.count; i++)
        found = found || (!report.items[i].warning && report.items[i].line == NEXT_LINE + line - 1 &&
                          strstr(report.items[i].message, message) != NULL);
    if (rc != -1 || report.errors != 1 || !found) {
        for (size_t i = 0; i < report.count; i++)
            print_error("%u:%u: %s\n", report.items[i].line, report.items[i].column, report.items[i].message);
        fail_msg("expected %u: %s in:\n%s", NEXT_LINE + line - 1, message, text);
    }
    plan_free(plan);
    config_report_release(&report);
    free(text);
}

static void health_mistake(const char *line, const char *message)
{
    char *text = mem_printf("health:\n  %s", line);
    mistake(text, 2, message);
    free(text);
}

/* The one channel of a plan. */
static void channel_mistake(const char *settings, const char *message)
{
    char *text = mem_printf("alerts:\n  channels:\n    me: %s", settings);
    mistake(text, 3, message);
    free(text);
}

static struct plan *with_channel(const char *settings)
{
    char *text = mem_printf("%salerts: {channels: {me: %s}}\n", BASE, settings);
    struct plan *p = parse(text);
    assert_int_equal(p->alerts.channel_count, 1);
    assert_string_equal(p->alerts.channels[0].name, "me");
    free(text);
    return p;
}

/* --- defaults */

static void test_alerts__has_the_documents_thresholds_when_nothing_is_said(void **state)
{
    (void)state;
    struct plan *p = parse(BASE);
    const struct plan_health *h = &p->health;
    assert_int_equal(h->late_percent, 25);
    assert_int_equal(h->slow_ms, 600000);
    assert_true(h->slow_factor == 3 && h->growth_factor == 10);
    assert_true(h->growth_percent == 50 && h->shrink_percent == 50 && h->full_percent == 80);
    assert_int_equal(h->critical_free_bytes, 100000000);
    assert_int_equal(h->proof_max_age_ms, 35ull * 86400000);
    assert_int_equal(h->skew_ms, 300000);
    assert_true(!h->no_dump_check && h->textfile == NULL);
    assert_int_equal(p->alerts.repeat_ms, 86400000);
    assert_true(p->alerts.digest_minute == 480 && p->alerts.digest_weekday == 1);
    assert_int_equal(p->alerts.channel_count, 0);
    assert_int_equal(p->tiers[0].retry.times, 0);
    plan_free(p);
}

static void test_alerts__names_levels_and_kinds(void **state)
{
    (void)state;
    assert_string_equal(alert_level_name(ALERT_FINE), "fine");
    assert_string_equal(alert_level_name(ALERT_CRITICAL), "critical");
    assert_string_equal(channel_kind_name(CHANNEL_TELEGRAM), "telegram");
    assert_string_equal(channel_kind_name(CHANNEL_SYSLOG), "syslog");
}

/* --- health */

static void test_health__takes_every_threshold(void **state)
{
    (void)state;
    struct plan *p = parse(BASE "health:\n  late: 50%\n  slow: 1h\n  slow_factor: 2.5\n  growth: 200\n"
                                "  growth_critical: 20\n  shrink: 10%\n  full: 95%\n  critical_free: 1GB\n"
                                "  proof: 60d\n  skew: 30s\n  dumps: false\n  prometheus: /var/lib/x.prom\n");
    const struct plan_health *h = &p->health;
    assert_true(h->late_percent == 50 && h->slow_ms == 3600000 && h->slow_factor == 2.5);
    assert_true(h->growth_percent == 200 && h->growth_factor == 20 && h->shrink_percent == 10);
    assert_true(h->full_percent == 95 && h->critical_free_bytes == 1000000000);
    assert_true(h->proof_max_age_ms == 60ull * 86400000 && h->skew_ms == 30000 && h->no_dump_check);
    assert_string_equal(h->textfile, "/var/lib/x.prom");
    plan_free(p);
}

static void test_health__rules_can_be_switched_off(void **state)
{
    (void)state;
    struct plan *p = parse(BASE "health: {late: off, slow: 0, slow_factor: off, growth: no, growth_critical: 0, "
                                "shrink: never, full: false, critical_free: off, proof: off, skew: 0}\n");
    const struct plan_health *h = &p->health;
    assert_true(h->late_percent == 0 && h->slow_ms == 0 && h->slow_factor == 0 && h->growth_percent == 0);
    assert_true(h->growth_factor == 0 && h->shrink_percent == 0 && h->full_percent == 0);
    assert_true(h->critical_free_bytes == 0 && h->proof_max_age_ms == 0 && h->skew_ms == 0);
    plan_free(p);
}

static void test_health__reports_what_is_no_threshold(void **state)
{
    (void)state;
    health_mistake("late: much", "health.late: found 'much', expected a percentage from 1% to 100000%, or off");
    health_mistake("late: -5%", "expected a percentage");
    health_mistake("late: 5%%", "expected a percentage");
    health_mistake("late: 1234567", "expected a percentage");
    health_mistake("late: [5]", "found a list, expected a percentage");
    health_mistake("growth: 5.5", "expected a percentage");
    health_mistake("full: 101%", "expected a percentage from 1% to 100%, or off");
    health_mistake("shrink: 200", "expected a percentage from 1% to 100%");
    health_mistake("slow: 10", "health.slow: found '10', expected a duration like 30s, 10m or 2h, or off");
    health_mistake("slow:", "found nothing, expected a duration");
    health_mistake("slow_factor: 1", "health.slow_factor: found '1', expected a number above 1");
    health_mistake("slow_factor: 0.5", "expected a number above 1");
    health_mistake("slow_factor: 3x", "expected a number above 1");
    health_mistake("slow_factor: 3.", "expected a number above 1");
    health_mistake("slow_factor: .5", "expected a number above 1");
    health_mistake("slow_factor: 1.2345", "expected a number above 1");
    health_mistake("slow_factor: 12345678", "expected a number above 1");
    health_mistake("growth_critical: nan", "expected a number above 1");
    health_mistake("growth_critical: {}", "expected a number above 1");
    health_mistake("critical_free: lots", "health.critical_free: found 'lots', expected a size");
    health_mistake("proof: monthly", "health.proof: found 'monthly', expected a duration");
    health_mistake("skew: [1]", "found a list, expected a duration");
    health_mistake("dumps: maybe", "health.dumps: found 'maybe', expected true or false");
    health_mistake("prometheus: x.prom", "health.prometheus: found 'x.prom', expected a path");
    health_mistake("shrnk: 5%", "unknown key 'shrnk'; did you mean 'shrink'?");
    mistake("health: fine", 1, "health: found 'fine', expected keys with values");
}

/* --- retry */

static struct plan *with_retry(const char *value)
{
    char *text = mem_printf("%s  third: {files: /z, to: usb, retry: %s}\n", BASE, value);
    struct plan *p = parse(text);
    free(text);
    return p;
}

static void test_retry__takes_a_map_a_number_or_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned times;
        uint64_t after_ms;
    } CASES[] = {{"{times: 2, after: 10s}", 2, 10000},
                 {"{after: 1m}", 3, 60000},
                 {"{}", 3, 300000},
                 {"5", 5, 300000},
                 {"{times: 7}", 7, 300000},
                 {"0", 0, 300000},
                 {"off", 0, 300000},
                 {"~", 0, 300000}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct plan *p = with_retry(CASES[i].text);
        assert_int_equal(p->tiers[2].retry.times, CASES[i].times);
        assert_int_equal(p->tiers[2].retry.after_ms, CASES[i].after_ms);
        plan_free(p);
    }
}

static void test_retry__reports_mistakes(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"often", "tiers.t.retry: found 'often', expected a whole number from 1 to 20"},
        {"21", "found '21', expected a whole number from 1 to 20"},
        {"{times: -1}", "tiers.t.retry.times: found '-1', expected a whole number"},
        {"{after: 5}", "tiers.t.retry.after: found '5', expected a duration"},
        {"{tries: 5}", "unknown key 'tries'; did you mean 'times'?"},
        {"[3]", "tiers.t.retry: found a list, expected keys with values"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *line = mem_printf("  t: {files: /z, to: usb, retry: %s}", CASES[i][0]);
        mistake(line, 1, CASES[i][1]);
        free(line);
    }
}

/* --- alerts */

static void test_alerts__takes_times_in_their_forms(void **state)
{
    (void)state;
    static const struct {
        const char *at, *day;
        unsigned minute, weekday;
    } CASES[] = {{"\"08:00\"", "monday", 480, 1}, {"23:59", "Sunday", 1439, 0}, {"0:05", "SAT", 5, 6}};
    for (size_t i = 0; i < 3; i++) {
        char *text =
            mem_printf("%salerts: {repeat: 2h, digest_at: %s, digest_day: %s}\n", BASE, CASES[i].at, CASES[i].day);
        struct plan *p = parse(text);
        assert_int_equal(p->alerts.repeat_ms, 7200000);
        assert_int_equal(p->alerts.digest_minute, CASES[i].minute);
        assert_int_equal(p->alerts.digest_weekday, CASES[i].weekday);
        plan_free(p);
        free(text);
    }
    struct plan *p = parse(BASE "alerts: {repeat: never, channels: }\n");
    assert_true(p->alerts.repeat_ms == 0 && p->alerts.channel_count == 0);
    plan_free(p);
}

static void test_alerts__reports_mistakes(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"repeat: daily", "alerts.repeat: found 'daily', expected a duration"},
        {"digest_at: 8", "alerts.digest_at: found '8', expected a time of day like \"08:00\""},
        {"digest_at: 24:00", "expected a time of day"},
        {"digest_at: 08:60", "expected a time of day"},
        {"digest_at: 008:00", "expected a time of day"},
        {"digest_at: 08:00:00", "expected a time of day"},
        {"digest_at: \":00\"", "expected a time of day"},
        {"digest_at:", "found nothing, expected a time of day"},
        {"digest_day: mo", "alerts.digest_day: found 'mo', expected a day of the week, like monday"},
        {"digest_day: [monday]", "found a list, expected a day of the week"},
        {"chanels: {}", "unknown key 'chanels'; did you mean 'channels'?"},
        {"channels: [a]", "alerts.channels: found a list, expected a name for each, with its keys below it"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *text = mem_printf("alerts:\n  %s", CASES[i][0]);
        mistake(text, 2, CASES[i][1]);
        free(text);
    }
    mistake("alerts: loud", 1, "alerts: found 'loud', expected keys with values");
}

/* --- channels that are right */

static void test_channel__telegram(void **state)
{
    (void)state;
    struct plan *p = with_channel("{telegram: {token: {file: /t}, chat: -100123}, level: critical, timeout: 5s}");
    const struct plan_channel *c = &p->alerts.channels[0];
    assert_int_equal(c->kind, CHANNEL_TELEGRAM);
    assert_string_equal(c->address.url, "https://api.telegram.org");
    assert_int_equal(c->address.secret.kind, SECRET_NONE);
    assert_int_equal(c->token.kind, SECRET_FILE);
    assert_string_equal(c->target, "-100123");
    assert_true(c->at_least == ALERT_CRITICAL && c->timeout_ms == 5000 && c->digests == 0);
    assert_int_equal(c->line, NEXT_LINE);
    plan_free(p);
    p = with_channel(
        "{telegram: {token: {env: T}, chat: \"@mine\", api: {file: /a}, ca_file: /ca.pem}, digest: daily}");
    c = &p->alerts.channels[0];
    assert_null(c->address.url);
    assert_int_equal(c->address.secret.kind, SECRET_FILE);
    assert_string_equal(c->ca_file, "/ca.pem");
    assert_true(c->digests == DIGEST_DAILY && c->at_least == ALERT_WARNING && c->timeout_ms == 30000);
    plan_free(p);
}

static void test_channel__email(void **state)
{
    (void)state;
    struct plan *p =
        with_channel("{email: {server: \"smtps://mail.example.org\", from: a@b.c, to: o@b.c}, level: info}");
    const struct plan_channel *c = &p->alerts.channels[0];
    assert_int_equal(c->kind, CHANNEL_EMAIL);
    assert_int_equal(c->digests, DIGEST_DAILY | DIGEST_WEEKLY);
    assert_int_equal(c->at_least, ALERT_INFO);
    assert_int_equal(c->tls, MAIL_TLS_REQUIRED);
    assert_true(c->to.count == 1 && c->user == NULL);
    plan_free(p);
    p = with_channel("{email: {server: \"smtp://[::1]:2525\", from: \"Claw <a@b.c>\", to: [o@b.c, p@b.c], user: u, "
                     "password: {command: [pass]}, tls: if_offered}, digest: none}");
    c = &p->alerts.channels[0];
    assert_string_equal(c->from, "Claw <a@b.c>");
    assert_true(c->tls == MAIL_TLS_IF_OFFERED && c->digests == 0 && c->to.count == 2);
    assert_string_equal(c->user, "u");
    assert_int_equal(c->token.kind, SECRET_COMMAND);
    plan_free(p);
    p = with_channel("{email: {server: {file: /s}, from: a@b.c, to: o@b.c, tls: none}, digest: [weekly]}");
    c = &p->alerts.channels[0];
    assert_true(c->tls == MAIL_TLS_NONE && c->digests == DIGEST_WEEKLY && c->address.url == NULL);
    plan_free(p);
}

static void test_channel__webhook_and_ping(void **state)
{
    (void)state;
    struct plan *p = with_channel("{webhook: \"https://example.org/x\", digest: [daily, weekly]}");
    const struct plan_channel *c = &p->alerts.channels[0];
    assert_true(c->kind == CHANNEL_WEBHOOK && c->format == WEBHOOK_JSON);
    assert_string_equal(c->address.url, "https://example.org/x");
    assert_int_equal(c->digests, DIGEST_DAILY | DIGEST_WEEKLY);
    plan_free(p);
    p = with_channel("{webhook: {url: {credential: hook}, format: gotify}}");
    c = &p->alerts.channels[0];
    assert_true(c->format == WEBHOOK_GOTIFY && c->address.secret.kind == SECRET_CREDENTIAL);
    plan_free(p);
    p = with_channel("{webhook: {url: \"http://localhost:1\", format: ntfy, token: {file: /t}}}");
    assert_int_equal(p->alerts.channels[0].format, WEBHOOK_NTFY);
    plan_free(p);
    p = with_channel("{ping: \"https://hc.example.org/ping\", timeout: 5s}");
    assert_true(p->alerts.channels[0].kind == CHANNEL_PING && p->alerts.channels[0].tiers.count == 0);
    assert_int_equal(p->alerts.channels[0].style, PING_AUTO);
    plan_free(p);
    p = with_channel("{ping: {url: {file: /u}, tiers: [config, full], style: kuma}}");
    assert_int_equal(p->alerts.channels[0].tiers.count, 2);
    assert_int_equal(p->alerts.channels[0].style, PING_KUMA);
    plan_free(p);
}

static void test_channel__openclaw_command_and_syslog(void **state)
{
    (void)state;
    struct plan *p = with_channel("{openclaw: {channel: telegram, target: \"-4711\"}}");
    const struct plan_channel *c = &p->alerts.channels[0];
    assert_int_equal(c->kind, CHANNEL_OPENCLAW);
    assert_string_equal(c->via, "telegram");
    assert_string_equal(c->target, "-4711");
    assert_true(c->address.url == NULL && c->address.secret.kind == SECRET_NONE);
    plan_free(p);
    p = with_channel("{openclaw: {gateway: \"http://127.0.0.1:18789\", token: {file: /t}}}");
    assert_string_equal(p->alerts.channels[0].address.url, "http://127.0.0.1:18789");
    plan_free(p);
    p = with_channel("{command: [/bin/say, \"\"], level: critical}");
    assert_int_equal(p->alerts.channels[0].command.count, 2);
    plan_free(p);
    p = with_channel("{command: \"cat >> /tmp/x\"}");
    assert_string_equal(p->alerts.channels[0].command.items[2], "cat >> /tmp/x");
    plan_free(p);
    static const char *const SYSLOGS[][2] = {
        {"{syslog: }", "daemon"}, {"{syslog: user}", "user"}, {"{syslog: {facility: local7}}", "local7"}};
    for (size_t i = 0; i < 3; i++) {
        p = with_channel(SYSLOGS[i][0]);
        assert_int_equal(p->alerts.channels[0].kind, CHANNEL_SYSLOG);
        assert_string_equal(p->alerts.channels[0].target, SYSLOGS[i][1]);
        plan_free(p);
    }
}

/* --- channels that are not */

static void test_channel__is_of_exactly_one_kind(void **state)
{
    (void)state;
    channel_mistake("{}", "alerts.channels.me: it does not say what it is, expected one of telegram, email, webhook");
    channel_mistake("{level: info}", "it does not say what it is");
    channel_mistake("", "it does not say what it is");
    channel_mistake("loud", "found 'loud', expected keys with values");
    channel_mistake("{syslog: , command: [x]}", "found 'syslog' beside 'command', expected one of both");
    channel_mistake("{telegramm: {}, syslog: }", "unknown key 'telegramm'; did you mean 'telegram'?");
    mistake("alerts: {channels: {\"a b\": {syslog: }}}", 1, "found 'a b', expected a name of letters");
}

static void test_channel__common_settings_are_checked(void **state)
{
    (void)state;
    channel_mistake("{syslog: , level: loud}", "me.level: found 'loud', expected info, warning or critical");
    channel_mistake("{syslog: , level: fine}", "found 'fine', expected info, warning or critical");
    channel_mistake("{syslog: , digest: hourly}", "me.digest: found 'hourly', expected daily, weekly, both");
    channel_mistake("{syslog: , digest: [daily, {}]}", "me.digest[2]: found keys with values, expected daily, weekly");
    channel_mistake("{syslog: , timeout: 0}", "me.timeout: found '0', expected a duration");
    channel_mistake("{ping: \"http://x/\", level: info}", "'level' says nothing beside 'ping'");
    channel_mistake("{ping: \"http://x/\", digest: daily}", "'digest' says nothing beside 'ping'");
}

static void test_channel__each_kind_says_what_it_needs(void **state)
{
    (void)state;
    channel_mistake("{telegram: {chat: 1}}", "me.telegram: expected 'token'");
    channel_mistake("{telegram: {token: {file: /t}}}", "me.telegram: expected 'chat'");
    channel_mistake("{telegram: }", "me.telegram: found nothing, expected its settings");
    channel_mistake("{telegram: token}", "found 'token', expected keys with values");
    channel_mistake("{telegram: {token: 123:abc, chat: 1}}", "secrets do not belong into this file");
    channel_mistake("{telegram: {token: {file: /t}, chat: \"a b\"}}", "expected the number or name of a chat");
    channel_mistake("{telegram: {token: {file: /t}, chat: [1]}}", "found a list, expected the number or name");
    channel_mistake("{telegram: {token: {file: /t}, chat: 1, api: x}}",
                    "api: expected a URL that begins with https://");
    channel_mistake("{email: {from: a@b.c, to: a@b.c}}", "me.email: expected 'server'");
    channel_mistake("{email: {server: \"smtp://h\", to: a@b.c}}", "me.email: expected 'from'");
    channel_mistake("{email: {server: \"smtp://h\", from: a@b.c}}", "me.email: expected 'to'");
    channel_mistake("{email: {server: \"smtp://h\", from: a@b.c, to: []}}", "me.email: expected 'to'");
    channel_mistake("{email: {server: \"smtp://h\", from: a@b.c, to: ~}}", "me.email: expected 'to'");
    channel_mistake("{webhook: {format: json}}", "me.webhook: expected 'url'");
    channel_mistake("{webhook: {url: \"http://h\", format: gotify}}", "expected 'token': where the Gotify");
    channel_mistake("{webhook: {url: \"http://h\", format: teams}}", "expected json, slack, discord, ntfy or gotify");
    channel_mistake("{webhook: [\"http://h\"]}", "me.webhook: expected a URL");
    channel_mistake("{webhook: ftp://h}", "expected a URL that begins with https:// or http://");
    channel_mistake("{ping: {tiers: config}}", "me.ping: expected 'url'");
    channel_mistake("{ping: {url: \"http://x/\", style: x}}", "expected auto, healthchecks, plain or kuma");
    channel_mistake("{openclaw: }", "me.openclaw: found nothing, expected its settings");
    channel_mistake("{openclaw: {channel: telegram}}", "me.openclaw: expected 'target'");
    channel_mistake("{openclaw: {gateway: \"http://h\"}}", "me.openclaw: expected 'token'");
    channel_mistake("{command: }", "found nothing, expected a command");
    channel_mistake("{command: {run: x}}", "found keys with values, expected a command");
    channel_mistake("{syslog: mail}", "found 'mail', expected daemon, user");
    channel_mistake("{syslog: [user]}", "found a list, expected daemon, user");
}

static void test_channel__what_says_nothing_is_a_mistake(void **state)
{
    (void)state;
    channel_mistake("{openclaw: {target: x, token: {file: /t}}}", "'token' says nothing without 'gateway'");
    channel_mistake("{openclaw: {gateway: \"http://h\", token: {file: /t}, channel: x}}", "'channel' says nothing");
    channel_mistake("{openclaw: {gateway: \"http://h\", token: {file: /t}, target: x}}",
                    "found 'gateway' beside 'target', expected one of both");
    channel_mistake("{email: {server: \"smtp://h\", from: a@b.c, to: a@b.c, user: u}}",
                    "found 'user' without 'password': a login needs both");
    channel_mistake("{email: {server: \"smtp://h\", from: a@b.c, to: a@b.c, password: {file: /p}}}",
                    "found 'password' without 'user'");
}

static void test_channel__mail_addresses_and_servers_are_checked(void **state)
{
    (void)state;
    static const char *const ADDRESSES[] = {"owner",     "\"@b.c\"", "a@",     "\"a b@c\"",  "\"A <a@b.c> x\"",
                                            "\"A <a>\"", "\"A <\"",  "-a@b.c", "\"a@b,c@d\""};
    for (size_t i = 0; i < sizeof ADDRESSES / sizeof *ADDRESSES; i++) {
        char *text = mem_printf("{email: {server: \"smtp://h\", from: a@b.c, to: [%s]}}", ADDRESSES[i]);
        channel_mistake(text, "me.email.to[1]: found");
        free(text);
    }
    channel_mistake("{email: {server: \"smtp://h\", from: x, to: a@b.c}}", "expected a mail address like owner@");
    static const char *const SERVERS[] = {
        "smtp://h:x", "smtp://h/path", "smtp://u@h", "smtp://h:", "smtp://:25", "smtps://[::1", "smtp://h?x"};
    for (size_t i = 0; i < sizeof SERVERS / sizeof *SERVERS; i++) {
        char *text = mem_printf("{email: {server: \"%s\", from: a@b.c, to: a@b.c}}", SERVERS[i]);
        channel_mistake(text, "me.email.server: expected smtps://HOST or smtp://HOST");
        free(text);
    }
    channel_mistake("{email: {server: mail.example.org, from: a@b.c, to: a@b.c}}",
                    "server: expected a URL that begins with smtps:// or smtp://");
}

static void test_channel__pings_name_tiers_that_exist(void **state)
{
    (void)state;
    channel_mistake("{ping: {url: \"http://x/\", tiers: [full, confg]}}",
                    "me.ping.tiers: there is no tier 'confg'; did you mean 'config'?");
    channel_mistake("{ping: {url: \"http://x/\", tiers: zzz}}", "there is no tier 'zzz', expected a name from 'tiers'");
    channel_mistake("{ping: {url: \"http://x/\", tiers: [[x]]}}", "found a list, expected a name");
}

/* --- tokens in URLs */

static const char *const TOKEN_URLS[][2] = {
    {"https://api.telegram.org/bot123456:AAE-abc_def1234567890ABCDEFGHIJK/x",
     "https://api.telegram.org/bot123456:***/x"},
    {"https://discord.com/api/webhooks/1234/aB3dE5_gH-iJ7kLmN0pQ", "https://discord.com/api/webhooks/1234/***"},
    {"https://hooks.slack.com/services/T012/B034/a1b2C3d4E5f6G7h8I9j0K1l2",
     "https://hooks.slack.com/services/T012/B034/***"},
    {"https://hc-ping.com/12345678-9abc-def0-1234-56789abcdef0?create=1", "https://hc-ping.com/***?create=1"},
    {"https://gotify.example.org/message?token=abc&x=1", "https://gotify.example.org/message?token=***&x=1"},
    {"https://h.example.org/?x=1&api_key=a", "https://h.example.org/?x=1&api_key=***"},
    {"https://me:secret@h.example.org/x", "https://me:***@h.example.org/x"},
};
static const char *const PLAIN_URLS[] = {"https://api.telegram.org",
                                         "https://ntfy.sh/my-backups",
                                         "http://a-very-long-host-name-0123456789.example.org/x",
                                         "https://example.org/hooks/backups-of-my-agents-are-fine",
                                         "https://example.org/?token=",
                                         "smtp://mail:25",
                                         "x"};

static void test_url_token__finds_and_hides_what_lets_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof TOKEN_URLS / sizeof *TOKEN_URLS; i++) {
        char *shown = url_without_tokens(TOKEN_URLS[i][0]);
        assert_string_equal(shown, TOKEN_URLS[i][1]);
        if (strchr(TOKEN_URLS[i][0], '@') == NULL)
            assert_true(url_has_token(TOKEN_URLS[i][0]));
        free(shown);
    }
    for (size_t i = 0; i < sizeof PLAIN_URLS / sizeof *PLAIN_URLS; i++) {
        char *shown = url_without_tokens(PLAIN_URLS[i]);
        assert_string_equal(shown, PLAIN_URLS[i]);
        assert_false(url_has_token(PLAIN_URLS[i]));
        free(shown);
    }
}

static size_t warnings_of(const char *path, mode_t mode, const char *message)
{
    struct plan *plan;
    struct config_report report;
    struct err err = {0};
    assert_int_equal(chmod(path, mode), 0);
    assert_int_equal(config_load(path, &plan, &report, &err), 0);
    size_t count = report.count;
    if (count > 0)
        assert_non_null(strstr(report.items[0].message, message));
    config_report_release(&report);
    plan_free(plan);
    return count;
}

static void test_channel__a_token_in_a_file_for_others_is_warned_of(void **state)
{
    (void)state;
    char *dir = scratch_make(), *path = mem_printf("%s/c.yaml", dir);
    for (size_t i = 0; i < sizeof TOKEN_URLS / sizeof *TOKEN_URLS; i++) {
        char *text = mem_printf("%salerts: {channels: {me: {webhook: \"%s\"}}}\n", BASE, TOKEN_URLS[i][0]);
        assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0600, NULL), 0);
        assert_int_equal(warnings_of(path, 0600, ""), 0);
        assert_int_equal(warnings_of(path, 0644, "me.webhook: what looks like a token is in the URL, and others can "),
                         1);
        free(text);
    }
    free(path);
    scratch_remove(dir);
}

/* --- mistakes that keep nobody from backing up --- */

static int load_to_run(const char *text, struct plan **out, struct config_report *report)
{
    char *dir = scratch_make(), *path = mem_printf("%s/c.yaml", dir);
    assert_int_equal(os_write_file_atomic(path, text, strlen(text), 0600, NULL), 0);
    int rc = config_load_to_run(path, out, report, NULL);
    free(path);
    scratch_remove(dir);
    return rc;
}

static void test_load_to_run__leaves_out_what_is_wrong_in_alerts_and_health(void **state)
{
    (void)state;
    struct plan *p;
    struct config_report report;
    static const char text[] = BASE "health: {slow: soon, full: 70%}\n"
                                    "alerts:\n"
                                    "  repeat: 5\n"
                                    "  channels:\n"
                                    "    mail: {email: {server: \"smtp://h\", to: a@b, tokn: {file: /t/mail}}}\n"
                                    "    own: {command: [/bin/tell]}\n"
                                    "    phone: {telegram: {chat: 7, token: ~/tg}, levl: info}\n"
                                    "    alive: {ping: {url: {env: PING_URL}, tiers: [nowhere]}}\n"
                                    "    alive: {syslog: user}\n";
    assert_int_equal(load_to_run(text, &p, &report), 0);
    assert_int_equal(report.errors, 8);
    assert_int_equal(report.grave, 0);
    assert_int_equal(p->alerts.channel_count, 1);
    assert_string_equal(p->alerts.channels[0].name, "own");
    assert_int_equal(p->alerts.repeat_ms, 24 * 3600 * 1000);
    assert_int_equal(p->health.slow_ms, 600 * 1000);
    assert_int_equal(p->health.full_percent, 70);
    assert_int_equal(p->alerts.mistakes.count, 8);
    assert_non_null(strstr(p->alerts.mistakes.items[0], "c.yaml:6: health.slow"));
    assert_string_equal(strrchr(p->alerts.mistakes.items[0], ':'), ": health.slow");
    assert_int_equal(p->alerts.unread_count, 3);
    assert_string_equal(p->alerts.unread[0].name, "/t/mail");
    assert_int_equal(p->alerts.unread[1].name[0], '/');
    assert_int_equal(p->alerts.unread[2].kind, SECRET_ENV);
    assert_string_equal(p->alerts.unread[2].name, "PING_URL");
    config_report_release(&report);
    plan_free(p);
}

static void test_load_to_run__refuses_what_is_wrong_elsewhere(void **state)
{
    (void)state;
    static const char *const LINES[] = {"alert: {channels: {}}", "limits: {cpus: x}", "alerts: {repeat: 5}\nhome: x",
                                        "alerts: {repeat: 5}\ntiers: {}"};
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        struct plan *p;
        struct config_report report;
        char *text = mem_printf("%s%s\n", BASE, LINES[i]);
        assert_int_equal(load_to_run(text, &p, &report), -1);
        assert_null(p);
        config_report_release(&report);
        free(text);
    }
}

static void test_load_to_run__is_no_different_where_nothing_is_wrong(void **state)
{
    (void)state;
    struct plan *p;
    struct config_report report;
    assert_int_equal(load_to_run(BASE "alerts: {channels: {a: {syslog: user}}}\n", &p, &report), 0);
    assert_int_equal(p->alerts.channel_count, 1);
    assert_int_equal(p->alerts.mistakes.count + p->alerts.unread_count + report.count, 0);
    config_report_release(&report);
    plan_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alerts__has_the_documents_thresholds_when_nothing_is_said),
        cmocka_unit_test(test_alerts__names_levels_and_kinds),
        cmocka_unit_test(test_health__takes_every_threshold),
        cmocka_unit_test(test_health__rules_can_be_switched_off),
        cmocka_unit_test(test_health__reports_what_is_no_threshold),
        cmocka_unit_test(test_retry__takes_a_map_a_number_or_nothing),
        cmocka_unit_test(test_retry__reports_mistakes),
        cmocka_unit_test(test_alerts__takes_times_in_their_forms),
        cmocka_unit_test(test_alerts__reports_mistakes),
        cmocka_unit_test(test_channel__telegram),
        cmocka_unit_test(test_channel__email),
        cmocka_unit_test(test_channel__webhook_and_ping),
        cmocka_unit_test(test_channel__openclaw_command_and_syslog),
        cmocka_unit_test(test_channel__is_of_exactly_one_kind),
        cmocka_unit_test(test_channel__common_settings_are_checked),
        cmocka_unit_test(test_channel__each_kind_says_what_it_needs),
        cmocka_unit_test(test_channel__what_says_nothing_is_a_mistake),
        cmocka_unit_test(test_channel__mail_addresses_and_servers_are_checked),
        cmocka_unit_test(test_channel__pings_name_tiers_that_exist),
        cmocka_unit_test(test_url_token__finds_and_hides_what_lets_in),
        cmocka_unit_test(test_channel__a_token_in_a_file_for_others_is_warned_of),
        cmocka_unit_test(test_load_to_run__leaves_out_what_is_wrong_in_alerts_and_health),
        cmocka_unit_test(test_load_to_run__refuses_what_is_wrong_elsewhere),
        cmocka_unit_test(test_load_to_run__is_no_different_where_nothing_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
