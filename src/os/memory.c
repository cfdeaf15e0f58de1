#include "os/memory.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void os_memory_discard(void *p, size_t bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)p + page - 1) & ~(page - 1), end = ((uintptr_t)p + bytes) & ~(page - 1);
    if (first < end)
        madvise((char *)p + (first - (uintptr_t)p), end - first, MADV_DONTNEED); /* a help only */
}
