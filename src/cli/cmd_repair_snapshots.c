/* Writing snapshots anew without what is lost. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/engine_progress.h"
#include "engine/repair.h"

enum { SHOWN_BYTES = 4096 };

struct repair_snapshots_command_options {
    struct cli_snapshot_filter filter;
    bool forget, read_data, dry_run;
};

static const struct option OPTIONS[] = {
    {.name = "forget",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct repair_snapshots_command_options, forget),
     .help = "remove the broken snapshots once they are replaced"},
    {.name = "read-data",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct repair_snapshots_command_options, read_data),
     .help = "read all packs first: what is damaged in them counts as lost"},
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct repair_snapshots_command_options, dry_run),
     .help = "change nothing; say what would be left out"},
    CLI_SNAPSHOT_FILTER_OPTIONS(struct repair_snapshots_command_options, filter),
    OPTION_END,
};

struct view {
    struct cli *cli;
    bool dry_run;
};

static void show_path(void *ctx, const struct snapshot *s, const char *path, bool is_dir, size_t lost, size_t parts)
{
    struct view *v = ctx;
    char id[ID_SHORT_CHARS + 1], shown[SHOWN_BYTES];
    if (v->cli->json)
        cli_json(v->cli,
                 json_pack("{s:s, s:o, s:o, s:s, s:I, s:I}", "message_type", "damage", "snapshot", cli_json_id(&s->id),
                           "path", cli_json_string(path, strlen(path)), "type", is_dir ? "dir" : "file", "lost_blobs",
                           (json_int_t)lost, "blobs", (json_int_t)parts));
    else if (is_dir)
        cli_print(v->cli, "%s: %s: cannot be read, left empty", id_to_short(&s->id, id),
                  cli_printable(path, shown, sizeof shown));
    else
        cli_print(v->cli, "%s: %s: %zu of %zu parts are lost, left out", id_to_short(&s->id, id),
                  cli_printable(path, shown, sizeof shown), lost, parts);
}

static void show_snapshot(void *ctx, const struct repaired_snapshot *s)
{
    struct view *v = ctx;
    char old[ID_SHORT_CHARS + 1], fresh[ID_SHORT_CHARS + 1];
    if (!s->changed)
        return;
    id_to_short(&s->snapshot->id, old);
    if (v->cli->json)
        cli_json(v->cli, json_pack("{s:s, s:o, s:o}", "message_type", s->lost ? "lost" : "repaired", "old_snapshot_id",
                                   cli_json_id(&s->snapshot->id), "new_snapshot_id",
                                   id_is_zero(&s->new_id) ? json_null() : cli_json_id(&s->new_id)));
    else if (s->lost)
        cli_print(v->cli, "%s: nothing of it is left", old);
    else if (!v->dry_run)
        cli_print(v->cli, "%s: saved as %s", old, id_to_short(&s->new_id, fresh));
}

static void show_finding(void *ctx, const char *message)
{
    const struct view *v = ctx;
    cli_warn(v->cli, "%s", message);
}

static void print_result(struct cli *cli, const struct repair_snapshots_result *r, bool dry_run, bool forget)
{
    if (cli->json) {
        cli_json(cli,
                 json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I}", "message_type", "summary", "dry_run", dry_run,
                           "snapshots", (json_int_t)r->snapshots, "intact", (json_int_t)r->intact, "repaired",
                           (json_int_t)r->repaired, "lost", (json_int_t)r->lost, "removed", (json_int_t)r->removed));
        return;
    }
    if (r->repaired + r->lost == 0) {
        cli_print(cli, "all %llu snapshots are whole: nothing to repair", (unsigned long long)r->snapshots);
        return;
    }
    cli_print(cli, "%llu of %llu snapshots %s repaired, %llu lost, %llu whole", (unsigned long long)r->repaired,
              (unsigned long long)r->snapshots, dry_run ? "would be" : "were", (unsigned long long)r->lost,
              (unsigned long long)r->intact);
    if (dry_run)
        cli_print(cli, "nothing was changed (--dry-run)");
    else if (!forget)
        cli_print(cli, "the broken ones are still there; --forget removes them, as does 'clawback forget ID'");
}

static int repair(struct cli *cli, struct repo *repo, struct lock *lock, const struct repair_snapshots_options *options)
{
    struct view view = {.cli = cli, .dry_run = options->dry_run};
    const struct repair_snapshots_reporter reporter = {
        .ctx = &view, .path = show_path, .snapshot = show_snapshot, .finding = show_finding};
    struct engine_progress counters = {.stage = NULL};
    struct repair_snapshots_result result;
    struct err err = {0};
    struct cli_progress *progress = cli_engine_progress_start(cli, &counters);
    int rc = repair_snapshots_run(repo, lock, options, &reporter, &counters, &result, &err);
    cli_progress_stop(progress);
    if (rc != 0)
        return cli_fail(cli, &err);
    print_result(cli, &result, options->dry_run, options->forget);
    return 0;
}

static int run_repair_snapshots(struct cli *cli, void *options, int argc, char **argv)
{
    struct repair_snapshots_command_options *o = options;
    struct repair_snapshots_options repair_options = {
        .id_count = (size_t)argc,
        .match = cli_snapshot_match,
        .match_ctx = &o->filter,
        .forget = o->forget,
        .read_data = o->read_data,
        .dry_run = o->dry_run,
    };
    struct err err = {0};
    struct repo *repo;
    struct lock *lock;
    if (cli_open_locked(cli, CLI_LOCK_EXCLUSIVE, false, &repo, &lock, &err) != 0)
        return cli_fail(cli, &err);
    struct id *ids;
    int status;
    if (cli_find_snapshot_ids(cli, repo, &o->filter, argc, argv, &ids, &err) != 0) {
        status = cli_fail(cli, &err);
    } else {
        repair_options.ids = ids;
        status = repair(cli, repo, lock, &repair_options);
    }
    free(ids);
    lock_release(lock);
    repo_free(repo);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback repair snapshots --dry-run", "which files are damaged, in which snapshots"},
    {"clawback repair snapshots --forget", "replace the broken snapshots by what is left of them"},
    {NULL, NULL},
};

const struct command cmd_repair_snapshots = {
    .name = "repair snapshots",
    .arguments = "[ID…]",
    .summary = "Write damaged snapshots anew without what is lost",
    .description =
        "A file that misses parts keeps the others; a directory that cannot be read becomes empty. The new "
        "snapshot has the tag "
        "'repaired' (unless --forget) and remembers the one it was made from ('original').\n\n"
        "Run 'repair index' first (with --read-data where 'check --read-data' found damage), and a backup: sources "
        "that still have the data may bring it back.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct repair_snapshots_command_options),
    .examples = EXAMPLES,
    .group = "Tidying",
    .run = run_repair_snapshots,
};
