#include "monitor/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "monitor/alerts.h"
#include "monitor/message_text.h"
#include "os/clock.h"
#include "plan/schedule_zone.h"

enum { DAY_S = 86400, TEXT_MAX_BYTES = 64 << 10, RUNS_READ = 5000, PROOFS_READ = 500 };
/* Restore proofs are recorded like the runs of a tier, under this name. */
static const char PROOF_TIER[] = "drill";

/* --- when --- */

static int64_t floor_day(int64_t local_s)
{
    return local_s >= 0 ? local_s / DAY_S : -((-local_s + DAY_S - 1) / DAY_S);
}

/* Day 0 is 1970-01-01, a Thursday. */
static unsigned weekday(int64_t day)
{
    return (unsigned)(((day + 4) % 7 + 7) % 7);
}

int digest_due(const struct plan_alerts *settings, enum digest_kind kind, int64_t now_ms, struct digest_time *out,
               struct err *err)
{
    struct zone *zone;
    struct zone_span span;
    if (zone_load(NULL, &zone, err) != 0)
        return -1;
    int64_t now_s = now_ms / 1000, at_s = (int64_t)settings->digest_minute * 60, due_s;
    zone_find(zone, now_s, &span);
    int64_t day = floor_day(now_s + span.offset_s) + 1;
    do {
        day--;
        due_s = zone_instant(zone, day * DAY_S + at_s);
    } while (due_s > now_s || (kind == DIGEST_WEEKLY && weekday(day) != settings->digest_weekday % 7));
    zone_free(zone);
    time_t date = (time_t)(day * DAY_S);
    struct tm tm = {0};
    gmtime_r(&date, &tm);
    strftime(out->day, sizeof out->day, "%Y-%m-%d", &tm);
    out->due_ms = due_s * 1000;
    return 0;
}

int64_t digest_time_of_day(const struct plan_alerts *settings, const char *day)
{
    struct zone *zone;
    struct tm tm = {0};
    const char *end = strptime(day, "%Y-%m-%d", &tm);
    if (end == NULL || *end != '\0' || zone_load(NULL, &zone, NULL) != 0)
        return 0;
    int64_t due_s = zone_instant(zone, (int64_t)timegm(&tm) + (int64_t)settings->digest_minute * 60);
    zone_free(zone);
    return due_s * 1000;
}

/* --- what --- */

struct tier_sum {
    size_t runs, fine, partial, failed, skipped;
    uint64_t read_bytes, added_bytes;
    int64_t last_good_ms;
    const char *last_error;
};

/* Runs come the newest first. */
static void sum_up(const struct record_list *l, struct tier_sum *out)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct record *r = &l->items[i];
        if (r->status == RECORD_STARTED)
            continue;
        out->runs++;
        out->skipped += r->status == RECORD_SKIPPED;
        out->failed += r->status == RECORD_FAILED;
        out->partial += r->status == RECORD_COMPLETED && r->exit_code != 0;
        out->fine += r->status == RECORD_COMPLETED && r->exit_code == 0;
        out->read_bytes += r->bytes_processed;
        out->added_bytes += r->bytes_added;
        if (r->status == RECORD_COMPLETED && out->last_good_ms == 0)
            out->last_good_ms = os_time_ms(&r->time);
        if (r->status == RECORD_FAILED && out->last_error == NULL)
            out->last_error = r->error;
    }
}

static void put_count(struct buf *out, size_t count, const char *what)
{
    if (count > 0)
        buf_printf(out, ", %zu %s", count, what);
}

static void put_tier(struct buf *out, const struct plan_tier *tier, const struct tier_sum *sum)
{
    char read[32], added[32], when[32];
    if (sum->runs == 0) {
        buf_printf(out, "  %s: no run%s\n", tier->name,
                   tier->disabled                         ? " (disabled)"
                   : tier->schedule.kind == SCHEDULE_NONE ? " (only when named)"
                                                          : "");
        return;
    }
    bytes_text(sum->read_bytes, read);
    bytes_text(sum->added_bytes, added);
    buf_printf(out, "  %s: %zu %s", tier->name, sum->runs, sum->runs == 1 ? "run" : "runs");
    put_count(out, sum->fine, "fine");
    put_count(out, sum->partial, "incomplete");
    put_count(out, sum->failed, "FAILED");
    put_count(out, sum->skipped, "skipped");
    buf_printf(out, "; %s read, %s added", read, added);
    if (sum->last_good_ms > 0) {
        text_time(sum->last_good_ms, when);
        buf_printf(out, "; last success %s", when);
    }
    buf_append_byte(out, '\n');
    if (sum->last_error != NULL)
        buf_printf(out, "    last failure: %s\n", sum->last_error);
}

