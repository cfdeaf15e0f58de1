/* Sources on their way: their reports, what was read of them. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "run/run_internal.h"
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

static void free_paths(struct unit *u)
{
    for (size_t i = 0; i < u->path_count; i++)
        free(u->paths[i].path);
    free(u->paths);
    u->paths = NULL;
    u->path_count = 0;
}

static void free_dumps(struct record_dump *dumps, size_t from, size_t count)
{
    for (size_t i = from; i < count; i++)
        free(dumps[i].path);
}

void unit_take_sizes(struct unit *u, struct source *watched)
{
    if (u->source->kind == TIER_FILES) {
        free_paths(u);
        u->paths = watched_source_take_paths(watched, RECORD_PATHS_MAX, &u->path_count);
    } else if (u->dumps == NULL) {
        u->dumps = watched_source_take_dumps(watched, &u->dump_count);
    }
}

void unit_hand_over_sizes(struct unit *u, struct record_source *to)
{
    to->paths = u->paths;
    to->path_count = u->path_count;
    u->paths = NULL;
    u->path_count = 0;
    if (!u->done)
        return;
    to->dumps = u->dumps;
    to->dump_count = u->dump_count < RECORD_DUMPS_MAX ? u->dump_count : RECORD_DUMPS_MAX;
    free_dumps(u->dumps, to->dump_count, u->dump_count);
    u->dumps = NULL;
    u->dump_count = 0;
}

void unit_free_sizes(struct unit *u)
{
    free_paths(u);
    free_dumps(u->dumps, 0, u->dump_count);
    free(u->dumps);
}

void unit_failed(struct tier_run *t, struct unit *u, const struct err *why)
{
    if (u->err.code != ERR_NONE)
        return;
    u->err = *why;
    if (strstr(why->message, u->source->label) == NULL)
        err_wrap(&u->err, "%s", u->source->label);
    if (why->code != ERR_INTERRUPTED)
        tier_fail(t, "%s", u->err.message);
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
