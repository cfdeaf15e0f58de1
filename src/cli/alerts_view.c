#include "cli/alerts_view.h"

#include <stdio.h>
#include <string.h>
#include "cli/table.h"
#include "cli/text.h"
#include "os/clock.h"
#include "plan/schedule.h"

enum { SHOWN_BYTES = 4096 };

static void moment(int64_t ms, char out[OS_TIME_BYTES])
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    os_time_format_human(&t, out);
}

static json_t *time_json(int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return ms != 0 ? cli_json_time(&t) : json_null();
}

static json_t *text_json(const char *text)
{
    return text != NULL ? cli_json_string(text, strlen(text)) : json_null();
}

/* --- what is open --- */

static json_t *alert_json(const struct alert *a)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "message_type", "alert", "rule", a->rule,
                     "subject", text_json(a->subject), "level", alert_level_name(a->level), "text", text_json(a->text),
                     "details", text_json(a->details), "command", text_json(a->command), "since",
                     time_json(a->since_ms), "opened", time_json(a->opened_ms), "told", time_json(a->told_ms));
}

static void print_lines(struct cli *cli, const char *text)
{
    char shown[SHOWN_BYTES], line[SHOWN_BYTES];
    for (const char *p = text; p != NULL && *p != '\0';) {
        size_t len = strcspn(p, "\n");
        snprintf(line, sizeof line, "%.*s", (int)(len < sizeof line ? len : sizeof line - 1), p);
        cli_print(cli, "  %s", cli_printable(line, shown, sizeof shown));
        p += len + (p[len] == '\n');
    }
}

static void print_alert(struct cli *cli, const struct alert *a, int64_t now_ms)
{
    char text[SHOWN_BYTES], since[OS_TIME_BYTES], ago[32];
    const char *colour = !cli->color_out ? "" : a->level == ALERT_CRITICAL ? TEXT_RED : TEXT_YELLOW;
    duration_format(now_ms > a->since_ms ? (uint64_t)((now_ms - a->since_ms) / 60000 * 60000) : 0, ago);
    moment(a->since_ms, since);
    cli_print(cli, "%s%s%s  %s", colour, a->level == ALERT_CRITICAL ? "CRITICAL" : "WARNING",
              cli->color_out ? TEXT_PLAIN : "", cli_printable(a->text, text, sizeof text));
    print_lines(cli, a->details);
    cli_print(cli, "  rule %s, since %s (%s)", a->rule, since, ago);
    if (a->command != NULL)
        cli_print(cli, "  type: %s", cli_printable(a->command, text, sizeof text));
}

void alerts_view_open(struct cli *cli, const struct alert_list *open, int64_t now_ms)
{
    enum alert_level worst = ALERT_FINE;
    for (size_t i = 0; i < open->count; i++) {
        const struct alert *a = &open->items[i];
        worst = a->level > worst ? a->level : worst;
        if (cli->json)
            cli_json(cli, alert_json(a));
        else
            print_alert(cli, a, now_ms);
    }
    if (cli->json)
        cli_json(cli, json_pack("{s:s, s:I, s:s}", "message_type", "summary", "open", (json_int_t)open->count, "worst",
                                alert_level_name(worst)));
    else if (open->count == 0)
        cli_print(cli, "no alert is open");
}

/* --- what was --- */

static json_t *change_json(const struct alert *a)
{
    return json_pack("{s:s, s:o, s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:b}", "message_type", "alert_change", "time",
                     time_json(a->changed_ms), "change", alert_change_name(a->change), "rule", a->rule, "subject",
                     text_json(a->subject), "level", alert_level_name(a->change == ALERT_CLOSED ? a->level : a->now),
                     "text", text_json(a->text), "was", text_json(a->was), "opened", time_json(a->opened_ms), "told",
                     a->told_ms != 0);
}

static void add_row(struct cli_table *table, const struct alert *a)
{
    char when[OS_TIME_BYTES], change[32];
    moment(a->changed_ms, when);
    snprintf(change, sizeof change, "%s%s", alert_change_name(a->change), a->told_ms != 0 ? "" : ", not told");
    cli_table_row(table,
                  (const char *const[]){when, change, alert_level_name(a->change == ALERT_CLOSED ? a->level : a->now),
                                        a->rule, a->text});
}

void alerts_view_history(struct cli *cli, const struct alert_list *changes)
{
    if (!cli->json && changes->count == 0) {
        cli_print(cli, "there was no alert yet");
        return;
    }
    struct cli_table *table = cli_table_new((const char *const[]){"Time", "Change", "Level", "Rule", "What", NULL});
    for (size_t i = 0; i < changes->count; i++) {
        if (cli->json)
            cli_json(cli, change_json(&changes->items[i]));
        else
            add_row(table, &changes->items[i]);
    }
    if (!cli->json)
        cli_table_print(cli, table, NULL);
    cli_table_free(table);
}
