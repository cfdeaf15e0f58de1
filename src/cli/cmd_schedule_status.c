/* How it stands with what was installed to start backups. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "cli/cmd_schedule.h"
#include "cli/commands.h"
#include "cli/table.h"
#include "daemon/install_systemd.h"
#include "os/clock.h"
#include "run/systemctl.h"

static const struct option OPTIONS[] = {
    SCHEDULE_CONFIG_OPTION,
    OPTION_END,
};

/* As daemon/install_daemon.c names it. */
static const char DAEMON_UNIT[] = "clawbackd.service";
static const char INSTALL_AGAIN[] = "the plan's schedules have changed since: run 'clawback schedule install' again";

/* --- for people --- */

static const char *when(int64_t ms, char out[OS_TIME_BYTES])
{
    const struct timespec t = {.tv_sec = ms / 1000};
    if (ms == 0)
        snprintf(out, OS_TIME_BYTES, "-");
    else
        os_time_format_human(&t, out);
    return out;
}

static void print_triggers(struct cli *cli, const struct install_state *s)
{
    struct cli_table *table = cli_table_new((const char *const[]){"Trigger", "When", "Last", "Next", NULL});
    for (size_t i = 0; i < s->trigger_count; i++) {
        const struct install_trigger_state *t = &s->triggers[i];
        char last[OS_TIME_BYTES], next[OS_TIME_BYTES], *schedule = installed_schedule_text(&t->trigger->schedule);
        char *ended = mem_printf("%s%s%s", when(t->last_ms, last), t->last_status != NULL ? " " : "",
                                 t->last_status != NULL ? t->last_status : "");
        cli_table_row(table, (const char *const[]){t->trigger->id, schedule, ended,
                                                   !t->there     ? "gone"
                                                   : !t->enabled ? "disabled"
                                                                 : when(t->next_ms, next)});
        free(ended);
        free(schedule);
    }
    cli_table_print(cli, table, NULL);
    cli_table_free(table);
}

/* The command that starts the daemon; NULL: it runs, or is not to. The caller frees it. */
static char *start_command(const struct install *in, const struct install_state *s, int64_t now_ms)
{
    const char *const program[] = {in->program};
    char *why = NULL, *text;
    if (s->item->via != VIA_DAEMON || !s->item->enabled)
        return NULL;
    bool lives = installed_daemon_lives(in->state_dir, now_ms, &why);
    free(why);
    if (lives)
        return NULL;
    char *unit = install_unit_path(DAEMON_UNIT), *word = install_shell_text(program, 1);
    if (access(unit, F_OK) == 0)
        text = mem_printf("systemctl %sstart %s", systemctl_is_user() ? "--user " : "", DAEMON_UNIT);
    else
        text = mem_printf("nohup %s daemon >/dev/null 2>&1 &", word);
    free(unit);
    free(word);
    return text;
}

static void print_item(struct cli *cli, const struct install *in, const struct install_state *s, int64_t now_ms)
{
    const struct installed_item *item = s->item;
    char *start = start_command(in, s, now_ms);
    char shown[4096];
    cli_print(cli, "%s%s: %s", schedule_via_name(item->via),
              item->watchdog      ? ", as watchdog"
              : item->placeholder ? ", to be seen only"
                                  : "",
              s->alive ? "alive" : cli_printable(s->problem != NULL ? s->problem : "not alive", shown, sizeof shown));
    if (start != NULL)
        cli_print(cli, "  to start it, type: %s", cli_printable(start, shown, sizeof shown));
    free(start);
    if (item->detail != NULL)
        cli_print(cli, "  %s", cli_printable(item->detail, shown, sizeof shown));
    print_triggers(cli, s);
    if (s->changed)
        cli_print(cli, "  %s", INSTALL_AGAIN);
    cli_print(cli, "%s", "");
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

static json_t *trigger_json(const struct install_trigger_state *t)
{
    json_t *argv = json_array();
    for (size_t i = 0; i < t->trigger->argv.count; i++)
        json_array_append_new(argv, text_json(t->trigger->argv.items[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:b, s:b, s:o, s:o, s:o}", "id", text_json(t->trigger->id), "name",
                     text_json(t->trigger->name), "schedule", installed_schedule_json(&t->trigger->schedule), "argv",
                     argv, "there", t->there, "enabled", t->enabled, "last", time_json(t->last_ms), "last_status",
                     text_json(t->last_status), "next", time_json(t->next_ms));
}

static json_t *item_json(const struct install_state *s)
{
    const struct installed_item *item = s->item;
    json_t *triggers = json_array();
    for (size_t i = 0; i < s->trigger_count; i++)
        json_array_append_new(triggers, trigger_json(&s->triggers[i]));
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:o, s:b, s:o, s:o, s:o}", "via", schedule_via_name(item->via),
                     "watchdog", item->watchdog, "placeholder", item->placeholder, "enabled", item->enabled, "alive",
                     s->alive, "problem", text_json(s->problem), "changed", s->changed, "since",
                     time_json(item->since_ms), "detail", text_json(item->detail), "triggers", triggers);
}

