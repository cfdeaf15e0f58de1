/*
 * Invariants:
 *  - entries[] is sorted by ID and has every job of the set, those that still run, and some that are gone.
 *  - An entry that is present and enabled is in the heap of the clock that its next time goes by, unless it has none;
 *    one with a retry to come is in `boot` too. plan_next() sees to it after each change.
 *  - memory.asked_ms is not 0 exactly for those in the list `asked`.
 *  - A job that runs is not asked for and has no retry.
 */
#include "daemon/scheduler.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/scheduler_internal.h"

static struct entry *of_wall(struct heap_node *n)
{
    return n != NULL ? (struct entry *)(void *)((char *)n - offsetof(struct entry, wall)) : NULL;
}

static struct entry *of_boot(struct heap_node *n)
{
    return n != NULL ? (struct entry *)(void *)((char *)n - offsetof(struct entry, boot)) : NULL;
}

struct scheduler *scheduler_new(void)
{
    struct scheduler *s = mem_zalloc(sizeof *s);
    s->asked_end = &s->asked;
    return s;
}

void scheduler_free(struct scheduler *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->count; i++)
        entry_free(s->entries[i]);
    free(s->entries);
    heap_release(&s->wall);
    heap_release(&s->boot);
    zones_release(&s->zones);
    free(s->missed);
    free(s->shown);
    free(s);
}

/* ------------------------------------------------------------------------------------------------------- what is asked
 */

void ask_for(struct scheduler *s, struct entry *e, unsigned depth, int64_t since_ms)
{
    e->memory.asked_ms = since_ms != 0 ? since_ms : 1; /* 0 says that nobody does */
    e->memory.depth = depth;
    e->changed = true;
    e->next_asked = NULL;
    *s->asked_end = e;
    s->asked_end = &e->next_asked;
}

void forget_asked(struct scheduler *s, struct entry *e)
{
    if (e->memory.asked_ms == 0)
        return;
    struct entry **p = &s->asked;
    while (*p != e)
        p = &(*p)->next_asked;
    *p = e->next_asked;
    if (*p == NULL)
        s->asked_end = p;
    e->memory.asked_ms = 0;
    e->changed = true;
}

void forget_retry(struct entry *e)
{
    if (e->retry_boot_ms == NEVER)
        return;
    e->retry_boot_ms = NEVER;
    e->memory.retry_ms = 0;
    e->changed = true;
}

bool scheduler_ask(struct scheduler *s, const char *id, struct scheduler_time now)
{
    notice_time(s, now);
    struct entry *e = find_entry(s, id);
    if (e == NULL || !e->present || e->memory.running)
        return false;
    if (e->memory.asked_ms == 0)
        ask_for(s, e, 0, now.wall_ms);
    return true;
}

/* ------------------------------------------------------------------------------------------------------------ starting
 */

void begin_run(struct entry *e, const struct scheduler_start *start, unsigned depth, struct scheduler_time now)
{
    forget_retry(e);
    e->memory.running = true;
    e->memory.last_run_ms = now.wall_ms;
    e->memory.due_ms = start->due_ms;
    e->memory.attempt = start->attempt;
    e->memory.depth = depth;
    e->changed = true;
}

/* The first that is asked for; a follower may have been disabled since. */
static bool start_asked(struct scheduler *s, struct scheduler_time now, struct scheduler_start *out)
{
    while (s->asked != NULL) {
        struct entry *e = s->asked;
        int64_t since = e->memory.asked_ms;
        unsigned depth = e->memory.depth;
        forget_asked(s, e);
        if (depth > 0 && !e->job.enabled) {
            report_missed(s, e, since, since, 1, "it is disabled");
            continue;
        }
        *out = (struct scheduler_start){
            .job = &e->job, .reason = depth > 0 ? RUN_CHAINED : RUN_ASKED, .due_ms = since, .attempt = 1};
        begin_run(e, out, depth, now);
        plan_next(s, e, now);
        return true;
    }
    return false;
}

/* A regular run of a job that is asked for as well is not that one: both are wanted, one after the other; what is asked
 * for comes first, so that is no case here. */
static bool start_due(struct scheduler *s, struct scheduler_time now, struct scheduler_start *out)
{
    for (;;) {
        struct entry *e = of_wall(heap_first(&s->wall));
        bool start;
        if (e != NULL && e->wall.key <= now.wall_ms) {
            start = take_due_wall(s, e, now, out);
        } else if ((e = of_boot(heap_first(&s->boot))) != NULL && e->boot.key <= now.boot_ms) {
            start = take_due_boot(s, e, now, out);
        } else {
            return false;
        }
        if (start)
            begin_run(e, out, out->reason == RUN_RETRY ? e->memory.depth : 0, now);
        plan_next(s, e, now);
        if (start)
            return true;
    }
}

static bool is_tried_again(const struct job *j, unsigned attempt)
{
    return j->enabled && attempt <= j->retry.times;
}

