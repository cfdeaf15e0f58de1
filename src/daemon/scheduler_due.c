/* What is due of a job, and when to look at it next. */
#include "daemon/scheduler_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* -------------------------------------------------------------------------------------------------------------- missed
 */

/* Reports wait in a ring. When nobody fetches them the oldest are lost. */
static struct scheduler_missed *new_report(struct scheduler *s)
{
    if (s->missed_count == MISSED_MAX) {
        s->missed_first = (s->missed_first + 1) % s->missed_cap;
        s->missed_count--;
    }
    if (s->missed_count == s->missed_cap) {
        size_t cap = s->missed_cap > 0 ? s->missed_cap * 2 : 16;
        struct scheduler_missed *ring = mem_array(NULL, cap, sizeof *ring);
        for (size_t i = 0; i < s->missed_count; i++)
            ring[i] = s->missed[(s->missed_first + i) % s->missed_cap];
        free(s->missed);
        s->missed = ring;
        s->missed_first = 0;
        s->missed_cap = cap;
    }
    return &s->missed[(s->missed_first + s->missed_count++) % s->missed_cap];
}

void report_missed(struct scheduler *s, const struct entry *e, int64_t first_ms, int64_t last_ms, uint64_t count,
                   const char *why)
{
    struct scheduler_missed *m = new_report(s);
    *m = (struct scheduler_missed){.first_ms = first_ms, .last_ms = last_ms, .count = count, .why = why};
    snprintf(m->id, sizeof m->id, "%s", e->job.id);
}

static const char *why_unseen(const struct scheduler *s, int64_t due_ms)
{
    if (due_ms <= s->start_ms)
        return "the daemon was not running then";
    if (due_ms > s->jump_from_ms && due_ms <= s->jump_to_ms)
        return "the clock was set ahead over it";
    return "the machine slept or was too busy then";
}

/* ----------------------------------------------------------------------------------------------------------- planning
 */

static const struct zone *zone_of(struct scheduler *s, const struct entry *e)
{
    return e->job.schedule.kind == SCHEDULE_CRON ? zones_get(&s->zones, e->job.schedule.zone) : NULL;
}

int64_t due_after(struct scheduler *s, const struct entry *e, int64_t after_ms)
{
    int64_t due;
    return schedule_next_in(&e->job.schedule, zone_of(s, e), after_ms, 0, &due) ? due : NEVER;
}

/* When a due time's run is to start. */
static int64_t fire_of(struct scheduler *s, const struct entry *e, int64_t due_ms)
{
    return e->job.jitter_ms == 0 ? due_ms : add_ms(due_ms, jitter_of(e, due_ms, due_after(s, e, due_ms)));
}

static int64_t handled_or_unseen_ms(const struct entry *e)
{
    return later(e->memory.handled_ms, e->memory.first_seen_ms);
}

static int64_t plan_at(struct scheduler *s, struct entry *e)
{
    int64_t at = e->job.schedule.at_ms;
    if (e->memory.handled_ms == at)
        return NEVER;
    if (at > e->memory.first_seen_ms)
        return at;
    report_missed(s, e, at, at, 1, "it was past already when the entry was put in");
    e->memory.handled_ms = at;
    e->changed = true;
    return NEVER;
}

static int64_t plan_wall(struct scheduler *s, struct entry *e)
{
    if (e->job.schedule.kind == SCHEDULE_AT) {
        e->due_ms = plan_at(s, e);
    } else {
        s->furthest_ms = later(s->furthest_ms, handled_or_unseen_ms(e));
        e->due_ms = due_after(s, e, handled_or_unseen_ms(e));
    }
    return e->due_ms != NEVER ? fire_of(s, e, e->due_ms) : NEVER;
}

/* Its jitter goes by the wall time that it is due, so that a restart finds the same. */
static int64_t plan_floating(struct entry *e)
{
    uint64_t every = e->job.schedule.every_ms;
    int64_t step = every < INT64_MAX ? (int64_t)every : INT64_MAX;
    e->due_ms = add_ms(e->began_boot_ms, step);
    int64_t due = add_ms(e->memory.handled_ms, step);
    return add_ms(e->due_ms, jitter_of(e, due, add_ms(due, step)));
}

static void put(struct heap *h, struct heap_node *n, int64_t key)
{
    if (key != NEVER)
        heap_put(h, n, key);
    else
        heap_remove(h, n);
}

void plan_next(struct scheduler *s, struct entry *e, struct scheduler_time now)
{
    int64_t wall = NEVER, boot = NEVER;
    if (e->present && e->job.enabled) {
        boot = e->retry_boot_ms;
        if (is_floating(e)) {
            int64_t fire = plan_floating(e);
            boot = fire < boot ? fire : boot;
        } else if (clock_is_set(now)) {
            wall = plan_wall(s, e);
        }
    }
    put(&s->wall, &e->wall, wall);
    put(&s->boot, &e->boot, boot);
}

/* --------------------------------------------------------------------------------------------------------- the clock's
 */

