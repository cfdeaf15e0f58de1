/*
 * Order of work: which snapshots, which of their blobs the target lacks, those pack by pack, the index (writer_flush),
 * the snapshots. A blob that cannot be read stops nobody: afterwards the snapshots that need it are found, and only
 * those are left out.
 */
#include "engine/copy.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/copy_blobs.h"
#include "engine/copy_match.h"
#include "engine/parallel.h"
#include "engine/usage.h"
#include "repo/writer.h"

struct copy {
    struct repo *source, *target;
    struct lock *source_lock, *target_lock;
    const struct copy_options *options;
    const struct copy_reporter *reporter;
    struct engine_progress *progress;
    struct copy_result *result;
    struct snapshot_list chosen; /* result->snapshots has one entry for each */
    struct bits wanted;          /* of the source's index: what is to be copied */
    struct writer *writer;
    bool trouble; /* something could not be read */
};

static void finding(void *ctx, const char *message)
{
    struct copy *c = ctx;
    c->trouble = true;
    if (c->reporter != NULL && c->reporter->finding != NULL)
        c->reporter->finding(c->reporter->ctx, message);
}

static void settle(struct copy *c, size_t i, enum copy_fate fate, const struct id *target_id)
{
    struct copied_snapshot *s = &c->result->snapshots[i];
    s->fate = fate;
    if (target_id != NULL)
        s->target_id = *target_id;
    *(fate == COPY_COPIED ? &c->result->copied : fate == COPY_THERE ? &c->result->there : &c->result->damaged) += 1;
    if (c->reporter != NULL && c->reporter->snapshot != NULL)
        c->reporter->snapshot(c->reporter->ctx, &c->chosen.items[i], s);
}

/*
 * Which snapshots?
 */

static bool is_chosen(const struct copy_options *o, const struct snapshot *s)
{
    if (o->ids == NULL)
        return o->match == NULL || o->match(o->match_ctx, s);
    for (size_t i = 0; i < o->id_count; i++)
        if (id_equal(&o->ids[i], &s->id))
            return true;
    return false;
}

static bool is_there(const struct snapshot_list *list, const struct id *id)
{
    for (size_t i = 0; i < list->count; i++)
        if (id_equal(&list->items[i].id, id))
            return true;
    return false;
}

/* Every one that was asked for must have been found. */
static int check_ids(const struct copy *c, struct err *err)
{
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; c->options->ids != NULL && i < c->options->id_count; i++)
        if (!is_there(&c->chosen, &c->options->ids[i]))
            return err_set(err, ERR_NOT_FOUND, "snapshot '%.8s' cannot be read or is not in repository '%s'",
                           id_to_hex(&c->options->ids[i], hex), c->source->store->location);
    return 0;
}

static int choose_snapshots(struct copy *c, struct err *err)
{
    struct strlist broken = {0};
    engine_progress_stage(c->progress, "loading snapshots", 0, 0);
    int rc = repo_load_snapshots(c->source, &c->chosen, &broken, err);
    for (size_t i = 0; rc == 0 && c->options->ids == NULL && i < broken.count; i++, c->result->unreadable++)
        finding(c, broken.items[i]);
    strlist_release(&broken);
    if (rc != 0)
        return -1;
    size_t kept = 0;
    for (size_t i = 0; i < c->chosen.count; i++) {
        if (is_chosen(c->options, &c->chosen.items[i]))
            c->chosen.items[kept++] = c->chosen.items[i];
        else
            snapshot_release(&c->chosen.items[i]);
    }
    c->chosen.count = kept;
    c->result->snapshots = mem_zalloc((kept + 1) * sizeof *c->result->snapshots);
    c->result->count = kept;
    for (size_t i = 0; i < kept; i++)
        c->result->snapshots[i].source_id = c->chosen.items[i].id;
    return check_ids(c, err);
}

/* Settles those that the target has. What it cannot read of its own snapshots is taken for not there. */
static int skip_those_there(struct copy *c, bool *open_out, struct err *err)
{
    struct snapshot_list there = {0};
    struct strlist broken = {0};
    if (repo_load_snapshots(c->target, &there, &broken, err) != 0) {
        strlist_release(&broken);
        return -1;
    }
    struct copy_match *match = copy_match_new(&there);
    for (size_t i = 0; i < c->chosen.count; i++) {
        const struct snapshot *same = copy_match_find(match, &c->chosen.items[i]);
        open_out[i] = same == NULL;
        if (same != NULL)
            settle(c, i, COPY_THERE, &same->id);
    }
    copy_match_free(match);
    strlist_release(&broken);
    snapshot_list_release(&there);
    return 0;
}

