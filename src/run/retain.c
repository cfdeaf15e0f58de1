/*
 * Retention after a run. What keeps it from doing harm:
 *
 *   - it is only asked when every source was stored whole, and only of destinations that have all of it, confirmed;
 *   - nothing is removed in a run in which a dump shrank, even where that is only worth a word;
 *   - snapshots of dumps that were too small ("suspect") count for themselves and push out nothing good;
 *   - the snapshots of the last run that was wholly fine are not removed while the present one is not;
 *   - the engine never removes the last snapshot of a group.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/forget.h"
#include "os/clock.h"
#include "run/run_internal.h"
#include "run/tidy_state.h"

struct chosen {
    const char *host;
    char *tier_tag, *protected_run; /* NULL: none */
    bool suspects;                  /* these, and only these; else all others */
};

static bool is_chosen(void *ctx, const struct snapshot *s)
{
    const struct chosen *c = ctx;
    return s->hostname != NULL && strcmp(s->hostname, c->host) == 0 && strlist_contains(&s->tags, c->tier_tag) &&
           strlist_contains(&s->tags, RUN_SUSPECT_TAG) == c->suspects &&
           (c->protected_run == NULL || !strlist_contains(&s->tags, c->protected_run));
}

static bool is_good_run(const struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count; i++)
        if (t->units[i].unreadable > 0)
            return false;
    return true;
}

static void choose(const struct tier_run *t, bool suspects, struct chosen *out)
{
    const struct record *good = is_good_run(t) ? NULL : record_last_good(&t->history, 0);
    *out = (struct chosen){.host = t->run->options->plan->host, .suspects = suspects};
    out->tier_tag = mem_printf("tier=%s", t->tier->name);
    out->protected_run = good != NULL && good->run_id != NULL ? mem_printf("run=%s", good->run_id) : NULL;
}

static int forget(struct tier_run *t, struct target *target, struct lock *lock, bool suspects, struct err *err)
{
    struct chosen chosen;
    struct forget_result result;
    choose(t, suspects, &chosen);
    const struct forget_options options = {.policy = t->tier->keep.policy,
                                           .grouping = {.host = true, .paths = true},
                                           .match = is_chosen,
                                           .match_ctx = &chosen};
    int rc = forget_run(target->repo, lock, &options, &result, err);
    target->removed += result.removed;
    for (size_t i = 0; i < result.broken.count; i++)
        tier_warn(t, "destination '%s': %s", target->destination->name, result.broken.items[i]);
    forget_result_release(&result);
    free(chosen.tier_tag);
    free(chosen.protected_run);
    return rc;
}

static void prune_if_worth_it(struct tier_run *t, struct target *target, struct lock *lock)
{
    const char *state_dir = t->run->options->state_dir, *name = target->destination->name;
    struct timespec now = os_now();
    int64_t now_ms = (int64_t)now.tv_sec * 1000;
    uint64_t free_bytes = 0, total_bytes = 0;
    struct tidy_state state;
    struct err err = {0};
    tidy_state_read(state_dir, name, &state);
    state.removed += target->removed;
    destination_space(target->destination, &free_bytes, &total_bytes);
    if (tidy_worth_it(&state, now_ms, free_bytes, total_bytes, target->destination->reserve_bytes)) {
        if (prune_target(t, target, target->repo, lock, true, &err) == 0) {
            state = (struct tidy_state){.last_prune_ms = now_ms};
        } else {
            t->degraded = true;
            tier_warn(t, "destination '%s' cannot be pruned: %s", name, err.message);
        }
    }
    if (state.removed > 0 || target->pruned)
        tidy_state_write(state_dir, name, &state);
}

static void repository_retain(struct tier_run *t, struct target *target)
{
    struct lock *lock = NULL;
    struct err err = {0};
    if (target_repo(t, target) == NULL)
        return;
    int rc = lock_acquire(&lock, target->repo, true, t->run->options->retry_lock_ms, &err);
    if (rc != 0 && err.code == ERR_LOCKED) {
        tier_note(t, "destination '%s' is in use: what is old is removed another time (%s)", target->destination->name,
                  err.message);
        return;
    }
    if (rc == 0) {
        rc = forget(t, target, lock, false, &err);
        if (rc == 0)
            rc = forget(t, target, lock, true, &err);
    }
    if (rc == 0)
        prune_if_worth_it(t, target, lock);
    lock_release(lock);
    if (rc == 0)
        return;
    t->degraded = true;
    tier_warn(t, "destination '%s': what is old cannot be removed: %s", target->destination->name, err.message);
}

/* Has it all of this run, proved? */
static bool is_safe(const struct tier_run *t, const struct target *target)
{
    for (size_t i = 0; target->ids != NULL && i < t->unit_count; i++)
        if (t->units[i].done && id_is_zero(&target->ids[i]))
            return false;
    return target->usable && target->verified;
}

void retain_all(struct tier_run *t)
{
    bool anything = !t->tier->keep.all && !retention_is_empty(&t->tier->keep.policy);
    if (!anything || tier_has_suspects(t))
        return;
    atomic_store(&t->run->progress->in_engine, true);
    for (size_t i = 0; i < t->target_count && !tier_interrupted(t); i++) {
        struct target *target = &t->targets[i];
        atomic_store(&t->run->progress->destination, target->destination->name);
        if (!is_safe(t, target))
            continue;
        if (t->tier->format == PLAN_ARCHIVE)
            archive_retain(t, target);
        else
            repository_retain(t, target);
    }
    atomic_store(&t->run->progress->in_engine, false);
}
