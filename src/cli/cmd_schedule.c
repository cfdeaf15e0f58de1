/* Installing a schedule, taking it back, switching it on and off. */
#include "cli/cmd_schedule.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/commands.h"
#include "cli/plan_access.h"
#include "monitor/record.h"
#include "os/process.h"
#include "plan/config.h"

enum { LINE_MAX_BYTES = 64 << 10 };

const char *const SCHEDULE_VIAS[] = {"openclaw", "daemon", "systemd", "cron", NULL};

static const struct option INSTALL_OPTIONS[] = {
    SCHEDULE_CONFIG_OPTION,
    SCHEDULE_VIA_OPTION("who is to start backups (default: the best that is there)"),
    {.name = "disabled",
     .kind = OPTION_FLAG,
     .offset = offsetof(struct schedule_options, disabled),
     .help = "put everything in place, but start nothing until 'clawback schedule enable'"},
    SCHEDULE_DRY_RUN_OPTION,
    OPTION_END,
};
static const struct option CHANGE_OPTIONS[] = {
    SCHEDULE_VIA_OPTION("only there (default: everywhere it is installed)"),
    SCHEDULE_DRY_RUN_OPTION,
    OPTION_END,
};
static const struct option RUN_OPTIONS[] = {
    SCHEDULE_DRY_RUN_OPTION,
    OPTION_END,
};

/* --- opening --- */

static void say_json(struct cli *cli, enum install_word word, const char *text)
{
    static const char *const NAMES[] = {"step", "same", "note", "warning", "text"};
    cli_json(cli, json_pack("{s:s, s:s, s:o}", "message_type", "schedule_step", "kind", NAMES[word], "text",
                            cli_json_string(text, strlen(text))));
}

static void say_lines(struct cli *cli, const char *text)
{
    char shown[4096];
    while (*text != '\0') {
        size_t len = strcspn(text, "\n");
        char *line = mem_strndup(text, len);
        cli_print(cli, "    | %s", cli_printable(line, shown, sizeof shown));
        free(line);
        text += len + (text[len] == '\n');
    }
}

static void say(void *ctx, enum install_word word, const char *text)
{
    struct cli *cli = ctx;
    char shown[LINE_MAX_BYTES];
    if (cli->json) {
        say_json(cli, word, text);
        return;
    }
    switch (word) {
    case INSTALL_STEP:
        cli_print(cli, "  %s", cli_printable(text, shown, sizeof shown));
        break;
    case INSTALL_SAME:
        cli_print(cli, "  (%s)", cli_printable(text, shown, sizeof shown));
        break;
    case INSTALL_NOTE:
        cli_print(cli, "note: %s", cli_printable(text, shown, sizeof shown));
        break;
    case INSTALL_WARNING:
        cli_warn(cli, "%s", cli_printable(text, shown, sizeof shown));
        break;
    case INSTALL_TEXT:
        say_lines(cli, text);
        break;
    }
}

/* Where a scheduler finds us: not by PATH, which is another one there. */
static char *own_program(struct err *err)
{
    char *path = realpath("/proc/self/exe", NULL);
    if (path == NULL)
        err_set(err, ERR_NOT_FOUND, "cannot find out where the clawback program is (/proc/self/exe)");
    return path;
}

int schedule_via_of(const struct schedule_options *o)
{
    return o->via_given ? o->via : -1;
}

int schedule_open(struct cli *cli, const struct schedule_options *o, bool need_plan, struct install *in,
                  struct err *err)
{
    struct plan *plan = NULL;
    struct config_report report = {0};
    *in = (struct install){.dry_run = o->dry_run, .say = say, .ctx = cli};
    if (need_plan) {
        if (cli_load_plan(cli, o->config, &plan, err) < 0)
            return -1;
    } else {
        char *file = o->config != NULL ? mem_strdup(o->config) : config_default_path();
        config_load(file, &plan, &report, NULL);
        config_report_release(&report);
        free(file);
    }
    in->plan = plan;
    in->program = own_program(err);
    in->state_dir = record_state_dir();
    return in->program == NULL ? -1 : install_begin(in, err);
}

