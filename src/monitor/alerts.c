/*
 * How alerts live. Invariants: an alert is told as over only when it was told as open; what is to be told and the row
 * that says it was are written in one transaction; the line in alerts.jsonl comes before both, so that what is rebuilt
 * from it knows at least as much.
 */
#include "monitor/alerts.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "monitor/alerts_log.h"
#include "monitor/alerts_table.h"
#include "monitor/state_tables.h"

static const int64_t HOUR_MS = 3600 * 1000LL, FORGOTTEN_MS = 3 * 24 * 3600 * 1000LL;
enum { FORGOTTEN_UPDATES = 50 };

struct update {
    struct state *state;
    struct alert_rows rows;
    const struct plan_alerts *settings;
    int64_t now_ms;
    bool destination_away;  /* one of them is not ready */
    struct alert_list told; /* to be told */
    struct err *err;
};

static char *copy(const char *text)
{
    return text != NULL ? mem_strdup(text) : NULL;
}

static void replace(char **to, const char *text)
{
    char *old = *to; /* may be what `text` is */
    *to = copy(text);
    free(old);
}

/* --- saying what changed --- */

static struct alert make_alert(const struct alert_row *r, enum alert_change change, enum alert_level before)
{
    return (struct alert){.rule = mem_strdup(r->rule),
                          .subject = mem_strdup(r->subject),
                          .text = mem_strdup(r->text),
                          .details = copy(r->details),
                          .command = copy(r->command),
                          .level = change == ALERT_CLOSED || change == ALERT_BETTER ? before : r->level,
                          .now = r->closed_ms == 0 ? r->level : ALERT_FINE,
                          .since_ms = r->since_ms != 0 ? r->since_ms : r->opened_ms,
                          .opened_ms = r->opened_ms,
                          .changed_ms = r->changed_ms,
                          .told_ms = r->told_ms,
                          .change = change};
}

/* Into the log, and if it is to be told into that list. That the log cannot be written (a full disk) must not keep
 * anybody from hearing of it. */
static void note(struct update *u, const struct alert_row *r, enum alert_change change, enum alert_level before,
                 const char *was, bool told)
{
    struct alert a = make_alert(r, change, before);
    a.was = copy(was);
    alerts_log_append(state_dir_of(u->state), &a, r->told_level, told, u->now_ms, NULL);
    if (!told) {
        alert_release(&a);
        return;
    }
    u->told.items = mem_array(u->told.items, u->told.count + 1, sizeof *u->told.items);
    u->told.items[u->told.count++] = a;
}

/* --- one alert --- */

static bool within(int64_t from_ms, int64_t now_ms, int64_t ms)
{
    int64_t distance = now_ms > from_ms ? now_ms - from_ms : from_ms - now_ms;
    return from_ms != 0 && distance < ms;
}

/* What has to be told of an alert that is open? False: nothing now. */
static bool what_to_tell(const struct update *u, const struct alert_row *r, enum alert_change *out)
{
    if (r->told_level == ALERT_FINE) {
        *out = ALERT_OPENED;
        return !within(r->over_ms, u->now_ms, HOUR_MS) || r->level > r->over_level;
    }
    if (r->level != r->told_level) {
        *out = r->level > r->told_level ? ALERT_WORSE : ALERT_BETTER;
        return *out == ALERT_WORSE || !within(r->told_ms, u->now_ms, HOUR_MS);
    }
    *out = ALERT_REMINDED;
    return r->told_ms == 0 || (u->settings->repeat_ms > 0 && u->now_ms - r->told_ms >= (int64_t)u->settings->repeat_ms);
}

static void take_text(struct alert_row *r, const struct finding *f)
{
    replace(&r->text, f->text);
    replace(&r->details, f->details);
    replace(&r->command, f->command);
    if (f->since_ms != 0)
        r->since_ms = f->since_ms;
}

