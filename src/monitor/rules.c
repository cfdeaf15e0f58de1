#include "monitor/rules.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "monitor/rules_internal.h"
#include "os/clock.h"

const char *const RULE_NAMES[] = {
    "run-failed", "run-incomplete", "late",   "never-ended", "records-broken", "upload-failed", "destination",
    "space",      "slow",           "growth", "shrink",      "push-failed",    "dump-failed",   "scheduler",
    "skew",       "proof",          "absent", "state",       "job-failed",     "plan",          NULL};

/* --- the facts --- */

int64_t fact_last_success_ms(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;) {
        const struct record *r = &l->items[i];
        if (r->status == RECORD_SKIPPED || (r->status == RECORD_COMPLETED && r->exit_code <= 3))
            return os_time_ms(&r->time);
    }
    return 0;
}

enum alert_level rules_open(const struct facts *f, const char *rule, const char *subject)
{
    return f->is_open != NULL ? f->is_open(f->open_ctx, rule, subject) : ALERT_FINE;
}

/* The run after one that was killed writes its end, with exit code 1: that is a failure. Ctrl-C and SIGTERM are not. */
static bool by_person(const struct record *r)
{
    return r->status == RECORD_FAILED && r->interrupted && r->exit_code == 130;
}

const struct record *rules_last_end(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->items[i].status != RECORD_STARTED && !by_person(&l->items[i]))
            return &l->items[i];
    return NULL;
}

long rules_last_completed(const struct record_list *l)
{
    for (size_t i = l->count; i-- > 0;)
        if (l->items[i].status == RECORD_COMPLETED && l->items[i].exit_code <= 3)
            return (long)i;
    return -1;
}

static bool is_away(const struct facts *f, const char *destination)
{
    for (size_t i = 0; i < f->destination_count; i++) {
        const struct fact_destination *d = &f->destinations[i];
        if (strcmp(d->destination->name, destination) == 0)
            return !d->ready && !d->unknown;
    }
    return false;
}

bool rules_cut_off(const struct facts *f, const struct plan_tier *t)
{
    for (size_t i = 0; i < t->to.count; i++)
        if (!is_away(f, t->to.items[i]))
            return false;
    return t->to.count > 0;
}

/* --- what is usual --- */

/* It read all that it was to read, but for entries that it may not: what it lacks else is a destination. */
static bool is_whole(const struct record *r)
{
    bool whole = r->status == RECORD_COMPLETED && r->exit_code <= 3;
    for (size_t i = 0; whole && i < r->source_count; i++)
        whole = r->sources[i].status != RECORD_FAILED;
    return whole;
}

static bool is_good(const struct record *r)
{
    return r->status == RECORD_COMPLETED && r->exit_code == 0;
}

/* Those that fit among the last completed ones. */
static size_t runs_before(const struct record_list *l, size_t before, bool (*fits)(const struct record *),
                          const struct record *out[USUAL_RUNS])
{
    size_t count = 0, seen = 0;
    for (size_t i = before; i-- > 0 && count < USUAL_RUNS && seen < 2 * USUAL_RUNS;) {
        seen += l->items[i].status == RECORD_COMPLETED;
        if (fits(&l->items[i]))
            out[count++] = &l->items[i];
    }
    return count;
}

/* Where a file that nobody may read, or a drive that is mostly away, makes every run an incomplete one, these are what
 * there is to measure by. */
size_t rules_good_before(const struct record_list *l, size_t before, const struct record *out[USUAL_RUNS])
{
    size_t count = runs_before(l, before, is_good, out);
    return count >= USUAL_MIN_RUNS ? count : runs_before(l, before, is_whole, out);
}

static int ascending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

bool rules_median(const struct record *const *runs, size_t count, rules_number *number, uint64_t *out)
{
    uint64_t values[USUAL_RUNS];
    if (count < USUAL_MIN_RUNS)
        return false;
    for (size_t i = 0; i < count; i++)
        values[i] = number(runs[i]);
    qsort(values, count, sizeof *values, ascending);
    *out = count % 2 == 1 ? values[count / 2] : values[count / 2 - 1] / 2 + values[count / 2] / 2;
    return true;
}

/* --- words --- */

const char *rules_duration(int64_t ms, char out[RULES_TEXT_BYTES])
{
    const int64_t minute = 60000, hour = 60 * minute, day = 24 * hour;
    if (ms < 2 * minute)
        snprintf(out, RULES_TEXT_BYTES, "%llds", (long long)(ms > 0 ? (ms + 500) / 1000 : 0));
    else
        duration_format((uint64_t)(ms < 2 * day   ? ms / minute * minute
                                   : ms < 7 * day ? ms / hour * hour
                                                  : ms / day * day),
                        out);
    return out;
}

static void moment(int64_t ms, char out[OS_TIME_BYTES])
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    os_time_format_human(&t, out);
    out[16] = '\0'; /* minutes are enough */
}

const char *rules_ago(int64_t ms, int64_t now_ms, char out[RULES_TEXT_BYTES])
{
    char at[OS_TIME_BYTES], text[RULES_TEXT_BYTES];
    moment(ms, at);
    snprintf(out, RULES_TEXT_BYTES, "%.24s ago (%.16s)", rules_duration(now_ms - ms, text), at);
    return out;
}

const char *rules_for(int64_t since_ms, int64_t now_ms, char out[RULES_TEXT_BYTES])
{
    char at[OS_TIME_BYTES], text[RULES_TEXT_BYTES];
    moment(since_ms, at);
    snprintf(out, RULES_TEXT_BYTES, "for %.24s (since %.16s)", rules_duration(now_ms - since_ms, text), at);
    return out;
}

void rules_command(struct finding *f, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    free(f->command);
    f->command = mem_strdup(text);
}

void rules_command_run(struct finding *f, const struct plan_tier *t, const struct record *r)
{
    if (r->run_id != NULL && *r->run_id != '\0')
        rules_command(f, "clawback runs --run %s", r->run_id);
    else
        rules_command(f, "clawback runs %s", t->name);
}

/* --- all of them --- */

/* Two tiers may push one repository, two destinations have one name in a broken plan: the worst of both counts. */
static void merge_same(struct finding_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        size_t k = 0;
        while (k < kept && (strcmp(l->items[k].rule, l->items[i].rule) != 0 ||
                            strcmp(l->items[k].subject, l->items[i].subject) != 0))
            k++;
        if (k == kept) {
            l->items[kept++] = l->items[i];
            continue;
        }
        bool worse = l->items[i].level > l->items[k].level;
        finding_release(worse ? &l->items[k] : &l->items[i]);
        if (worse)
            l->items[k] = l->items[i];
    }
    l->count = kept;
}

void rules_apply(const struct facts *f, struct finding_list *out)
{
    rules_outcomes(f, out);
    rules_times(f, out);
    rules_sizes(f, out);
    rules_storage(f, out);
    rules_services(f, out);
    merge_same(out);
}
