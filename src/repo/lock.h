/*
 * Locks: small files in the repository that tell other programs who is at work.
 *
 * {"time","exclusive","hostname","username","pid","uid"?,"gid"?}, encrypted. An exclusive lock conflicts with every
 * other, a shared one with exclusive ones. Taking: look at the others, write ours, wait 200 ms (where the store is not
 * STORE_CONSISTENT), look again. A thread refreshes it every 5 minutes (new file, then the old one removed), by a clock
 * that goes on while the machine sleeps. Stale: older than 30 minutes, or of a process on this host that is gone.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include <time.h>
#include "repo/repo.h"

struct lock;
struct lock_info {
    struct id id;
    struct timespec time;
    bool exclusive;
    char hostname[256], username[64];
    pid_t pid;
};

/* retry_ms: how long to wait for others to finish. ERR_LOCKED names who holds it, since when. Stale locks of others are
 * removed on the way when they are provably dead (same host, process gone). */
int lock_acquire(struct lock **out, struct repo *r, bool exclusive, uint64_t retry_ms, struct err *err);
/* The same without waiting out the 200 ms: they pass while the caller does work that writes nothing. lock_confirm()
 * waits for the rest, looks again, and must be called before the first write. */
int lock_begin(struct lock **out, struct repo *r, bool exclusive, uint64_t retry_ms, struct err *err);
int lock_confirm(struct lock *l, struct err *err);
/* -1 with ERR_LOCKED when the lock was not refreshed for 22.5 minutes, cannot be at once either, and must be taken for
 * lost; so it is when somebody removed it while the machine slept. Cheap: long work asks often. NULL is nothing. */
int lock_check(struct lock *l, struct err *err);
/* The same, and looks whether its file is still there: it may be removed by hand, or, while this machine sleeps, as
 * stale. Then a prune may have removed what was stored under a shared lock, and others may rely on what an exclusive
 * one lets go. Asked before what relies on that is written, and before anything is removed. One call of the store. */
int lock_prove(struct lock *l, struct err *err);
void lock_release(struct lock *l); /* removes the file; NULL is nothing */

int lock_read(struct repo *r, struct codec *c, const struct id *id, struct lock_info *out, struct err *err);
bool lock_is_stale(const struct lock_info *info);
/* Removes stale locks (all: every lock). Returns the number removed, or -1. */
int lock_remove_stale(struct repo *r, bool all, struct err *err);
