/* Destinations. */
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "monitor/rules_internal.h"

enum { FULL_SLACK_PERCENT = 5, TEXT_MAX_BYTES = 2048 };

static void destination(const struct fact_destination *d, struct finding_list *out)
{
    const char *name = d->destination->name;
    if (d->ready) {
        finding_add(out, "destination", name, ALERT_FINE, "destination '%s' is there", name);
        return;
    }
    const char *why = d->problem != NULL ? d->problem : "it cannot be used";
    struct finding *found =
        finding_add(out, "destination", name, ALERT_CRITICAL, "destination '%s' is not ready: %s", name, why);
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
                    rules_bytes(d->free_bytes, free_text), rules_bytes(d->total_bytes, total));
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
};

static void add_tier(struct upload *u, const struct fact_tier *t, const char *destination)
{
    const struct record *last = t->records != NULL && !t->tier->disabled ? rules_last_end(t->records) : NULL;
    for (size_t i = 0; last != NULL && i < last->destination_count; i++) {
        const struct record_destination *d = &last->destinations[i];
        if (strcmp(d->name, destination) != 0)
            continue;
        u->looked_at++;
        if (d->status != RECORD_FAILED)
            continue;
        buf_printf(&u->tiers, "%s%s", u->failed++ > 0 ? ", " : "", t->tier->name);
        u->first = u->first != NULL ? u->first : t->tier->name;
        u->why = u->why != NULL ? u->why : d->message;
        int64_t at_ms = rules_time_ms(last);
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
    } else if (u.looked_at > 0) {
        finding_add(out, "upload-failed", name, ALERT_FINE, "destination '%s' has all of the last runs", name);
    }
    buf_release(&u.tiers);
}

void rules_storage(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; i < f->destination_count; i++) {
        const struct fact_destination *d = &f->destinations[i];
        destination(d, out);
        space(f, d, out);
        if (d->ready) /* else it is told already what is the matter */
            upload(f, d, out);
    }
}
