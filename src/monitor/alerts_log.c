#include "monitor/alerts_log.h"

#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "base/buf.h"
#include "base/mem.h"
#include "monitor/jsonl.h"
#include "os/file.h"

enum { LINE_MAX_BYTES = 64 << 10, LOG_LINES = 2000 };
static const struct jsonl_limits LIMITS = {.max_bytes = 2 << 20, .kept_lines = LOG_LINES, .read_bytes = 4 << 20};

static const char *const CHANGES[] = {[ALERT_OPENED] = "opened",
                                      [ALERT_WORSE] = "worse",
                                      [ALERT_REMINDED] = "reminded",
                                      [ALERT_CLOSED] = "closed",
                                      [ALERT_BETTER] = "better"};
static const char SILENCED[] = "silenced"; /* no change of an alert, but what was said about one */
enum { CHANGE_COUNT = sizeof CHANGES / sizeof *CHANGES };

const char *alert_change_name(enum alert_change change)
{
    return CHANGES[change];
}

void alert_release(struct alert *a)
{
    free(a->rule);
    free(a->subject);
    free(a->text);
    free(a->details);
    free(a->command);
    free(a->was);
}

void alert_list_release(struct alert_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        alert_release(&l->items[i]);
    free(l->items);
    *l = (struct alert_list){0};
}

/* --- writing --- */

/* Texts name paths, which are bytes; JSON is UTF-8. What is neither ASCII nor valid becomes '?'. */
static void set_text(json_t *to, const char *key, const char *text)
{
    if (text == NULL)
        return;
    json_t *value = json_string(text);
    if (value == NULL) {
        char *clean = mem_strdup(text);
        for (char *p = clean; *p != '\0'; p++)
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        value = json_string(clean);
        free(clean);
    }
    json_object_set_new(to, key, value);
}

static void set_number(json_t *to, const char *key, int64_t n)
{
    json_object_set_new(to, key, json_integer((json_int_t)n));
}

static void set_time(json_t *to, int64_t now_ms)
{
    time_t t = (time_t)(now_ms / 1000);
    struct tm tm;
    char text[40] = "";
    if (gmtime_r(&t, &tm) != NULL)
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    set_text(to, "timestamp", text);
    set_number(to, "timeMs", now_ms);
}

/* Takes the object over. */
static int append(const char *state_dir, json_t *o, const char *rule, struct err *err)
{
    char *text = json_dumps(o, JSON_COMPACT), *path = os_path_join(state_dir, "alerts.jsonl");
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    buf_append_str(&line, text);
    buf_append_byte(&line, '\n');
    int rc = line.overflow ? err_set(err, ERR_FAILED, "alert '%s' is too long for '%s'", rule, path)
                           : jsonl_append(path, &line, &LIMITS, err);
    buf_release(&line);
    free(path);
    free(text);
    json_decref(o);
    return rc;
}

int alerts_log_append(const char *state_dir, const struct alert *a, enum alert_level told_level, bool told,
                      int64_t now_ms, struct err *err)
{
    json_t *o = json_object();
    set_time(o, now_ms);
    set_text(o, "change", CHANGES[a->change]);
    set_text(o, "rule", a->rule);
    set_text(o, "subject", a->subject);
    set_number(o, "level", a->level);
    set_number(o, "now", a->now);
    set_text(o, "levelName", alert_level_name(a->change == ALERT_CLOSED ? a->level : a->now));
    set_text(o, "text", a->text);
    set_text(o, "was", a->was);
    set_text(o, "details", a->details);
    set_text(o, "command", a->command);
    set_number(o, "sinceMs", a->since_ms);
    set_number(o, "openedMs", a->opened_ms);
    set_number(o, "toldLevel", told_level);
    json_object_set_new(o, "told", json_boolean(told));
    return append(state_dir, o, a->rule, err);
}

int alerts_log_append_silence(const char *state_dir, const char *rule, const char *subject, int64_t until_ms,
                              int64_t now_ms, struct err *err)
{
    json_t *o = json_object();
    set_time(o, now_ms);
    set_text(o, "change", SILENCED);
    set_text(o, "rule", rule);
    set_text(o, "subject", subject);
    set_number(o, "untilMs", until_ms);
    return append(state_dir, o, rule, err);
}

/* --- reading --- */

static char *get_text(const json_t *o, const char *key)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text != NULL ? mem_strdup(text) : NULL;
}

static enum alert_level get_level(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));
    return n >= ALERT_FINE && n <= ALERT_CRITICAL ? (enum alert_level)n : ALERT_FINE;
}

