/*
 * One look at everything. Facts first, since looking may take its time; then the state database, held no longer than
 * it takes to write what changed.
 */
#include "run/health.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "monitor/alerts.h"
#include "monitor/outbox.h"
#include "monitor/rules.h"
#include "os/clock.h"
#include "os/file.h"
#include "run/health_facts.h"

enum { DAMAGE_TOLD_MS = 7 * 24 * 3600 * 1000 };

/* Who only looks makes no database where there is none. */
static bool wants_state(const struct health_options *o)
{
    char *path = os_path_join(o->state_dir, "state.sqlite");
    bool there = access(path, F_OK) == 0;
    free(path);
    return !o->quiet || there;
}

/* --- the rule that is ours: "state" --- */

static void judge_records(const struct health_options *o, const struct strlist *trouble, struct finding_list *out)
{
    if (trouble->count == 0) {
        finding_add(out, "state", "records", ALERT_FINE, "the run records can be read");
        return;
    }
    struct finding *f = finding_add(out, "state", "records", ALERT_WARNING, "%s", trouble->items[0]);
    f->details = trouble->count > 1 ? strlist_join(trouble, "\n") : NULL;
    f->command = mem_printf("ls -la '%s/runs'", o->state_dir);
}

/* --- the rule that is ours: "plan" --- */

/* Whoever is told is not who should be told, or not of what he wanted to be. */
static void judge_plan(const struct plan *p, struct finding_list *out)
{
    const struct strlist *mistakes = &p->alerts.mistakes;
    if (mistakes->count == 0) {
        finding_add(out, "plan", "alerts", ALERT_FINE, "the plan has no mistakes in 'alerts' and 'health'");
        return;
    }
    struct finding *f =
        finding_add(out, "plan", "alerts", ALERT_WARNING,
                    "not everybody may be told what is wrong: there is a mistake at %s", mistakes->items[0]);
    f->details = mistakes->count > 1 ? strlist_join(mistakes, "\n") : NULL;
    f->command = mem_strdup("clawback config check");
}

static void judge_alerts(const struct health_options *o, const struct err *why, struct finding *f)
{
    if (why->code == ERR_NONE)
        return;
    free(f->text);
    free(f->command);
    f->level = ALERT_WARNING;
    f->text = mem_printf("alerts cannot be kept and sent: %s", why->message);
    f->command = mem_printf("df -h '%s'", o->state_dir);
}

/* --- what is kept --- */

static int measure(const struct health_report *r, struct state *s, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->facts.destination_count; i++) {
        const struct fact_destination *d = &r->facts.destinations[i];
        if (!d->space_known || d->free_bytes > d->total_bytes)
            continue;
        char *series = mem_printf("destination.used:%s", d->destination->name);
        rc = state_measure(s, series, r->facts.now_ms, (double)(d->total_bytes - d->free_bytes), err);
        free(series);
    }
    for (size_t i = 0; rc == 0 && i < r->facts.tier_count; i++) {
        const struct record_list *records = r->facts.tiers[i].records;
        const struct record *last = records != NULL ? record_last_good(records, 3) : NULL;
        if (last == NULL)
            continue;
        char *series = mem_printf("tier.bytes:%s", r->facts.tiers[i].tier->name);
        rc = state_measure(s, series, os_time_ms(&last->time), (double)last->bytes_processed, err);
        free(series);
    }
    return rc;
}

/* *kept: the alerts are safe, also when the rest, which is history, failed. */
static int keep(const struct health_options *o, struct health_report *r, struct state *s, bool *kept, struct err *err)
{
    *kept = alerts_update(s, &r->findings, &o->plan->alerts, r->facts.now_ms, outbox_add_alerts,
                          (void *)(uintptr_t)o->plan, err) == 0;
    if (!*kept)
        return -1;
    return outbox_add_digests(o->plan, s, r->facts.now_ms, err) != 0 || measure(r, s, err) != 0 ? -1 : 0;
}

/* What only the database knows. */
static int ask_state(const struct health_options *o, struct state *s, struct facts *f, struct err *err)
{
    int rc = o->quiet ? 0 : state_follow_logs(s, err);
    for (size_t i = 0; i < f->tier_count; i++)
        f->tiers[i].damaged = state_damaged(s, f->tiers[i].tier->name, f->now_ms - DAMAGE_TOLD_MS);
    if (health_note_sleep(s, o->quiet, f, rc == 0 ? err : NULL) != 0)
        rc = -1;
    f->is_open = alerts_open_level;
    f->open_ctx = s;
    return rc;
}

/* Rules, with the database's memory where there is one; then what became of it goes back into the database. */
static void judge(const struct health_options *o, struct health_report *r, struct state *s, bool *kept, struct err *why)
{
    if (s != NULL)
        ask_state(o, s, &r->facts, why);
    rules_apply(&r->facts, &r->findings);
    judge_plan(o->plan, &r->findings);
    health_name_plan(o->plan, &r->findings);
    judge_records(o, &r->held->trouble, &r->findings);
    if (s == NULL && why->code == ERR_NONE)
        return;
    /* Fine at first, so that what was amiss the last time is closed. */
    finding_add(&r->findings, "state", "alerts", ALERT_FINE, "alerts can be kept");
    struct finding *ours = &r->findings.items[r->findings.count - 1];
    judge_alerts(o, why, ours);
    if (s != NULL && !o->quiet && keep(o, r, s, kept, why) != 0)
        judge_alerts(o, why, ours);
    r->facts.is_open = NULL;
    r->facts.open_ctx = NULL;
}

int health_check(const struct health_options *o, struct health_report *out, struct err *err)
{
    struct state *s = NULL;
    struct err why = {0};
    bool kept = false;
    *out = (struct health_report){0};
    if (health_gather(o, &out->facts, &out->held, err) != 0)
        return -1;
    if (wants_state(o) && state_open(&s, o->state_dir, &why) != 0)
        s = NULL;
    judge(o, out, s, &kept, &why);
    state_close(s);
    /* Others that write keep us from it for a moment only. */
    if (!kept && !o->quiet && why.code != ERR_TIMEOUT)
        health_tell_directly(o, &out->findings, out->facts.now_ms);
    out->worst = finding_list_worst(&out->findings);
    if (why.code == ERR_NONE)
        return 0;
    if (err != NULL)
        *err = why;
    return -1;
}

void health_report_release(struct health_report *r)
{
    finding_list_release(&r->findings);
    facts_release(r->held);
    *r = (struct health_report){0};
}
