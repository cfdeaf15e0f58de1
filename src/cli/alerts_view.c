#include "cli/alerts_view.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "cli/screen.h"
#include "cli/text.h"
#include "os/clock.h"
#include "plan/schedule.h"

enum { SHOWN_BYTES = 4096, ALERT_MAX_BYTES = 64 << 10 };

static const char *moment(int64_t ms, char out[OS_TIME_BYTES])
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    return os_time_format_human(&t, out);
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

static json_t *alert_json(const struct alert *a, int64_t silenced_ms)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "message_type", "alert", "rule",
                     a->rule, "subject", text_json(a->subject), "level", alert_level_name(a->level), "text",
                     text_json(a->text), "details", text_json(a->details), "command", text_json(a->command), "since",
                     time_json(a->since_ms), "opened", time_json(a->opened_ms), "told", time_json(a->told_ms),
                     "silenced_until", time_json(silenced_ms));
}

static void fill(const char *text, size_t column, size_t indent, size_t width, struct buf *out)
{
    char shown[SHOWN_BYTES];
    cli_printable(text, shown, sizeof shown);
    text_fill(out, shown, strlen(shown), column, indent, width);
}

static void add_lines(const char *text, size_t width, struct buf *out)
{
    for (const char *p = text; p != NULL && *p != '\0';) {
        size_t len = strcspn(p, "\n");
        char *line = mem_strndup(p, len);
        buf_append_str(out, "\n  ");
        fill(line, 2, 4, width, out);
        free(line);
        p += len + (p[len] == '\n');
    }
}

static void print_alert(struct cli *cli, const struct alert *a, int64_t silenced_ms, int64_t now_ms, size_t width)
{
    char text[SHOWN_BYTES], since[OS_TIME_BYTES], ago[32];
    const char *level = a->level == ALERT_CRITICAL ? "CRITICAL" : "WARNING";
    const char *colour = !cli->color_out ? "" : a->level == ALERT_CRITICAL ? TEXT_RED : TEXT_YELLOW;
    struct buf out;
    buf_init(&out, ALERT_MAX_BYTES);
    duration_format(now_ms > a->since_ms ? (uint64_t)((now_ms - a->since_ms) / 60000 * 60000) : 0, ago);
    moment(a->since_ms, since);
    buf_printf(&out, "%s%s%s  ", colour, level, cli->color_out ? TEXT_PLAIN : "");
    fill(a->text, strlen(level) + 2, 2, width, &out);
    add_lines(a->details, width, &out);
    /* The rule and its subject as `alerts silence` takes them. */
    bool named = a->subject[0] != '\0';
    buf_printf(&out, "\n  rule %s%s%s%s, since %s (%s)", a->rule, named ? " '" : "",
               cli_printable(a->subject, text, sizeof text), named ? "'" : "", since, ago);
    if (silenced_ms != 0)
        buf_printf(&out, "\n  silenced until %s", moment(silenced_ms, since));
    if (a->command != NULL) /* never broken: it is to be copied */
        buf_printf(&out, "\n  type: %s", cli_printable(a->command, text, sizeof text));
    cli_print(cli, "%s", buf_cstr(&out));
    buf_release(&out);
}

void alerts_view_open(struct cli *cli, struct state *state, const struct alert_list *open, int64_t now_ms)
{
    enum alert_level worst = ALERT_FINE;
    size_t width = screen_text_width();
    for (size_t i = 0; i < open->count; i++) {
        const struct alert *a = &open->items[i];
        int64_t silenced_ms = state != NULL ? alerts_silenced_until(state, a->rule, a->subject, now_ms) : 0;
        worst = a->level > worst ? a->level : worst;
        if (cli->json)
            cli_json(cli, alert_json(a, silenced_ms));
        else
            print_alert(cli, a, silenced_ms, now_ms, width);
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

/* The text on lines of its own: beside the rest there would be no room for it on a terminal. */
static void print_change(struct cli *cli, const struct alert *a, size_t width)
{
    char when[OS_TIME_BYTES];
    struct buf out;
    buf_init(&out, ALERT_MAX_BYTES);
    moment(a->changed_ms, when);
    char subject[SHOWN_BYTES];
    bool named = a->subject[0] != '\0';
    buf_printf(&out, "%s  %s%s  %s  %s%s%s%s\n    ", when, alert_change_name(a->change),
               a->told_ms != 0 ? "" : " (not told)", alert_level_name(a->change == ALERT_CLOSED ? a->level : a->now),
               a->rule, named ? " '" : "", cli_printable(a->subject, subject, sizeof subject), named ? "'" : "");
    fill(a->text, 4, 4, width, &out);
    cli_print(cli, "%s", buf_cstr(&out));
    buf_release(&out);
}

void alerts_view_history(struct cli *cli, const struct alert_list *changes)
{
    size_t width = screen_text_width();
    if (!cli->json && changes->count == 0)
        cli_print(cli, "there was no alert yet");
    for (size_t i = 0; i < changes->count; i++) {
        if (cli->json)
            cli_json(cli, change_json(&changes->items[i]));
        else
            print_change(cli, &changes->items[i], width);
    }
}
