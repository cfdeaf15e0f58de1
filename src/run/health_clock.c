/*
 * Is the clock sane? Nobody is asked for the time. What was written already cannot be from the future: our own records,
 * and what destinations keep, whose times come from the clock of whoever keeps those files (a NAS has its own). And the
 * servers that messages go to tell their time with each answer; how far ours was off then is kept as a note.
 */
#include "run/health_facts.h"

#include <stdlib.h>
#include "base/mem.h"
#include "os/clock.h"

static int64_t newest_record_ms(const struct facts_held *held)
{
    int64_t newest = 0;
    for (size_t i = 0; i < held->tier_count; i++)
        for (size_t k = 0; k < held->records[i].count; k++) {
            int64_t ms = (int64_t)held->records[i].items[k].time.tv_sec * 1000;
            newest = ms > newest ? ms : newest;
        }
    return newest;
}

static void compare(const char *subject, const char *what, int64_t newest_ms, int64_t now_ms, uint64_t skew_ms,
                    struct fact_list *out)
{
    char by[32], when[OS_TIME_BYTES], *text;
    struct timespec t = {.tv_sec = newest_ms / 1000};
    if (newest_ms == 0)
        return;
    bool ok = newest_ms <= now_ms || (uint64_t)(newest_ms - now_ms) <= skew_ms;
    if (ok) {
        text = mem_printf("%s is not from the future", what);
    } else {
        duration_format((uint64_t)((newest_ms - now_ms) / 1000 * 1000), by);
        text = mem_printf("%s is of %s, which is %s from now: one of the two clocks is wrong", what,
                          os_time_format_human(&t, when), by);
    }
    fact_list_add(out, subject, ok, text);
    free(text);
}

void health_compare_clocks(const struct health_options *o, const struct facts_held *held, int64_t now_ms,
                           struct fact_list *out)
{
    uint64_t skew_ms = o->plan->health.skew_ms;
    out->looked = true;
    compare("run records", "the newest run record", newest_record_ms(held), now_ms, skew_ms, out);
    for (size_t i = 0; i < held->destination_count; i++) {
        const char *name = o->plan->destinations[i].name;
        char *what = mem_printf("the newest file of destination '%s'", name);
        compare(name, what, held->looks[i].newest_ms, now_ms, skew_ms, out);
        free(what);
    }
}
