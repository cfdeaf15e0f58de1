/*
 * A run, from top to bottom; the function to read is run_plan(). What happens to a tier is tier_run.c's.
 */
#include "run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/cipher.h"
#include "monitor/log.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "plan/schedule.h"
#include "plan/withhold.h"
#include "run/again.h"
#include "run/hooks.h"
#include "run/host_lock.h"
#include "run/installed.h"
#include "run/retry.h"
#include "run/run_internal.h"
#include "run/watch.h"

/* A tier that is to run, and what has become of it so far. */
struct choice {
    const struct plan_tier *tier;
    struct tier_outcome outcome;
    bool now; /* it takes part in the present attempt */
};

/* In the plan's order. */
struct selection {
    struct choice *items;
    struct retry *retries; /* one for each */
    size_t count;
};

/* --- which --- */

static int check_names(const struct plan *p, const struct strlist *names, struct err *err)
{
    for (size_t i = 0; names != NULL && i < names->count; i++) {
        if (plan_tier_find(p, names->items[i]) != NULL)
            continue;
        struct strlist known = {0};
        for (size_t k = 0; k < p->tier_count; k++)
            strlist_add(&known, p->tiers[k].name);
        char *list = strlist_join(&known, ", ");
        err_set(err, ERR_USAGE, "there is no tier '%s' in '%s'; there are: %s", names->items[i],
                p->file != NULL ? p->file : "the plan", list);
        free(list);
        strlist_release(&known);
        return -1;
    }
    return 0;
}

static int check_adopted(const struct plan *p, const struct strlist *names, struct err *err)
{
    for (size_t i = 0; names != NULL && i < names->count; i++)
        if (plan_destination_find(p, names->items[i]) == NULL)
            return err_set(err, ERR_USAGE, "there is no destination '%s' in '%s'", names->items[i],
                           p->file != NULL ? p->file : "the plan");
    return 0;
}

/* period_ms: see run_tier_due_by_next_start(). Whoever waits is a scheduler, or does as one does; a person who asks
 * what is due gets what is due. */
static bool is_due(const struct run_options *o, const struct plan_tier *t, uint64_t period_ms)
{
    struct record_list records;
    /* Records that cannot be read must not stop backups. */
    if (record_list_read(o->state_dir, t->name, RECORD_KEPT_LINES, &records, NULL) != 0)
        return true;
    int64_t now_ms = os_now_ms();
    bool retry = again_promised().attempt > 1 && !t->disabled && t->schedule.kind != SCHEDULE_NONE;
    bool due = (retry && again_needed(&records)) || run_tier_due(t, &records, now_ms, NULL) ||
               run_tier_due_by_next_start(t, &records, now_ms, period_ms, o->plan->health.late_percent);
    record_list_release(&records);
    return due;
}

static void select_tiers(const struct run_options *o, struct selection *out)
{
    const struct plan *p = o->plan;
    bool named = o->tiers != NULL && o->tiers->count > 0;
    uint64_t period_ms = o->wait && !named && !o->all ? installed_period_ms(o->state_dir) : 0;
    *out = (struct selection){.items = mem_zalloc((p->tier_count + 1) * sizeof *out->items),
                              .retries = mem_zalloc((p->tier_count + 1) * sizeof *out->retries)};
    for (size_t i = 0; i < p->tier_count; i++) {
        const struct plan_tier *t = &p->tiers[i];
        bool wanted = named ? strlist_contains(o->tiers, t->name) : o->all ? !t->disabled : is_due(o, t, period_ms);
        if (!wanted)
            continue;
        out->retries[out->count] = (struct retry){.settings = &t->retry};
        out->items[out->count++] = (struct choice){.tier = t, .now = true};
    }
}

static void selection_release(struct selection *s)
{
    free(s->items);
    free(s->retries);
}

/* The names of those that take part now. */
static void selection_names(const struct selection *s, struct strlist *out)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].now)
            strlist_add(out, s->items[i].tier->name);
}

/* --- what came of it --- */

static void count(struct run_result *out, const struct tier_outcome *o)
{
    int worst = out->exit_code;
    if (o->status == RECORD_FAILED)
        out->failed++;
    else if (o->status == RECORD_SKIPPED)
        out->skipped++;
    else if (o->exit_code != 0)
        out->partial++;
    else
        out->completed++;
    /* An interrupt says the most, then failure, then partial. */
    if (o->exit_code == 130 || worst == 130)
        out->exit_code = 130;
    else if (o->exit_code == 1 || worst == 1)
        out->exit_code = 1;
    else
        out->exit_code = o->exit_code != 0 ? o->exit_code : worst;
}

/* Of those that took part in this attempt, or (all) of the run as a whole. */
static void sum_up(const struct selection *s, bool all, struct run_result *out)
{
    for (size_t i = 0; i < s->count; i++)
        if (all || s->items[i].now)
            count(out, &s->items[i].outcome);
}