/* Due times that have come. */
struct due {
    uint64_t count;
    int64_t first_ms, before_last_ms, last_ms;
};

/* From the first that is not handled to the last that is to start by now. */
static struct due collect(struct scheduler *s, const struct entry *e, struct scheduler_time now)
{
    struct due d = {.count = 1, .first_ms = e->due_ms, .before_last_ms = e->due_ms, .last_ms = e->due_ms};
    if (due_after(s, e, e->due_ms) > now.wall_ms)
        return d;
    const struct schedule *schedule = &e->job.schedule;
    const struct zone *zone = zone_of(s, e);
    int64_t before = e->due_ms - 1;
    d.count = schedule_count(schedule, zone, before, now.wall_ms, &d.last_ms);
    if (d.count == 0) /* the zone changed since */
        d.count = 1;
    if (d.count > 1 && fire_of(s, e, d.last_ms) > now.wall_ms)
        d.count = schedule_count(schedule, zone, before, d.last_ms - 1, &d.last_ms);
    if (d.count > 1)
        schedule_count(schedule, zone, before, d.last_ms - 1, &d.before_last_ms);
    return d;
}

bool take_due_wall(struct scheduler *s, struct entry *e, struct scheduler_time now, struct scheduler_start *out)
{
    struct due d = collect(s, e, now);
    bool late = subtract_ms(now.wall_ms, fire_of(s, e, d.last_ms)) > LATE_MS;
    bool start = !e->memory.running && (!late || e->job.catch_up);
    if (e->memory.running)
        report_missed(s, e, d.first_ms, d.last_ms, d.count, "it still ran");
    else if (!start)
        report_missed(s, e, d.first_ms, d.last_ms, d.count, why_unseen(s, d.last_ms));
    else if (d.count > 1)
        report_missed(s, e, d.first_ms, d.before_last_ms, d.count - 1, why_unseen(s, d.before_last_ms));
    e->memory.handled_ms = d.last_ms;
    e->changed = true;
    *out = (struct scheduler_start){
        .job = &e->job, .reason = late ? RUN_CAUGHT_UP : RUN_DUE, .due_ms = d.last_ms, .attempt = 1};
    return start;
}

/* ---------------------------------------------------------------------------------------------------- intervals,
 * retries
 */

static bool take_retry(struct entry *e, struct scheduler_start *out)
{
    forget_retry(e);
    *out = (struct scheduler_start){
        .job = &e->job, .reason = RUN_RETRY, .due_ms = e->memory.due_ms, .attempt = e->memory.attempt + 1};
    return !e->memory.running;
}

/* The interval begins anew. */
static void begin_interval(struct entry *e, int64_t boot_ms, struct scheduler_time now)
{
    e->began_boot_ms = boot_ms;
    e->memory.handled_ms = subtract_ms(now.wall_ms, subtract_ms(now.boot_ms, boot_ms));
    e->unsure = false;
    e->changed = true;
}

/* How many whole intervals passed since it was due. */
static uint64_t intervals_since(const struct entry *e, int64_t due_boot_ms, struct scheduler_time now)
{
    return ((uint64_t)now.boot_ms - (uint64_t)due_boot_ms) / e->job.schedule.every_ms;
}

/* While it runs it is due every interval, and missed. */
static void miss_floating(struct scheduler *s, struct entry *e, int64_t due_wall_ms, struct scheduler_time now)
{
    uint64_t every = e->job.schedule.every_ms, count = intervals_since(e, e->due_ms, now);
    if (count == 0)
        count = 1;
    int64_t rest = (int64_t)((count - 1) * every);
    report_missed(s, e, due_wall_ms, add_ms(due_wall_ms, rest), count, "it still ran");
    begin_interval(e, add_ms(e->due_ms, rest), now);
}

bool take_due_boot(struct scheduler *s, struct entry *e, struct scheduler_time now, struct scheduler_start *out)
{
    if (e->retry_boot_ms <= now.boot_ms)
        return take_retry(e, out);
    int64_t late_ms = subtract_ms(now.boot_ms, e->boot.key);
    int64_t due_wall = subtract_ms(now.wall_ms, subtract_ms(now.boot_ms, e->due_ms));
    *out = (struct scheduler_start){
        .job = &e->job, .reason = late_ms > LATE_MS ? RUN_CAUGHT_UP : RUN_DUE, .due_ms = due_wall, .attempt = 1};
    if (e->memory.running) {
        miss_floating(s, e, due_wall, now);
        return false;
    }
    if (late_ms > LATE_MS && !e->job.catch_up) {
        report_missed(s, e, due_wall, due_wall, 1, why_unseen(s, due_wall));
        begin_interval(e, now.boot_ms, now);
        return false;
    }
    uint64_t beats = intervals_since(e, e->due_ms, now) * e->job.schedule.every_ms;
    begin_interval(e, late_ms > KEEP_STEP_MS ? now.boot_ms : add_ms(e->due_ms, (int64_t)beats), now);
    return true;
}
