#include "monitor/record_internal.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "os/clock.h"
#include "plan/schedule.h"

static const char *const NAMES[] = {[RECORD_STARTED] = "started",
                                    [RECORD_COMPLETED] = "completed",
                                    [RECORD_FAILED] = "failed",
                                    [RECORD_SKIPPED] = "skipped"};
enum { STATUS_COUNT = sizeof NAMES / sizeof *NAMES, RECORD_MESSAGE_MAX_BYTES = 16 << 10 };

const char *record_status_name(enum record_status s)
{
    return NAMES[s];
}

/* --- writing --- */

/* "2026-02-04T06:02:15Z", as the planning document writes it. */
static json_t *timestamp(const struct timespec *t)
{
    struct tm tm;
    char text[32];
    gmtime_r(&t->tv_sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_string(text);
}

static const char *const UNITS[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
enum { UNIT_COUNT = sizeof UNITS / sizeof *UNITS };

/* "850MB", "1.2GB": for people who read the log itself. */
static json_t *short_size(uint64_t bytes)
{
    char text[32];
    double n = (double)bytes;
    int unit = 0;
    for (; n >= 999.5 && unit < UNIT_COUNT - 1; unit++)
        n /= 1000;
    snprintf(text, sizeof text, unit > 0 && n < 9.95 ? "%.1f%s" : "%.0f%s", n, UNITS[unit]);
    return json_string(text);
}

/* Paths are bytes; JSON is UTF-8. What is neither ASCII nor valid becomes '?'. */
static json_t *any_string(const char *s)
{
    json_t *value = json_string(s);
    if (value != NULL)
        return value;
    char *clean = mem_strdup(s);
    for (char *p = clean; *p != '\0'; p++)
        if ((unsigned char)*p >= 0x80)
            *p = '?';
    value = json_string(clean);
    free(clean);
    return value;
}

static void set_text(json_t *to, const char *key, const char *text)
{
    if (text != NULL)
        json_object_set_new(to, key, any_string(text));
}

/* An event's text may be as long as anybody likes; a line may not. */
static void set_message(json_t *to, const char *text)
{
    size_t len = text != NULL ? strlen(text) : 0;
    if (len > RECORD_MESSAGE_MAX_BYTES)
        for (len = RECORD_MESSAGE_MAX_BYTES; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
            len--;
    char *cut = text != NULL ? mem_strndup(text, len) : NULL;
    set_text(to, "message", cut);
    free(cut);
}

static void set_number(json_t *to, const char *key, uint64_t n)
{
    json_object_set_new(to, key, json_integer((json_int_t)n));
}

static void set_true(json_t *to, const char *key, bool value)
{
    if (value)
        json_object_set_new(to, key, json_true());
}

static void set_list(json_t *to, const char *key, const struct strlist *list, bool always)
{
    if (list->count == 0 && !always)
        return;
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, any_string(list->items[i]));
    json_object_set_new(to, key, array);
}

/* How much of a record fits. */
enum detail { EVERYTHING, NO_PATHS, NO_LISTS };

static json_t *paths_json(const struct record_source *s)
{
    json_t *array = json_array();
    for (size_t i = 0; i < s->path_count; i++) {
        json_t *o = json_object();
        set_text(o, "path", s->paths[i].path);
        set_number(o, "bytes", s->paths[i].bytes);
        json_array_append_new(array, o);
    }
    return array;
}

static json_t *dumps_json(const struct record_source *s)
{
    json_t *array = json_array();
    for (size_t i = 0; i < s->dump_count; i++) {
        json_t *o = json_object();
        set_text(o, "path", s->dumps[i].path);
        set_number(o, "bytes", s->dumps[i].bytes);
        set_true(o, "suspect", s->dumps[i].suspect);
        json_array_append_new(array, o);
    }
    return array;
}

static json_t *source_json(const struct record_source *s, enum detail detail)
{
    json_t *o = json_object();
    set_text(o, "name", s->name);
    set_text(o, "status", NAMES[s->status]);
    set_text(o, "message", s->message);
    set_number(o, "bytes", s->bytes);
    set_number(o, "files", s->files);
    if (s->unreadable > 0)
        set_number(o, "unreadable", s->unreadable);
    set_true(o, "suspect", s->suspect);
    set_text(o, "push", s->push);
    set_true(o, "pushFailed", s->push_failed);
    if (detail == EVERYTHING)
        set_list(o, "pushRefs", &s->push_refs, false);
    if (s->path_count > 0 && detail == EVERYTHING)
        json_object_set_new(o, "paths", paths_json(s));
    if (s->dump_count > 0)
        json_object_set_new(o, "dumps", dumps_json(s));
    return o;
}

static json_t *destination_json(const struct record_destination *d)
{
    json_t *o = json_object();
    set_text(o, "name", d->name);
    set_text(o, "status", NAMES[d->status]);
    set_text(o, "message", d->message);
    set_number(o, "bytesAdded", d->bytes_added);
    if (d->total_bytes > 0) {
        set_number(o, "freeBytes", d->free_bytes);
        set_number(o, "totalBytes", d->total_bytes);
    }
    set_number(o, "removed", d->removed);
    json_object_set_new(o, "verified", json_boolean(d->verified));
    set_true(o, "pruned", d->pruned);
    return o;
}

static void add_outcome(json_t *o, const struct record *r, enum detail detail)
{
    char duration[32];
    snprintf(duration, sizeof duration, "%llus", (unsigned long long)((r->duration_ms + 500) / 1000));
    set_text(o, "error", r->error);
    set_message(o, r->message);
    if (r->status == RECORD_FAILED)
        set_text(o, "retry", r->retry ? "yes" : "no");
    if (r->retry_at_ms > 0)
        set_number(o, "retryAtMs", (uint64_t)r->retry_at_ms);
    set_true(o, "interrupted", r->interrupted);
    set_text(o, "duration", duration);
    json_object_set_new(o, "backupSize", short_size(r->bytes_processed));
    json_object_set_new(o, "uploaded", json_boolean(r->uploaded));
    set_true(o, "incomplete", r->incomplete);
    set_number(o, "durationMs", r->duration_ms);
    set_number(o, "bytesProcessed", r->bytes_processed);
    set_number(o, "bytesAdded", r->bytes_added);
    json_object_set_new(o, "exitCode", json_integer(r->exit_code));
    json_t *sources = json_array(), *destinations = json_array();
    for (size_t i = 0; detail != NO_LISTS && i < r->source_count; i++)
        json_array_append_new(sources, source_json(&r->sources[i], detail));
    for (size_t i = 0; i < r->destination_count; i++)
        json_array_append_new(destinations, destination_json(&r->destinations[i]));
    set_list(o, "snapshots", &r->snapshots, true);
    json_object_set_new(o, "sources", sources);
    json_object_set_new(o, "destinations", destinations);
    if (detail != NO_LISTS)
        set_list(o, "warnings", &r->warnings, false);
}

static char *to_text(const struct record *r, enum detail detail)
{
    json_t *o = json_object();
    json_object_set_new(o, "timestamp", timestamp(&r->time));
    set_text(o, "status", NAMES[r->status]);
    set_text(o, "jobId", r->tier != NULL ? r->tier : "");
    set_text(o, "runId", r->run_id);
    set_text(o, "by", r->job ? "daemon" : NULL);
    set_number(o, "timestampMs", (uint64_t)r->time.tv_sec * 1000 + (uint64_t)r->time.tv_nsec / 1000000);
    if (r->status == RECORD_STARTED)
        set_number(o, "pid", (uint64_t)r->pid);
    else
        add_outcome(o, r, detail);
    char *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return text;
}

void record_encode(const struct record *r, struct buf *out)
{
    char *text = NULL;
    for (enum detail d = EVERYTHING; d <= NO_LISTS; d++) {
        free(text);
        text = to_text(r, d);
        if (text != NULL && strlen(text) + 2 <= RECORD_LINE_MAX_BYTES)
            break;
    }
    buf_append_str(out, text != NULL ? text : "");
    buf_append_byte(out, '\n');
    free(text);
}

/* --- reading: whatever is missing or of another type is nothing --- */

static char *get_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s != NULL ? mem_strdup(s) : NULL;
}

static uint64_t get_number(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));
    return n > 0 ? (uint64_t)n : 0;
}

