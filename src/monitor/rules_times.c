/* When runs happened, and how long they took. */
#include <stdio.h>
#include <string.h>
#include "monitor/rules_internal.h"
#include "os/clock.h"

static const int64_t MINUTE_MS = 60 * 1000, CATCH_UP_MS = 30 * 60 * 1000, DAY_MS = 24 * 3600 * 1000LL,
                     WEEK_MS = 7 * DAY_MS;

/* --- late --- */

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Is `other` under way, and has been for no longer than there was from this tier's last success on? A tier's very first
 * run, which has everything to store, may take a day. */
static bool is_waited_for(const struct facts *f, const struct fact_tier *other, int64_t allowed_ms)
{
    int64_t began_ms = other->running && other->records != NULL ? record_last_started_ms(other->records) : 0;
    int64_t may_take_ms =
        began_ms > 0 && fact_last_success_ms(other->records) == 0 ? longer(allowed_ms, DAY_MS) : allowed_ms;
    return began_ms > 0 && (began_ms > f->now_ms || f->now_ms - began_ms < may_take_ms);
}

/* Runs come one after the other: what fell due during another's waits for that. */
static bool waits_its_turn(const struct facts *f, const struct fact_tier *t, int64_t allowed_ms)
{
    for (size_t i = 0; i < f->tier_count; i++) {
        const struct fact_tier *other = &f->tiers[i];
        if (other != t && is_waited_for(f, other, allowed_ms) && record_last_started_ms(other->records) < t->late_ms)
            return true;
    }
    return false;
}

/* What began or fell due before the machine went off, or to sleep, is made up for in a little while. */
static bool is_being_made_up_for(const struct facts *f, int64_t since_ms)
{
    return f->awake_since_ms > since_ms && f->now_ms - f->awake_since_ms < CATCH_UP_MS;
}

static bool has_time_left(const struct facts *f, const struct fact_tier *t, int64_t counted_ms)
{
    int64_t allowed_ms = t->late_ms - counted_ms;
    return is_waited_for(f, t, allowed_ms) || waits_its_turn(f, t, allowed_ms) || is_being_made_up_for(f, t->late_ms);
}

static void late(const struct facts *f, const struct fact_tier *t, struct finding_list *out)
{
    const char *name = t->tier->name;
    char how_long[RULES_TEXT_BYTES], ago[RULES_TEXT_BYTES];
    int64_t success_ms = fact_last_success_ms(t->records);
    if (t->tier->disabled || t->late_ms == 0) {
        finding_add(out, "late", name, ALERT_FINE, t->tier->disabled ? "%s is disabled" : "%s is not due", name);
        return;
    }
    if (success_ms > f->now_ms)
        return; /* the clock went back: how long ago it was, nobody can say */
    if (f->now_ms <= t->late_ms) {
        finding_add(out, "late", name, ALERT_FINE, success_ms != 0 ? "%s succeeded %s" : "%s is not due", name,
                    rules_ago(success_ms, f->now_ms, ago));
        return;
    }
    int64_t counted_ms = success_ms != 0 ? success_ms : f->watched_since_ms;
    if (has_time_left(f, t, counted_ms != 0 ? counted_ms : t->late_ms))
        return;
    if (rules_cut_off(f, t->tier))
        return;
    rules_ago(t->late_ms, f->now_ms, ago);
    struct finding *found;
    if (success_ms != 0)
        found = finding_add(out, "late", name, ALERT_CRITICAL, "%s has not succeeded %s; it was due %s", name,
                            rules_for(success_ms, f->now_ms, how_long), ago);
    else
        found = finding_add(out, "late", name, ALERT_CRITICAL, "%s has never succeeded; it was due %s", name, ago);
    found->since_ms = counted_ms != 0 ? counted_ms : t->late_ms;
    rules_command(found, "clawback run %s", name);
}

/* --- records that do not add up --- */

static void never_ended(const struct facts *f, const struct fact_tier *t, struct finding_list *out)
{
    const struct record *begun = record_unended(t->records);
    const char *name = t->tier->name;
    char when[RULES_TEXT_BYTES];
    if (begun == NULL || t->running) {
        finding_add(out, "never-ended", name, ALERT_FINE,
                    begun != NULL ? "%s is running" : "the last run of %s has ended", name);
        return;
    }
    if (is_being_made_up_for(f, os_time_ms(&begun->time)))
        return;
    struct finding *found =
        finding_add(out, "never-ended", name, ALERT_WARNING,
                    "the run of %s that began %s never ended: it was killed, or the machine went down", name,
                    rules_ago(os_time_ms(&begun->time), f->now_ms, when));
    found->since_ms = os_time_ms(&begun->time);
    rules_command(found, "clawback run %s", name);
}

static bool same_run(const struct record *a, const struct record *b)
{
    return a->run_id != NULL && b->run_id != NULL && strcmp(a->run_id, b->run_id) == 0;
}

/* Ends of the last week without a beginning before them. What comes before the first beginning may have lost its own
 * with the lines that were cut off. */
static size_t without_beginning(const struct record_list *l, int64_t now_ms)
{
    size_t first = 0, count = 0;
    while (first < l->count && l->items[first].status != RECORD_STARTED)
        first++;
    for (size_t i = first; i < l->count; i++) {
        const struct record *r = &l->items[i];
        if (r->status == RECORD_STARTED || r->run_id == NULL || now_ms - os_time_ms(&r->time) > WEEK_MS)
            continue;
        size_t k = i;
        while (k > first && !(l->items[k - 1].status == RECORD_STARTED && same_run(&l->items[k - 1], r)))
            k--;
        count += k == first;
    }
    return count;
}

