#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "monitor/message.h"
#include "monitor/message_text.h"

enum { NOW_S = 1770184800 }; /* 2026-02-04 06:00 UTC */
static const int64_t NOW_MS = NOW_S * INT64_C(1000);

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

static char rule_failed[] = "run-failed", config[] = "config",
            failed[] = "the last run of config failed: no space left", command[] = "clawback run config",
            details[] = "/home: 3 GB\n/var: 1 GB", rule_space[] = "space", usb[] = "usb", full[] = "usb is 91 % full",
            fine[] = "usb is 40 % full";

static struct alert critical(void)
{
    return (struct alert){.rule = rule_failed,
                          .subject = config,
                          .text = failed,
                          .details = details,
                          .command = command,
                          .level = ALERT_CRITICAL,
                          .now = ALERT_CRITICAL,
                          .since_ms = NOW_MS - 3 * 3600000,
                          .change = ALERT_OPENED};
}

static struct alert warning(void)
{
    return (struct alert){.rule = rule_space,
                          .subject = usb,
                          .text = full,
                          .level = ALERT_WARNING,
                          .now = ALERT_WARNING,
                          .opened_ms = NOW_MS - 600000,
                          .change = ALERT_OPENED};
}

static struct alert over(void)
{
    return (struct alert){.rule = rule_space,
                          .subject = usb,
                          .text = fine,
                          .was = full,
                          .level = ALERT_WARNING,
                          .now = ALERT_FINE,
                          .since_ms = NOW_MS - 7200000,
                          .changed_ms = NOW_MS - 3600000,
                          .change = ALERT_CLOSED};
}

static void has(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("'%s' is not in:\n%s", what, text);
}

static json_t *parse(const char *text)
{
    json_t *o = json_loads(text, 0, NULL);
    assert_non_null(o);
    return o;
}

static const char *member(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? s : "(none)";
}

static void test_message__says_what_since_when_and_what_to_type(void **state)
{
    (void)state;
    struct alert a = critical();
    struct message m;
    message_of_alerts(&m, "web1", &a, 1, NOW_MS);
    assert_string_equal(m.title, "clawback on web1: CRITICAL: the last run of config failed: no space left");
    assert_string_equal(m.text, "CRITICAL: the last run of config failed: no space left\n"
                                "  since 2026-02-04 03:00 (3 h)\n"
                                "  /home: 3 GB\n  /var: 1 GB\n"
                                "  type: clawback run config\n");
    assert_int_equal(m.level, ALERT_CRITICAL);
    assert_false(m.over);
    assert_string_equal(m.rule, "run-failed");
    assert_string_equal(m.subject, "config");
    message_release(&m);
}

static void test_message__of_several_has_the_worst_first_and_what_is_over_last(void **state)
{
    (void)state;
    struct alert a[] = {over(), warning(), critical()};
    a[0].level = ALERT_CRITICAL; /* was; that is past */
    struct message m;
    message_of_alerts(&m, "web1", a, 3, NOW_MS);
    assert_string_equal(m.title, "clawback on web1: 1 CRITICAL, 1 warning, 1 over");
    assert_int_equal(m.level, ALERT_CRITICAL);
    assert_false(m.over);
    const char *c = strstr(m.text, "CRITICAL: "), *w = strstr(m.text, "WARNING: "), *o = strstr(m.text, "over: ");
    assert_true(c != NULL && c < w && w < o);
    has(m.text, "\n\nWARNING: usb is 91 % full\n  since 2026-02-04 05:50 (10 min)\n");
    has(m.text, "over: usb is 91 % full\n  now: usb is 40 % full\n  it lasted 60 min, since 2026-02-04 04:00\n");
    message_release(&m);
    message_of_alerts(&m, "web1", a, 2, NOW_MS);
    assert_int_equal(m.level, ALERT_WARNING); /* what is over is as bad as nothing */
    message_release(&m);
}

static void test_message__that_all_is_over_is_said_so(void **state)
{
    (void)state;
    struct alert a[] = {over(), over()};
    struct message m;
    message_of_alerts(&m, "web1", a, 2, NOW_MS);
    assert_string_equal(m.title, "clawback on web1: 2 over");
    assert_true(m.over);
    assert_int_equal(m.level, ALERT_WARNING);
    message_release(&m);
    message_of_alerts(&m, "web1", a, 1, NOW_MS);
    assert_string_equal(m.title, "clawback on web1: over: usb is 91 % full");
    message_release(&m);
}