void schedule_close(struct install *in)
{
    install_end(in);
    plan_free((struct plan *)(uintptr_t)in->plan);
    free((char *)(uintptr_t)in->program);
    free((char *)(uintptr_t)in->state_dir);
}

static int no_arguments(const char *command, int argc, char **argv, struct err *err)
{
    if (argc == 0)
        return 0;
    return err_set(err, ERR_USAGE, "'%s' takes no arguments, but '%s' was given", command, argv[0]);
}

static void tell_done(struct cli *cli, const struct install *in, const char *what)
{
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:s, s:b}", "message_type", "summary", "done", what, "dry_run", in->dry_run));
    else if (in->dry_run)
        cli_print(cli, "nothing was done (--dry-run)");
    else
        cli_print(cli, "%s", what);
}

/* --- install --- */

static int run_install(struct cli *cli, void *options, int argc, char **argv)
{
    const struct schedule_options *o = options;
    struct install in = {0};
    struct err err = {0};
    enum schedule_via used = VIA_DAEMON;
    int rc = no_arguments("schedule install", argc, argv, &err);
    if (rc == 0)
        rc = schedule_open(cli, o, true, &in, &err);
    if (rc == 0) {
        const struct install_options how = {.via = schedule_via_of(o), .disabled = o->disabled};
        rc = install_put(&in, &how, &used, &err);
    }
    if (rc == 0) {
        char *what = mem_printf(o->disabled ? "installed in %s, disabled: 'clawback schedule enable' lets it begin"
                                            : "installed in %s: 'clawback schedule status' shows it",
                                schedule_via_name(used));
        tell_done(cli, &in, what);
        free(what);
    }
    schedule_close(&in);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

/* --- remove, enable, disable --- */

typedef int change_fn(struct install *in, int via, struct err *err);

static int change(struct cli *cli, const void *options, int argc, char **argv, change_fn *fn, const char *command,
                  const char *done)
{
    const struct schedule_options *o = options;
    struct install in = {0};
    struct err err = {0};
    int rc = no_arguments(command, argc, argv, &err);
    if (rc == 0)
        rc = schedule_open(cli, o, false, &in, &err);
    if (rc == 0)
        rc = fn(&in, schedule_via_of(o), &err);
    if (rc == 0)
        tell_done(cli, &in, done);
    schedule_close(&in);
    return rc < 0 ? cli_fail(cli, &err) : 0;
}

static int run_remove(struct cli *cli, void *options, int argc, char **argv)
{
    return change(cli, options, argc, argv, install_remove, "schedule remove", "removed");
}

static int switch_on(struct install *in, int via, struct err *err)
{
    return install_enable(in, via, true, err);
}

static int switch_off(struct install *in, int via, struct err *err)
{
    return install_enable(in, via, false, err);
}

static int run_enable(struct cli *cli, void *options, int argc, char **argv)
{
    return change(cli, options, argc, argv, switch_on, "schedule enable", "enabled");
}

static int run_disable(struct cli *cli, void *options, int argc, char **argv)
{
    return change(cli, options, argc, argv, switch_off, "schedule disable",
                  "disabled: nothing is started until 'clawback schedule enable'");
}

/* --- run-now --- */

/* Where the scheduler cannot be asked: as it would start it, to be watched here. */
static int run_here(struct cli *cli, const struct install *in, const struct strlist *argv)
{
    char *shown = strlist_join(argv, " "), **words = mem_zalloc((argv->count + 1) * sizeof *words);
    struct err err = {0};
    cli_note(cli, "cron starts nothing on demand; running it here: %s", shown);
    for (size_t i = 0; i < argv->count; i++)
        words[i] = argv->items[i];
    if (!in->dry_run) {
        execv(words[0], words);
        err_errno(&err, errno, "cannot start '%s'", words[0]);
    }
    free(shown);
    free(words);
    return in->dry_run ? 0 : cli_fail(cli, &err);
}

static int run_run_now(struct cli *cli, void *options, int argc, char **argv)
{
    struct install in = {0};
    struct err err = {0};
    const struct strlist *words = NULL;
    bool here = false;
    int rc =
        argc <= 1 ? 0 : err_set(&err, ERR_USAGE, "'schedule run-now' takes one trigger, not '%s' as well", argv[1]);
    if (rc == 0)
        rc = schedule_open(cli, options, false, &in, &err);
    if (rc == 0)
        rc = install_run_now(&in, argc > 0 ? argv[0] : NULL, &here, &words, &err);
    int status = rc < 0 ? 1 : 0;
    if (rc == 0 && here)
        status = run_here(cli, &in, words);
    else if (rc == 0)
        tell_done(cli, &in, "started: 'clawback status' shows how it goes");
    schedule_close(&in);
    return rc < 0 ? cli_fail(cli, &err) : status;
}

/* --- the table --- */

static const struct command_example INSTALL_EXAMPLES[] = {
    {"clawback schedule install --dry-run", "what would be done, every step and every file"},
    {"clawback schedule install", "the best scheduler that is there"},
    {"clawback schedule install --via openclaw --disabled", "as a job of OpenClaw's, to be enabled after a first look"},
    {NULL, NULL},
};

const struct command cmd_schedule_install = {
    .name = "schedule install",
    .arguments = "",
    .summary = "Let the plan run by itself: OpenClaw, systemd, cron or our daemon",
    .description =
        "Tells a scheduler of this machine to start 'clawback run' whenever a tier of the plan is due, and 'clawback "
        "health' every hour.\n\n"
        "openclaw: jobs of OpenClaw's own cron, through its command line; since that cron dies with its gateway, a "
        "watchdog goes into another scheduler as well. An OpenClaw that cannot run programs gets a disabled job that "
        "shows the runs, and another scheduler starts them. systemd: a timer for each schedule, of the system for "
        "root, "
        "else of the user. cron: lines between two markers of the user's crontab. daemon: jobs.json, and 'clawback "
        "daemon' as a service where systemd runs.\n\n"
        "Without --via: OpenClaw where it can run programs and its gateway answers, else systemd where it runs, else "
        "cron where its daemon runs, else the daemon. Installing again changes only what differs; do it after each "
        "change of the plan's schedules.",
    .options = INSTALL_OPTIONS,
    .options_bytes = sizeof(struct schedule_options),
    .examples = INSTALL_EXAMPLES,
    .group = "Plan",
    .run = run_install,
};

const struct command cmd_schedule_remove = {
    .name = "schedule remove",
    .arguments = "",
    .summary = "Take the schedule back",
    .description = "Removes exactly what 'clawback schedule install' put there. Backups, records and the plan stay.",
    .options = CHANGE_OPTIONS,
    .options_bytes = sizeof(struct schedule_options),
    .group = "Plan",
    .run = run_remove,
};

const struct command cmd_schedule_enable = {
    .name = "schedule enable",
    .arguments = "",
    .summary = "Let an installed schedule begin",
    .description = "Switches on what was installed with --disabled, or switched off by 'clawback schedule disable'.",
    .options = CHANGE_OPTIONS,
    .options_bytes = sizeof(struct schedule_options),
    .group = "Plan",
    .run = run_enable,
};

const struct command cmd_schedule_disable = {
    .name = "schedule disable",
    .arguments = "",
    .summary = "Let an installed schedule rest",
    .description = "Everything stays in place, and nothing is started. A run that is under way goes on.",
    .options = CHANGE_OPTIONS,
    .options_bytes = sizeof(struct schedule_options),
    .group = "Plan",
    .run = run_disable,
};

static const struct command_example RUN_EXAMPLES[] = {
    {"clawback schedule run-now", "the backup, as the scheduler would start it"},
    {"clawback schedule run-now clawback-health", "another trigger; 'clawback schedule status' lists them"},
    {NULL, NULL},
};

const struct command cmd_schedule_run_now = {
    .name = "schedule run-now",
    .arguments = "[TRIGGER]",
    .summary = "Start a trigger through its scheduler, now",
    .description =
        "Asks the scheduler that the trigger is installed in to start it at once, enabled or not: with its "
        "environment, "
        "its user and its log, so that what works here works at night. cron starts nothing on demand; there it runs in "
        "this terminal. Without a name: the first trigger that runs backups.",
    .options = RUN_OPTIONS,
    .options_bytes = sizeof(struct schedule_options),
    .examples = RUN_EXAMPLES,
    .group = "Plan",
    .run = run_run_now,
};
