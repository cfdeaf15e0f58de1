#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "cli/run_view.h"

struct run_command_options {
    const char *config;
    bool all, dry_run, wait, accept_size;
    struct strlist adopt;
};

enum { RETRY_LOCK_DEFAULT_MS = 2 * 60 * 1000 };

static const struct option OPTIONS[] = {
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct run_command_options, config),
     .metavar = "FILE",
     .group = "What to run",
     .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration directory)"},
    {.name = "all",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct run_command_options, all),
     .help = "every tier that is not disabled, whether it is due or not"},
    {.name = "dry-run",
     .short_name = 'n',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct run_command_options, dry_run),
     .help = "read, but store nothing, run no hooks, push nothing, record nothing"},
    {.name = "wait",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct run_command_options, wait),
     .help = "for another run to end, instead of leaving it to that one"},
    {.name = "accept-size",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct run_command_options, accept_size),
     .group = "What to take for good",
     .help = "dumps that are much smaller than the last time"},
    {.name = "adopt-destination",
     .kind = OPTION_LIST,
     .offset = offsetof(struct run_command_options, adopt),
     .metavar = "NAME",
     .help = "the drive that is at this destination now, instead of the one that was there before"},
    OPTION_END,
};

/* What the plan says, no option shall seem to say otherwise. */
static int check_globals(const struct cli *cli, struct err *err)
{
    if (cli->repository != NULL || cli->repository_file != NULL)
        return err_set(err, ERR_USAGE, "--repo is not for 'run': the plan names its destinations");
    if (cli->passphrase_file != NULL || cli->passphrase_command != NULL)
        return err_set(err, ERR_USAGE,
                       "--password-file and --password-command are not for 'run': the plan says where "
                       "the passphrase is");
    return 0;
}

/* Options that narrow what the plan allows, for this run only. */
static void apply_globals(const struct cli *cli, struct plan *plan)
{
    if (cli->cpus > 0)
        plan->cpus = (unsigned)cli->cpus;
    if (cli->limit_read > 0)
        plan->limit_read_bytes_per_s = cli->limit_read;
    for (size_t i = 0; i < plan->destination_count; i++) {
        if (cli->limit_write > 0)
            plan->destinations[i].limit_write_bytes_per_s = cli->limit_write;
        if (cli->compression != NULL)
            plan->destinations[i].compression = cli->compression;
    }
}

static int run_all(struct cli *cli, const struct run_command_options *o, const struct run_options *options,
                   struct run_result *result, struct err *err)
{
    struct run_view view;
    run_view_init(&view, cli, o->dry_run);
    cli_be_nice(cli);
    struct cli_progress *live = cli_progress_start_json(cli, run_view_draw, run_view_status, &view);
    int rc = run_plan(options, &view.reporter, &view.progress, result, err);
    cli_progress_stop(live);
    if (rc == 0)
        run_view_summary(&view, result);
    run_view_release(&view);
    return rc;
}

/* Somebody else's run does what ours would have done: that is fine, unless ours was asked for by name. */
static int leave_it(struct cli *cli, bool named, const struct err *err)
{
    if (named)
        return cli_fail(cli, err);
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:b, s:o, s:i}", "message_type", "summary", "busy", true, "message",
                                cli_json_string(err->message, strlen(err->message)), "exit_code", 0));
    else
        cli_print(cli, "%s; nothing to do (--wait waits for it)", err->message);
    return 0;
}

static int run_run(struct cli *cli, void *options, int argc, char **argv)
{
    const struct run_command_options *o = options;
    struct err err = {0};
    struct plan *plan = NULL;
    struct strlist tiers = {0};
    struct run_result result = {0};
    for (int i = 0; i < argc; i++)
        strlist_add(&tiers, argv[i]);
    int rc = check_globals(cli, &err);
    if (rc == 0 && o->all && argc > 0)
        rc = err_set(&err, ERR_USAGE, "--all and names of tiers exclude each other");
    if (rc == 0)
        rc = cli_load_plan_to_run(cli, o->config, &plan, &err);
    char *state_dir = record_state_dir(), *cache_dir = cli_cache_dir(cli);
    if (rc == 0) {
        apply_globals(cli, plan);
        const struct run_options run = {
            .plan = plan,
            .tiers = &tiers,
            .all = o->all,
            .dry_run = o->dry_run,
            .wait = o->wait,
            .accept_size = o->accept_size,
            .adopt = &o->adopt,
            .state_dir = state_dir,
            .cache_dir = cache_dir,
            .program_version = "clawback " CLAWBACK_VERSION,
            .retry_lock_ms = cli->retry_lock_ms > 0 ? cli->retry_lock_ms : RETRY_LOCK_DEFAULT_MS,
        };
        rc = run_all(cli, o, &run, &result, &err);
    }
    int status = rc == 0 ? result.exit_code : result.busy ? leave_it(cli, argc > 0, &err) : cli_fail(cli, &err);
    plan_free(plan);
    strlist_release(&tiers);
    free(state_dir);
    free(cache_dir);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback run", "what is due by the plan and the records of earlier runs: for a scheduler"},
    {"clawback run databases full", "these tiers, now"},
    {"clawback run --all --dry-run", "look, but do nothing"},
    {"clawback run --adopt-destination usb", "after a new drive was plugged in"},
    {NULL, NULL},
};

const struct command cmd_run = {
    .name = "run",
    .arguments = "[TIER…]",
    .summary = "Run the plan: the tiers that are due, or those named",
    .description =
        "Reads clawback.yaml. For each tier, in order: looks at its destinations (mounted, the right drive, room "
        "enough) "
        "before anything is read; reads each source once and stores it in all destinations, as snapshots with the tags "
        "tier=NAME, run=ID and source=KIND or as one archive; confirms what was stored; pushes git repositories; "
        "removes what "
        "'keep' "
        "does not keep; writes a run record (runs/TIER.jsonl in the state directory), whatever happened.\n\n"
        "Only one run is under way at a time; a second one without names leaves it to the first, and that is no "
        "failure. A tier with 'every' that is started up to a twentieth of it (at most 5 minutes) too early runs.\n\n"
        "Nothing is removed after a run that failed, could not be confirmed, or in which a dump shrank to less than a "
        "tenth. A dump that did is a failure (or, with 'on_shrink: warn', a warning); its snapshot is kept with the "
        "tag "
        "'suspect' and takes no good one's place.\n\n"
        "A tier that failed is run again where its plan has 'retry' and that may help; others may run while it "
        "waits. At the end alerts are opened and closed, and whoever the plan names under 'alerts' is told, which "
        "takes 20 seconds at most and changes no exit status.\n\n"
        "The exit status is 0 when all is well or nothing was due; 3 when something is missing (a file could not be "
        "read, one of several destinations did not get it, a push failed); 1 when a tier failed; 130 when interrupted.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct run_command_options),
    .examples = EXAMPLES,
    .group = "Backing up",
    .run = run_run,
};
