#include "run/installed.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"

enum { FILE_MAX_BYTES = 1 << 20 };

static const char *const NAMES[VIA_COUNT] = {
    [VIA_OPENCLAW] = "openclaw", [VIA_DAEMON] = "daemon", [VIA_SYSTEMD] = "systemd", [VIA_CRON] = "cron"};

const char *schedule_via_name(enum schedule_via via)
{
    return NAMES[via];
}

/* --- what belongs to whom --- */

static void trigger_release(struct installed_trigger *t)
{
    free(t->id);
    free(t->name);
    free(t->ref);
    free((char *)(uintptr_t)t->schedule.cron_text);
    free(t->schedule.zone);
    strlist_release(&t->argv);
}

static void drop_triggers(struct installed_item *item)
{
    for (size_t i = 0; i < item->trigger_count; i++)
        trigger_release(&item->triggers[i]);
    free(item->triggers);
    item->triggers = NULL;
    item->trigger_count = 0;
}

void installed_item_release(struct installed_item *item)
{
    drop_triggers(item);
    free(item->detail);
    free(item->program);
    free(item->home);
    *item = (struct installed_item){0};
}

void installed_release(struct installed *i)
{
    for (size_t k = 0; k < i->count; k++)
        installed_item_release(&i->items[k]);
    free(i->items);
    *i = (struct installed){0};
}

struct installed_item *installed_find(const struct installed *i, enum schedule_via via)
{
    for (size_t k = 0; k < i->count; k++)
        if (i->items[k].via == via)
            return &i->items[k];
    return NULL;
}

struct installed_item *installed_add(struct installed *i, enum schedule_via via)
{
    struct installed_item *there = installed_find(i, via);
    if (there != NULL)
        return there;
    i->items = mem_array(i->items, i->count + 1, sizeof *i->items);
    there = &i->items[i->count++];
    *there = (struct installed_item){.via = via};
    return there;
}

void installed_remove(struct installed *i, enum schedule_via via)
{
    struct installed_item *there = installed_find(i, via);
    if (there == NULL)
        return;
    installed_item_release(there);
    size_t at = (size_t)(there - i->items);
    memmove(there, there + 1, (i->count - at - 1) * sizeof *there);
    i->count--;
}

static char *copy(const char *s)
{
    return s == NULL ? NULL : mem_strdup(s);
}

void installed_set_triggers(struct installed_item *item, const struct trigger_list *triggers)
{
    drop_triggers(item);
    item->triggers = mem_array(NULL, triggers->count, sizeof *item->triggers);
    for (size_t i = 0; i < triggers->count; i++) {
        const struct trigger *t = &triggers->items[i];
        struct installed_trigger *to = &item->triggers[item->trigger_count++];
        *to = (struct installed_trigger){
            .id = mem_strdup(t->id), .name = copy(t->name), .schedule = t->schedule, .timeout_ms = t->timeout_ms};
        to->schedule.zone = copy(t->schedule.zone);
        to->schedule.cron_text = copy(t->schedule.cron_text);
        strlist_copy(&to->argv, &t->argv);
    }
}

/* --- comparing --- */

static bool same_schedule(const struct schedule *a, const struct schedule *b)
{
    return a->kind == b->kind && a->every_ms == b->every_ms && a->anchor_ms == b->anchor_ms && a->at_ms == b->at_ms &&
           mem_same_string(a->zone, b->zone) && mem_same_string(a->cron_text, b->cron_text);
}

bool installed_matches(const struct installed_item *item, const struct trigger_list *triggers)
{
    if (item->trigger_count != triggers->count)
        return false;
    for (size_t i = 0; i < triggers->count; i++) {
        const struct installed_trigger *a = &item->triggers[i];
        const struct trigger *b = &triggers->items[i];
        if (!mem_same_string(a->id, b->id) || !mem_same_string(a->name, b->name) ||
            !same_schedule(&a->schedule, &b->schedule) || !strlist_equal(&a->argv, &b->argv) ||
            a->timeout_ms != b->timeout_ms)
            return false;
    }
    return true;
}

/* --- schedules --- */

json_t *installed_schedule_json(const struct schedule *s)
{
    json_t *j = json_object();
    switch (s->kind) {
    case SCHEDULE_EVERY:
        json_object_set_new(j, "kind", json_string("every"));
        json_object_set_new(j, "everyMs", json_integer((json_int_t)s->every_ms));
        if (s->anchor_ms != 0)
            json_object_set_new(j, "anchorMs", json_integer(s->anchor_ms));
        break;
    case SCHEDULE_CRON:
        json_object_set_new(j, "kind", json_string("cron"));
        json_object_set_new(j, "expr", json_string(s->cron_text));
        if (s->zone != NULL)
            json_object_set_new(j, "tz", json_string(s->zone));
        break;
    case SCHEDULE_AT:
        json_object_set_new(j, "kind", json_string("at"));
        json_object_set_new(j, "atMs", json_integer(s->at_ms));
        break;
    default:
        json_object_set_new(j, "kind", json_string("none"));
    }
    return j;
}

