/*
 * One tier, from top to bottom; the function to read is tier_run(). Whatever happens between the two records that it
 * writes, the second one is written.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "monitor/log.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "plan/schedule.h"
#include "run/hooks.h"
#include "run/run_internal.h"

enum { HISTORY_RECORDS = 400 };

/* --- saying things --- */

typedef void say_fn(void *ctx, const struct plan_tier *tier, const char *message);

__attribute__((format(printf, 3, 0))) static void say(struct tier_run *t, say_fn *fn, const char *format, va_list args)
{
    char text[ERR_MESSAGE_BYTES * 2];
    vsnprintf(text, sizeof text, format, args);
    pthread_mutex_lock(&t->run->mutex);
    if (t->record.warnings.count < RECORD_WARNINGS_MAX)
        strlist_add(&t->record.warnings, text);
    pthread_mutex_unlock(&t->run->mutex);
    log_line(LOG_LEVEL_WARNING, "%s: %s", t->tier->name, text);
    if (fn != NULL)
        fn(t->run->reporter->ctx, t->tier, text);
}

void tier_warn(struct tier_run *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(t, t->run->reporter->warning, format, args);
    va_end(args);
}

void tier_fail(struct tier_run *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(t, t->run->reporter->failure, format, args);
    va_end(args);
}

void tier_note(struct tier_run *t, const char *format, ...)
{
    char text[ERR_MESSAGE_BYTES * 2];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_line(LOG_LEVEL_DEBUG, "%s: %s", t->tier->name, text);
    if (t->run->reporter->note != NULL)
        t->run->reporter->note(t->run->reporter->ctx, t->tier, text);
}

bool tier_interrupted(const struct tier_run *t)
{
    return t->err.code == ERR_INTERRUPTED || os_interrupted();
}

/* --- the first record --- */

/* A run that never ended was killed, or the machine went down. That it is over is certain: we hold the lock. */
static void note_unended(struct tier_run *t)
{
    const struct record *dead = record_unended(&t->history);
    if (dead == NULL)
        return;
    char when[OS_TIME_BYTES];
    struct record r = {.status = RECORD_FAILED, .time = os_now(), .exit_code = 1, .interrupted = true, .retry = true};
    r.tier = mem_strdup(t->tier->name);
    r.run_id = mem_strdup(dead->run_id);
    r.error = mem_printf("the run that began at %s never ended: it was killed, or the machine went down",
                         os_time_format_human(&dead->time, when));
    tier_warn(t, "%s", r.error);
    record_append(t->run->options->state_dir, &r, NULL);
    record_release(&r);
}

static int begin_record(struct tier_run *t, struct err *err)
{
    const struct run_options *o = t->run->options;
    if (record_list_read(o->state_dir, t->tier->name, HISTORY_RECORDS, &t->history, err) != 0)
        return -1;
    if (o->dry_run)
        return 0;
    note_unended(t);
    struct record r = {.status = RECORD_STARTED, .time = os_now(), .pid = getpid()};
    r.tier = t->record.tier;
    r.run_id = t->record.run_id;
    return record_append(o->state_dir, &r, err);
}

/* --- the last record --- */

static void describe_units(struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count; i++) {
        struct unit *u = &t->units[i];
        struct record_source *s = record_add_source(&t->record, u->name);
        s->status = u->absent ? RECORD_SKIPPED : u->err.code != ERR_NONE || !u->done ? RECORD_FAILED : RECORD_COMPLETED;
        if (u->err.code != ERR_NONE)
            s->message = mem_strdup(u->err.message);
        s->bytes = u->bytes;
        s->files = u->files;
        s->unreadable = u->unreadable;
        s->suspect = u->suspect;
        s->push = u->push != NULL ? mem_strdup(u->push) : NULL;
        s->push_failed = u->push_failed;
        unit_hand_over_sizes(u, s);
        strlist_copy(&s->push_refs, &u->push_refs);
        t->record.bytes_processed += u->bytes;
    }
}

/* SKIPPED: there was nothing for it. */
static enum record_status target_status(const struct tier_run *t, const struct target *target)
{
    bool anything = target->archive != NULL;
    if (!target->usable)
        return RECORD_FAILED;
    for (size_t i = 0; target->ids != NULL && i < t->unit_count; i++) {
        anything = anything || !id_is_zero(&target->ids[i]);
        if (t->units[i].done && id_is_zero(&target->ids[i]))
            return t->run->options->dry_run ? RECORD_SKIPPED : RECORD_FAILED;
    }
    return anything ? RECORD_COMPLETED : RECORD_SKIPPED;
}

