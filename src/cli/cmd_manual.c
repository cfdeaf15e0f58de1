#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/manual.h"

enum { PAGE_MAX_BYTES = 1 << 20 };

static int run_manual(struct cli *cli, void *options, int argc, char **argv)
{
    (void)cli;
    (void)options;
    (void)argc;
    (void)argv;
    struct buf page;
    buf_init(&page, PAGE_MAX_BYTES);
    manual_render(&page);
    fputs(buf_cstr(&page), stdout);
    buf_release(&page);
    return 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback manual | man -l -", "read it where it is not installed"},
    {NULL, NULL},
};

const struct command cmd_manual = {
    .name = "manual",
    .arguments = "",
    .summary = "Print the man page (roff)",
    .examples = EXAMPLES,
    .group = "Help",
    .run = run_manual,
};
