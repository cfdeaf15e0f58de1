/* Compiled time zones: refused, or every instant lies in the span that is found for it. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/file.h"
#include "plan/schedule_zone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t AT[] = {INT64_MIN / 1000, -99999999999, -1, 0, 1700000000, 1711846800, 99999999999};
    static int fd = -1; /* a file that is nowhere, but has a name below /proc */
    struct zone *zone;
    char name[16];
    if (fd < 0)
        fd = memfd_create("zone", MFD_CLOEXEC);
    setenv("TZDIR", "/proc/self/fd", 1);
    snprintf(name, sizeof name, "%d", fd);
    if (ftruncate(fd, 0) != 0 || os_pwrite_full(fd, data, size, 0) != 0)
        abort();
    if (zone_load(name, &zone, NULL) < 0)
        return 0;
    for (size_t i = 0; i < sizeof AT / sizeof *AT; i++) {
        struct zone_span span;
        zone_find(zone, AT[i], &span);
        if (span.start_s > AT[i] || span.end_s <= AT[i])
            abort();
        zone_instant(zone, AT[i]);
    }
    zone_free(zone);
    return 0;
}
