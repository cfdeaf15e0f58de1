/* SIGINT, SIGTERM and the system's SIGHUP (not another process's, see there) as a flag that long work looks at. */
#pragma once
#include <stdbool.h>
#include "base/err.h"
/* Installs the handlers; a second signal, a quarter of a second after the first or later, ends the process at once.
 * SIGPIPE is ignored. */
void os_interrupt_install(void);
bool os_interrupted(void);
/* -1 with ERR_INTERRUPTED when a signal came, else 0. */
int os_check_interrupt(struct err *err);
