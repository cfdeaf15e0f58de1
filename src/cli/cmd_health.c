/* Is everything well? For an hourly timer, for a monitor, for a person. */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/shell.h"
#include "cli/commands.h"
#include "cli/health_view.h"
#include "cli/plan_access.h"
#include "monitor/log.h"
#include "monitor/outbox.h"
#include "monitor/record.h"
#include "monitor/state.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"
#include "plan/config.h"
#include "plan/withhold.h"

enum {
    STATUS_UNKNOWN = 3, /* a plugin's fourth state */
    WIDTH_MAX = 120,
    FLUSH_MS = 20000,
    /* Who runs plugins gives them ten seconds. */
    PLUGIN_PATIENCE_MS = 6000,
    PLUGIN_FLUSH_MS = 1000
};

struct health_args {
    const char *config, *prometheus;
    bool nagios, quick, no_alerts, scheduled;
};

static const struct option OPTIONS[] = {
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct health_args, config),
     .metavar = "FILE",
     .group = "What to look at",
     .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration directory)"},
    {.name = "quick",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct health_args, quick),
     .help = "ask no databases and compare no clocks"},
    {.name = "no-alerts",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct health_args, no_alerts),
     .help = "look only: open and close no alerts, send nothing"},
    {.name = "scheduled",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct health_args, scheduled),
     .help = "exit with 0 whatever is found: the alerts tell, and the job that looked has not failed"},
    {.name = "nagios",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct health_args, nagios),
     .group = "How to say it",
     .help = "as a plugin of Nagios or Icinga does, within ten seconds"},
    {.name = "prometheus",
     .kind = OPTION_STRING,
     .offset = offsetof(struct health_args, prometheus),
     .metavar = "FILE",
     .help = "write numbers for node_exporter's textfile collector; '-': to standard output, instead of the text"},
    OPTION_END,
};

/* --- saying it --- */

static void print_buf(struct cli *cli, struct buf *text)
{
    if (text->len > 0 && text->data[text->len - 1] == '\n')
        text->len--;
    if (text->len > 0)
        cli_print(cli, "%s", buf_cstr(text));
}

/* The other forms are for programs and are never silenced. */
static void say(struct cli *cli, const struct health_args *o, const struct health_report *r)
{
    struct buf text;
    if (cli->json) {
        cli_json(cli, health_view_json(r));
        return;
    }
    buf_init(&text, HEALTH_VIEW_MAX_BYTES);
    unsigned columns = cli_columns(stdout);
    bool silent = cli->quiet && r->worst < ALERT_WARNING;
    if (o->nagios)
        health_view_nagios(r, &text);
    else if (o->prometheus != NULL && strcmp(o->prometheus, "-") == 0)
        health_view_prometheus(r, &text);
    else if (!silent && cli->journal_out)
        health_view_journal(r, cli->verbose > 0, &text);
    else if (!silent)
        health_view_text(r, cli->verbose > 0, cli->color_out, columns < WIDTH_MAX ? columns : WIDTH_MAX, &text);
    print_buf(cli, &text);
    buf_release(&text);
    fflush(stdout);
}

/* For everybody to read: a collector runs as another user, and nothing in it is secret. */
static int write_textfile(const char *path, const struct health_report *r, struct err *err)
{
    struct buf text;
    buf_init(&text, HEALTH_VIEW_MAX_BYTES);
    health_view_prometheus(r, &text);
    int rc = text.overflow ? err_set(err, ERR_FAILED, "there is too much to say in '%s'", path)
                           : os_write_file_atomic(path, text.data, text.len, 0644, err);
    buf_release(&text);
    return rc;
}

/* Where --prometheus says, else where the plan does. -1: told. */
static int write_numbers(struct cli *cli, const struct health_args *o, const struct plan *p,
                         const struct health_report *r)
{
    const char *path = o->prometheus != NULL ? o->prometheus : p != NULL && !o->quick ? p->health.textfile : NULL;
    struct err err = {0};
    if (path == NULL || strcmp(path, "-") == 0 || write_textfile(path, r, &err) == 0)
        return 0;
    cli_warn(cli, "%s", err.message);
    return -1;
}

/* What opens or closes an alert has its line in the log already. */
static void write_log(const struct health_report *r)
{
    for (size_t i = 0; i < r->findings.count; i++)
        if (r->findings.items[i].level == ALERT_INFO)
            log_line(LOG_LEVEL_INFO, "%s", r->findings.items[i].text);
    size_t warnings = health_view_count(&r->findings, ALERT_WARNING), all = r->findings.count;
    log_line(LOG_LEVEL_INFO, "%zu critical, %zu warning%s, of %zu thing%s looked at",
             health_view_count(&r->findings, ALERT_CRITICAL), warnings, warnings == 1 ? "" : "s", all,
             all == 1 ? "" : "s");
}

/* --- doing it --- */

