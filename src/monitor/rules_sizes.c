/* How much a tier reads, against what is usual. */
#include "base/bytes.h"
#include "monitor/rules_internal.h"
#include "os/clock.h"

enum { AGREEING_RUNS = 3, SMALL_CHANGE_BYTES = 1000000 };

static uint64_t size_of(const struct record *r)
{
    return r->bytes_processed;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

/* Do the last three agree within a tenth? Then what they say is usual now, whatever was before. */
static bool agreed_size(const struct record *const *runs, size_t count, uint64_t *out)
{
    uint64_t least = UINT64_MAX, most = 0;
    if (count < AGREEING_RUNS)
        return false;
    for (size_t i = 0; i < AGREEING_RUNS; i++) {
        uint64_t size = size_of(runs[i]);
        least = size < least ? size : least;
        most = larger(most, size);
    }
    *out = runs[0]->bytes_processed;
    return most - least <= most / 10;
}

static bool usual_size(const struct record *const *runs, size_t count, uint64_t *out)
{
    uint64_t median;
    if (!rules_median(runs, count, size_of, &median))
        return false;
    if (!agreed_size(runs, count, out))
        *out = median;
    return true;
}

/* Of the runs before, the newest that was about as large as usual: what grew or shrank, did since then. */
static const struct record *usual_run(const struct record *const *runs, size_t count, uint64_t usual)
{
    const struct record *nearest = runs[0];
    for (size_t i = 0; i < count; i++) {
        if (distance(size_of(runs[i]), usual) <= usual / 10)
            return runs[i];
        if (distance(size_of(runs[i]), usual) < distance(size_of(nearest), usual))
            nearest = runs[i];
    }
    return nearest;
}

static enum alert_level growth_level(const struct plan_health *h, uint64_t size, uint64_t usual, bool open)
{
    double percent = open ? h->growth_percent / 2.0 : h->growth_percent;
    if (size < usual || size - usual < SMALL_CHANGE_BYTES)
        return ALERT_FINE;
    if (h->growth_factor > 0 && (double)size > (double)usual * h->growth_factor)
        return ALERT_CRITICAL;
    return h->growth_percent > 0 && (double)size > (double)usual * (1 + percent / 100) ? ALERT_WARNING : ALERT_FINE;
}

static enum alert_level shrink_level(const struct plan_health *h, uint64_t size, uint64_t usual, bool open)
{
    double percent = open ? h->shrink_percent / 2.0 : h->shrink_percent;
    if (size > usual || usual - size < SMALL_CHANGE_BYTES || h->shrink_percent == 0)
        return ALERT_FINE;
    return (double)size < (double)usual * (1 - percent / 100) ? ALERT_WARNING : ALERT_FINE;
}

static void say(const struct facts *f, const struct plan_tier *t, const char *rule, enum alert_level level,
                const struct record *now, uint64_t usual, struct finding_list *out)
{
    char size[RULES_TEXT_BYTES], before[RULES_TEXT_BYTES], when[RULES_TEXT_BYTES];
    bytes_text(size_of(now), size);
    bytes_text(usual, before);
    rules_ago(os_time_ms(&now->time), f->now_ms, when);
    if (level == ALERT_FINE) {
        finding_add(out, rule, t->name, ALERT_FINE, "%s has %s, and usually %s", t->name, size, before);
        return;
    }
    double ratio = usual > 0 ? (double)size_of(now) / (double)usual : 0;
    struct finding *found;
    if (usual == 0)
        found = finding_add(out, rule, t->name, level, "%s had %s %s, and usually nothing", t->name, size, when);
    else if (ratio >= 3)
        found = finding_add(out, rule, t->name, level, "%s had %s %s, %.1f times its usual %s", t->name, size, when,
                            ratio, before);
    else
        found =
            finding_add(out, rule, t->name, level, "%s had %s %s, %.0f %% %s than its usual %s", t->name, size, when,
                        ratio > 1 ? (ratio - 1) * 100 : (1 - ratio) * 100, ratio > 1 ? "more" : "less", before);
    found->since_ms = os_time_ms(&now->time);
    rules_command_run(found, t, now);
}

static void sizes(const struct facts *f, const struct fact_tier *t, struct finding_list *out)
{
    const struct plan_health *h = &f->plan->health;
    const struct record *before[USUAL_RUNS];
    const char *name = t->tier->name;
    long last = rules_last_completed(t->records);
    size_t count = last >= 0 ? rules_good_before(t->records, (size_t)last, before) : 0;
    uint64_t usual;
    if (last < 0 || !usual_size(before, count, &usual))
        return;
    const struct record *now = &t->records->items[last];
    enum alert_level growth = growth_level(h, size_of(now), usual, rules_open(f, "growth", name) != ALERT_FINE);
    enum alert_level shrink = shrink_level(h, size_of(now), usual, rules_open(f, "shrink", name) != ALERT_FINE);
    say(f, t->tier, "growth", t->tier->disabled ? ALERT_FINE : growth, now, usual, out);
    if (out->items[out->count - 1].level != ALERT_FINE)
        out->items[out->count - 1].details = growth_details(usual_run(before, count, usual), now);
    say(f, t->tier, "shrink", t->tier->disabled ? ALERT_FINE : shrink, now, usual, out);
    if (out->items[out->count - 1].level != ALERT_FINE)
        out->items[out->count - 1].details = shrink_details(usual_run(before, count, usual), now);
}

void rules_sizes(const struct facts *f, struct finding_list *out)
{
    for (size_t i = 0; i < f->tier_count; i++)
        if (f->tiers[i].records != NULL)
            sizes(f, &f->tiers[i], out);
}