static void records_broken(const struct facts *f, const struct fact_tier *t, struct finding_list *out)
{
    size_t lost = without_beginning(t->records, f->now_ms);
    const char *name = t->tier->name;
    char damaged[64] = "", unbegun[64] = "";
    if (t->damaged == 0 && lost == 0) {
        finding_add(out, "records-broken", name, ALERT_FINE, "the run log of %s is whole", name);
        return;
    }
    if (t->damaged > 0)
        snprintf(damaged, sizeof damaged, "%zu line%s cannot be read", t->damaged, t->damaged == 1 ? "" : "s");
    if (lost > 0)
        snprintf(unbegun, sizeof unbegun, "%zu run%s ended without having begun", lost, lost == 1 ? "" : "s");
    struct finding *found = finding_add(out, "records-broken", name, ALERT_WARNING,
                                        "the run log of %s was damaged within the last week: %s%s%s", name, damaged,
                                        t->damaged > 0 && lost > 0 ? ", " : "", unbegun);
    rules_command(found, "clawback runs %s", name);
}

/* --- slow --- */

static uint64_t duration_of(const struct record *r)
{
    return r->duration_ms;
}

struct limits {
    uint64_t absolute_ms, usual_ms; /* 0: there is none */
    double factor;                  /* 0: usual_ms is only what the other is measured by */
};

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* With an open alert, what has to be reached again for it to be over. The absolute limit is for those that usually take
 * less: who needs half an hour each time knows that, and has a limit in proportion. */
static bool too_slow(const struct limits *l, uint64_t took_ms, bool open)
{
    double took = (double)took_ms, usual = (double)l->usual_ms;
    double absolute = larger((double)l->absolute_ms * (open ? 0.8 : 1), usual * (open ? 1.25 : 1.5));
    double factor = open ? 1 + (l->factor - 1) / 2 : l->factor;
    if (l->absolute_ms > 0 && took > absolute)
        return true;
    return l->factor > 0 && usual > 0 && took_ms >= (uint64_t)MINUTE_MS && took > usual * factor;
}

/* The run to judge: the one under way, or the last that completed. false: none, or the very first, which has everything
 * to store. */
static bool run_to_judge(const struct facts *f, const struct fact_tier *t, const struct record **run, uint64_t *took_ms,
                         const struct record *before[USUAL_RUNS], size_t *count_out)
{
    const struct record_list *l = t->records;
    const struct record *begun = t->running ? record_unended(l) : NULL;
    long last = rules_last_completed(l);
    int64_t began_ms =
        begun != NULL ? longer(os_time_ms(&begun->time), f->awake_since_ms) : 0; /* asleep nothing is slow */
    if (begun != NULL && f->now_ms > began_ms) {
        *run = begun;
        *took_ms = (uint64_t)(f->now_ms - began_ms);
        *count_out = rules_good_before(l, l->count, before);
        /* As long as it has not taken longer, the one before it counts. */
        if (last < 0 || *took_ms > l->items[last].duration_ms)
            return *count_out > 0;
    }
    if (last < 0)
        return false;
    *run = &l->items[last];
    *took_ms = (*run)->duration_ms;
    *count_out = rules_good_before(l, (size_t)last, before);
    return *count_out > 0;
}

static void slow(const struct facts *f, const struct fact_tier *t, struct finding_list *out)
{
    const struct plan_health *h = &f->plan->health;
    const char *name = t->tier->name;
    const struct record *run = NULL, *before[USUAL_RUNS];
    uint64_t took_ms = 0;
    size_t count = 0;
    struct limits limits = {.absolute_ms = h->slow_ms, .factor = h->slow_factor};
    char took[RULES_TEXT_BYTES], usual[RULES_TEXT_BYTES], when[RULES_TEXT_BYTES], against[2 * RULES_TEXT_BYTES] = "";
    bool judged = !t->tier->disabled && run_to_judge(f, t, &run, &took_ms, before, &count);
    if (judged)
        rules_median(before, count, duration_of, &limits.usual_ms);
    if (!judged || !too_slow(&limits, took_ms, rules_open(f, "slow", name) != ALERT_FINE)) {
        finding_add(out, "slow", name, ALERT_FINE, judged ? "%s took %s" : "%s is not slow", name,
                    rules_duration((int64_t)took_ms, took));
        return;
    }
    if (limits.usual_ms > 0)
        snprintf(against, sizeof against, "; it usually takes %s", rules_duration((int64_t)limits.usual_ms, usual));
    bool runs = run->status == RECORD_STARTED;
    struct finding *found = finding_add(
        out, "slow", name, ALERT_WARNING, runs ? "%s has been running %s%s" : "%s took %s%s", name,
        runs ? rules_for(os_time_ms(&run->time), f->now_ms, when) : rules_duration((int64_t)took_ms, took), against);
    found->since_ms = os_time_ms(&run->time);
    rules_command_run(found, t->tier, run);
}

void rules_times(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; i < f->tier_count; i++) {
        const struct fact_tier *t = &f->tiers[i];
        if (t->records == NULL)
            continue;
        late(f, t, out);
        never_ended(f, t, out);
        records_broken(f, t, out);
        slow(f, t, out);
    }
}
