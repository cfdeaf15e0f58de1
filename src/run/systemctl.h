/*
 * Talking to systemd through systemctl: the system's manager when we are root, else the user's own. Bounded in time.
 */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"

/* Are we with the user's own manager (not root)? */
bool systemctl_is_user(void);
/* Is a manager there that runs units now? False in a container without one, or before the first login of a user. */
bool systemctl_lives(void);
/* args: after "systemctl" and "--user", NULL-terminated; at most 20. out: NULL or what it says. */
int systemctl_run(const char *const *args, struct buf *out, struct err *err);

struct unit_seen {
    bool loaded;  /* its file is there */
    bool active;  /* timers: waiting or running */
    bool enabled; /* comes back with the next start of the system */
};
/* Looks at one unit ("clawback.timer"). */
int systemctl_look(const char *unit, struct unit_seen *out, struct err *err);
