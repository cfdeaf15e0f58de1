#include "monitor/outbox_rows.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "monitor/message_text.h"
#include "monitor/outbox.h"
#include "monitor/state_tables.h"
#include "os/clock.h"

enum { PING_TEXT_MAX_BYTES = 60 << 10 };

/* --- the table --- */

void outbox_rows_release(struct outbox_rows *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].kind);
        free(r->items[i].body);
    }
    free(r->items);
    *r = (struct outbox_rows){0};
}

int outbox_rows_read(struct state *s, const char *channel, struct outbox_rows *out, struct err *err)
{
    *out = (struct outbox_rows){0};
    sqlite3_stmt *q =
        state_query(s, err,
                    "SELECT id, created_ms, due_ms, attempts, kind, body_json FROM outbox WHERE channel = ? "
                    "ORDER BY id LIMIT ?",
                    "ti", channel, (int64_t)OUTBOX_MERGED_MAX);
    int rc = q != NULL ? 1 : -1;
    while (rc > 0 && (rc = state_step(s, q, err)) > 0) {
        out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
        out->items[out->count++] = (struct outbox_row){.id = sqlite3_column_int64(q, 0),
                                                       .created_ms = sqlite3_column_int64(q, 1),
                                                       .due_ms = sqlite3_column_int64(q, 2),
                                                       .attempts = sqlite3_column_int(q, 3),
                                                       .kind = state_column_text(q, 4),
                                                       .body = state_column_text(q, 5)};
    }
    sqlite3_finalize(q);
    return rc;
}

int outbox_row_add(struct state *s, const char *channel, const char *kind, const char *body_json, struct err *err)
{
    int64_t ms = os_now_ms();
    return state_run(s, err, "INSERT INTO outbox(channel, kind, created_ms, due_ms, body_json) VALUES(?, ?, ?, ?, ?)",
                     "ttiit", channel, kind, ms, ms, body_json);
}

/* --- bodies --- */

static void set_text(json_t *o, const char *key, const char *value)
{
    char *clean = text_clean(value);
    if (clean != NULL)
        json_object_set_new(o, key, json_string(clean));
    free(clean);
}

static char *dump(json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text != NULL ? text : mem_strdup("{}");
}

char *outbox_alert_body(const struct alert *a)
{
    json_t *o = json_pack("{s:i, s:i, s:i, s:I, s:I, s:I}", "change", (int)a->change, "level", (int)a->level, "now",
                          (int)a->now, "sinceMs", (json_int_t)a->since_ms, "openedMs", (json_int_t)a->opened_ms,
                          "changedMs", (json_int_t)a->changed_ms);
    set_text(o, "rule", a->rule);
    set_text(o, "subject", a->subject);
    set_text(o, "text", a->text);
    set_text(o, "was", a->was);
    set_text(o, "details", a->details);
    set_text(o, "command", a->command);
    return dump(o);
}

/* Of a text too long the end is kept, from the beginning of a line. */
static const char *tail_of(const char *text)
{
    size_t len = strlen(text);
    if (len <= PING_TEXT_MAX_BYTES)
        return text;
    const char *tail = text + len - PING_TEXT_MAX_BYTES, *line = strchr(tail, '\n');
    return line != NULL ? line + 1 : tail;
}

char *outbox_ping_body(int ping, const char *tier, const char *run_id, const char *text)
{
    json_t *o = json_pack("{s:i}", "ping", ping);
    set_text(o, "tier", tier);
    set_text(o, "runId", run_id);
    set_text(o, "text", text != NULL ? tail_of(text) : NULL);
    return dump(o);
}

char *outbox_digest_body(const char *what, const char *text, enum alert_level level)
{
    json_t *o = json_pack("{s:i}", "level", (int)level);
    set_text(o, "what", what);
    set_text(o, "text", text);
    return dump(o);
}

static char *take_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? mem_strdup(s) : NULL;
}

static int64_t take_number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static enum alert_level take_level(const json_t *o, const char *key)
{
    int64_t n = take_number(o, key);
    return n >= ALERT_FINE && n <= ALERT_CRITICAL ? (enum alert_level)n : ALERT_WARNING;
}

static int take_alert(const char *body, struct alert *out)
{
    json_t *o = json_loads(body, 0, NULL);
    int64_t change = take_number(o, "change");
    bool good =
        json_is_object(o) && json_object_get(o, "rule") != NULL && change >= ALERT_OPENED && change <= ALERT_BETTER;
    if (good)
        *out = (struct alert){.rule = take_text(o, "rule"),
                              .subject = take_text(o, "subject"),
                              .text = take_text(o, "text"),
                              .was = take_text(o, "was"),
                              .details = take_text(o, "details"),
                              .command = take_text(o, "command"),
                              .level = take_level(o, "level"),
                              .now = take_level(o, "now"),
                              .since_ms = take_number(o, "sinceMs"),
                              .opened_ms = take_number(o, "openedMs"),
                              .changed_ms = take_number(o, "changedMs"),
                              .change = (enum alert_change)change};
    json_decref(o);
    return good ? 0 : -1;
}

/* --- what waits together --- */

static size_t leading(const struct outbox_rows *rows, const char *kind)
{
    size_t n = 0;
    while (n < rows->count && strcmp(rows->items[n].kind, kind) == 0)
        n++;
    return n;
}

