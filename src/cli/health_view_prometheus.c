/*
 * Prometheus' text exposition format, version 0.0.4: families in one piece, HELP and TYPE before their samples, UTF-8,
 * base units (seconds, bytes). A value that is not known has no sample. The names are documented in docs/health.md.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "cli/health_view.h"
#include "cli/text.h"
#include "os/clock.h"

static void add_family(struct buf *out, const char *name, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* Backslash, quote and line break are escaped; what is no UTF-8 becomes U+FFFD. */
static void add_label(struct buf *out, const char *key, const char *value)
{
    size_t len = strlen(value);
    buf_printf(out, "%s=\"", key);
    for (size_t i = 0; i < len;) {
        uint32_t rune = 0;
        size_t n = text_decode(value + i, len - i, &rune);
        if (n == 0)
            buf_append_str(out, "\xef\xbf\xbd");
        else if (rune == '\n')
            buf_append_str(out, "\\n");
        else if (rune == '\\' || rune == '"')
            buf_printf(out, "\\%c", (char)rune);
        else
            buf_append(out, value + i, n);
        i += n == 0 ? 1 : n;
    }
    buf_append_byte(out, '"');
}

static void add_value(struct buf *out, double value)
{
    /* Bytes and milliseconds both fit: 2^53 is more than eight petabytes. */
    if (value == (double)(int64_t)value)
        buf_printf(out, " %lld\n", (long long)value);
    else
        buf_printf(out, " %.3f\n", value);
}

static void add_labelled(struct buf *out, const char *name, const char *key, const char *label, double value)
{
    buf_printf(out, "%s{", name);
    add_label(out, key, label);
    buf_append_byte(out, '}');
    add_value(out, value);
}

static void add_single(struct buf *out, const char *name, const char *help, double value)
{
    add_family(out, name, help);
    buf_append_str(out, name);
    add_value(out, value);
}

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

/* --- tiers --- */

/* false: not known. */
typedef bool tier_number(const struct fact_tier *t, double *out);

static const struct record *last_run(const struct fact_tier *t)
{
    return t->records != NULL ? record_last_ended(t->records) : NULL;
}

static bool moment(int64_t ms, double *out)
{
    *out = seconds(ms);
    return ms > 0;
}

static bool last_success(const struct fact_tier *t, double *out)
{
    return moment(t->records != NULL ? fact_last_success_ms(t->records) : 0, out);
}

static bool last_end(const struct fact_tier *t, double *out)
{
    const struct record *r = last_run(t);
    return r != NULL && moment(os_time_ms(&r->time), out);
}

static bool exit_code(const struct fact_tier *t, double *out)
{
    const struct record *r = last_run(t);
    *out = r != NULL ? r->exit_code : 0;
    return r != NULL;
}

static bool duration(const struct fact_tier *t, double *out)
{
    const struct record *r = last_run(t);
    *out = r != NULL ? seconds((int64_t)r->duration_ms) : 0;
    return r != NULL;
}

static bool processed(const struct fact_tier *t, double *out)
{
    const struct record *r = last_run(t);
    *out = r != NULL ? (double)r->bytes_processed : 0;
    return r != NULL;
}

static bool added(const struct fact_tier *t, double *out)
{
    const struct record *r = last_run(t);
    *out = r != NULL ? (double)r->bytes_added : 0;
    return r != NULL;
}

static bool next_run(const struct fact_tier *t, double *out)
{
    return moment(t->next_ms, out);
}

static bool late_at(const struct fact_tier *t, double *out)
{
    return moment(t->late_ms, out);
}

static bool running(const struct fact_tier *t, double *out)
{
    *out = t->running;
    return true;
}

static void add_tiers(const struct facts *f, struct buf *out)
{
    static const struct {
        const char *name, *help;
        tier_number *number;
    } FAMILIES[] = {
        {"clawback_tier_last_success_timestamp_seconds", "When the tier last succeeded.", last_success},
        {"clawback_tier_last_run_timestamp_seconds", "When the tier's last run ended.", last_end},
        {"clawback_tier_last_run_exit_code", "Exit code of the last run: 0 good, 3 something is missing, else failed.",
         exit_code},
        {"clawback_tier_last_run_duration_seconds", "How long the last run took.", duration},
        {"clawback_tier_last_run_processed_bytes", "What the last run read.", processed},
        {"clawback_tier_last_run_added_bytes", "What the last run added to its destinations.", added},
        {"clawback_tier_next_run_timestamp_seconds", "When the tier is due next.", next_run},
        {"clawback_tier_late_timestamp_seconds", "From when on the tier is late, unless it succeeds.", late_at},
        {"clawback_tier_running", "Whether the tier runs now.", running},
    };
    for (size_t k = 0; f->tier_count > 0 && k < sizeof FAMILIES / sizeof *FAMILIES; k++) {
        double value;
        add_family(out, FAMILIES[k].name, FAMILIES[k].help);
        for (size_t i = 0; i < f->tier_count; i++)
            if (FAMILIES[k].number(&f->tiers[i], &value))
                add_labelled(out, FAMILIES[k].name, "tier", f->tiers[i].tier->name, value);
    }
}

