#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "cli/table.h"
#include "os/clock.h"
#include "run/status.h"

struct status_options {
    const char *config;
};

static const struct option OPTIONS[] = {
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct status_options, config),
     .metavar = "FILE",
     .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration directory)"},
    OPTION_END,
};

static int64_t to_ms(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

/* --- for people --- */

/* "3h ago", "in 25m": whole minutes below a day, then hours, then days. */
static const char *relative(int64_t ms, int64_t now_ms, char out[48])
{
    char text[32];
    int64_t distance = ms > now_ms ? ms - now_ms : now_ms - ms;
    int64_t unit = distance < 24 * 3600000LL ? 60000 : distance < 7 * 24 * 3600000LL ? 3600000 : 24 * 3600000LL;
    if (distance < 60000) {
        snprintf(out, 48, ms > now_ms ? "in a moment" : "just now");
        return out;
    }
    duration_format((uint64_t)(distance / unit * unit), text);
    snprintf(out, 48, ms > now_ms ? "in %s" : "%s ago", text);
    return out;
}

/* Heights from nothing to the largest. */
static void bars(const struct tier_status *t, struct buf *out)
{
    static const char *const BARS[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    uint64_t max = 0;
    for (size_t i = 0; i < t->size_count; i++)
        max = t->sizes[i] > max ? t->sizes[i] : max;
    for (size_t i = 0; i < t->size_count; i++)
        buf_append_str(out, BARS[max > 0 ? (size_t)((double)t->sizes[i] / (double)max * 7 + 0.5) : 0]);
}

static const char *outcome(const struct tier_status *t)
{
    if (t->running)
        return "running";
    if (t->last == NULL)
        return "never ran";
    if (t->last->status == RECORD_FAILED)
        return "failed";
    if (t->last->status == RECORD_SKIPPED)
        return "skipped";
    return t->last->exit_code == 0 ? "ok" : "incomplete";
}

static const char *next_text(const struct tier_status *t, int64_t now_ms, char out[48])
{
    if (t->tier->disabled)
        return "disabled";
    if (t->running)
        return "now";
    if (t->next_ms == 0)
        return "when named";
    if (t->due)
        return "due";
    return relative(t->next_ms, now_ms, out);
}

static void print_tiers(struct cli *cli, const struct status *s, int64_t now_ms)
{
    struct cli_table *table =
        cli_table_new((const char *const[]){"Tier", "Last run", "", "Next", ">Size", "History", NULL});
    for (size_t i = 0; i < s->tier_count; i++) {
        const struct tier_status *t = &s->tiers[i];
        char last[48] = "", next[48], size[24] = "";
        struct buf history;
        buf_init(&history, 1024);
        bars(t, &history);
        if (t->last != NULL)
            relative(to_ms(&t->last->time), now_ms, last);
        if (t->size_count > 0)
            cli_bytes(t->sizes[t->size_count - 1], size);
        cli_table_row(table, (const char *const[]){t->tier->name, outcome(t), last, next_text(t, now_ms, next), size,
                                                   buf_cstr(&history)});
        buf_release(&history);
    }
    cli_table_print(cli, table, NULL);
    cli_table_free(table);
}

static void print_destination(struct cli *cli, const struct destination_status *d)
{
    const struct destination_check *c = &d->check;
    char free_text[24], total[24], forecast[200];
    if (c->problem != DESTINATION_OK) {
        cli_print(cli, "%s: %s", c->destination->name, destination_problem_name(c->problem));
        return;
    }
    if (c->total_bytes == 0) {
        cli_print(cli, "%s: ready", c->destination->name);
        return;
    }
    forecast_describe(&d->forecast, forecast, sizeof forecast);
    cli_print(cli, "%s: %.0f %% used, %s of %s free; %s", c->destination->name,
              100 - 100 * (double)c->free_bytes / (double)c->total_bytes, cli_bytes(c->free_bytes, free_text),
              cli_bytes(c->total_bytes, total), forecast);
}

static void print_status(struct cli *cli, const struct status *s, int64_t now_ms)
{
    char shown[4096];
    print_tiers(cli, s, now_ms);
    cli_print(cli, "%s", "");
    for (size_t i = 0; i < s->destination_count; i++)
        print_destination(cli, &s->destinations[i]);
    if (s->running)
        cli_print(cli, "\na run is under way: %s", cli_printable(s->runner, shown, sizeof shown));
    if (s->problems.count > 0)
        cli_print(cli, "\n%zu problem%s:", s->problems.count, s->problems.count == 1 ? "" : "s");
    for (size_t i = 0; i < s->problems.count; i++)
        cli_print(cli, "  %s", cli_printable(s->problems.items[i], shown, sizeof shown));
}

/* --- for programs --- */

static json_t *time_json(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return ms > 0 ? cli_json_time(&t) : json_null();
}

static json_t *text_json(const char *text)
{
    return text != NULL ? cli_json_string(text, strlen(text)) : json_null();
}

static json_t *tier_json(const struct tier_status *t)
{
    json_t *sizes = json_array();
    for (size_t i = 0; i < t->size_count; i++)
        json_array_append_new(sizes, json_integer((json_int_t)t->sizes[i]));
    json_t *o = json_pack("{s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "name", t->tier->name, "outcome", outcome(t),
                          "disabled", t->tier->disabled, "running", t->running, "due", t->due, "next_due",
                          time_json(t->next_ms), "last_run", time_json(t->last != NULL ? to_ms(&t->last->time) : 0),
                          "last_success", time_json(t->good != NULL ? to_ms(&t->good->time) : 0), "sizes", sizes);
    if (t->last != NULL) {
        json_object_set_new(o, "exit_code", json_integer(t->last->exit_code));
        json_object_set_new(o, "duration_ms", json_integer((json_int_t)t->last->duration_ms));
        json_object_set_new(o, "bytes_added", json_integer((json_int_t)t->last->bytes_added));
        json_object_set_new(o, "error", text_json(t->last->error));
    }
    return o;
}

static json_t *forecast_json(const struct forecast *f)
{
    static const char *const KINDS[] = {
        [FORECAST_UNKNOWN] = "unknown", [FORECAST_NEVER] = "never", [FORECAST_DATE] = "date"};
    return json_pack("{s:s, s:f, s:f, s:o, s:o, s:o, s:I}", "kind", KINDS[f->kind], "bytes_per_day", f->bytes_per_day,
                     "fit", f->fit, "full", time_json(f->full_ms), "earliest", time_json(f->earliest_ms), "latest",
                     time_json(f->latest_ms), "points", (json_int_t)f->points);
}

static json_t *destination_json(const struct destination_status *d)
{
    const struct destination_check *c = &d->check;
    return json_pack(
        "{s:s, s:s, s:s, s:b, s:o, s:I, s:I, s:o}", "name", c->destination->name, "location", c->destination->location,
        "state", destination_problem_name(c->problem), "ready", c->problem == DESTINATION_OK, "message",
        text_json(c->problem == DESTINATION_OK ? NULL : c->err.message), "free_bytes", (json_int_t)c->free_bytes,
        "total_bytes", (json_int_t)c->total_bytes, "forecast", forecast_json(&d->forecast));
}

static void print_json(struct cli *cli, const struct status *s)
{
    json_t *tiers = json_array(), *destinations = json_array(), *problems = json_array();
    for (size_t i = 0; i < s->tier_count; i++)
        json_array_append_new(tiers, tier_json(&s->tiers[i]));
    for (size_t i = 0; i < s->destination_count; i++)
        json_array_append_new(destinations, destination_json(&s->destinations[i]));
    for (size_t i = 0; i < s->problems.count; i++)
        json_array_append_new(problems, text_json(s->problems.items[i]));
    cli_json(cli, json_pack("{s:s, s:b, s:o, s:o, s:o}", "message_type", "status", "running", s->running, "tiers",
                            tiers, "destinations", destinations, "problems", problems));
}

static int run_status(struct cli *cli, void *options, int argc, char **argv)
{
    const struct status_options *o = options;
    struct err err = {0};
    struct plan *plan = NULL;
    int rc = argc > 0 ? err_set(&err, ERR_USAGE, "'status' takes no arguments, but '%s' was given", argv[0])
                      : cli_load_plan(cli, o->config, &plan, &err);
    if (rc < 0)
        return cli_fail(cli, &err);
    char *state_dir = record_state_dir();
    struct timespec now = os_now();
    struct status status;
    status_gather(plan, state_dir, to_ms(&now), &status);
    if (cli->json)
        print_json(cli, &status);
    else
        print_status(cli, &status, to_ms(&now));
    status_release(&status);
    free(state_dir);
    plan_free(plan);
    return 0;
}

static const struct command_example EXAMPLES[] = {
    {"clawback status", "each tier, each destination, what is the matter"},
    {"clawback status --json", "the same for programs"},
    {NULL, NULL},
};

const struct command cmd_status = {
    .name = "status",
    .arguments = "",
    .summary = "Show how the backups stand: runs, sizes, destinations, problems",
    .description =
        "One screen, from the plan and the run records: each tier's last run and when it is due next, the sizes of its "
        "last runs, how full the destinations are and when they will be (a straight line through what was used after "
        "each run, with the range that it is in four times out of five), and every problem that is open. Nothing is "
        "opened and nothing is changed. The exit status is 0 whatever is shown.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct status_options),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_status,
};