static void run_warn(const struct run *run, const struct err *err)
{
    log_line(LOG_LEVEL_WARNING, "run %s: %s", run->id, err->message);
    if (run->reporter->warning != NULL)
        run->reporter->warning(run->reporter->ctx, NULL, err->message);
}

/* The whole run as hooks see it. */
static void last_hook(struct run *run, const struct selection *s)
{
    struct err err = {0};
    struct run_result sum = {0};
    sum_up(s, false, &sum);
    size_t tried = sum.failed + sum.skipped + sum.partial + sum.completed;
    struct record r = {.status = sum.failed > 0 ? RECORD_FAILED : RECORD_COMPLETED, .exit_code = sum.exit_code};
    if (sum.failed > 0)
        r.error = mem_printf("%zu of %zu tiers failed", sum.failed, tried);
    (void)record_sum_run(run->options->state_dir, run->id, &r);
    enum hook_kind kind = sum.failed > 0 ? HOOK_FAILURE : HOOK_AFTER;
    run->hook_failed = hook_run(&run->options->plan->hooks, kind, run->id, NULL, &r, &err) != 0;
    if (run->hook_failed)
        run_warn(run, &err);
    record_release(&r);
}

static struct destination_kept *kept_new(const struct plan *p)
{
    return mem_zalloc((p->destination_count + 1) * sizeof(struct destination_kept));
}

static void kept_free(struct destination_kept *kept, size_t count)
{
    for (size_t i = 0; kept != NULL && i < count; i++)
        destination_kept_release(&kept[i]);
    free(kept);
}

/* --- an attempt --- */

/* Everybody sees what is under way. */
static void describe_run(struct host_lock *lock, const struct selection *s)
{
    struct strlist names = {0};
    selection_names(s, &names);
    char *list = strlist_join(&names, ", "), *text = mem_printf("run of %s", list);
    host_lock_describe(lock, text);
    free(text);
    free(list);
    strlist_release(&names);
}

/* Those that take part now. The hooks around the run belong to each attempt: what they prepare (a drive that is
 * mounted) is theirs while the lock is held, and not longer. */
static void run_tiers(struct run *run, const struct selection *s, struct watch *watch)
{
    struct err err = {0};
    bool dry_run = run->options->dry_run;
    bool ready = dry_run || hook_run(&run->options->plan->hooks, HOOK_BEFORE, run->id, NULL, NULL, &err) == 0;
    for (size_t i = 0; i < s->count; i++) {
        struct choice *c = &s->items[i];
        if (!c->now)
            continue;
        run->last_attempt = s->retries[i].tries >= s->retries[i].settings->times;
        c->outcome = ready ? tier_run(run, c->tier) : tier_refuse(run, c->tier, &err);
        retry_note(&s->retries[i], c->outcome.retry && !dry_run && !os_interrupted(), os_monotonic_ns());
        watch_tier(watch, c->tier->name, c->outcome.exit_code);
    }
    if (!dry_run && !os_interrupted())
        last_hook(run, s);
}

/* --- trying again --- */

static void say_wait(const struct run *run, const struct selection *s)
{
    uint64_t now_ns = os_monotonic_ns();
    for (size_t i = 0; i < s->count; i++) {
        const struct retry *r = &s->retries[i];
        if (!s->items[i].now || !r->waiting)
            continue;
        char wait[32], text[128];
        uint64_t left_ms = r->due_ns > now_ns ? (r->due_ns - now_ns) / 1000000 : 0;
        duration_format((left_ms + 999) / 1000 * 1000, wait);
        snprintf(text, sizeof text, "failed; tried again in %s (%u of %u)", wait, r->tries, r->settings->times);
        log_line(LOG_LEVEL_INFO, "%s: %s", s->items[i].tier->name, text);
        if (run->reporter->note != NULL)
            run->reporter->note(run->reporter->ctx, s->items[i].tier, text);
    }
}

/* Has somebody else run it meanwhile, and well? Then that is what has become of it. */
static bool done_meanwhile(const struct run *run, struct choice *c)
{
    struct record_list records;
    if (record_list_read(run->options->state_dir, c->tier->name, RECORD_KEPT_LINES, &records, NULL) != 0)
        return false;
    const struct record *last = record_last_ended(&records);
    bool done =
        last != NULL && last->status != RECORD_FAILED && last->run_id != NULL && strcmp(last->run_id, run->id) != 0;
    if (done)
        c->outcome = (struct tier_outcome){.status = last->status, .exit_code = last->exit_code};
    record_list_release(&records);
    return done;
}

/* Who takes part in the next attempt: whose time has come. False: nobody. */
static bool select_retries(const struct run *run, struct selection *s, struct watch *watch)
{
    bool any = false;
    uint64_t now_ns = os_monotonic_ns();
    for (size_t i = 0; i < s->count; i++) {
        struct choice *c = &s->items[i];
        struct retry *r = &s->retries[i];
        c->now = r->waiting && r->due_ns <= now_ns;
        if (c->now && done_meanwhile(run, c)) {
            c->now = r->waiting = false;
            watch_tier(watch, c->tier->name, c->outcome.exit_code);
        }
        any = any || c->now;
    }
    return any;
}

