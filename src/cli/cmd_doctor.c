/* The pre-flight list. */
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "cli/text.h"
#include "monitor/record.h"
#include "run/doctor.h"

enum { STATUS_YELLOW = 3, STATUS_RED = 1, CHECK_COLUMN = 17, LINE_MAX_BYTES = 16 << 10, WIDTH_MAX = 110 };

struct doctor_args {
    const char *config;
    bool offline, quick;
};

static const struct option OPTIONS[] = {
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct doctor_args, config),
     .metavar = "FILE",
     .help = "the plan (default: CLAWBACK_CONFIG, else clawback/clawback.yaml in the configuration directory)"},
    {.name = "offline",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct doctor_args, offline),
     .help = "do not ask git remotes whether they can be pushed to"},
    {.name = "quick",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct doctor_args, quick),
     .help = "open repositories, but do not check that they are complete"},
    OPTION_END,
};

struct view {
    struct cli *cli;
    const char *last; /* the check whose name was printed last */
};

static void show_json(struct cli *cli, const struct doctor_line *line)
{
    json_t *doc = json_pack("{s:s, s:s, s:s, s:o}", "message_type", "check", "check", line->check, "level",
                            doctor_level_name(line->level), "found", cli_json_string(line->found, strlen(line->found)));
    if (line->advice != NULL)
        json_object_set_new(doc, "advice", cli_json_string(line->advice, strlen(line->advice)));
    cli_json(cli, doc);
}

static const char *mark(const struct cli *cli, enum doctor_level level)
{
    static const char *const PLAIN[] = {"green ", "YELLOW", "RED   "};
    static const char *const COLORED[] = {"\033[32mgreen\033[0m ", TEXT_YELLOW "yellow" TEXT_PLAIN,
                                          TEXT_RED "RED" TEXT_PLAIN "   "};
    return cli->color_out ? COLORED[level] : PLAIN[level];
}

static void show(void *ctx, const struct doctor_line *line)
{
    struct view *v = ctx;
    struct buf text;
    char shown[4096];
    if (v->cli->json) {
        show_json(v->cli, line);
        return;
    }
    size_t width = cli_columns(stdout), indent = 8 + CHECK_COLUMN;
    if (width > WIDTH_MAX)
        width = WIDTH_MAX;
    bool named = v->last != NULL && strcmp(v->last, line->check) == 0;
    v->last = line->check;
    buf_init(&text, LINE_MAX_BYTES);
    buf_printf(&text, "%s  %-*s", mark(v->cli, line->level), CHECK_COLUMN, named ? "" : line->check);
    cli_printable(line->found, shown, sizeof shown);
    text_fill(&text, shown, strlen(shown), indent, indent, width);
    if (line->advice != NULL) {
        buf_printf(&text, "\n%*s-> ", (int)indent, "");
        cli_printable(line->advice, shown, sizeof shown);
        text_fill(&text, shown, strlen(shown), indent + 3, indent + 3, width);
    }
    cli_print(v->cli, "%s", buf_cstr(&text));
    buf_release(&text);
}

static int status_of(enum doctor_level level)
{
    return level == DOCTOR_RED ? STATUS_RED : level == DOCTOR_YELLOW ? STATUS_YELLOW : 0;
}

static void show_sum(struct cli *cli, const struct doctor_report *r)
{
    static const char *const WORDS[] = {"everything is ready", "it works; see the yellow lines",
                                        "not ready: see the red lines"};
    if (cli->json)
        cli_json(cli,
                 json_pack("{s:s, s:s, s:I, s:I, s:I}", "message_type", "summary", "level", doctor_level_name(r->worst),
                           "green", (json_int_t)r->green, "yellow", (json_int_t)r->yellow, "red", (json_int_t)r->red));
    else
        cli_print(cli, "\n%zu green, %zu yellow, %zu red: %s", r->green, r->yellow, r->red, WORDS[r->worst]);
}

/* A configuration that cannot be used is the first thing a doctor finds, and the last. */
static int tell_config(struct view *v, const struct err *why)
{
    struct doctor_report r = {0};
    doctor_report_add(&r, "configuration", DOCTOR_RED, why->message,
                      why->code == ERR_NOT_FOUND ? "make one: clawback setup"
                                                 : "see all mistakes: clawback config check");
    show(v, &r.lines[0]);
    show_sum(v->cli, &r);
    doctor_report_release(&r);
    return STATUS_RED;
}

static int examine(struct view *v, const struct plan *plan, const struct doctor_args *args)
{
    struct doctor_report report = {0};
    struct err err = {0};
    char *state_dir = record_state_dir(), *cache_dir = cli_cache_dir(v->cli);
    const struct doctor_options options = {
        .plan = plan, .state_dir = state_dir, .cache_dir = cache_dir, .offline = args->offline, .quick = args->quick};
    char *found = mem_printf("'%s' has no mistakes", plan->file);
    doctor_report_add(&report, "configuration", DOCTOR_GREEN, found, NULL);
    show(v, &report.lines[0]);
    int rc = doctor_run(&options, show, v, &report, &err);
    if (rc == 0)
        show_sum(v->cli, &report);
    int status = rc < 0 ? cli_fail(v->cli, &err) : status_of(report.worst);
    doctor_report_release(&report);
    free(found);
    free(state_dir);
    free(cache_dir);
    return status;
}

static int run_doctor(struct cli *cli, void *options, int argc, char **argv)
{
    const struct doctor_args *args = options;
    struct view view = {.cli = cli};
    struct plan *plan = NULL;
    struct err err = {0};
    if (argc > 0) {
        err_set(&err, ERR_USAGE, "doctor takes no argument '%s'", argv[0]);
        return cli_fail(cli, &err);
    }
    if (cli_load_plan(cli, args->config, &plan, &err) < 0)
        return tell_config(&view, &err);
    cli_be_nice(cli);
    int status = examine(&view, plan, args);
    plan_free(plan);
    return status;
}

static const struct command_example EXAMPLES[] = {
    {"clawback doctor", "is everything ready for a backup, and for getting it back?"},
    {"clawback doctor --json | jq 'select(.level == \"red\")'", "only what must be put right, for a program"},
    {NULL, NULL},
};

const struct command cmd_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "See whether everything is ready",
    .description =
        "Looks at everything that backups depend on: destinations (there, mounted, writable, another disk, room), "
        "their repositories, git repositories and whether they can be pushed, databases and containers, gpg, "
        "the passphrase, sensitive files, the editor's session, the scheduler, the last run and the last "
        "proven restore, the clock. Each line is green, yellow (worth a thought) or red (a backup will "
        "fail, or could not be restored), with what to do. Nothing is changed, and nothing hangs.\n\n"
        "The exit status is that of the worst line: 0 all green, 3 some yellow, 1 some red.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct doctor_args),
    .examples = EXAMPLES,
    .group = "Plan",
    .run = run_doctor,
};
