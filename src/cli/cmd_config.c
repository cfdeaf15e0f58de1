#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/config_view.h"
#include "os/clock.h"
#include "plan/config.h"

enum { VIEW_MAX_BYTES = 16 << 20, SHOWN_BYTES = 1200 };

struct config_args {
    const char *config;
};

static const struct option OPTIONS[] = {
    {.name = "config",
     .short_name = 'c',
     .kind = OPTION_STRING,
     .offset = offsetof(struct config_args, config),
     .metavar = "FILE",
     .group = "What to look at",
     .help = "the plan, as for all other commands: the same as FILE alone"},
    OPTION_END,
};

/* The one that is named, or the default place. The caller frees it. NULL: too many are named. */
static char *file_of(struct cli *cli, const struct config_args *o, int argc, char **argv, struct err *err)
{
    const char *named = argc == 1 ? argv[0] : o->config;
    if (argc <= 1 && (argc == 0 || o->config == NULL))
        return named != NULL ? mem_strdup(named) : config_default_path();
    err_set(err, ERR_USAGE, "'%s' takes one file at most", cli->command->name);
    return NULL;
}

/* --- check */

/* As compilers write it, so that editors can jump there. */
static void show_mistake(struct cli *cli, const char *file, const struct config_mistake *m)
{
    const char *level = m->warning ? "warning" : "error";
    char place[SHOWN_BYTES], message[SHOWN_BYTES];
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:s, s:o, s:i, s:i, s:o}", "message_type", "mistake", "level", level, "file",
                                cli_json_string(file, strlen(file)), "line", (int)m->line, "column", (int)m->column,
                                "message", cli_json_string(m->message, strlen(m->message))));
    else
        cli_print(cli, "%s:%u:%u: %s: %s", cli_printable(file, place, sizeof place), m->line, m->column, level,
                  cli_printable(m->message, message, sizeof message));
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void show_sum(struct cli *cli, const char *file, const struct config_report *report, const struct plan *plan)
{
    size_t warnings = report->count - report->errors;
    char place[SHOWN_BYTES];
    cli_printable(file, place, sizeof place);
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:o, s:I, s:I}", "message_type", "summary", "file",
                                cli_json_string(file, strlen(file)), "errors", (json_int_t)report->errors, "warnings",
                                (json_int_t)warnings));
    else if (report->errors > 0)
        cli_print(cli, "%s: %zu mistake%s", place, report->errors, plural(report->errors));
    else
        cli_print(cli, "%s: no mistakes; %zu tier%s to %zu destination%s", place, plan->tier_count,
                  plural(plan->tier_count), plan->destination_count, plural(plan->destination_count));
}

static int run_check(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct plan *plan = NULL;
    struct config_report report = {0};
    char *file = file_of(cli, options, argc, argv, &err);
    int rc = file == NULL ? -1 : config_load(file, &plan, &report, &err);
    int status = 0;
    if (rc < 0 && report.count == 0) { /* no mistake in the file: it could not be read */
        status = cli_fail(cli, &err);
    } else {
        for (size_t i = 0; i < report.count; i++)
            show_mistake(cli, file, &report.items[i]);
        show_sum(cli, file, &report, plan);
        status = rc < 0 ? 1 : 0;
    }
    config_report_release(&report);
    plan_free(plan);
    free(file);
    return status;
}

/* --- show */

static void show_plan(struct cli *cli, const struct plan *plan)
{
    struct timespec now = os_now();
    json_t *view = config_view_json(plan, (int64_t)now.tv_sec * 1000);
    if (cli->json) {
        cli_json(cli, view);
        return;
    }
    struct buf text;
    buf_init(&text, VIEW_MAX_BYTES);
    config_view_text(view, &text);
    if (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    cli_print(cli, "%s", buf_cstr(&text));
    buf_release(&text);
    json_decref(view);
}

static int run_show(struct cli *cli, void *options, int argc, char **argv)
{
    struct err err = {0};
    struct plan *plan = NULL;
    struct config_report report = {0};
    char *file = file_of(cli, options, argc, argv, &err);
    int rc = file == NULL ? -1 : config_load(file, &plan, &report, &err);
    for (size_t i = 0; rc == 0 && i < report.count; i++)
        cli_warn(cli, "%s:%u: %s", file, report.items[i].line, report.items[i].message);
    if (rc == 0)
        show_plan(cli, plan);
    config_report_release(&report);
    plan_free(plan);
    free(file);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

const struct command cmd_config_check = {
    .name = "config check",
    .arguments = "[FILE]",
    .summary = "Look for mistakes in the configuration",
    .description = "Prints every mistake in clawback.yaml with its line, what was found and what was expected, and "
                   "changes nothing. The exit status is 1 when there is one; warnings alone do not count.\n\n"
                   "Without a FILE: $CLAWBACK_CONFIG, else clawback/clawback.yaml in $XDG_CONFIG_HOME or ~/.config, "
                   "else /etc/clawback/clawback.yaml.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct config_args),
    .run = run_check,
    .group = "Backing up",
};

const struct command cmd_config_show = {
    .name = "config show",
    .arguments = "[FILE]",
    .summary = "Show the configuration as it was understood",
    .description = "Prints the plan that clawback.yaml makes, with all defaults filled in, paths expanded and the next "
                   "times at which tiers are due. Passwords in URLs are hidden. What is printed is a valid "
                   "configuration itself.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct config_args),
    .run = run_show,
    .group = "Backing up",
};
