#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan/schedule.h"

static const struct {
    const char *suffix;
    uint64_t ms;
} UNITS[] = {{"w", 7 * UINT64_C(86400000)}, {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};

enum { UNIT_COUNT = sizeof UNITS / sizeof *UNITS };

static int no_duration(const char *text, struct err *err)
{
    return err_set(err, ERR_USAGE, "'%.40s' is no duration like 30m, 2h or 1h30m", text);
}

static size_t find_unit(const char *suffix, size_t len)
{
    size_t i = 0;
    while (i < UNIT_COUNT && (strlen(UNITS[i].suffix) != len || memcmp(UNITS[i].suffix, suffix, len) != 0))
        i++;
    return i;
}

int duration_parse(const char *text, uint64_t *ms_out, struct err *err)
{
    uint64_t total = 0;
    const char *p = text;
    do {
        char *end;
        errno = 0;
        if (*p < '0' || *p > '9')
            return no_duration(text, err);
        unsigned long long n = strtoull(p, &end, 10);
        size_t len = strspn(end, "abcdefghijklmnopqrstuvwxyz"), unit = find_unit(end, len);
        if (unit == UNIT_COUNT)
            return no_duration(text, err);
        /* Times are counted in signed 64 bits elsewhere. */
        if (errno != 0 || n > (INT64_MAX - total) / UNITS[unit].ms)
            return err_set(err, ERR_USAGE, "'%.40s' is too long a time", text);
        total += n * UNITS[unit].ms;
        p = end + len;
        if (*p == ' ' && p[1] != '\0')
            p++;
    } while (*p != '\0');
    *ms_out = total;
    return 0;
}

void duration_format(uint64_t ms, char out[32])
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 1; i < UNIT_COUNT; i++) { /* from days on: "7d" says more than "1w" */
        if (ms < UNITS[i].ms)
            continue;
        /* Two parts are exact enough above a minute; a schedule has no more. */
        int n = snprintf(out + used, 32 - used, "%s%llu%s", used > 0 ? " " : "", (unsigned long long)(ms / UNITS[i].ms),
                         UNITS[i].suffix);
        used += n > 0 ? (size_t)n : 0;
        ms %= UNITS[i].ms;
        if (used >= 24)
            return;
    }
    if (used == 0)
        snprintf(out, 32, "0s");
}
