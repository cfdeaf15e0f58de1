/*
 * What happens on a terminal only: questions with echo off, the live line, colours. A pseudo-terminal plays it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/words.h"
#include "os/interrupt.h"
#include "store/scratch.h"

enum { SCREEN_MAX_BYTES = 1 << 20, PATIENCE_MS = 30000, ARGS_MAX = 20 };

static char *dir;
static struct buf screen; /* all that was shown in the last run */

struct answer {
    const char *question, *text;
};

static void child(const char *line)
{
    struct strlist words = {0};
    struct err err;
    char program[] = "clawback", *argv[ARGS_MAX] = {program};
    if (words_split(line, &words, &err) < 0 || words.count >= ARGS_MAX - 1)
        _exit(99);
    for (size_t i = 0; i < words.count; i++)
        argv[i + 1] = words.items[i];
    os_interrupt_install();
    int status = cli_main((int)words.count + 1, argv);
    strlist_release(&words);
    buf_release(&screen);
    free(dir);
    exit(status);
}

/* Reads what there is; false at the end. */
static bool see(int tty)
{
    struct pollfd ready = {.fd = tty, .events = POLLIN};
    if (poll(&ready, 1, PATIENCE_MS) <= 0)
        fail_msg("nothing more comes after: %s", buf_cstr(&screen));
    unsigned char *to = buf_reserve(&screen, 4096);
    assert_non_null(to);
    ssize_t n = read(tty, to, 4096);
    if (n <= 0)
        return false; /* EIO: the other side is closed */
    screen.len += (size_t)n;
    return true;
}

