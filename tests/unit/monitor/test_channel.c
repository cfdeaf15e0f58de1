#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <syslog.h>

#include "monitor/channel.h"
#include "monitor/outbox.h"
#include "net/tiny_server.h"
#include "os/clock.h"
#include "store/scratch.h"

#define SECRET "sEcReT-tOkEn-123"
#define ANSWER(status, body) "HTTP/1.1 " status " x\r\nConnection: close\r\n\r\n" body

static struct tiny_server server;
static struct message message;
static struct channel_answer answer;
static struct err err;

static int set_up(void **state)
{
    scratch_set_up(state);
    message_test(&message, "web1", 1770184800000);
    message.kind = MESSAGE_ALERTS;
    message.level = ALERT_CRITICAL;
    message.rule = mem_strdup("run-failed");
    err_clear(&err);
    setenv("CHANNEL_TEST_TOKEN", SECRET, 1);
    return 0;
}

static int tear_down(void **state)
{
    message_release(&message);
    return scratch_tear_down(state);
}

static void be_ping(int ping, const char *run_id, const char *text)
{
    message_release(&message);
    message_of_ping(&message, ping, run_id, text, 1770184800000);
}

static struct plan_channel channel(enum channel_kind kind)
{
    return (struct plan_channel){.name = "ops", .kind = kind, .timeout_ms = 5000};
}

static struct secret token(void)
{
    return (struct secret){.kind = SECRET_ENV, .name = "CHANNEL_TEST_TOKEN"};
}

static void show_nothing_secret(void)
{
    assert_null(strstr(err.message, "sEcReT"));
    assert_null(strstr(answer.text, "sEcReT"));
}

/* Sends it to a server with these answers; its requests stay until the next call. */
static int send_to(const char *const *answers, struct plan_channel *c, const char *path)
{
    tiny_start(&server, answers);
    if (c->address.secret.kind == SECRET_NONE)
        c->address.url = tiny_url(&server, path);
    else
        setenv("CHANNEL_TEST_URL", tiny_url(&server, path), 1);
    int rc = channel_send(c, &message, &answer, &err);
    show_nothing_secret();
    return rc;
}

static void request_has(size_t i, const char *what)
{
    if (strstr(tiny_request(&server, i), what) == NULL)
        fail_msg("'%s' is not in:\n%s", what, tiny_request(&server, i));
}

static json_t *request_json(size_t i)
{
    const char *body = strstr(tiny_request(&server, i), "\r\n\r\n");
    json_t *o = body != NULL ? json_loads(body + 4, 0, NULL) : NULL;
    assert_non_null(o);
    return o;
}

static void error_has(const char *what)
{
    if (strstr(err.message, what) == NULL)
        fail_msg("'%s' is not in: %s", what, err.message);
}

/* --- Telegram --- */

static struct plan_channel telegram(void)
{
    struct plan_channel c = channel(CHANNEL_TELEGRAM);
    c.token = token();
    c.target = "-100123";
    return c;
}

static void test_channel__telegram_sends(void **state)
{
    (void)state;
    static const char *const OK[] = {ANSWER("200", "{\"ok\":true,\"result\":{}}"), NULL};
    struct plan_channel c = telegram();
    assert_int_equal(send_to(OK, &c, ""), 0);
    assert_string_equal(answer.text, "sent");
    request_has(0, "POST /bot" SECRET "/sendMessage HTTP");
    request_has(0, "Content-Type: application/json\r\n");
    json_t *o = request_json(0);
    assert_string_equal(json_string_value(json_object_get(o, "chat_id")), "-100123");
    assert_non_null(strstr(json_string_value(json_object_get(o, "text")), "clawback on web1"));
    assert_null(json_object_get(o, "parse_mode"));
    assert_null(json_object_get(o, "message_thread_id"));
    json_decref(o);
    tiny_stop(&server);
    c.target = "-100123/45";
    assert_int_equal(send_to(OK, &c, "/"), 0);
    o = request_json(0);
    assert_string_equal(json_string_value(json_object_get(o, "chat_id")), "-100123");
    assert_int_equal(json_integer_value(json_object_get(o, "message_thread_id")), 45);
    json_decref(o);
    request_has(0, "POST /bot" SECRET "/sendMessage HTTP");
    tiny_stop(&server);
}

