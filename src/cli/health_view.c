#include "cli/health_view.h"

#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "os/journal.h"

enum { MARK_COLUMNS = 10, SHOWN_MAX_BYTES = 8192 };

int health_view_status(enum alert_level worst)
{
    return worst == ALERT_CRITICAL ? 2 : worst == ALERT_WARNING ? 1 : 0;
}

const struct finding **health_view_order(const struct finding_list *l)
{
    const struct finding **order = mem_zalloc((l->count + 1) * sizeof *order);
    size_t count = 0;
    for (int level = ALERT_CRITICAL; level >= ALERT_FINE; level--)
        for (size_t i = 0; i < l->count; i++)
            if ((int)l->items[i].level == level)
                order[count++] = &l->items[i];
    return order;
}

size_t health_view_count(const struct finding_list *l, enum alert_level level)
{
    size_t count = 0;
    for (size_t i = 0; i < l->count; i++)
        count += l->items[i].level == level;
    return count;
}

/* --- for people --- */

static void add_mark(enum alert_level level, bool color, struct buf *out)
{
    static const char *const NAMES[] = {"fine", "info", "warning", "CRITICAL"};
    static const char *const COLORS[] = {"", "", TEXT_YELLOW, TEXT_RED};
    bool colored = color && *COLORS[level] != '\0';
    buf_printf(out, "%s%s%s%*s", colored ? COLORS[level] : "", NAMES[level], colored ? TEXT_PLAIN : "",
               (int)(MARK_COLUMNS - strlen(NAMES[level])), "");
}

/* Lines of details keep their breaks, each indented. */
static void add_details(const char *details, struct buf *out)
{
    char shown[SHOWN_MAX_BYTES];
    for (const char *at = details; *at != '\0';) {
        size_t len = strcspn(at, "\n");
        char *line = mem_strndup(at, len);
        buf_printf(out, "%*s%s\n", MARK_COLUMNS + 2, "", cli_printable(line, shown, sizeof shown));
        free(line);
        at += len + (at[len] == '\n');
    }
}

static void add_finding(const struct finding *f, bool color, size_t width, struct buf *out)
{
    char text[SHOWN_MAX_BYTES], command[SHOWN_MAX_BYTES];
    add_mark(f->level, color, out);
    cli_printable(f->text, text, sizeof text);
    text_fill(out, text, strlen(text), MARK_COLUMNS, MARK_COLUMNS, width);
    if (f->command != NULL) {
        cli_printable(f->command, command, sizeof command);
        bool fits = MARK_COLUMNS + cli_text_columns(text) + 4 + cli_text_columns(command) <= width;
        buf_printf(out, "%s-> %s", fits ? " " : "\n          ", command);
    }
    buf_append_byte(out, '\n');
    if (f->details != NULL)
        add_details(f->details, out);
}

static void add_sum(const struct finding_list *l, struct buf *out)
{
    size_t critical = health_view_count(l, ALERT_CRITICAL), warnings = health_view_count(l, ALERT_WARNING);
    size_t fine = l->count - critical - warnings;
    if (critical + warnings == 0) {
        buf_printf(out, "all is well: %zu thing%s looked at\n", fine, fine == 1 ? "" : "s");
        return;
    }
    if (critical > 0)
        buf_printf(out, "%zu critical, ", critical);
    if (warnings > 0)
        buf_printf(out, "%zu warning%s, ", warnings, warnings == 1 ? "" : "s");
    buf_printf(out, "%zu fine\n", fine);
}

void health_view_text(const struct health_report *r, bool verbose, bool color, size_t width, struct buf *out)
{
    const struct finding **order = health_view_order(&r->findings);
    for (size_t i = 0; i < r->findings.count; i++)
        if (verbose || order[i]->level > ALERT_FINE)
            add_finding(order[i], color, width, out);
    free(order);
    add_sum(&r->findings, out);
}

/* --- for the journal, which takes a priority from the beginning of each line --- */

static void add_with_priority(const struct finding *f, struct buf *out)
{
    static const char *const PRIORITIES[] = {OS_JOURNAL_INFO, OS_JOURNAL_INFO, OS_JOURNAL_WARNING, OS_JOURNAL_CRITICAL};
    struct buf text;
    buf_init(&text, HEALTH_VIEW_MAX_BYTES);
    add_finding(f, false, SHOWN_MAX_BYTES, &text);
    for (const char *at = buf_cstr(&text), *end; (end = strchr(at, '\n')) != NULL; at = end + 1)
        buf_printf(out, "%s%.*s\n", PRIORITIES[f->level], (int)(end - at), at);
    buf_release(&text);
}

void health_view_journal(const struct health_report *r, bool verbose, struct buf *out)
{
    const struct finding **order = health_view_order(&r->findings);
    for (size_t i = 0; i < r->findings.count; i++)
        if (verbose || order[i]->level > ALERT_FINE)
            add_with_priority(order[i], out);
    free(order);
    add_sum(&r->findings, out);
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

static json_t *finding_json(const struct finding *f)
{
    return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:o}", "rule", f->rule, "subject", text_json(f->subject), "level",
                     alert_level_name(f->level), "text", text_json(f->text), "details", text_json(f->details),
                     "command", text_json(f->command), "since", time_json(f->since_ms));
}

static json_t *tier_json(const struct fact_tier *t)
{
    const struct record *last = t->records != NULL ? record_last_ended(t->records) : NULL;
    json_t *o = json_pack("{s:o, s:b, s:o, s:o, s:o}", "name", text_json(t->tier->name), "running", t->running,
                          "last_success", time_json(t->records != NULL ? fact_last_success_ms(t->records) : 0),
                          "next_due", time_json(t->next_ms), "late_at", time_json(t->late_ms));
    if (last != NULL) {
        json_object_set_new(o, "exit_code", json_integer(last->exit_code));
        json_object_set_new(o, "duration_ms", json_integer((json_int_t)last->duration_ms));
        json_object_set_new(o, "bytes_processed", json_integer((json_int_t)last->bytes_processed));
    }
    return o;
}

static json_t *destination_json(const struct fact_destination *d)
{
    return json_pack("{s:o, s:b, s:o, s:I, s:I, s:o, s:o}", "name", text_json(d->destination->name), "ready", d->ready,
                     "problem", text_json(d->problem), "free_bytes", (json_int_t)d->free_bytes, "total_bytes",
                     (json_int_t)d->total_bytes, "forecast", text_json(d->forecast), "full_at", time_json(d->full_ms));
}

json_t *health_view_json(const struct health_report *r)
{
    json_t *findings = json_array(), *tiers = json_array(), *destinations = json_array();
    const struct finding **order = health_view_order(&r->findings);
    for (size_t i = 0; i < r->findings.count; i++)
        json_array_append_new(findings, finding_json(order[i]));
    free(order);
    for (size_t i = 0; i < r->facts.tier_count; i++)
        json_array_append_new(tiers, tier_json(&r->facts.tiers[i]));
    for (size_t i = 0; i < r->facts.destination_count; i++)
        json_array_append_new(destinations, destination_json(&r->facts.destinations[i]));
    return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:o}", "message_type", "health", "level",
                     alert_level_name(r->worst), "exit_code", health_view_status(r->worst), "checked_at",
                     time_json(r->facts.now_ms), "findings", findings, "tiers", tiers, "destinations", destinations);
}
