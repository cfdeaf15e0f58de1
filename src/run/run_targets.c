/* The destinations of one tier's run. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "run/run_internal.h"

static bool is_adopted(const struct run_options *o, const char *name)
{
    return o->adopt != NULL && strlist_contains(o->adopt, name);
}

/* What is the same for every tier is said with the first. */
static void warn_once(struct tier_run *t, const char *message)
{
    if (strlist_contains(&t->run->said, message))
        return;
    strlist_add(&t->run->said, message);
    tier_warn(t, "%s", message);
}

void run_targets_check(struct tier_run *t)
{
    const struct run_options *o = t->run->options;
    struct strlist sources = {0};
    destination_sources(t->tier, &sources);
    t->targets = mem_zalloc((t->tier->to.count + 1) * sizeof *t->targets);
    for (size_t i = 0; i < t->tier->to.count; i++) {
        struct target *target = &t->targets[t->target_count++];
        const char *name = t->tier->to.items[i];
        target->destination = plan_destination_find(o->plan, name);
        const struct destination_options options = {
            .state_dir = o->state_dir, .sources = &sources, .adopt = is_adopted(o, name), .look_only = o->dry_run};
        destination_check(target->destination, &options, &target->check);
        for (size_t k = 0; k < target->check.warnings.count; k++)
            warn_once(t, target->check.warnings.items[k]);
        target->usable = true;
        if (target->check.problem == DESTINATION_NO_SPACE && target->check.has_repository && !o->dry_run) {
            make_room(t, target);
            destination_check_release(&target->check);
            destination_check(target->destination, &options, &target->check);
        }
        if (target->check.problem != DESTINATION_OK)
            target_failed(t, target, &target->check.err);
    }
    strlist_release(&sources);
}

size_t run_targets_usable(const struct tier_run *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->target_count; i++)
        n += t->targets[i].usable;
    return n;
}

void target_failed(struct tier_run *t, struct target *target, const struct err *why)
{
    if (!target->usable)
        return;
    target->usable = false;
    target->err = *why;
    if (why->code == ERR_INTERRUPTED)
        return;
    /* What the only one failed of fails the tier. In quotes: a name like 'd' stands in many a word. */
    char *quoted = mem_printf("'%s'", target->destination->name);
    const char *said = strstr(why->message, quoted) != NULL ? "" : quoted;
    const char *label = *said != '\0' ? "destination " : "", *colon = *said != '\0' ? ": " : "";
    if (t->tier->to.count == 1)
        tier_fail(t, "%s%s%s%s", label, said, colon, why->message);
    else
        tier_warn(t, "%s%s%s%s", label, said, colon, why->message);
    free(quoted);
}

int target_check_again(struct tier_run *t, struct target *target, struct err *err)
{
    const struct run_options *o = t->run->options;
    struct destination_check now;
    const struct destination_options options = {.state_dir = o->state_dir, .look_only = true};
    destination_check(target->destination, &options, &now);
    int rc = now.problem == DESTINATION_OK ? 0 : -1;
    if (rc != 0)
        *err = now.err;
    destination_check_release(&now);
    return rc;
}

int run_open_destination(struct run *run, const struct plan_destination *d, bool create, struct repo **out,
                         struct err *err)
{
    const struct plan *p = run->options->plan;
    return destination_open_again(p, d, &run->kept[d - p->destinations], run->options->cache_dir, create, out, err);
}

static int open_target(struct tier_run *t, struct target *target, struct repo **out, struct err *err)
{
    const struct run_options *o = t->run->options;
    bool create = !target->check.has_repository && !o->dry_run;
    if (target_check_again(t, target, err) != 0 ||
        run_open_destination(t->run, target->destination, create, out, err) != 0)
        return -1;
    if (!o->dry_run && destination_remember(target->destination, o->state_dir, &(*out)->config.id, err) != 0) {
        repo_free(*out);
        return -1;
    }
    target->check.has_repository = true;
    return 0;
}

int target_open_repo(void *ctx, struct repo **out, struct err *err)
{
    struct target_open *o = ctx;
    int rc = open_target(o->run, o->target, out, err);
    o->failed = rc != 0;
    return rc;
}

struct repo *target_repo(struct tier_run *t, struct target *target)
{
    struct err err = {0};
    if (target->repo == NULL && open_target(t, target, &target->repo, &err) != 0) {
        target->repo = NULL;
        target_failed(t, target, &err);
    }
    return target->repo;
}

void run_targets_release(struct tier_run *t)
{
    for (size_t i = 0; i < t->target_count; i++) {
        repo_free(t->targets[i].repo);
        destination_check_release(&t->targets[i].check);
        free(t->targets[i].ids);
        free(t->targets[i].archive);
    }
    free(t->targets);
}
