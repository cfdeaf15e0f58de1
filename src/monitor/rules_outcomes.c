/* What came of the last run. */
#include <stdio.h>
#include <string.h>
#include "monitor/rules_internal.h"
#include "os/clock.h"

static const int64_t ABSENT_MS = 14 * 24 * 3600 * 1000LL;

/* How many runs failed one after the other, up to the newest, and when the first of them did. */
static size_t failures_in_a_row(const struct record_list *l, int64_t *since_ms_out)
{
    size_t count = 0;
    for (size_t i = l->count; i-- > 0;) {
        const struct record *r = &l->items[i];
        if (r->status == RECORD_COMPLETED || r->status == RECORD_SKIPPED)
            break;
        if (r->status != RECORD_FAILED || (r->interrupted && r->exit_code == 130))
            continue;
        count++;
        *since_ms_out = os_time_ms(&r->time);
    }
    return count;
}

/* Not told yet: the run that has just failed goes on, or the one that was killed is being made up for. */
static bool may_still_succeed(const struct fact_tier *t, const struct record *last)
{
    return t->retrying || (last->interrupted && t->running);
}

bool rules_tells_failure(const struct fact_tier *t, const struct record *last)
{
    return !t->tier->disabled && last->status == RECORD_FAILED && !may_still_succeed(t, last);
}

static void run_failed(const struct facts *f, const struct fact_tier *tier, const struct record *last,
                       struct finding_list *out)
{
    const struct plan_tier *t = tier->tier;
    const struct record_list *l = tier->records;
    int64_t since_ms = os_time_ms(&last->time);
    const char *why = last->error != NULL ? last->error : "its record does not say why";
    char when[RULES_TEXT_BYTES];
    if (t->disabled || last->status != RECORD_FAILED) {
        finding_add(out, "run-failed", t->name, ALERT_FINE,
                    t->disabled ? "%s is disabled" : "the last run of %s went well", t->name);
        return;
    }
    if (!rules_tells_failure(tier, last) || rules_cut_off(f, t))
        return;
    size_t count = failures_in_a_row(l, &since_ms);
    struct finding *found;
    if (count > 1)
        found = finding_add(out, "run-failed", t->name, ALERT_CRITICAL, "%s failed %zu times in a row, %s: %s", t->name,
                            count, rules_for(since_ms, f->now_ms, when), why);
    else
        found = finding_add(out, "run-failed", t->name, ALERT_CRITICAL, "%s failed %s: %s", t->name,
                            rules_ago(since_ms, f->now_ms, when), why);
    found->since_ms = since_ms;
    if (last->retry)
        rules_command(found, "clawback run %s", t->name);
    else
        rules_command(found, "clawback doctor");
}

/* --- incomplete --- */

/* What other rules tell of is not told twice. */
static bool told_elsewhere(const struct record *r)
{
    for (size_t i = 0; i < r->destination_count; i++)
        if (r->destinations[i].status == RECORD_FAILED)
            return true;
    for (size_t i = 0; i < r->source_count; i++)
        if (r->sources[i].push_failed)
            return true;
    return false;
}

static const struct record_source *first_unread(const struct record *r, uint64_t *total_out)
{
    const struct record_source *first = NULL;
    *total_out = 0;
    for (size_t i = 0; i < r->source_count; i++) {
        if (r->sources[i].unreadable == 0)
            continue;
        first = first != NULL ? first : &r->sources[i];
        *total_out += r->sources[i].unreadable;
    }
    return first;
}

