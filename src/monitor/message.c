#include "monitor/message.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "monitor/message_text.h"

enum { TEXT_MAX_BYTES = 64 << 10, TITLE_MAX_CHARS = 150 };
static const char CUT[] = "\n… (more: clawback alerts)";

void message_release(struct message *m)
{
    char *strings[] = {m->host, m->heading, m->title, m->text, m->json, m->rule, m->subject, m->run_id};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    *m = (struct message){0};
}

/* --- one alert --- */

/* "CRITICAL", "still CRITICAL", "better, now a WARNING", "over". */
static const char *state_words(const struct alert *a)
{
    bool critical = (a->change == ALERT_BETTER ? a->now : a->level) == ALERT_CRITICAL;
    switch (a->change) {
    case ALERT_CLOSED:
        return "over";
    case ALERT_BETTER:
        return critical ? "better: CRITICAL" : "better: WARNING";
    case ALERT_REMINDED:
        return critical ? "still CRITICAL" : "still WARNING";
    case ALERT_WORSE:
        return critical ? "worse: CRITICAL" : "worse: WARNING";
    default:
        return critical ? "CRITICAL" : "WARNING";
    }
}

/* What was wrong, of one that is over. */
static const char *main_text(const struct alert *a)
{
    const char *text = a->change == ALERT_CLOSED && a->was != NULL ? a->was : a->text;
    return text != NULL ? text : a->rule;
}

static void put_indented(struct buf *out, const char *lines)
{
    for (const char *p = lines; *p != '\0';) {
        size_t len = strcspn(p, "\n");
        if (len > 0)
            buf_printf(out, "  %.*s\n", (int)len, p);
        p += len + (p[len] == '\n');
    }
}

static int64_t began_ms(const struct alert *a)
{
    return a->since_ms > 0 ? a->since_ms : a->opened_ms;
}

static void put_alert(struct buf *out, const struct alert *a, int64_t now_ms)
{
    char when[32], span[32];
    int64_t since = began_ms(a), end = a->change == ALERT_CLOSED && a->changed_ms > 0 ? a->changed_ms : now_ms;
    text_time(since, when);
    text_span(end - since, span);
    buf_printf(out, "%s: %s\n", state_words(a), main_text(a));
    if (a->change == ALERT_CLOSED) {
        if (a->was != NULL && a->text != NULL)
            buf_printf(out, "  now: %s\n", a->text);
        if (since > 0)
            buf_printf(out, "  it lasted %s, since %s\n", span, when);
        return;
    }
    if (since > 0)
        buf_printf(out, "  since %s (%s)\n", when, span);
    if (a->details != NULL)
        put_indented(out, a->details);
    if (a->command != NULL)
        buf_printf(out, "  type: %s\n", a->command);
}

static json_t *clean_string(const char *s)
{
    char *clean = text_clean(s);
    json_t *value = clean != NULL ? json_string(clean) : json_null();
    free(clean);
    return value;
}

static json_t *time_or_null(int64_t ms)
{
    char text[32];
    text_time_utc(ms, text);
    return ms > 0 ? json_string(text) : json_null();
}

static json_t *alert_json(const struct alert *a)
{
    json_t *o = json_object();
    json_object_set_new(o, "rule", clean_string(a->rule));
    json_object_set_new(o, "subject", clean_string(a->subject));
    json_object_set_new(o, "change", json_string(alert_change_name(a->change)));
    json_object_set_new(o, "level", json_string(alert_level_name(a->level)));
    json_object_set_new(o, "now", json_string(alert_level_name(a->now)));
    json_object_set_new(o, "text", clean_string(a->text));
    json_object_set_new(o, "was", clean_string(a->was));
    json_object_set_new(o, "details", clean_string(a->details));
    json_object_set_new(o, "command", clean_string(a->command));
    json_object_set_new(o, "since", time_or_null(began_ms(a)));
    json_object_set_new(o, "changed", time_or_null(a->changed_ms));
    return o;
}

/* --- all of a message --- */

static void begin(struct message *m, enum message_kind kind, const char *host, int64_t now_ms)
{
    *m = (struct message){.kind = kind, .time_ms = now_ms, .host = text_clean_line(host)};
}

static void set_title(struct message *m, const char *what)
{
    char *line = text_clean_line(what);
    size_t len = text_fit_utf16(line, TITLE_MAX_CHARS);
    m->title = mem_printf("clawback on %s: %.*s%s", m->host, (int)len, line, line[len] != '\0' ? "…" : "");
    free(line);
}

/* alerts: taken over; NULL: none. */
static void set_json(struct message *m, json_t *alerts)
{
    static const char *const KINDS[] = {
        [MESSAGE_ALERTS] = "alerts", [MESSAGE_DIGEST] = "digest", [MESSAGE_TEST] = "test", [MESSAGE_PING] = "ping"};
    json_t *o = json_object();
    json_object_set_new(o, "source", json_string("clawback"));
    json_object_set_new(o, "version", json_string(CLAWBACK_VERSION));
    json_object_set_new(o, "kind", json_string(KINDS[m->kind]));
    json_object_set_new(o, "host", clean_string(m->host));
    json_object_set_new(o, "time", time_or_null(m->time_ms));
    json_object_set_new(o, "level", json_string(alert_level_name(m->level)));
    json_object_set_new(o, "over", json_boolean(m->over));
    json_object_set_new(o, "title", clean_string(m->title));
    json_object_set_new(o, "text", clean_string(m->text));
    json_object_set_new(o, "alerts", alerts != NULL ? alerts : json_array());
    m->json = json_dumps(o, JSON_COMPACT);
    json_decref(o);
}

