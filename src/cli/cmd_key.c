#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "os/clock.h"
#include "repo/key.h"

struct key_options {
    const char *new_password_file, *user, *host;
};

static const struct option NEW_KEY_OPTIONS[] = {
    {.name = "new-password-file",
     .kind = OPTION_STRING,
     .offset = offsetof(struct key_options, new_password_file),
     .metavar = "FILE",
     .help = "a file that holds the new passphrase ('-': standard input)"},
    {.name = "new-passphrase-file",
     .kind = OPTION_STRING,
     .offset = offsetof(struct key_options, new_password_file),
     .metavar = "FILE"},
    {.name = "user",
     .kind = OPTION_STRING,
     .offset = offsetof(struct key_options, user),
     .metavar = "NAME",
     .help = "whose key it is (default: you)"},
    {.name = "host",
     .kind = OPTION_STRING,
     .offset = offsetof(struct key_options, host),
     .metavar = "NAME",
     .help = "on which machine (default: this one)"},
    OPTION_END,
};

/* --- list --- */

static void add_key(struct cli *cli, const struct key_info *info, bool current, struct cli_table *table, json_t *list)
{
    char id[ID_SHORT_CHARS + 1], marked[ID_SHORT_CHARS + 2], created[OS_TIME_BYTES];
    id_to_short(&info->id, id);
    os_time_format_human(&info->created, created);
    if (cli->json) {
        json_array_append_new(
            list, json_pack("{s:b, s:o, s:s, s:o, s:o, s:s}", "current", current, "id", cli_json_id(&info->id),
                            "short_id", id, "userName", cli_json_string(info->username, strlen(info->username)),
                            "hostName", cli_json_string(info->hostname, strlen(info->hostname)), "created", created));
        return;
    }
    snprintf(marked, sizeof marked, "%c%s", current ? '*' : ' ', id);
    cli_table_row(table, (const char *const[]){marked, info->username, info->hostname, created});
}

static int list_keys(struct cli *cli, struct repo *repo, struct err *err)
{
    struct id *ids;
    size_t count;
    if (repo_list_ids(repo, STORE_KEY, &ids, &count, err) < 0)
        return -1;
    struct cli_table *table = cli_table_new((const char *const[]){" ID", "User", "Host", "Created", NULL});
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        struct key_info info;
        struct err why = {0};
        if (key_read_info(repo->store, &ids[i], &info, &why) < 0)
            cli_warn(cli, "%s", why.message);
        else
            add_key(cli, &info, id_equal(&ids[i], &repo->key_id), table, list);
    }
    free(ids);
    if (cli->json) {
        cli_json(cli, list);
    } else {
        json_decref(list);
        cli_table_print(cli, table, "* the key that the given passphrase opens");
    }
    cli_table_free(table);
    return 0;
}

/* --- add, passwd, remove --- */

static int new_key(struct cli *cli, struct repo *repo, const struct key_options *o, struct id *id, struct err *err)
{
    char *passphrase;
    if (cli_new_passphrase(cli, o->new_password_file, &passphrase, err) < 0)
        return -1;
    int rc = key_add(repo->store, &repo->key, passphrase, o->user, o->host, id, err);
    mem_wipe_string(passphrase);
    return rc;
}

static int remove_key(struct repo *repo, const struct id *id, struct err *err)
{
    char hex[ID_HEX_BYTES];
    return store_remove(repo->store, STORE_KEY, id_to_hex(id, hex), err);
}

static void report(struct cli *cli, const char *what, const struct id *id, const char *text)
{
    char short_id[ID_SHORT_CHARS + 1];
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:o}", "message_type", what, "id", cli_json_id(id)));
    else
        cli_print(cli, "%s %s", text, id_to_short(id, short_id));
}

static int add(struct cli *cli, struct repo *repo, const struct key_options *o, struct err *err)
{
    struct id id;
    if (new_key(cli, repo, o, &id, err) < 0)
        return -1;
    report(cli, "key_added", &id, "added key");
    return 0;
}

