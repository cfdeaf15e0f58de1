/*
 * A tier in repositories. Each source is read once, into the first destination that takes it; the others get copies of
 * the snapshots, or, where that fails, a reading of their own. What is new is then confirmed where it lies.
 */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "engine/confirm.h"
#include "engine/copy.h"
#include "os/interrupt.h"
#include "run/run_internal.h"
#include "run/watched_source.h"

/* --- reading one source --- */

static void reset(struct backup_progress *p)
{
    atomic_store(&p->files_done, 0);
    atomic_store(&p->dirs_done, 0);
    atomic_store(&p->bytes_done, 0);
    atomic_store(&p->bytes_read, 0);
    atomic_store(&p->errors, 0);
    atomic_store(&p->total_files, 0);
    atomic_store(&p->total_bytes, 0);
    backup_progress_set_current(p, "");
}

static struct source *open_source(struct tier_run *t, struct unit *u, struct err *err)
{
    struct source *inner = NULL;
    if (tier_source_open(&t->sources, u->source, &inner, err) != 0)
        return NULL;
    unit_opened(u, inner);
    return watched_source_new(inner);
}

static size_t unit_index(const struct tier_run *t, const struct unit *u)
{
    return (size_t)(u - t->units);
}

static void took(struct tier_run *t, struct unit *u, struct target *target, const struct backup_result *r)
{
    target->ids[unit_index(t, u)] = r->snapshot_id;
    target->bytes_added += r->summary.data_added_packed;
    u->bytes = r->summary.total_bytes_processed;
    u->files = r->summary.total_files_processed;
    u->unreadable = r->unreadable;
    u->done = true;
}

static int back_up(struct tier_run *t, struct unit *u, struct source *source, struct target_open *open,
                   struct backup_result *result, struct err *err)
{
    const struct run_options *o = t->run->options;
    struct unit_report report;
    struct strlist tags = {0};
    unit_report_init(&report, t, u);
    strlist_copy(&tags, &t->tags);
    char *kind = mem_printf(RUN_SOURCE_TAG "%s", tier_source_kind_name(u->source->kind));
    strlist_add(&tags, kind);
    free(kind);
    if (u->suspect && !u->suspect_ok)
        strlist_add(&tags, RUN_SUSPECT_TAG);
    const struct backup_options options = {
        .source = source,
        .tags = &tags,
        .hostname = o->plan->host,
        .exclude_list = u->source->kind == TIER_FILES ? &t->sources.files.excludes : NULL,
        .program_version = o->program_version,
        .dry_run = o->dry_run,
        .retry_lock_ms = o->retry_lock_ms,
    };
    reset(t->run->progress->reading);
    u->unreadable = 0;
    int rc = backup_run(target_open_repo, open, &options, &report.reporter, t->run->progress->reading, result, err);
    strlist_release(&tags);
    return rc;
}

enum fault {
    FAULT_DESTINATION,
    FAULT_SOURCE, /* it could not be opened or begun: perhaps it does not run */
    FAULT_DUMP,   /* it broke off */
};

static void blame(struct tier_run *t, struct unit *u, struct target *target, enum fault fault, const struct err *err)
{
    if (err->code == ERR_INTERRUPTED)
        t->err = *err;
    else if (fault == FAULT_DESTINATION || u->done)
        target_failed(t, target, err);
    else if (fault == FAULT_SOURCE)
        unit_missing(t, u, err);
    else
        unit_failed(t, u, err);
}

static void store_on(struct tier_run *t, struct unit *u, struct target *target)
{
    struct err err = {0};
    struct backup_result result = {0};
    struct target_open open = {.run = t, .target = target};
    struct source *source = open_source(t, u, &err);
    if (source == NULL) {
        blame(t, u, target, FAULT_SOURCE, &err);
        return;
    }
    int rc = back_up(t, u, source, &open, &result, &err);
    enum fault fault = FAULT_DESTINATION;
    if (watched_source_failed(source))
        fault = FAULT_SOURCE;
    else if (!open.failed && source->strict && atomic_load(&t->run->progress->reading->errors) > 0)
        fault = FAULT_DUMP;
    if (rc == 0)
        unit_take_sizes(u, source);
    source_free(source);
    if (rc == 0)
        took(t, u, target, &result);
    else
        blame(t, u, target, fault, &err);
}