static int schedule_from_json(json_t *j, struct schedule *out)
{
    const char *kind = json_string_value(json_object_get(j, "kind"));
    const char *expr = json_string_value(json_object_get(j, "expr"));
    if (kind == NULL)
        return -1;
    if (strcmp(kind, "every") == 0) {
        json_int_t every = json_integer_value(json_object_get(j, "everyMs"));
        *out = (struct schedule){.kind = SCHEDULE_EVERY,
                                 .every_ms = every > 0 ? (uint64_t)every : 0,
                                 .anchor_ms = json_integer_value(json_object_get(j, "anchorMs"))};
        return every > 0 ? 0 : -1;
    }
    if (strcmp(kind, "at") == 0) {
        *out = (struct schedule){.kind = SCHEDULE_AT, .at_ms = json_integer_value(json_object_get(j, "atMs"))};
        return 0;
    }
    struct cron cron;
    if (strcmp(kind, "cron") != 0 || expr == NULL || cron_parse(expr, &cron, NULL) < 0)
        return -1;
    *out = (struct schedule){.kind = SCHEDULE_CRON,
                             .cron = cron,
                             .cron_text = mem_strdup(expr),
                             .zone = copy(json_string_value(json_object_get(j, "tz")))};
    return 0;
}

char *installed_schedule_text(const struct schedule *s)
{
    char shown[OS_TIME_BYTES];
    switch (s->kind) {
    case SCHEDULE_EVERY:
        duration_format(s->every_ms, shown);
        return mem_printf("every %s", shown);
    case SCHEDULE_CRON:
        return s->zone == NULL ? mem_printf("cron %s", s->cron_text)
                               : mem_printf("cron %s (%s)", s->cron_text, s->zone);
    case SCHEDULE_AT: {
        const struct timespec at = {.tv_sec = s->at_ms / 1000};
        return mem_printf("at %s", os_time_format_human(&at, shown));
    }
    default:
        return mem_strdup("only when named");
    }
}

/* --- the file --- */

static void set_text(json_t *j, const char *key, const char *value)
{
    if (value != NULL)
        json_object_set_new(j, key, json_string(value));
}

static json_t *trigger_json(const struct installed_trigger *t)
{
    json_t *j = json_object(), *argv = json_array();
    set_text(j, "id", t->id);
    set_text(j, "name", t->name);
    json_object_set_new(j, "schedule", installed_schedule_json(&t->schedule));
    for (size_t i = 0; i < t->argv.count; i++)
        json_array_append_new(argv, json_string(t->argv.items[i]));
    json_object_set_new(j, "argv", argv);
    json_object_set_new(j, "timeoutMs", json_integer((json_int_t)t->timeout_ms));
    set_text(j, "ref", t->ref);
    return j;
}

static json_t *item_json(const struct installed_item *item)
{
    json_t *j = json_object(), *triggers = json_array();
    set_text(j, "via", schedule_via_name(item->via));
    json_object_set_new(j, "watchdog", json_boolean(item->watchdog));
    json_object_set_new(j, "enabled", json_boolean(item->enabled));
    json_object_set_new(j, "placeholder", json_boolean(item->placeholder));
    json_object_set_new(j, "sinceMs", json_integer(item->since_ms));
    set_text(j, "detail", item->detail);
    set_text(j, "program", item->program);
    set_text(j, "home", item->home);
    for (size_t i = 0; i < item->trigger_count; i++)
        json_array_append_new(triggers, trigger_json(&item->triggers[i]));
    json_object_set_new(j, "triggers", triggers);
    return j;
}

int installed_write(const char *state_dir, const struct installed *i, struct err *err)
{
    json_t *items = json_array();
    for (size_t k = 0; k < i->count; k++)
        json_array_append_new(items, item_json(&i->items[k]));
    json_t *doc = json_pack("{s:i, s:o}", "version", 1, "installed", items);
    char *text = json_dumps(doc, JSON_INDENT(2)), *path = os_path_join(state_dir, "schedule.json");
    int rc = os_make_dirs(state_dir, 0700, err);
    if (rc == 0)
        rc = os_write_file_atomic(path, text, strlen(text), 0600, err);
    if (rc < 0)
        err_wrap(err, "cannot remember what was installed");
    free(path);
    free(text);
    json_decref(doc);
    return rc;
}