static bool get_change(const json_t *o, enum alert_change *out)
{
    const char *name = json_string_value(json_object_get(o, "change"));
    for (int i = 0; name != NULL && i < CHANGE_COUNT; i++)
        if (strcmp(name, CHANGES[i]) == 0) {
            *out = (enum alert_change)i;
            return true;
        }
    return false;
}

static bool decode(const char *line, size_t len, struct alert_line *out)
{
    json_t *o = len <= LINE_MAX_BYTES ? json_loadb(line, len, 0, NULL) : NULL;
    struct alert *a = &out->alert;
    *out = (struct alert_line){.told_level = get_level(o, "toldLevel")};
    bool valid = get_change(o, &a->change) && json_is_string(json_object_get(o, "rule")) &&
                 json_is_string(json_object_get(o, "subject"));
    if (valid) {
        a->rule = get_text(o, "rule");
        a->subject = get_text(o, "subject");
        a->text = get_text(o, "text");
        if (a->text == NULL)
            a->text = mem_strdup("");
        a->was = get_text(o, "was");
        a->details = get_text(o, "details");
        a->command = get_text(o, "command");
        a->level = get_level(o, "level");
        a->now = get_level(o, "now");
        a->since_ms = json_integer_value(json_object_get(o, "sinceMs"));
        a->opened_ms = json_integer_value(json_object_get(o, "openedMs"));
        a->changed_ms = json_integer_value(json_object_get(o, "timeMs"));
        a->told_ms = json_is_true(json_object_get(o, "told")) ? a->changed_ms : 0;
    }
    json_decref(o);
    return valid;
}

static bool decode_silence(const char *line, size_t len, struct silence_line *out)
{
    json_t *o = len <= LINE_MAX_BYTES ? json_loadb(line, len, 0, NULL) : NULL;
    const char *change = json_string_value(json_object_get(o, "change"));
    const json_t *until = json_object_get(o, "untilMs");
    bool valid = change != NULL && strcmp(change, SILENCED) == 0 && json_is_string(json_object_get(o, "rule")) &&
                 json_is_integer(until);
    if (valid)
        *out = (struct silence_line){get_text(o, "rule"), get_text(o, "subject"), json_integer_value(until)};
    json_decref(o);
    return valid;
}

static void take_line(const char *line, size_t len, struct alert_lines *out)
{
    struct silence_line silence;
    out->items = mem_array(out->items, out->count + 1, sizeof *out->items);
    if (decode(line, len, &out->items[out->count])) {
        out->count++;
    } else if (decode_silence(line, len, &silence)) {
        out->silences = mem_array(out->silences, out->silence_count + 1, sizeof silence);
        out->silences[out->silence_count++] = silence;
    }
}

static void drop_first(struct alert_lines *l, size_t count)
{
    for (size_t i = 0; i < count; i++)
        alert_release(&l->items[i].alert);
    l->count -= count;
    memmove(l->items, l->items + count, l->count * sizeof *l->items);
}

int alerts_log_read(const char *state_dir, size_t max, struct alert_lines *out, struct err *err)
{
    char *path = os_path_join(state_dir, "alerts.jsonl");
    struct buf text;
    *out = (struct alert_lines){0};
    buf_init(&text, LIMITS.read_bytes + 2);
    int rc = jsonl_read_tail(path, LOG_LINES, &LIMITS, &text, err);
    const char *from = buf_cstr(&text), *end = from + text.len;
    while (rc == 0 && from < end) {
        const char *stop = memchr(from, '\n', (size_t)(end - from));
        size_t len = (size_t)((stop != NULL ? stop : end) - from);
        take_line(from, len, out);
        from += len + 1;
    }
    if (out->count > max)
        drop_first(out, out->count - max);
    buf_release(&text);
    free(path);
    return rc;
}

void alerts_log_release(struct alert_lines *l)
{
    for (size_t i = 0; i < l->count; i++)
        alert_release(&l->items[i].alert);
    free(l->items);
    for (size_t i = 0; i < l->silence_count; i++) {
        free(l->silences[i].rule);
        free(l->silences[i].subject);
    }
    free(l->silences);
    *l = (struct alert_lines){0};
}

int alerts_history(const char *state_dir, size_t max, struct alert_list *out, struct err *err)
{
    struct alert_lines lines;
    *out = (struct alert_list){0};
    if (alerts_log_read(state_dir, max, &lines, err) != 0)
        return -1;
    out->items = mem_array(NULL, lines.count + 1, sizeof *out->items);
    while (lines.count > 0)
        out->items[out->count++] = lines.items[--lines.count].alert;
    alerts_log_release(&lines);
    return 0;
}