static void test_channel__telegram_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        bool hopeless;
        uint64_t retry_after_ms;
        const char *words;
    } CASES[] = {
        {ANSWER("401", "{\"ok\":false,\"error_code\":401,\"description\":\"Unauthorized\"}"), true, 0,
         "401: Unauthorized"},
        {ANSWER("400", "{\"ok\":false,\"description\":\"Bad Request: chat not found\"}"), true, 0, "chat not found"},
        {ANSWER("404", "not found: /bot" SECRET "/sendMessage"), true, 0, "not found: /bot****"},
        {ANSWER("429", "{\"ok\":false,\"description\":\"Too Many Requests\",\"parameters\":{\"retry_after\":34}}"),
         false, 34000, "Too Many Requests"},
        {"HTTP/1.1 429 x\r\nRetry-After: 7\r\nConnection: close\r\n\r\n{}", false, 7000, "answered 429"},
        {ANSWER("500", "{\"ok\":false}"), false, 0, "answered 500"},
        {ANSWER("502", "<html>Bad gateway</html>"), false, 0, "answered 502"},
        {ANSWER("200", "<html>please log in to the WLAN</html>"), false, 0, "no answer of Telegram's"},
        {ANSWER("200", ""), false, 0, "no answer of Telegram's"},
        {TINY_CLOSE, false, 0, "cannot reach"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const char *answers[] = {CASES[i].answer, NULL};
        struct plan_channel c = telegram();
        assert_int_equal(send_to(answers, &c, ""), -1);
        error_has(CASES[i].words);
        error_has("channel 'ops': ");
        assert_int_equal(answer.hopeless, CASES[i].hopeless);
        assert_int_equal(answer.retry_after_ms, CASES[i].retry_after_ms);
        assert_true(answer.text[0] != '\0');
        tiny_stop(&server);
    }
}

static void test_channel__telegram_follows_a_group_that_moved(void **state)
{
    (void)state;
    static const char *const MOVED[] = {
        ANSWER("400",
               "{\"ok\":false,\"description\":\"upgraded\",\"parameters\":{\"migrate_to_chat_id\":-1009876543210}}"),
        ANSWER("200", "{\"ok\":true}"), NULL};
    struct plan_channel c = telegram();
    assert_int_equal(send_to(MOVED, &c, ""), 0);
    json_t *o = request_json(1);
    assert_string_equal(json_string_value(json_object_get(o, "chat_id")), "-1009876543210");
    json_decref(o);
    assert_non_null(strstr(answer.text, "-1009876543210"));
    assert_false(answer.hopeless);
    tiny_stop(&server);
}

static void test_channel__telegram_without_a_token(void **state)
{
    (void)state;
    struct plan_channel c = telegram();
    c.address.url = "http://127.0.0.1:1";
    unsetenv("CHANNEL_TEST_TOKEN");
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    setenv("CHANNEL_TEST_TOKEN", "12:sEcReT/../x", 1);
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_true(answer.hopeless);
    show_nothing_secret();
}

/* --- webhooks --- */

