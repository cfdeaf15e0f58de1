/* The state members of jobs.json: lastRunAtMs, lastStatus, lastDurationMs. They are for people and for other programs;
 * we ourselves rely on the run logs and the memory. So they are written together, seldom, and not at all where that is
 * not possible. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/loop_internal.h"
#include "os/clock.h"

enum { EVERY_MS = 1000, AFTER_TROUBLE_MS = 10 * 1000, SHARE = 20 };

static struct state_change *change_of(struct state_changes *c, const char *id)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->items[i].id, id) == 0)
            return &c->items[i];
    c->items = mem_array(c->items, c->count + 1, sizeof *c->items);
    c->items[c->count] = (struct state_change){.id = mem_strdup(id)};
    return &c->items[c->count++];
}

static void forget(struct state_changes *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->items[i].id);
    free(c->items);
    c->items = NULL;
    c->count = 0;
    c->due_ns = UINT64_MAX;
}

static void apply(struct loop *l, const struct state_change *c)
{
    for (size_t i = 0; i < l->file.jobs.count; i++) {
        struct job *job = &l->file.jobs.items[i];
        if (strcmp(job->id, c->id) != 0)
            continue;
        job->last_run_ms = c->last_run_ms;
        job->last_status = c->status;
        job->last_duration_ms = c->duration_ms;
        return;
    }
}

void loop_state_set(struct loop *l, const struct job *job, int64_t began_ms, enum job_status status,
                    uint64_t duration_ms)
{
    struct state_change *change = change_of(&l->changes, job->id);
    change->last_run_ms = began_ms;
    change->status = status;
    change->duration_ms = duration_ms;
    change->disable = change->disable || (job->delete_after_run && job->schedule.kind == SCHEDULE_AT);
    if (l->changes.due_ns == UINT64_MAX) {
        uint64_t soon = loop_in_ms(EVERY_MS);
        l->changes.due_ns = soon > l->changes.not_before_ns ? soon : l->changes.not_before_ns;
    }
    apply(l, change);
}

void loop_state_apply(struct loop *l)
{
    for (size_t i = 0; i < l->changes.count; i++)
        apply(l, &l->changes.items[i]);
}

static int write_changes(struct loop *l, struct err *err)
{
    struct state_changes *c = &l->changes;
    struct jobs_change *changes = mem_array(NULL, c->count, sizeof *changes);
    for (size_t i = 0; i < c->count; i++)
        changes[i] = (struct jobs_change){.id = c->items[i].id,
                                          .set_enabled = c->items[i].disable,
                                          .enabled = false,
                                          .set_state = true,
                                          .last_run_ms = c->items[i].last_run_ms,
                                          .last_status = c->items[i].status,
                                          .last_duration_ms = c->items[i].duration_ms};
    int rc = jobs_file_change(l->options.jobs_file, changes, c->count, loop_time().wall_ms, err);
    free(changes);
    return rc;
}

void loop_state_tick(struct loop *l, bool all)
{
    struct state_changes *c = &l->changes;
    struct err err = {0};
    uint64_t before = os_monotonic_ns();
    if (c->count == 0 || (!all && before < c->due_ns))
        return;
    if (write_changes(l, &err) == 0) {
        uint64_t took_ms = (os_monotonic_ns() - before) / 1000000;
        forget(c);
        /* A long list on a slow disk must not keep us busy with this. */
        if (took_ms * SHARE > EVERY_MS)
            c->not_before_ns = loop_in_ms(took_ms * SHARE);
        if (loop_said_well(&c->said))
            loop_say(LOG_LEVEL_INFO, "the state of jobs in '%s' is written again", l->options.jobs_file);
        return;
    }
    /* Torn by an editor, or gone: that is said when it is read. */
    if (err.code != ERR_CORRUPT && err.code != ERR_NOT_FOUND && err.code != ERR_CHANGED) {
        char *text = mem_printf("the state of jobs cannot be written: %s; jobs go on", err.message);
        loop_say_trouble(&c->said, LOG_LEVEL_WARNING, text);
        free(text);
    }
    c->due_ns = loop_in_ms(err.code == ERR_CHANGED ? EVERY_MS : AFTER_TROUBLE_MS);
}

void loop_state_release(struct loop *l)
{
    forget(&l->changes);
    loop_said_well(&l->changes.said);
}