static void test_message__says_how_an_alert_changed(void **state)
{
    (void)state;
    static const struct {
        enum alert_change change;
        enum alert_level level, now;
        const char *words;
    } CASES[] = {{ALERT_WORSE, ALERT_CRITICAL, ALERT_CRITICAL, "worse: CRITICAL: "},
                 {ALERT_WORSE, ALERT_WARNING, ALERT_WARNING, "worse: WARNING: "},
                 {ALERT_BETTER, ALERT_CRITICAL, ALERT_WARNING, "better: WARNING: "},
                 {ALERT_BETTER, ALERT_CRITICAL, ALERT_CRITICAL, "better: CRITICAL: "},
                 {ALERT_REMINDED, ALERT_CRITICAL, ALERT_CRITICAL, "still CRITICAL: "},
                 {ALERT_REMINDED, ALERT_WARNING, ALERT_WARNING, "still WARNING: "}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct alert a = warning();
        struct message m;
        a.change = CASES[i].change;
        a.level = CASES[i].level;
        a.now = CASES[i].now;
        message_of_alerts(&m, "h", &a, 1, NOW_MS);
        assert_int_equal(strncmp(m.text, CASES[i].words, strlen(CASES[i].words)), 0);
        message_release(&m);
    }
}

static void test_message__is_an_object_for_programs(void **state)
{
    (void)state;
    struct alert a[] = {critical(), over()};
    struct message m;
    message_of_alerts(&m, "web1", a, 2, NOW_MS);
    json_t *o = parse(m.json);
    assert_string_equal(member(o, "source"), "clawback");
    assert_string_equal(member(o, "kind"), "alerts");
    assert_string_equal(member(o, "host"), "web1");
    assert_string_equal(member(o, "level"), "critical");
    assert_string_equal(member(o, "time"), "2026-02-04T06:00:00Z");
    assert_string_equal(member(o, "title"), m.title);
    assert_string_equal(member(o, "text"), m.text);
    assert_true(json_is_false(json_object_get(o, "over")));
    const json_t *first = json_array_get(json_object_get(o, "alerts"), 0),
                 *second = json_array_get(json_object_get(o, "alerts"), 1);
    assert_string_equal(member(first, "rule"), "run-failed");
    assert_string_equal(member(first, "change"), "opened");
    assert_string_equal(member(first, "command"), "clawback run config");
    assert_string_equal(member(first, "since"), "2026-02-04T03:00:00Z");
    assert_true(json_is_null(json_object_get(first, "was")));
    assert_string_equal(member(second, "change"), "closed");
    assert_string_equal(member(second, "now"), "fine");
    assert_string_equal(member(second, "changed"), "2026-02-04T05:00:00Z");
    char *body = message_body(&m, WEBHOOK_JSON, NULL);
    assert_string_equal(body, m.json);
    free(body);
    json_decref(o);
    message_release(&m);
}

static void test_message__fits_slack(void **state)
{
    (void)state;
    struct alert a = critical();
    char odd[] = "a < b & c > *d* _e_";
    struct message m;
    a.text = odd;
    message_of_alerts(&m, "web1", &a, 1, NOW_MS);
    char *body = message_body(&m, WEBHOOK_SLACK, NULL);
    json_t *o = parse(body);
    has(member(o, "text"), "clawback on web1\nCRITICAL: a &lt; b &amp; c &gt; *d* _e_\n");
    assert_true(json_is_false(json_object_get(o, "mrkdwn")));
    json_decref(o);
    free(body);
    message_release(&m);
}

static void test_message__fits_discord_and_calls_nobody(void **state)
{
    (void)state;
    struct message m;
    char *long_text = mem_zalloc(9001);
    memset(long_text, 'x', 9000);
    memcpy(long_text, "@everyone ```hi", 15);
    message_of_digest(&m, "web1", "daily digest", long_text, ALERT_FINE, NOW_MS);
    char *body = message_body(&m, WEBHOOK_DISCORD, NULL);
    json_t *o = parse(body);
    const char *content = member(o, "content");
    assert_int_equal(strncmp(content, "```\nclawback on web1: daily digest\n@everyone '''hi", 50), 0);
    assert_true(text_fit_utf16(content, 2000) == strlen(content));
    assert_true(strlen(content) > 1900);
    has(content, "… (more: clawback alerts)\n```");
    assert_int_equal(json_array_size(json_object_get(json_object_get(o, "allowed_mentions"), "parse")), 0);
    json_decref(o);
    free(body);
    free(long_text);
    message_release(&m);
}

static void test_message__has_the_priority_that_phones_need(void **state)
{
    (void)state;
    struct alert alerts[] = {critical(), warning(), over()};
    static const int NTFY[] = {5, 4, 3}, GOTIFY[] = {8, 5, 3};
    static const char *const TAGS[] = {"rotating_light", "warning", "white_check_mark"};
    for (int i = 0; i < 3; i++) {
        struct message m;
        message_of_alerts(&m, "web1", &alerts[i], 1, NOW_MS);
        char *ntfy = message_body(&m, WEBHOOK_NTFY, "mytopic"), *gotify = message_body(&m, WEBHOOK_GOTIFY, NULL);
        json_t *n = parse(ntfy), *g = parse(gotify);
        assert_string_equal(member(n, "topic"), "mytopic");
        assert_string_equal(member(n, "title"), m.title);
        assert_string_equal(member(n, "message"), m.text);
        assert_int_equal(json_integer_value(json_object_get(n, "priority")), NTFY[i]);
        assert_string_equal(json_string_value(json_array_get(json_object_get(n, "tags"), 0)), TAGS[i]);
        assert_string_equal(member(g, "title"), m.title);
        assert_string_equal(member(g, "message"), m.text);
        assert_int_equal(json_integer_value(json_object_get(g, "priority")), GOTIFY[i]);
        json_decref(n);
        json_decref(g);
        free(ntfy);
        free(gotify);
        message_release(&m);
    }
}

