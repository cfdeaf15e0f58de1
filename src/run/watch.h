/*
 * Around `clawback run`: pings before it, and after it the alerts, the pings and the messages that are due. Nothing
 * that goes wrong here is the run's: it costs a line of the log. All of it is bounded in time: servers that do not
 * answer hold up the end of a run by WATCH_END_MS at most; what could not be sent by then waits in the outbox for the
 * daemon, or for the next `clawback health`.
 */
#pragma once
#include "base/strlist.h"
#include "plan/plan.h"

enum {
    WATCH_BEGIN_MS = 10 * 1000,      /* for the pings of the beginning, while the backup runs */
    WATCH_END_MS = 20 * 1000,        /* for everything at the end, the rest of the first included */
    WATCH_INTERRUPTED_MS = 3 * 1000, /* instead of it, when somebody wants us to stop */
};

struct watch;
/* Tells ping channels that these tiers begin, in a thread of its own. The plan, and state_dir, are used until
 * watch_end(). */
struct watch *watch_begin(const struct plan *p, const char *state_dir, const char *run_id, const struct strlist *tiers);
/* What became of a tier, as an exit status. Said again after another attempt, the last word counts. NULL is nothing. */
void watch_tier(struct watch *w, const char *tier, int exit_code);
/* Not while the run lock is held, and after the last line of the log. Frees it; NULL is nothing. exit_code: the run's;
 * summary: one line about it, for people. */
void watch_end(struct watch *w, int exit_code, const char *summary);
