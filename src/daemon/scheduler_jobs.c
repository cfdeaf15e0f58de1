/* The set of jobs: what is new, what changed, what is gone, and what earlier processes knew of them. */
#include "daemon/scheduler_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void entry_free(struct entry *e)
{
    job_release(&e->job);
    free(e);
}

static int by_id(const void *a, const void *b)
{
    const struct entry *const *x = a, *const *y = b;
    return strcmp((*x)->job.id, (*y)->job.id);
}

static struct entry *find_among(struct entry **entries, size_t count, const char *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(entries[middle]->job.id, id);
        if (order == 0)
            return entries[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct entry *find_entry(const struct scheduler *s, const char *id)
{
    return find_among(s->entries, s->count, id);
}

static struct entry *new_entry(const char *id)
{
    struct entry *e = mem_zalloc(sizeof *e);
    e->job.id = mem_strdup(id);
    e->memory.id = e->job.id;
    e->retry_boot_ms = NEVER;
    return e;
}

static void take_job(struct entry *e, const struct job *job)
{
    job_release(&e->job);
    job_copy(&e->job, job);
    e->memory.id = e->job.id;
    e->present = true;
}

/* -------------------------------------------------------------------------------------------------- what was known of
 * it
 */

static int64_t wall_if_set(struct scheduler_time now)
{
    return clock_is_set(now) ? now.wall_ms : 0;
}

static void count_from_now(struct entry *e, struct scheduler_time now)
{
    e->memory.schedule = schedule_fingerprint(&e->job);
    e->memory.first_seen_ms = wall_if_set(now);
    if (is_floating(e)) {
        e->memory.handled_ms = now.wall_ms;
        e->began_boot_ms = now.boot_ms;
        e->unsure = false;
    }
    e->changed = true;
}

/* Nothing is remembered of it: what the entry says itself. at_start: it may have been there for long. */
static void take_over_state(struct entry *e, bool at_start, struct scheduler_time now)
{
    const struct job *j = &e->job;
    int64_t put_in = j->updated_ms != 0 ? j->updated_ms : j->created_ms;
    int64_t ran = j->last_run_ms > e->memory.last_run_ms ? j->last_run_ms : e->memory.last_run_ms;
    if (j->schedule.kind == SCHEDULE_AT) {
        if (ran >= j->schedule.at_ms)
            e->memory.handled_ms = j->schedule.at_ms;
        else if (put_in >= CLOCK_SET_MS && put_in < j->schedule.at_ms && put_in < now.wall_ms)
            e->memory.first_seen_ms = put_in;
    } else if (at_start && ran >= CLOCK_SET_MS && ran <= now.wall_ms) {
        int64_t since = put_in > ran && put_in <= now.wall_ms ? put_in : ran;
        e->memory.first_seen_ms = since;
        if (is_floating(e)) {
            e->memory.handled_ms = since;
            restore_interval(e, now);
        }
    }
    e->memory.last_run_ms = ran;
}

/* It goes on where an earlier process was. */
static void go_on(struct scheduler *s, struct entry *e, struct scheduler_time now)
{
    if (e->memory.first_seen_ms == 0)
        e->memory.first_seen_ms = wall_if_set(now);
    if (is_floating(e))
        restore_interval(e, now);
    if (e->memory.retry_ms != 0) {
        int64_t most = retry_wait_ms(&e->job, e->memory.attempt);
        int64_t wait = subtract_ms(e->memory.retry_ms, now.wall_ms);
        e->retry_boot_ms = add_ms(now.boot_ms, wait < 0 ? 0 : wait < most && clock_is_set(now) ? wait : most);
    }
    if (e->memory.asked_ms != 0)
        ask_for(s, e, e->memory.depth, e->memory.asked_ms);
    e->changed = true;
}

static void forget_plans(struct scheduler *s, struct entry *e)
{
    if (!e->remembered) {
        forget_asked(s, e);
        forget_retry(e);
        return;
    }
    e->memory.retry_ms = 0; /* they were not put down yet */
    e->memory.asked_ms = 0;
    e->changed = true;
}

/* ----------------------------------------------------------------------------------------------------- into the set
 */

static void update(struct scheduler *s, struct entry *e, const struct job *job, struct scheduler_time now)
{
    bool was_present = e->present;
    /* The caller knows of a run, and nothing else: it found that in the log. */
    bool run_only = e->remembered && e->memory.schedule == 0 && e->memory.first_seen_ms == 0 && e->memory.running;
    take_job(e, job);
    bool same = e->memory.schedule == schedule_fingerprint(&e->job);
    if (e->remembered && same) {
        go_on(s, e, now);
    } else if (!was_present || !same) {
        if (!was_present)
            forget_plans(s, e);
        else if (!e->job.enabled)
            forget_retry(e);
        count_from_now(e, now);
        if (run_only)
            take_over_state(e, !s->has_set, now);
    }
    e->remembered = false;
}

/* When it is put back it counts from then, also when that is in another process: no schedule has this fingerprint. */
static void leave(struct scheduler *s, struct entry *e, struct scheduler_time now)
{
    if (e->memory.schedule != 0)
        e->changed = true;
    e->memory.schedule = 0;
    if (!e->present)
        return;
    e->present = false;
    forget_plans(s, e);
    plan_next(s, e, now);
}

/* What earlier processes knew, as jobs that are not there (yet). */
static void adopt(struct scheduler *s, const struct scheduler_memory *memory, size_t count)
{
    size_t known = s->count;
    s->entries = mem_array(s->entries, s->count + count + 1, sizeof(struct entry *));
    for (size_t i = 0; i < count; i++) {
        if (find_among(s->entries, known, memory[i].id) != NULL)
            continue;
        struct entry *e = new_entry(memory[i].id);
        char *id = e->memory.id;
        e->memory = memory[i];
        e->memory.id = id;
        e->memory.running = memory[i].running && memory[i].adopted;
        e->memory.adopted = false;
        e->interrupted = memory[i].running && !memory[i].adopted;
        e->remembered = e->changed = true;
        s->entries[s->count++] = e;
    }
    qsort(s->entries, s->count, sizeof(struct entry *), by_id);
}

struct listed {
    const struct job *job;
    size_t index;
};

static int by_job_id(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    int order = strcmp(x->job->id, y->job->id);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

/* The jobs by ID, of two with one ID the first. */
static struct listed *sort_jobs(const struct job_list *jobs, size_t *count_out)
{
    struct listed *sorted = mem_array(NULL, jobs->count + 1, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < jobs->count; i++)
        sorted[i] = (struct listed){.job = &jobs->items[i], .index = i};
    qsort(sorted, jobs->count, sizeof *sorted, by_job_id);
    for (size_t i = 0; i < jobs->count; i++)
        if (count == 0 || strcmp(sorted[count - 1].job->id, sorted[i].job->id) != 0)
            sorted[count++] = sorted[i];
    *count_out = count;
    return sorted;
}

static void take_list(struct scheduler *s, const struct job_list *jobs, struct scheduler_time now)
{
    size_t known = s->count, listed_count;
    struct listed *listed = sort_jobs(jobs, &listed_count);
    s->entries = mem_array(s->entries, known + listed_count + 1, sizeof(struct entry *));
    for (size_t i = 0; i < known; i++)
        s->entries[i]->listed = false;
    for (size_t i = 0; i < listed_count; i++) {
        struct entry *e = find_among(s->entries, known, listed[i].job->id);
        if (e != NULL) {
            update(s, e, listed[i].job, now);
        } else {
            e = s->entries[s->count++] = new_entry(listed[i].job->id);
            take_job(e, listed[i].job);
            count_from_now(e, now);
            take_over_state(e, !s->has_set, now);
        }
        e->listed = true;
    }
    free(listed);
    s->has_set = s->has_set || listed_count > 0;
    for (size_t i = 0; i < known; i++) {
        struct entry *e = s->entries[i];
        if (e->listed || (e->remembered && !s->has_set))
            continue; /* a file that could not be read at first takes nothing away */
        leave(s, e, now);
        e->remembered = false;
    }
    qsort(s->entries, s->count, sizeof(struct entry *), by_id);
}

/* -------------------------------------------------------------------------------------------------------- those gone
 */

static bool is_gone(const struct entry *e)
{
    return !e->present && !e->memory.running;
}

static int by_age(const void *a, const void *b)
{
    const struct entry *const *x = a, *const *y = b;
    return ((*x)->memory.handled_ms < (*y)->memory.handled_ms) - ((*x)->memory.handled_ms > (*y)->memory.handled_ms);
}

/* Keeps the newest of them in mind. */
static void drop_gone(struct scheduler *s)
{
    struct entry **gone = mem_array(NULL, s->count + 1, sizeof(struct entry *));
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (is_gone(s->entries[i]))
            gone[count++] = s->entries[i];
        else
            s->entries[kept++] = s->entries[i];
    qsort(gone, count, sizeof(struct entry *), by_age);
    for (size_t i = 0; i < count; i++)
        if (i < GONE_MAX)
            s->entries[kept++] = gone[i];
        else
            entry_free(gone[i]);
    free(gone);
    s->count = kept;
    qsort(s->entries, s->count, sizeof(struct entry *), by_id);
}

void scheduler_set_jobs(struct scheduler *s, const struct job_list *jobs, const struct scheduler_memory *memory,
                        size_t memory_count, struct scheduler_time now)
{
    notice_time(s, now);
    adopt(s, memory, memory_count);
    take_list(s, jobs, now);
    drop_gone(s);
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = s->entries[i];
        plan_next(s, e, now);
        if (e->present && e->interrupted) {
            e->interrupted = false;
            run_ended(s, e, JOB_ERROR, true, now);
        }
    }
}
