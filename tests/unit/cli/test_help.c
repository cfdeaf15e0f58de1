#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/manual.h"

static const struct help_style PLAIN = {.width = 80};
static struct buf out;

static int setup(void **state)
{
    (void)state;
    buf_init(&out, HELP_MAX_BYTES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_release(&out);
    return 0;
}

static void assert_says(const char *text)
{
    if (strstr(buf_cstr(&out), text) == NULL)
        fail_msg("'%s' is not in:\n%s", text, buf_cstr(&out));
}

static void assert_no_line_wider_than(size_t columns)
{
    char *text = strdup(buf_cstr(&out)), *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        /* An example is one command: it is shown whole. */
        if (cli_text_columns(line) > columns && strncmp(line, "  clawback ", 11) != 0)
            fail_msg("too wide: '%s'", line);
    free(text);
}

static void test_help__program_names_every_command_and_global_option(void **state)
{
    (void)state;
    help_program(&PLAIN, &out);
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        assert_says(COMMANDS[i]->name);
        assert_says(COMMANDS[i]->group);
    }
    for (const struct option *o = CLI_GLOBAL_OPTIONS; o->name != NULL; o++)
        assert_says(o->name);
    for (const struct help_fact *f = HELP_ENVIRONMENT; f->name != NULL; f++)
        assert_says(f->name);
    assert_says("clawback backup ");
    assert_null(strchr(buf_cstr(&out), '\033'));
    assert_no_line_wider_than(80);
}

static void test_help__every_command_fits_its_width(void **state)
{
    (void)state;
    static const size_t WIDTHS[] = {50, 80, 100};
    for (size_t w = 0; w < sizeof WIDTHS / sizeof *WIDTHS; w++)
        for (size_t i = 0; COMMANDS[i] != NULL; i++) {
            struct help_style style = {.width = WIDTHS[w]};
            buf_clear(&out);
            help_command(COMMANDS[i], &style, &out);
            assert_says(COMMANDS[i]->name);
            for (const struct option *o = COMMANDS[i]->options; o != NULL && o->name != NULL; o++)
                assert_says(o->name);
            assert_no_line_wider_than(WIDTHS[w] > 60 ? WIDTHS[w] : 72); /* labels are never broken */
        }
}

static void test_help__bold_only_when_asked_for(void **state)
{
    (void)state;
    struct help_style bold = {.width = 80, .bold = true};
    help_program(&bold, &out);
    assert_says("\033[1mUsage:\033[0m clawback");
}

static void test_help__short_one_tells_how_to_begin(void **state)
{
    (void)state;
    help_short(&PLAIN, &out);
    assert_says("clawback backup");
    assert_says("clawback init --generate-passphrase");
    assert_says("clawback --help");
    size_t lines = 0;
    for (const char *p = buf_cstr(&out); *p != '\0'; p++)
        lines += *p == '\n';
    assert_true(lines < 24);
}

static void test_help__family_lists_its_commands(void **state)
{
    (void)state;
    help_family("key", &PLAIN, &out);
    assert_says("key add");
    assert_says("key remove");
    assert_null(strstr(buf_cstr(&out), "snapshots"));
}

static const char *const CHOICES[] = {"a", "b", NULL};
static const struct option ROWS[] = {
    {.name = "color", .short_name = 'c', .kind = OPTION_CHOICE, .choices = CHOICES, .help = "one of"},
    {.name = "colour", .kind = OPTION_CHOICE, .choices = CHOICES},
    {.name = "maybe", .kind = OPTION_OPTIONAL, .metavar = "X", .help = "perhaps"},
    {.name = "flag", .short_name = 'f', .kind = OPTION_FLAG, .help = "yes"},
    OPTION_END,
};

static void test_help__labels_name_all_spellings(void **state)
{
    (void)state;
    help_option_label(&ROWS[0], &out);
    assert_string_equal(buf_cstr(&out), "-c, --color, --colour WORD");
    buf_clear(&out);
    help_option_text(&ROWS[0], &out);
    assert_string_equal(buf_cstr(&out), "one of: a, b");
    buf_clear(&out);
    assert_ptr_equal(help_option_next(&ROWS[0]), &ROWS[2]);
    help_option_label(&ROWS[2], &out);
    assert_string_equal(buf_cstr(&out), "--maybe[=X]");
    buf_clear(&out);
    help_option_label(&ROWS[3], &out);
    assert_string_equal(buf_cstr(&out), "-f, --flag");
    assert_null(help_option_next(&ROWS[3])->name);
}

static int run_nothing(struct cli *cli, void *options, int argc, char **argv)
{
    (void)cli;
    (void)options;
    (void)argc;
    (void)argv;
    return 0;
}

static void test_help__paragraphs_that_start_with_a_blank_stay_as_they_are(void **state)
{
    (void)state;
    struct command c = {.name = "x",
                        .arguments = "[A]",
                        .summary = "Does it",
                        .description = "Filled\ntext.\n\n  a table\n  of two lines",
                        .options = ROWS,
                        .run = run_nothing};
    help_command(&c, &PLAIN, &out);
    assert_says(
        "Usage: clawback x [options] [A]\n\nDoes it.\n\nFilled text.\n\n  a table\n  of two lines\n\nOptions\n");
    assert_says("  -c, --color, --colour WORD  one of: a, b\n      --maybe[=X]             perhaps\n");
}

static void test_manual__holds_everything_and_no_stray_requests(void **state)
{
    (void)state;
    manual_render(&out);
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        assert_says(COMMANDS[i]->summary[0] != '\0' ? ".SS \"" : "");
    assert_says(".TH CLAWBACK 1");
    assert_says("\\fB\\-e, \\-\\-exclude PATTERN\\fR");
    static const char *const MACROS[] = {".TH ", ".SH ", ".SS ", ".TP", ".PP", ".nf", ".fi", ".nh", ".ad l"};
    char *text = strdup(buf_cstr(&out)), *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        if (*line != '.' && *line != '\'')
            continue;
        bool known = false;
        for (size_t i = 0; i < sizeof MACROS / sizeof *MACROS; i++)
            known |= strncmp(line, MACROS[i], strlen(MACROS[i])) == 0;
        if (!known)
            fail_msg("a stray request: '%s'", line);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_help__program_names_every_command_and_global_option, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help__every_command_fits_its_width, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help__bold_only_when_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help__short_one_tells_how_to_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help__family_lists_its_commands, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help__labels_name_all_spellings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_help__paragraphs_that_start_with_a_blank_stay_as_they_are, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_manual__holds_everything_and_no_stray_requests, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
