#include "monitor/jsonl.h"

#include "state_box.h"
#include <sys/resource.h>
#include <sys/wait.h>

static const struct jsonl_limits LIMITS = {.max_bytes = 1000, .kept_lines = 5, .read_bytes = 2000};

static int append(const char *name, const char *line, struct err *err)
{
    char *path = box_path(name);
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_append_str(&b, line);
    int rc = jsonl_append(path, &b, &LIMITS, err);
    buf_release(&b);
    free(path);
    return rc;
}

static char *tail(const char *name, size_t lines, const struct jsonl_limits *limits)
{
    char *path = box_path(name);
    struct buf b;
    struct err err = {0};
    buf_init(&b, 1 << 20);
    if (jsonl_read_tail(path, lines, limits, &b, &err) != 0)
        fail_msg("%s", err.message);
    char *out = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    free(path);
    return out;
}

static void check_tail(const char *name, size_t lines, const char *expected)
{
    char *text = tail(name, lines, &LIMITS);
    assert_string_equal(text, expected);
    free(text);
}

static void test_jsonl__appends_and_gives_the_last_lines(void **state)
{
    (void)state;
    struct err err = {0};
    check_tail("log", 10, "");
    assert_int_equal(append("log", "{\"n\":1}\n", &err), 0);
    assert_int_equal(append("log", "{\"n\":2}\n", &err), 0);
    assert_int_equal(append("log", "{\"n\":3}\n", &err), 0);
    check_tail("log", 10, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    check_tail("log", 2, "{\"n\":2}\n{\"n\":3}\n");
    check_tail("log", 0, "");
    assert_int_equal(scratch_mode(scratch_dir, "log"), 0600);
}

static void test_jsonl__ends_a_torn_line(void **state)
{
    (void)state;
    scratch_write(scratch_dir, "log", "one\ntor", 7);
    check_tail("log", 1, "tor");
    assert_int_equal(append("log", "two\n", NULL), 0);
    check_tail("log", 10, "one\ntor\ntwo\n");
}

static void test_jsonl__is_cut_to_its_last_lines(void **state)
{
    (void)state;
    char line[200];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 12; i++) {
        snprintf(line, sizeof line, "%0120d\n", i);
        assert_int_equal(append("log", line, NULL), 0);
    }
    struct jsonl_limits all = {.max_bytes = 1 << 20, .kept_lines = 100, .read_bytes = 1 << 20};
    char *text = tail("log", 100, &all);
    size_t lines = 0;
    for (const char *p = text; *p != '\0'; p++)
        lines += *p == '\n';
    assert_true(lines >= 5 && lines <= 9);
    assert_non_null(strstr(text, "0011\n"));
    assert_null(strstr(text, "0001\n"));
    free(text);
}

static ino_t inode_of(const char *name)
{
    struct stat st;
    char *path = box_path(name);
    assert_int_equal(stat(path, &st), 0);
    free(path);
    return st.st_ino;
}

/* Five lines pass the limit by themselves. */
static void test_jsonl__of_long_lines_keeps_fewer_and_is_cut_seldom(void **state)
{
    (void)state;
    char line[400];
    unsigned cuts = 0;
    for (int i = 0; i < 30; i++) {
        ino_t before = i > 0 ? inode_of("log") : 0;
        snprintf(line, sizeof line, "%0*d\n", i == 29 ? 350 : 199, i);
        assert_int_equal(append("log", line, NULL), 0);
        cuts += i > 0 && inode_of("log") != before;
    }
    assert_true(cuts > 0 && cuts <= 15);
    struct jsonl_limits all = {.max_bytes = 1 << 20, .kept_lines = 100, .read_bytes = 1 << 20};
    char *text = tail("log", 100, &all);
    assert_true(strlen(text) <= 1000 && strlen(text) >= 550);
    assert_int_equal(strspn(text, "0"), strcspn(text, "123456789")); /* it begins with a whole line */
    assert_non_null(strstr(text, "0028\n"));
    assert_non_null(strstr(text, "0029\n"));
    free(text);
}

