/*
 * Making the process a quiet one. These act on the calling thread and on the threads and processes that it starts
 * later: call them before any are started.
 */
#pragma once
#include "base/err.h"

/* Niceness of at least 10 (a higher one stays) and the idle class for I/O. What the system refuses is let go: it is a
 * courtesy, not a condition. */
void os_priority_lower(void);
/* Uses no more than `cpus` of the CPUs that are allowed now; 0 or more than those changes nothing. */
int os_limit_cpus(unsigned cpus, struct err *err);
