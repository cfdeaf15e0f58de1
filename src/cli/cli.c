#include "cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/environment.h"
#include "cli/help.h"
#include "cli/options.h"
#include "os/journal.h"
#include "os/priority.h"

static const char WHERE[] = "Repository and passphrase", OUTPUT[] = "What it prints", RESOURCES[] = "Resources";

const struct option CLI_GLOBAL_OPTIONS[] = {
    {.name = "repo",
     .short_name = 'r',
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, repository),
     .metavar = "REPOSITORY",
     .group = WHERE,
     .help = "where the repository is: a path"},
    {.name = "repository-file",
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, repository_file),
     .metavar = "FILE",
     .help = "a file that says where it is"},
    {.name = "password-file",
     .short_name = 'p',
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, passphrase_file),
     .metavar = "FILE",
     .help = "a file that holds the passphrase ('-': standard input)"},
    {.name = "passphrase-file",
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, passphrase_file),
     .metavar = "FILE"},
    {.name = "password-command",
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, passphrase_command),
     .metavar = "COMMAND",
     .help = "a command that prints the passphrase; run without a shell"},
    {.name = "passphrase-command",
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, passphrase_command),
     .metavar = "COMMAND"},
    {.name = "no-lock",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct cli, no_lock),
     .help = "read without a lock, for repositories that cannot be written"},
    {.name = "retry-lock",
     .kind = OPTION_DURATION,
     .offset = offsetof(struct cli, retry_lock_ms),
     .metavar = "DURATION",
     .help = "how long to wait for others to release their locks, like 10m"},
    {.name = "cache-dir",
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, cache_dir),
     .metavar = "DIR",
     .help = "where caches are kept"},
    {.name = "no-cache", .kind = OPTION_FLAG, .offset = offsetof(struct cli, no_cache), .help = "use no cache"},
    {.name = "json",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct cli, json),
     .group = OUTPUT,
     .help = "JSON documents, one a line, for programs"},
    {.name = "quiet",
     .short_name = 'q',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct cli, quiet),
     .help = "results, warnings and errors only"},
    {.name = "verbose",
     .short_name = 'v',
     .kind = OPTION_REPEAT,
     .offset = offsetof(struct cli, verbose),
     .min = 0,
     .max = 3,
     .help = "say more; again for still more"},
    {.name = "no-color", .kind = OPTION_FLAG, .offset = offsetof(struct cli, no_color), .help = "no colours"},
    {.name = "help", .short_name = 'h', .kind = OPTION_FLAG, .offset = offsetof(struct cli, help), .help = "this help"},
    {.name = "compression",
     .kind = OPTION_STRING,
     .offset = offsetof(struct cli, compression),
     .metavar = "LEVEL",
     .group = RESOURCES,
     .help = "off, fastest, auto (the default), better or max"},
    {.name = "pack-size",
     .kind = OPTION_BYTES,
     .offset = offsetof(struct cli, pack_size_bytes),
     .metavar = "MIB",
     .min = 4 << 20,
     .max = 128 << 20,
     .unit = 1 << 20,
     .help = "size that pack files are filled up to, 4 to 128 MiB (default 16)"},
    {.name = "limit-read",
     .kind = OPTION_BYTES,
     .offset = offsetof(struct cli, limit_read),
     .metavar = "SIZE",
     .help = "read the sources at most this fast, like 20M a second"},
    {.name = "limit-write",
     .kind = OPTION_BYTES,
     .offset = offsetof(struct cli, limit_write),
     .metavar = "SIZE",
     .help = "write to the repository at most this fast, a second"},
    {.name = "cpus",
     .kind = OPTION_NUMBER,
     .offset = offsetof(struct cli, cpus),
     .metavar = "N",
     .min = 1,
     .max = 1024,
     .help = "use at most so many processors (default: all)"},
    OPTION_END,
};

/* --- what the terminal can do --- */