static void describe_targets(struct tier_run *t)
{
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; i < t->target_count; i++) {
        struct target *target = &t->targets[i];
        struct record_destination *d = record_add_destination(&t->record, target->destination->name);
        d->status = target_status(t, target);
        if (target->err.code != ERR_NONE)
            d->message = mem_strdup(target->err.message);
        d->bytes_added = target->bytes_added;
        d->removed = target->removed;
        d->verified = target->verified;
        d->pruned = target->pruned;
        if (target->usable)
            destination_space(target->destination, &d->free_bytes, &d->total_bytes);
        if (target->bytes_added > t->record.bytes_added)
            t->record.bytes_added = target->bytes_added;
        for (size_t k = 0; target->ids != NULL && k < t->unit_count; k++)
            if (!id_is_zero(&target->ids[k]) &&
                !strlist_contains(&t->record.snapshots, id_to_hex(&target->ids[k], hex)))
                strlist_add(&t->record.snapshots, hex);
        if (target->archive != NULL && !strlist_contains(&t->record.snapshots, target->archive))
            strlist_add(&t->record.snapshots, target->archive);
    }
}

/* What the whole tier failed of: of itself, of a source that must be whole, of all its destinations. */
static const struct err *first_failure(const struct tier_run *t)
{
    if (t->err.code != ERR_NONE)
        return &t->err;
    for (size_t i = 0; i < t->unit_count; i++)
        if (!t->units[i].absent && t->units[i].err.code != ERR_NONE)
            return &t->units[i].err;
    for (size_t i = 0; run_targets_usable(t) == 0 && i < t->target_count; i++)
        if (t->targets[i].err.code != ERR_NONE)
            return &t->targets[i].err;
    return NULL;
}

static bool something_missing(const struct tier_run *t)
{
    bool missing = t->degraded || run_targets_usable(t) < t->target_count;
    for (size_t i = 0; i < t->unit_count; i++)
        missing = missing || t->units[i].unreadable > 0 || t->units[i].push_failed;
    return missing;
}

static bool all_absent(const struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count; i++)
        if (!t->units[i].absent)
            return false;
    return t->unit_count > 0;
}

/* Trying again helps where the world may have changed meanwhile. */
static bool worth_a_retry(enum err_code code)
{
    return code != ERR_USAGE && code != ERR_WRONG_PASSPHRASE && code != ERR_CORRUPT && code != ERR_UNSUPPORTED;
}

static void decide_status(struct tier_run *t)
{
    struct record *r = &t->record;
    const struct err *failure = first_failure(t);
    if (failure != NULL) {
        r->status = RECORD_FAILED;
        r->exit_code = failure->code == ERR_INTERRUPTED ? err_exit_status(ERR_INTERRUPTED) : 1;
        r->error = mem_strdup(failure->message);
        if (!strlist_contains(&r->warnings, failure->message))
            tier_fail(t, "%s", failure->message);
        r->retry = worth_a_retry(failure->code);
        r->interrupted = failure->code == ERR_INTERRUPTED;
    } else {
        r->status = all_absent(t) ? RECORD_SKIPPED : RECORD_COMPLETED;
        r->exit_code = something_missing(t) ? err_exit_status(ERR_PARTIAL) : 0;
        r->uploaded = r->status == RECORD_COMPLETED;
    }
}

/* --- the steps --- */

static int check_targets(struct tier_run *t, struct err *err)
{
    run_targets_check(t);
    if (run_targets_usable(t) > 0)
        return 0;
    *err = t->targets[0].err;
    return -1;
}

static int find_units(struct tier_run *t, struct err *err)
{
    const struct run_options *o = t->run->options;
    if (tier_sources_gather(o->plan, t->tier, o->cache_dir, &t->sources, err) != 0)
        return -1;
    for (size_t i = 0; i < t->sources.notes.count; i++)
        tier_note(t, "%s", t->sources.notes.items[i]);
    t->units = mem_zalloc((t->sources.count + 1) * sizeof *t->units);
    for (size_t i = 0; i < t->sources.count; i++) {
        struct tier_source *s = &t->sources.items[i];
        t->units[t->unit_count++] =
            (struct unit){.source = s, .name = mem_strdup(s->name != NULL ? s->name : s->label)};
    }
    return 0;
}

static void store(struct tier_run *t)
{
    if (t->tier->format == PLAN_ARCHIVE)
        archive_run(t);
    else
        repository_run(t);
}

/* After and failure: what they do cannot undo the backup, but is worth a word. Whoever interrupts us wants no more
 * programs started. */
static void run_last_hook(struct tier_run *t)
{
    struct err err = {0};
    enum hook_kind kind = t->record.status == RECORD_FAILED ? HOOK_FAILURE : HOOK_AFTER;
    if (os_interrupted() || hook_run(&t->tier->hooks, kind, t->run->id, t->tier->name, &t->record, &err) == 0)
        return;
    tier_warn(t, "%s", err.message);
    if (t->record.exit_code == 0)
        t->record.exit_code = err_exit_status(ERR_PARTIAL);
}

