#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/smtp.h"
#include "net/tiny_server.h"
#include "os/clock.h"

static struct strlist to;

static int set_up(void **state)
{
    (void)state;
    strlist_add(&to, "owner@example.org");
    strlist_add(&to, "other@example.org");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    strlist_release(&to);
    return 0;
}

#define GREETING "EHLO", "250-tiny\r\n250 AUTH PLAIN\r\n"
#define TAIL "QUIT", "221 bye\r\n", NULL

static struct smtp_mail mail_to(const struct tiny_server *t)
{
    return (struct smtp_mail){.server = tiny_url(t, ""),
                              .shown = "the mail server",
                              .tls = SMTP_TLS_NONE,
                              .from = "clawback@example.org",
                              .to = &to,
                              .text = "Subject: x\n\n.dot\nline\n",
                              .timeout_ms = 5000};
}

static bool said(struct tiny_server *t, const char *line)
{
    for (size_t i = 0; i < tiny_count(t); i++)
        if (strncmp(tiny_request(t, i), line, strlen(line)) == 0)
            return true;
    return false;
}

static void test_smtp__hands_a_mail_over(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {GREETING,     "AUTH",       "334 \r\n",      "AGEAYg==",   "235 in\r\n",
                                          "MAIL",       "250 ok\r\n", "RCPT",          "250 ok\r\n", "DATA",
                                          "354 go\r\n", ".",          "250 taken\r\n", TAIL};
    struct tiny_server t;
    struct smtp_answer answer;
    struct err err = {0};
    tiny_start_as(&t, true, ANSWERS);
    struct smtp_mail m = mail_to(&t);
    m.user = "a";
    m.password = "b";
    if (smtp_send(&m, &answer, &err) != 0)
        fail_msg("%s", err.message);
    assert_int_equal(answer.missed, 0);
    assert_true(said(&t, "MAIL FROM:<clawback@example.org>"));
    tiny_stop(&t);
}

static void test_smtp__doubles_dots_and_names_everybody(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {GREETING, "MAIL",       "250 ok\r\n", "RCPT",          "250 ok\r\n",
                                          "DATA",   "354 go\r\n", ".",          "250 taken\r\n", TAIL};
    struct tiny_server t;
    struct smtp_answer answer;
    tiny_start_as(&t, true, ANSWERS);
    struct smtp_mail m = mail_to(&t);
    assert_int_equal(smtp_send(&m, &answer, NULL), 0);
    assert_true(said(&t, "MAIL FROM:<clawback@example.org>"));
    assert_true(said(&t, "RCPT TO:<owner@example.org>"));
    assert_true(said(&t, "RCPT TO:<other@example.org>"));
    assert_true(said(&t, "..dot"));
    assert_true(said(&t, "line"));
    tiny_stop(&t);
}

static void refuses(const char *const *answers, bool login, enum err_code code, bool hopeless, const char *words)
{
    struct tiny_server t;
    struct smtp_answer answer;
    struct err err = {0};
    tiny_start_as(&t, true, answers);
    struct smtp_mail m = mail_to(&t);
    if (login) {
        m.user = "somebody";
        m.password = "sEcReT";
    }
    assert_int_equal(smtp_send(&m, &answer, &err), -1);
    if (err.code != code || answer.hopeless != hopeless || strstr(err.message, words) == NULL ||
        strstr(err.message, "sEcReT") != NULL)
        fail_msg("%d, not %d; hopeless %d; %s", err.code, code, answer.hopeless, err.message);
    tiny_stop(&t);
}