/* Runs what failed again, as the plan has it. Others may run meanwhile: the lock is only held for the attempts. False:
 * interrupted. */
static bool try_again(struct run *run, struct selection *s, struct watch *watch)
{
    struct err err = {0};
    uint64_t due_ns;
    while (retry_next(s->retries, s->count, &due_ns)) {
        struct host_lock *lock = NULL;
        say_wait(run, s);
        atomic_store(&run->progress->tier, NULL);
        if (!retry_sleep_until(due_ns))
            return false;
        if (host_lock_acquire(&lock, run->options->state_dir, true, &err) != 0) {
            run_warn(run, &err);
            return err.code != ERR_INTERRUPTED;
        }
        if (select_retries(run, s, watch)) {
            describe_run(lock, s);
            run_tiers(run, s, watch);
        }
        host_lock_release(lock);
    }
    return true;
}

/* --- the run --- */

/* The daemon gives the ID, so that it knows which records are those of the run that it started. */
static int choose_run_id(char out[RUN_ID_CHARS + 1], struct err *err)
{
    struct id id = {0};
    char hex[ID_HEX_BYTES];
    const char *given = getenv("CLAWBACK_RUN_ID");
    out[RUN_ID_CHARS] = '\0';
    if (given != NULL && strlen(given) == RUN_ID_CHARS && strspn(given, "0123456789abcdef") == RUN_ID_CHARS) {
        memcpy(out, given, RUN_ID_CHARS);
        return 0;
    }
    if (crypto_random(id.bytes, RUN_ID_CHARS / 2, err) != 0)
        return -1;
    memcpy(out, id_to_hex(&id, hex), RUN_ID_CHARS);
    return 0;
}

/* One line about all of it. */
static void finish(const struct run *run, const struct selection *s, bool interrupted, struct run_result *out,
                   struct watch *watch)
{
    char text[160];
    sum_up(s, true, out);
    if (run->hook_failed && out->exit_code == 0)
        out->exit_code = err_exit_status(ERR_PARTIAL);
    if (interrupted)
        out->exit_code = err_exit_status(ERR_INTERRUPTED);
    size_t used = (size_t)snprintf(text, sizeof text, "%zu completed", out->completed + out->partial);
    if (out->partial > 0)
        used += (size_t)snprintf(text + used, sizeof text - used, " (%zu incomplete)", out->partial);
    if (out->failed > 0)
        used += (size_t)snprintf(text + used, sizeof text - used, ", %zu failed", out->failed);
    if (out->skipped > 0)
        snprintf(text + used, sizeof text - used, ", %zu skipped", out->skipped);
    log_line(out->exit_code == 0 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "run %s ends with exit status %d: tiers: %s",
             run->id, out->exit_code, text);
    watch_end(watch, out->exit_code, text);
}

/* From the first attempt to the last word; the lock is given back. */
static void run_selected(struct run *run, struct selection *s, struct host_lock *lock, struct run_result *out)
{
    const struct run_options *o = run->options;
    struct watch *watch = NULL;
    pthread_mutex_init(&run->mutex, NULL);
    run->again_ms = again_promised().after_ms;
    run->kept = kept_new(o->plan);
    if (lock != NULL) {
        struct strlist names = {0};
        selection_names(s, &names);
        log_open(o->state_dir, "run");
        describe_run(lock, s);
        watch = watch_begin(o->plan, o->state_dir, run->id, &names);
        strlist_release(&names);
    }
    run_tiers(run, s, watch);
    host_lock_release(lock);
    bool whole = try_again(run, s, watch);
    kept_free(run->kept, o->plan->destination_count);
    finish(run, s, !whole, out, watch);
    log_close();
    pthread_mutex_destroy(&run->mutex);
}

int run_plan(const struct run_options *options, const struct run_reporter *reporter, struct run_progress *progress,
             struct run_result *out, struct err *err)
{
    struct run run = {.options = options, .reporter = reporter, .progress = progress, .started = os_now()};
    struct selection selected = {0};
    struct host_lock *lock = NULL;
    *out = (struct run_result){0};
    /* Git runs what a repository's own hooks are, and an agent may write those. */
    plan_withhold_secrets(options->plan);
    if (check_names(options->plan, options->tiers, err) != 0 ||
        check_adopted(options->plan, options->adopt, err) != 0 || choose_run_id(run.id, err) != 0)
        return -1;
    memcpy(out->run_id, run.id, sizeof run.id);
    if (!options->dry_run && host_lock_acquire(&lock, options->state_dir, options->wait, err) != 0) {
        out->busy = err->code == ERR_LOCKED;
        return -1;
    }
    /* Only now: whoever had the lock until a moment ago may have done it. */
    select_tiers(options, &selected);
    out->due = selected.count;
    if (selected.count > 0)
        run_selected(&run, &selected, lock, out);
    else
        host_lock_release(lock);
    strlist_release(&run.said);
    selection_release(&selected);
    return 0;
}
