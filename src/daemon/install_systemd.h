/* What the timers and the daemon's service share. For install_systemd.c and install_daemon.c. */
#pragma once
#include "daemon/install.h"
#include "daemon/install_units.h"
#include "os/user.h"

/* Where a unit's file belongs. The caller frees it. */
char *install_unit_path(const char *unit);
bool install_systemd_ready(struct install *in, const char **why_not);
/* A step: said first. args: after "systemctl" and "--user". */
int install_systemctl(struct install *in, const char *const *args, struct err *err);
int install_reload(struct install *in, struct err *err);
/* Makes the directories that a hardened unit writes to and that are missing, since it could not make them itself; not
 * those where a drive is to be mounted. */
int install_make_writable(struct install *in, const struct unit_options *o, struct err *err);
/* systemd remembers a failure of a service that is gone, and calls the machine degraded for it. */
void install_forget_failure(struct install *in, const char *service);
/* Says what it takes that a user's manager runs without a login, where that is missing. */
void install_hint_lingering(struct install *in);
/* *user lives as long as *out; the caller releases it. */
void install_unit_options(const struct install *in, struct unit_options *out, struct os_user *user);
