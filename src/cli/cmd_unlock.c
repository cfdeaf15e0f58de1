#include <stdlib.h>
#include "cli/cli.h"
#include "cli/commands.h"
#include "os/clock.h"

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

static void name_lock(struct cli *cli, const struct lock_info *l)
{
    char when[OS_TIME_BYTES], id[ID_SHORT_CHARS + 1];
    cli_note(cli, "process %ld of %s on %s holds %s lock since %s (lock %s)", (long)l->pid,
             l->username[0] != '\0' ? l->username : "an unknown user",
             l->hostname[0] != '\0' ? l->hostname : "an unknown host", l->exclusive ? "an exclusive" : "a",
             os_time_format_human(&l->time, when), id_to_short(&l->id, id));
}

/* Says whose the locks are that stay. */
static int name_living(struct cli *cli, struct repo *repo, struct err *err)
{
    struct id *ids = NULL;
    size_t count = 0, named = 0;
    struct codec *codec = codec_new(repo, err);
    int rc = codec != NULL ? repo_list_ids(repo, STORE_LOCK, &ids, &count, err) : -1;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct lock_info info;
        struct err why = {0};
        char id[ID_SHORT_CHARS + 1];
        if (lock_read(repo, codec, &ids[i], &info, &why) == 0)
            name_lock(cli, &info);
        else if (why.code != ERR_NOT_FOUND) /* released meanwhile */
            cli_warn(cli, "cannot read lock %s: %s", id_to_short(&ids[i], id), why.message);
        named += why.code != ERR_NOT_FOUND;
    }
    if (named > 0)
        cli_note(cli, "what is not stale stays: '--remove-all' removes it, too, when you know that nobody is at work");
    free(ids);
    codec_free(codec);
    return rc;
}

static int unlock(struct cli *cli, bool all, int *removed, struct err *err)
{
    struct repo *repo;
    if (cli_open_repo(cli, &repo, err) < 0)
        return -1;
    *removed = lock_remove_stale(repo, all, err);
    int rc = *removed < 0 ? -1 : all || cli->json ? 0 : name_living(cli, repo, err);
    repo_free(repo);
    return rc;
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
