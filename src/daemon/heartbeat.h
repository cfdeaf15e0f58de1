/*
 * Whether the daemon lives: two files of the state directory, for others to look at (run/installed.h).
 *
 * daemon.lock    the daemon holds an exclusive flock() on it as long as it lives; its text says who:
 *                "process 4711 since 2026-02-04 06:00:00"
 * daemon.json    {"pid","version","startedMs","tickMs","stoppedMs" (0: it was not stopped),"jobs","running","nextMs"
 *                (0: nothing is due),"jobsFile","mistakes"}: replaced whole once a minute and at every change of the
 *                jobs by the loop itself: a tickMs older than 3 minutes while the lock is held: it hangs. Not synced:
 *                after a loss of power it may be old, or missing.
 * Times are Unix milliseconds.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

enum { HEARTBEAT_EVERY_MS = 60 * 1000, HEARTBEAT_OLD_MS = 3 * 60 * 1000 };

struct heartbeat {
    pid_t pid;
    int64_t started_ms, tick_ms, stopped_ms, next_ms;
    uint64_t jobs, running, mistakes;
    const char *jobs_file;
};
int heartbeat_write(const char *state_dir, const struct heartbeat *h, struct err *err);

struct daemon_lock;
/* ERR_LOCKED: "another daemon is running: process 4711 since …". Makes the directory. */
int daemon_lock_acquire(struct daemon_lock **out, const char *state_dir, struct err *err);
/* Looks whether the file that is locked is still the one that others find; when somebody removed it, or the whole
 * directory, makes it again and locks that. ERR_LOCKED: another daemon was quicker. */
int daemon_lock_keep(struct daemon_lock *l, const char *state_dir, struct err *err);
void daemon_lock_release(struct daemon_lock *l); /* NULL is nothing */
