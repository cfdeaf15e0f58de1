#include "run/size_rule.h"

#include <stdio.h>

static const char *size_text(uint64_t bytes, char out[32])
{
    if (bytes < 10000)
        snprintf(out, 32, "%llu bytes", (unsigned long long)bytes);
    else if (bytes < 10000000)
        snprintf(out, 32, "%.1f kB", (double)bytes / 1e3);
    else
        snprintf(out, 32, "%.1f MB", (double)bytes / 1e6);
    return out;
}

enum size_verdict size_rule_check(uint64_t bytes, uint64_t last_bytes, char why[SIZE_RULE_MESSAGE_BYTES])
{
    char now[32], before[32];
    why[0] = '\0';
    if (bytes == 0) {
        snprintf(why, SIZE_RULE_MESSAGE_BYTES, "empty");
        return SIZE_EMPTY;
    }
    if (bytes >= last_bytes / 10)
        return SIZE_FINE;
    snprintf(why, SIZE_RULE_MESSAGE_BYTES, "only %s, and was %s before", size_text(bytes, now),
             size_text(last_bytes, before));
    return SIZE_SHRUNKEN;
}