static bool colors_wanted(const struct cli *cli, int fd)
{
    const char *term = getenv("TERM");
    return !cli->no_color && environment_get("NO_COLOR") == NULL && isatty(fd) == 1 &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

static void look_at_terminal(struct cli *cli)
{
    cli->color_out = colors_wanted(cli, STDOUT_FILENO);
    cli->color_err = colors_wanted(cli, STDERR_FILENO);
    cli->journal_out = os_is_journal(STDOUT_FILENO);
    cli->journal_err = os_is_journal(STDERR_FILENO);
    cli->terminal = isatty(STDERR_FILENO) == 1 && !cli->quiet && !cli->json;
}

static struct help_style style_of_stdout(const struct cli *cli)
{
    size_t columns = cli_columns(stdout);
    return (struct help_style){.width = columns > HELP_COLUMNS_MAX ? HELP_COLUMNS_MAX
                                        : columns < 40             ? 40
                                                                   : columns,
                               .bold = cli->color_out};
}

/* --- help --- */

static void print_help(const struct cli *cli, const struct parsed *parsed)
{
    struct help_style style = style_of_stdout(cli);
    struct buf text;
    buf_init(&text, HELP_MAX_BYTES);
    if (parsed->command != NULL)
        help_command(parsed->command, &style, &text);
    else if (parsed->family != NULL)
        help_family(parsed->family, &style, &text);
    else if (cli->help)
        help_program(&style, &text);
    else
        help_short(&style, &text);
    fputs(buf_cstr(&text), stdout);
    buf_release(&text);
}

static int incomplete_command(const char *family, struct err *err)
{
    char list[256] = "";
    size_t used = 0, len = strlen(family);
    for (size_t i = 0; COMMANDS[i] != NULL; i++)
        if (strncmp(COMMANDS[i]->name, family, len) == 0 && COMMANDS[i]->name[len] == ' ' && used < sizeof list)
            used +=
                (size_t)snprintf(list + used, sizeof list - used, "%s'%s'", used > 0 ? ", " : "", COMMANDS[i]->name);
    return err_set(err, ERR_USAGE, "'%s' is not complete; there are %s", family, list);
}

/* --- the run --- */

void cli_be_nice(struct cli *cli)
{
    (void)cli;
    os_priority_lower();
}

static int check_globals(struct cli *cli, struct err *err)
{
    static const char *const LEVELS[] = {"off", "fastest", "auto", "better", "max"};
    if (environment_apply(cli, err) < 0)
        return -1;
    if (cli->compression == NULL)
        return 0;
    for (size_t i = 0; i < sizeof LEVELS / sizeof *LEVELS; i++)
        if (strcmp(LEVELS[i], cli->compression) == 0)
            return 0;
    return err_set(err, ERR_USAGE, "compression '%s' is none of off, fastest, auto, better, max", cli->compression);
}

static int run(struct cli *cli, struct parsed *parsed)
{
    struct err err = {0};
    if (parsed->command == NULL && parsed->family != NULL && !cli->help) {
        incomplete_command(parsed->family, &err);
        return cli_fail(cli, &err);
    }
    if (cli->help || parsed->command == NULL) {
        print_help(cli, parsed);
        return cli->help ? 0 : 1;
    }
    if (check_globals(cli, &err) < 0)
        return cli_fail(cli, &err);
    if (os_limit_cpus((unsigned)cli->cpus, &err) < 0)
        return cli_fail(cli, &err);
    cli->command = parsed->command;
    return parsed->command->run(cli, parsed->options, parsed->argc, parsed->argv);
}

/* What was printed must have arrived. A reader that went away (`| head`) is no news to anybody. */
static int finish_output(struct cli *cli, int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return status;
    struct err err = {0};
    if (errno != EPIPE && errno != 0) {
        err_errno(&err, errno, "cannot write the output");
        cli_fail(cli, &err);
    }
    return status != 0 ? status : 1;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {0};
    struct parsed parsed;
    struct err err = {0};
    int status;
    int rc = options_parse(argc, argv, COMMANDS, CLI_GLOBAL_OPTIONS, &cli, &parsed, &err);
    look_at_terminal(&cli);
    if (rc < 0)
        status = cli_fail(&cli, &err);
    else
        status = run(&cli, &parsed);
    parsed_release(&parsed);
    return finish_output(&cli, status);
}
