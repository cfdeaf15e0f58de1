/* From when on a tier without a success is late. Pure, but for the time zone's data. */
#pragma once
#include <stdint.h>
#include "monitor/record.h"
#include "plan/plan.h"

/* The moment (Unix milliseconds), 0: never (no schedule, disabled, nothing is due any more, late_percent 0: switched
 * off). since_ms: what its time is
 * counted from when it never succeeded; 0: not known, then it is never late before its first success. */
int64_t health_late_ms(const struct plan_tier *t, unsigned late_percent, const struct record_list *records,
                       int64_t since_ms);