/* --- destinations --- */

static void add_destinations(const struct facts *f, struct buf *out)
{
    static const char READY[] = "clawback_destination_ready", FREE[] = "clawback_destination_free_bytes",
                      SIZE[] = "clawback_destination_size_bytes",
                      FULL[] = "clawback_destination_full_timestamp_seconds";
    if (f->destination_count == 0)
        return;
    add_family(out, READY, "Whether a run could write there now.");
    for (size_t i = 0; i < f->destination_count; i++)
        add_labelled(out, READY, "destination", f->destinations[i].destination->name, f->destinations[i].ready);
    add_family(out, FREE, "Free space of its file system.");
    for (size_t i = 0; i < f->destination_count; i++)
        if (f->destinations[i].space_known)
            add_labelled(out, FREE, "destination", f->destinations[i].destination->name,
                         (double)f->destinations[i].free_bytes);
    add_family(out, SIZE, "Size of its file system.");
    for (size_t i = 0; i < f->destination_count; i++)
        if (f->destinations[i].space_known)
            add_labelled(out, SIZE, "destination", f->destinations[i].destination->name,
                         (double)f->destinations[i].total_bytes);
    add_family(out, FULL, "When it will be full if it grows on as it did; no sample: not in sight.");
    for (size_t i = 0; i < f->destination_count; i++)
        if (f->destinations[i].full_ms > 0)
            add_labelled(out, FULL, "destination", f->destinations[i].destination->name,
                         seconds(f->destinations[i].full_ms));
}

/* --- the rest --- */

static void add_checks(const struct fact_list *l, const char *name, const char *help, const char *key, struct buf *out)
{
    if (!l->looked || l->count == 0)
        return;
    add_family(out, name, help);
    for (size_t i = 0; i < l->count; i++)
        add_labelled(out, name, key, l->items[i].subject, l->items[i].ok);
}

static void add_findings(const struct health_report *r, struct buf *out)
{
    static const char COUNT[] = "clawback_findings", ONE[] = "clawback_finding";
    add_family(out, COUNT, "How many things of this level the last check found.");
    for (int level = ALERT_FINE; level <= ALERT_CRITICAL; level++)
        add_labelled(out, COUNT, "level", alert_level_name((enum alert_level)level),
                     (double)health_view_count(&r->findings, (enum alert_level)level));
    add_family(out, ONE, "What the last check found wrong: always 1.");
    for (size_t i = 0; i < r->findings.count; i++) {
        const struct finding *f = &r->findings.items[i];
        if (f->level < ALERT_WARNING)
            continue;
        buf_printf(out, "%s{", ONE);
        add_label(out, "rule", f->rule);
        buf_append_byte(out, ',');
        add_label(out, "subject", f->subject);
        buf_append_byte(out, ',');
        add_label(out, "level", alert_level_name(f->level));
        buf_append_str(out, "} 1\n");
    }
}

void health_view_prometheus(const struct health_report *r, struct buf *out)
{
    const struct facts *f = &r->facts;
    add_family(out, "clawback_info", "The program's version.");
    add_labelled(out, "clawback_info", "version", CLAWBACK_VERSION, 1);
    add_single(out, "clawback_health_timestamp_seconds", "When this was looked at.", seconds(f->now_ms));
    add_single(out, "clawback_health_level", "The worst finding: 0 fine, 1 warning, 2 critical.",
               health_view_status(r->worst));
    add_findings(r, out);
    add_tiers(f, out);
    add_destinations(f, out);
    add_checks(&f->schedulers, "clawback_scheduler_alive", "Whether what starts the runs lives.", "scheduler", out);
    add_checks(&f->dumps, "clawback_database_ready", "Whether the database could be dumped.", "database", out);
    add_checks(&f->skews, "clawback_clock_sane", "Whether our clock agrees with this one.", "clock", out);
    if (f->proof_looked && f->proof_ms > 0)
        add_single(out, "clawback_restore_proof_timestamp_seconds", "When a restore was last proven.",
                   seconds(f->proof_ms));
}