bool scheduler_next_start(struct scheduler *s, struct scheduler_time now, struct scheduler_start *out)
{
    notice_time(s, now);
    if (!start_asked(s, now, out) && !start_due(s, now, out))
        return false;
    out->retry_after_ms = is_tried_again(out->job, out->attempt) ? retry_wait_ms(out->job, out->attempt) : 0;
    return true;
}

bool scheduler_next_missed(struct scheduler *s, struct scheduler_missed *out)
{
    if (s->missed_count == 0)
        return false;
    *out = s->missed[s->missed_first];
    s->missed_first = (s->missed_first + 1) % s->missed_cap;
    s->missed_count--;
    return true;
}

/* -------------------------------------------------------------------------------------------------------------- ending
 */

static void start_follower(struct scheduler *s, const char *id, unsigned depth, struct scheduler_time now)
{
    struct entry *e = find_entry(s, id);
    if (e == NULL || !e->present)
        return;
    const char *why = depth > CHAIN_MAX         ? "the chain of jobs that start it is too long"
                      : !e->job.enabled         ? "it is disabled"
                      : e->memory.running       ? "it still ran"
                      : e->memory.asked_ms != 0 ? "it was about to start already"
                                                : NULL;
    if (why != NULL)
        report_missed(s, e, now.wall_ms, now.wall_ms, 1, why);
    else
        ask_for(s, e, depth, now.wall_ms);
}

static int64_t put_down_retry(struct scheduler *s, struct entry *e, struct scheduler_time now)
{
    int64_t wait = retry_wait_ms(&e->job, e->memory.attempt);
    e->retry_boot_ms = add_ms(now.boot_ms, wait);
    e->memory.retry_ms = add_ms(now.wall_ms, wait);
    plan_next(s, e, now);
    return e->memory.retry_ms;
}

int64_t run_ended(struct scheduler *s, struct entry *e, enum job_status status, bool retry, struct scheduler_time now)
{
    e->changed = true;
    if (status == JOB_ERROR && retry && is_tried_again(&e->job, e->memory.attempt))
        return put_down_retry(s, e, now);
    const struct strlist *followers = status == JOB_OK      ? &e->job.on_success
                                      : status == JOB_ERROR ? &e->job.on_failure
                                                            : &(struct strlist){0};
    for (size_t i = 0; i < followers->count; i++)
        start_follower(s, followers->items[i], e->memory.depth + 1, now);
    return 0;
}

int64_t scheduler_ended(struct scheduler *s, const char *id, enum job_status status, bool retry,
                        struct scheduler_time now)
{
    notice_time(s, now);
    struct entry *e = find_entry(s, id);
    if (e == NULL || !e->memory.running)
        return 0;
    e->memory.running = false;
    e->changed = true;
    return e->present ? run_ended(s, e, status, retry, now) : 0;
}

/* ------------------------------------------------------------------------------------------------------------- looking
 */

static int64_t distance(const struct heap *h, int64_t now_ms)
{
    const struct heap_node *n = heap_first(h);
    if (n == NULL)
        return INT64_MAX;
    int64_t ms = subtract_ms(n->key, now_ms);
    return ms > 0 ? ms : 0;
}

int64_t scheduler_wait_ms(struct scheduler *s, struct scheduler_time now)
{
    notice_time(s, now);
    if (s->asked != NULL)
        return 0;
    int64_t wall = distance(&s->wall, now.wall_ms), boot = distance(&s->boot, now.boot_ms);
    return wall < boot ? wall : boot;
}

int64_t scheduler_next_due_ms(struct scheduler *s, const char *id, struct scheduler_time now)
{
    notice_time(s, now);
    const struct entry *e = find_entry(s, id);
    if (e == NULL)
        return 0;
    int64_t wall = e->wall.place != 0 ? e->wall.key : NEVER;
    if (e->boot.place != 0) {
        int64_t boot = add_ms(now.wall_ms, subtract_ms(e->boot.key, now.boot_ms));
        wall = boot < wall ? boot : wall;
    }
    return wall != NEVER ? wall : 0;
}

const struct job *scheduler_job(const struct scheduler *s, const char *id)
{
    const struct entry *e = find_entry(s, id);
    return e != NULL && e->present ? &e->job : NULL;
}

const struct scheduler_memory *scheduler_memory_of(struct scheduler *s, const char *id)
{
    const struct entry *e = find_entry(s, id);
    return e != NULL ? &e->memory : NULL;
}

static size_t show(struct scheduler *s, bool changed_only, const struct scheduler_memory **out)
{
    size_t count = 0;
    s->shown = mem_array(s->shown, s->count + 1, sizeof *s->shown);
    for (size_t i = 0; i < s->count; i++)
        if (!changed_only || s->entries[i]->changed)
            s->shown[count++] = s->entries[i]->memory;
    *out = s->shown;
    return count;
}

size_t scheduler_each_memory(struct scheduler *s, const struct scheduler_memory **out)
{
    return show(s, false, out);
}

size_t scheduler_changed_memory(struct scheduler *s, const struct scheduler_memory **out)
{
    size_t count = show(s, true, out);
    for (size_t i = 0; i < s->count; i++)
        s->entries[i]->changed = false;
    return count;
}
