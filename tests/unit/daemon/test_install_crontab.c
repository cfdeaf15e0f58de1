#include "daemon/install_crontab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "run/installed.h"

static const char BLOCK[] = "0 */2 * * * /usr/bin/clawback run\n";

static char *replace(const char *text, const char *block)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    if (crontab_replace(text, strlen(text), block, &out, &err) < 0)
        fail_msg("%s", err.message);
    char *result = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return result;
}

static void test_crontab__gets_our_lines_at_its_end(void **state)
{
    (void)state;
    char *found = replace("MAILTO=me\n5 4 * * * backup\n", BLOCK);
    char *expected =
        mem_printf("MAILTO=me\n5 4 * * * backup\n%s\n%s%s\n", INSTALLED_CRON_BEGIN, BLOCK, INSTALLED_CRON_END);
    assert_string_equal(found, expected);
    free(expected);
    free(found);
}

static void test_crontab__is_the_same_when_our_lines_are_put_twice(void **state)
{
    (void)state;
    char *once = replace("", BLOCK), *twice = replace(once, BLOCK);
    assert_string_equal(once, twice);
    free(once);
    free(twice);
}

static void test_crontab__keeps_every_byte_of_others(void **state)
{
    (void)state;
    /* Texts of random lines and bytes; ours in between; then changed, then removed. */
    uint32_t seed = 42;
    for (int round = 0; round < 300; round++) {
        struct buf before, after;
        buf_init(&before, 1 << 16);
        buf_init(&after, 1 << 16);
        for (int i = 0; i < 200; i++) {
            seed = seed * 1664525 + 1013904223;
            unsigned char c = (unsigned char)(seed >> 24);
            struct buf *to = i < 100 ? &before : &after;
            buf_append_byte(to, c % 7 == 0 ? '\n' : c % 11 == 0 ? '#' : c == 0 ? ' ' : c);
        }
        buf_append_byte(&before, '\n');
        char *text = mem_printf("%s%s\nold line\n%s\n%s", buf_cstr(&before), INSTALLED_CRON_BEGIN, INSTALLED_CRON_END,
                                buf_cstr(&after));
        char *rest = mem_printf("%s%s", buf_cstr(&before), buf_cstr(&after));
        char *expected = mem_printf("%s%s\n%s%s\n%s", buf_cstr(&before), INSTALLED_CRON_BEGIN, BLOCK,
                                    INSTALLED_CRON_END, buf_cstr(&after));
        char *changed = replace(text, BLOCK), *removed = replace(changed, "");
        assert_string_equal(changed, expected);
        assert_string_equal(removed, rest);
        free(text);
        free(rest);
        free(expected);
        free(changed);
        free(removed);
        buf_release(&before);
        buf_release(&after);
    }
}

static void test_crontab__adds_a_missing_line_break_before_our_lines(void **state)
{
    (void)state;
    char *found = replace("1 2 3 4 5 x", BLOCK);
    assert_true(strncmp(found, "1 2 3 4 5 x\n# clawback", 22) == 0);
    free(found);
}

static void test_crontab__loses_our_lines_without_a_line_break_at_the_end(void **state)
{
    (void)state;
    char *text = mem_printf("a\n%s\nx\n%s", INSTALLED_CRON_BEGIN, INSTALLED_CRON_END), *found = replace(text, "");
    assert_string_equal(found, "a\n");
    free(text);
    free(found);
}

static void expect_refused(const char *text)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 16);
    assert_int_equal(crontab_replace(text, strlen(text), BLOCK, &out, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.message, "no pair"));
    assert_non_null(strstr(err.hint, "crontab -e"));
    buf_release(&out);
}

static void test_crontab__is_left_alone_when_its_markers_are_no_pair(void **state)
{
    (void)state;
    char *lone = mem_printf("%s\nx\n", INSTALLED_CRON_BEGIN), *tail = mem_printf("x\n%s\n", INSTALLED_CRON_END);
    char *turned = mem_printf("%s\n%s\n", INSTALLED_CRON_END, INSTALLED_CRON_BEGIN);
    char *pair = mem_printf("%s\n%s\n", INSTALLED_CRON_BEGIN, INSTALLED_CRON_END),
         *two = mem_printf("%s%s", pair, pair);
    expect_refused(lone);
    expect_refused(tail);
    expect_refused(turned);
    expect_refused(two);
    free(lone);
    free(tail);
    free(turned);
    free(pair);
    free(two);
}

static void test_crontab__takes_only_whole_lines_for_markers(void **state)
{
    (void)state;
    char *text = mem_printf("echo '%s'\n", INSTALLED_CRON_BEGIN), *found = replace(text, "");
    assert_string_equal(found, text);
    free(text);
    free(found);
}

static void expect_line(const char *command, bool off, const char *expected)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    crontab_line(&out, "0 3 * * *", command, off);
    assert_string_equal(buf_cstr(&out), expected);
    buf_release(&out);
}

static void test_crontab_line__escapes_what_cron_takes_for_a_line_break(void **state)
{
    (void)state;
    expect_line("date +%F", false, "0 3 * * * date +\\%F\n");
    expect_line("a\nb", false, "0 3 * * * a b\n");
}

static void test_crontab_line__is_a_comment_when_it_is_off(void **state)
{
    (void)state;
    expect_line("x", true, "#off 0 3 * * * x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crontab__gets_our_lines_at_its_end),
        cmocka_unit_test(test_crontab__is_the_same_when_our_lines_are_put_twice),
        cmocka_unit_test(test_crontab__keeps_every_byte_of_others),
        cmocka_unit_test(test_crontab__adds_a_missing_line_break_before_our_lines),
        cmocka_unit_test(test_crontab__loses_our_lines_without_a_line_break_at_the_end),
        cmocka_unit_test(test_crontab__is_left_alone_when_its_markers_are_no_pair),
        cmocka_unit_test(test_crontab__takes_only_whole_lines_for_markers),
        cmocka_unit_test(test_crontab_line__escapes_what_cron_takes_for_a_line_break),
        cmocka_unit_test(test_crontab_line__is_a_comment_when_it_is_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