static void test_smtp__tells_for_good_from_later(void **state)
{
    (void)state;
    static const char *const WRONG[] = {GREETING, "AUTH", "535 5.7.8 wrong password\r\n", TAIL};
    static const char *const BUSY[] = {GREETING, "AUTH", "454 4.7.0 try later\r\n", TAIL};
    static const char *const NO_AUTH[] = {"EHLO", "250 tiny\r\n", "MAIL", "530 5.7.0 log in first\r\n", TAIL};
    static const char *const GREY[] = {GREETING, "MAIL", "250 ok\r\n", "RCPT", "451 4.7.1 greylisted\r\n", TAIL};
    static const char *const NOBODY[] = {GREETING, "MAIL", "250 ok\r\n", "RCPT", "550 5.1.1 nobody here\r\n", TAIL};
    static const char *const SPAM[] = {GREETING,     "MAIL", "250 ok\r\n",         "RCPT", "250 ok\r\n", "DATA",
                                       "354 go\r\n", ".",    "554 5.7.1 spam\r\n", TAIL};
    static const char *const GONE[] = {GREETING, "MAIL", TINY_CLOSE, NULL};
    refuses(WRONG, true, ERR_PERMISSION, true, "refused the login: 535 5.7.8 wrong password");
    refuses(BUSY, true, ERR_PERMISSION, false, "454 4.7.0");
    refuses(NO_AUTH, false, ERR_FAILED, true, "530 5.7.0 log in first");
    refuses(GREY, false, ERR_FAILED, false, "451 4.7.1 greylisted");
    refuses(NOBODY, false, ERR_FAILED, true, "550 5.1.1 nobody here");
    refuses(SPAM, false, ERR_FAILED, true, "554 5.7.1 spam");
    refuses(GONE, false, ERR_IO, false, "cannot reach 'the mail server'");
}

static void test_smtp__one_of_two_is_better_than_none(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {
        GREETING,        "MAIL",       "250 ok\r\n", "RCPT TO:<other", "550 5.1.1 nobody here\r\n",
        "RCPT",          "250 ok\r\n", "DATA",       "354 go\r\n",     ".",
        "250 taken\r\n", TAIL};
    struct tiny_server t;
    struct smtp_answer answer;
    tiny_start_as(&t, true, ANSWERS);
    struct smtp_mail m = mail_to(&t);
    assert_int_equal(smtp_send(&m, &answer, NULL), 0);
    assert_int_equal(answer.missed, 1);
    assert_string_equal(answer.said, "550 5.1.1 nobody here");
    tiny_stop(&t);
}

static void test_smtp__sends_nothing_in_the_clear_where_tls_is_required(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {GREETING, "", "250 ok\r\n", TAIL};
    struct tiny_server t;
    struct smtp_answer answer;
    struct err err = {0};
    tiny_start_as(&t, true, ANSWERS);
    struct smtp_mail m = mail_to(&t);
    m.tls = SMTP_TLS_REQUIRED;
    m.user = "somebody";
    m.password = "sEcReT";
    assert_int_equal(smtp_send(&m, &answer, &err), -1);
    assert_int_equal(err.code, ERR_PERMISSION);
    assert_non_null(strstr(err.message, "no encryption"));
    assert_false(said(&t, "AUTH"));
    assert_false(said(&t, "MAIL"));
    tiny_stop(&t);
}

static void test_smtp__does_not_wait_longer_than_it_may(void **state)
{
    (void)state;
    static const char *const ANSWERS[] = {"EHLO", TINY_HANG, NULL};
    struct tiny_server t;
    struct smtp_answer answer;
    struct err err = {0};
    tiny_start_as(&t, true, ANSWERS);
    struct smtp_mail m = mail_to(&t);
    m.timeout_ms = 300;
    uint64_t began = os_monotonic_ns();
    assert_int_equal(smtp_send(&m, &answer, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_true(os_monotonic_ns() - began < 2000000000);
    tiny_stop(&t);
}

static void test_smtp__refuses_what_is_no_address(void **state)
{
    (void)state;
    static const char *const BAD[] = {"", "a", "a@b\r\nRCPT TO:<c@d>", "<a@b>", "a b@c"};
    struct strlist nobody = {0};
    struct smtp_answer answer;
    struct err err = {0};
    struct smtp_mail m = {.server = "smtp://127.0.0.1:1", .shown = "x", .to = &to, .text = "", .timeout_ms = 1000};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        m.from = BAD[i];
        assert_int_equal(smtp_send(&m, &answer, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
    m.from = "a@b";
    m.to = &nobody;
    assert_int_equal(smtp_send(&m, &answer, &err), -1);
    strlist_add(&nobody, "a@b>\n");
    assert_int_equal(smtp_send(&m, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    m.server = "http://127.0.0.1:1";
    assert_int_equal(smtp_send(&m, &answer, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    strlist_release(&nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_smtp__hands_a_mail_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_smtp__doubles_dots_and_names_everybody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_smtp__tells_for_good_from_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_smtp__one_of_two_is_better_than_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_smtp__sends_nothing_in_the_clear_where_tls_is_required, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_smtp__does_not_wait_longer_than_it_may, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_smtp__refuses_what_is_no_address, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
