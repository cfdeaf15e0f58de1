/* When a tier is due: from its schedule and its records. */
#include "run/again.h"
#include "run/run.h"

enum { SLACK_MAX_MS = 5 * 60 * 1000, LATE_PERCENT = 25 };

/* Whatever starts us every two hours does so a little early now and then, counted from the run before: such a trigger
 * must not be let pass for another two hours. */
static int64_t slack_ms(const struct schedule *s)
{
    if (s->kind != SCHEDULE_EVERY)
        return 0;
    return s->every_ms / 20 < SLACK_MAX_MS ? (int64_t)(s->every_ms / 20) : SLACK_MAX_MS;
}

bool run_tier_due(const struct plan_tier *t, const struct record_list *records, int64_t now_ms, int64_t *next_ms_out)
{
    int64_t last = record_last_started_ms(records), next = 0;
    /* A record from the future (the clock was wrong) must not stop backups until then. */
    if (last > now_ms)
        last = 0;
    bool ever = !t->disabled && schedule_next(&t->schedule, last, last, &next);
    if (ever && last == 0 && next < now_ms)
        next = now_ms; /* it never ran */
    int64_t again = again_at_ms(records);
    if (ever && again != 0 && again < next)
        next = again;
    if (next_ms_out != NULL)
        *next_ms_out = ever ? next : 0;
    return ever && next <= now_ms + slack_ms(&t->schedule);
}

bool run_tier_due_by_next_start(const struct plan_tier *t, const struct record_list *records, int64_t now_ms,
                                uint64_t period_ms, unsigned late_percent)
{
    int64_t last = record_last_started_ms(records);
    const struct schedule *s = &t->schedule;
    if (t->disabled || s->kind != SCHEDULE_EVERY || period_ms == 0 || last == 0 || last > now_ms)
        return false;
    uint64_t age_ms = (uint64_t)(now_ms - last) + (uint64_t)slack_ms(s);
    return age_ms + period_ms >= s->every_ms + s->every_ms / 100 * (late_percent != 0 ? late_percent : LATE_PERCENT);
}