static void update_open(struct update *u, struct alert_row *r, const struct finding *f)
{
    bool opens = r->closed_ms != 0;
    enum alert_level before = opens ? ALERT_FINE : r->level;
    enum alert_change change = opens ? ALERT_OPENED : f->level > before ? ALERT_WORSE : ALERT_BETTER, tell;
    if (opens) {
        r->opened_ms = r->since_ms = u->now_ms;
        r->closed_ms = 0;
    }
    take_text(r, f);
    r->level = f->level;
    if (r->told_ms > u->now_ms)
        r->told_ms = u->now_ms; /* the clock went back */
    if (f->level != before)
        r->changed_ms = u->now_ms;
    enum alert_level told_before = r->told_level;
    if (!alert_silenced(u->state, r->rule, r->subject, u->now_ms) && what_to_tell(u, r, &tell)) {
        r->told_ms = u->now_ms;
        r->told_level = r->level;
        note(u, r, tell, told_before, NULL, true);
    } else if (f->level != before) {
        note(u, r, change, before, NULL, false);
    }
}

static void close_alert(struct update *u, struct alert_row *r, const char *text)
{
    enum alert_level told_before = r->told_level, before = r->level;
    bool told = told_before != ALERT_FINE && !alert_silenced(u->state, r->rule, r->subject, u->now_ms);
    char *was = r->text;
    r->text = mem_strdup(text);
    replace(&r->details, NULL);
    replace(&r->command, NULL);
    r->closed_ms = r->changed_ms = u->now_ms > 0 ? u->now_ms : 1;
    r->told_level = ALERT_FINE;
    if (told) {
        r->over_ms = u->now_ms;
        r->over_level = told_before;
    }
    note(u, r, ALERT_CLOSED, told ? told_before : before, was, told);
    free(was);
}

static void take_finding(struct update *u, const struct finding *f)
{
    struct alert_row *r = alert_rows_find(&u->rows, f->rule, f->subject);
    bool bad = f->level >= ALERT_WARNING;
    u->destination_away = u->destination_away || (bad && strcmp(f->rule, "destination") == 0);
    if (r == NULL && bad)
        r = alert_rows_add(&u->rows, f->rule, f->subject);
    if (r == NULL)
        return;
    r->seen_ms = u->now_ms;
    r->unseen = -1; /* see forget() */
    if (bad)
        update_open(u, r, f);
    else if (r->closed_ms == 0)
        close_alert(u, r, f->text);
}

/* While a destination is away, what it causes is not spoken of (rules.h): these are not looked at, and not forgotten.
 */
static bool may_be_folded(const struct update *u, const struct alert_row *r)
{
    static const char *const RULES[] = {"run-failed", "late", "upload-failed"};
    for (size_t i = 0; u->destination_away && i < sizeof RULES / sizeof *RULES; i++)
        if (strcmp(r->rule, RULES[i]) == 0)
            return true;
    return false;
}

/* Everything that no rule looked at now. What nobody looks at any more would stay open for ever. */
static void forget(struct update *u)
{
    for (size_t i = 0; i < u->rows.count; i++) {
        struct alert_row *r = &u->rows.items[i];
        if (may_be_folded(u, r)) {
            r->unseen = 0;
            r->seen_ms = u->now_ms;
            continue;
        }
        r->unseen++;
        if (r->seen_ms > u->now_ms)
            r->seen_ms = u->now_ms;
        if (r->closed_ms == 0 && r->unseen >= FORGOTTEN_UPDATES && u->now_ms - r->seen_ms >= FORGOTTEN_MS)
            close_alert(u, r, "nothing has looked at it for three days: it is not in the plan any more");
    }
}

/* --- all of them --- */

static int worst_first(const void *a, const void *b)
{
    const struct alert *x = a, *y = b;
    bool x_over = x->change == ALERT_CLOSED, y_over = y->change == ALERT_CLOSED;
    if (x_over != y_over)
        return x_over ? 1 : -1;
    if (x->level != y->level)
        return x->level > y->level ? -1 : 1;
    int order = strcmp(x->rule, y->rule);
    return order != 0 ? order : strcmp(x->subject, y->subject);
}

