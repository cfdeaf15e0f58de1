/* Words that a real shell takes as they are meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/shell.h"
#include "os/process.h"

static void test_shell_word__leaves_plain_ones_alone(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"run", "/usr/bin/clawback", "--keep-within=7d", "a@b.c:1,2+3%"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        char *word = shell_word(WORDS[i]);
        assert_string_equal(word, WORDS[i]);
        free(word);
    }
}

static void test_shell_word__quotes_what_a_shell_would_change(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"",  " ", "a b", "it's", "$HOME", "`id`", "a\nb",
                                        "*", "~", "\\",  "\"",   "''",    "#",    "ä;"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        char *word = shell_word(WORDS[i]), *command = mem_printf("printf %%s. %s", word);
        char *const argv[] = {(char[]){"/bin/sh"}, (char[]){"-c"}, command, NULL};
        const struct process_options options = {.argv = argv};
        struct buf said;
        buf_init(&said, 1024);
        assert_int_equal(process_run(&options, &said, NULL), 0);
        char *expected = mem_printf("%s.", WORDS[i]);
        assert_string_equal(buf_cstr(&said), expected);
        buf_release(&said);
        free(expected);
        free(command);
        free(word);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shell_word__leaves_plain_ones_alone),
        cmocka_unit_test(test_shell_word__quotes_what_a_shell_would_change),
    };
    return cmocka_run_group_tests_name("base/shell", tests, NULL, NULL);
}
