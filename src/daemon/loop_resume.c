/*
 * After a daemon that was killed: what its memory takes for running. Four cases, told apart by the run log (loop.h says
 * why these and no others):
 *
 *     no start in the log       nothing was run: it is asked for again
 *     a start and an end        the memory was not saved any more: what the log says holds
 *     a start, no end, alive    watched to its end; until then the scheduler does not hear of the job
 *     a start, no end, gone     what its tiers' records say, or failed: interrupted
 *
 * In the memory that the scheduler gets, `running` stands for a run that failed: it puts down the retry or the
 * followers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"

enum { LINES_READ = 200 };

static int64_t time_ms(const struct record *r)
{
    return (int64_t)r->time.tv_sec * 1000 + r->time.tv_nsec / 1000000;
}

/* Its start and its end in the log; either may be NULL. since_ms: when the memory says that it began. */
static void find_run(const struct record_list *l, int64_t since_ms, const struct record **start,
                     const struct record **end)
{
    *start = *end = NULL;
    for (size_t i = l->count; i-- > 0 && *start == NULL;) {
        const struct record *r = &l->items[i];
        if (r->status == RECORD_STARTED && r->run_id != NULL && time_ms(r) >= since_ms)
            *start = r;
    }
    for (size_t i = l->count; *start != NULL && i-- > 0 && *end == NULL;) {
        const struct record *r = &l->items[i];
        if (r->status != RECORD_STARTED && r->run_id != NULL && strcmp(r->run_id, (*start)->run_id) == 0)
            *end = r;
    }
}

static void copy_job(struct job *to, const struct loop *l, const char *id)
{
    const struct job *job = job_find(&l->file.jobs, id);
    if (job != NULL)
        job_copy(to, job);
    else /* it is in the file no more */
        *to = (struct job){.id = mem_strdup(id)};
}

static void ask_followers(struct loop *l, const char *id)
{
    const struct job *job = job_find(&l->file.jobs, id);
    if (job != NULL)
        strlist_copy(&l->ask_later, &job->on_success);
}

/* --- alive --- */

static bool adopt(struct loop *l, const struct scheduler_memory *m, const struct record *start)
{
    struct slot *s = loop_free_slot(l);
    uint64_t gone_ms = loop_since_ms(time_ms(start));
    if (s == NULL)
        return false;
    *s = (struct slot){.left_over = true, .began_ms = time_ms(start), .due_ms = m->due_ms, .attempt = m->attempt};
    copy_job(&s->job, l, m->id);
    uint64_t left = s->job.timeout_ms == 0 ? 0 : s->job.timeout_ms > gone_ms ? s->job.timeout_ms - gone_ms : 1;
    s->run = job_run_adopt(start->pid, start->run_id, left, l->options.grace_ms);
    if (s->run == NULL) {
        job_release(&s->job);
        return false;
    }
    s->taken = true;
    snprintf(s->run_id, sizeof s->run_id, "%s", start->run_id);
    s->memory = *m;
    s->memory.id = s->job.id;
    l->running++;
    loop_say(LOG_LEVEL_WARNING, "job '%s' still runs, since before the daemon was killed: it is watched to its end",
             m->id);
    return true;
}

void loop_left_over_ended(struct loop *l, struct slot *s, enum job_status status)
{
    s->left_over = false; /* from now on the scheduler may hear of it */
    s->memory.running = status != JOB_OK;
    if (status == JOB_OK)
        ask_followers(l, s->job.id);
    loop_set_jobs(l, &s->memory, 1);
}

/* --- gone --- */

