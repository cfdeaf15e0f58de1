/*
 * The state database is opened for as long as it is needed and no longer, once by the thread of the beginning and once
 * at the end: a handle belongs to one thread.
 */
#include "run/watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "monitor/log.h"
#include "monitor/outbox.h"
#include "monitor/record.h"
#include "monitor/state.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "run/again.h"
#include "run/health.h"
#include "run/openclaw_mirror.h"

enum {
    LOG_TAIL_MAX_BYTES = 10 << 10,
    PATIENCE_MS =
        5 * 1000,  /* for destinations, schedulers, and channels where there is no outbox, that do not answer */
    LOOKS_MAX = 4, /* these three, and something is left for what waits */
};

struct watched_tier {
    char *name;
    bool ended;
    bool again; /* it failed, and our caller is about to try again */
    int exit_code;
};

struct watch {
    const struct plan *plan;
    const char *state_dir;
    char *run_id;
    struct timespec started;
    uint64_t started_ns;
    struct watched_tier *tiers;
    size_t tier_count;
    bool pings;     /* the plan has channels for them … */
    bool for_tiers; /* … also such that are for single tiers */
    bool threaded;
    pthread_t thread;
};

static void complain(const char *what, const struct err *err)
{
    log_line(LOG_LEVEL_WARNING, "%s: %s", what, err->message);
}

/* --- what is told --- */

static enum ping_kind kind_of(int exit_code)
{
    return exit_code == 0 ? PING_SUCCESS : PING_FAIL;
}

/* Which failures are not the last word? */
static void look_for_attempts(struct watch *w)
{
    for (size_t i = 0; i < w->tier_count; i++) {
        struct record_list records;
        struct watched_tier *t = &w->tiers[i];
        if (!t->ended || t->exit_code == 0 ||
            record_list_read(w->state_dir, t->name, RECORD_KEPT_LINES, &records, NULL) != 0)
            continue;
        t->again = again_awaited(&records, false, os_now_ms());
        record_list_release(&records);
    }
}

/* The run as a whole has not come to its end: all that is wrong with it may yet become right. */
static bool comes_again(const struct watch *w)
{
    bool again = false;
    for (size_t i = 0; i < w->tier_count; i++) {
        if (w->tiers[i].exit_code != 0 && !w->tiers[i].again)
            return false;
        again = again || w->tiers[i].again;
    }
    return again;
}

/* Those of the whole run, and those of its tiers where somebody wants them. */
static void add_pings(const struct watch *w, struct state *s, bool start, int exit_code, const char *tail)
{
    struct err err = {0};
    if ((start || !comes_again(w)) &&
        outbox_add_ping(w->plan, s, start ? PING_START : kind_of(exit_code), NULL, w->run_id, tail, &err) != 0)
        complain("pings", &err);
    for (size_t i = 0; w->for_tiers && i < w->tier_count; i++) {
        const struct watched_tier *t = &w->tiers[i];
        if (!start && (!t->ended || t->again))
            continue;
        if (outbox_add_ping(w->plan, s, start ? PING_START : kind_of(t->exit_code), t->name, w->run_id, tail, &err) !=
            0)
            complain("pings", &err);
    }
}

static void flush(const struct watch *w, struct state *s, uint64_t deadline_ns)
{
    struct outbox_result result = {0};
    struct err err = {0};
    if (outbox_flush(w->plan, s, deadline_ns, &result, &err) != 0)
        complain("messages", &err);
    else if (result.waiting > 0)
        log_line(LOG_LEVEL_INFO, "%zu messages could not be sent yet; the daemon or 'clawback health' tries again",
                 result.waiting);
}

/* --- the beginning --- */

static void *tell_start(void *arg)
{
    const struct watch *w = arg;
    struct state *s = NULL;
    struct err err = {0};
    uint64_t deadline_ns = os_monotonic_ns() + (uint64_t)WATCH_BEGIN_MS * 1000000;
    if (state_open(&s, w->state_dir, &err) != 0) {
        complain("pings", &err);
        return NULL;
    }
    add_pings(w, s, true, 0, NULL);
    flush(w, s, deadline_ns);
    state_close(s);
    return NULL;
}

