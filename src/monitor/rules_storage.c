/* Destinations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "monitor/rules_internal.h"
#include "os/clock.h"

enum { FULL_SLACK_PERCENT = 5, TEXT_MAX_BYTES = 2048 };

/* --- there, or not --- */

static const struct record_destination *find_in(const struct record *r, const char *destination)
{
    for (size_t i = 0; r != NULL && i < r->destination_count; i++)
        if (strcmp(r->destinations[i].name, destination) == 0)
            return &r->destinations[i];
    return NULL;
}

/* Does the tier go without, since the destination is not there? Then its own rules say nothing of it. */
static bool goes_without(const struct facts *f, const struct fact_tier *t, const char *destination)
{
    if (t->records == NULL || t->tier->disabled || !strlist_contains(&t->tier->to, destination))
        return false;
    const struct record *last = rules_last_end(t->records);
    const struct record_destination *stored = find_in(last, destination);
    if (stored != NULL && stored->status == RECORD_FAILED)
        return true;
    bool failed = last != NULL && last->status == RECORD_FAILED, late = t->late_ms != 0 && f->now_ms > t->late_ms;
    return (failed || late) && rules_cut_off(f, t->tier);
}

/* "since 2026-02-04 06:00", "yet": as far as the records go. */
static void last_stored(const struct record_list *l, const char *destination, char out[RULES_TEXT_BYTES])
{
    for (size_t i = l->count; i-- > 0;) {
        const struct record_destination *d = find_in(&l->items[i], destination);
        if (d == NULL || d->status != RECORD_COMPLETED)
            continue;
        char at[OS_TIME_BYTES];
        snprintf(out, RULES_TEXT_BYTES, "since %.16s", os_time_format_human(&l->items[i].time, at));
        return;
    }
    snprintf(out, RULES_TEXT_BYTES, "yet");
}

static void add_line(const struct strlist *tiers, const char *since, struct buf *out)
{
    if (out->len > 0)
        buf_append_byte(out, '\n');
    for (size_t i = 0; i < tiers->count; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : i + 1 < tiers->count ? ", " : " and ", tiers->items[i]);
    buf_printf(out, " %s not been stored there %s", tiers->count == 1 ? "has" : "have", since);
}

/* A line for each time since when some tiers are not stored there. The caller frees it; NULL: none. */
static char *who_goes_without(const struct facts *f, const char *destination)
{
    char(*since)[RULES_TEXT_BYTES] = mem_zalloc((f->tier_count + 1) * sizeof *since);
    struct buf out;
    buf_init(&out, TEXT_MAX_BYTES);
    for (size_t i = 0; i < f->tier_count; i++)
        if (goes_without(f, &f->tiers[i], destination))
            last_stored(f->tiers[i].records, destination, since[i]);
    for (size_t i = 0; i < f->tier_count; i++) {
        struct strlist same = {0};
        char text[RULES_TEXT_BYTES];
        memcpy(text, since[i], sizeof text);
        for (size_t k = i; *text != '\0' && k < f->tier_count; k++)
            if (strcmp(since[k], text) == 0) {
                strlist_add(&same, f->tiers[k].tier->name);
                since[k][0] = '\0';
            }
        if (same.count > 0)
            add_line(&same, text, &out);
        strlist_release(&same);
    }
    char *text = out.len > 0 ? mem_strdup(buf_cstr(&out)) : NULL;
    buf_release(&out);
    free(since);
    return text;
}

static void destination(const struct facts *f, const struct fact_destination *d, struct finding_list *out)
{
    const char *name = d->destination->name;
    if (d->ready) {
        finding_add(out, "destination", name, ALERT_FINE, "destination '%s' is there", name);
        return;
    }
    const char *why = d->problem != NULL ? d->problem : "it cannot be used";
    struct finding *found =
        finding_add(out, "destination", name, ALERT_CRITICAL, "destination '%s' is not ready: %s", name, why);
    found->details = who_goes_without(f, name);
    rules_command(found, "clawback doctor");
}

/* --- space --- */