/*
 * Which blobs?
 */

static void bad_tree(void *ctx, const struct id *tree, const struct err *why)
{
    char hex[ID_HEX_BYTES], message[ERR_MESSAGE_BYTES + 128];
    snprintf(message, sizeof message, "tree %s: %s", id_to_hex(tree, hex), why->message);
    finding(ctx, message);
}

static void missing_blob(void *ctx, enum blob_type type, const struct id *blob, const struct id *tree)
{
    char hex[ID_HEX_BYTES], tree_hex[ID_HEX_BYTES], message[256];
    if (tree == NULL)
        snprintf(message, sizeof message, "the tree of a snapshot, %s, is in no index", id_to_hex(blob, hex));
    else
        snprintf(message, sizeof message, "%s blob %s, which tree %.8s needs, is in no index", blob_type_name(type),
                 id_to_hex(blob, hex), id_to_hex(tree, tree_hex));
    finding(ctx, message);
}

/* Sets the bits of all blobs that the open snapshots need and the target has not. */
static int find_wanted(struct copy *c, const bool *open, struct err *err)
{
    const struct usage_reporter reporter = {.ctx = c, .bad_tree = bad_tree, .missing = missing_blob};
    const struct index *ix = c->source->index;
    struct id *roots = mem_array(NULL, c->chosen.count + 1, sizeof *roots);
    size_t count = 0;
    for (size_t i = 0; i < c->chosen.count; i++)
        if (open[i])
            roots[count++] = c->chosen.items[i].tree;
    engine_progress_stage(c->progress, "reading trees", 0, 0);
    int rc = usage_walk(c->source, c->source_lock, roots, count, &c->wanted, &reporter, c->progress, err);
    free(roots);
    for (size_t i = 0; rc == 0 && i < index_loaded_count(ix); i++) {
        const struct index_entry *e = index_loaded(ix, i);
        if (bits_get(&c->wanted, i) && index_known(c->target->index, index_entry_type(e), &e->id))
            bits_clear(&c->wanted, i);
    }
    return rc;
}

static void count_wanted(struct copy *c)
{
    const struct index *ix = c->source->index;
    for (size_t i = 0; i < index_loaded_count(ix); i++) {
        const struct index_entry *e = index_loaded(ix, i);
        if (!bits_get(&c->wanted, i))
            continue;
        c->result->blobs++;
        c->result->bytes += e->raw_length > 0 ? e->raw_length : e->length - CIPHER_OVERHEAD_BYTES;
    }
}

/*
 * Writing.
 */

static int confirm_lock(void *ctx, struct err *err)
{
    struct copy *c = ctx;
    return c->target_lock != NULL ? lock_confirm(c->target_lock, err) : 0;
}

static int copy_all_blobs(struct copy *c, struct err *err)
{
    const struct copy_blobs job = {
        .source = c->source,
        .target = c->target,
        .lock = c->target_lock,
        .wanted = &c->wanted,
        .writer = c->writer,
        .progress = c->progress,
        .damaged = finding,
        .ctx = c,
    };
    struct writer_stats stats;
    int rc = copy_blobs_run(&job, err);
    if (rc == 0) {
        engine_progress_stage(c->progress, "finishing", 0, 0);
        rc = writer_flush(c->writer, err);
    }
    writer_stats(c->writer, &stats);
    c->result->blobs = stats.data_blobs + stats.tree_blobs;
    c->result->bytes = stats.data_bytes + stats.tree_bytes;
    c->result->stored_bytes = stats.data_stored + stats.tree_stored;
    return rc;
}

/* True when everything below the tree is in the target now: asked where something could not be read. */
static int is_complete(struct copy *c, const struct id *tree, bool *out, struct err *err)
{
    const struct index *ix = c->source->index;
    struct err why = {0};
    struct bits used;
    bits_init(&used, index_loaded_count(ix));
    *out = usage_walk(c->source, c->source_lock, tree, 1, &used, NULL, NULL, &why) == 0;
    for (size_t i = 0; *out && i < index_loaded_count(ix); i++) {
        const struct index_entry *e = index_loaded(ix, i);
        *out = !bits_get(&used, i) || index_known(c->target->index, index_entry_type(e), &e->id);
    }
    bits_release(&used);
    return engine_check_stop(c->source_lock, err);
}

/* Stores the snapshot and gives it back as it was. */
static int save_copy(struct copy *c, struct codec *codec, struct snapshot *s, struct id *id_out, struct err *err)
{
    if (lock_prove(c->target_lock, err) != 0)
        return -1;
    struct id source_id = s->id;
    bool had_parent = s->has_parent, had_original = s->has_original;
    s->has_parent = false; /* it may not be there; a copy is no first of its kind either way */
    if (!had_original)
        s->original = source_id;
    s->has_original = true;
    int rc = repo_save_snapshot(c->target, codec, s, err);
    *id_out = s->id;
    s->id = source_id;
    s->has_parent = had_parent;
    s->has_original = had_original;
    return rc;
}

