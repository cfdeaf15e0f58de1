#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/commands.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/words.h"

struct globals {
    const char *repo;
    bool json;
    int64_t verbose;
};

struct make_options {
    bool force, dry_run, level_given;
    const char *name, *maybe;
    struct strlist excludes;
    int64_t count, keep;
    uint64_t size, wait;
    int color;
};

static const char *const COLORS[] = {"red", "green", NULL};

static const struct option GLOBALS[] = {
    {.name = "repo",
     .short_name = 'r',
     .kind = OPTION_STRING,
     .offset = offsetof(struct globals, repo),
     .metavar = "PATH"},
    {.name = "repository", .kind = OPTION_STRING, .offset = offsetof(struct globals, repo)},
    {.name = "json", .kind = OPTION_FLAG, .offset = offsetof(struct globals, json)},
    {.name = "verbose",
     .short_name = 'v',
     .kind = OPTION_REPEAT,
     .offset = offsetof(struct globals, verbose),
     .max = 3},
    OPTION_END,
};

static const struct option MAKE[] = {
    {.name = "force", .short_name = 'f', .kind = OPTION_FLAG, .offset = offsetof(struct make_options, force)},
    {.name = "dry-run", .short_name = 'n', .kind = OPTION_FLAG, .offset = offsetof(struct make_options, dry_run)},
    {.name = "name", .kind = OPTION_STRING, .offset = offsetof(struct make_options, name)},
    {.name = "maybe", .kind = OPTION_OPTIONAL, .offset = offsetof(struct make_options, maybe)},
    {.name = "exclude", .short_name = 'e', .kind = OPTION_LIST, .offset = offsetof(struct make_options, excludes)},
    {.name = "count",
     .short_name = 'c',
     .kind = OPTION_NUMBER,
     .offset = offsetof(struct make_options, count),
     .set_offset = offsetof(struct make_options, level_given),
     .min = 1,
     .max = 10},
    {.name = "keep", .kind = OPTION_COUNT, .offset = offsetof(struct make_options, keep)},
    {.name = "size",
     .kind = OPTION_BYTES,
     .offset = offsetof(struct make_options, size),
     .unit = 1 << 20,
     .min = 4 << 20,
     .max = 128 << 20},
    {.name = "wait", .kind = OPTION_DURATION, .offset = offsetof(struct make_options, wait)},
    {.name = "color", .kind = OPTION_CHOICE, .offset = offsetof(struct make_options, color), .choices = COLORS},
    OPTION_END,
};

static const struct command MAKE_COMMAND = {
    .name = "make", .arguments = "", .options = MAKE, .options_bytes = sizeof(struct make_options)};
static const struct command KEY_ADD = {.name = "key add", .arguments = ""};
static const struct command KEY_LIST = {.name = "key list", .arguments = ""};
static const struct command *const TABLE[] = {&MAKE_COMMAND, &KEY_ADD, &KEY_LIST, NULL};

enum { ARGS_MAX = 16 };
static struct globals globals;
static struct parsed parsed;
static struct err err;

/* Parses "clawback" and these words. */
static int parse_words(char **words)
{
    char program[] = "clawback", *argv[ARGS_MAX] = {program};
    int argc = 1;
    while (words[argc - 1] != NULL) {
        argv[argc] = words[argc - 1];
        argc++;
    }
    globals = (struct globals){0};
    err_clear(&err);
    return options_parse(argc, argv, TABLE, GLOBALS, &globals, &parsed, &err);
}

/* The words live until the next parse. */
static int parse(const char *line)
{
    static struct strlist words;
    strlist_release(&words);
    struct err why;
    char *argv[ARGS_MAX] = {NULL};
    if (*line != '\0')
        assert_int_equal(words_split(line, &words, &why), 0);
    for (size_t i = 0; i < words.count; i++)
        argv[i] = words.items[i];
    return parse_words(argv);
}

static const struct make_options *made(void)
{
    assert_ptr_equal(parsed.command, &MAKE_COMMAND);
    return parsed.options;
}

