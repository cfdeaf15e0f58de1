/*
 * Nagios' plugin interface (Monitoring Plugins Development Guidelines): one line for the table of services with the
 * performance data behind a '|', further lines for whoever opens it. A '|' in a text would begin data: it becomes '/'.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/health_view.h"

enum { SHOWN_MAX_BYTES = 8192 };

static void add_text(const char *text, struct buf *out)
{
    char shown[SHOWN_MAX_BYTES];
    cli_printable(text, shown, sizeof shown);
    for (const char *at = shown; *at != '\0'; at++)
        buf_append_byte(out, *at == '|' ? '/' : (unsigned char)*at);
}

/* 'label'=value: quotes in a label are doubled, and it must have no '='. */
static void add_label(const char *what, const char *name, struct buf *out)
{
    buf_printf(out, " '%s ", what);
    for (const char *at = name; *at != '\0'; at++) {
        if (*at == '\'')
            buf_append_byte(out, '\'');
        buf_append_byte(out, *at == '=' || *at == '|' || (unsigned char)*at < ' ' ? '_' : (unsigned char)*at);
    }
    buf_append_str(out, "'=");
}

static int64_t seconds(int64_t ms)
{
    return ms > 0 ? ms / 1000 : 0;
}

static void add_tier(const struct facts *f, const struct fact_tier *t, struct buf *out)
{
    const struct record *last = t->records != NULL ? record_last_good(t->records, 3) : NULL;
    int64_t success = t->records != NULL ? fact_last_success_ms(t->records) : 0;
    if (success != 0) {
        add_label("age", t->tier->name, out);
        buf_printf(out, "%" PRId64 "s;;", seconds(f->now_ms - success));
        if (t->late_ms > success)
            buf_printf(out, "%" PRId64, seconds(t->late_ms - success));
        buf_append_str(out, ";0");
    }
    if (last == NULL)
        return;
    add_label("duration", t->tier->name, out);
    buf_printf(out, "%.3fs;", (double)last->duration_ms / 1000);
    if (f->plan->health.slow_ms > 0)
        buf_printf(out, "%" PRIu64, f->plan->health.slow_ms / 1000);
    buf_append_str(out, ";;0");
    add_label("size", t->tier->name, out);
    buf_printf(out, "%" PRIu64 "B;;;0", last->bytes_processed);
}

static void add_destination(const struct facts *f, const struct fact_destination *d, struct buf *out)
{
    const struct plan_health *h = &f->plan->health;
    if (!d->space_known || d->free_bytes > d->total_bytes)
        return;
    add_label("used", d->destination->name, out);
    buf_printf(out, "%" PRIu64 "B;", d->total_bytes - d->free_bytes);
    if (h->full_percent > 0)
        buf_printf(out, "%.0f", (double)d->total_bytes * h->full_percent / 100);
    buf_append_byte(out, ';');
    if (h->critical_free_bytes > 0 && h->critical_free_bytes < d->total_bytes)
        buf_printf(out, "%" PRIu64, d->total_bytes - h->critical_free_bytes);
    buf_printf(out, ";0;%" PRIu64, d->total_bytes);
}

static void add_summary(const struct health_report *r, const struct finding **order, struct buf *out)
{
    static const char *const NAMES[] = {"OK", "WARNING", "CRITICAL"};
    size_t problems = health_view_count(&r->findings, ALERT_CRITICAL) + health_view_count(&r->findings, ALERT_WARNING);
    buf_printf(out, "%s: ", NAMES[health_view_status(r->worst)]);
    if (problems == 0)
        buf_printf(out, "all is well, %zu things looked at", r->findings.count);
    else
        add_text(order[0]->text, out);
    if (problems > 1)
        buf_printf(out, " (and %zu more)", problems - 1);
}

void health_view_nagios(const struct health_report *r, struct buf *out)
{
    const struct finding **order = health_view_order(&r->findings);
    add_summary(r, order, out);
    if (r->facts.tier_count + r->facts.destination_count > 0)
        buf_append_str(out, " |");
    for (size_t i = 0; i < r->facts.tier_count; i++)
        add_tier(&r->facts, &r->facts.tiers[i], out);
    for (size_t i = 0; i < r->facts.destination_count; i++)
        add_destination(&r->facts, &r->facts.destinations[i], out);
    buf_append_byte(out, '\n');
    for (size_t i = 0; i < r->findings.count && order[i]->level > ALERT_FINE; i++) {
        buf_printf(out, "%s: ", alert_level_name(order[i]->level));
        add_text(order[i]->text, out);
        if (order[i]->command != NULL) {
            buf_append_str(out, " -> ");
            add_text(order[i]->command, out);
        }
        buf_append_byte(out, '\n');
    }
    free(order);
}