/* Runs a command line on a terminal of 60 columns, answering its questions in order; its exit status. */
static int run(const char *line, const struct answer *answers)
{
    int tty;
    struct winsize size = {.ws_row = 24, .ws_col = 60};
    buf_clear(&screen);
    pid_t pid = forkpty(&tty, NULL, NULL, &size);
    assert_true(pid >= 0);
    if (pid == 0)
        child(line);
    size_t from = 0;
    while (see(tty)) {
        if (answers->question == NULL || strstr(buf_cstr(&screen) + from, answers->question) == NULL)
            continue;
        from = screen.len;
        assert_int_equal(write(tty, answers->text, strlen(answers->text)), strlen(answers->text));
        answers++;
    }
    close(tty);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static const struct answer NONE[] = {{NULL, NULL}};

static int set_up(void **state)
{
    (void)state;
    static const char *const CLEAN[] = {
        "CLAWBACK_PASSPHRASE",   "CLAWBACK_PASSPHRASE_FILE", "RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE",
        "CREDENTIALS_DIRECTORY", "XDG_CONFIG_HOME",          "XDG_CACHE_HOME",  "NO_COLOR"};
    for (size_t i = 0; i < sizeof CLEAN / sizeof *CLEAN; i++)
        unsetenv(CLEAN[i]);
    buf_init(&screen, SCREEN_MAX_BYTES);
    dir = scratch_make();
    setenv("HOME", dir, 1);
    setenv("TERM", "xterm", 1);
    setenv("CLAWBACK_REPOSITORY", "~/repository", 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_remove(dir);
    buf_release(&screen);
    return 0;
}

static void test_terminal__a_new_passphrase_is_asked_for_twice(void **state)
{
    (void)state;
    static const struct answer DIFFERENT[] = {{"new passphrase: ", "one\n"}, {"once more: ", "two\n"}, {NULL, NULL}};
    assert_int_equal(run("init", DIFFERENT), 1);
    assert_non_null(strstr(buf_cstr(&screen), "the two passphrases differ"));
    static const struct answer EMPTY[] = {{"new passphrase: ", "\n"}, {NULL, NULL}};
    assert_int_equal(run("init", EMPTY), 1);
    static const struct answer EQUAL[] = {{"new passphrase: ", "secret\n"}, {"once more: ", "secret\n"}, {NULL, NULL}};
    assert_int_equal(run("init", EQUAL), 0);
    assert_null(strstr(buf_cstr(&screen), "secret")); /* never shown */
}

static void test_terminal__the_passphrase_opens_the_repository(void **state)
{
    (void)state;
    static const struct answer RIGHT[] = {{"passphrase of the repository: ", "secret\n"}, {NULL, NULL}};
    assert_int_equal(run("key list", RIGHT), 0);
    static const struct answer WRONG[] = {{"passphrase of the repository: ", "wrong\n"}, {NULL, NULL}};
    assert_int_equal(run("key list", WRONG), 12);
    static const struct answer INTERRUPT[] = {{"passphrase of the repository: ", "\003"}, {NULL, NULL}};
    assert_int_equal(run("key list", INTERRUPT), 130);
}

static void test_terminal__errors_are_coloured_unless_that_is_not_wanted(void **state)
{
    (void)state;
    assert_int_equal(run("bakcup", NONE), 1);
    assert_non_null(strstr(buf_cstr(&screen), "\033[1;31merror:\033[0m unknown command"));
    assert_int_equal(run("--help", NONE), 0);
    assert_non_null(strstr(buf_cstr(&screen), "\033[1mUsage:\033[0m"));
    assert_int_equal(run("--no-color bakcup", NONE), 1);
    assert_null(strchr(buf_cstr(&screen), '\033'));
    setenv("NO_COLOR", "1", 1);
    assert_int_equal(run("--help", NONE), 0);
    assert_null(strchr(buf_cstr(&screen), '\033'));
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    assert_int_equal(run("--help", NONE), 0);
    assert_null(strchr(buf_cstr(&screen), '\033'));
    setenv("TERM", "xterm", 1);
}

/* Every state of the live line, as it would stand on the screen. */
static void check_live_line(void)
{
    size_t lines = 0;
    char *text = strdup(buf_cstr(&screen)), *rest = text, *piece;
    while ((piece = strsep(&rest, "\r")) != NULL) {
        char *end = strstr(piece, "\033[K");
        if (end == NULL || piece[0] != '[')
            continue;
        *end = '\0';
        assert_true(cli_text_columns(piece) < 60);
        lines++;
    }
    free(text);
    assert_true(lines > 0);
}

static void test_terminal__a_backup_shows_one_live_line(void **state)
{
    (void)state;
    enum { BYTES = 300000 };
    char *data = calloc(1, BYTES), line[256];
    snprintf(line, sizeof line, "%s/data", dir);
    assert_int_equal(mkdir(line, 0700), 0);
    scratch_write(line, "file", data, BYTES);
    free(data);
    setenv("CLAWBACK_PASSPHRASE", "secret", 1);
    setenv("CLAWBACK_PROGRESS_FPS", "50", 1);
    snprintf(line, sizeof line, "backup %s/data --limit-read 400K", dir);
    assert_int_equal(run(line, NONE), 0);
    check_live_line();
    assert_non_null(strstr(buf_cstr(&screen), " saved"));
    snprintf(line, sizeof line, "backup %s/data --quiet", dir);
    assert_int_equal(run(line, NONE), 0);
    assert_int_equal(screen.len, 0);
    snprintf(line, sizeof line, "backup %s/data --json --force --limit-read 400K", dir);
    assert_int_equal(run(line, NONE), 0);
    assert_non_null(strstr(buf_cstr(&screen), "{\"message_type\":\"status\",\"seconds_elapsed\":"));
    assert_null(strchr(buf_cstr(&screen), '\033'));
    unsetenv("CLAWBACK_PROGRESS_FPS");
    unsetenv("CLAWBACK_PASSPHRASE");
}

int main(void)
{
    /* In this order: the first one makes the repository. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal__a_new_passphrase_is_asked_for_twice),
        cmocka_unit_test(test_terminal__the_passphrase_opens_the_repository),
        cmocka_unit_test(test_terminal__errors_are_coloured_unless_that_is_not_wanted),
        cmocka_unit_test(test_terminal__a_backup_shows_one_live_line),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