static void assert_refused(const char *line, const char *message)
{
    assert_int_equal(parse(line), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_string_equal(err.message, message);
    parsed_release(&parsed);
}

static void test_options__all_spellings_of_a_value(void **state)
{
    (void)state;
    static const char *const LINES[] = {
        "make -e x -c 3", "make -ex -c3",   "make --exclude x --count 3", "make --exclude=x --count=3",
        "make -e=x -c=3", "make -fe x -nc3"};
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        assert_int_equal(parse(LINES[i]), 0);
        assert_int_equal(made()->excludes.count, 1);
        assert_string_equal(made()->excludes.items[0], "x");
        assert_int_equal(made()->count, 3);
        assert_true(made()->level_given);
        parsed_release(&parsed);
    }
}

static void test_options__globals_stand_anywhere(void **state)
{
    (void)state;
    static const char *const LINES[] = {"--repo r --json make a b", "make --repo r --json a b", "make a -rr b --json",
                                        "--json make a --repository=r b"};
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++) {
        assert_int_equal(parse(LINES[i]), 0);
        assert_string_equal(globals.repo, "r");
        assert_true(globals.json);
        assert_int_equal(parsed.argc, 2);
        assert_string_equal(parsed.argv[0], "a");
        assert_string_equal(parsed.argv[1], "b");
        assert_null(parsed.argv[2]);
        parsed_release(&parsed);
    }
}

static void test_options__double_dash_ends_options(void **state)
{
    (void)state;
    assert_int_equal(parse("make -f -- -n --json -- -"), 0);
    assert_true(made()->force);
    assert_false(made()->dry_run);
    assert_int_equal(parsed.argc, 4);
    assert_string_equal(parsed.argv[0], "-n");
    assert_string_equal(parsed.argv[2], "--");
    assert_string_equal(parsed.argv[3], "-");
    parsed_release(&parsed);
}

static void test_options__a_value_may_look_like_an_option(void **state)
{
    (void)state;
    assert_int_equal(parse("make --name --json -e -x --keep -1"), 0);
    assert_string_equal(made()->name, "--json");
    assert_string_equal(made()->excludes.items[0], "-x");
    assert_int_equal(made()->keep, -1);
    assert_false(globals.json);
    parsed_release(&parsed);
}

static void test_options__flags_repeats_and_optionals(void **state)
{
    (void)state;
    assert_int_equal(parse("-v make -vfn --maybe --maybe=x --verbose"), 0);
    assert_int_equal(globals.verbose, 3);
    assert_true(made()->force && made()->dry_run);
    assert_string_equal(made()->maybe, "x");
    parsed_release(&parsed);
    assert_int_equal(parse("make --maybe a --verbose=2 --force=true --dry-run=false"), 0);
    assert_string_equal(made()->maybe, "");
    assert_int_equal(parsed.argc, 1);
    assert_int_equal(globals.verbose, 2);
    assert_true(made()->force);
    assert_false(made()->dry_run);
    parsed_release(&parsed);
}

static void test_options__every_kind_of_value(void **state)
{
    (void)state;
    assert_int_equal(parse("make --keep all --size 16 --wait 1h30m --color green --name ''"), 0);
    assert_int_equal(made()->keep, -1);
    assert_int_equal(made()->size, 16 << 20);
    assert_int_equal(made()->wait, 5400000);
    assert_int_equal(made()->color, 1);
    assert_string_equal(made()->name, "");
    parsed_release(&parsed);
    assert_int_equal(parse("make --keep 7 --size 5000K"), 0);
    assert_int_equal(made()->keep, 7);
    assert_int_equal(made()->size, 5000 << 10);
    parsed_release(&parsed);
}

static void test_options__two_word_commands(void **state)
{
    (void)state;
    assert_int_equal(parse("key --json add x"), 0);
    assert_ptr_equal(parsed.command, &KEY_ADD);
    assert_null(parsed.family);
    assert_int_equal(parsed.argc, 1);
    parsed_release(&parsed);
    assert_int_equal(parse("key"), 0);
    assert_null(parsed.command);
    assert_string_equal(parsed.family, "key");
    parsed_release(&parsed);
    assert_int_equal(parse(""), 0);
    assert_null(parsed.command);
    assert_null(parsed.family);
    parsed_release(&parsed);
}

