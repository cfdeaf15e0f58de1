/* What clocks do that are set: ahead, back, or from 1970 to now. */
#include "daemon/scheduler_internal.h"

void restore_interval(struct entry *e, struct scheduler_time now)
{
    int64_t began = e->memory.handled_ms, elapsed = subtract_ms(now.wall_ms, began);
    e->unsure = false;
    if (!clock_is_set(now) && began >= CLOCK_SET_MS) {
        e->unsure = true;
        elapsed = 0;
    } else if (elapsed < 0) { /* never longer than the interval */
        e->memory.handled_ms = now.wall_ms;
        e->changed = true;
        elapsed = 0;
    }
    e->began_boot_ms = subtract_ms(now.boot_ms, elapsed);
}

/* What is counted on the other clock is written down by this one. */
static void write_anew(struct entry *e, struct scheduler_time now)
{
    if (e->present && is_floating(e) && !e->unsure) {
        e->memory.handled_ms = subtract_ms(now.wall_ms, subtract_ms(now.boot_ms, e->began_boot_ms));
        e->changed = true;
    }
    if (e->retry_boot_ms != NEVER) {
        e->memory.retry_ms = add_ms(now.wall_ms, subtract_ms(e->retry_boot_ms, now.boot_ms));
        e->changed = true;
    }
}

static void clock_became_set(struct scheduler *s, struct scheduler_time now)
{
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = s->entries[i];
        if (e->memory.first_seen_ms == 0 && e->present) {
            e->memory.first_seen_ms = now.wall_ms;
            e->changed = true;
        }
        if (e->unsure)
            restore_interval(e, now);
        plan_next(s, e, now);
    }
}

/* Times that a clock in the future handled keep no job from running; `at` is left alone, and so are those without due
 * times, of which some may be `at`. */
static void clock_went_back(struct scheduler *s, struct scheduler_time now)
{
    int64_t limit = add_ms(now.wall_ms, BACK_MAX_MS);
    s->furthest_ms = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct entry *e = s->entries[i];
        if (!e->present || !e->job.enabled || is_floating(e) || e->job.schedule.kind == SCHEDULE_AT)
            continue;
        if (e->memory.handled_ms > limit || e->memory.first_seen_ms > limit) {
            if (e->memory.handled_ms > limit)
                e->memory.handled_ms = now.wall_ms;
            if (e->memory.first_seen_ms > limit)
                e->memory.first_seen_ms = now.wall_ms;
            e->changed = true;
        }
        plan_next(s, e, now);
    }
}

static void refresh_zones(struct scheduler *s, struct scheduler_time now)
{
    s->zones_read_boot_ms = now.boot_ms;
    if (!zones_refresh(&s->zones))
        return;
    for (size_t i = 0; i < s->count; i++)
        if (s->entries[i]->job.schedule.kind == SCHEDULE_CRON)
            plan_next(s, s->entries[i], now);
}

void notice_time(struct scheduler *s, struct scheduler_time now)
{
    struct scheduler_time last = s->started ? s->last : now;
    if (!s->started) {
        s->started = true;
        s->start_ms = now.wall_ms;
        s->zones_read_boot_ms = now.boot_ms;
    }
    s->last = now;
    int64_t expected = add_ms(last.wall_ms, subtract_ms(now.boot_ms, last.boot_ms));
    int64_t jump = subtract_ms(now.wall_ms, expected);
    if (jump > JUMP_MS) {
        s->jump_from_ms = expected;
        s->jump_to_ms = now.wall_ms;
    }
    if (jump > JUMP_MS || jump < -JUMP_MS)
        for (size_t i = 0; i < s->count; i++)
            write_anew(s->entries[i], now);
    if (!clock_is_set(last) && clock_is_set(now))
        clock_became_set(s, now);
    if (clock_is_set(now) && s->furthest_ms > add_ms(now.wall_ms, BACK_MAX_MS))
        clock_went_back(s, now);
    if (subtract_ms(now.boot_ms, s->zones_read_boot_ms) >= ZONES_REFRESH_MS)
        refresh_zones(s, now);
}