static void test_message__digests_and_tests_are_no_alarm(void **state)
{
    (void)state;
    struct message m;
    message_of_digest(&m, "web1", "daily digest", "all is well\n", ALERT_CRITICAL, NOW_MS);
    assert_string_equal(m.title, "clawback on web1: daily digest");
    char *body = message_body(&m, WEBHOOK_NTFY, "t");
    json_t *o = parse(body);
    assert_int_equal(json_integer_value(json_object_get(o, "priority")), 3);
    json_decref(o);
    free(body);
    message_release(&m);
    message_test(&m, "web1", NOW_MS);
    assert_int_equal(m.kind, MESSAGE_TEST);
    o = parse(m.json);
    assert_string_equal(member(o, "kind"), "test");
    json_decref(o);
    message_release(&m);
}

static void test_message__is_clean_whatever_comes(void **state)
{
    (void)state;
    struct alert a = critical();
    char dirty[] = "bad \xff\xc0\x80\xed\xa0\x80\xf5 esc\x1b[31m \xc2\x9b tab\t \xe2\x82";
    struct message m;
    a.text = dirty;
    a.rule = dirty;
    a.details = dirty;
    message_of_alerts(&m, "h\nost", &a, 1, NOW_MS);
    has(m.text, "CRITICAL: bad ??????? esc [31m   tab\t ??\n");
    has(m.title, "clawback on h ost: CRITICAL: bad ");
    assert_null(strchr(m.title, '\t'));
    json_decref(parse(m.json));
    message_release(&m);
}

static void test_message__cuts_between_characters(void **state)
{
    (void)state;
    static const char CRAB[] = "🦀🦀🦀🦀"; /* 4 bytes, 2 units each */
    assert_int_equal(text_fit_utf16(CRAB, 8), 16);
    assert_int_equal(text_fit_utf16(CRAB, 7), 12);
    assert_int_equal(text_fit_bytes(CRAB, 7), 4);
    assert_int_equal(text_fit_utf16("äöü", 2), 4);
    assert_int_equal(text_fit_bytes("€", 2), 0);
    char *cut = message_clip_bytes("0123456789012345678901234567890123456789012345678901234567890", 50);
    assert_true(strlen(cut) <= 50);
    has(cut, "0123");
    has(cut, "clawback alerts)");
    free(cut);
    struct message m;
    char *crabs = mem_zalloc(40001);
    for (size_t i = 0; i < 40000; i += 4)
        memcpy(crabs + i, CRAB, 4);
    message_of_digest(&m, "h", "d", crabs, ALERT_FINE, NOW_MS);
    char *chat = message_chat_text(&m, 4096);
    assert_int_equal(text_fit_utf16(chat, 4096), strlen(chat));
    assert_true(text_fit_utf16(chat, 4080) < strlen(chat));
    free(chat);
    free(crabs);
    message_release(&m);
}

static void test_message__long_titles_are_cut(void **state)
{
    (void)state;
    struct alert a = critical();
    char *text = mem_zalloc(1001);
    memset(text, 't', 1000);
    a.text = text;
    struct message m;
    message_of_alerts(&m, "web1", &a, 1, NOW_MS);
    assert_true(strlen(m.title) < 200);
    has(m.title, "t…");
    message_release(&m);
    free(text);
}

static void test_message_text__rounds_for_people(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } SPANS[] = {{-5, "0 s"},      {119999, "119 s"},   {120000, "2 min"},    {7199999, "119 min"},
                 {7200000, "2 h"}, {172799999, "47 h"}, {172800000, "2 days"}};
    char out[32];
    for (size_t i = 0; i < sizeof SPANS / sizeof *SPANS; i++) {
        text_span(SPANS[i].ms, out);
        assert_string_equal(out, SPANS[i].text);
    }
    assert_null(text_clean(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message__says_what_since_when_and_what_to_type),
        cmocka_unit_test(test_message__of_several_has_the_worst_first_and_what_is_over_last),
        cmocka_unit_test(test_message__that_all_is_over_is_said_so),
        cmocka_unit_test(test_message__says_how_an_alert_changed),
        cmocka_unit_test(test_message__is_an_object_for_programs),
        cmocka_unit_test(test_message__fits_slack),
        cmocka_unit_test(test_message__fits_discord_and_calls_nobody),
        cmocka_unit_test(test_message__has_the_priority_that_phones_need),
        cmocka_unit_test(test_message__digests_and_tests_are_no_alarm),
        cmocka_unit_test(test_message__is_clean_whatever_comes),
        cmocka_unit_test(test_message__cuts_between_characters),
        cmocka_unit_test(test_message__long_titles_are_cut),
        cmocka_unit_test(test_message_text__rounds_for_people),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
