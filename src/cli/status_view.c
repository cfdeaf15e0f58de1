#include "cli/status_view.h"

#include "base/bytes.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "cli/text.h"
#include "monitor/rules.h"
#include "os/clock.h"
#include "run/run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILL_COLUMNS = 20, SHOWN_MAX_BYTES = 8192, PROBLEM_INDENT = 2 };

/* The run that was killed, or that the machine went down under; NULL: it ended, as it should. */
static const struct record *unended(const struct tier_status *t)
{
    return t->facts->records != NULL && !t->facts->running ? record_unended(t->facts->records) : NULL;
}

static const char *outcome(const struct tier_status *t)
{
    if (t->facts->running)
        return "running";
    if (unended(t) != NULL || (t->last != NULL && t->last->interrupted))
        return "interrupted";
    if (t->last == NULL)
        return "never ran";
    if (t->last->status == RECORD_FAILED)
        return "failed";
    if (t->last->status == RECORD_SKIPPED)
        return "skipped";
    return t->last->exit_code == 0 ? "ok" : "incomplete";
}

/* --- for people --- */

/* "3h", "25m": whole minutes below a day, then hours, then days. */
static const char *distance_text(int64_t distance_ms, char out[32])
{
    const int64_t hour = 3600000, day = 24 * hour;
    int64_t unit = distance_ms < day ? 60000 : distance_ms < 7 * day ? hour : day;
    duration_format((uint64_t)(distance_ms / unit * unit), out);
    return out;
}

/* "3h ago", "in 25m". */
static const char *relative(int64_t ms, int64_t now_ms, char out[48])
{
    char text[32];
    int64_t distance = ms > now_ms ? ms - now_ms : now_ms - ms;
    if (distance < 60000)
        snprintf(out, 48, ms > now_ms ? "in a moment" : "just now");
    else
        snprintf(out, 48, ms > now_ms ? "in %s" : "%s ago", distance_text(distance, text));
    return out;
}