static void run_incomplete(const struct facts *f, const struct plan_tier *t, const struct record *last,
                           struct finding_list *out)
{
    uint64_t unread;
    char when[RULES_TEXT_BYTES];
    const struct record_source *source = first_unread(last, &unread);
    bool incomplete = last->status == RECORD_COMPLETED && last->exit_code == 3;
    if (t->disabled || !incomplete || (source == NULL && told_elsewhere(last))) {
        finding_add(out, "run-incomplete", t->name, ALERT_FINE, "the last run of %s lacks nothing", t->name);
        return;
    }
    rules_ago(os_time_ms(&last->time), f->now_ms, when);
    struct finding *found;
    if (source != NULL)
        found = finding_add(out, "run-incomplete", t->name, ALERT_WARNING,
                            "%s ran %s without %llu entr%s that could not be read, of '%s'", t->name, when,
                            (unsigned long long)unread, unread == 1 ? "y" : "ies", source->name);
    else
        found = finding_add(out, "run-incomplete", t->name, ALERT_WARNING, "%s ran %s and is not complete: %s", t->name,
                            when, last->warnings.count > 0 ? last->warnings.items[0] : "its record does not say why");
    found->since_ms = os_time_ms(&last->time);
    rules_command_run(found, t, last);
}

/* --- pushes --- */

static void pushes(const struct facts *f, const struct plan_tier *t, const struct record *last,
                   struct finding_list *out)
{
    char when[RULES_TEXT_BYTES];
    rules_ago(os_time_ms(&last->time), f->now_ms, when);
    for (size_t i = 0; i < last->source_count; i++) {
        const struct record_source *s = &last->sources[i];
        if (s->push == NULL && !s->push_failed)
            continue;
        if (t->disabled || !s->push_failed) {
            finding_add(out, "push-failed", s->name, ALERT_FINE, "'%s' was pushed", s->name);
            continue;
        }
        struct finding *found = finding_add(out, "push-failed", s->name, ALERT_WARNING, "pushing '%s' failed %s: %s",
                                            s->name, when, s->push != NULL ? s->push : "its record does not say why");
        found->since_ms = os_time_ms(&last->time);
        rules_command(found, "clawback run %s", t->name);
    }
}

/* --- databases that are not there any more (when: running) --- */

/* When something of it was last backed up; 0: never, as far back as records go. */
static int64_t last_there_ms(const struct record_list *l, const char *source)
{
    for (size_t i = l->count; i-- > 0;)
        for (size_t k = 0; k < l->items[i].source_count; k++) {
            const struct record_source *s = &l->items[i].sources[k];
            if (s->status == RECORD_COMPLETED && strcmp(s->name, source) == 0)
                return os_time_ms(&l->items[i].time);
        }
    return 0;
}

/* That one does not run now and then is what `when: running` is for; one that does not come back may be forgotten. What
 * never ran is nobody's loss. */
static void absent(const struct facts *f, const struct fact_tier *t, const struct record *last,
                   struct finding_list *out)
{
    char when[RULES_TEXT_BYTES] = "long ago";
    for (size_t i = 0; i < last->source_count; i++) {
        const char *name = last->sources[i].name;
        bool there = last->sources[i].status == RECORD_COMPLETED, open = rules_open(f, "absent", name) != ALERT_FINE;
        if (last->sources[i].status == RECORD_FAILED || t->tier->when != PLAN_RUNNING || (there && !open))
            continue;
        int64_t there_ms = last_there_ms(t->records, name);
        if (t->tier->disabled || there || (there_ms == 0 ? !open : os_time_ms(&last->time) - there_ms < ABSENT_MS)) {
            finding_add(out, "absent", name, ALERT_FINE, "%s is backed up when it runs", name);
            continue;
        }
        if (there_ms != 0)
            rules_ago(there_ms, f->now_ms, when);
        struct finding *found = finding_add(out, "absent", name, ALERT_WARNING,
                                            "%s was last backed up %s and has not been running since: start it, or "
                                            "take it out of the plan",
                                            name, when);
        found->since_ms = there_ms;
        rules_command(found, "clawback alerts silence absent '%s' --for 90d", name);
    }
}

void rules_outcomes(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; i < f->tier_count; i++) {
        const struct record_list *l = f->tiers[i].records;
        const struct record *last = l != NULL ? rules_last_end(l) : NULL;
        if (last == NULL)
            continue;
        run_failed(f, &f->tiers[i], last, out);
        run_incomplete(f, f->tiers[i].tier, last, out);
        pushes(f, f->tiers[i].tier, last, out);
        absent(f, &f->tiers[i], last, out);
    }
}