static int write_all(struct update *u, alerts_tell *tell, void *ctx)
{
    for (size_t i = 0; i < u->rows.count; i++)
        if (alert_row_save(u->state, &u->rows.items[i], u->err) != 0)
            return -1;
    if (u->told.count == 0 || tell == NULL)
        return 0;
    qsort(u->told.items, u->told.count, sizeof *u->told.items, worst_first);
    return tell(ctx, u->state, &u->told, u->err);
}

/* Channels with a mistake were left out, and perhaps nobody was told: once it is mended, all that is open is told
 * again. */
static void remind_when_mended(struct update *u, const struct finding_list *found)
{
    const struct alert_row *plan = alert_rows_find(&u->rows, "plan", "alerts");
    bool mended = false;
    for (size_t i = 0; i < found->count; i++)
        mended = mended || (strcmp(found->items[i].rule, "plan") == 0 && found->items[i].level < ALERT_WARNING);
    if (!mended || plan == NULL || plan->closed_ms != 0)
        return;
    for (size_t i = 0; i < u->rows.count; i++)
        u->rows.items[i].told_ms = u->rows.items[i].closed_ms == 0 ? 0 : u->rows.items[i].told_ms;
}

static int update_once(struct update *u, const struct finding_list *found, alerts_tell *tell, void *ctx)
{
    if (state_begin(u->state, u->err) != 0)
        return -1;
    int rc = alert_rows_load(u->state, false, &u->rows, u->err);
    if (rc == 0) {
        remind_when_mended(u, found);
        for (size_t i = 0; i < found->count; i++)
            take_finding(u, &found->items[i]);
        forget(u);
        rc = write_all(u, tell, ctx);
    }
    if (rc == 0)
        rc = state_commit(u->state, u->err);
    else
        state_rollback(u->state);
    alert_rows_release(&u->rows);
    alert_list_release(&u->told);
    return rc;
}

int alerts_update(struct state *s, const struct finding_list *found, const struct plan_alerts *settings, int64_t now_ms,
                  alerts_tell *tell, void *ctx, struct err *err)
{
    struct update u = {.state = s, .settings = settings, .now_ms = now_ms, .err = err};
    int rc = update_once(&u, found, tell, ctx);
    return rc != 0 && state_mend(s, err) ? update_once(&u, found, tell, ctx) : rc;
}

int alerts_open(struct state *s, struct alert_list *out, struct err *err)
{
    struct alert_rows rows;
    *out = (struct alert_list){0};
    int rc = alert_rows_load(s, true, &rows, err);
    if (rc != 0 && state_mend(s, err))
        rc = alert_rows_load(s, true, &rows, err);
    if (rc != 0)
        return rc;
    out->items = mem_array(NULL, rows.count + 1, sizeof *out->items);
    for (size_t i = 0; i < rows.count; i++)
        out->items[out->count++] = make_alert(&rows.items[i], ALERT_OPENED, rows.items[i].level);
    alert_rows_release(&rows);
    return 0;
}

enum alert_level alerts_open_level(void *state, const char *rule, const char *subject)
{
    enum alert_level level = ALERT_FINE;
    if (state == NULL)
        return level;
    sqlite3_stmt *q = state_query(
        state, NULL, "SELECT level FROM alerts WHERE rule = ? AND subject = ? AND closed_ms = 0", "tt", rule, subject);
    if (q != NULL && state_step(state, q, NULL) == 1 && sqlite3_column_int(q, 0) >= ALERT_WARNING)
        level = sqlite3_column_int(q, 0) >= ALERT_CRITICAL ? ALERT_CRITICAL : ALERT_WARNING;
    sqlite3_finalize(q);
    return level;
}