static int put_tiers(struct buf *out, const struct plan *p, struct state *s, int64_t since_ms, int64_t until_ms,
                     struct err *err)
{
    buf_append_str(out, "Backups\n");
    for (size_t i = 0; i < p->tier_count; i++) {
        struct run_query q = {
            .tier = p->tiers[i].name, .since_ms = since_ms, .until_ms = until_ms, .tiers_only = true, .max = RUNS_READ};
        struct record_list l = {0};
        struct tier_sum sum = {0};
        if (state_runs(s, &q, &l, err) != 0)
            return -1;
        sum_up(&l, &sum);
        put_tier(out, &p->tiers[i], &sum);
        record_list_release(&l);
    }
    return 0;
}

/* The last that was measured there, however long ago. */
static int last_measured(struct state *s, const char *what, const char *destination, struct state_point *out,
                         struct err *err)
{
    struct state_point *points = NULL;
    size_t count = 0;
    char *series = mem_printf("destination.%s:%s", what, destination);
    int rc = state_series(s, series, 0, &points, &count, err);
    *out = count > 0 ? points[count - 1] : (struct state_point){0};
    free(points);
    free(series);
    return rc;
}

static int put_destinations(struct buf *out, const struct plan *p, struct state *s, struct err *err)
{
    buf_append_str(out, "\nDestinations\n");
    for (size_t i = 0; i < p->destination_count; i++) {
        const char *name = p->destinations[i].name;
        struct state_point used, total;
        char free_text[32], total_text[32], when[32];
        if (last_measured(s, "used", name, &used, err) != 0 || last_measured(s, "total", name, &total, err) != 0)
            return -1;
        if (total.value <= 0 || used.value > total.value) {
            buf_printf(out, "  %s: free space not known\n", name);
            continue;
        }
        bytes_text((uint64_t)(total.value - used.value), free_text);
        bytes_text((uint64_t)total.value, total_text);
        text_time(total.at_ms, when);
        buf_printf(out, "  %s: %s of %s free, %.0f %% full (%s)\n", name, free_text, total_text,
                   100 * used.value / total.value, when);
    }
    return 0;
}

static int put_alerts(struct buf *out, struct state *s, int64_t until_ms, enum alert_level *worst, struct err *err)
{
    struct alert_list l = {0};
    char span[32];
    if (alerts_open(s, &l, err) != 0)
        return -1;
    buf_append_str(out, l.count > 0 ? "\nOpen alerts\n" : "\nNo open alerts\n");
    for (size_t i = 0; i < l.count; i++) {
        const struct alert *a = &l.items[i];
        int64_t since = a->since_ms > 0 ? a->since_ms : a->opened_ms;
        *worst = a->level > *worst ? a->level : *worst;
        text_span(until_ms - since, span);
        buf_printf(out, "  %s: %s (for %s)\n", a->level == ALERT_CRITICAL ? "CRITICAL" : "WARNING", a->text, span);
        if (a->command != NULL)
            buf_printf(out, "    type: %s\n", a->command);
    }
    alert_list_release(&l);
    return 0;
}

/* Where nothing was ever proved nothing is said: there is a rule for that. */
static void put_proof(struct buf *out, struct state *s, int64_t until_ms)
{
    struct record_list l = {0};
    char when[32], span[32];
    record_list_read(state_dir_of(s), PROOF_TIER, PROOFS_READ, &l, NULL);
    const struct record *good = record_last_good(&l, 0);
    if (good != NULL) {
        text_time(os_time_ms(&good->time), when);
        text_span(until_ms - os_time_ms(&good->time), span);
        buf_printf(out, "\nLast restore proof: %s (%s ago)\n", when, span);
    }
    record_list_release(&l);
}

int digest_text(const struct plan *p, struct state *s, int64_t since_ms, int64_t until_ms, char **text,
                enum alert_level *worst, struct err *err)
{
    struct buf out;
    char from[32], to[32];
    *text = NULL;
    *worst = ALERT_FINE;
    buf_init(&out, TEXT_MAX_BYTES);
    text_time(since_ms, from);
    text_time(until_ms, to);
    buf_printf(&out, "%s to %s\n\n", from, to);
    int rc = put_tiers(&out, p, s, since_ms, until_ms, err);
    if (rc == 0)
        rc = put_destinations(&out, p, s, err);
    if (rc == 0)
        rc = put_alerts(&out, s, until_ms, worst, err);
    if (rc == 0) {
        put_proof(&out, s, until_ms);
        *text = mem_strdup(buf_cstr(&out));
    }
    buf_release(&out);
    return rc;
}
