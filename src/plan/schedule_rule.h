/*
 * The rule of a time zone for the years to come: "CET-1CEST,M3.5.0,M10.5.0/3". Pure functions.
 *
 * Source: POSIX.1-2017, section 8.3, TZ, with the hours from -167 to 167 of RFC 8536.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "plan/schedule_zone.h"

/* When in a year clocks change, on the clock that shows before the change. */
struct zone_rule_date {
    enum { RULE_JULIAN, RULE_DAY, RULE_WEEKDAY } kind;
    int day;                  /* JULIAN: 1 to 365, 29 February never counts; DAY: 0 to 365 */
    int month, week, weekday; /* WEEKDAY: week 5 is the last */
    int32_t time_s;           /* after midnight */
};

struct zone_rule {
    int32_t standard_s, daylight_s; /* offsets, seconds east of UTC */
    bool has_daylight;
    struct zone_rule_date starts, ends; /* of daylight saving time */
};

bool zone_rule_parse(const char *text, struct zone_rule *out);
bool zone_rule_equal(const struct zone_rule *a, const struct zone_rule *b);
/* As zone_find(), as if the rule had always been in force. */
void zone_rule_find(const struct zone_rule *r, int64_t unix_s, struct zone_span *out);
