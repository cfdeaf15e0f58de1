/*
 * The outbox: messages to channels, on disk until each is delivered or given up (after 3 days, which is itself written
 * to the log). Sending waits longer after each failure (1 min, 2, 4, … up to 58 min, so that who looks every hour finds
 * it due; a server's Retry-After counts). What a server refuses for good (wrong token, no such chat) is tried every
 * hour for a day, since somebody may mend it.
 *
 * Messages of one channel go in order; alerts that wait together become one message; one that was closed before it
 * could be told is told as over. Of pings that wait together only the last outcome of each tier is sent, and a start
 * only when nothing came after it. Channels do not wait for each other.
 *
 * At most one process sends at a time: it holds a lock of the kernel's on outbox.lock in the state directory, which
 * ends with it. A message is put off before it is sent and deleted after it: a process that dies between has it sent
 * once more, a minute later. So everything is told at least once, and what is written to the log tells how often.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "monitor/alerts.h"
#include "monitor/state.h"
#include "plan/plan.h"

/* To every channel of the plan whose level asks for it, and each to the log. alerts_tell. ctx: const struct plan *. */
int outbox_add_alerts(void *plan, struct state *s, const struct alert_list *changes, struct err *err);

enum ping_kind { PING_START, PING_SUCCESS, PING_FAIL };
/* To every ping channel that wants this: with a tier's name, those whose `tiers` name it; NULL: the run as a whole, to
 * those without `tiers`. log_tail: for FAIL and SUCCESS, what is posted with it (its last 60 KB); NULL: nothing. */
int outbox_add_ping(const struct plan *p, struct state *s, enum ping_kind kind, const char *tier, const char *run_id,
                    const char *log_tail, struct err *err);
/* The daily and the weekly digest, when their time has come and they were not made yet: once, whoever asks; after
 * having been missed once for all the time since the last. The first time comes after the first day that is begun. */
int outbox_add_digests(const struct plan *p, struct state *s, int64_t now_ms, struct err *err);

struct outbox_result {
    size_t sent;     /* messages that were taken */
    size_t waiting;  /* entries that still wait, for whatever reason */
    size_t given_up; /* entries */
};
/* Sends what can be sent until `deadline_ns` (os_monotonic_ns): no message is given longer than that, and none is begun
 * in the last half second. What fails waits for the next time; only trouble with the database itself is an error.
 * Waits, until the deadline too, for another process that is sending. Channels that the plan has no more lose their
 * messages. */
int outbox_flush(const struct plan *p, struct state *s, uint64_t deadline_ns, struct outbox_result *out,
                 struct err *err);
/* What waits for its next attempt may be sent at once: somebody is there who wants that, and may have mended it. */
int outbox_hurry(struct state *s, int64_t now_ms, struct err *err);
/* Is there anything that may be sent now? Opens nothing but the database. */
bool outbox_has_work(struct state *s, int64_t now_ms);
/* When the next one may be sent, Unix ms; 0: nothing waits. */
int64_t outbox_next_ms(struct state *s, int64_t now_ms);
