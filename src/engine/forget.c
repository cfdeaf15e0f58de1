#include "engine/forget.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/parallel.h"

/*
 * Groups.
 */

/* A snapshot and its group's name: bytes that are equal for all snapshots of the group. */
struct keyed {
    const struct snapshot *snapshot;
    struct buf key;
};

/* By group, then by time: the list is in order of time, and so are addresses within it. */
static int compare_keyed(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    int c = grouping_compare(&x->key, &y->key);
    return c != 0 ? c : (x->snapshot > y->snapshot) - (x->snapshot < y->snapshot);
}

static void make_groups(struct forget_result *out, const struct keyed *keyed, size_t count)
{
    out->entries = mem_zalloc((count + 1) * sizeof *out->entries);
    out->groups = mem_array(NULL, count + 1, sizeof *out->groups);
    for (size_t i = 0; i < count; i++) {
        const struct snapshot *s = keyed[i].snapshot;
        if (i == 0 || grouping_compare(&keyed[i].key, &keyed[i - 1].key) != 0)
            out->groups[out->group_count++] = (struct forget_group){.begin = i};
        out->groups[out->group_count - 1].end = i + 1;
        out->entries[out->entry_count++] = (struct forget_entry){
            .snapshot = s,
            .item = {.time = s->time, .utc_offset_s = s->utc_offset_s, .tags = &s->tags},
        };
    }
}

static void group_snapshots(struct forget_result *out, const struct forget_options *options)
{
    struct keyed *keyed = mem_zalloc((out->snapshots.count + 1) * sizeof *keyed);
    size_t count = 0;
    for (size_t i = 0; i < out->snapshots.count; i++) {
        const struct snapshot *s = &out->snapshots.items[i];
        if (options->match != NULL && !options->match(options->match_ctx, s))
            continue;
        keyed[count].snapshot = s;
        grouping_key(s, &options->grouping, &keyed[count++].key);
    }
    qsort(keyed, count, sizeof *keyed, compare_keyed);
    make_groups(out, keyed, count);
    for (size_t i = 0; i < count; i++)
        buf_release(&keyed[i].key);
    free(keyed);
}

/*
 * The policy.
 */

static int refuse_last(const struct forget_entry *newest, struct err *err)
{
    const struct snapshot *s = newest->snapshot;
    char hex[ID_HEX_BYTES];
    return err_set(
        err, ERR_USAGE,
        "the policy would remove every snapshot of host '%s'%s%.200s%s, and nothing was removed; the last one of a "
        "group goes only by its ID (%.8s)",
        s->hostname != NULL ? s->hostname : "", s->paths.count > 0 ? " with path '" : "",
        s->paths.count > 0 ? s->paths.items[0] : "", s->paths.count > 0 ? "'" : "", id_to_hex(&s->id, hex));
}

/* The policy works on bare items, in one piece. */
static int apply_policy(struct forget_result *out, const struct forget_group *g, const struct retention_policy *policy,
                        struct err *err)
{
    size_t count = g->end - g->begin, kept = 0;
    struct retention_item *items = mem_array(NULL, count, sizeof *items);
    for (size_t i = 0; i < count; i++)
        items[i] = out->entries[g->begin + i].item;
    retention_apply(policy, items, count);
    for (size_t i = 0; i < count; i++) {
        out->entries[g->begin + i].item = items[i]; /* the reasons with it */
        kept += items[i].keep;
        if (!items[i].keep)
            out->remove[out->remove_count++] = out->entries[g->begin + i].snapshot->id;
    }
    free(items);
    return kept > 0 ? 0 : refuse_last(&out->entries[g->end - 1], err);
}

static int plan_by_policy(struct forget_result *out, const struct forget_options *options, struct err *err)
{
    if (retention_is_empty(&options->policy))
        return err_set(err, ERR_USAGE,
                       "no policy and no snapshot was given, and nothing was removed; say what to keep "
                       "(--keep-last, --keep-daily, …) or which snapshots to remove");
    group_snapshots(out, options);
    out->remove = mem_array(NULL, out->entry_count + 1, sizeof *out->remove);
    for (size_t i = 0; i < out->group_count; i++)
        if (apply_policy(out, &out->groups[i], &options->policy, err) != 0)
            return -1;
    return 0;
}

/* A snapshot that cannot be read has no entry, but can be removed. */
static void plan_by_ids(struct forget_result *out, const struct forget_options *options)
{
    out->entries = mem_zalloc((options->id_count + 1) * sizeof *out->entries);
    out->remove = mem_array(NULL, options->id_count + 1, sizeof *out->remove);
    for (size_t i = 0; i < options->id_count; i++) {
        bool seen = false;
        for (size_t k = 0; k < out->remove_count && !seen; k++)
            seen = id_equal(&out->remove[k], &options->ids[i]);
        if (seen)
            continue;
        out->remove[out->remove_count++] = options->ids[i];
        for (size_t k = 0; k < out->snapshots.count; k++)
            if (id_equal(&out->snapshots.items[k].id, &options->ids[i]))
                out->entries[out->entry_count++].snapshot = &out->snapshots.items[k];
    }
}

static int remove_snapshots(struct repo *r, struct lock *lock, struct forget_result *out, struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (out->remove_count > 0 && lock_prove(lock, err) != 0)
        return -1;
    for (size_t i = 0; i < out->remove_count; i++) {
        struct err this = {0};
        if (engine_check_stop(lock, err) != 0)
            return -1;
        id_to_hex(&out->remove[i], hex);
        if (store_remove(r->store, STORE_SNAPSHOT, hex, &this) != 0 && this.code != ERR_NOT_FOUND) {
            if (err != NULL)
                *err = this;
            return err_wrap(err, "cannot remove snapshot %.8s", hex);
        }
        out->removed++;
    }
    return 0;
}

int forget_run(struct repo *r, struct lock *lock, const struct forget_options *options, struct forget_result *out,
               struct err *err)
{
    *out = (struct forget_result){0};
    if (repo_load_snapshots(r, &out->snapshots, &out->broken, err) != 0)
        return -1;
    if (options->id_count > 0)
        plan_by_ids(out, options);
    else if (plan_by_policy(out, options, err) != 0)
        return -1;
    return options->dry_run ? 0 : remove_snapshots(r, lock, out, err);
}

void forget_result_release(struct forget_result *r)
{
    for (size_t i = 0; i < r->entry_count; i++)
        retention_release(&r->entries[i].item, 1);
    free(r->entries);
    free(r->groups);
    free(r->remove);
    strlist_release(&r->broken);
    snapshot_list_release(&r->snapshots);
    *r = (struct forget_result){0};
}
