#include "cli/cli.h"
#include "cli/commands.h"

struct unlock_options {
    bool remove_all;
};

static const struct option OPTIONS[] = {
    {.name = "remove-all",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct unlock_options, remove_all),
     .help = "remove every lock, even one that may be in use: only when you know that nobody is at work"},
    OPTION_END,
};

static int unlock(struct cli *cli, bool all, int *removed, struct err *err)
{
    struct repo *repo;
    if (cli_open_repo(cli, &repo, err) < 0)
        return -1;
    *removed = lock_remove_stale(repo, all, err);
    repo_free(repo);
    return *removed < 0 ? -1 : 0;
}

static int run_unlock(struct cli *cli, void *options, int argc, char **argv)
{
    const struct unlock_options *o = options;
    struct err err = {0};
    int removed = 0;
    if (argc > 0)
        err_set(&err, ERR_USAGE, "'unlock' takes no arguments, but '%s' was given", argv[0]);
    else if (unlock(cli, o->remove_all, &removed, &err) == 0) {
        if (cli->json)
            cli_json(cli, json_pack("{s:s, s:i}", "message_type", "unlocked", "removed_locks", removed));
        else if (removed > 0)
            cli_print(cli, "removed %d %slock%s", removed, o->remove_all ? "" : "stale ", removed == 1 ? "" : "s");
        else
            cli_note(cli, "there is no %slock", o->remove_all ? "" : "stale ");
        return 0;
    }
    return cli_fail(cli, &err);
}

const struct command cmd_unlock = {
    .name = "unlock",
    .arguments = "",
    .summary = "Remove locks that others left behind",
    .description =
        "A lock is stale when it is older than 30 minutes (whoever works refreshes it every 5), or when the process "
        "that took it on this machine is gone.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct unlock_options),
    .group = "Tidying",
    .run = run_unlock,
};