/* Writes the end that is missing; true: the run was good. */
static bool write_end(struct loop *l, const char *id, const struct record *start)
{
    struct record r = loop_record_new(RECORD_COMPLETED, id, start->run_id, loop_time().wall_ms);
    size_t tiers = record_sum_run(l->options.state_dir, start->run_id, &r);
    r.duration_ms = loop_since_ms(time_ms(start));
    if (tiers == 0 || !r.uploaded) {
        r.status = RECORD_FAILED;
        r.exit_code = 1;
        r.interrupted = tiers == 0;
        r.error = mem_strdup(tiers == 0             ? "was interrupted: the daemon was killed meanwhile"
                             : r.warnings.count > 0 ? r.warnings.items[0]
                                                    : "nothing was stored");
        loop_say(LOG_LEVEL_ERROR, "job '%s' failed: %s", id, r.error);
    } else if (r.warnings.count > 0) {
        r.exit_code = 3;
    }
    const struct job *job = job_find(&l->file.jobs, id);
    bool good = r.status == RECORD_COMPLETED;
    r.retry = !good && job != NULL && job->enabled && job->retry.times > 0;
    if (job != NULL)
        loop_state_set(l, job, time_ms(start), good ? JOB_OK : JOB_ERROR, r.duration_ms);
    loop_record(l, &r);
    return good;
}

/* --- all --- */

/* True: the memory is not for the scheduler yet. */
static bool resume_one(struct loop *l, struct scheduler_memory *m)
{
    struct record_list log;
    const struct record *start, *end;
    bool hold = false;
    if (record_list_read_job(l->options.state_dir, m->id, LINES_READ, &log, NULL) != 0)
        return false; /* then it counts as failed */
    find_run(&log, m->last_run_ms, &start, &end);
    if (start == NULL) {
        loop_say(LOG_LEVEL_WARNING, "job '%s' was about to start when the daemon was killed: it is started now", m->id);
        m->running = false;
        m->asked_ms = m->last_run_ms > 0 ? m->last_run_ms : loop_time().wall_ms;
    } else if (end != NULL) {
        m->running = end->status == RECORD_FAILED;
        if (!m->running)
            ask_followers(l, m->id);
    } else if (adopt(l, m, start)) {
        hold = true;
    } else {
        m->running = !write_end(l, m->id, start);
        if (!m->running)
            ask_followers(l, m->id);
    }
    record_list_release(&log);
    return hold;
}

static bool remembers(const struct memory_list *memory, const char *id)
{
    for (size_t i = 0; i < memory->count; i++)
        if (strcmp(memory->items[i].id, id) == 0)
            return true;
    return false;
}

/* The memory was lost: the logs still say what has no end. */
static void close_forgotten(struct loop *l, const struct memory_list *memory)
{
    for (size_t i = 0; i < l->file.jobs.count; i++) {
        const struct job *job = &l->file.jobs.items[i];
        struct record_list log;
        if (remembers(memory, job->id) ||
            record_list_read_job(l->options.state_dir, job->id, LINES_READ, &log, NULL) != 0)
            continue;
        const struct record *start = record_unended(&log);
        struct scheduler_memory m = {.id = job->id};
        if (start != NULL) {
            m.last_run_ms = time_ms(start);
            if (!adopt(l, &m, start))
                write_end(l, job->id, start);
        }
        record_list_release(&log);
    }
}

void loop_resume(struct loop *l, struct memory_list *memory)
{
    size_t kept = 0;
    close_forgotten(l, memory);
    for (size_t i = 0; i < memory->count; i++) {
        struct scheduler_memory m = memory->items[i];
        if (m.running && resume_one(l, &m)) {
            free(m.id);
            continue;
        }
        memory->items[kept++] = m;
    }
    memory->count = kept;
}

void loop_set_jobs(struct loop *l, const struct scheduler_memory *memory, size_t count)
{
    const struct job_list *all = &l->file.jobs;
    struct job_list some = {.items = mem_array(NULL, all->count + 1, sizeof *some.items)};
    for (size_t i = 0; i < all->count; i++) {
        const struct slot *s = loop_slot_of(l, all->items[i].id);
        if (s == NULL || !s->left_over)
            some.items[some.count++] = all->items[i];
    }
    scheduler_set_jobs(l->scheduler, &some, memory, count, loop_time());
    free(some.items); /* what is in it belongs to the file's list */
    l->memory_changed = true;
}

void loop_ask_later(struct loop *l)
{
    for (size_t i = 0; i < l->ask_later.count; i++) {
        const struct job *job = scheduler_job(l->scheduler, l->ask_later.items[i]);
        if (job != NULL && job->enabled)
            scheduler_ask(l->scheduler, job->id, loop_time());
    }
    l->memory_changed = l->memory_changed || l->ask_later.count > 0;
    strlist_release(&l->ask_later);
}