static int save_snapshots(struct copy *c, const bool *open, struct err *err)
{
    struct codec *codec = codec_new(c->target, err);
    int rc = codec == NULL ? -1 : confirm_lock(c, err);
    for (size_t i = 0; rc == 0 && i < c->chosen.count; i++) {
        bool complete = true;
        struct id id;
        if (!open[i])
            continue;
        if (c->trouble)
            rc = is_complete(c, &c->chosen.items[i].tree, &complete, err);
        if (rc == 0)
            rc = engine_check_stop(c->target_lock, err);
        if (rc == 0 && complete)
            rc = save_copy(c, codec, &c->chosen.items[i], &id, err);
        if (rc == 0)
            settle(c, i, complete ? COPY_COPIED : COPY_DAMAGED, complete ? &id : NULL);
    }
    codec_free(codec);
    if (rc == 0)
        store_reserve_keep(c->target->store);
    return rc;
}

static int copy_for_real(struct copy *c, const bool *open, struct err *err)
{
    c->writer = writer_new(c->target, false, err);
    if (c->writer == NULL)
        return -1;
    writer_set_gate(c->writer, confirm_lock, c);
    writer_set_lock(c->writer, c->target_lock);
    int rc = copy_all_blobs(c, err);
    if (rc == 0)
        rc = save_snapshots(c, open, err);
    else if (lock_check(c->target_lock, NULL) == 0)
        writer_salvage(c->writer);
    writer_free(c->writer);
    return rc;
}

/* Of a dry run: what the trees say. */
static int copy_for_show(struct copy *c, const bool *open, struct err *err)
{
    int rc = 0;
    count_wanted(c);
    for (size_t i = 0; rc == 0 && i < c->chosen.count; i++) {
        struct err why = {0};
        struct bits used;
        if (!open[i])
            continue;
        bits_init(&used, c->trouble ? index_loaded_count(c->source->index) : 0);
        bool whole = !c->trouble ||
                     usage_walk(c->source, c->source_lock, &c->chosen.items[i].tree, 1, &used, NULL, NULL, &why) == 0;
        bits_release(&used);
        rc = engine_check_stop(c->source_lock, err);
        if (rc == 0)
            settle(c, i, whole ? COPY_COPIED : COPY_DAMAGED, NULL);
    }
    return rc;
}

/* What was stored since it was loaded has no position in an index, and none of the bits that are kept here. */
static bool is_loaded(const struct index *ix)
{
    return ix != NULL && index_count(ix) == index_loaded_count(ix);
}

static int load_indexes(struct copy *c, struct err *err)
{
    engine_progress_stage(c->progress, "loading the indexes", 0, 0);
    if (!is_loaded(c->source->index) && repo_load_index(c->source, NULL, err) != 0)
        return err_wrap(err, "source repository '%s'", c->source->store->location);
    return c->target->index == NULL ? repo_load_index(c->target, NULL, err) : 0;
}

int copy_run(struct repo *source, struct lock *source_lock, struct repo *target, struct lock *target_lock,
             const struct copy_options *options, const struct copy_reporter *reporter, struct engine_progress *progress,
             struct copy_result *out, struct err *err)
{
    *out = (struct copy_result){0};
    struct copy c = {
        .source = source,
        .target = target,
        .source_lock = source_lock,
        .target_lock = target_lock,
        .options = options,
        .reporter = reporter,
        .progress = progress,
        .result = out,
    };
    bool *open = NULL;
    int rc = repo_check_writable(target, err);
    if (rc == 0)
        rc = choose_snapshots(&c, err);
    if (rc == 0) {
        open = mem_zalloc(c.chosen.count + 1);
        rc = skip_those_there(&c, open, err);
    }
    if (rc == 0 && out->there < out->count)
        rc = load_indexes(&c, err);
    if (rc == 0 && out->there < out->count) {
        bits_init(&c.wanted, index_loaded_count(source->index));
        rc = find_wanted(&c, open, err);
        if (rc == 0)
            rc = options->dry_run ? copy_for_show(&c, open, err) : copy_for_real(&c, open, err);
    }
    bits_release(&c.wanted);
    snapshot_list_release(&c.chosen);
    free(open);
    return rc;
}

void copy_result_release(struct copy_result *r)
{
    free(r->snapshots);
    *r = (struct copy_result){0};
}
