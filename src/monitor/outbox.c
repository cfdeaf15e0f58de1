#include "monitor/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/digest.h"
#include "monitor/log.h"
#include "monitor/outbox_rows.h"
#include "monitor/state_tables.h"

/* Whoever adds may be within a transaction already (alerts_update's tell is). */
static int enter(struct state *s, bool *ours, struct err *err)
{
    *ours = !state_in_transaction(s);
    return *ours ? state_begin(s, err) : 0;
}

static int leave(struct state *s, bool ours, int rc, struct err *err)
{
    if (ours && rc == 0)
        rc = state_commit(s, err);
    if (ours && rc != 0)
        state_rollback(s);
    return rc;
}

/* --- alerts --- */

static void log_alert(const struct alert *a)
{
    enum log_level level = a->change == ALERT_CLOSED || a->change == ALERT_BETTER ? LOG_LEVEL_INFO
                           : a->now == ALERT_CRITICAL                             ? LOG_LEVEL_ERROR
                                                                                  : LOG_LEVEL_WARNING;
    const char *subject = a->subject != NULL ? a->subject : "";
    log_line(level, "alert %s: %s%s%s%s: %s", alert_change_name(a->change), a->rule, *subject != '\0' ? " '" : "",
             subject, *subject != '\0' ? "'" : "", a->text != NULL ? a->text : "");
}

static int add_alert(const struct plan *p, struct state *s, const struct alert *a, struct err *err)
{
    char *body = outbox_alert_body(a);
    int rc = 0;
    for (size_t i = 0; i < p->alerts.channel_count && rc == 0; i++) {
        const struct plan_channel *c = &p->alerts.channels[i];
        if (c->kind != CHANNEL_PING && a->level >= c->at_least)
            rc = outbox_row_add(s, c->name, "alert", body, err);
    }
    free(body);
    return rc;
}

int outbox_add_alerts(void *plan, struct state *s, const struct alert_list *changes, struct err *err)
{
    const struct plan *p = plan;
    bool ours;
    int rc = enter(s, &ours, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < changes->count && rc == 0; i++)
        rc = add_alert(p, s, &changes->items[i], err);
    rc = leave(s, ours, rc, err);
    for (size_t i = 0; i < changes->count && rc == 0; i++)
        log_alert(&changes->items[i]);
    return rc;
}

/* --- pings --- */

static bool wants_ping(const struct plan_channel *c, const char *tier)
{
    if (c->kind != CHANNEL_PING)
        return false;
    return tier == NULL ? c->tiers.count == 0 : strlist_contains(&c->tiers, tier);
}

int outbox_add_ping(const struct plan *p, struct state *s, enum ping_kind kind, const char *tier, const char *run_id,
                    const char *log_tail, struct err *err)
{
    size_t wanted = 0;
    bool ours;
    for (size_t i = 0; i < p->alerts.channel_count; i++)
        wanted += wants_ping(&p->alerts.channels[i], tier);
    if (wanted == 0)
        return 0;
    if (enter(s, &ours, err) != 0)
        return -1;
    char *body = outbox_ping_body(kind, tier, run_id, log_tail);
    int rc = 0;
    for (size_t i = 0; i < p->alerts.channel_count && rc == 0; i++)
        if (wants_ping(&p->alerts.channels[i], tier))
            rc = outbox_row_add(s, p->alerts.channels[i].name, "ping", body, err);
    free(body);
    return leave(s, ours, rc, err);
}

/* --- digests --- */

static const struct {
    enum digest_kind kind;
    const char *note, *what;
    int64_t longest_ms; /* what was missed is made up for, within reason */
} DIGESTS[] = {{DIGEST_DAILY, "digest.daily", "daily digest", 8 * INT64_C(86400000)},
               {DIGEST_WEEKLY, "digest.weekly", "weekly digest", 36 * INT64_C(86400000)}};

static bool somebody_wants(const struct plan *p, enum digest_kind kind)
{
    for (size_t i = 0; i < p->alerts.channel_count; i++)
        if (p->alerts.channels[i].kind != CHANNEL_PING && (p->alerts.channels[i].digests & kind) != 0)
            return true;
    return false;
}