static void look_at_channels(struct watch *w)
{
    for (size_t i = 0; i < w->plan->alerts.channel_count; i++) {
        const struct plan_channel *c = &w->plan->alerts.channels[i];
        w->pings = w->pings || c->kind == CHANNEL_PING;
        w->for_tiers = w->for_tiers || (c->kind == CHANNEL_PING && c->tiers.count > 0);
    }
}

struct watch *watch_begin(const struct plan *p, const char *state_dir, const char *run_id, const struct strlist *tiers)
{
    struct watch *w = mem_alloc(sizeof *w);
    *w = (struct watch){.plan = p, .state_dir = state_dir, .started = os_now(), .started_ns = os_monotonic_ns()};
    w->run_id = mem_strdup(run_id);
    w->tiers = mem_zalloc((tiers->count + 1) * sizeof *w->tiers);
    for (size_t i = 0; i < tiers->count; i++)
        w->tiers[w->tier_count++].name = mem_strdup(tiers->items[i]);
    look_at_channels(w);
    w->threaded = w->pings && pthread_create(&w->thread, NULL, tell_start, w) == 0;
    return w;
}

void watch_tier(struct watch *w, const char *tier, int exit_code)
{
    for (size_t i = 0; w != NULL && i < w->tier_count; i++)
        if (strcmp(w->tiers[i].name, tier) == 0) {
            w->tiers[i].ended = true;
            w->tiers[i].exit_code = exit_code;
        }
}

/* --- the end --- */

/* Alerts are opened and closed, and messages about that are put into the outbox. */
static void judge(const struct watch *w, uint64_t deadline_ns)
{
    uint64_t now_ns = os_monotonic_ns(), left_ms = deadline_ns > now_ns ? (deadline_ns - now_ns) / 1000000 : 0;
    uint64_t share_ms = left_ms / LOOKS_MAX > 0 ? left_ms / LOOKS_MAX : 1;
    const struct health_options options = {.plan = w->plan,
                                           .state_dir = w->state_dir,
                                           .quick = true,
                                           .run_ended = true,
                                           .patience_ms = share_ms < PATIENCE_MS ? share_ms : PATIENCE_MS};
    struct health_report report;
    struct err err = {0};
    if (health_check(&options, &report, &err) != 0)
        complain("alerts", &err);
    health_report_release(&report);
}

static void tell_end(struct watch *w, int exit_code, uint64_t deadline_ns)
{
    struct state *s = NULL;
    struct err err = {0};
    if (w->plan->alerts.channel_count == 0)
        return;
    if (state_open(&s, w->state_dir, &err) != 0) {
        complain("messages", &err);
        return;
    }
    if (w->pings) {
        look_for_attempts(w);
        char *tail = log_tail(LOG_TAIL_MAX_BYTES);
        add_pings(w, s, false, exit_code, tail);
        free(tail);
    }
    flush(w, s, deadline_ns);
    state_close(s);
}

static void mirror(const struct watch *w, int exit_code, const char *summary)
{
    const struct mirrored_run run = {
        .started_ms = os_time_ms(&w->started),
        .duration_ms = (os_monotonic_ns() - w->started_ns) / 1000000,
        .exit_code = exit_code,
        .summary = summary,
    };
    openclaw_mirror_run(w->state_dir, &run);
}

void watch_end(struct watch *w, int exit_code, const char *summary)
{
    if (w == NULL)
        return;
    uint64_t patience_ms = os_interrupted() ? WATCH_INTERRUPTED_MS : WATCH_END_MS;
    uint64_t deadline_ns = os_monotonic_ns() + patience_ms * 1000000;
    if (w->threaded)
        pthread_join(w->thread, NULL); /* it has its own deadline, which is the earlier one */
    if (!os_interrupted())
        judge(w, deadline_ns);
    tell_end(w, exit_code, deadline_ns);
    if (!os_interrupted())
        mirror(w, exit_code, summary);
    for (size_t i = 0; i < w->tier_count; i++)
        free(w->tiers[i].name);
    free(w->tiers);
    free(w->run_id);
    free(w);
}