static enum alert_level space_level(const struct plan_health *h, const struct fact_destination *d,
                                    enum alert_level open)
{
    double used = 100 - 100 * (double)d->free_bytes / (double)d->total_bytes;
    double full = h->full_percent - (open != ALERT_FINE ? FULL_SLACK_PERCENT : 0.0);
    double least = (double)h->critical_free_bytes * (open == ALERT_CRITICAL ? 1.5 : 1);
    if ((double)d->free_bytes < least)
        return ALERT_CRITICAL;
    return h->full_percent > 0 && used > full ? ALERT_WARNING : ALERT_FINE;
}

static void space(const struct facts *f, const struct fact_destination *d, struct finding_list *out)
{
    const char *name = d->destination->name;
    char free_text[RULES_TEXT_BYTES], total[RULES_TEXT_BYTES];
    if (!d->space_known || d->total_bytes == 0 || d->free_bytes > d->total_bytes)
        return;
    enum alert_level level = space_level(&f->plan->health, d, rules_open(f, "space", name));
    double used = 100 - 100 * (double)d->free_bytes / (double)d->total_bytes;
    struct finding *found =
        finding_add(out, "space", name, level, "destination '%s' is %.0f %% full: %s of %s are free", name, used,
                    bytes_text(d->free_bytes, free_text), bytes_text(d->total_bytes, total));
    if (level == ALERT_FINE)
        return;
    if (d->forecast != NULL)
        found->details = mem_strdup(d->forecast);
    rules_command(found, "clawback status");
}

/* --- what the last runs stored there --- */

struct upload {
    struct buf tiers; /* those whose last run is not there, for people */
    const char *first, *why;
    int64_t since_ms;
    size_t failed, looked_at;
    bool undecided; /* one that failed is about to be tried again, or another rule says so already */
};

/* A passphrase that is wrong, say, fails the whole run: that is one thing to mend, and told once. */
static bool told_of_run(const struct fact_tier *t, const struct record *last, const struct record_destination *d)
{
    return rules_tells_failure(t, last) &&
           (d->message == NULL || (last->error != NULL && strstr(last->error, d->message) != NULL));
}

static void add_tier(struct upload *u, const struct fact_tier *t, const char *destination)
{
    const struct record *last = t->records != NULL ? rules_last_end(t->records) : NULL;
    for (size_t i = 0; last != NULL && i < last->destination_count; i++) {
        const struct record_destination *d = &last->destinations[i];
        if (strcmp(d->name, destination) != 0)
            continue;
        u->looked_at++;
        if (d->status != RECORD_FAILED || t->tier->disabled)
            continue;
        if (t->retrying || told_of_run(t, last, d)) {
            u->undecided = true;
            continue;
        }
        buf_printf(&u->tiers, "%s%s", u->failed++ > 0 ? ", " : "", t->tier->name);
        u->first = u->first != NULL ? u->first : t->tier->name;
        u->why = u->why != NULL ? u->why : d->message;
        int64_t at_ms = os_time_ms(&last->time);
        u->since_ms = u->since_ms == 0 || at_ms < u->since_ms ? at_ms : u->since_ms;
    }
}

static void upload(const struct facts *f, const struct fact_destination *d, struct finding_list *out)
{
    const char *name = d->destination->name;
    struct upload u = {.first = NULL};
    char when[RULES_TEXT_BYTES];
    buf_init(&u.tiers, TEXT_MAX_BYTES);
    for (size_t i = 0; i < f->tier_count; i++)
        add_tier(&u, &f->tiers[i], name);
    if (u.failed > 0) {
        struct finding *found =
            finding_add(out, "upload-failed", name, ALERT_CRITICAL, "destination '%s' did not get all of %s %s%s%s",
                        name, buf_cstr(&u.tiers), rules_ago(u.since_ms, f->now_ms, when), u.why != NULL ? ": " : "",
                        u.why != NULL ? u.why : "");
        found->since_ms = u.since_ms;
        rules_command(found, "clawback run %s", u.first);
    } else if (u.looked_at > 0 && !u.undecided) {
        finding_add(out, "upload-failed", name, ALERT_FINE, "destination '%s' has all of the last runs", name);
    }
    buf_release(&u.tiers);
}

void rules_storage(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; i < f->destination_count; i++) {
        const struct fact_destination *d = &f->destinations[i];
        if (!d->unknown) {
            destination(f, d, out);
            space(f, d, out);
        }
        if (d->ready || d->unknown) /* else it is told already what is the matter */
            upload(f, d, out);
    }
}
