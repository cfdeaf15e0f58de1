/*
 * Is everything well? Gathers the facts, applies the rules, keeps the alerts. `clawback health`, and the end of each
 * run.
 *
 * It must work when nothing else does: what may hang (destinations, databases, schedulers) is looked at by processes of
 * their own and given up after a while; nothing is written but to the state database, and where that cannot be opened
 * the findings are there all the same, and what is critical is told to the channels directly.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "monitor/facts.h"
#include "monitor/finding.h"
#include "monitor/state.h"
#include "plan/plan.h"
#include "run/destination.h"
#include "run/forecast.h"

struct health_options {
    const struct plan *plan;
    const char *state_dir;
    bool quick; /* at the end of a run, for status: no databases asked, no clocks compared, and schedulers only looked
                 * at where one was installed */
    bool
        handmade; /* quick ones look for schedules that were set up by hand, too; there being none is no finding then */
    bool run_ended; /* by watch_end(): a destination that does not answer in the short time is not said to be gone; the
                     * runs tell what they could not store */
    bool quiet;     /* look only: no alert is opened or closed, nothing is put into the outbox, nothing is measured */
    uint64_t patience_ms; /* for each thing that is looked at, all at once; 0: 20 s */
};

struct facts_held;
struct health_report {
    struct finding_list findings; /* of the rules; and "state" (warning) when alerts cannot be kept */
    enum alert_level worst;
    struct facts facts; /* what they were made from, without is_open */
    struct facts_held *held;
};
/* -1: the state cannot be opened or written (the findings are there all the same), or ERR_INTERRUPTED.
 * health_report_release() either way. */
int health_check(const struct health_options *o, struct health_report *out, struct err *err);
void health_report_release(struct health_report *r);

/* The facts alone. -1: ERR_INTERRUPTED; what was gathered is there. facts_release() gives back what they hold. */
int health_gather(const struct health_options *o, struct facts *out, struct facts_held **held, struct err *err);
void facts_release(struct facts_held *held); /* NULL is nothing */

/* What is known of a destination besides its facts: of facts.destinations[i]. */
struct destination_look {
    enum destination_problem problem; /* UNUSABLE when it did not answer in time, too */
    char *message;                    /* complete: "destination 'usb': …"; NULL when there is no problem */
    bool local;
    uint64_t free_bytes, total_bytes; /* total 0: not known */
    int64_t newest_ms;                /* the newest change of anything of ours there, by its own clock; 0: not known */
    bool silent;                      /* it did not answer in time */
    struct forecast forecast;
    char forecast_text[200];
};
const struct destination_look *facts_destination_look(const struct facts_held *held, size_t i);
