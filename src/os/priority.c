#include "os/priority.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NICE_MIN = 10 };
/* From linux/ioprio.h, which older headers lack. */
enum { IO_WHO_PROCESS = 1, IO_CLASS_IDLE = 3, IO_CLASS_SHIFT = 13 };
enum { CPUS_MAX = 16384 };

void os_priority_lower(void)
{
    errno = 0;
    int now = getpriority(PRIO_PROCESS, 0);
    if (errno == 0 && now < NICE_MIN)
        (void)setpriority(PRIO_PROCESS, 0, NICE_MIN);
    (void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_CLASS_IDLE << IO_CLASS_SHIFT);
}

/* Clears all but the first `keep` members. */
static void keep_first(cpu_set_t *set, size_t bytes, unsigned keep)
{
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (!CPU_ISSET_S(cpu, bytes, set))
            continue;
        if (keep > 0)
            keep--;
        else
            CPU_CLR_S(cpu, bytes, set);
    }
}

int os_limit_cpus(unsigned cpus, struct err *err)
{
    if (cpus == 0)
        return 0;
    cpu_set_t *set = CPU_ALLOC(CPUS_MAX);
    size_t bytes = CPU_ALLOC_SIZE(CPUS_MAX);
    if (set == NULL)
        return err_errno(err, ENOMEM, "cannot limit the number of CPUs");
    CPU_ZERO_S(bytes, set);
    int rc = sched_getaffinity(0, bytes, set);
    if (rc == 0) {
        keep_first(set, bytes, cpus);
        rc = sched_setaffinity(0, bytes, set);
    }
    int saved = errno;
    CPU_FREE(set);
    return rc == 0 ? 0 : err_errno(err, saved, "cannot limit the number of CPUs to %u", cpus);
}
