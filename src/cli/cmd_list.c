#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/commands.h"

static void print_id(struct cli *cli, const struct id *id)
{
    char hex[ID_HEX_BYTES];
    if (cli->json)
        cli_json(cli, json_pack("{s:o}", "id", cli_json_id(id)));
    else
        cli_print(cli, "%s", id_to_hex(id, hex));
}

static int list_files(struct cli *cli, struct repo *repo, enum store_type type, struct err *err)
{
    struct id *ids;
    size_t count;
    if (repo_list_ids(repo, type, &ids, &count, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        print_id(cli, &ids[i]);
    free(ids);
    return 0;
}

static void list_blobs(struct cli *cli, const struct repo *repo)
{
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; i < index_loaded_count(repo->index); i++) {
        const struct index_entry *e = index_loaded(repo->index, i);
        const char *type = blob_type_name(index_entry_type(e));
        if (cli->json)
            cli_json(cli, json_pack("{s:s, s:o}", "type", type, "id", cli_json_id(&e->id)));
        else
            cli_print(cli, "%s %s", type, id_to_hex(&e->id, hex));
    }
}

static const struct {
    const char *name;
    enum store_type type;
} TYPES[] = {{"packs", STORE_PACK}, {"index", STORE_INDEX}, {"snapshots", STORE_SNAPSHOT},
             {"keys", STORE_KEY},   {"locks", STORE_LOCK},  {"blobs", STORE_TYPE_COUNT}};
enum { TYPE_COUNT = sizeof TYPES / sizeof *TYPES };

static int run_list(struct cli *cli, void *options, int argc, char **argv)
{
    (void)options;
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    size_t i = 0;
    while (argc == 1 && i < TYPE_COUNT && strcmp(TYPES[i].name, argv[0]) != 0)
        i++;
    if (argc != 1 || i == TYPE_COUNT) {
        err_set(&err, ERR_USAGE, "'list' needs one of packs, index, snapshots, keys, locks, blobs");
        return cli_fail(cli, &err);
    }
    bool blobs = TYPES[i].type == STORE_TYPE_COUNT;
    /* Our own lock would be among the locks. */
    enum cli_lock kind = TYPES[i].type == STORE_LOCK ? CLI_LOCK_NONE : CLI_LOCK_SHARED;
    if (cli_open_locked(cli, kind, blobs, &repo, &lock, &err) < 0)
        return cli_fail(cli, &err);
    int rc = 0;
    if (blobs)
        list_blobs(cli, repo);
    else
        rc = list_files(cli, repo, TYPES[i].type, &err);
    lock_release(lock);
    repo_free(repo);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

const struct command cmd_list = {
    .name = "list",
    .arguments = "KIND",
    .summary = "List the repository's files of one kind, or its blobs",
    .description = "KIND is packs, index, snapshots, keys, locks or blobs.",
    .group = "Repository",
    .run = run_list,
};