static void test_jsonl__keeps_the_newest_line_however_long(void **state)
{
    (void)state;
    char line[3000];
    for (int i = 0; i < 3; i++) {
        snprintf(line, sizeof line, "%0900d\n", i);
        assert_int_equal(append("log", line, NULL), 0);
    }
    check_tail("log", 10, line);
    snprintf(line, sizeof line, "%02500d\n", 7); /* more than is ever read at once */
    assert_int_equal(append("log", line, NULL), 0);
    struct jsonl_limits all = {.max_bytes = 1 << 20, .kept_lines = 100, .read_bytes = 1 << 20};
    char *text = tail("log", 1, &all);
    assert_string_equal(text, line);
    free(text);
}

static void test_jsonl__reads_the_end_of_one_that_somebody_let_grow(void **state)
{
    (void)state;
    char *big = mem_alloc(50000);
    for (int i = 0; i < 5000; i++)
        memcpy(big + 10 * i, "123456789\n", 10);
    scratch_write(scratch_dir, "log", big, 50000);
    char *text = tail("log", 100000, &LIMITS);
    assert_true(strlen(text) <= 2000 && strlen(text) >= 1980);
    assert_int_equal(text[0], '1');
    free(text);
    free(big);
}

static void test_jsonl__refuses_what_is_no_file(void **state)
{
    (void)state;
    struct err err = {0};
    char *dir = box_path("dir"), *pipe = box_path("pipe"), *link = box_path("link");
    mkdir(dir, 0700);
    mkfifo(pipe, 0600);
    symlink("log", link);
    assert_int_equal(append("dir", "x\n", &err), -1);
    assert_int_equal(append("pipe", "x\n", &err), -1);
    assert_int_equal(append("link", "x\n", &err), -1);
    assert_int_equal(append("none/log", "x\n", &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(jsonl_read_tail(dir, 5, &LIMITS, &b, &err), -1);
    buf_release(&b);
    free(dir);
    free(pipe);
    free(link);
}

static void test_jsonl__of_a_full_disk_nothing_half_stays(void **state)
{
    (void)state;
    append("log", "one\n", NULL);
    pid_t child = fork();
    if (child == 0) {
        struct rlimit few = {.rlim_cur = 8, .rlim_max = 8};
        struct err err = {0};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &few);
        _exit(append("log", "two and more\n", &err) == -1 && err.code != ERR_NONE ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_tail("log", 10, "one\n");
}

static void test_jsonl__lines_of_several_never_mix(void **state)
{
    (void)state;
    pid_t children[4];
    for (int i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0) {
            char line[40];
            snprintf(line, sizeof line, "%020d\n", i);
            for (int k = 0; k < 100; k++)
                if (append("log", line, NULL) != 0)
                    _exit(1);
            _exit(0);
        }
    for (int i = 0; i < 4; i++) {
        int status;
        waitpid(children[i], &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    char *text = tail("log", 1000, &LIMITS);
    assert_int_equal(strlen(text) % 21, 0);
    for (const char *p = text; *p != '\0'; p += 21)
        assert_int_equal(p[20], '\n');
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, box_set_up, box_tear_down)
        TEST(test_jsonl__appends_and_gives_the_last_lines),
        TEST(test_jsonl__ends_a_torn_line),
        TEST(test_jsonl__is_cut_to_its_last_lines),
        TEST(test_jsonl__of_long_lines_keeps_fewer_and_is_cut_seldom),
        TEST(test_jsonl__keeps_the_newest_line_however_long),
        TEST(test_jsonl__reads_the_end_of_one_that_somebody_let_grow),
        TEST(test_jsonl__refuses_what_is_no_file),
        TEST(test_jsonl__of_a_full_disk_nothing_half_stays),
        TEST(test_jsonl__lines_of_several_never_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
