/* Building the index anew from what the packs say. */
#include <string.h>
#include "cli/commands.h"
#include "cli/engine_progress.h"
#include "engine/repair.h"

struct repair_index_command_options {
    bool read_all_packs, read_data, dry_run;
};

static const struct option OPTIONS[] = {
    {.name = "read-all-packs",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct repair_index_command_options, read_all_packs),
     .help = "trust no index file: read the header of every pack"},
    {.name = "read-data",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct repair_index_command_options, read_data),
     .help = "read every pack in full too, and take damaged data out of the index"},
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct repair_index_command_options, dry_run),
     .help = "change nothing; say what is wrong"},
    OPTION_END,
};

static void show_finding(void *ctx, const char *message)
{
    cli_warn(ctx, "%s", message);
}

static void print_result(struct cli *cli, const struct repair_index_result *r, bool dry_run)
{
    char kept[32], added[32], missing[32], damaged[32];
    bool nothing = r->packs_added == 0 && r->packs_missing == 0 && r->index_broken == 0 && r->index_removed == 0 &&
                   r->packs_damaged == 0;
    if (nothing) {
        cli_print(cli, "the index is right: %s packs", cli_count(r->packs_kept, kept));
        return;
    }
    cli_print(cli, "%s packs were indexed rightly, %s %s added, %s named that are gone, %s damaged",
              cli_count(r->packs_kept, kept), cli_count(r->packs_added, added), dry_run ? "would be" : "were",
              cli_count(r->packs_missing, missing), cli_count(r->packs_damaged, damaged));
    if (r->blobs_salvaged > 0)
        cli_print(cli, "%llu blobs in damaged packs are good%s", (unsigned long long)r->blobs_salvaged,
                  dry_run ? "" : " and were copied into new ones");
    if (dry_run)
        cli_print(cli, "nothing was changed (--dry-run)");
    else if (r->packs_damaged > 0)
        cli_print(cli,
                  "the damaged packs are in no index now: a backup of sources that still have what is lost stores it "
                  "anew; 'clawback prune' removes them");
    if (!dry_run)
        cli_print(cli, "%llu index files were written and %llu removed; 'clawback check' tells what is left to do",
                  (unsigned long long)r->index_written, (unsigned long long)r->index_removed);
}

static void print_json(struct cli *cli, const struct repair_index_result *r, bool dry_run)
{
    cli_json(cli,
             json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "message_type", "summary", "dry_run",
                       dry_run, "packs", (json_int_t)r->packs, "packs_kept", (json_int_t)r->packs_kept, "packs_added",
                       (json_int_t)r->packs_added, "packs_missing", (json_int_t)r->packs_missing, "packs_damaged",
                       (json_int_t)r->packs_damaged + (json_int_t)r->packs_header_damaged, "blobs_salvaged",
                       (json_int_t)r->blobs_salvaged, "index_broken", (json_int_t)r->index_broken, "index_written",
                       (json_int_t)r->index_written, "index_removed", (json_int_t)r->index_removed));
}

static int repair(struct cli *cli, struct repo *repo, struct lock *lock, const struct repair_index_options *options)
{
    const struct repair_reporter reporter = {.ctx = cli, .finding = show_finding};
    struct engine_progress counters = {.stage = NULL};
    struct repair_index_result result;
    struct err err = {0};
    struct cli_progress *progress = cli_engine_progress_start(cli, &counters);
    int rc = repair_index_run(repo, lock, options, &reporter, &counters, &result, &err);
    cli_progress_stop(progress);
    if (rc != 0)
        return cli_fail(cli, &err);
    if (cli->json)
        print_json(cli, &result, options->dry_run);
    else
        print_result(cli, &result, options->dry_run);
    if (result.index_unread > 0) {
        err_set(&err, ERR_IO, "%llu index files could not be read, whether they are damaged or not, and stay",
                (unsigned long long)result.index_unread);
        return cli_fail(cli, &err);
    }
    return result.packs_damaged + result.packs_header_damaged > 0 ? err_exit_status(ERR_CORRUPT) : 0;
}

static int run_repair_index(struct cli *cli, void *options, int argc, char **argv)
{
    const struct repair_index_command_options *o = options;
    const struct repair_index_options repair_options = {
        .read_all_packs = o->read_all_packs, .read_data = o->read_data, .dry_run = o->dry_run};
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (argc > 0)
        err_set(&err, ERR_USAGE, "repair index takes no argument '%s'", argv[0]);
    if (err.code != ERR_NONE || cli_open_locked(cli, CLI_LOCK_EXCLUSIVE, false, &repo, &lock, &err) != 0)
        return cli_fail(cli, &err);
    int status = repair(cli, repo, lock, &repair_options);
    lock_release(lock);
    repo_free(repo);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback repair index --dry-run", "what is wrong with the index"},
    {"clawback repair index", "put it right"},
    {"clawback repair index --read-data",
     "after 'check --read-data' found damage: the next backup stores anew what sources still have"},
    {NULL, NULL},
};

const struct command cmd_repair_index = {
    .name = "repair index",
    .arguments = "",
    .summary = "Bring the index into line with the packs that are there",
    .description =
        "Index files that are damaged are replaced, packs that are gone are taken out of the index, and "
        "packs that no index file "
        "knows are read and taken in. Packs themselves are never touched.\n\n"
        "Data that is in the index counts as stored, and no backup stores it again. With --read-data what "
        "is damaged leaves the index, so that a backup of sources that still have it brings it back, for older "
        "snapshots too; what is whole beside it is copied into new packs.\n\n"
        "Packs that cannot be read are named and left where they are; exit status 1 then.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct repair_index_command_options),
    .examples = EXAMPLES,
    .group = "Tidying",
    .run = run_repair_index,
};
