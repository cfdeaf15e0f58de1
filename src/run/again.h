/*
 * When somebody else tries again: whoever starts `clawback run` may do so once more should it fail, as the daemon does
 * for an entry with `retry`. It says so in our environment:
 *
 *     CLAWBACK_ATTEMPT         which attempt this is: 1, 2, …
 *     CLAWBACK_RETRY_AFTER_MS  so long after a failure it comes again; 0: it does not
 *
 * A tier that failed so has the time of the next attempt in its record, is due then, and its failure (where there is
 * hope) is told only when the last attempt has failed, too, or when nobody came. Pure, but for the environment. (What
 * the plan has under `retry` is run/retry.h's: a single process makes these attempts.)
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "monitor/record.h"

struct again {
    unsigned attempt;  /* 1: the first, or nobody counts */
    uint64_t after_ms; /* 0: it is not tried again */
};
/* From the environment. What is no number there counts for nothing. */
struct again again_promised(void);

/* When the tier's last run, which failed, is to be tried again; 0: it is not, or somebody does so now. */
int64_t again_at_ms(const struct record_list *records);
/* We are another attempt, and nobody else runs: is it this tier that needs it? Also when it was killed. */
bool again_needed(const struct record_list *records);
/* The last run failed, trying again may help, and the next attempt is to come, or (running) under way: not when one
 * before it did not come, and not in a second series of attempts. */
bool again_awaited(const struct record_list *records, bool running, int64_t now_ms);
