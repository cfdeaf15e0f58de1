#include "run/status.h"

#include "base/mem.h"
#include "monitor/outbox.h"
#include "os/file.h"
#include "run/host_lock.h"
#include "run/run.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 8000 };

/* --- tiers --- */

static void take_sizes(const struct record_list *records, struct tier_status *t)
{
    for (size_t i = records->count; i-- > 0 && t->size_count < STATUS_SIZES_MAX;)
        if (records->items[i].status == RECORD_COMPLETED)
            t->sizes[t->size_count++] = records->items[i].bytes_processed;
    for (size_t i = 0; i < t->size_count / 2; i++) {
        uint64_t size = t->sizes[i];
        t->sizes[i] = t->sizes[t->size_count - 1 - i];
        t->sizes[t->size_count - 1 - i] = size;
    }
}

static void take_tier(const struct facts *f, const struct fact_tier *facts, struct tier_status *t)
{
    *t = (struct tier_status){.facts = facts};
    if (facts->records == NULL)
        return;
    t->last = record_last_ended(facts->records);
    t->good = record_last_good(facts->records, 0);
    t->due = run_tier_due(facts->tier, facts->records, f->now_ms, NULL);
    take_sizes(facts->records, t);
}

/* --- what is the matter --- */

static struct status_problem *add_problem(struct status *s)
{
    s->problems = mem_array(s->problems, s->problem_count + 1, sizeof *s->problems);
    struct status_problem *p = &s->problems[s->problem_count++];
    *p = (struct status_problem){0};
    return p;
}

static const struct finding *find_finding(const struct finding_list *l, const struct alert *a)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].rule, a->rule) == 0 && strcmp(l->items[i].subject, a->subject) == 0)
            return &l->items[i];
    return NULL;
}

static const struct alert *find_alert(const struct alert_list *l, const struct finding *f)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i].rule, f->rule) == 0 && strcmp(l->items[i].subject, f->subject) == 0)
            return &l->items[i];
    return NULL;
}

static void take_findings(struct status *s)
{
    for (size_t i = 0; i < s->report.findings.count; i++) {
        const struct finding *f = &s->report.findings.items[i];
        if (f->level < ALERT_WARNING)
            continue;
        const struct alert *a = find_alert(&s->alerts, f);
        struct status_problem *p = add_problem(s);
        *p = (struct status_problem){.rule = f->rule,
                                     .subject = f->subject,
                                     .text = f->text,
                                     .command = f->command,
                                     .level = f->level,
                                     .since_ms = f->since_ms != 0 ? f->since_ms
                                                 : a != NULL      ? a->since_ms
                                                                  : 0,
                                     .told_ms = a != NULL ? a->told_ms : 0,
                                     .is_alert = a != NULL};
    }
}

/* An alert that was looked at just now and found fine is over; the next
 * `health` closes it. */
static void take_alerts(struct status *s)
{
    for (size_t i = 0; i < s->alerts.count; i++) {
        const struct alert *a = &s->alerts.items[i];
        if (find_finding(&s->report.findings, a) != NULL)
            continue;
        struct status_problem *p = add_problem(s);
        *p = (struct status_problem){.rule = a->rule,
                                     .subject = a->subject,
                                     .text = a->text,
                                     .command = a->command,
                                     .level = a->now != ALERT_FINE ? a->now : a->level,
                                     .since_ms = a->since_ms,
                                     .told_ms = a->told_ms,
                                     .is_alert = true};
    }
}

/* Stable: within a level the rules' own order stays. */
static void put_worst_first(struct status *s)
{
    for (size_t i = 1; i < s->problem_count; i++) {
        struct status_problem p = s->problems[i];
        size_t at = i;
        for (; at > 0 && s->problems[at - 1].level < p.level; at--)
            s->problems[at] = s->problems[at - 1];
        s->problems[at] = p;
    }
}

/* --- together --- */

/* What only the database knows. Where it is not there, or cannot be opened,
 * what was found stands for itself. */
static void ask_state(const char *state_dir, struct status *s)
{
    char *path = os_path_join(state_dir, "state.sqlite");
    struct state *state = NULL;
    if (access(path, F_OK) == 0 && state_open(&state, state_dir, NULL) == 0) {
        if (alerts_open(state, &s->alerts, NULL) != 0)
            s->alerts = (struct alert_list){0};
        s->next_message_ms = outbox_next_ms(state, s->report.facts.now_ms);
        state_close(state);
    }
    free(path);
}

int status_gather(const struct plan *p, const char *state_dir, struct status *out, struct err *err)
{
    const struct health_options options = {
        .plan = p, .state_dir = state_dir, .quick = true, .handmade = true, .quiet = true, .patience_ms = PATIENCE_MS};
    struct err why = {0};
    *out = (struct status){0};
    /* Other errors are among the findings. */
    if (health_check(&options, &out->report, &why) != 0 && why.code == ERR_INTERRUPTED) {
        health_report_release(&out->report);
        if (err != NULL)
            *err = why;
        return -1;
    }
    const struct facts *f = &out->report.facts;
    out->tiers = mem_zalloc((f->tier_count + 1) * sizeof *out->tiers);
    for (size_t i = 0; i < f->tier_count; i++)
        take_tier(f, &f->tiers[i], &out->tiers[out->tier_count++]);
    out->running = host_lock_held(state_dir, out->runner, sizeof out->runner);
    ask_state(state_dir, out);
    take_findings(out);
    take_alerts(out);
    put_worst_first(out);
    return 0;
}

void status_release(struct status *s)
{
    free(s->tiers);
    free(s->problems);
    alert_list_release(&s->alerts);
    health_report_release(&s->report);
    *s = (struct status){0};
}
