/* The log file: lines, levels, rotation, several processes. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/mem.h"
#include "monitor/log.h"
#include "os/file.h"
#include "store/scratch.h"

struct place {
    char *dir, *log;
};

static int set_up(void **state)
{
    struct place *p = mem_zalloc(sizeof *p);
    p->dir = scratch_make();
    p->log = os_path_join(p->dir, "clawback.log");
    unsetenv("CLAWBACK_LOG");
    unsetenv("CLAWBACK_LOG_LEVEL");
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    log_close();
    scratch_remove(p->dir);
    free(p->log);
    free(p);
    return 0;
}

static char *content(const char *path)
{
    struct buf text;
    struct err err = {0};
    buf_init(&text, 64 << 20);
    if (os_read_file(path, &text, &err) != 0)
        fail_msg("%s", err.message);
    char *copy = mem_strdup(buf_cstr(&text));
    buf_release(&text);
    return copy;
}

static size_t count_lines(const char *text)
{
    size_t n = 0;
    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static void test_log__writes_a_line_an_event(void **state)
{
    struct place *p = *state;
    struct stat st;
    log_open(p->dir, "run");
    log_line(LOG_LEVEL_INFO, "config: %d files", 12);
    char *text = content(p->log), *rest = NULL;
    assert_true(strlen(text) > 21 && text[10] == 'T' && text[19] == 'Z');
    rest = mem_printf(" info run[%d]: config: 12 files\n", (int)getpid());
    assert_string_equal(text + 20, rest);
    assert_int_equal(stat(p->log, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    free(text);
    free(rest);
}

static void test_log__keeps_one_line_whatever_is_in_it(void **state)
{
    struct place *p = *state;
    char *big = mem_alloc(100001);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    log_open(p->dir, "run");
    log_line(LOG_LEVEL_ERROR, "a\nb\033[31mc\r");
    log_line(LOG_LEVEL_ERROR, "%s", big);
    char *text = content(p->log);
    assert_int_equal(count_lines(text), 2);
    assert_non_null(strstr(text, ": a b [31mc \n"));
    assert_true(strlen(text) < 5000);
    free(text);
    free(big);
}

static void test_log__leaves_out_what_is_below_its_level(void **state)
{
    struct place *p = *state;
    log_open(p->dir, "run");
    log_line(LOG_LEVEL_DEBUG, "one");
    assert_int_equal(access(p->log, F_OK), -1);
    setenv("CLAWBACK_LOG_LEVEL", "Warning", 1);
    log_open(p->dir, "run");
    log_line(LOG_LEVEL_INFO, "two");
    log_line(LOG_LEVEL_WARNING, "three");
    char *text = content(p->log);
    assert_int_equal(count_lines(text), 1);
    assert_non_null(strstr(text, "three"));
    free(text);
}

static void test_log__goes_where_it_is_told_or_nowhere(void **state)
{
    struct place *p = *state;
    char *other = os_path_join(p->dir, "below/other.log");
    setenv("CLAWBACK_LOG", "none", 1);
    log_open(p->dir, "run");
    log_line(LOG_LEVEL_ERROR, "nothing");
    assert_null(log_path());
    assert_null(log_tail(100));
    setenv("CLAWBACK_LOG", other, 1);
    log_open(p->dir, "run");
    log_line(LOG_LEVEL_ERROR, "there");
    char *text = content(other);
    assert_non_null(strstr(text, "there"));
    assert_int_equal(access(p->log, F_OK), -1);
    free(text);
    free(other);
}

static void test_log__is_turned_over_above_its_size(void **state)
{
    struct place *p = *state;
    char *first = mem_printf("%s.1", p->log), *last = mem_printf("%s.%d", p->log, LOG_FILES_KEPT);
    char *beyond = mem_printf("%s.%d", p->log, LOG_FILES_KEPT + 1);
    log_open(p->dir, "run");
    for (int round = 0; round < LOG_FILES_KEPT + 2; round++) {
        log_line(LOG_LEVEL_INFO, "round %d", round);
        assert_int_equal(truncate(p->log, LOG_FILE_MAX_BYTES + 1), 0);
    }
    log_line(LOG_LEVEL_INFO, "the newest");
    char *text = content(p->log);
    assert_int_equal(count_lines(text), 1);
    assert_int_equal(access(first, F_OK), 0);
    assert_int_equal(access(last, F_OK), 0);
    assert_int_equal(access(beyond, F_OK), -1);
    free(text);
    free(first);
    free(last);
    free(beyond);
}

/* Lines of several processes, over rotations: none lost, none torn. */
static void test_log__loses_no_line_of_many_writers(void **state)
{
    enum { WRITERS = 4, LINES = 500 };
    struct place *p = *state;
    log_open(p->dir, "run");
    log_line(LOG_LEVEL_INFO, "begin");
    assert_int_equal(truncate(p->log, LOG_FILE_MAX_BYTES - 20000), 0);
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) {
            for (int i = 0; i < LINES; i++)
                log_line(LOG_LEVEL_INFO, "writer %d line %d of many", w, i);
            _exit(0);
        }
    for (int w = 0; w < WRITERS; w++)
        wait(NULL);
    char *old = mem_printf("%s.1", p->log), *new_text = content(p->log);
    struct buf old_text;
    buf_init(&old_text, 64 << 20);
    assert_int_equal(os_read_file(old, &old_text, NULL), 0);
    size_t old_lines = 0;
    for (size_t i = 0; i < old_text.len; i++)
        old_lines += old_text.data[i] == '\n';
    assert_int_equal(old_lines + count_lines(new_text), WRITERS * LINES + 1);
    buf_release(&old_text);
    free(new_text);
    free(old);
}

static void test_log_tail__begins_with_a_whole_line(void **state)
{
    struct place *p = *state;
    log_open(p->dir, "run");
    for (int i = 0; i < 20; i++)
        log_line(LOG_LEVEL_INFO, "line %02d", i);
    char *tail = log_tail(120);
    assert_non_null(tail);
    assert_true(strlen(tail) <= 120);
    assert_int_equal(tail[10], 'T');
    assert_non_null(strstr(tail, "line 19\n"));
    assert_null(strstr(tail, "line 10"));
    free(tail);
}

/* A named pipe that nobody reads must not hold up a backup, nor must a directory or a full device. */
static void test_log__is_not_held_up_by_what_is_no_file(void **state)
{
    struct place *p = *state;
    char *pipe = os_path_join(p->dir, "pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    const char *const places[] = {pipe, p->dir, "/dev/full", "/proc/nowhere/log"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        setenv("CLAWBACK_LOG", places[i], 1);
        log_open(p->dir, "run");
        log_line(LOG_LEVEL_ERROR, "nobody hears it");
        free(log_tail(100));
    }
    free(pipe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log__writes_a_line_an_event, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log__keeps_one_line_whatever_is_in_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log__leaves_out_what_is_below_its_level, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log__goes_where_it_is_told_or_nowhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log__is_turned_over_above_its_size, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log__loses_no_line_of_many_writers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log_tail__begins_with_a_whole_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log__is_not_held_up_by_what_is_no_file, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("monitor/log", tests, NULL, NULL);
}