/* The old key goes only once the new one is there. */
static int change(struct cli *cli, struct repo *repo, const struct key_options *o, struct err *err)
{
    struct id id;
    if (new_key(cli, repo, o, &id, err) < 0 || remove_key(repo, &repo->key_id, err) < 0)
        return -1;
    report(cli, "key_changed", &id, "changed the passphrase; it opens with key");
    return 0;
}

static int remove_by_prefix(struct cli *cli, struct repo *repo, const char *prefix, struct err *err)
{
    struct id id;
    if (repo_find_id(repo, STORE_KEY, prefix, &id, err) < 0)
        return -1;
    if (id_equal(&id, &repo->key_id))
        return err_set(err, ERR_USAGE,
                       "key '%s' is the one that opened the repository; open it with another one to remove it", prefix);
    if (remove_key(repo, &id, err) < 0)
        return -1;
    report(cli, "key_removed", &id, "removed key");
    return 0;
}

/* --- the commands --- */

enum verb { LIST, ADD, PASSWD, REMOVE };

static int dispatch(struct cli *cli, enum verb verb, struct repo *repo, const struct key_options *o, char **argv,
                    struct err *err)
{
    switch (verb) {
    case LIST:
        return list_keys(cli, repo, err);
    case ADD:
        return add(cli, repo, o, err);
    case PASSWD:
        return change(cli, repo, o, err);
    case REMOVE:
        return remove_by_prefix(cli, repo, argv[0], err);
    }
    return 0;
}

static int run_verb(struct cli *cli, enum verb verb, const struct key_options *o, int argc, char **argv)
{
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    int wanted = verb == REMOVE ? 1 : 0;
    if (argc != wanted) {
        err_set(&err, ERR_USAGE,
                wanted == 1 ? "'%s' needs one key ID ('clawback key list' shows them)" : "'%s' takes no arguments",
                cli->command->name);
        return cli_fail(cli, &err);
    }
    enum cli_lock kind = verb == PASSWD || verb == REMOVE ? CLI_LOCK_EXCLUSIVE : CLI_LOCK_SHARED;
    if (cli_open_locked(cli, kind, false, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = dispatch(cli, verb, repo, o, argv, &err);
    lock_release(lock);
    repo_free(repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static int run_list(struct cli *cli, void *options, int argc, char **argv)
{
    return run_verb(cli, LIST, options, argc, argv);
}

static int run_add(struct cli *cli, void *options, int argc, char **argv)
{
    return run_verb(cli, ADD, options, argc, argv);
}

static int run_passwd(struct cli *cli, void *options, int argc, char **argv)
{
    return run_verb(cli, PASSWD, options, argc, argv);
}

static int run_remove(struct cli *cli, void *options, int argc, char **argv)
{
    return run_verb(cli, REMOVE, options, argc, argv);
}

const struct command cmd_key_list = {
    .name = "key list",
    .arguments = "",
    .summary = "List the keys (passphrases) that open the repository",
    .group = "Repository",
    .run = run_list,
};

const struct command cmd_key_add = {
    .name = "key add",
    .arguments = "",
    .summary = "Add a key: one more passphrase that opens it",
    .options = NEW_KEY_OPTIONS,
    .options_bytes = sizeof(struct key_options),
    .group = "Repository",
    .run = run_add,
};

const struct command cmd_key_passwd = {
    .name = "key passwd",
    .arguments = "",
    .summary = "Change the passphrase of the key in use",
    .description = "Adds a key for the new passphrase, then removes the one that opened the repository. Who copied the "
                   "repository before can still open that copy with the old passphrase.",
    .options = NEW_KEY_OPTIONS,
    .options_bytes = sizeof(struct key_options),
    .group = "Repository",
    .run = run_passwd,
};

const struct command cmd_key_remove = {
    .name = "key remove",
    .arguments = "ID",
    .summary = "Remove a key",
    .group = "Repository",
    .run = run_remove,
};
