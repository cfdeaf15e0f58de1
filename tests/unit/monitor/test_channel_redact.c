/* Servers quote what they were asked: whatever they make of a secret, it is not shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "monitor/channel_kinds.h"

/* What becomes of a text that a server said. */
static void expect(const char *user, const char *token, const char *url, const char *said, const char *shown)
{
    struct plan_channel c = {.user = user};
    struct delivery d = {
        .channel = &c, .token = token != NULL ? mem_strdup(token) : NULL, .url = url != NULL ? mem_strdup(url) : NULL};
    char *text = mem_strdup(said);
    channel_redact(&d, text);
    assert_string_equal(text, shown);
    free(text);
    free(d.token);
    free(d.url);
}

static void test_redact__tokens_as_they_are(void **state)
{
    (void)state;
    expect(NULL, "hush-hush", NULL, "bad token hush-hush, hush-hush!", "bad token *********, *********!");
    expect(NULL, "pw1", NULL, "not pw1", "not ***");
    expect(NULL, "ab", NULL, "a cab", "a cab"); /* where all its places were blotted it could be guessed */
    expect(NULL, "", NULL, "all", "all");
    expect(NULL, NULL, NULL, "all", "all");
}

static void test_redact__tokens_in_base64(void **state)
{
    (void)state;
    /* base64 of "opensesame", of NUL me NUL opensesame */
    expect("me", "opensesame", NULL, "535 no: b3BlbnNlc2FtZQ==", "535 no: **************==");
    expect("me", "opensesame", NULL, "500 AUTH PLAIN AG1lAG9wZW5zZXNhbWU=?", "500 AUTH PLAIN *******************=?");
}

static void test_redact__tokens_with_escapes(void **state)
{
    (void)state;
    expect(NULL, "p w/ü", NULL, "bad p%20w%2F%C3%BC", "bad **************");
    expect(NULL, "p w/ü", NULL, "bad p%20w%2f%c3%bc", "bad **************");
    expect(NULL, "12345:ABCDEFG", NULL, "no /bot12345:ABCDEFG/x", "no /bot*************/x");
    expect(NULL, "12345:ABCDEFG", NULL, "no /bot12345%3AABCDEFG/x", "no /bot***************/x");
    expect(NULL, "12345:ABCDEFG", NULL, "no 12345&colon;ABCDEFG", "no 12345&colon;*******");
}

static void test_redact__a_text_that_was_cut_within_the_secret(void **state)
{
    (void)state;
    expect(NULL, "abcdefghijkl", NULL, "refused: abcdefgh", "refused: ********");
    expect(NULL, "abcdefghijkl", NULL, "refused: abcde", "refused: abcde");
    expect(NULL, "abcdefghijkl", NULL, "abcdefghijk", "***********");
}

static void test_redact__addresses(void **state)
{
    (void)state;
    expect(NULL, NULL, "https://h.example/hook/SECRETPART?key=ANOTHER1#x", "no SECRETPART or ANOTHER1 at h.example",
           "no ********** or ******** at h.example");
    expect(NULL, NULL, "https://me:pass1@h.example/", "me:pass1@h.example pass1", "********@h.example *****");
    expect(NULL, NULL, "https://h.example", "h.example", "h.example");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redact__tokens_as_they_are),
        cmocka_unit_test(test_redact__tokens_in_base64),
        cmocka_unit_test(test_redact__tokens_with_escapes),
        cmocka_unit_test(test_redact__a_text_that_was_cut_within_the_secret),
        cmocka_unit_test(test_redact__addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
