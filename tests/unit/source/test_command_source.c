#include "source/command_source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "source/collecting_sink.h"

static struct source *shell(const char *name, const char *script, uint64_t timeout_ms)
{
    struct strlist argv = {0};
    struct source *s;
    struct err err = {0};
    strlist_add(&argv, "/bin/sh");
    strlist_add(&argv, "-c");
    strlist_add(&argv, script);
    if (command_source_new(&s, name, &argv, timeout_ms, &err) != 0)
        fail_msg("%s", err.message);
    strlist_release(&argv); /* it keeps its own */
    return s;
}

static void push(struct source *s, struct collector *c)
{
    struct err err = {0};
    assert_true(s->strict);
    assert_int_equal(source_push(s, &c->sink, &c->reporter, &err), 0);
    assert_int_equal(c->depth, 0);
    assert_int_equal(c->count, 1);
    source_free(s);
}

static void test_command_source__keeps_what_a_program_writes(void **state)
{
    (void)state;
    struct collector c;
    collector_init(&c, 3);
    struct source *s = shell("list of packages", "printf abcdef; cat", 0);
    assert_int_equal(s->paths.count, 1);
    assert_string_equal(s->paths.items[0], "/command/list of packages");
    push(s, &c);
    assert_string_equal(c.files[0].path, "/command/list of packages");
    assert_int_equal(c.files[0].err.code, ERR_NONE);
    assert_int_equal(c.files[0].cut, SINK_CUT_SCATTERED);
    assert_string_equal(buf_cstr(&c.files[0].bytes), "abcdef");
    collector_release(&c);
}

static void test_command_source__names_become_names_of_files(void **state)
{
    (void)state;
    struct source *s = shell("../a/b", "true", 0);
    assert_string_equal(s->paths.items[0], "/command/.._a_b");
    source_free(s);
}

static void assert_failure(const char *script, uint64_t timeout_ms, enum err_code code, const char *word)
{
    static const size_t steps[] = {1, 4, 1000};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct collector c;
        collector_init(&c, steps[i]);
        push(shell("x", script, timeout_ms), &c);
        assert_int_equal(c.files[0].err.code, code);
        if (strstr(c.files[0].err.message, word) == NULL)
            fail_msg("'%s' is not in '%s'", word, c.files[0].err.message);
        collector_release(&c);
    }
}

static void test_command_source__its_failure_is_an_error(void **state)
{
    (void)state;
    assert_failure("echo abc; echo oh dear >&2; exit 3", 0, ERR_FAILED, "status 3: oh dear");
    assert_failure("echo abc; kill -9 $$", 0, ERR_FAILED, "signal 9");
}

static void test_command_source__empty_output_is_an_error(void **state)
{
    (void)state;
    assert_failure("true", 0, ERR_FAILED, "wrote nothing");
    assert_failure("exit 1", 0, ERR_FAILED, "status 1");
}

static void test_command_source__is_bounded_in_time(void **state)
{
    (void)state;
    assert_failure("echo abc; sleep 100", 200, ERR_TIMEOUT, "took too long");
}

static void test_command_source__refuses_to_have_no_name_or_command(void **state)
{
    (void)state;
    struct strlist none = {0}, empty = {0}, fine = {0};
    struct source *s;
    struct err err = {0};
    strlist_add(&empty, "");
    strlist_add(&fine, "true");
    assert_int_equal(command_source_new(&s, "x", &none, 0, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(command_source_new(&s, "x", &empty, 0, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(command_source_new(&s, "", &fine, 0, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(command_source_new(&s, NULL, &fine, 0, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    strlist_release(&empty);
    strlist_release(&fine);
}

static void test_command_source__a_missing_program_is_an_error(void **state)
{
    (void)state;
    struct strlist argv = {0};
    struct source *s;
    struct collector c;
    strlist_add(&argv, "/nonexistent/program");
    collector_init(&c, 100);
    assert_int_equal(command_source_new(&s, "x", &argv, 0, NULL), 0);
    push(s, &c);
    assert_int_equal(c.files[0].err.code, ERR_FAILED); /* NOT_FOUND would mean to a sink that a file vanished */
    strlist_release(&argv);
    collector_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_source__keeps_what_a_program_writes),
        cmocka_unit_test(test_command_source__names_become_names_of_files),
        cmocka_unit_test(test_command_source__its_failure_is_an_error),
        cmocka_unit_test(test_command_source__empty_output_is_an_error),
        cmocka_unit_test(test_command_source__is_bounded_in_time),
        cmocka_unit_test(test_command_source__refuses_to_have_no_name_or_command),
        cmocka_unit_test(test_command_source__a_missing_program_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
