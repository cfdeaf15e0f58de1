#include <string.h>
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/completion.h"

enum { SCRIPT_MAX_BYTES = 1 << 20 };

static int run_completion(struct cli *cli, void *options, int argc, char **argv)
{
    (void)options;
    static const struct {
        const char *shell;
        void (*render)(struct buf *out);
    } SHELLS[] = {{"bash", completion_bash}, {"zsh", completion_zsh}, {"fish", completion_fish}};
    for (size_t i = 0; argc == 1 && i < sizeof SHELLS / sizeof *SHELLS; i++) {
        if (strcmp(SHELLS[i].shell, argv[0]) != 0)
            continue;
        struct buf script;
        buf_init(&script, SCRIPT_MAX_BYTES);
        SHELLS[i].render(&script);
        fputs(buf_cstr(&script), stdout);
        buf_release(&script);
        return 0;
    }
    struct err err = {0};
    err_set(&err, ERR_USAGE, "'completion' needs the name of a shell: bash, zsh or fish");
    return cli_fail(cli, &err);
}

static const struct command_example EXAMPLES[] = {
    {"clawback completion bash > /etc/bash_completion.d/clawback", "for everybody who uses bash"},
    {"clawback completion zsh > \"${fpath[1]}/_clawback\"", "for zsh"},
    {"clawback completion fish > ~/.config/fish/completions/clawback.fish", "for fish"},
    {NULL, NULL},
};

const struct command cmd_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .summary = "Print a shell's completion script",
    .examples = EXAMPLES,
    .group = "Help",
    .run = run_completion,
};
