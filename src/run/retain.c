/*
 * Retention after a run. What keeps it from doing harm:
 *
 *   - it is only asked when every source was stored whole, and only of destinations that have all of it, confirmed;
 *   - nothing is removed in a run in which a dump shrank, even where that is only worth a word;
 *   - snapshots of dumps that were too small ("suspect"), and those that their run could not confirm, count for
 *     themselves and push out nothing good;
 *   - what the last run made that was wholly fine is not removed while the present one is not;
 *   - what is from the future (the clock was wrong once) neither counts nor goes: else it would push out all that is
 *     new; and after a leap of the clock nothing goes until it has proved true (run/clock_leap.h);
 *   - the engine never removes the last snapshot of a group.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/forget.h"
#include "os/clock.h"
#include "plan/schedule.h"
#include "run/clock_leap.h"
#include "run/run_internal.h"
#include "run/tidy_state.h"

/*
 * What is one kind of thing in the course of time. The files of a tier are, whatever their paths were: else a workspace
 * that is added would begin a new group, and what was kept before would stay for ever. All other sources are told apart
 * by their path, which names a repository, a database or a command; one that is gone keeps what its policy kept last.
 */
enum kind { KIND_FILES, KIND_NAMED, KIND_SUSPECT, KIND_COUNT };

struct chosen {
    const char *host;
    char *tier_tag, *protected_run; /* NULL: none */
    struct strlist unconfirmed;     /* IDs; of other destinations, too */
    enum kind kind;
    struct timespec now;
};

static enum kind kind_of(const struct chosen *c, const struct snapshot *s)
{
    char hex[ID_HEX_BYTES];
    if (strlist_contains(&s->tags, RUN_SUSPECT_TAG) || strlist_contains(&c->unconfirmed, id_to_hex(&s->id, hex)))
        return KIND_SUSPECT;
    return strlist_contains(&s->tags, RUN_FILES_TAG) ? KIND_FILES : KIND_NAMED;
}

static bool is_future(const struct timespec *t, const struct timespec *now)
{
    return t->tv_sec != now->tv_sec ? t->tv_sec > now->tv_sec : t->tv_nsec > now->tv_nsec;
}

static bool is_of_tier(const struct chosen *c, const struct snapshot *s)
{
    return !is_future(&s->time, &c->now) && s->hostname != NULL && strcmp(s->hostname, c->host) == 0 &&
           strlist_contains(&s->tags, c->tier_tag) &&
           (c->protected_run == NULL || !strlist_contains(&s->tags, c->protected_run));
}

static bool is_chosen(void *ctx, const struct snapshot *s)
{
    const struct chosen *c = ctx;
    return is_of_tier(c, s) && kind_of(c, s) == c->kind;
}

static bool is_good_run(const struct tier_run *t)
{
    for (size_t i = 0; i < t->unit_count; i++)
        if (t->units[i].unreadable > 0)
            return false;
    return true;
}

/* Was all of it read, and has this destination got it? What else there was to complain of, such as a push, is no matter
 * here. An archive lacks a server that did not run; of snapshots each server has its own. */
static bool was_good(const struct record *r, const char *destination)
{
    bool there = false, whole = r->exit_code == 0 || r->source_count > 0;
    for (size_t i = 0; i < r->source_count; i++)
        whole = whole && r->sources[i].unreadable == 0;
    for (size_t i = 0; i < r->destination_count; i++)
        there = there || (strcmp(r->destinations[i].name, destination) == 0 && r->destinations[i].verified);
    return r->status == RECORD_COMPLETED && !r->incomplete && whole && there;
}

const struct record *retain_protected(const struct tier_run *t, const struct target *target, struct record_list *all)
{
    *all = (struct record_list){0};
    if (is_good_run(t) ||
        record_list_read(t->run->options->state_dir, t->tier->name, RECORD_KEPT_LINES, all, NULL) != 0)
        return NULL;
    for (size_t i = all->count; i-- > 0;)
        if (was_good(&all->items[i], target->destination->name))
            return &all->items[i];
    return NULL;
}

/* What a run stored here and could not confirm, as far back as records go: on the day after it would stand for its day,
 * and a good one would go for it. */
