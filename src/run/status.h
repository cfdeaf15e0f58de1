/* How things stand: `clawback status`. From the plan, the records and a look at the destinations; writes nothing. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/strlist.h"
#include "monitor/record.h"
#include "plan/plan.h"
#include "run/destination.h"
#include "run/forecast.h"

enum { STATUS_SIZES_MAX = 24 };

struct tier_status {
    const struct plan_tier *tier;
    struct record_list records;
    const struct record *last; /* the newest that ended; NULL: it never ran */
    const struct record *good; /* the newest with exit code 0 */
    bool running, due;
    int64_t next_ms;                  /* 0: only when it is named */
    uint64_t sizes[STATUS_SIZES_MAX]; /* bytes processed by the last completed runs, the oldest first */
    size_t size_count;
};

struct destination_status {
    struct destination_check check;
    struct forecast forecast;
};

struct status {
    struct tier_status *tiers;
    size_t tier_count;
    struct destination_status *destinations;
    size_t destination_count;
    bool running; /* a run is under way now */
    char runner[256];
    struct strlist problems; /* for people: each says what is the matter */
};
void status_gather(const struct plan *p, const char *state_dir, int64_t now_ms, struct status *out);
void status_release(struct status *s);
