/*
 * What is known at one moment, for the rules: gathered by run/health.c, judged by monitor/rules.c, so that rules are
 * pure functions that tests can feed. What was not looked at is marked so, and then no rule says anything of it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "monitor/record.h"
#include "plan/plan.h"

struct fact_tier {
    const struct plan_tier *tier;
    const struct record_list *records; /* NULL: they could not be read, and no rule says anything of its runs */
    bool running;                      /* now: its STARTED without an end is no accident */
    bool retrying;                     /* its last run failed, and who made it is about to try again, or does so now */
    int64_t next_ms;                   /* when it is due next, counted from its last run; 0: only when named */
    /* From then on no success is an alert: interval and late_percent for `every`; for cron and at, when the due time
     * after the last success (fact_last_success_ms(); without one: watched_since_ms) and a quarter of the time between
     * two is past; 0: never (disabled, only when named, or nothing is known yet). */
    int64_t late_ms;
    size_t damaged; /* lines of its log that are no records, noticed in the last week: state_damaged() */
};

/* When the tier last ended well enough to count as in time, Unix ms: completed, with exit code 3 at worst, or skipped
 * since nothing of it was running. 0: never. */
int64_t fact_last_success_ms(const struct record_list *l);

struct fact_destination {
    const struct plan_destination *destination;
    bool ready;          /* false: `problem` says why */
    bool unknown;        /* it did not answer in the short time that there was: only what runs say of it counts */
    const char *problem; /* complete, for people */
    bool space_known;
    uint64_t free_bytes, total_bytes;
    const char *forecast; /* forecast_describe(), NULL: not known */
    int64_t full_ms;      /* 0: not in sight */
};

struct fact_check {      /* something that was tried, of a source or a service */
    const char *subject; /* short and always the same: it names the alert */
    bool ok;
    const char *text; /* what is wrong, or what was found */
    bool partly;      /* not ok, but it does some of what it should */
};

struct fact_list {
    struct fact_check *items;
    size_t count;
    bool looked; /* false: nobody tried */
};

struct facts {
    int64_t now_ms;
    const struct plan *plan;
    const char *state_dir;
    struct fact_tier *tiers;
    size_t tier_count;
    struct fact_destination *destinations;
    size_t destination_count;
    struct fact_list dumps;      /* databases: could they be dumped? */
    struct fact_list jobs;       /* of the daemon's, that are no runs of the plan: did the last one go well? */
    struct fact_list schedulers; /* each trigger that was installed: does it live? None installed: one item, not ok */
    struct fact_list skews;      /* clocks: ours against a peer's, and against our own records */
    bool proof_looked;
    int64_t proof_ms;         /* the last restore proof; 0: there never was one */
    int64_t watched_since_ms; /* the first record or the installation: nothing is overdue that had no time yet; 0:
                                 unknown */
    int64_t awake_since_ms;   /* when this machine was started, or was first seen awake after a sleep; 0: unknown. What
                               * fell due before is not late until there was time to make up for it */
    /* Hysteresis: the level of the open alert of this rule and subject, ALERT_FINE (0): none is open. NULL: nobody
     * knows, as if none were. alerts_open_level() is one; ctx: the struct state. */
    enum alert_level (*is_open)(void *ctx, const char *rule, const char *subject);
    void *open_ctx;
};