/* Heights from nothing to the largest. */
static void add_bars(const struct tier_status *t, struct buf *out)
{
    static const char *const BARS[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    uint64_t max = 0;
    for (size_t i = 0; i < t->size_count; i++)
        max = t->sizes[i] > max ? t->sizes[i] : max;
    for (size_t i = 0; i < t->size_count; i++)
        buf_append_str(out, BARS[max > 0 ? (size_t)((double)t->sizes[i] / (double)max * 7 + 0.5) : 0]);
}

static const char *next_text(const struct tier_status *t, int64_t now_ms, char out[48])
{
    if (t->facts->tier->disabled)
        return "disabled";
    if (t->facts->running)
        return "now";
    if (t->facts->records == NULL)
        return "?";
    if (t->facts->next_ms == 0)
        return "when named";
    if (t->due)
        return "due";
    return relative(t->facts->next_ms, now_ms, out);
}

static void add_tiers(const struct status *s, int64_t now_ms, struct buf *out)
{
    struct cli_table *table =
        cli_table_new((const char *const[]){"Tier", "Last run", "", "Next", ">Size", "History", NULL});
    for (size_t i = 0; i < s->tier_count; i++) {
        const struct tier_status *t = &s->tiers[i];
        char last[48] = "", next[48], size[24] = "";
        struct buf history;
        buf_init(&history, 1024);
        add_bars(t, &history);
        const struct record *newest = unended(t) != NULL ? unended(t) : t->last;
        if (newest != NULL)
            relative(os_time_ms(&newest->time), now_ms, last);
        if (t->size_count > 0)
            bytes_text(t->sizes[t->size_count - 1], size);
        cli_table_row(table, (const char *const[]){t->facts->tier->name, outcome(t), last, next_text(t, now_ms, next),
                                                   size, buf_cstr(&history)});
        buf_release(&history);
    }
    cli_table_render(table, NULL, out);
    cli_table_free(table);
}

/* Eighths of a column would be finer, and not every terminal has them. */
static void add_fill(double part, struct buf *out)
{
    int full = (int)(part * FILL_COLUMNS + 0.5);
    for (int i = 0; i < FILL_COLUMNS; i++)
        buf_append_str(out, i < full ? "█" : "░");
}

static void add_destination(const struct fact_destination *d, const struct destination_look *look, size_t name_columns,
                            struct buf *out)
{
    char name[256], free_text[RULES_TEXT_BYTES], total[RULES_TEXT_BYTES];
    cli_printable(d->destination->name, name, sizeof name);
    buf_printf(out, "%s%*s  ", name, (int)(name_columns - cli_text_columns(name)), "");
    if (!d->ready) {
        buf_printf(out, "%s\n", destination_problem_name(look->problem));
        return;
    }
    if (!d->space_known) {
        buf_append_str(out, "ready\n");
        return;
    }
    double used = 1 - (double)d->free_bytes / (double)d->total_bytes;
    add_fill(used, out);
    buf_printf(out, "  %.0f %% used, %s of %s free; %s\n", 100 * used, bytes_text(d->free_bytes, free_text),
               bytes_text(d->total_bytes, total), look->forecast_text);
}

static void add_destinations(const struct status *s, struct buf *out)
{
    const struct facts *f = &s->report.facts;
    size_t columns = 0;
    for (size_t i = 0; i < f->destination_count; i++) {
        char name[256];
        size_t n = cli_text_columns(cli_printable(f->destinations[i].destination->name, name, sizeof name));
        columns = n > columns ? n : columns;
    }
    for (size_t i = 0; i < f->destination_count; i++)
        add_destination(&f->destinations[i], facts_destination_look(s->report.held, i), columns, out);
}

static void add_line(const char *what, const char *text, size_t width, struct buf *out)
{
    char shown[SHOWN_MAX_BYTES];
    cli_printable(text, shown, sizeof shown);
    buf_append_str(out, what);
    text_fill(out, shown, strlen(shown), strlen(what), strlen(what), width);
    buf_append_byte(out, '\n');
}

/* What starts the next run, and whether it lives. */
static void add_schedulers(const struct facts *f, size_t width, struct buf *out)
{
    static const char WHAT[] = "scheduler: ";
    if (!f->schedulers.looked || f->schedulers.count == 0)
        add_line(WHAT, "none installed: clawback schedule install", width, out);
    for (size_t i = 0; f->schedulers.looked && i < f->schedulers.count; i++) {
        const struct fact_check *c = &f->schedulers.items[i];
        char text[SHOWN_MAX_BYTES];
        snprintf(text, sizeof text, "%s, %s", c->subject, *c->text != '\0' ? c->text : c->ok ? "alive" : "dead");
        add_line(WHAT, text, width, out);
    }
}

static void add_messages(const struct status *s, size_t width, struct buf *out)
{
    char text[100], when[48];
    snprintf(text, sizeof text, "some wait to be sent; the next try is due %s (clawback health)",
             s->next_message_ms > s->report.facts.now_ms ? relative(s->next_message_ms, s->report.facts.now_ms, when)
                                                         : "now");
    add_line("messages: ", text, width, out);
}

static void add_proof(const struct facts *f, size_t width, struct buf *out)
{
    char text[64] = "none yet: restore something, and compare it", age[48];
    if (f->proof_ms > 0)
        snprintf(text, sizeof text, "%s", relative(f->proof_ms, f->now_ms, age));
    add_line("last restore proof: ", text, width, out);
}

/* Texts of rules say since when. */
static void add_problem(const struct status_problem *p, bool color, size_t width, struct buf *out)
{
    static const char *const NAMES[] = {"", "", "warning: ", "CRITICAL: "};
    static const char *const COLORS[] = {"", "", TEXT_YELLOW, TEXT_RED};
    char shown[SHOWN_MAX_BYTES];
    cli_printable(p->text, shown, sizeof shown);
    buf_printf(out, "  %s%s%s", color ? COLORS[p->level] : "", NAMES[p->level], color ? TEXT_PLAIN : "");
    text_fill(out, shown, strlen(shown), PROBLEM_INDENT + strlen(NAMES[p->level]), PROBLEM_INDENT + 2, width);
    buf_append_byte(out, '\n');
    if (p->command != NULL)
        buf_printf(out, "    -> %s\n", cli_printable(p->command, shown, sizeof shown));
}

void status_view_text(const struct status *s, bool color, size_t width, struct buf *out)
{
    const struct facts *f = &s->report.facts;
    add_tiers(s, f->now_ms, out);
    buf_append_byte(out, '\n');
    add_destinations(s, out);
    buf_append_byte(out, '\n');
    add_schedulers(f, width, out);
    add_proof(f, width, out);
    if (s->next_message_ms != 0)
        add_messages(s, width, out);
    if (s->running)
        add_line("a run is under way: ", s->runner, width, out);
    if (s->problem_count > 0)
        buf_printf(out, "\n%zu problem%s:\n", s->problem_count, s->problem_count == 1 ? "" : "s");
    for (size_t i = 0; i < s->problem_count; i++)
        add_problem(&s->problems[i], color, width, out);
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
    json_t *o =
        json_pack("{s:o, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o}", "name", text_json(t->facts->tier->name),
                  "outcome", outcome(t), "disabled", t->facts->tier->disabled, "running", t->facts->running, "due",
                  t->due, "next_due", time_json(t->facts->next_ms), "late_at", time_json(t->facts->late_ms), "last_run",
                  time_json(t->last != NULL ? os_time_ms(&t->last->time) : 0), "last_success",
                  time_json(t->good != NULL ? os_time_ms(&t->good->time) : 0), "sizes", sizes);
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

static json_t *destination_json(const struct fact_destination *d, const struct destination_look *look)
{
    return json_pack("{s:o, s:o, s:s, s:b, s:o, s:I, s:I, s:o}", "name", text_json(d->destination->name), "location",
                     text_json(d->destination->location), "state", destination_problem_name(look->problem), "ready",
                     d->ready, "message", text_json(look->message), "free_bytes", (json_int_t)d->free_bytes,
                     "total_bytes", (json_int_t)d->total_bytes, "forecast", forecast_json(&look->forecast));
}

static json_t *problem_json(const struct status_problem *p)
{
    return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:b}", "rule", p->rule, "subject", text_json(p->subject),
                     "level", alert_level_name(p->level), "text", text_json(p->text), "command", text_json(p->command),
                     "since", time_json(p->since_ms), "told", time_json(p->told_ms), "open", p->is_alert);
}