/* Without a plan nothing is backed up, and nobody can be told: that much can be said. */
static int without_plan(struct cli *cli, const struct health_args *o, const struct err *why)
{
    struct health_report r = {.worst = ALERT_CRITICAL};
    r.facts.now_ms = os_now_ms();
    struct finding *f =
        finding_add(&r.findings, "plan", "", ALERT_CRITICAL, "no plan, so no backups: %s", why->message);
    char *file = o->config != NULL ? shell_word(o->config) : NULL;
    f->command = why->code == ERR_NOT_FOUND
                     ? mem_strdup("clawback setup")
                     : mem_printf("clawback config check%s%s", file != NULL ? " -c " : "", file != NULL ? file : "");
    free(file);
    if (o->nagios && !cli->json) {
        char shown[ERR_MESSAGE_BYTES * 2];
        cli_print(cli, "UNKNOWN: %s", cli_printable(why->message, shown, sizeof shown));
    } else {
        say(cli, o, &r);
    }
    write_numbers(cli, o, NULL, &r);
    health_report_release(&r);
    return o->nagios ? STATUS_UNKNOWN : health_view_status(ALERT_CRITICAL);
}

/* What waits may be older than what was found now: it is sent even when all is well. */
static void send_messages(struct cli *cli, const struct plan *p, const char *state_dir, uint64_t patience_ms)
{
    struct state *s;
    struct err err = {0};
    struct outbox_result sent = {0};
    if (p->alerts.channel_count == 0 || os_interrupted() || state_open(&s, state_dir, &err) != 0)
        return;
    if (outbox_flush(p, s, os_monotonic_ns() + patience_ms * 1000000, &sent, &err) != 0)
        cli_warn(cli, "messages cannot be sent: %s", err.message);
    state_close(s);
}

static int examine(struct cli *cli, const struct health_args *o, const struct plan *p, const char *state_dir)
{
    const struct health_options options = {.plan = p,
                                           .state_dir = state_dir,
                                           .quick = o->quick,
                                           .quiet = o->no_alerts,
                                           .patience_ms = o->nagios ? PLUGIN_PATIENCE_MS : 0};
    struct health_report report;
    struct err err = {0};
    int rc = health_check(&options, &report, &err), status;
    if (rc != 0 && err.code == ERR_INTERRUPTED) {
        status = cli_fail(cli, &err);
    } else {
        /* A state that cannot be opened is one of the findings. */
        say(cli, o, &report);
        write_log(&report);
        status = health_view_status(report.worst);
        if (write_numbers(cli, o, p, &report) != 0 && status == 0)
            status = 1;
        if (!o->no_alerts)
            send_messages(cli, p, state_dir, o->nagios ? PLUGIN_FLUSH_MS : FLUSH_MS);
    }
    health_report_release(&report);
    return o->scheduled && !os_interrupted() ? 0 : status;
}

static int run_health(struct cli *cli, void *options, int argc, char **argv)
{
    const struct health_args *o = options;
    struct err err = {0};
    struct plan *plan = NULL;
    if (argc > 0) {
        err_set(&err, ERR_USAGE, "'health' takes no arguments, but '%s' was given", argv[0]);
        return cli_fail(cli, &err);
    }
    if (cli_load_plan_to_run(cli, o->config, &plan, &err) != 0)
        return without_plan(cli, o, &err);
    plan_withhold_secrets(plan);
    char *state_dir = record_state_dir();
    log_open(state_dir, "health");
    int status = examine(cli, o, plan, state_dir);
    log_close();
    free(state_dir);
    plan_free(plan);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback health", "what is wrong, the worst first, and what to type"},
    {"clawback health -q || true", "hourly, from cron: says nothing while all is well; the channels are told"},
    {"clawback health --nagios --no-alerts", "as a check of Nagios or Icinga"},
    {"clawback health --prometheus /var/lib/prometheus/node-exporter/clawback.prom", "numbers for Prometheus"},
    {NULL, NULL},
};

const struct command cmd_health = {
    .name = "health",
    .arguments = "",
    .summary = "Look whether everything is well, and tell the owner when it is not",
    .description =
        "Looks at everything that goes wrong without anybody noticing: a tier that has not succeeded in its interval "
        "and a quarter, failed and unfinished runs, destinations that are not there, fill up or did not get "
        "everything, pushes, databases that could not be dumped, sizes that jump, the scheduler, the clock, the last "
        "proof of a restore. Nothing is changed but the list of open alerts, and nothing hangs: what does not answer "
        "is given up after 20 seconds.\n\n"
        "What is found opens an alert, and what is fine again closes it; the channels of the plan are told of both, "
        "rarely enough to be read. Messages that could not be sent wait and are tried again with each run of this "
        "command, for 20 seconds at most. Run it every hour: 'clawback schedule install' sees to that. The thresholds "
        "are the plan's 'health', the channels its 'alerts'. With -v what is fine is shown too; with -q nothing while "
        "nothing is wrong.\n\n"
        "The exit status is 0 when all is well, 1 with warnings, 2 when something is critical; also 2 when there is no "
        "plan that can be read (3, UNKNOWN, with --nagios). With --scheduled it is 0 as long as there is a plan.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct health_args),
    .examples = EXAMPLES,
    .group = "Looking",
    .run = run_health,
};
