#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/runs.h"
#include "os/clock.h"
#include "plan/schedule.h"

struct runs_options {
    int64_t last;
    bool last_given, failed, follow;
    const char *since, *run_id;
};

enum { LAST_DEFAULT = 20, FOLLOW_DEFAULT = 10 };

static const struct option OPTIONS[] = {
    {.name = "last",
     .short_name = 'n',
     .kind = OPTION_NUMBER,
     .offset = offsetof(struct runs_options, last),
     .set_offset = offsetof(struct runs_options, last_given),
     .min = 1,
     .max = INT32_MAX,
     .metavar = "N",
     .group = "Which runs",
     .help = "the newest N (default 20; with --follow 10; with --since all)"},
    {.name = "since",
     .kind = OPTION_STRING,
     .offset = offsetof(struct runs_options, since),
     .metavar = "TIME",
     .help = "those that ended after it: \"2026-02-04 06:00\", or so long ago: 7d, 12h"},
    {.name = "failed",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct runs_options, failed),
     .help = "those that failed or are incomplete"},
    {.name = "run",
     .kind = OPTION_STRING,
     .offset = offsetof(struct runs_options, run_id),
     .metavar = "ID",
     .help = "everything of one run: its tiers, sources, destinations, warnings; ID: as shown, or four digits of it"},
    {.name = "follow",
     .short_name = 'f',
     .kind = OPTION_FLAG,
     .offset = offsetof(struct runs_options, follow),
     .group = "How they are shown",
     .help = "a line each, and go on with what is added, until Ctrl-C"},
    OPTION_END,
};

static int parse_since(const char *text, int64_t *out, struct err *err)
{
    uint64_t ago;
    if (text == NULL)
        return 0;
    if (duration_parse(text, &ago, NULL) == 0) {
        int64_t now = os_now_ms();
        *out = ago < (uint64_t)now ? now - (int64_t)ago : 0;
        return 0;
    }
    struct err why = {0};
    char *midnight = mem_printf("%s 00:00", text);
    int rc = schedule_parse_time(midnight, NULL, out, NULL);
    if (rc != 0)
        rc = schedule_parse_time(text, NULL, out, &why);
    free(midnight);
    return rc == 0 ? 0 : err_set(err, ERR_USAGE, "--since: %s, and no duration like 7d or 12h", why.message);
}

static int check(const struct runs_options *o, struct err *err)
{
    if (o->run_id == NULL)
        return 0;
    if (o->follow)
        return err_set(err, ERR_USAGE, "--run and --follow do not go together");
    if (strlen(o->run_id) < RUN_ID_LEAST)
        return err_set(err, ERR_USAGE, "--run: '%s' is too short: %d digits of the ID at least", o->run_id,
                       RUN_ID_LEAST);
    return 0;
}

static size_t count_shown(const struct runs_options *o, const struct run_rows *rows)
{
    size_t wanted = o->follow ? FOLLOW_DEFAULT : LAST_DEFAULT;
    if (o->last_given)
        wanted = (size_t)o->last;
    else if (o->run_id != NULL || (o->since != NULL && !o->follow))
        wanted = rows->count;
    return wanted < rows->count ? wanted : rows->count;
}

static void show(struct cli *cli, const struct runs_options *o, const struct run_rows *rows)
{
    size_t shown = count_shown(o, rows);
    if (o->follow) {
        for (size_t i = shown; i-- > 0;)
            runs_print_line(cli, &rows->items[i].record, rows->items[i].line, strlen(rows->items[i].line));
    } else if (cli->json) {
        for (size_t i = 0; i < shown; i++)
            cli_json(cli, runs_json(rows->items[i].line, strlen(rows->items[i].line)));
    } else if (o->run_id != NULL) {
        runs_print_run(cli, rows);
    } else {
        runs_print_table(cli, rows, shown);
    }
}

static int run_runs(struct cli *cli, void *options, int argc, char **argv)
{
    const struct runs_options *o = options;
    struct err err = {0};
    struct strlist names = {0};
    struct run_rows rows = {0};
    struct run_filter filter = {
        .names = &names, .failed = o->failed, .run_id = o->run_id, .by_begin = o->run_id == NULL && !o->follow};
    const char *other = NULL;
    char *state_dir = record_state_dir();
    for (int i = 0; i < argc; i++)
        if (!strlist_contains(&names, argv[i]))
            strlist_add(&names, argv[i]);
    int rc = check(o, &err);
    if (rc == 0)
        rc = parse_since(o->since, &filter.since_ms, &err);
    if (rc == 0)
        rc = runs_gather(state_dir, &filter, &rows, &err);
    if (rc == 0 && o->run_id != NULL && rows.count == 0)
        rc = err_set(&err, ERR_NOT_FOUND, "no run log has a run '%s'", o->run_id);
    if (rc == 0 && o->run_id != NULL && runs_ambiguous(&rows, &other))
        rc = err_set(&err, ERR_USAGE, "--run: '%s' is the beginning of %s and of %s: give more digits", o->run_id,
                     rows.items[0].record.run_id, other);
    if (rc == 0)
        show(cli, o, &rows);
    runs_release(&rows);
    if (rc == 0 && o->follow && runs_follow(cli, state_dir, &filter, &err) != 0)
        rc = err_exit_status(ERR_INTERRUPTED); /* asked for: nothing to complain of */
    strlist_release(&names);
    free(state_dir);
    return rc < 0 ? cli_fail(cli, &err) : rc;
}

static const struct command_example EXAMPLES[] = {
    {"clawback runs", "the newest runs of all tiers and jobs"},
    {"clawback runs config --failed --since 7d", "what went wrong with a tier in the last week"},
    {"clawback runs --run 3f9c", "everything that is known of one run"},
    {"clawback runs --follow", "watch them come in"},
    {NULL, NULL},
};

const struct command cmd_runs = {
    .name = "runs",
    .arguments = "[JOB|TIER…]",
    .summary = "Show what became of the runs of tiers and of the daemon's jobs",
    .description =
        "From the run logs (runs/NAME.jsonl in the state directory), the one that began last first: when that was, the "
        "first digits of its ID (for --run), what it was, how it ended, how long it took, how much was read and how "
        "much was "
        "added (where the terminal is wide enough), and below that what was the matter. A job of "
        "the daemon's that ran the plan stands beside the tiers of that run, with their sums. Logs reach back 2,000 "
        "lines for each tier and job.\n\n"
        "With --json each line is a record as its log has it, with \"message_type\":\"run\". The exit status is 0 "
        "whatever is shown.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct runs_options),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_runs,
};
