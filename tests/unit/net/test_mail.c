#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/base64.h"
#include "net/mail.h"

static struct strlist to;

static int set_up(void **state)
{
    (void)state;
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    strlist_add(&to, "owner@example.org");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    strlist_release(&to);
    return 0;
}

static const char *compose(const char *subject, const char *body)
{
    static char text[64 << 10];
    struct mail m = {.from = "Clawback <clawback@example.org>",
                     .to = &to,
                     .subject = subject,
                     .body = body,
                     .time_ms = 1770184800000};
    struct buf out;
    buf_init(&out, sizeof text - 1);
    mail_compose(&m, &out);
    assert_false(out.overflow);
    snprintf(text, sizeof text, "%s", buf_cstr(&out));
    buf_release(&out);
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 78);
    return text;
}

static void has(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("'%s' is not in:\n%s", what, text);
}

static void test_mail__has_the_headers_it_needs(void **state)
{
    (void)state;
    const char *text = compose("clawback on web1: CRITICAL", "It failed.\n");
    assert_int_equal(strncmp(text, "Date: Wed, 4 Feb 2026 07:00:00 +0100\n", 37), 0);
    has(text, "\nFrom: \"Clawback\" <clawback@example.org>\n");
    has(text, "\nTo: owner@example.org\n");
    has(text, "\nSubject: clawback on web1: CRITICAL\n");
    has(text, "\nMessage-ID: <1770184800000.");
    has(text, "@example.org>\n");
    has(text, "\nMIME-Version: 1.0\n");
    has(text, "\nContent-Type: text/plain; charset=UTF-8\n");
    has(text, "\nContent-Transfer-Encoding: quoted-printable\n");
    has(text, "\nAuto-Submitted: auto-generated\n");
    has(text, "\n\nIt failed.\n");
}

static void test_mail__no_line_of_others_becomes_a_header(void **state)
{
    (void)state;
    strlist_add(&to, "x@y\nBcc: <all@example.org>");
    const char *text = compose("one\r\nBcc: a@b\r\n\r\nbody", "x\n");
    assert_null(strstr(text, "\nBcc"));
    has(text, "\nSubject: one  Bcc: a@b    body\n");
}

static void test_mail__folds_a_long_subject(void **state)
{
    (void)state;
    char subject[400] = "";
    for (int i = 0; i < 50; i++)
        snprintf(subject + strlen(subject), sizeof subject - strlen(subject), "%s", i == 0 ? "word" : " word");
    has(compose(subject, "x\n"), "\n word word");
}

static void decode_words(const char *text, struct buf *out)
{
    for (const char *p = text; (p = strstr(p, "=?UTF-8?B?")) != NULL;) {
        p += 10;
        size_t len = strcspn(p, "?");
        struct buf part;
        buf_init(&part, 1000);
        assert_int_equal(base64_decode(p, len, &part), 0);
        assert_true(part.len == 0 || (part.data[0] & 0xc0) != 0x80); /* begins with a whole character */
        buf_append(out, part.data, part.len);
        buf_release(&part);
    }
}

static void test_mail__encodes_subjects_in_other_alphabets(void **state)
{
    (void)state;
    static const char SUBJECT[] = "Sicherung läuft über: 备份失败了，因为磁盘已满 – und noch viel mehr Text, damit es "
                                  "lang wird 🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀🦀";
    struct buf out;
    buf_init(&out, 4096);
    decode_words(compose(SUBJECT, "x\n"), &out);
    assert_string_equal(buf_cstr(&out), SUBJECT);
    buf_clear(&out);
    decode_words(compose("=?UTF-8?Q?not_mine?=", "x\n"), &out);
    assert_string_equal(buf_cstr(&out), "=?UTF-8?Q?not_mine?=");
    buf_release(&out);
}

static void test_mail__encodes_the_body(void **state)
{
    (void)state;
    char line[301];
    memset(line, 'a', 300);
    line[300] = '\0';
    has(compose("s", "ü=1\ntrailing \n\ttab\t\nend"), "\n\n=C3=BC=3D1\ntrailing=20\n\ttab=09\nend\n");
    has(compose("s", line), "aaa=\naaa");
}

static void test_mail__writes_names(void **state)
{
    (void)state;
    strlist_add(&to, "\"Ann, \\B\" <ann@example.org>");
    strlist_add(&to, "Jürgen <j@example.org>");
    strlist_add(&to, "<bare@example.org>");
    strlist_add(&to, " plain@example.org ");
    const char *text = compose("s", "x\n");
    has(text, "\nTo: owner@example.org,\n \"Ann, B\" <ann@example.org>,\n =?UTF-8?B?SsO8cmdlbg==?= <j@example.org>,\n"
              " <bare@example.org>,\n plain@example.org\n");
    static const char *const CASES[][2] = {
        {"a@b", "a@b"}, {"N <a@b>", "a@b"}, {" a@b ", "a@b"}, {"<a@b>", "a@b"}, {"", ""}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char *address = mail_address(CASES[i][0]);
        assert_string_equal(address, CASES[i][1]);
        free(address);
    }
}

static void test_mail__is_marked_when_urgent(void **state)
{
    (void)state;
    struct buf out;
    struct mail m = {.from = "nobody", .to = &to, .subject = "s", .body = "", .urgent = true};
    buf_init(&out, 4096);
    mail_compose(&m, &out);
    has(buf_cstr(&out), "\nImportance: high\n");
    has(buf_cstr(&out), "@localhost>\n");
    buf_release(&out);
    assert_null(strstr(compose("s", "x"), "Importance"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_mail__has_the_headers_it_needs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mail__no_line_of_others_becomes_a_header, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mail__folds_a_long_subject, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mail__encodes_subjects_in_other_alphabets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mail__encodes_the_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mail__writes_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mail__is_marked_when_urgent, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
