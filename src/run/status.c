#include "run/status.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/clock.h"
#include "plan/schedule.h"
#include "run/host_lock.h"
#include "run/run.h"

static void add_problem(struct status *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add_problem(struct status *s, const char *format, ...)
{
    char text[ERR_MESSAGE_BYTES * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!strlist_contains(&s->problems, text))
        strlist_add(&s->problems, text);
}

static void take_sizes(struct tier_status *t)
{
    for (size_t i = t->records.count; i-- > 0 && t->size_count < STATUS_SIZES_MAX;)
        if (t->records.items[i].status == RECORD_COMPLETED)
            t->sizes[t->size_count++] = t->records.items[i].bytes_processed;
    for (size_t i = 0; i < t->size_count / 2; i++) {
        uint64_t size = t->sizes[i];
        t->sizes[i] = t->sizes[t->size_count - 1 - i];
        t->sizes[t->size_count - 1 - i] = size;
    }
}

static int64_t to_ms(const struct timespec *t)
{
    return (int64_t)t->tv_sec * 1000 + t->tv_nsec / 1000000;
}

/* Late is a tier whose last success is older than its interval and a quarter. */
static void check_age(struct status *s, const struct tier_status *t, int64_t now_ms)
{
    const struct schedule *schedule = &t->tier->schedule;
    const struct record *done = record_last_good(&t->records, 3);
    if (schedule->kind != SCHEDULE_EVERY || t->tier->disabled || t->last == NULL)
        return;
    int64_t since = done != NULL ? to_ms(&done->time) : 0;
    int64_t limit = (int64_t)(schedule->every_ms + schedule->every_ms / 4);
    char every[32], ago[32];
    duration_format(schedule->every_ms, every);
    if (done == NULL) {
        add_problem(s, "%s: it has never succeeded", t->tier->name);
    } else if (now_ms - since > limit && !t->running) {
        duration_format((uint64_t)((now_ms - since) / 60000 * 60000), ago);
        add_problem(s, "%s: the last success was %s ago, and it should run every %s; is a scheduler at work?",
                    t->tier->name, ago, every);
    }
}

static void check_tier(struct status *s, const struct tier_status *t, int64_t now_ms)
{
    if (t->last != NULL && t->last->status == RECORD_FAILED)
        add_problem(s, "%s: the last run failed: %s", t->tier->name, t->last->error != NULL ? t->last->error : "?");
    for (size_t i = 0; t->last != NULL && t->last->exit_code != 0 && i < t->last->destination_count; i++)
        if (t->last->destinations[i].message != NULL)
            add_problem(s, "%s: %s", t->tier->name, t->last->destinations[i].message);
    for (size_t i = 0; t->last != NULL && i < t->last->source_count; i++) {
        const struct record_source *source = &t->last->sources[i];
        if (source->push_failed)
            add_problem(s, "%s: push failed: %s", t->tier->name, source->push);
        if (source->unreadable > 0)
            add_problem(s, "%s: %llu entries of '%s' could not be read", t->tier->name,
                        (unsigned long long)source->unreadable, source->name);
    }
    if (record_unended(&t->records) != NULL && !t->running)
        add_problem(s, "%s: the last run never ended: it was killed, or the machine went down", t->tier->name);
    check_age(s, t, now_ms);
}

/* Begun and not ended, by a process that is still there: others were killed. */
static bool is_running(const struct status *s, const struct tier_status *t)
{
    const struct record *begun = record_unended(&t->records);
    return s->running && begun != NULL && begun->pid > 0 && (kill(begun->pid, 0) == 0 || errno == EPERM);
}

static void gather_tier(const struct plan_tier *tier, const char *state_dir, int64_t now_ms, struct status *s)
{
    struct tier_status *t = &s->tiers[s->tier_count++];
    struct err err = {0};
    *t = (struct tier_status){.tier = tier};
    if (record_list_read(state_dir, tier->name, RECORD_KEPT_LINES, &t->records, &err) != 0)
        add_problem(s, "%s", err.message);
    t->last = record_last_ended(&t->records);
    t->good = record_last_good(&t->records, 0);
    t->running = is_running(s, t);
    t->due = run_tier_due(tier, &t->records, now_ms, &t->next_ms);
    take_sizes(t);
    check_tier(s, t, now_ms);
}

static void gather_destination(const struct plan *p, const struct plan_destination *d, const char *state_dir,
                               int64_t now_ms, struct status *s)
{
    struct destination_status *out = &s->destinations[s->destination_count++];
    const struct destination_options options = {.state_dir = state_dir, .look_only = true};
    destination_check(d, &options, &out->check);
    forecast_destination(p, d, state_dir, now_ms, &out->forecast);
    if (out->check.problem != DESTINATION_OK)
        add_problem(s, "%s", out->check.err.message);
}

void status_gather(const struct plan *p, const char *state_dir, int64_t now_ms, struct status *out)
{
    *out = (struct status){0};
    out->tiers = mem_zalloc((p->tier_count + 1) * sizeof *out->tiers);
    out->destinations = mem_zalloc((p->destination_count + 1) * sizeof *out->destinations);
    out->running = host_lock_held(state_dir, out->runner, sizeof out->runner);
    for (size_t i = 0; i < p->tier_count; i++)
        gather_tier(&p->tiers[i], state_dir, now_ms, out);
    for (size_t i = 0; i < p->destination_count; i++)
        gather_destination(p, &p->destinations[i], state_dir, now_ms, out);
}

void status_release(struct status *s)
{
    for (size_t i = 0; i < s->tier_count; i++)
        record_list_release(&s->tiers[i].records);
    for (size_t i = 0; i < s->destination_count; i++)
        destination_check_release(&s->destinations[i].check);
    free(s->tiers);
    free(s->destinations);
    strlist_release(&s->problems);
    *s = (struct status){0};
}
