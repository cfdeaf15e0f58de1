/* Getting space back in repositories. */
#include "base/bytes.h"
#include "engine/prune.h"
#include "os/clock.h"
#include "run/reserved_store.h"
#include "run/run_internal.h"
#include "run/tidy_state.h"

int prune_target(struct tier_run *t, struct target *target, struct repo *repo, struct lock *lock, bool repack,
                 struct err *err)
{
    struct prune_options options = {.max_repack_bytes = repack ? UINT64_MAX : 0};
    struct prune_result result;
    prune_limit_parse("5%", &options.max_unused, NULL);
    /* Pruning needs some space to make some: the reserve is what it is for. */
    reserved_store_lift(repo->store);
    index_free(repo->index);
    repo->index = NULL;
    int rc = prune_run(repo, lock, &options, NULL, &t->run->progress->engine, &result, err);
    target->pruned = target->pruned || rc == 0;
    char freed[BYTES_TEXT_BYTES];
    if (rc == 0 && !repack && result.bytes_before > result.bytes_after)
        tier_note(t, "destination '%s': %s that nothing needs were removed", target->destination->name,
                  bytes_text(result.bytes_before - result.bytes_after, freed));
    return rc;
}

/* A handle of its own: the target counts as failed. */
static int prune_full(struct tier_run *t, struct target *target, struct err *err)
{
    const struct run_options *o = t->run->options;
    struct tidy_state state;
    struct repo *repo;
    struct lock *lock;
    tidy_state_read(o->state_dir, target->destination->name, &state);
    if (run_open_destination(t->run, target->destination, false, &repo, err) != 0)
        return -1;
    int rc = lock_acquire(&lock, repo, true, o->retry_lock_ms, err);
    if (rc == 0) {
        rc = prune_target(t, target, repo, lock, state.removed > 0, err);
        lock_release(lock);
    }
    repo_free(repo);
    if (rc == 0 && state.removed > 0) {
        struct timespec now = os_now();
        state = (struct tidy_state){.last_prune_ms = (int64_t)now.tv_sec * 1000};
        tidy_state_write(o->state_dir, target->destination->name, &state);
    }
    return rc;
}

void make_room(struct tier_run *t, struct target *target)
{
    struct err err = {0};
    atomic_store(&t->run->progress->destination, target->destination->name);
    if (prune_full(t, target, &err) != 0)
        tier_note(t, "destination '%s': no room could be made: %s", target->destination->name, err.message);
}
