/*
 * Alerts: findings that last. An alert is opened when a rule finds something, told again rarely
 * (plan_alerts.repeat_ms), told at once when it gets worse, and closed, which is told too, when the rule finds its
 * subject fine. What a rule did not look at stays as it is; what nothing looked at for three days and fifty updates (a
 * tier that was taken out of the plan) is closed. Findings of level INFO are none.
 *
 * An alert that closes and opens again within an hour of being told as over is not told again at once (unless it is
 * worse than before), but when it is still open an hour after; one that is never told is not told as over either.
 *
 * Every change is also a line of alerts.jsonl in the state directory, from which open alerts are rebuilt when the
 * database is lost, as are silences; alerts are then told again, since nobody knows whether they were.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "monitor/finding.h"
#include "monitor/state.h"

enum alert_change { ALERT_OPENED, ALERT_WORSE, ALERT_REMINDED, ALERT_CLOSED, ALERT_BETTER };
const char *alert_change_name(enum alert_change change);

struct alert {
    char *rule, *subject;
    char *text, *details, *command; /* as the rule says it now; details, command: NULL: none. CLOSED: the text says how
                                     * well it is, `was` what was wrong */
    char *was;                      /* CLOSED: the last text before; else NULL */
    enum alert_level level;         /* CLOSED, BETTER: of before, the worst that was told */
    enum alert_level now;           /* what it is now: FINE when it is closed */
    int64_t since_ms;               /* since when it is so, as the rule says; else when it was opened */
    int64_t opened_ms, changed_ms;  /* of the alert; the last change */
    int64_t told_ms;                /* when it was last told; 0: not yet */
    enum alert_change change;       /* of alerts_update() and alerts_history() */
};
struct alert_list {
    struct alert *items;
    size_t count;
};
void alert_release(struct alert *a); /* what it holds, not itself */
void alert_list_release(struct alert_list *l);

/* Gets what is to be told now, the worst first; at least one. Runs within the transaction that writes the changes: what
 * it adds to the outbox is there when they are, and only then. -1: nothing is changed at all. */
typedef int alerts_tell(void *ctx, struct state *s, const struct alert_list *changes, struct err *err);
int alerts_update(struct state *s, const struct finding_list *found, const struct plan_alerts *settings, int64_t now_ms,
                  alerts_tell *tell, void *ctx, struct err *err); /* tell NULL: nobody is told */
/* The open ones, the worst first. */
int alerts_open(struct state *s, struct alert_list *out, struct err *err);
/* For struct facts: is_open. state: a struct state; NULL: none is open. */
enum alert_level alerts_open_level(void *state, const char *rule, const char *subject);
/* The last `max` changes as alerts.jsonl has them, the newest first. `change` says what it was. No file: empty. */
int alerts_history(const char *state_dir, size_t max, struct alert_list *out, struct err *err);
/* Not told until then (Unix ms; 0: told again from now on); it is opened and closed as always. subject NULL: every
 * subject of that rule. */
int alerts_silence(struct state *s, const char *rule, const char *subject, int64_t until_ms, struct err *err);
/* Until when it is not told, Unix ms; 0: it is. */
int64_t alerts_silenced_until(struct state *s, const char *rule, const char *subject, int64_t now_ms);
/* For a database that was made anew, within the transaction that makes it: what alerts.jsonl says is open. */
int alerts_restore(struct state *s, struct err *err);
