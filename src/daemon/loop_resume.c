/*
 * After a daemon that was killed: what its memory takes for running. Four cases, told apart by the run log (loop.h says
 * why these and no others):
 *
 *     no start in the log       nothing was run: it is asked for again
 *     a start, no end, alive    watched to its end
 *     a start and an end        the memory was not saved any more: what the log says holds
 *     a start, no end, gone     what its tiers' records say, or failed: interrupted
 *
 * The scheduler takes over all of these but the first as running (adopted), and is told of the end like that of any
 * other run: at once in the last two cases.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"

/* All that is kept: times that come while a long job runs take a line each. */
enum { LINES_READ = RECORD_KEPT_LINES };

/* Its start and its end in the log; either may be NULL. since_ms: when the memory says that it began. */
static void find_run(const struct record_list *l, int64_t since_ms, const struct record **start,
                     const struct record **end)
{
    *start = *end = NULL;
    for (size_t i = l->count; i-- > 0 && *start == NULL;) {
        const struct record *r = &l->items[i];
        if (r->status == RECORD_STARTED && r->run_id != NULL && os_time_ms(&r->time) >= since_ms)
            *start = r;
    }
    for (size_t i = l->count; *start != NULL && i-- > 0 && *end == NULL;) {
        const struct record *r = &l->items[i];
        if (r->status != RECORD_STARTED && r->run_id != NULL && strcmp(r->run_id, (*start)->run_id) == 0)
            *end = r;
    }
}

/* --- before the scheduler knows of it --- */

static void copy_job(struct job *to, const struct loop *l, const char *id)
{
    const struct job *job = job_find(&l->file.jobs, id);
    if (job != NULL)
        job_copy(to, job);
    else /* it is in the file no more */
        *to = (struct job){.id = mem_strdup(id)};
}

/* Watches it, if it lives. */
static void watch(struct loop *l, const struct scheduler_memory *m, const struct record *start)
{
    struct slot *s = loop_free_slot(l);
    uint64_t gone_ms = loop_since_ms(os_time_ms(&start->time));
    if (s == NULL)
        return;
    *s = (struct slot){
        .left_over = true, .began_ms = os_time_ms(&start->time), .due_ms = m->due_ms, .attempt = m->attempt};
    copy_job(&s->job, l, m->id);
    uint64_t left = s->job.timeout_ms == 0 ? 0 : s->job.timeout_ms > gone_ms ? s->job.timeout_ms - gone_ms : 1;
    s->run = job_run_adopt(start->pid, start->run_id, left, l->options.grace_ms);
    if (s->run == NULL) {
        job_release(&s->job);
        return;
    }
    s->taken = true;
    snprintf(s->run_id, sizeof s->run_id, "%s", start->run_id);
    l->running++;
    loop_say(LOG_LEVEL_WARNING, "job '%s' still runs, since before the daemon was killed: it is watched to its end",
             m->id);
}

static void take_over(struct loop *l, struct scheduler_memory *m)
{
    struct record_list log;
    const struct record *start, *end;
    if (record_list_read_job(l->options.state_dir, m->id, LINES_READ, &log, NULL) != 0)
        return; /* then it counts as failed */
    find_run(&log, m->last_run_ms, &start, &end);
    m->adopted = start != NULL;
    if (start == NULL) {
        loop_say(LOG_LEVEL_WARNING, "job '%s' was about to start when the daemon was killed: it is started now", m->id);
        m->running = false;
        m->asked_ms = m->last_run_ms > 0 ? m->last_run_ms : loop_time().wall_ms;
    } else if (end == NULL) {
        watch(l, m, start);
    }
    record_list_release(&log);
}

static int by_id(const void *a, const void *b)
{
    const struct scheduler_memory *x = a, *y = b;
    return strcmp(x->id, y->id);
}

/* The memory was lost, or is that of an older time: the logs still say what has no end. */
static void add_forgotten(struct loop *l, struct memory_list *memory)
{
    size_t known = memory->count;
    if (known > 0)
        qsort(memory->items, known, sizeof *memory->items, by_id);
    for (size_t i = 0; i < l->file.jobs.count; i++) {
        struct scheduler_memory m = {.id = l->file.jobs.items[i].id, .attempt = 1, .running = true};
        struct record_list log;
        if ((known > 0 && bsearch(&m, memory->items, known, sizeof m, by_id) != NULL) ||
            record_list_read_job(l->options.state_dir, m.id, LINES_READ, &log, NULL) != 0)
            continue;
        const struct record *start = record_unended(&log);
        if (start != NULL) {
            m.id = mem_strdup(m.id);
            m.last_run_ms = m.due_ms = os_time_ms(&start->time);
            memory->items = mem_array(memory->items, memory->count + 1, sizeof m);
            memory->items[memory->count++] = m;
        }
        record_list_release(&log);
    }
}

/* --- when it does: what has ended already --- */

/* The end that is missing in the log, without what the scheduler has to say. */
static struct record missing_end(const struct loop *l, const char *id, const struct record *start)
{
    struct record r = loop_record_new(RECORD_COMPLETED, id, start->run_id, loop_time().wall_ms);
    size_t tiers = record_sum_run(l->options.state_dir, start->run_id, &r);
    r.duration_ms = loop_since_ms(os_time_ms(&start->time));
    if (tiers == 0 || !r.uploaded) {
        r.status = RECORD_FAILED;
        r.exit_code = 1;
        r.interrupted = tiers == 0;
        r.error = mem_strdup(tiers == 0             ? "was interrupted: the daemon was killed meanwhile"
                             : r.warnings.count > 0 ? r.warnings.items[0]
                                                    : "nothing was stored");
    } else if (r.warnings.count > 0) {
        r.exit_code = 3;
    }
    return r;
}

static void write_end(struct loop *l, const char *id, const struct record *start)
{
    struct record r = missing_end(l, id, start);
    enum job_status status = r.status == RECORD_COMPLETED ? JOB_OK : JOB_ERROR;
    const struct job *job = job_find(&l->file.jobs, id);
    int64_t retry_ms = scheduler_ended(l->scheduler, id, status, true, loop_time());
    r.retry = retry_ms > 0;
    if (status == JOB_ERROR)
        loop_say(LOG_LEVEL_ERROR, "job '%s' failed: %s", id, r.error);
    if (job != NULL)
        loop_state_set(l, job, os_time_ms(&start->time), status, r.duration_ms);
    loop_record(l, &r);
    if (status == JOB_ERROR)
        loop_outbox_failed(l, retry_ms);
}

static void settle(struct loop *l, const struct scheduler_memory *m)
{
    struct record_list log = {0};
    const struct record *start = NULL, *end = NULL;
    if (record_list_read_job(l->options.state_dir, m->id, LINES_READ, &log, NULL) == 0)
        find_run(&log, m->last_run_ms, &start, &end);
    if (start != NULL && end == NULL)
        write_end(l, m->id, start);
    else
        scheduler_ended(l->scheduler, m->id, end != NULL && end->status == RECORD_COMPLETED ? JOB_OK : JOB_ERROR, true,
                        loop_time());
    record_list_release(&log);
}

void loop_resume(struct loop *l, struct memory_list *memory)
{
    add_forgotten(l, memory);
    for (size_t i = 0; i < memory->count; i++)
        if (memory->items[i].running)
            take_over(l, &memory->items[i]);
    scheduler_set_jobs(l->scheduler, &l->file.jobs, memory->items, memory->count, loop_time());
    for (size_t i = 0; i < memory->count; i++)
        if (memory->items[i].adopted && loop_slot_of(l, memory->items[i].id) == NULL)
            settle(l, &memory->items[i]);
}