static void test_options__mistakes_are_one_clear_line(void **state)
{
    (void)state;
    assert_refused("mkae", "unknown command 'mkae'; did you mean 'make'?");
    assert_refused("zzzzzz", "unknown command 'zzzzzz'; 'clawback --help' lists them");
    assert_refused("key ad", "unknown command 'key ad'; did you mean 'key add'?");
    assert_refused("key zzzzzzzzz", "unknown command 'key zzzzzzzzz'; 'clawback --help' lists them");
    assert_refused("make --exlude x", "unknown option '--exlude'; did you mean '--exclude'?");
    assert_refused("make --exc", "unknown option '--exc'; did you mean '--exclude'?");
    assert_refused("make --jsno", "unknown option '--jsno'; did you mean '--json'?");
    assert_refused("make --zzzzzz=1", "unknown option '--zzzzzz'; 'clawback make --help' lists them");
    assert_refused("--zzzzzz", "unknown option '--zzzzzz'; 'clawback --help' lists them");
    assert_refused("--exclude x make", "'--exclude' is an option of 'make': it goes after the command's name");
    assert_refused("make -fZ", "unknown option '-Z'; 'clawback make --help' lists them");
    assert_refused("make -f\x01", "unknown option '-?'; 'clawback make --help' lists them");
    assert_refused("make -r", "option '-r' needs a value: PATH");
    assert_refused("make --name", "option '--name' needs a value");
    assert_refused("make --json=1", "option '--json': it takes no value but 'true' or 'false', not '1'");
}

static void test_options__values_out_of_range_are_refused(void **state)
{
    (void)state;
    assert_refused("make -c 0", "option '-c': 0 is too small (at least 1)");
    assert_refused("make -c 11", "option '-c': 11 is too large (at most 10)");
    assert_refused("make -c 1x", "option '-c': '1x' is no whole number");
    assert_refused("make -c ''", "option '-c': '' is no whole number");
    assert_refused("make -c 99999999999999999999", "option '-c': '99999999999999999999' is out of range");
    assert_refused("make --keep -2", "option '--keep': '-2' is neither a number nor 'all'");
    assert_refused("make --keep 3000000000", "option '--keep': '3000000000' is neither a number nor 'all'");
    assert_refused("make --size 3", "option '--size': 3 is not between 4 and 128 MiB");
    assert_refused("make --size 1G", "option '--size': 1G is not between 4 and 128 MiB");
    assert_refused("make --size x", "option '--size': 'x' is no size (like 500, 64K, 10M, 2G)");
    assert_refused("make --color blue", "option '--color': 'blue' is none of red, green");
    assert_refused("make --wait 5", "option '--wait': '5' is no duration like 30m, 2h or 1h30m");
    assert_refused("make --verbose=4", "option '--verbose': 4 is too large (at most 3)");
}

static void test_options__sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t unit, bytes;
    } GOOD[] = {{"0", 0, 0},
                {"100", 0, 100},
                {"7", 1 << 20, 7 << 20},
                {"64K", 0, 64 << 10},
                {"64kB", 0, 64 << 10},
                {"10MiB", 0, 10 << 20},
                {"5b", 1024, 5},
                {"2Gi", 0, (uint64_t)2 << 30},
                {"3T", 0, (uint64_t)3 << 40}};
    static const char *const BAD[] = {
        "", "K", "-1", " 1", "1X", "1KiBx", "1.5G", "99999999999999999999", "99999999999P"};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        assert_int_equal(option_parse_bytes(GOOD[i].text, GOOD[i].unit, &bytes, &err), 0);
        assert_int_equal(bytes, GOOD[i].bytes);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(option_parse_bytes(BAD[i], 0, &bytes, &err), -1);
}