static void take_text(struct message *m, struct buf *text)
{
    m->text = text_clean(buf_cstr(text));
    buf_release(text);
}

/* Open ones before those that are over, the worst first; else as they came. */
static const struct alert **ordered(const struct alert *alerts, size_t count)
{
    const struct alert **out = mem_array(NULL, count, sizeof *out);
    size_t n = 0;
    for (int over = 0; over < 2; over++)
        for (int level = ALERT_CRITICAL; level >= ALERT_FINE; level--)
            for (size_t i = 0; i < count; i++)
                if ((alerts[i].change == ALERT_CLOSED) == over && (int)alerts[i].level == level)
                    out[n++] = &alerts[i];
    return out;
}

/* "2 critical, 1 warning, 1 over". */
static char *summary(const struct alert *alerts, size_t count)
{
    size_t critical = 0, warning = 0, over = 0;
    for (size_t i = 0; i < count; i++)
        *(alerts[i].change == ALERT_CLOSED ? &over : alerts[i].now == ALERT_CRITICAL ? &critical : &warning) += 1;
    struct buf b;
    buf_init(&b, 256);
    if (critical > 0)
        buf_printf(&b, "%zu CRITICAL, ", critical);
    if (warning > 0)
        buf_printf(&b, "%zu %s, ", warning, warning == 1 ? "warning" : "warnings");
    if (over > 0)
        buf_printf(&b, "%zu over, ", over);
    char *text = mem_strndup(buf_cstr(&b), b.len - 2);
    buf_release(&b);
    return text;
}

void message_of_alerts(struct message *out, const char *host, const struct alert *alerts, size_t count, int64_t now_ms)
{
    struct buf text;
    const struct alert **order = ordered(alerts, count);
    json_t *list = json_array();
    buf_init(&text, TEXT_MAX_BYTES);
    begin(out, MESSAGE_ALERTS, host, now_ms);
    out->over = order[0]->change == ALERT_CLOSED; /* then the others are, too */
    for (size_t i = 0; i < count; i++) {
        enum alert_level level = order[i]->change == ALERT_CLOSED && !out->over ? ALERT_FINE : order[i]->level;
        out->level = level > out->level ? level : out->level;
        if (i > 0)
            buf_append_byte(&text, '\n');
        put_alert(&text, order[i], now_ms);
        json_array_append_new(list, alert_json(order[i]));
    }
    out->heading = mem_printf("clawback on %s", out->host);
    out->rule = text_clean_line(order[0]->rule);
    out->subject = text_clean_line(order[0]->subject);
    char *what = count == 1 ? mem_printf("%s: %s", state_words(order[0]), main_text(order[0])) : summary(alerts, count);
    set_title(out, what);
    free(what);
    take_text(out, &text);
    set_json(out, list);
    free(order);
}

static void message_of_text(struct message *out, enum message_kind kind, const char *host, const char *what,
                            const char *text, enum alert_level level, int64_t now_ms)
{
    begin(out, kind, host, now_ms);
    out->level = level;
    set_title(out, what);
    out->heading = mem_strdup(out->title);
    out->text = text_clean(text);
    set_json(out, NULL);
}

void message_of_digest(struct message *out, const char *host, const char *what, const char *text,
                       enum alert_level level, int64_t now_ms)
{
    message_of_text(out, MESSAGE_DIGEST, host, what, text, level, now_ms);
}

void message_test(struct message *out, const char *host, int64_t now_ms)
{
    message_of_text(out, MESSAGE_TEST, host, "test",
                    "This is a test: if you can read it, alerts will reach you here.\n", ALERT_INFO, now_ms);
}

void message_of_ping(struct message *out, int ping, const char *run_id, const char *text, int64_t now_ms)
{
    *out = (struct message){.kind = MESSAGE_PING, .ping = ping, .time_ms = now_ms, .text = text_clean(text)};
    out->run_id = text_clean_line(run_id);
}

/* --- cutting short --- */

static char *clip(const char *text, size_t max, size_t (*fit)(const char *s, size_t max))
{
    size_t len = strlen(text), fits = fit(text, max);
    if (fits == len)
        return mem_strdup(text);
    fits = fit(text, max > sizeof CUT ? max - sizeof CUT : 0);
    return mem_printf("%.*s%s", (int)fits, text, CUT);
}

char *message_chat_text(const struct message *m, size_t max)
{
    char *all = mem_printf("%s\n%s", m->heading, m->text), *clipped = clip(all, max, text_fit_utf16);
    free(all);
    return clipped;
}

char *message_clip_bytes(const char *text, size_t max)
{
    return clip(text, max, text_fit_bytes);
}
