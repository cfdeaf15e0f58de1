/*
 * One run at a time, on this host, for this user: a lock on a file of the state directory, which the kernel takes back
 * when its holder ends, however that happens. The state directory, and not $XDG_RUNTIME_DIR, since that is missing
 * under cron: two triggers would then hold two different locks.
 */
#pragma once
#include <stdbool.h>
#include "base/err.h"

struct host_lock;
/* ERR_LOCKED names who holds it, since when. wait: until it is free, or ERR_INTERRUPTED. Makes the directory. */
int host_lock_acquire(struct host_lock **out, const char *state_dir, bool wait, struct err *err);
/* What its holder is about, for others: "run of config, git". */
void host_lock_describe(struct host_lock *l, const char *what);
void host_lock_release(struct host_lock *l); /* NULL is nothing */
/* Is somebody holding it? Looks only. who: for people, "" when it is not known. */
bool host_lock_held(const char *state_dir, char *who, size_t cap);
