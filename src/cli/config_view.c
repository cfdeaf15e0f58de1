#include "cli/config_view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/config_view_parts.h"
#include "os/clock.h"
#include "plan/config_values.h"

/* -------------------------------------------------------------------------------------------------------- small parts
 */

void view_put(json_t *object, const char *key, json_t *value)
{
    bool empty = (json_is_array(value) && json_array_size(value) == 0) ||
                 (json_is_object(value) && json_object_size(value) == 0);
    if (value == NULL || empty)
        json_decref(value);
    else
        json_object_set_new(object, key, value);
}

json_t *view_text(const char *s)
{
    return s != NULL ? cli_json_string(s, strlen(s)) : NULL;
}

json_t *view_texts(const struct strlist *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        json_array_append_new(array, view_text(list->items[i]));
    return array;
}

static json_t *flag(bool value, bool usual)
{
    return value != usual ? json_boolean(value) : NULL;
}

json_t *view_duration(uint64_t ms)
{
    char out[32];
    if (ms == 0)
        return NULL;
    duration_format(ms, out);
    return view_text(out);
}

json_t *view_size(uint64_t bytes)
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
    return view_text(out);
}

json_t *view_secret(const struct secret *s)
{
    switch (s->kind) {
    case SECRET_FILE:
        return json_pack("{s:o}", "file", view_text(s->name));
    case SECRET_COMMAND:
        return json_pack("{s:o}", "command", view_texts(&s->command));
    case SECRET_ENV:
        return json_pack("{s:o}", "env", view_text(s->name));
    case SECRET_CREDENTIAL:
        return json_pack("{s:o}", "credential", view_text(s->name));
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
    json_t *shown = view_text(hidden);
    free(hidden);
    return shown;
}

static json_t *hooks(const struct plan_hooks *h)
{
    json_t *o = json_object();
    view_put(o, "before", view_texts(&h->before));
    view_put(o, "after", view_texts(&h->after));
    view_put(o, "failure", view_texts(&h->failure));
    if (json_object_size(o) > 0)
        view_put(o, "timeout", view_duration(h->timeout_ms));
    return o;
}

/* -------------------------------------------------------------------------------------------------------- destinations
 */

static json_t *destination(const struct plan_destination *d)
{
    json_t *o = json_object();
    view_put(o, d->location[0] == '/' ? "path" : "repository", url(d->location));
    view_put(o, "require_mount", d->mount_point != NULL ? view_text(d->mount_point) : flag(d->require_mount, false));
    view_put(o, "reserve", d->reserve_bytes > 0 ? view_size(d->reserve_bytes) : view_text("0"));
    view_put(o, "allow_unencrypted", flag(d->allow_unencrypted, false));
    view_put(o, "limit_write", view_size(d->limit_write_bytes_per_s));
    view_put(o, "compression", view_text(d->compression));
    view_put(o, "passphrase", view_secret(&d->passphrase));
    return o;
}

/* --------------------------------------------------------------------------------------------------------------- tiers
 */

static json_t *git(const struct plan_tier *t)
{
    json_t *all = json_array();
    for (size_t i = 0; i < t->git_count; i++) {
        json_t *o = json_object();
        view_put(o, "path", view_text(t->git[i].path));
        view_put(o, "push", view_text(t->git[i].push));
        if (t->git[i].push != NULL)
            view_put(o, "timeout", view_duration(t->git[i].timeout_ms));
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
        view_put(o, "container", view_text(p->container));
        view_put(o, "url", url(p->url));
        view_put(o, "socket", view_text(p->socket));
        view_put(o, "user", view_text(p->user));
        view_put(o, "database", view_text(p->database));
        view_put(o, "password", view_secret(&p->password));
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
        view_put(o, "container", view_text(r->container));
        view_put(o, "url", url(r->url));
        view_put(o, "user", view_text(r->user));
        view_put(o, "password", view_secret(&r->password));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *commands(const struct plan_tier *t)
{
    json_t *all = json_array();
    for (size_t i = 0; i < t->command_count; i++) {
        json_t *o = json_object();
        view_put(o, "name", view_text(t->commands[i].name));
        view_put(o, "command", view_texts(&t->commands[i].command));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *archive(const struct plan_archive *a)
{
    static const char *const CODECS[] = {[PLAN_GZIP] = "gzip", [PLAN_ZSTD] = "zstd", [PLAN_UNCOMPRESSED] = "none"};
    json_t *o = json_object();
    view_put(o, "prefix", view_text(a->prefix));
    view_put(o, "compression", view_text(CODECS[a->codec]));
    view_put(o, "recipients", view_texts(&a->recipients));
    view_put(o, "encrypt", flag(!a->unencrypted, true));
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
    json_t *value = out.len > 0 ? view_text(buf_cstr(&out)) : NULL;
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
    view_put(o, "all", flag(k->all, false));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i].count != 0)
            view_put(o, counts[i].key, counts[i].count < 0 ? view_text("all") : json_integer(counts[i].count));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        view_put(o, times[i].key, within(times[i].time));
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
        view_put(o, "every", view_duration(s->every_ms));
    if (s->kind == SCHEDULE_CRON)
        view_put(o, "cron", view_text(s->cron_text));
    if (s->kind == SCHEDULE_AT)
        view_put(o, "at", time_text(s->at_ms));
    view_put(o, "timezone", view_text(s->zone));
    view_put(o, "enabled", flag(!t->disabled, true));
    if (!t->disabled)
        view_put(o, "next", next_times(s, now_ms));
}

static void put_files(json_t *o, const struct plan_tier *t)
{
    view_put(o, "files", view_texts(&t->files));
    view_put(o, "exclude", view_texts(&t->exclude));
    view_put(o, "exclude_if_present", view_texts(&t->exclude_if_present));
    view_put(o, "exclude_caches", flag(t->exclude_caches, false));
    view_put(o, "exclude_larger_than", view_size(t->exclude_larger_than));
    view_put(o, "one_file_system", flag(t->one_file_system, false));
    view_put(o, "agent_excludes", flag(!t->no_agent_excludes, true));
}

static json_t *retry(const struct plan_retry *r)
{
    json_t *o = json_object();
    if (r->times > 0) {
        view_put(o, "times", json_integer(r->times));
        view_put(o, "after", view_duration(r->after_ms));
    }
    return o;
}

static json_t *tier(const struct plan_tier *t, int64_t now_ms)
{
    json_t *o = json_object();
    bool dumps = t->postgres_count + t->redis_count + t->command_count + t->sqlite.count + t->git_count > 0;
    put_schedule(o, t, now_ms);
    put_files(o, t);
    view_put(o, "git", git(t));
    view_put(o, "postgres", postgres(t));
    view_put(o, "redis", redis(t));
    view_put(o, "sqlite", view_texts(&t->sqlite));
    view_put(o, "command", commands(t));
    if (dumps) {
        view_put(o, "when", view_text(t->when == PLAN_RUNNING ? "running" : "always"));
        view_put(o, "on_shrink", view_text(t->on_shrink == PLAN_SHRINK_WARN ? "warn" : "fail"));
        view_put(o, "timeout", view_duration(t->timeout_ms));
    }
    view_put(o, "format", view_text(t->format == PLAN_ARCHIVE ? "archive" : "repository"));
    if (t->format == PLAN_ARCHIVE)
        view_put(o, "archive", archive(&t->archive));
    view_put(o, "to", view_texts(&t->to));
    view_put(o, "keep", keep(&t->keep));
    view_put(o, "hooks", hooks(&t->hooks));
    view_put(o, "retry", retry(&t->retry));
    return o;
}

/* -----------------------------------------------------------------------------------------------------------------all
 */

json_t *config_view_json(const struct plan *p, int64_t now_ms)
{
    json_t *o = json_object(), *destinations = json_object(), *tiers = json_object(), *limits = json_object();
    for (size_t i = 0; i < p->destination_count; i++)
        view_put(destinations, p->destinations[i].name, destination(&p->destinations[i]));
    for (size_t i = 0; i < p->tier_count; i++)
        view_put(tiers, p->tiers[i].name, tier(&p->tiers[i], now_ms));
    if (p->cpus > 0)
        view_put(limits, "cpus", json_integer(p->cpus));
    view_put(limits, "read", view_size(p->limit_read_bytes_per_s));
    view_put(o, "message_type", view_text("plan"));
    view_put(o, "file", view_text(p->file));
    view_put(o, "home", view_text(p->home));
    view_put(o, "host", view_text(p->host));
    view_put(o, "passphrase", view_secret(&p->passphrase));
    view_put(o, "limits", limits);
    view_put(o, "hooks", hooks(&p->hooks));
    view_put(o, "health", view_health(&p->health));
    view_put(o, "alerts", view_alerts(&p->alerts));
    view_put(o, "destinations", destinations);
    view_put(o, "tiers", tiers);
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

/* Of the keys at the top: is it too long for one line? */
static bool has_block(const char *key)
{
    static const char *const KEYS[] = {"health", "alerts", "destinations", "tiers"};
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++)
        if (strcmp(key, KEYS[i]) == 0)
            return true;
    return false;
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
        bool is_block = depth < BLOCK_DEPTH && json_is_object(value) && (depth == 1 || has_block(key));
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
