#include "base/bytes.h"
#include <stdio.h>

const char *bytes_text(uint64_t bytes, char out[BYTES_TEXT_BYTES])
{
    static const char *const UNITS[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double n = (double)bytes;
    int unit = 0;
    /* What would be rounded up to 1000 is one of the next. */
    for (; n >= 999.5 && unit < 6; unit++)
        n /= 1000;
    snprintf(out, BYTES_TEXT_BYTES, unit > 0 && n < 99.95 ? "%.1f %s" : "%.0f %s", n, UNITS[unit]);
    return out;
}