static void take_ids(struct outbox_batch *b, const struct outbox_rows *rows, size_t count)
{
    b->ids = mem_array(NULL, count, sizeof *b->ids);
    b->count = count;
    for (size_t i = 0; i < count; i++)
        b->ids[i] = rows->items[i].id;
}

static bool same_alert(const struct alert *a, const struct alert *b)
{
    return strcmp(a->rule, b->rule) == 0 &&
           strcmp(a->subject != NULL ? a->subject : "", b->subject != NULL ? b->subject : "") == 0;
}

/* The later one tells how it is now; the earlier one since when, whether it is news, and how bad it was. */
static void merge(struct alert *into, struct alert *later)
{
    enum alert_change first = into->change;
    bool reopened = first == ALERT_CLOSED;
    int64_t since = into->since_ms, opened = into->opened_ms;
    enum alert_level level = into->level;
    alert_release(into);
    *into = *later;
    if (reopened)
        return;
    into->since_ms = since > 0 && (since < into->since_ms || into->since_ms == 0) ? since : into->since_ms;
    into->opened_ms = opened > 0 ? opened : into->opened_ms;
    if (into->change == ALERT_CLOSED)
        into->level = level > into->level ? level : into->level;
    else if (first == ALERT_OPENED || (first == ALERT_WORSE && into->change == ALERT_REMINDED))
        into->change = first; /* nobody was told of it yet */
    if (into->change == ALERT_OPENED)
        into->level = into->now;
}

static void make_alerts(const struct outbox_rows *rows, size_t n, const char *host, int64_t now_ms,
                        struct outbox_batch *out)
{
    struct alert_list list = {.items = mem_array(NULL, n, sizeof *list.items)};
    for (size_t i = 0; i < n; i++) {
        struct alert a;
        size_t at = 0;
        if (take_alert(rows->items[i].body, &a) != 0)
            continue;
        while (at < list.count && !same_alert(&list.items[at], &a))
            at++;
        if (at < list.count)
            merge(&list.items[at], &a);
        else
            list.items[list.count++] = a;
    }
    out->empty = list.count == 0;
    if (!out->empty)
        message_of_alerts(&out->message, host, list.items, list.count, now_ms);
    take_ids(out, rows, n);
    alert_list_release(&list);
}

struct waiting_ping {
    int ping;
    char *tier;
};

static struct waiting_ping *take_pings(const struct outbox_rows *rows, size_t n)
{
    struct waiting_ping *pings = mem_array(NULL, n, sizeof *pings);
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_loads(rows->items[i].body, 0, NULL);
        const json_t *ping = json_object_get(o, "ping");
        pings[i] = (struct waiting_ping){.ping = json_is_integer(ping) ? (int)json_integer_value(ping) : -1,
                                         .tier = take_text(o, "tier")};
        json_decref(o);
    }
    return pings;
}

/* Nobody gains from hearing of it now: another outcome came after it, or, of a start, anything. */
static bool is_superseded(const struct waiting_ping *pings, size_t n, size_t at)
{
    if (pings[at].ping < PING_START || pings[at].ping > PING_FAIL)
        return true;
    const char *tier = pings[at].tier != NULL ? pings[at].tier : "";
    for (size_t i = at + 1; i < n; i++)
        if (strcmp(pings[i].tier != NULL ? pings[i].tier : "", tier) == 0 &&
            (pings[at].ping == PING_START || pings[i].ping != PING_START))
            return true;
    return false;
}

static void make_ping(const struct outbox_rows *rows, size_t n, int64_t now_ms, struct outbox_batch *out)
{
    struct waiting_ping *pings = take_pings(rows, n);
    size_t at = 0;
    while (at < n && is_superseded(pings, n, at))
        at++;
    out->empty = at == n;
    if (!out->empty) {
        json_t *o = json_loads(rows->items[at].body, 0, NULL);
        message_of_ping(&out->message, pings[at].ping, json_string_value(json_object_get(o, "runId")),
                        json_string_value(json_object_get(o, "text")), now_ms);
        json_decref(o);
    }
    take_ids(out, rows, out->empty ? n : at + 1);
    for (size_t i = 0; i < n; i++)
        free(pings[i].tier);
    free(pings);
}

static void make_digest(const struct outbox_rows *rows, const char *host, struct outbox_batch *out)
{
    json_t *o = json_loads(rows->items[0].body, 0, NULL);
    const char *what = json_string_value(json_object_get(o, "what")),
               *text = json_string_value(json_object_get(o, "text"));
    out->empty = what == NULL || text == NULL;
    if (!out->empty)
        message_of_digest(&out->message, host, what, text, take_level(o, "level"), rows->items[0].created_ms);
    take_ids(out, rows, 1);
    json_decref(o);
}

void outbox_batch_make(const struct outbox_rows *rows, const char *host, int64_t now_ms, struct outbox_batch *out)
{
    size_t alerts = leading(rows, "alert"), pings = leading(rows, "ping");
    *out = (struct outbox_batch){0};
    if (alerts > 0)
        make_alerts(rows, alerts, host, now_ms, out);
    else if (pings > 0)
        make_ping(rows, pings, now_ms, out);
    else
        make_digest(rows, host, out);
}

void outbox_batch_release(struct outbox_batch *b)
{
    message_release(&b->message);
    free(b->ids);
    *b = (struct outbox_batch){0};
}
