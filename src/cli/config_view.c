#include "cli/config_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "os/clock.h"
#include "plan/config_values.h"

/* -------------------------------------------------------------------------------------------------------- small parts
 */

/* NULL values are left out, and so are empty lists and objects. */
static void put(json_t *object, const char *key, json_t *value)
{
    bool empty = (json_is_array(value) && json_array_size(value) == 0) ||
                 (json_is_object(value) && json_object_size(value) == 0);
    if (value == NULL || empty)
        json_decref(value);
    else
        json_object_set_new(object, key, value);
}

static json_t *text(const char *s)
{
    return s != NULL ? cli_json_string(s, strlen(s)) : NULL;
}

static json_t *texts(const struct strlist *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, text(list->items[i]));
    return array;
}

static json_t *flag(bool value, bool usual)
{
    return value != usual ? json_boolean(value) : NULL;
}

static json_t *duration(uint64_t ms)
{
    char out[32];
    if (ms == 0)
        return NULL;
    duration_format(ms, out);
    return text(out);
}

/* In the largest unit that it is a whole number of. */
static json_t *size(uint64_t bytes)
{
    static const char *const DECIMAL[] = {"", "kB", "MB", "GB", "TB", "PB"};
    static const char *const BINARY[] = {"", "KiB", "MiB", "GiB", "TiB", "PiB"};
    uint64_t decimal = bytes, binary = bytes;
    size_t i = 0, j = 0;
    if (bytes == 0)
        return NULL;
    for (; i < 5 && decimal % 1000 == 0; i++)
        decimal /= 1000;
    for (; j < 5 && binary % 1024 == 0; j++)
        binary /= 1024;
    char out[40];
    snprintf(out, sizeof out, "%" PRIu64 "%s", decimal <= binary ? decimal : binary,
             decimal <= binary ? DECIMAL[i] : BINARY[j]);
    return text(out);
}

static json_t *secret(const struct secret *s)
{
    switch (s->kind) {
    case SECRET_FILE:
        return json_pack("{s:o}", "file", text(s->name));
    case SECRET_COMMAND:
        return json_pack("{s:o}", "command", texts(&s->command));
    case SECRET_ENV:
        return json_pack("{s:o}", "env", text(s->name));
    case SECRET_CREDENTIAL:
        return json_pack("{s:o}", "credential", text(s->name));
    case SECRET_NONE:
        break;
    }
    return NULL;
}

static json_t *url(const char *s)
{
    if (s == NULL)
        return NULL;
    char *hidden = url_without_password(s);
    json_t *shown = text(hidden);
    free(hidden);
    return shown;
}

static json_t *hooks(const struct plan_hooks *h)
{
    json_t *o = json_object();
    put(o, "before", texts(&h->before));
    put(o, "after", texts(&h->after));
    put(o, "failure", texts(&h->failure));
    if (json_object_size(o) > 0)
        put(o, "timeout", duration(h->timeout_ms));
    return o;
}

/* -------------------------------------------------------------------------------------------------------- destinations
 */

static json_t *destination(const struct plan_destination *d)
{
    json_t *o = json_object();
    put(o, d->location[0] == '/' ? "path" : "repository", url(d->location));
    put(o, "require_mount", flag(d->require_mount, false));
    put(o, "reserve", d->reserve_bytes > 0 ? size(d->reserve_bytes) : text("0"));
    put(o, "allow_unencrypted", flag(d->allow_unencrypted, false));
    put(o, "limit_write", size(d->limit_write_bytes_per_s));
    put(o, "compression", text(d->compression));
    put(o, "passphrase", secret(&d->passphrase));
    return o;
}

/* --------------------------------------------------------------------------------------------------------------- tiers
 */

