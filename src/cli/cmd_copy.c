/* Copying snapshots from another repository into this one. */
#include <stdlib.h>
#include "base/bytes.h"
#include "cli/commands.h"
#include "cli/engine_progress.h"
#include "cli/from_repo.h"
#include "engine/copy.h"

struct copy_command_options {
    struct from_repo from;
    struct cli_snapshot_filter filter;
    bool dry_run;
};

static const struct option OPTIONS[] = {
    FROM_REPO_OPTIONS(struct copy_command_options, from),
    CLI_SNAPSHOT_FILTER_OPTIONS(struct copy_command_options, filter),
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .group = "Other",
     .offset = offsetof(struct copy_command_options, dry_run),
     .help = "change nothing; say what would be copied"},
    OPTION_END,
};

struct view {
    struct cli *cli;
    bool dry_run;
};

static const char *fate_name(enum copy_fate fate)
{
    return fate == COPY_COPIED ? "copied" : fate == COPY_THERE ? "skipped" : "damaged";
}

static void show_snapshot(void *ctx, const struct snapshot *source, const struct copied_snapshot *s)
{
    const struct view *v = ctx;
    char from[ID_SHORT_CHARS + 1], to[ID_SHORT_CHARS + 1], when[OS_TIME_BYTES];
    id_to_short(&s->source_id, from);
    id_to_short(&s->target_id, to);
    os_time_format_human(&source->time, when);
    if (v->cli->json)
        cli_json(v->cli, json_pack("{s:s, s:s, s:o, s:o}", "message_type", "snapshot", "action", fate_name(s->fate),
                                   "source_snapshot_id", cli_json_id(&s->source_id), "snapshot_id",
                                   id_is_zero(&s->target_id) ? json_null() : cli_json_id(&s->target_id)));
    else if (s->fate == COPY_DAMAGED)
        cli_warn(v->cli, "snapshot %s of %s is damaged and was not copied", from, when);
    else if (v->cli->quiet)
        return;
    else if (s->fate == COPY_THERE)
        cli_print(v->cli, "%s  %s  is there already, as %s", from, when, to);
    else if (v->dry_run)
        cli_print(v->cli, "%s  %s  would be copied", from, when);
    else
        cli_print(v->cli, "%s  %s  copied, as %s", from, when, to);
}

static void show_finding(void *ctx, const char *message)
{
    const struct view *v = ctx;
    cli_warn(v->cli, "the repository to copy from: %s", message);
}

static void print_result(struct cli *cli, const struct copy_result *r, bool dry_run)
{
    char copied[32], there[32], blobs[32], bytes[24], stored[24];
    uint64_t damaged = r->damaged + r->unreadable;
    if (cli->json) {
        cli_json(cli, json_pack("{s:s, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "message_type", "summary", "dry_run",
                                dry_run, "copied", (json_int_t)r->copied, "skipped", (json_int_t)r->there, "damaged",
                                (json_int_t)damaged, "blobs", (json_int_t)r->blobs, "bytes", (json_int_t)r->bytes,
                                "stored_bytes", (json_int_t)r->stored_bytes));
        return;
    }
    cli_print(cli, "%s %s snapshot%s, %s there already; %s%s new blobs, %s%s%s%s", dry_run ? "would copy" : "copied",
              cli_count(r->copied, copied), r->copied == 1 ? "" : "s", cli_count(r->there, there),
              dry_run ? "about " : "", cli_count(r->blobs, blobs), bytes_text(r->bytes, bytes),
              dry_run ? "" : " (stored: ", dry_run ? "" : bytes_text(r->stored_bytes, stored), dry_run ? "" : ")");
}

static int copy(struct cli *cli, struct repo *source, struct lock *source_lock, const struct copy_options *options)
{
    struct view view = {.cli = cli, .dry_run = options->dry_run};
    const struct copy_reporter reporter = {.ctx = &view, .snapshot = show_snapshot, .finding = show_finding};
    struct engine_progress counters = {.stage = NULL};
    struct copy_result result;
    struct err err = {0};
    struct repo *target;
    struct lock *lock;
    if (cli_open_locked(cli, CLI_LOCK_SHARED, true, &target, &lock, &err) != 0)
        return cli_fail(cli, &err);
    cli_be_nice(cli);
    struct cli_progress *progress = cli_engine_progress_start(cli, &counters);
    int rc = copy_run(source, source_lock, target, lock, options, &reporter, &counters, &result, &err);
    cli_progress_stop(progress);
    if (rc == 0) {
        print_result(cli, &result, options->dry_run);
        uint64_t lost = result.damaged + result.unreadable;
        if (lost > 0)
            rc = err_set(&err, ERR_CORRUPT,
                         "%llu snapshot%s of the repository to copy from cannot be read whole and %s not copied",
                         (unsigned long long)lost, lost == 1 ? "" : "s", lost == 1 ? "was" : "were");
        if (lost > 0)
            err_advise(&err, "run 'clawback check --read-data' for the repository to copy from");
    }
    copy_result_release(&result);
    lock_release(lock);
    repo_free(target);
    return rc != 0 ? cli_fail(cli, &err) : 0;
}

static int run_copy(struct cli *cli, void *options, int argc, char **argv)
{
    struct copy_command_options *o = options;
    struct err err = {0};
    struct repo *source;
    struct lock *lock;
    struct id *ids = NULL;
    if (from_repo_open(cli, &o->from, true, &source, &lock, &err) != 0)
        return cli_fail(cli, &err);
    int status;
    if (cli_find_snapshot_ids(cli, source, &o->filter, argc, argv, &ids, &err) != 0) {
        status = cli_fail(cli, &err);
    } else {
        const struct copy_options copy_options = {
            .ids = ids,
            .id_count = (size_t)argc,
            .match = cli_snapshot_match,
            .match_ctx = &o->filter,
            .dry_run = o->dry_run,
        };
        status = copy(cli, source, lock, &copy_options);
    }
    free(ids);
    lock_release(lock);
    repo_free(source);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback -r /mnt/second copy --from-repo /mnt/usb/backups", "everything that the second drive lacks"},
    {"clawback -r /mnt/second copy --from-repo /mnt/usb/backups latest", "the newest snapshot"},
    {NULL, NULL},
};

const struct command cmd_copy = {
    .name = "copy",
    .arguments = "[ID…]",
    .summary = "Copy snapshots from another repository",
    .description =
        "From --from-repo into the repository that --repo names; without an ID, all snapshots that match --host, --tag "
        "and --path. Only data that is not there yet is copied, and snapshots that were copied before are skipped, so "
        "that a copy may be repeated at any time. Interrupted, it goes on from where it was.\n\n"
        "A copy has an ID of its own and remembers the first one ('original'). A snapshot of which something is "
        "damaged is not copied: it is named, and the exit status is 1.\n\n"
        "Backups of the same files into both repositories share data with the copies only where both cut files alike: "
        "make the second one with 'init --from-repo FIRST --copy-chunker-params'.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct copy_command_options),
    .examples = EXAMPLES,
    .group = "Repository",
    .run = run_copy,
};
