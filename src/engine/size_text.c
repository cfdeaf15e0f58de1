#include "engine/size_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int size_text_parse(const char *text, uint64_t *bytes_out)
{
    static const char UNITS[] = "KMGT";
    char *end;
    unsigned shift = 0;
    if (*text < '0' || *text > '9')
        return -1;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno != 0)
        return -1;
    if (*end != '\0') {
        const char *unit = strchr(UNITS, *end & ~0x20);
        if (unit == NULL || *unit == '\0')
            return -1;
        shift = (unsigned)(unit - UNITS + 1) * 10;
        end++;
        end += *end == 'i' ? 1 : 0;
        end += *end == 'B' || *end == 'b' ? 1 : 0;
    }
    if (*end != '\0' || n > UINT64_MAX >> shift)
        return -1;
    *bytes_out = (uint64_t)n << shift;
    return 0;
}