static void find_unconfirmed(const struct tier_run *t, const char *destination, struct strlist *ids)
{
    struct record_list all;
    if (record_list_read(t->run->options->state_dir, t->tier->name, RECORD_KEPT_LINES, &all, NULL) != 0)
        return;
    for (size_t i = 0; i < all.count; i++) {
        const struct record *r = &all.items[i];
        for (size_t k = 0; k < r->destination_count; k++)
            if (!r->destinations[k].verified && strcmp(r->destinations[k].name, destination) == 0)
                strlist_copy(ids, &r->snapshots);
    }
    record_list_release(&all);
}

static void choose(const struct tier_run *t, const struct target *target, struct chosen *out)
{
    struct record_list all;
    const struct record *good = retain_protected(t, target, &all);
    *out = (struct chosen){.host = t->run->options->plan->host, .now = os_now()};
    out->tier_tag = mem_printf("tier=%s", t->tier->name);
    out->protected_run = good != NULL && good->run_id != NULL ? mem_printf("run=%s", good->run_id) : NULL;
    record_list_release(&all);
    find_unconfirmed(t, target->destination->name, &out->unconfirmed);
}

bool retain_waits_for_clock(struct tier_run *t, const struct target *target, int64_t *times_s, size_t count)
{
    char gap[32];
    int64_t leap_s = clock_leap_s(times_s, count);
    if (leap_s == 0)
        return false;
    duration_format((uint64_t)leap_s / 3600 * 3600000, gap);
    tier_note(
        t,
        "destination '%s': what is old stays until runs have gone on for a while: before the last ones lies a gap "
        "of %s, and the clock may have leapt",
        target->destination->name, gap);
    return true;
}

/* How many there are of each kind: for most tiers that is one kind. None after a leap of the clock. */
static int count_kinds(struct tier_run *t, struct target *target, const struct chosen *chosen,
                       size_t counts[KIND_COUNT], struct err *err)
{
    struct snapshot_list all = {0};
    struct strlist broken = {0};
    int rc = repo_load_snapshots(target->repo, &all, &broken, err);
    int64_t *times_s = mem_array(NULL, all.count + 1, sizeof *times_s);
    size_t count = 0;
    for (size_t i = 0; rc == 0 && i < all.count; i++)
        if (is_of_tier(chosen, &all.items[i])) {
            times_s[count++] = all.items[i].time.tv_sec;
            counts[kind_of(chosen, &all.items[i])]++;
        }
    if (retain_waits_for_clock(t, target, times_s, count))
        memset(counts, 0, KIND_COUNT * sizeof *counts);
    free(times_s);
    for (size_t i = 0; i < broken.count; i++)
        tier_warn(t, "destination '%s': %s", target->destination->name, broken.items[i]);
    strlist_release(&broken);
    snapshot_list_release(&all);
    return rc;
}

static int forget_kind(struct tier_run *t, struct target *target, struct lock *lock, struct chosen *chosen,
                       struct err *err)
{
    struct forget_result result;
    const struct forget_options options = {.policy = t->tier->keep.policy,
                                           .grouping = {.host = true, .paths = chosen->kind != KIND_FILES},
                                           .match = is_chosen,
                                           .match_ctx = chosen};
    int rc = forget_run(target->repo, lock, &options, &result, err);
    target->removed += result.removed;
    forget_result_release(&result);
    return rc;
}

static int forget(struct tier_run *t, struct target *target, struct lock *lock, struct err *err)
{
    struct chosen chosen;
    size_t counts[KIND_COUNT] = {0};
    choose(t, target, &chosen);
    int rc = count_kinds(t, target, &chosen, counts, err);
    for (enum kind k = 0; rc == 0 && k < KIND_COUNT; k++) {
        chosen.kind = k;
        if (counts[k] > 1) /* the only one stays */
            rc = forget_kind(t, target, lock, &chosen, err);
    }
    free(chosen.tier_tag);
    free(chosen.protected_run);
    strlist_release(&chosen.unconfirmed);
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
    if (rc == 0)
        rc = forget(t, target, lock, &err);
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