static json_t *git(const struct plan_tier *t)
{
    json_t *all = json_array();
    for (size_t i = 0; i < t->git_count; i++) {
        json_t *o = json_object();
        put(o, "path", text(t->git[i].path));
        put(o, "push", text(t->git[i].push));
        if (t->git[i].push != NULL)
            put(o, "timeout", duration(t->git[i].timeout_ms));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *postgres(const struct plan_tier *t)
{
    json_t *all = json_array();
    for (size_t i = 0; i < t->postgres_count; i++) {
        const struct plan_postgres *p = &t->postgres[i];
        json_t *o = json_object();
        put(o, "container", text(p->container));
        put(o, "url", url(p->url));
        put(o, "socket", text(p->socket));
        put(o, "user", text(p->user));
        put(o, "database", text(p->database));
        put(o, "password", secret(&p->password));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *redis(const struct plan_tier *t)
{
    json_t *all = json_array();
    for (size_t i = 0; i < t->redis_count; i++) {
        const struct plan_redis *r = &t->redis[i];
        json_t *o = json_object();
        put(o, "container", text(r->container));
        put(o, "url", url(r->url));
        put(o, "user", text(r->user));
        put(o, "password", secret(&r->password));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *commands(const struct plan_tier *t)
{
    json_t *all = json_array();
    for (size_t i = 0; i < t->command_count; i++) {
        json_t *o = json_object();
        put(o, "name", text(t->commands[i].name));
        put(o, "command", texts(&t->commands[i].command));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *archive(const struct plan_archive *a)
{
    static const char *const CODECS[] = {[PLAN_GZIP] = "gzip", [PLAN_ZSTD] = "zstd", [PLAN_UNCOMPRESSED] = "none"};
    json_t *o = json_object();
    put(o, "prefix", text(a->prefix));
    put(o, "compression", text(CODECS[a->codec]));
    put(o, "recipients", texts(&a->recipients));
    put(o, "encrypt", flag(!a->unencrypted, true));
    return o;
}

static json_t *within(const struct retention_duration *d)
{
    struct buf out;
    const struct {
        int count;
        char unit;
    } parts[] = {{d->years, 'y'}, {d->months, 'm'}, {d->days, 'd'}, {d->hours, 'h'}};
    buf_init(&out, 128);
    for (size_t i = 0; i < 4; i++)
        if (parts[i].count > 0)
            buf_printf(&out, "%d%c", parts[i].count, parts[i].unit);
    json_t *value = out.len > 0 ? text(buf_cstr(&out)) : NULL;
    buf_release(&out);
    return value;
}

static json_t *keep(const struct plan_keep *k)
{
    const struct retention_policy *p = &k->policy;
    const struct {
        const char *key;
        int count;
    } counts[] = {{"last", p->last},     {"hourly", p->hourly},   {"daily", p->daily},
                  {"weekly", p->weekly}, {"monthly", p->monthly}, {"yearly", p->yearly}};
    const struct {
        const char *key;
        const struct retention_duration *time;
    } times[] = {{"within", &p->within},
                 {"within_hourly", &p->within_hourly},
                 {"within_daily", &p->within_daily},
                 {"within_weekly", &p->within_weekly},
                 {"within_monthly", &p->within_monthly},
                 {"within_yearly", &p->within_yearly}};
    json_t *o = json_object();
    put(o, "all", flag(k->all, false));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].count != 0)
            put(o, counts[i].key, counts[i].count < 0 ? text("all") : json_integer(counts[i].count));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        put(o, times[i].key, within(times[i].time));
    return o;
}

static json_t *time_text(int64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    return cli_json_time(&t);
}

static json_t *next_times(const struct schedule *s, int64_t now_ms)
{
    enum { SHOWN = 3 };
    json_t *all = json_array();
    int64_t at = now_ms;
    for (int i = 0; i < SHOWN && s->kind != SCHEDULE_EVERY && schedule_next(s, at, 0, &at); i++)
        json_array_append_new(all, time_text(at));
    return all;
}

static void put_schedule(json_t *o, const struct plan_tier *t, int64_t now_ms)
{
    const struct schedule *s = &t->schedule;
    if (s->kind == SCHEDULE_EVERY)
        put(o, "every", duration(s->every_ms));
    if (s->kind == SCHEDULE_CRON)
        put(o, "cron", text(s->cron_text));
    if (s->kind == SCHEDULE_AT)
        put(o, "at", time_text(s->at_ms));
    put(o, "timezone", text(s->zone));
    put(o, "enabled", flag(!t->disabled, true));
    if (!t->disabled)
        put(o, "next", next_times(s, now_ms));
}

static void put_files(json_t *o, const struct plan_tier *t)
{
    put(o, "files", texts(&t->files));
    put(o, "exclude", texts(&t->exclude));
    put(o, "exclude_if_present", texts(&t->exclude_if_present));
    put(o, "exclude_caches", flag(t->exclude_caches, false));
    put(o, "exclude_larger_than", size(t->exclude_larger_than));
    put(o, "one_file_system", flag(t->one_file_system, false));
    put(o, "agent_excludes", flag(!t->no_agent_excludes, true));
}

static json_t *tier(const struct plan_tier *t, int64_t now_ms)
{
    json_t *o = json_object();
    bool dumps = t->postgres_count + t->redis_count + t->command_count + t->sqlite.count + t->git_count > 0;
    put_schedule(o, t, now_ms);
    put_files(o, t);
    put(o, "git", git(t));
    put(o, "postgres", postgres(t));
    put(o, "redis", redis(t));
    put(o, "sqlite", texts(&t->sqlite));
    put(o, "command", commands(t));
    if (dumps) {
        put(o, "when", text(t->when == PLAN_RUNNING ? "running" : "always"));
        put(o, "on_shrink", text(t->on_shrink == PLAN_SHRINK_WARN ? "warn" : "fail"));
        put(o, "timeout", duration(t->timeout_ms));
    }
    put(o, "format", text(t->format == PLAN_ARCHIVE ? "archive" : "repository"));
    if (t->format == PLAN_ARCHIVE)
        put(o, "archive", archive(&t->archive));
    put(o, "to", texts(&t->to));
    put(o, "keep", keep(&t->keep));
    put(o, "hooks", hooks(&t->hooks));
    return o;
}

json_t *config_view_json(const struct plan *p, int64_t now_ms)
{
    json_t *o = json_object(), *destinations = json_object(), *tiers = json_object(), *limits = json_object();
    for (size_t i = 0; i < p->destination_count; i++)
        put(destinations, p->destinations[i].name, destination(&p->destinations[i]));
    for (size_t i = 0; i < p->tier_count; i++)
        put(tiers, p->tiers[i].name, tier(&p->tiers[i], now_ms));
    if (p->cpus > 0)
        put(limits, "cpus", json_integer(p->cpus));
    put(limits, "read", size(p->limit_read_bytes_per_s));
    put(o, "message_type", text("plan"));
    put(o, "file", text(p->file));
    put(o, "home", text(p->home));
    put(o, "host", text(p->host));
    put(o, "passphrase", secret(&p->passphrase));
    put(o, "limits", limits);
    put(o, "hooks", hooks(&p->hooks));
    put(o, "destinations", destinations);
    put(o, "tiers", tiers);
    return o;
}

/* ---------------------------------------------------------------------------------------------------------------- YAML
 */

/* Can it stand without quotes, in a list too? Names, numbers, durations and most paths can. */
static bool is_bare(const char *s)
{
    static const char SAFE[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%";
    static const char *const WORDS[] = {"null", "Null", "NULL", "true", "false"};
    if (s[0] == '\0' || strchr("-+@%.", s[0]) != NULL || s[strspn(s, SAFE)] != '\0')
        return false;
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (strcmp(s, WORDS[i]) == 0)
            return false;
    return true;
}

/* On one line: [a, b], {key: value}. JSON's quoted strings are YAML's. */
static void write_flow(const json_t *v, struct buf *out)
{
    if (json_is_string(v) && is_bare(json_string_value(v))) {
        buf_append_str(out, json_string_value(v));
    } else if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v); i++) {
            buf_append_str(out, i == 0 ? "[" : ", ");
            write_flow(json_array_get(v, i), out);
        }
        buf_append_str(out, "]");
    } else if (json_object_size(v) > 0) {
        const char *before = "{";
        for (void *i = json_object_iter((json_t *)(uintptr_t)v); i != NULL;
             i = json_object_iter_next((json_t *)(uintptr_t)v, i), before = ", ") {
            buf_printf(out, "%s%s: ", before, json_object_iter_key(i));
            write_flow(json_object_iter_value(i), out);
        }
        buf_append_str(out, "}");
    } else {
        char *dumped = json_dumps(v, JSON_ENCODE_ANY);
        buf_append_str(out, dumped);
        free(dumped);
    }
}

static void write_block(const json_t *object, unsigned depth, struct buf *out)
{
    enum { BLOCK_DEPTH = 2 }; /* below that, a value is on one line */
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (depth == 0 && (strcmp(key, "message_type") == 0 || strcmp(key, "file") == 0))
            continue;
        bool is_comment = depth == BLOCK_DEPTH && strcmp(key, "next") == 0;
        bool is_block = depth < BLOCK_DEPTH && json_is_object(value) &&
                        (depth == 1 || strcmp(key, "destinations") == 0 || strcmp(key, "tiers") == 0);
        buf_printf(out, "%*s%s%s:%s", (int)depth * 2, "", is_comment ? "# " : "", key, is_block ? "\n" : " ");
        if (is_block) {
            write_block(value, depth + 1, out);
        } else {
            write_flow(value, out);
            buf_append_str(out, "\n");
        }
    }
}

void config_view_text(const json_t *view, struct buf *out)
{
    buf_printf(out, "# %s\n", json_string_value(json_object_get(view, "file")));
    write_block(view, 0, out);
}