static json_t *scheduler_json(const struct fact_check *c)
{
    return json_pack("{s:o, s:b, s:o}", "name", text_json(c->subject), "alive", c->ok, "text", text_json(c->text));
}

json_t *status_view_json(const struct status *s)
{
    const struct facts *f = &s->report.facts;
    json_t *tiers = json_array(), *destinations = json_array(), *problems = json_array(), *alerts = json_array(),
           *schedulers = json_array();
    for (size_t i = 0; i < s->tier_count; i++)
        json_array_append_new(tiers, tier_json(&s->tiers[i]));
    for (size_t i = 0; i < f->destination_count; i++)
        json_array_append_new(destinations,
                              destination_json(&f->destinations[i], facts_destination_look(s->report.held, i)));
    for (size_t i = 0; i < s->problem_count; i++) {
        json_array_append_new(problems, text_json(s->problems[i].text));
        json_array_append_new(alerts, problem_json(&s->problems[i]));
    }
    for (size_t i = 0; f->schedulers.looked && i < f->schedulers.count; i++)
        json_array_append_new(schedulers, scheduler_json(&f->schedulers.items[i]));
    return json_pack("{s:s, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "message_type", "status", "time",
                     time_json(f->now_ms), "running", s->running, "runner",
                     s->running ? text_json(s->runner) : json_null(), "tiers", tiers, "destinations", destinations,
                     "problems", problems, "alerts", alerts, "schedulers", schedulers, "last_proof",
                     time_json(f->proof_ms), "next_message", time_json(s->next_message_ms));
}