static bool get_bool(const json_t *o, const char *key)
{
    return json_is_true(json_object_get(o, key));
}

static void get_list(const json_t *o, const char *key, struct strlist *out)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(o, key), i, item) if (json_is_string(item))
        strlist_add(out, json_string_value(item));
}

static int get_status(const json_t *o, enum record_status *out)
{
    const char *name = json_string_value(json_object_get(o, "status"));
    for (int i = 0; name != NULL && i < STATUS_COUNT; i++)
        if (strcmp(name, NAMES[i]) == 0) {
            *out = (enum record_status)i;
            return 0;
        }
    return -1;
}

/* Exact where we wrote it; else from the text, as others write it. */
static int get_time(const json_t *o, struct timespec *out)
{
    const json_t *ms = json_object_get(o, "timestampMs"), *text = json_object_get(o, "timestamp");
    if (json_is_integer(ms) && json_integer_value(ms) >= 0) {
        json_int_t n = json_integer_value(ms);
        *out = (struct timespec){.tv_sec = n / 1000, .tv_nsec = n % 1000 * 1000000};
        return 0;
    }
    return json_is_string(text) ? os_time_parse(json_string_value(text), json_string_length(text), out) : -1;
}

static void get_paths(const json_t *o, struct record_source *s)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(o, "paths"), i, item)
    {
        const char *path = json_string_value(json_object_get(item, "path"));
        if (path != NULL)
            record_add_path(s, path, get_number(item, "bytes"));
    }
}