static void test_channel__webhook_formats(void **state)
{
    (void)state;
    static const char *const OK[] = {ANSWER("200", "ok"), NULL};
    static const struct {
        enum webhook_format format;
        const char *path, *asked, *header, *member;
    } CASES[] = {
        {WEBHOOK_JSON, "/hook?x=1", "POST /hook?x=1 ", "Authorization: Bearer " SECRET, "alerts"},
        {WEBHOOK_SLACK, "/services/T/B/x", "POST /services/T/B/x ", "Content-Type: application/json", "text"},
        {WEBHOOK_DISCORD, "/api/webhooks/1/x", "POST /api/webhooks/1/x ", "Content-Type: application/json", "content"},
        {WEBHOOK_NTFY, "/mytopic/", "POST / ", "Authorization: Bearer " SECRET, "topic"},
        {WEBHOOK_NTFY, "/mytopic?auth=x", "POST /?auth=x ", "", "topic"},
        {WEBHOOK_GOTIFY, "", "POST /message ", "X-Gotify-Key: " SECRET, "message"},
        {WEBHOOK_GOTIFY, "/gotify/", "POST /gotify/message ", "X-Gotify-Key: " SECRET, "message"},
        {WEBHOOK_GOTIFY, "/message?token=x", "POST /message?token=x ", "", "message"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct plan_channel c = channel(CHANNEL_WEBHOOK);
        c.format = CASES[i].format;
        c.token = token();
        assert_int_equal(send_to(OK, &c, CASES[i].path), 0);
        assert_string_equal(answer.text, "200: ok");
        request_has(0, CASES[i].asked);
        request_has(0, CASES[i].header);
        json_t *o = request_json(0);
        assert_non_null(json_object_get(o, CASES[i].member));
        json_decref(o);
        tiny_stop(&server);
    }
}

static void test_channel__webhook_addresses_that_are_secret_are_not_shown(void **state)
{
    (void)state;
    static const char *const ECHO[] = {ANSWER("404", "no route for /services/sEcReT-1/sEcReT-2?key=sEcReT-3 at all"),
                                       TINY_CLOSE, NULL};
    struct plan_channel c = channel(CHANNEL_WEBHOOK);
    c.address.secret = (struct secret){.kind = SECRET_ENV, .name = "CHANNEL_TEST_URL"};
    assert_int_equal(send_to(ECHO, &c, "/services/sEcReT-1/sEcReT-2?key=sEcReT-3"), -1);
    error_has("'webhook 'ops'' answered 404: no route for");
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("cannot reach 'webhook 'ops''");
    show_nothing_secret();
    tiny_stop(&server);
    setenv("CHANNEL_TEST_URL", "sEcReT-without-a-scheme", 1);
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("https://");
    show_nothing_secret();
}

static void test_channel__webhook_with_a_plain_address_shows_its_host(void **state)
{
    (void)state;
    static const char *const NO[] = {ANSWER("403", "{\"message\":\"line one\\nline two\"}"), NULL};
    struct plan_channel c = channel(CHANNEL_WEBHOOK);
    assert_int_equal(send_to(NO, &c, "/sEcReT-path"), -1);
    error_has("'http://127.0.0.1:");
    error_has("/…' answered 403: line one line two");
    assert_true(answer.hopeless);
    tiny_stop(&server);
    c.address.url = NULL;
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    c.address.url = "http://127.0.0.1:1/";
    c.format = WEBHOOK_NTFY;
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("topic");
}

static void test_channel__secrets_come_from_commands_within_time(void **state)
{
    (void)state;
    static const char *const OK[] = {ANSWER("200", ""), NULL};
    char sh[] = "sh", c_flag[] = "-c", print[] = "echo '  " SECRET "  '", hang[] = "sleep 30", nothing[] = "true";
    char *argv[] = {sh, c_flag, print};
    struct plan_channel c = channel(CHANNEL_WEBHOOK);
    c.token = (struct secret){.kind = SECRET_COMMAND, .command = {.items = argv, .count = 3}};
    assert_int_equal(send_to(OK, &c, "/"), 0);
    request_has(0, "Authorization: Bearer " SECRET "\r\n");
    tiny_stop(&server);
    argv[2] = nothing;
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("is empty");
    argv[2] = hang;
    c.timeout_ms = 300;
    uint64_t began = os_monotonic_ns();
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(os_monotonic_ns() - began < 5000000000);
}

static void test_channel__a_server_that_hangs_is_left(void **state)
{
    (void)state;
    static const char *const HANG[] = {TINY_HANG, NULL};
    struct plan_channel c = channel(CHANNEL_WEBHOOK);
    c.timeout_ms = 300;
    uint64_t began = os_monotonic_ns();
    assert_int_equal(send_to(HANG, &c, "/"), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_false(answer.hopeless);
    assert_true(os_monotonic_ns() - began < 2000000000);
    tiny_stop(&server);
}

/* --- pings --- */

static void test_channel__pings_as_healthchecks_wants_them(void **state)
{
    (void)state;
    static const char *const OK[] = {ANSWER("200", "OK"), NULL};
    static const struct {
        int ping;
        const char *run_id, *text, *path, *asked;
    } CASES[] = {
        {PING_START, "0123456789abcdef", NULL, "/ping/uuid",
         "GET /ping/uuid/start?rid=01234567-89ab-8cde-8f00-000000000000 "},
        {PING_SUCCESS, "0123456789abcdef", NULL, "/ping/uuid/",
         "GET /ping/uuid/?rid=01234567-89ab-8cde-8f00-000000000000 "},
        {PING_FAIL, NULL, "the log's end", "/ping/uuid/", "POST /ping/uuid/fail HTTP"},
        {PING_FAIL, "not an id", "the log's end", "/uuid", "POST /uuid/fail HTTP"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct plan_channel c = channel(CHANNEL_PING);
        be_ping(CASES[i].ping, CASES[i].run_id, CASES[i].text);
        assert_int_equal(send_to(OK, &c, CASES[i].path), 0);
        request_has(0, CASES[i].asked);
        request_has(0, CASES[i].text != NULL ? "\r\n\r\nthe log's end" : "\r\n\r\n");
        tiny_stop(&server);
    }
}

static void test_channel__pings_that_healthchecks_ignored_have_failed(void **state)
{
    (void)state;
    static const char *const NOT_FOUND[] = {ANSWER("200", "OK (not found)"), NULL};
    static const char *const LIMITED[] = {ANSWER("200", "OK (rate limited)"), NULL};
    struct plan_channel c = channel(CHANNEL_PING);
    be_ping(PING_SUCCESS, NULL, NULL);
    assert_int_equal(send_to(NOT_FOUND, &c, "/uuid"), -1);
    error_has("OK (not found)");
    assert_true(answer.hopeless);
    tiny_stop(&server);
    assert_int_equal(send_to(LIMITED, &c, "/uuid"), -1);
    assert_false(answer.hopeless);
    tiny_stop(&server);
}

static void test_channel__pings_other_monitors(void **state)
{
    (void)state;
    static const char *const OK[] = {ANSWER("200", "{\"ok\":true}"), NULL};
    static const struct {
        enum ping_style style;
        int ping;
        const char *path, *asked; /* NULL: nothing */
    } CASES[] = {
        {PING_AUTO, PING_SUCCESS, "/api/push/token?status=up&msg=OK&ping=", "GET /api/push/token?status=up&msg=OK "},
        {PING_AUTO, PING_FAIL,
         "/api/push/token?status=up&msg=OK&ping=", "GET /api/push/token?status=down&msg=the%20backup%20failed "},
        {PING_AUTO, PING_START, "/api/push/token", NULL},
        {PING_AUTO, PING_SUCCESS, "/beat?key=x", "GET /beat?key=x "},
        {PING_AUTO, PING_FAIL, "/beat?key=x", NULL},
        {PING_PLAIN, PING_SUCCESS, "/beat", "GET /beat "},
        {PING_PLAIN, PING_START, "/beat", NULL},
        {PING_KUMA, PING_SUCCESS, "/proxied", "GET /proxied?status=up&msg=OK "},
        {PING_HEALTHCHECKS, PING_FAIL, "/api/push/x?create=1", "GET /api/push/x/fail?create=1 "},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct plan_channel c = channel(CHANNEL_PING);
        c.style = CASES[i].style;
        be_ping(CASES[i].ping, NULL, NULL);
        assert_int_equal(send_to(OK, &c, CASES[i].path), 0);
        assert_int_equal(tiny_count(&server), CASES[i].asked != NULL);
        if (CASES[i].asked != NULL)
            request_has(0, CASES[i].asked);
        tiny_stop(&server);
    }
}

static void test_channel__a_test_is_no_sign_of_life(void **state)
{
    (void)state;
    static const char *const OK[] = {ANSWER("200", "OK"), NULL};
    struct plan_channel c = channel(CHANNEL_PING);
    message.kind = MESSAGE_TEST;
    assert_int_equal(send_to(OK, &c, "/uuid"), 0);
    request_has(0, "POST /uuid/log HTTP");
    tiny_stop(&server);
    c.style = PING_PLAIN;
    assert_int_equal(send_to(OK, &c, "/uuid"), 0);
    assert_int_equal(tiny_count(&server), 0);
    assert_non_null(strstr(answer.text, "nothing was sent"));
    tiny_stop(&server);
}

static void test_channel__takes_only_its_kind_of_message(void **state)
{
    (void)state;
    struct plan_channel c = channel(CHANNEL_PING);
    c.address.url = "http://127.0.0.1:1/";
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    be_ping(PING_SUCCESS, NULL, NULL);
    c.kind = CHANNEL_SYSLOG;
    assert_int_equal(channel_send(&c, &message, &answer, NULL), -1);
    c.kind = CHANNEL_PING;
    c.address.url = NULL;
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("no address");
}

/* --- mail --- */

static void test_channel__mails(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {"EHLO",
                                          "250-tiny\r\n250 AUTH LOGIN\r\n",
                                          "AUTH LOGIN",
                                          "334 VXNlcm5hbWU6\r\n",
                                          "bWU=",
                                          "334 UGFzc3dvcmQ6\r\n",
                                          "c0VjUmVULXRPa0VuLTEyMw==",
                                          "235 in\r\n",
                                          "MAIL",
                                          "250 ok\r\n",
                                          "RCPT TO:<b@",
                                          "550 5.1.1 nobody\r\n",
                                          "RCPT",
                                          "250 ok\r\n",
                                          "DATA",
                                          "354 go\r\n",
                                          ".",
                                          "250 taken\r\n",
                                          "QUIT",
                                          "221 bye\r\n",
                                          NULL};
    struct plan_channel c = channel(CHANNEL_EMAIL);
    c.token = token();
    c.user = "me";
    c.tls = MAIL_TLS_NONE;
    strlist_add(&c.to, "Ann <a@example.org>");
    strlist_add(&c.to, "b@example.org");
    tiny_start_as(&server, true, ANSWERS);
    c.address.url = tiny_url(&server, "");
    if (channel_send(&c, &message, &answer, &err) != 0)
        fail_msg("%s", err.message);
    assert_non_null(strstr(answer.text, "not to 1 of 2: 550 5.1.1 nobody"));
    bool subject = false, from = false, urgent = false;
    for (size_t i = 0; i < server.count; i++) {
        subject = subject || strcmp(server.requests[i], "Subject: clawback on web1: test") == 0;
        from = from || strcmp(server.requests[i], "From: clawback@web1") == 0;
        urgent = urgent || strcmp(server.requests[i], "Importance: high") == 0;
    }
    assert_true(subject && from && urgent);
    tiny_stop(&server);
    strlist_release(&c.to);
}

static void test_channel__mails_cannot_be_sent_without_a_server(void **state)
{
    (void)state;
    struct plan_channel c = channel(CHANNEL_EMAIL);
    c.from = "me@example.org";
    strlist_add(&c.to, "a@example.org");
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    c.address.url = "smtp://me:sEcReT-in-address@127.0.0.1:1";
    c.user = "me@example.org";
    c.from = NULL;
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("smtp://127.0.0.1:1/…");
    show_nothing_secret();
    strlist_release(&c.to);
}

/* --- programs --- */

static char *script(const char *name, const char *text)
{
    char *path = os_path_join(scratch_dir, name);
    scratch_write(scratch_dir, name, text, strlen(text));
    chmod(path, 0755);
    return path;
}

static void read_output(const char *name, struct buf *out)
{
    char *path = os_path_join(scratch_dir, name);
    buf_init(out, 1 << 20);
    assert_int_equal(os_read_file(path, out, NULL), 0);
    buf_cstr(out);
    free(path);
}

static void test_channel__a_command_gets_text_and_facts(void **state)
{
    (void)state;
    char *path =
        script("notify", "#!/bin/sh\ncd \"$(dirname \"$0\")\"\ncat >text\nenv | grep ^CLAWBACK_ALERT_ | sort >facts\n");
    struct plan_channel c = channel(CHANNEL_COMMAND);
    struct buf out;
    strlist_add(&c.command, path);
    if (channel_send(&c, &message, &answer, &err) != 0)
        fail_msg("%s", err.message);
    read_output("text", &out);
    assert_int_equal(strncmp((char *)out.data, "clawback on web1: test\n\nThis is a test", 38), 0);
    buf_release(&out);
    read_output("facts", &out);
    const char *facts = (const char *)out.data;
    assert_non_null(strstr(facts,
                           "CLAWBACK_ALERT_KIND=alerts\nCLAWBACK_ALERT_LEVEL=critical\nCLAWBACK_ALERT_OVER=0\n"
                           "CLAWBACK_ALERT_RULE=run-failed\nCLAWBACK_ALERT_SUBJECT=\n"
                           "CLAWBACK_ALERT_TIME=2026-02-04T06:00:00Z\nCLAWBACK_ALERT_TITLE=clawback on web1: test\n"));
    assert_non_null(strstr(facts, "CLAWBACK_ALERT_JSON={\"source\":\"clawback\""));
    buf_release(&out);
    strlist_release(&c.command);
    free(path);
}

static void test_channel__a_command_may_fail_or_hang_or_not_read(void **state)
{
    (void)state;
    char *fails = script("fails", "#!/bin/sh\necho no modem >&2\nexit 3\n"),
         *hangs = script("hangs", "#!/bin/sh\nsleep 30\n"), *deaf = script("deaf", "#!/bin/sh\nexit 0\n");
    struct plan_channel c = channel(CHANNEL_COMMAND);
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    strlist_add(&c.command, fails);
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("no modem");
    strlist_release(&c.command);
    c.command = (struct strlist){0};
    strlist_add(&c.command, deaf);
    free(message.text);
    message.text = mem_zalloc(300001);
    memset(message.text, 'x', 300000);
    assert_int_equal(channel_send(&c, &message, &answer, &err), 0);
    strlist_release(&c.command);
    c.command = (struct strlist){0};
    strlist_add(&c.command, hangs);
    c.timeout_ms = 300;
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    strlist_release(&c.command);
    free(fails);
    free(hangs);
    free(deaf);
}

static void test_channel__openclaw_by_its_command_line(void **state)
{
    (void)state;
    char *path = script("openclaw", "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$(dirname \"$0\")/args\"\n");
    char *old = mem_strdup(getenv("PATH")), *with = mem_printf("%s:%s", scratch_dir, old);
    struct plan_channel c = channel(CHANNEL_OPENCLAW);
    struct buf out;
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    c.via = "telegram";
    c.target = "42";
    setenv("PATH", with, 1);
    int rc = channel_send(&c, &message, &answer, &err);
    setenv("PATH", old, 1);
    assert_int_equal(rc, 0);
    read_output("args", &out);
    assert_int_equal(
        strncmp((char *)out.data, "message\nsend\n--channel\ntelegram\n--target\n42\n--message\nclawback on web1", 70),
        0);
    buf_release(&out);
    free(path);
    free(old);
    free(with);
}

static void test_channel__openclaw_by_its_wake_hook(void **state)
{
    (void)state;
    static const char *const OK[] = {ANSWER("200", "{\"ok\":true}"), NULL};
    static const char *const NO[] = {ANSWER("401", "Unauthorized"), NULL};
    struct plan_channel c = channel(CHANNEL_OPENCLAW);
    c.token = token();
    assert_int_equal(send_to(OK, &c, ""), 0);
    request_has(0, "POST /hooks/wake HTTP");
    request_has(0, "Authorization: Bearer " SECRET "\r\n");
    json_t *o = request_json(0);
    assert_string_equal(json_string_value(json_object_get(o, "mode")), "now");
    assert_non_null(strstr(json_string_value(json_object_get(o, "text")), "clawback on web1"));
    json_decref(o);
    tiny_stop(&server);
    assert_int_equal(send_to(NO, &c, ""), -1);
    assert_true(answer.hopeless);
    tiny_stop(&server);
    c.token = (struct secret){0};
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("hooks.token");
}

/* --- syslog: our own in the place of the C library's --- */

static struct {
    int facility, priority, lines;
    char text[4096];
} logged;

void openlog(const char *ident, int option, int facility)
{
    assert_string_equal(ident, "clawback");
    (void)option;
    logged.facility = facility;
}

static void log_it(int priority, const char *format, va_list args)
{
    size_t len = strlen(logged.text);
    logged.priority = priority;
    logged.lines++;
    vsnprintf(logged.text + len, sizeof logged.text - len, format, args);
    len = strlen(logged.text);
    snprintf(logged.text + len, sizeof logged.text - len, "|");
}

void syslog(int priority, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    log_it(priority, format, args);
    va_end(args);
}

/* What <bits/syslog.h> makes of it with _FORTIFY_SOURCE. */
void __syslog_chk(int priority, int flag, const char *format, ...) __attribute__((format(printf, 3, 4)));
void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list args;
    (void)flag;
    va_start(args, format);
    log_it(priority, format, args);
    va_end(args);
}

void closelog(void)
{
}

static void test_channel__syslog_has_a_line_for_each(void **state)
{
    (void)state;
    struct plan_channel c = channel(CHANNEL_SYSLOG);
    free(message.text);
    message.text = mem_strdup("one %s\n\n  two\nthree");
    assert_int_equal(channel_send(&c, &message, &answer, &err), 0);
    assert_int_equal(logged.facility, LOG_DAEMON);
    assert_int_equal(logged.priority, LOG_CRIT);
    assert_string_equal(logged.text, "one %s|  two|three|");
    c.target = "local3";
    message.over = true;
    assert_int_equal(channel_send(&c, &message, &answer, &err), 0);
    assert_int_equal(logged.facility, LOG_LOCAL3);
    assert_int_equal(logged.priority, LOG_NOTICE);
    message.over = false;
    message.level = ALERT_WARNING;
    assert_int_equal(channel_send(&c, &message, &answer, &err), 0);
    assert_int_equal(logged.priority, LOG_WARNING);
    c.target = "nonsense";
    assert_int_equal(channel_send(&c, &message, &answer, &err), -1);
    error_has("no facility 'nonsense'");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    static const char *const PROXIES[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < sizeof PROXIES / sizeof *PROXIES; i++)
        unsetenv(PROXIES[i]);
    const struct CMUnitTest tests[] = {
        WITH(test_channel__telegram_sends),
        WITH(test_channel__telegram_refusals),
        WITH(test_channel__telegram_follows_a_group_that_moved),
        WITH(test_channel__telegram_without_a_token),
        WITH(test_channel__webhook_formats),
        WITH(test_channel__webhook_addresses_that_are_secret_are_not_shown),
        WITH(test_channel__webhook_with_a_plain_address_shows_its_host),
        WITH(test_channel__secrets_come_from_commands_within_time),
        WITH(test_channel__a_server_that_hangs_is_left),
        WITH(test_channel__pings_as_healthchecks_wants_them),
        WITH(test_channel__pings_that_healthchecks_ignored_have_failed),
        WITH(test_channel__pings_other_monitors),
        WITH(test_channel__a_test_is_no_sign_of_life),
        WITH(test_channel__takes_only_its_kind_of_message),
        WITH(test_channel__mails),
        WITH(test_channel__mails_cannot_be_sent_without_a_server),
        WITH(test_channel__a_command_gets_text_and_facts),
        WITH(test_channel__a_command_may_fail_or_hang_or_not_read),
        WITH(test_channel__openclaw_by_its_command_line),
        WITH(test_channel__openclaw_by_its_wake_hook),
        WITH(test_channel__syslog_has_a_line_for_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
