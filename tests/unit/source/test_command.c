#include "source/command.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/interrupt.h"

static struct sink_content *shell(const char *script)
{
    char program[] = "/bin/sh", option[] = "-c", *copy = mem_strdup(script);
    struct sink_content *content = command_content_new((char *[]){program, option, copy, NULL}, 0);
    free(copy); /* it keeps its own */
    return content;
}

/* A pipe's reading end, with this in it and nobody writing. */
static int pipe_with(const char *text)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[1]);
    return ends[0];
}

static struct sink_stream open_content(struct sink_content *content)
{
    struct err err = {0};
    struct node node = {0};
    struct sink_stream s = {0};
    if (content->open(content->ctx, 1, &node, &s, &err) != 0)
        fail_msg("%s", err.message);
    assert_null(s.hole);
    assert_null(s.skip);
    return s;
}

/* Reads all in steps of this size, as a sink does, and asks for the verdict. Returns the code of what went wrong. */
static enum err_code read_through(struct sink_stream *s, size_t step, struct buf *out, struct node *node)
{
    struct err err = {0};
    int64_t n;
    char *room = mem_alloc(step);
    while ((n = s->read(s->state, room, step, &err)) > 0)
        buf_append(out, room, (size_t)n);
    free(room);
    if (n < 0) {
        assert_int_not_equal(err.code, ERR_NONE);
        assert_int_not_equal(err.code, ERR_NOT_FOUND);
        assert_true(err.message[0] != '\0');
        assert_int_equal(s->finish(s->state, node, NULL), SINK_FINISH_ERROR);
        return err.code;
    }
    assert_int_equal(s->read(s->state, &n, sizeof n, &err), 0); /* still the end */
    assert_int_equal(s->finish(s->state, node, &err), SINK_FINISH_OK);
    return ERR_NONE;
}

static void assert_content(struct sink_content *content, size_t step, const char *expected, enum sink_cut cut)
{
    struct sink_stream s = open_content(content);
    struct node node = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(s.cut, cut);
    assert_int_equal(read_through(&s, step, &b, &node), ERR_NONE);
    assert_string_equal(buf_cstr(&b), expected);
    assert_int_equal(node.size, strlen(expected));
    s.close(s.state);
    buf_release(&b);
}

static enum err_code failure_of(const char *script, size_t step)
{
    struct sink_content *content = shell(script);
    struct sink_stream s = open_content(content);
    struct node node = {0};
    struct buf b;
    buf_init(&b, 1 << 20);
    enum err_code code = read_through(&s, step, &b, &node);
    s.close(s.state);
    content->release(content->ctx);
    buf_release(&b);
    return code;
}

/* ---------------------------------------------------------------------------------------------------------- a command
 */

static void test_command__output_is_the_content(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 3, 5, 10, 4096};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct sink_content *content = shell("printf 01234; printf 56789");
        assert_true(content->always);
        assert_content(content, steps[i], "0123456789", SINK_CUT_SCATTERED);
        content->release(content->ctx);
    }
}

static void test_command__empty_output_is_content_too(void **state)
{
    (void)state;
    struct sink_content *content = shell("exit 0");
    assert_content(content, 100, "", SINK_CUT_SCATTERED);
    content->release(content->ctx);
}

static void test_command__can_be_run_again(void **state)
{
    (void)state;
    struct sink_content *content = shell("echo again");
    assert_content(content, 100, "again\n", SINK_CUT_SCATTERED);
    assert_content(content, 100, "again\n", SINK_CUT_SCATTERED);
    content->release(content->ctx);
}

static void test_command__failure_is_an_error_whatever_it_wrote(void **state)
{
    (void)state;
    static const char *const scripts[] = {"exit 1", "printf 0123456789; exit 3",
                                          "printf 0123456789; exec >&-; sleep 0.2; exit 1",
                                          "printf 0123456789; kill -9 $$", "exec no-such-program"};
    static const size_t steps[] = {1, 5, 10, 100};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
        for (size_t j = 0; j < sizeof steps / sizeof steps[0]; j++)
            assert_int_equal(failure_of(scripts[i], steps[j]), ERR_FAILED);
}

static void test_command__failure_is_explained(void **state)
{
    (void)state;
    struct sink_content *content = shell("echo 'database is gone' >&2; exit 2");
    struct sink_stream s = open_content(content);
    struct err err = {0};
    char byte;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(s.read(s.state, &byte, 1, &err), -1);
        assert_string_equal(err.message, "command '/bin/sh' exited with status 2: database is gone");
    }
    s.close(s.state);
    content->release(content->ctx);
}

