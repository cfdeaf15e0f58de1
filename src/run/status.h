/* How things stand: `clawback status`. From the plan, the records, the state
 * database where there is one, and a look at the destinations and the
 * schedulers; writes nothing. */
#pragma once
#include "monitor/alerts.h"
#include "monitor/record.h"
#include "plan/plan.h"
#include "run/health.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { STATUS_SIZES_MAX = 24 };

struct tier_status {
    const struct fact_tier *facts;
    const struct record *last; /* the newest that ended; NULL: it never ran */
    const struct record *good; /* the newest with exit code 0 */
    bool due;
    uint64_t sizes[STATUS_SIZES_MAX]; /* bytes processed by the last completed
                                         runs, the oldest first */
    size_t size_count;
};

/* Something that is the matter: found just now, or an open alert whose rule
 * asks more than status does. */
struct status_problem {
    const char *rule, *subject, *text, *command; /* command NULL: none */
    enum alert_level level;
    int64_t since_ms; /* 0: not known */
    int64_t told_ms;  /* when the owner was last told of it; 0: not yet, or not
                         known */
    bool is_alert;    /* an open one */
};

struct status {
    struct health_report report; /* what all pointers here point into */
    struct alert_list alerts;    /* the open ones; empty, too, where there is no database */
    struct tier_status *tiers;   /* of each tier of the plan */
    size_t tier_count;
    struct status_problem *problems; /* warnings and worse, the worst first */
    size_t problem_count;
    bool running; /* a run is under way now */
    char runner[256];
    int64_t next_message_ms; /* when what waits in the outbox is tried next; 0: nothing waits */
};
/* ERR_INTERRUPTED: nothing to release. */
int status_gather(const struct plan *p, const char *state_dir, struct status *out, struct err *err);
void status_release(struct status *s);