static int add_digest(const struct plan *p, struct state *s, size_t which, int64_t since_ms, int64_t until_ms,
                      struct err *err)
{
    char *text;
    enum alert_level worst;
    if (digest_text(p, s, since_ms, until_ms, &text, &worst, err) != 0)
        return -1;
    char *body = outbox_digest_body(DIGESTS[which].what, text, worst);
    int rc = 0;
    for (size_t i = 0; i < p->alerts.channel_count && rc == 0; i++) {
        const struct plan_channel *c = &p->alerts.channels[i];
        if (c->kind != CHANNEL_PING && (c->digests & DIGESTS[which].kind) != 0)
            rc = outbox_row_add(s, c->name, "digest", body, err);
    }
    free(body);
    free(text);
    return rc;
}

/* Within a transaction: what one process has noted no other one makes. Without a note, or with one of a day to come
 * (the clock was wrong), there is nothing that a digest could be about. */
static int digest_when_due(const struct plan *p, struct state *s, size_t which, int64_t now_ms, struct err *err)
{
    struct digest_time due;
    char *last = NULL;
    if (digest_due(&p->alerts, DIGESTS[which].kind, now_ms, &due, err) != 0 ||
        state_note_get(s, DIGESTS[which].note, &last, err) != 0)
        return -1;
    int64_t last_ms = last != NULL ? digest_time_of_day(&p->alerts, last) : 0;
    int order = last != NULL ? strcmp(last, due.day) : 1;
    free(last);
    if (order == 0)
        return 0;
    int64_t earliest = due.due_ms - DIGESTS[which].longest_ms;
    if (order < 0 && add_digest(p, s, which, last_ms > earliest ? last_ms : earliest, due.due_ms, err) != 0)
        return -1;
    return state_note_set(s, DIGESTS[which].note, due.day, err);
}

/* A look before the transaction, since this is asked often. */
static bool is_noted(const struct plan *p, struct state *s, size_t which, int64_t now_ms)
{
    struct digest_time due;
    char *last = NULL;
    bool noted = digest_due(&p->alerts, DIGESTS[which].kind, now_ms, &due, NULL) == 0 &&
                 state_note_get(s, DIGESTS[which].note, &last, NULL) == 0 && last != NULL && strcmp(last, due.day) == 0;
    free(last);
    return noted;
}

int outbox_add_digests(const struct plan *p, struct state *s, int64_t now_ms, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; i < sizeof DIGESTS / sizeof *DIGESTS && rc == 0; i++) {
        bool ours;
        if (!somebody_wants(p, DIGESTS[i].kind) || is_noted(p, s, i, now_ms))
            continue;
        if (!state_in_transaction(s))
            rc = state_follow_logs(s, err);
        if (rc == 0)
            rc = enter(s, &ours, err);
        if (rc == 0)
            rc = leave(s, ours, digest_when_due(p, s, i, now_ms, err), err);
    }
    return rc != 0 ? err_wrap(err, "cannot make a digest") : 0;
}

int outbox_hurry(struct state *s, int64_t now_ms, struct err *err)
{
    return state_run(s, err, "UPDATE outbox SET due_ms = ?1 WHERE due_ms > ?1", "i", now_ms);
}

/* --- is there anything? --- */

int64_t outbox_next_ms(struct state *s, int64_t now_ms)
{
    /* The first row of each channel decides for it. */
    sqlite3_stmt *q =
        state_query(s, NULL,
                    "SELECT min(CASE WHEN due_ms > ?1 + ?2 THEN ?1 ELSE due_ms END) FROM outbox WHERE id IN "
                    "(SELECT min(id) FROM outbox GROUP BY channel)",
                    "ii", now_ms, (int64_t)OUTBOX_FAR_MS);
    int64_t next = q != NULL && state_step(s, q, NULL) == 1 ? sqlite3_column_int64(q, 0) : 0;
    sqlite3_finalize(q);
    return next;
}

bool outbox_has_work(struct state *s, int64_t now_ms)
{
    int64_t next = outbox_next_ms(s, now_ms);
    return next > 0 && next <= now_ms;
}
