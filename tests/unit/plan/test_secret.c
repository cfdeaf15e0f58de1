#include "plan/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "os/file.h"
#include "store/scratch.h"

static char *dir;

static char *write_secret(const char *name, const void *p, size_t len, mode_t mode)
{
    char *path = os_path_join(dir, name);
    assert_int_equal(os_write_file_atomic(path, p, len, mode, NULL), 0);
    return path;
}

static struct secret of_file(const char *path)
{
    return (struct secret){.kind = SECRET_FILE, .name = path};
}

static struct secret of_shell(const char *line)
{
    struct secret s = {.kind = SECRET_COMMAND};
    strlist_add(&s.command, "/bin/sh");
    strlist_add(&s.command, "-c");
    strlist_add(&s.command, line);
    return s;
}

/* Releases the command. */
static void expect(struct secret s, const char *expected)
{
    char *found;
    struct err err = {0};
    if (secret_fetch(&s, &found, &err) != 0)
        fail_msg("%s", err.message);
    assert_string_equal(found, expected);
    free(found);
    strlist_release(&s.command);
}

static void expect_error(struct secret s, enum err_code code, const char *part)
{
    char *found = (char *)1;
    struct err err = {0};
    assert_int_equal(secret_fetch(&s, &found, &err), -1);
    assert_null(found);
    if (err.code != code || strstr(err.message, part) == NULL)
        fail_msg("%d: %s", err.code, err.message);
    strlist_release(&s.command);
}

static void test_secret__a_file_without_the_blanks_around_it(void **state)
{
    (void)state;
    char *path = write_secret("a", " hush now\r\n\n", 12, 0600);
    expect(of_file(path), "hush now");
    free(path);
    path = write_secret("marked", "\xEF\xBB\xBFhush\r\n", 9, 0600);
    expect(of_file(path), "hush");
    free(path);
}

static void test_secret__a_file_must_hold_one_line(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        const char *part;
    } BAD[] = {
        {"", 0, "is empty"}, {" \n", 2, "is empty"}, {"a\nb\n", 4, "more than one line"}, {"a\0b", 3, "a NUL byte"}};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        char *path = write_secret("b", BAD[i].bytes, BAD[i].len, 0600);
        expect_error(of_file(path), ERR_USAGE, BAD[i].part);
        expect_error(of_file(path), ERR_USAGE, path);
        free(path);
    }
    expect_error(of_file("/nowhere/at/all"), ERR_NOT_FOUND, "/nowhere/at/all");
    char *huge = mem_zalloc(SECRET_MAX_BYTES + 1), *path = write_secret("c", huge, SECRET_MAX_BYTES + 1, 0600);
    expect_error(of_file(path), ERR_UNSUPPORTED, "larger than");
    free(huge);
    free(path);
}

static void test_secret__a_command_says_it(void **state)
{
    (void)state;
    expect(of_shell("echo hush"), "hush");
    expect_error(of_shell("echo oh dear >&2; exit 3"), ERR_FAILED, "exited with status 3: oh dear");
    expect_error(of_shell("true"), ERR_USAGE, "the secret from command '/bin/sh' is empty");
    expect_error(of_shell("echo a; echo b"), ERR_USAGE, "more than one line");
    struct secret missing = {.kind = SECRET_COMMAND};
    strlist_add(&missing.command, "/no/such/program");
    expect_error(missing, ERR_NOT_FOUND, "cannot start '/no/such/program'");
}

