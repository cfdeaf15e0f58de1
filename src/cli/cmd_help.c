#include <string.h>
#include "cli/cli.h"
#include "cli/commands.h"

/* `help X` is `X --help`. */
static int run_help(struct cli *cli, void *options, int argc, char **argv)
{
    (void)cli;
    (void)options;
    char program[] = "clawback", flag[] = "--help";
    char *line[5] = {program};
    int n = 1;
    for (int i = 0; i < argc && i < 2; i++)
        line[n++] = argv[i];
    line[n++] = flag;
    return cli_main(n, line);
}

const struct command cmd_help = {
    .name = "help",
    .arguments = "[COMMAND]",
    .summary = "Explain a command, or list them all",
    .group = "Help",
    .run = run_help,
};