static int read_trigger(json_t *j, struct installed_item *item)
{
    const char *id = json_string_value(json_object_get(j, "id"));
    struct schedule schedule;
    if (id == NULL || schedule_from_json(json_object_get(j, "schedule"), &schedule) < 0)
        return -1;
    item->triggers = mem_array(item->triggers, item->trigger_count + 1, sizeof *item->triggers);
    struct installed_trigger *t = &item->triggers[item->trigger_count++];
    json_int_t timeout = json_integer_value(json_object_get(j, "timeoutMs"));
    *t = (struct installed_trigger){.id = mem_strdup(id),
                                    .name = copy(json_string_value(json_object_get(j, "name"))),
                                    .schedule = schedule,
                                    .timeout_ms = timeout > 0 ? (uint64_t)timeout : 0,
                                    .ref = copy(json_string_value(json_object_get(j, "ref")))};
    size_t n;
    json_t *word;
    json_array_foreach(json_object_get(j, "argv"), n, word) if (json_is_string(word))
        strlist_add(&t->argv, json_string_value(word));
    return t->argv.count > 0 ? 0 : -1;
}

static int read_item(json_t *j, struct installed *out)
{
    const char *name = json_string_value(json_object_get(j, "via"));
    int via = 0;
    while (via < VIA_COUNT && (name == NULL || strcmp(name, NAMES[via]) != 0))
        via++;
    if (via == VIA_COUNT || installed_find(out, (enum schedule_via)via) != NULL)
        return -1;
    struct installed_item *item = installed_add(out, (enum schedule_via)via);
    item->watchdog = json_is_true(json_object_get(j, "watchdog"));
    item->enabled = json_is_true(json_object_get(j, "enabled"));
    item->placeholder = json_is_true(json_object_get(j, "placeholder"));
    item->since_ms = json_integer_value(json_object_get(j, "sinceMs"));
    item->detail = copy(json_string_value(json_object_get(j, "detail")));
    item->program = copy(json_string_value(json_object_get(j, "program")));
    item->home = copy(json_string_value(json_object_get(j, "home")));
    size_t n;
    json_t *t;
    json_array_foreach(json_object_get(j, "triggers"), n, t) if (read_trigger(t, item) < 0) return -1;
    return 0;
}

static int read_document(const char *path, const struct buf *text, struct installed *out, struct err *err)
{
    json_t *doc = json_loadb((const char *)text->data, text->len, 0, NULL), *items = json_object_get(doc, "installed"),
           *j;
    size_t n;
    int rc = json_is_array(items) ? 0 : -1;
    if (rc == 0)
        json_array_foreach(items, n, j) if (rc == 0) rc = read_item(j, out);
    json_decref(doc);
    if (rc == 0)
        return 0;
    installed_release(out);
    err_set(err, ERR_CORRUPT, "'%s' is damaged", path);
    return err_advise(err, "remove it and run 'clawback schedule install' again");
}

int installed_read(const char *state_dir, struct installed *out, struct err *err)
{
    *out = (struct installed){0};
    char *path = os_path_join(state_dir, "schedule.json");
    struct err why = {0};
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    int rc = os_read_file(path, &text, &why);
    if (rc == 0)
        rc = read_document(path, &text, out, &why);
    if (rc < 0 && why.code == ERR_NOT_FOUND)
        rc = 0;
    else if (rc < 0 && err != NULL)
        *err = why;
    buf_release(&text);
    free(path);
    return rc;
}

static uint64_t period_of(const struct installed_item *item)
{
    uint64_t shortest = 0;
    for (size_t i = 0; item->enabled && !item->placeholder && i < item->trigger_count; i++) {
        const struct installed_trigger *t = &item->triggers[i];
        bool runs = t->schedule.kind == SCHEDULE_EVERY && strlist_contains(&t->argv, "run");
        if (runs && (shortest == 0 || t->schedule.every_ms < shortest))
            shortest = t->schedule.every_ms;
    }
    return shortest;
}

uint64_t installed_period_ms(const char *state_dir)
{
    struct installed all = {0};
    uint64_t shortest = 0;
    installed_read(state_dir, &all, NULL);
    for (size_t i = 0; i < all.count; i++) {
        uint64_t period = period_of(&all.items[i]);
        if (period != 0 && (shortest == 0 || period < shortest))
            shortest = period;
    }
    installed_release(&all);
    return shortest;
}