static void get_dumps(const json_t *o, struct record_source *s)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(o, "dumps"), i, item)
    {
        const char *path = json_string_value(json_object_get(item, "path"));
        if (path != NULL)
            record_add_dump(s, path, get_number(item, "bytes"), get_bool(item, "suspect"));
    }
}

static void get_sources(const json_t *o, struct record *r)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(o, "sources"), i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        struct record_source *s = record_add_source(r, name != NULL ? name : "");
        if (get_status(item, &s->status) != 0)
            s->status = RECORD_COMPLETED;
        s->message = get_text(item, "message");
        s->bytes = get_number(item, "bytes");
        s->files = get_number(item, "files");
        s->unreadable = get_number(item, "unreadable");
        s->suspect = get_bool(item, "suspect");
        s->push = get_text(item, "push");
        s->push_failed = get_bool(item, "pushFailed");
        get_list(item, "pushRefs", &s->push_refs);
        get_paths(item, s);
        get_dumps(item, s);
    }
}

static void get_destinations(const json_t *o, struct record *r)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(o, "destinations"), i, item)
    {
        const char *name = json_string_value(json_object_get(item, "name"));
        struct record_destination *d = record_add_destination(r, name != NULL ? name : "");
        if (get_status(item, &d->status) != 0)
            d->status = RECORD_COMPLETED;
        d->message = get_text(item, "message");
        d->bytes_added = get_number(item, "bytesAdded");
        d->free_bytes = get_number(item, "freeBytes");
        d->total_bytes = get_number(item, "totalBytes");
        d->removed = get_number(item, "removed");
        d->verified = get_bool(item, "verified");
        d->pruned = get_bool(item, "pruned");
    }
}

/* Exact where we wrote it; else from the texts, as others write them: "135s", "850MB". */
static uint64_t get_duration_ms(const json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "duration"));
    uint64_t ms = 0;
    if (json_object_get(o, "durationMs") != NULL)
        return get_number(o, "durationMs");
    return text != NULL && duration_parse(text, &ms, NULL) == 0 ? ms : 0;
}

static uint64_t get_bytes_processed(const json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "backupSize"));
    char *unit;
    if (json_object_get(o, "bytesProcessed") != NULL || text == NULL || *text < '0' || *text > '9')
        return get_number(o, "bytesProcessed");
    double n = strtod(text, &unit);
    for (int i = 0; i < UNIT_COUNT && n < 1e18; i++, n *= 1000)
        if (strcmp(unit, UNITS[i]) == 0)
            return (uint64_t)n;
    return 0;
}

/* Before there was a member for it, what jobs had to say was their only warning. */
static void get_message(const json_t *o, struct record *r)
{
    r->message = get_text(o, "message");
    bool nothing_wrong = r->status == RECORD_SKIPPED || (r->status == RECORD_COMPLETED && r->exit_code == 0);
    if (r->message != NULL || !r->job || !nothing_wrong || r->warnings.count != 1)
        return;
    r->message = mem_strdup(r->warnings.items[0]);
    strlist_release(&r->warnings);
}

static void get_all(const json_t *o, struct record *r)
{
    const char *retry = json_string_value(json_object_get(o, "retry"));
    const char *by = json_string_value(json_object_get(o, "by"));
    r->job = by != NULL && strcmp(by, "daemon") == 0;
    r->tier = get_text(o, "jobId");
    r->run_id = get_text(o, "runId");
    r->pid = (pid_t)get_number(o, "pid");
    r->duration_ms = get_duration_ms(o);
    r->bytes_processed = get_bytes_processed(o);
    r->bytes_added = get_number(o, "bytesAdded");
    r->exit_code = (int)get_number(o, "exitCode");
    r->uploaded = get_bool(o, "uploaded");
    r->incomplete = get_bool(o, "incomplete");
    r->interrupted = get_bool(o, "interrupted");
    r->error = get_text(o, "error");
    r->retry = retry != NULL && strcmp(retry, "yes") == 0;
    r->retry_at_ms = (int64_t)get_number(o, "retryAtMs");
    get_list(o, "warnings", &r->warnings);
    get_message(o, r);
    get_list(o, "snapshots", &r->snapshots);
    get_sources(o, r);
    get_destinations(o, r);
}

int record_decode(const char *line, size_t len, struct record *out)
{
    json_t *o = len <= RECORD_LINE_MAX_BYTES ? json_loadb(line, len, 0, NULL) : NULL;
    struct record r = {0};
    int rc = -1;
    if (json_is_object(o) && get_status(o, &r.status) == 0 && get_time(o, &r.time) == 0) {
        get_all(o, &r);
        *out = r;
        rc = 0;
    }
    json_decref(o);
    return rc;
}
