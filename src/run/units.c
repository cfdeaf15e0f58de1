/* Sources on their way: their reports, their sizes. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "run/run_internal.h"
#include "run/size_rule.h"
#include "run/watched_source.h"

enum { UNREADABLE_NAMED_MAX = 20 };

static void on_unreadable(void *ctx, const char *path, const struct err *err)
{
    struct unit_report *r = ctx;
    pthread_mutex_lock(&r->run->run->mutex);
    uint64_t n = ++r->unit->unreadable;
    if (r->unit->source->kind == TIER_FILES && strlist_contains(&r->run->sources.files.paths, path))
        strlist_add(&r->unit->lost, path);
    if (r->first.code == ERR_NONE)
        r->first = *err;
    pthread_mutex_unlock(&r->run->run->mutex);
    if (n > UNREADABLE_NAMED_MAX)
        return;
    if (strstr(err->message, path) != NULL)
        tier_warn(r->run, "not backed up: %s", err->message);
    else
        tier_warn(r->run, "not backed up: %s: %s", path, err->message);
}

static void on_warning(void *ctx, const char *path, const char *what)
{
    struct unit_report *r = ctx;
    tier_warn(r->run, "%s: %s", path, what);
}

void unit_report_init(struct unit_report *r, struct tier_run *t, struct unit *u)
{
    *r = (struct unit_report){.run = t, .unit = u};
    r->reporter = (struct sink_reporter){.ctx = r, .unreadable = on_unreadable, .warning = on_warning};
}

void unit_opened(struct unit *u, const struct source *s)
{
    if (s->paths.count == 0)
        return;
    free(u->name);
    u->name = mem_strdup(s->paths.items[0]);
}

/* Of dumps the source's own size says it all. */
void unit_take_paths(struct unit *u, struct source *watched)
{
    unit_free_paths(u);
    if (u->source->kind == TIER_FILES)
        u->paths = watched_source_take_paths(watched, RECORD_PATHS_MAX, &u->path_count);
}

void unit_free_paths(struct unit *u)
{
    for (size_t i = 0; i < u->path_count; i++)
        free(u->paths[i].path);
    free(u->paths);
    u->paths = NULL;
    u->path_count = 0;
}

void unit_failed(struct tier_run *t, struct unit *u, const struct err *why)
{
    if (u->err.code != ERR_NONE)
        return;
    u->err = *why;
    if (strstr(why->message, u->source->label) == NULL)
        err_wrap(&u->err, "%s", u->source->label);
    if (why->code != ERR_INTERRUPTED)
        tier_warn(t, "%s", u->err.message);
}

void unit_missing(struct tier_run *t, struct unit *u, const struct err *why)
{
    if (!tier_source_is_absent(&t->sources, u->source, why)) {
        unit_failed(t, u, why);
        return;
    }
    u->absent = true;
    u->err = *why;
    tier_note(t, "%s skipped: %s", u->source->label, why->message);
}

/* Its size when it was last fine; 0: never. */
static uint64_t last_bytes(const struct record_list *history, const char *name)
{
    for (size_t i = history->count; i-- > 0;) {
        const struct record *r = &history->items[i];
        for (size_t k = 0; k < r->source_count; k++)
            if (r->sources[k].status == RECORD_COMPLETED && strcmp(r->sources[k].name, name) == 0)
                return r->sources[k].bytes;
    }
    return 0;
}

/* The recent past is at hand. What has failed all through it is looked for in all of the log: a size must not be taken
 * for right only because it has been wrong for long. */
static uint64_t known_bytes(const struct tier_run *t, const char *name)
{
    struct record_list all;
    uint64_t bytes = last_bytes(&t->history, name);
    if (bytes == 0 && record_list_read(t->run->options->state_dir, t->tier->name, RECORD_KEPT_LINES, &all, NULL) == 0) {
        bytes = last_bytes(&all, name);
        record_list_release(&all);
    }
    return bytes;
}

void unit_check_size(struct tier_run *t, struct unit *u)
{
    char why[SIZE_RULE_MESSAGE_BYTES];
    if (!tier_source_is_dump(u->source) || t->run->options->accept_size ||
        size_rule_check(u->bytes, known_bytes(t, u->name), why) == SIZE_FINE)
        return;
    u->suspect = true;
    u->suspect_ok = t->tier->on_shrink == PLAN_SHRINK_WARN;
    if (u->suspect_ok) {
        t->degraded = true;
        tier_warn(t, "%s is %s", u->source->label, why);
        return;
    }
    struct err err = {0};
    err_set(&err, ERR_FAILED,
            "it is %s; it is stored as '" RUN_SUSPECT_TAG "', and nothing older is removed; if that is right: clawback "
            "run %s --accept-size",
            why, t->tier->name);
    unit_failed(t, u, &err);
}

bool tier_has_suspects(const struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count; i++)
        if (t->units[i].suspect)
            return true;
    return false;
}