/* --- what is much too small --- */

/* New file first: whatever happens, the snapshot is there at least once. *id becomes that of the new one. */
static int add_tag(struct repo *repo, struct id *id, const char *tag, struct err *err)
{
    struct snapshot s;
    struct id old = *id;
    char hex[ID_HEX_BYTES];
    struct codec *codec = codec_new(repo, err);
    int rc = codec != NULL ? repo_load_snapshot(repo, &old, &s, err) : -1;
    if (rc == 0) {
        strlist_add(&s.tags, tag);
        if (!s.has_original) {
            s.has_original = true;
            s.original = old;
        }
        rc = repo_save_snapshot(repo, codec, &s, err);
        if (rc == 0) {
            *id = s.id;
            rc = store_remove(repo->store, STORE_SNAPSHOT, id_to_hex(&old, hex), err);
        }
        snapshot_release(&s);
    }
    codec_free(codec);
    return rc;
}

static void check_size(struct tier_run *t, struct unit *u, struct target *target)
{
    struct id *id = &target->ids[unit_index(t, u)];
    struct err err = {0};
    unit_check_size(t, u);
    if (!u->suspect || u->suspect_ok || t->run->options->dry_run)
        return;
    struct repo *repo = target_repo(t, target);
    if (repo != NULL && add_tag(repo, id, RUN_SUSPECT_TAG, &err) != 0)
        target_failed(t, target, &err);
}

/* --- every source once --- */

static void store_unit(struct tier_run *t, struct unit *u)
{
    for (size_t i = 0; i < t->target_count; i++) {
        struct target *target = &t->targets[i];
        if (!target->usable)
            continue;
        if (u->done || u->absent || u->err.code != ERR_NONE || tier_interrupted(t))
            return;
        if (t->run->options->dry_run && !target->check.has_repository) {
            if (u == t->units)
                tier_note(t, "a repository would be made at '%s'", target->destination->location);
            continue;
        }
        atomic_store(&t->run->progress->destination, target->destination->name);
        store_on(t, u, target);
        if (u->done)
            check_size(t, u, target);
    }
    bool unread = !u->done && !u->absent && u->err.code == ERR_NONE && run_targets_usable(t) > 0;
    if (t->run->options->dry_run && unread && !tier_interrupted(t))
        unit_only_read(t, u);
}

/* --- the other destinations --- */

struct locked {
    struct repo *repo;
    struct lock *lock;
};

/* A repository as it is now, with a shared lock. */
static int lock_target(struct tier_run *t, struct target *target, struct locked *out, struct err *err)
{
    *out = (struct locked){.repo = target_repo(t, target)};
    if (out->repo == NULL) {
        *err = target->err;
        return -1;
    }
    index_free(out->repo->index);
    out->repo->index = NULL;
    return lock_acquire(&out->lock, out->repo, false, t->run->options->retry_lock_ms, err);
}

/* Copies what `from` has and `to` lacks. */
static int copy(struct tier_run *t, struct target *from, struct target *to, struct err *err)
{
    struct id *ids = mem_array(NULL, t->unit_count + 1, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < t->unit_count; i++)
        if (!id_is_zero(&from->ids[i]) && id_is_zero(&to->ids[i]))
            ids[count++] = from->ids[i];
    struct locked source = {0}, target = {0};
    struct copy_result result = {0};
    const struct copy_options options = {.ids = ids, .id_count = count};
    int rc = 0;
    if (count > 0) {
        rc = lock_target(t, from, &source, err);
        if (rc == 0)
            rc = lock_target(t, to, &target, err);
        if (rc == 0)
            rc = copy_run(source.repo, source.lock, target.repo, target.lock, &options, NULL, &t->run->progress->engine,
                          &result, err);
        to->bytes_added += result.stored_bytes;
        for (size_t i = 0; i < t->unit_count; i++)
            for (size_t k = 0; rc == 0 && k < result.count; k++)
                if (id_equal(&result.snapshots[k].source_id, &from->ids[i]))
                    to->ids[i] = result.snapshots[k].target_id;
        copy_result_release(&result);
    }
    lock_release(source.lock);
    lock_release(target.lock);
    free(ids);
    return rc;
}