static void test_options__durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } GOOD[] = {{"0", 0},       {"0s", 0},         {"500ms", 500},   {"90s", 90000},
                {"5m", 300000}, {"1h1s", 3601000}, {"2d", 172800000}};
    static const char *const BAD[] = {
        "", "5", "s", "-1s", "5x", "1h30", "1.5h", "5mss", "99999999999999999999s", "99999999999999d"};
    uint64_t ms;
    for (size_t i = 0; i < sizeof GOOD / sizeof *GOOD; i++) {
        assert_int_equal(option_parse_duration(GOOD[i].text, &ms, &err), 0);
        assert_int_equal(ms, GOOD[i].ms);
    }
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(option_parse_duration(BAD[i], &ms, &err), -1);
}

static void test_options__words_are_cut_as_a_shell_cuts_them(void **state)
{
    (void)state;
    struct strlist words = {0};
    assert_int_equal(words_split(" pass  show 'a b'\"c\\\"d\\n\" e\\ f '' \\\\ ", &words, &err), 0);
    static const char *const EXPECTED[] = {"pass", "show", "a bc\"d\\n", "e f", "", "\\"};
    assert_int_equal(words.count, sizeof EXPECTED / sizeof *EXPECTED);
    for (size_t i = 0; i < words.count; i++)
        assert_string_equal(words.items[i], EXPECTED[i]);
    strlist_release(&words);
    assert_int_equal(words_split("a 'b", &words, &err), -1);
    strlist_release(&words);
    assert_int_equal(words_split("  ", &words, &err), -1);
    strlist_release(&words);
    char *long_word = malloc(70000);
    memset(long_word, 'x', 69999);
    long_word[69999] = '\0';
    assert_int_equal(words_split(long_word, &words, &err), -1);
    strlist_release(&words);
    free(long_word);
}

/* --- the real tables --- */

static void check_table(const struct option *table, size_t bytes)
{
    for (const struct option *o = table; o != NULL && o->name != NULL; o++) {
        assert_true(o->offset < bytes);
        assert_true(o->help != NULL || (o > table && o[-1].offset == o->offset && o[-1].kind == o->kind));
        assert_true(o->kind != OPTION_CHOICE || o->choices != NULL);
        if (o->help != NULL) {
            assert_true(o->help[0] < 'A' || o->help[0] > 'Z' || (o->help[1] >= 'A' && o->help[1] <= 'Z'));
            assert_true(o->help[strlen(o->help) - 1] != '.');
        }
        for (const struct option *other = table; other < o; other++) {
            assert_string_not_equal(other->name, o->name);
            assert_true(o->short_name == 0 || other->short_name != o->short_name);
        }
    }
}

static void test_options__real_tables_are_sound(void **state)
{
    (void)state;
    check_table(CLI_GLOBAL_OPTIONS, sizeof(struct cli));
    for (size_t i = 0; COMMANDS[i] != NULL; i++) {
        const struct command *c = COMMANDS[i];
        check_table(c->options, c->options_bytes);
        assert_true(c->summary[0] >= 'A' && c->summary[0] <= 'Z' && c->summary[strlen(c->summary) - 1] != '.');
        assert_non_null(c->run);
        assert_non_null(c->group);
        assert_non_null(c->arguments);
        for (const struct option *o = c->options; o != NULL && o->name != NULL; o++) {
            assert_null(option_find(CLI_GLOBAL_OPTIONS, o->name, strlen(o->name)));
            for (const struct option *g = CLI_GLOBAL_OPTIONS; g->name != NULL; g++)
                assert_true(o->short_name == 0 || g->short_name != o->short_name);
        }
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(COMMANDS[k]->name, c->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options__all_spellings_of_a_value),
        cmocka_unit_test(test_options__globals_stand_anywhere),
        cmocka_unit_test(test_options__double_dash_ends_options),
        cmocka_unit_test(test_options__a_value_may_look_like_an_option),
        cmocka_unit_test(test_options__flags_repeats_and_optionals),
        cmocka_unit_test(test_options__every_kind_of_value),
        cmocka_unit_test(test_options__two_word_commands),
        cmocka_unit_test(test_options__mistakes_are_one_clear_line),
        cmocka_unit_test(test_options__values_out_of_range_are_refused),
        cmocka_unit_test(test_options__sizes),
        cmocka_unit_test(test_options__durations),
        cmocka_unit_test(test_options__words_are_cut_as_a_shell_cuts_them),
        cmocka_unit_test(test_options__real_tables_are_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