static void test_secret__where_nobody_sits_a_command_has_its_time_and_no_more(void **state)
{
    (void)state;
    char *found = NULL;
    struct err err = {0};
    struct secret s = of_shell("echo ' hush '");
    assert_int_equal(secret_fetch_within(&s, 5000, &found, &err), 0);
    assert_string_equal(found, "hush");
    free(found);
    strlist_release(&s.command);
    s = of_shell("sleep 30");
    assert_int_equal(secret_fetch_within(&s, 200, &found, &err), -1);
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_null(found);
    strlist_release(&s.command);
    s = of_shell("echo a; echo b");
    assert_int_equal(secret_fetch_within(&s, 5000, &found, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    strlist_release(&s.command);
}

static void test_secret__an_attended_command_may_say_more(void **state)
{
    (void)state;
    char *found;
    struct secret s = of_shell("echo a; echo b");
    assert_int_equal(secret_from_command(&s.command, true, &found, NULL), 0);
    assert_string_equal(found, "a\nb");
    free(found);
    strlist_release(&s.command);
}

static void test_secret__a_variable_is_taken_as_it_is(void **state)
{
    (void)state;
    struct secret s = {.kind = SECRET_ENV, .name = "CLAWBACK_TEST_SECRET"};
    unsetenv(s.name);
    expect_error(s, ERR_NOT_FOUND, "variable 'CLAWBACK_TEST_SECRET' is not set");
    setenv(s.name, "", 1);
    expect_error(s, ERR_USAGE, "is empty");
    setenv(s.name, " hush ", 1);
    expect(s, " hush ");
    setenv(s.name, "a\nb", 1);
    expect_error(s, ERR_USAGE, "more than one line");
    unsetenv(s.name);
}

static void test_secret__systemd_keeps_credentials(void **state)
{
    (void)state;
    struct secret s = {.kind = SECRET_CREDENTIAL, .name = "token"};
    unsetenv("CREDENTIALS_DIRECTORY");
    expect_error(s, ERR_NOT_FOUND, "no credential 'token'");
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    expect_error(s, ERR_NOT_FOUND, "token");
    free(write_secret("token", "hush\n", 5, 0400));
    expect(s, "hush");
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_secret__none_is_a_mistake(void **state)
{
    (void)state;
    expect_error((struct secret){.kind = SECRET_NONE}, ERR_USAGE, "nothing says where");
}

static void expect_description(struct secret s, const char *expected)
{
    char text[64];
    secret_describe(&s, text, sizeof text);
    assert_string_equal(text, expected);
    strlist_release(&s.command);
}

static void test_secret__is_described_without_being_told(void **state)
{
    (void)state;
    expect_description((struct secret){.kind = SECRET_NONE}, "nowhere");
    expect_description(of_file("/x"), "file '/x'");
    expect_description(of_shell("echo hush"), "command '/bin/sh'");
    expect_description((struct secret){.kind = SECRET_ENV, .name = "N"}, "variable 'N'");
    expect_description((struct secret){.kind = SECRET_CREDENTIAL, .name = "N"}, "credential 'N'");
}

static void test_secret__sees_files_that_others_can_read(void **state)
{
    (void)state;
    char *path = write_secret("d", "x", 1, 0600);
    assert_false(secret_file_exposed(path));
    chmod(path, 0640);
    assert_true(secret_file_exposed(path));
    chmod(path, 0602);
    assert_true(secret_file_exposed(path));
    assert_false(secret_file_exposed("/no/such"));
    assert_false(secret_file_exposed("/dev/null")); /* no file: nothing to protect */
    free(path);
}

static int set_up(void **state)
{
    (void)state;
    dir = scratch_make();
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
        cmocka_unit_test(test_secret__a_file_without_the_blanks_around_it),
        cmocka_unit_test(test_secret__a_file_must_hold_one_line),
        cmocka_unit_test(test_secret__a_command_says_it),
        cmocka_unit_test(test_secret__where_nobody_sits_a_command_has_its_time_and_no_more),
        cmocka_unit_test(test_secret__an_attended_command_may_say_more),
        cmocka_unit_test(test_secret__a_variable_is_taken_as_it_is),
        cmocka_unit_test(test_secret__systemd_keeps_credentials),
        cmocka_unit_test(test_secret__none_is_a_mistake),
        cmocka_unit_test(test_secret__is_described_without_being_told),
        cmocka_unit_test(test_secret__sees_files_that_others_can_read),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