static bool lacks_some(const struct tier_run *t, const struct target *target)
{
    for (size_t i = 0; i < t->unit_count; i++)
        if (t->units[i].done && id_is_zero(&target->ids[i]))
            return true;
    return false;
}

/* Copies from whoever has it; what cannot be copied is read again, which also tells whose fault it is. */
static void complete(struct tier_run *t, struct target *to)
{
    for (size_t i = 0; i < t->target_count && lacks_some(t, to) && to->usable; i++) {
        struct target *from = &t->targets[i];
        struct err err = {0};
        if (from == to || !from->usable || copy(t, from, to, &err) == 0)
            continue;
        if (err.code == ERR_INTERRUPTED)
            t->err = err;
        else if (to->usable)
            tier_note(t, "cannot copy from '%s' to '%s' (%s): reading the sources again", from->destination->name,
                      to->destination->name, err.message);
    }
    for (size_t i = 0; i < t->unit_count; i++)
        if (t->units[i].done && id_is_zero(&to->ids[i]) && to->usable && !tier_interrupted(t))
            store_on(t, &t->units[i], to);
}

/* --- is it there? --- */

static void confirm(struct tier_run *t, struct target *target)
{
    struct locked l;
    struct err err = {0};
    struct confirm_result result;
    struct id *ids = mem_array(NULL, t->unit_count + 1, sizeof *ids);
    size_t count = 0;
    for (size_t i = 0; i < t->unit_count; i++)
        if (!id_is_zero(&target->ids[i]))
            ids[count++] = target->ids[i];
    bool fine = lock_target(t, target, &l, &err) == 0 &&
                (count == 0 || confirm_snapshots(l.repo, l.lock, ids, count, CONFIRM_READ_MAX_BYTES, NULL,
                                                 &t->run->progress->engine, &result, &err) == 0);
    lock_release(l.lock);
    free(ids);
    target->verified = fine && count > 0;
    if (fine)
        return;
    err_wrap(&err, "what was just stored cannot be confirmed");
    if (err.code == ERR_INTERRUPTED)
        t->err = err;
    else
        target_failed(t, target, &err);
}

void repository_run(struct tier_run *t)
{
    for (size_t i = 0; i < t->target_count; i++)
        t->targets[i].ids = mem_zalloc((t->unit_count + 1) * sizeof *t->targets[i].ids);
    for (size_t i = 0; i < t->unit_count && !tier_interrupted(t); i++)
        store_unit(t, &t->units[i]);
    if (t->run->options->dry_run)
        return;
    atomic_store(&t->run->progress->in_engine, true);
    for (size_t i = 0; i < t->target_count && !tier_interrupted(t); i++) {
        atomic_store(&t->run->progress->destination, t->targets[i].destination->name);
        if (t->targets[i].usable)
            complete(t, &t->targets[i]);
    }
    for (size_t i = 0; i < t->target_count && !tier_interrupted(t); i++) {
        atomic_store(&t->run->progress->destination, t->targets[i].destination->name);
        if (t->targets[i].usable)
            confirm(t, &t->targets[i]);
    }
    /* What did not fit shall not keep smaller things from fitting. */
    for (size_t i = 0; i < t->target_count && !tier_interrupted(t); i++)
        if (t->targets[i].err.code == ERR_NO_SPACE && t->targets[i].check.problem == DESTINATION_OK)
            make_room(t, &t->targets[i]);
    atomic_store(&t->run->progress->in_engine, false);
}