static void steps(struct tier_run *t)
{
    bool dry_run = t->run->options->dry_run;
    if (os_check_interrupt(&t->err) != 0)
        return;
    /* First of all: it may be what mounts the drive. */
    if (!dry_run && hook_run(&t->tier->hooks, HOOK_BEFORE, t->run->id, t->tier->name, NULL, &t->err) != 0)
        return;
    if (check_targets(t, &t->err) != 0 || find_units(t, &t->err) != 0)
        return;
    git_checks(t);
    store(t);
    if (dry_run || os_check_interrupt(&t->err) != 0)
        return;
    git_pushes(t);
    if (first_failure(t) == NULL)
        retain_all(t);
}

static void start(struct tier_run *t)
{
    log_line(LOG_LEVEL_INFO, "%s: begins (run %s)", t->tier->name, t->run->id);
    if (t->run->reporter->tier_begin != NULL)
        t->run->reporter->tier_begin(t->run->reporter->ctx, t->tier);
    char *tag = mem_printf("tier=%s", t->tier->name);
    strlist_add(&t->tags, tag);
    free(tag);
    tag = mem_printf("run=%s", t->run->id);
    strlist_add(&t->tags, tag);
    free(tag);
    t->record.tier = mem_strdup(t->tier->name);
    t->record.run_id = mem_strdup(t->run->id);
    t->started_ns = os_monotonic_ns();
    atomic_store(&t->run->progress->tier, t->tier->name);
}

/* Failures have been logged as warnings, with their reasons. */
static void log_end(const struct record *r)
{
    bool failed = r->status == RECORD_FAILED;
    const char *what = failed              ? "failed"
                       : r->exit_code != 0 ? "completed, but incomplete"
                                           : record_status_name(r->status);
    char duration[32];
    duration_format(r->duration_ms, duration);
    log_line(failed              ? LOG_LEVEL_ERROR
             : r->exit_code != 0 ? LOG_LEVEL_WARNING
                                 : LOG_LEVEL_INFO,
             "%s: %s after %s: %zu source%s, %llu bytes read, %llu bytes added%s%s", r->tier, what, duration,
             r->source_count, r->source_count == 1 ? "" : "s", (unsigned long long)r->bytes_processed,
             (unsigned long long)r->bytes_added, failed ? ": " : "", failed ? r->error : "");
}

static void finish_record(struct tier_run *t)
{
    struct err err = {0};
    t->record.time = os_now();
    /* Also where there is no hope: an attempt that finds nothing to do would count as a success. */
    bool goes_on = !t->run->last_attempt && !t->record.interrupted;
    if (t->record.status == RECORD_FAILED && t->run->again_ms > 0 && !goes_on)
        t->record.retry_at_ms = os_time_ms(&t->record.time) + (int64_t)t->run->again_ms;
    t->record.duration_ms = (os_monotonic_ns() - t->started_ns) / 1000000;
    if (!t->run->options->dry_run && record_append(t->run->options->state_dir, &t->record, &err) != 0) {
        /* The backup is there, and nobody would know of it. */
        tier_warn(t, "the run record cannot be written: %s", err.message);
        if (t->record.exit_code == 0)
            t->record.exit_code = err_exit_status(ERR_PARTIAL);
    }
    log_end(&t->record);
    if (t->run->reporter->tier_end != NULL)
        t->run->reporter->tier_end(t->run->reporter->ctx, t->tier, &t->record);
}

static void release(struct tier_run *t)
{
    run_targets_release(t);
    for (size_t i = 0; i < t->unit_count; i++) {
        free(t->units[i].name);
        free(t->units[i].push);
        strlist_release(&t->units[i].lost);
        unit_free_sizes(&t->units[i]);
        strlist_release(&t->units[i].push_refs);
    }
    free(t->units);
    tier_sources_release(&t->sources);
    strlist_release(&t->tags);
    record_list_release(&t->history);
    record_release(&t->record);
}

/* The last word, and the end of all that was kept. */
static struct tier_outcome end(struct tier_run *t)
{
    finish_record(t);
    struct tier_outcome outcome = {
        .status = t->record.status, .exit_code = t->record.exit_code, .retry = t->record.retry};
    release(t);
    return outcome;
}

struct tier_outcome tier_run(struct run *run, const struct plan_tier *tier)
{
    struct tier_run t = {.run = run, .tier = tier};
    start(&t);
    if (begin_record(&t, &t.err) == 0)
        steps(&t);
    decide_status(&t);
    describe_units(&t);
    describe_targets(&t);
    if (!run->options->dry_run)
        run_last_hook(&t);
    return end(&t);
}

struct tier_outcome tier_refuse(struct run *run, const struct plan_tier *tier, const struct err *why)
{
    struct tier_run t = {.run = run, .tier = tier, .err = *why};
    struct err err = {0};
    start(&t);
    if (begin_record(&t, &err) != 0)
        tier_warn(&t, "%s", err.message);
    decide_status(&t);
    return end(&t);
}
