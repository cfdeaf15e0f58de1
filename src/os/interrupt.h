/* SIGINT, SIGTERM and the system's SIGHUP (not another process's, see there) as a flag that long work looks at. */
#pragma once
#include <stdbool.h>
#include "base/err.h"
/* Installs the handlers; the second signal ends the process at once. SIGPIPE is ignored. */
void os_interrupt_install(void);
bool os_interrupted(void);
/* -1 with ERR_INTERRUPTED when a signal came, else 0. */
int os_check_interrupt(struct err *err);
