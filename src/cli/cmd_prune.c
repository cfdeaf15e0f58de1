/* Removing what no snapshot needs. */
#include "cli/commands.h"
#include "cli/prune_run.h"

struct prune_command_options {
    struct prune_args args;
    bool dry_run;
};

static const struct option OPTIONS[] = {
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct prune_command_options, dry_run),
     .help = "change nothing; say what would be removed"},
    PRUNE_OPTIONS(struct prune_command_options, args),
    OPTION_END,
};

static int run_prune(struct cli *cli, void *options, int argc, char **argv)
{
    const struct prune_command_options *o = options;
    struct prune_options prune;
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (argc > 0)
        err_set(&err, ERR_USAGE, "prune takes no argument '%s'", argv[0]);
    if (err.code != ERR_NONE || prune_args_read(&o->args, &prune, &err) != 0 ||
        cli_open_locked(cli, CLI_LOCK_EXCLUSIVE, false, &repo, &lock, &err) != 0)
        return cli_fail(cli, &err);
    prune.dry_run = o->dry_run;
    cli_be_nice(cli);
    int status = prune_run_and_print(cli, repo, lock, &prune);
    lock_release(lock);
    repo_free(repo);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback prune --dry-run", "how much would come back"},
    {"clawback prune --max-repack-size 0",
     "only what can be removed without writing much: for a disk that is nearly full"},
    {NULL, NULL},
};

const struct command cmd_prune = {
    .name = "prune",
    .arguments = "",
    .summary = "Remove the data that no snapshot needs",
    .description = "After 'forget', the data of the forgotten snapshots is still there. Prune removes packs in which "
                   "nothing is needed, "
                   "and copies what is needed out of packs in which little is.\n\n"
                   "It may be interrupted at any point: nothing that a snapshot needs is ever missing, and the next "
                   "prune goes on. Packs "
                   "that are wholly unused go first, and packs are repacked a few at a time, so that a nearly full "
                   "disk is enough.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct prune_command_options),
    .examples = EXAMPLES,
    .group = "Tidying",
    .run = run_prune,
};