/* "Not found" would tell the sink that the file vanished, which it forgives. */
static void test_command__missing_program_is_not_forgiven(void **state)
{
    (void)state;
    char program[] = "/no/such/program";
    struct sink_content *content = command_content_new((char *[]){program, NULL}, 0);
    struct sink_stream s;
    struct node node = {0};
    struct err err = {0};
    assert_int_equal(content->open(content->ctx, 1, &node, &s, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    assert_string_equal(err.message, "cannot start '/no/such/program': No such file or directory");
    assert_int_equal(content->open(content->ctx, 1, &node, &s, NULL), -1);
    content->release(content->ctx);
}

static void test_command__may_take_no_longer_than_told(void **state)
{
    (void)state;
    char program[] = "sleep", seconds[] = "30";
    struct sink_content *content = command_content_new((char *[]){program, seconds, NULL}, 100);
    struct sink_stream s = open_content(content);
    struct node node = {0};
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(read_through(&s, 100, &b, &node), ERR_TIMEOUT);
    s.close(s.state);
    content->release(content->ctx);
    buf_release(&b);
}

static void test_command__half_read_is_no_success(void **state)
{
    (void)state;
    struct sink_content *content = shell("exec cat /dev/zero");
    struct sink_stream s = open_content(content);
    struct node node = {0};
    struct err err = {0};
    char bytes[10];
    uint64_t start = os_monotonic_ns();
    assert_int_equal(s.read(s.state, bytes, 10, &err), 10);
    assert_int_equal(s.finish(s.state, &node, &err), SINK_FINISH_ERROR);
    assert_int_equal(err.code, ERR_FAILED);
    s.close(s.state); /* and the command is stopped */
    assert_in_range(os_monotonic_ns() - start, 0, UINT64_C(5000000000));
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    content->release(content->ctx);
}

static void test_command__unopened_content_is_released(void **state)
{
    (void)state;
    struct sink_content *content = shell("echo never");
    content->release(content->ctx);
    content = command_content_stdin(STDIN_FILENO);
    content->release(content->ctx);
}

/* ------------------------------------------------------------------------------------------------------ standard input
 */

static void test_stdin__is_the_content(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 3, 5, 10, 4096};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int fd = pipe_with("0123456789");
        struct sink_content *content = command_content_stdin(fd);
        assert_true(content->always);
        assert_content(content, steps[i], "0123456789", SINK_CUT_FORMAT);
        content->release(content->ctx);
        assert_true(fcntl(fd, F_GETFD) >= 0); /* still the caller's */
        close(fd);
    }
}

static void test_stdin__may_be_a_file(void **state)
{
    (void)state;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct sink_content *content = command_content_stdin(fd);
    assert_content(content, 100, "", SINK_CUT_FORMAT);
    content->release(content->ctx);
    close(fd);
}

static void test_stdin__waits_for_what_comes_late(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        os_sleep_ms(300);
        _exit(write(ends[1], "late", 4) == 4 ? 0 : 1);
    }
    close(ends[1]);
    struct sink_content *content = command_content_stdin(ends[0]);
    assert_content(content, 100, "late", SINK_CUT_FORMAT);
    content->release(content->ctx);
    close(ends[0]);
    waitpid(pid, NULL, 0);
}

static void test_stdin__can_be_opened_once(void **state)
{
    (void)state;
    int fd = pipe_with("once");
    struct sink_content *content = command_content_stdin(fd);
    struct sink_stream s;
    struct node node = {0};
    struct err err = {0};
    assert_content(content, 100, "once", SINK_CUT_FORMAT);
    assert_int_equal(content->open(content->ctx, 2, &node, &s, &err), -1);
    assert_int_equal(err.code, ERR_FAILED);
    content->release(content->ctx);
    close(fd);
}

static void test_stdin__read_errors_are_errors(void **state)
{
    (void)state;
    int unreadable[] = {open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC), 9999}; /* EISDIR; EBADF */
    for (size_t i = 0; i < 2; i++) {
        struct sink_content *content = command_content_stdin(unreadable[i]);
        struct sink_stream s = open_content(content);
        struct node node = {0};
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(read_through(&s, 10, &b, &node), i == 0 ? ERR_FAILED : ERR_IO);
        s.close(s.state);
        content->release(content->ctx);
        buf_release(&b);
    }
    close(unreadable[0]);
}

static void test_stdin__half_read_is_no_success(void **state)
{
    (void)state;
    int fd = pipe_with("0123456789");
    struct sink_content *content = command_content_stdin(fd);
    struct sink_stream s = open_content(content);
    struct node node = {0};
    struct err err = {0};
    char bytes[10];
    assert_int_equal(s.read(s.state, bytes, 10, &err), 10); /* the end was not seen */
    assert_int_equal(s.finish(s.state, &node, &err), SINK_FINISH_ERROR);
    assert_int_equal(err.code, ERR_FAILED);
    s.close(s.state);
    content->release(content->ctx);
    close(fd);
}

/* In a process of its own, since nothing takes an interrupt back. */
static void test_stdin__interrupt_ends_the_wait(void **state)
{
    (void)state;
    int status, ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct err err = {0};
        struct sink_content *content = command_content_stdin(ends[0]);
        struct sink_stream s = open_content(content);
        char byte;
        os_interrupt_install();
        raise(SIGINT);
        int64_t n = s.read(s.state, &byte, 1, &err);
        _exit(n == -1 && err.code == ERR_INTERRUPTED ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command__output_is_the_content),
        cmocka_unit_test(test_command__empty_output_is_content_too),
        cmocka_unit_test(test_command__can_be_run_again),
        cmocka_unit_test(test_command__failure_is_an_error_whatever_it_wrote),
        cmocka_unit_test(test_command__failure_is_explained),
        cmocka_unit_test(test_command__missing_program_is_not_forgiven),
        cmocka_unit_test(test_command__may_take_no_longer_than_told),
        cmocka_unit_test(test_command__half_read_is_no_success),
        cmocka_unit_test(test_command__unopened_content_is_released),
        cmocka_unit_test(test_stdin__is_the_content),
        cmocka_unit_test(test_stdin__may_be_a_file),
        cmocka_unit_test(test_stdin__waits_for_what_comes_late),
        cmocka_unit_test(test_stdin__can_be_opened_once),
        cmocka_unit_test(test_stdin__read_errors_are_errors),
        cmocka_unit_test(test_stdin__half_read_is_no_success),
        cmocka_unit_test(test_stdin__interrupt_ends_the_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