/* --- the command --- */

/* Nothing was installed: what else there is, as `health` and `doctor` take it. Is there anything? */
static bool print_handmade(struct cli *cli, const struct install *in, int64_t now_ms, json_t *out)
{
    struct fact_list found = {0};
    char shown[4096];
    bool any = false;
    installed_check(in->state_dir, now_ms, &found);
    for (size_t i = 0; i < found.count; i++) {
        const struct fact_check *c = &found.items[i];
        if (!c->ok)
            continue;
        any = true;
        if (cli->json)
            json_array_append_new(out, text_json(c->subject));
        else
            cli_print(cli, "%s: %s", cli_printable(c->subject, shown, sizeof shown), c->text);
    }
    installed_checks_release(&found);
    if (!any && !cli->json)
        cli_print(cli, "nothing starts backups by itself: 'clawback schedule install' changes that");
    return any;
}

static bool print_all(struct cli *cli, const struct install *in, const struct install_state_list *list, int64_t now_ms)
{
    json_t *items = json_array(), *handmade = json_array();
    bool well = list->count > 0 || print_handmade(cli, in, now_ms, handmade);
    for (size_t i = 0; i < list->count; i++) {
        well = well && list->items[i].alive && !list->items[i].changed;
        if (cli->json)
            json_array_append_new(items, item_json(&list->items[i]));
        else
            print_item(cli, in, &list->items[i], now_ms);
    }
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:b, s:o, s:o}", "message_type", "schedule", "well", well, "installed", items,
                                "handmade", handmade));
    else {
        json_decref(items);
        json_decref(handmade);
    }
    return well;
}

static int run_status(struct cli *cli, void *options, int argc, char **argv)
{
    struct install in = {0};
    struct err err = {0};
    struct install_state_list list = {0};
    struct timespec now = os_now();
    int rc =
        argc == 0 ? 0 : err_set(&err, ERR_USAGE, "'schedule status' takes no arguments, but '%s' was given", argv[0]);
    if (rc == 0)
        rc = schedule_open(cli, options, false, &in, &err);
    if (rc == 0)
        rc = install_status(&in, (int64_t)now.tv_sec * 1000, &list, &err);
    bool well = rc == 0 && print_all(cli, &in, &list, (int64_t)now.tv_sec * 1000);
    install_state_list_release(&list);
    schedule_close(&in);
    return rc < 0 ? cli_fail(cli, &err) : well ? 0 : 1;
}

const struct command cmd_schedule_status = {
    .name = "schedule status",
    .arguments = "",
    .summary = "Show what starts backups, whether it lives, and when it does so next",
    .description =
        "For each scheduler that 'clawback schedule install' told to start us: does it live, is each trigger still "
        "there and enabled, when did it start last and when will it next, and do the plan's schedules still say the "
        "same. Where nothing was installed, schedules that were set up by hand are named. The exit status is 0 when "
        "all of that is so, else 1.",
    .options = OPTIONS,
    .options_bytes = sizeof(struct schedule_options),
    .group = "Looking",
    .run = run_status,
};
