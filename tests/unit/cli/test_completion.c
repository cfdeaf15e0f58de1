#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/commands.h"
#include "cli/completion.h"
#include "os/file.h"
#include "os/process.h"

enum { SCRIPT_MAX_BYTES = 1 << 20 };

static char script_path[] = "/tmp/clawback-completion-XXXXXX";

/* The script in a file, for a real bash. */
static int write_script(void **state)
{
    (void)state;
    struct buf script;
    struct err err;
    buf_init(&script, SCRIPT_MAX_BYTES);
    completion_bash(&script);
    int fd = mkstemp(script_path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(os_write_file_atomic(script_path, script.data, script.len, 0600, &err), 0);
    buf_release(&script);
    return 0;
}

static int remove_script(void **state)
{
    (void)state;
    return unlink(script_path);
}

/* What bash offers for these words (the last is being typed), with blanks between. */
static const char *complete(const char *words)
{
    static char answer[8192];
    char command[2048];
    snprintf(command, sizeof command,
             ". %s; cd /; COMP_WORDS=(clawback %s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _clawback; echo "
             "\"${COMPREPLY[*]}\"",
             script_path, words);
    char bash[] = "bash", flag[] = "-c", norc[] = "--norc";
    char *argv[] = {bash, norc, flag, command, NULL};
    struct process_options options = {.argv = argv, .stdin_fd = -1};
    struct buf out;
    struct err err = {0};
    buf_init(&out, sizeof answer - 1);
    if (process_run(&options, &out, &err) != 0)
        fail_msg("bash: %s", err.message);
    snprintf(answer, sizeof answer, "%s", buf_cstr(&out));
    answer[strcspn(answer, "\n")] = '\0';
    buf_release(&out);
    return answer;
}

static void test_completion__bash_offers_commands(void **state)
{
    (void)state;
    assert_string_equal(complete("bac"), "backup");
    assert_string_equal(complete("--json --repo /x bac"), "backup");
    assert_string_equal(complete("--repo = /x bac"), "backup");
    assert_string_equal(complete("key ''"), "list add passwd remove");
    assert_string_equal(complete("help uns"), "");
    assert_string_equal(complete("help unl"), "unlock");
    assert_string_equal(complete("completion ''"), "bash zsh fish");
    const char *all = complete("''");
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        if (strchr(COMMANDS[i]->name, ' ') == NULL)
            assert_non_null(strstr(all, COMMANDS[i]->name));
    assert_null(strstr(all, " -"));
}

static void test_completion__bash_offers_options(void **state)
{
    (void)state;
    assert_string_equal(complete("backup --exclude-c"), "--exclude-caches");
    assert_string_equal(complete("backup -x /etc --no-l"), "--no-lock");
    assert_string_equal(complete("key add --us"), "--user");
    assert_string_equal(complete("key list --us"), "");
    assert_string_equal(complete("--rep"), "--repo --repository-file");
}

static void test_completion__bash_offers_files_where_they_belong(void **state)
{
    (void)state;
    assert_string_equal(complete("backup /et"), "/etc");
    assert_string_equal(complete("--password-file /et"), "/etc");
    assert_string_equal(complete("--password-file = /et"), "/etc");
    assert_string_equal(complete("--cache-dir /et"), "/etc");
    assert_string_equal(complete("backup --tag /et"), "");
    assert_string_equal(complete("unlock /et"), "");
}

/* Every option of every command is in the script, and its help where the shell shows one. */
static void assert_complete(const char *script, const char *pattern, bool with_help)
{
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        for (const struct option *o = COMMANDS[i]->options; o != NULL && o->name != NULL; o++) {
            char wanted[128];
            snprintf(wanted, sizeof wanted, pattern[0] == '-' ? "--%s" : "-l %s", o->name);
            assert_non_null(strstr(script, wanted));
            bool plain = o->help != NULL && strpbrk(o->help, "'[]:\\") == NULL;
            if (with_help && plain)
                assert_non_null(strstr(script, o->help));
        }
}

static void test_completion__other_shells_get_every_option(void **state)
{
    (void)state;
    struct buf script;
    buf_init(&script, SCRIPT_MAX_BYTES);
    completion_zsh(&script);
    assert_complete(buf_cstr(&script), "--", true);
    assert_memory_equal(buf_cstr(&script), "#compdef clawback\n", 18);
    assert_non_null(strstr(buf_cstr(&script), "'init:Make a repository'"));
    buf_clear(&script);
    completion_fish(&script);
    assert_complete(buf_cstr(&script), "l", true);
    assert_non_null(strstr(buf_cstr(&script), "-a init -d 'Make a repository'\n"));
    buf_release(&script);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_completion__bash_offers_commands),
        cmocka_unit_test(test_completion__bash_offers_options),
        cmocka_unit_test(test_completion__bash_offers_files_where_they_belong),
        cmocka_unit_test(test_completion__other_shells_get_every_option),
    };
    return cmocka_run_group_tests(tests, write_script, remove_script);
}
