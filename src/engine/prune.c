/*
 * A prune is safe at any moment, also when it is killed, when the disk fills up, or when something writes in spite of
 * our lock:
 *
 *  1. Nothing is changed before everything is known: all index files, all snapshots and all their trees were read, and
 * every blob that they need lies in a pack that is there with the right size. Otherwise the prune refuses.
 *  2. What exists is listed in the order packs, index, snapshots, the reverse of what readers do: a backup that ran
 * meanwhile is then either not in our listing of packs (its packs are safe), or it shows as a snapshot whose blobs we
 * do not know (we refuse). Before the first removal snapshots and index files are listed again: if any came, we refuse.
 *  3. At every moment each needed blob is in a pack that is named by an index file, and no index file names a pack that
 * is gone: new packs before the index that names them, new index files before the old ones go, and packs go last
 * (engine/drop.c).
 *  4. Of a blob with several copies one is read and proven before the others count as superfluous; every blob that is
 * copied into a new pack is proven. A damaged blob keeps its pack where it is.
 *  5. Space is freed before it is used: leftovers and packs in no index go first (nothing needs to be written), then
 * dead packs, and only then are packs repacked, in batches that fit into half of what is free; a batch's old packs go
 * before the next batch begins.
 *
 * After a kill the next prune finds packs in no index (5), or blobs that are stored twice (4), and cleans them up.
 */
#include "engine/prune.h"

#include <stdlib.h>

#include "base/mem.h"
#include "engine/drop.h"
#include "engine/parallel.h"
#include "engine/prune_plan.h"
#include "engine/repack.h"
#include "engine/usage.h"
#include "repo/writer.h"

/* What new packs and index files need besides the blobs. */
static const uint64_t BATCH_SPARE_BYTES = 1 << 20;

struct prune {
    struct repo *repo;
    struct lock *lock;
    const struct prune_options *options;
    const struct prune_reporter *reporter;
    struct engine_progress *progress;
    struct prune_result *result;
    struct stored_files files; /* packs */
    struct id *index_ids, *snapshot_ids;
    size_t index_count, snapshot_count;
    struct bits used;
    struct prune_plan plan;
    struct drop_result dropped;
};

/*
 * Reading.
 */

static int load_index(struct prune *p, struct err *err)
{
    struct strlist broken = {0};
    engine_progress_stage(p->progress, "loading the index", 0, 0);
    if (repo_list_ids(p->repo, STORE_INDEX, &p->index_ids, &p->index_count, err) != 0)
        return -1;
    int rc = repo_load_index_uncached(p->repo, &broken, err);
    if (rc == 0 && broken.count > 0)
        rc = err_set(err, ERR_CORRUPT, "index file %s is damaged%s; nothing was changed; run 'repair index' first",
                     broken.items[0], broken.count > 1 ? ", and others too" : "");
    strlist_release(&broken);
    if (rc == 0)
        bits_init(&p->used, index_loaded_count(p->repo->index));
    return rc;
}

static bool is_ignored(const struct prune *p, const struct id *snapshot)
{
    for (size_t i = 0; i < p->options->ignore_count; i++)
        if (id_equal(&p->options->ignore_snapshots[i], snapshot))
            return true;
    return false;
}

static int find_used(struct prune *p, struct err *err)
{
    struct snapshot_list snapshots;
    engine_progress_stage(p->progress, "loading snapshots", 0, 0);
    if (repo_list_ids(p->repo, STORE_SNAPSHOT, &p->snapshot_ids, &p->snapshot_count, err) != 0)
        return -1;
    if (repo_load_snapshots(p->repo, &snapshots, NULL, err) != 0)
        return err_wrap(err, "nothing was changed");
    struct id *roots = mem_array(NULL, snapshots.count + 1, sizeof *roots);
    size_t count = 0;
    for (size_t i = 0; i < snapshots.count; i++)
        if (!is_ignored(p, &snapshots.items[i].id))
            roots[count++] = snapshots.items[i].tree;
    p->result->snapshots = count;
    engine_progress_stage(p->progress, "finding what is needed", 0, 0);
    int rc = usage_walk(p->repo, p->lock, roots, count, &p->used, NULL, p->progress, err);
    if (rc != 0 && err != NULL && err->code != ERR_INTERRUPTED && err->code != ERR_LOCKED)
        err_wrap(err, "the repository is damaged and nothing was changed (run 'repair index', then 'check')");
    snapshot_list_release(&snapshots);
    free(roots);
    return rc;
}

static int make_plan(struct prune *p, struct err *err)
{
    engine_progress_stage(p->progress, "planning", 0, 0);
    if (prune_plan_make(&p->plan, p->repo, p->lock, p->options, &p->files, &p->used, p->reporter, p->result, err) != 0)
        return -1;
    if (p->reporter != NULL && p->reporter->planned != NULL)
        p->reporter->planned(p->reporter->ctx, p->result);
    return 0;
}

/* Invariant 2. */
static int check_unchanged(struct prune *p, enum store_type type, const struct id *ids, size_t count, struct err *err)
{
    struct id *now = NULL;
    size_t now_count = 0, known = 0;
    if (repo_list_ids(p->repo, type, &now, &now_count, err) != 0)
        return -1;
    for (size_t i = 0; i < now_count; i++) {
        while (known < count && id_compare(&ids[known], &now[i]) < 0)
            known++;
        if (known == count || !id_equal(&ids[known], &now[i])) {
            free(now);
            return err_set(
                err, ERR_CHANGED,
                "something wrote to the repository in spite of the lock (a new file in %s); nothing was changed",
                store_type_name(type));
        }
    }
    free(now);
    return 0;
}

/*
 * Writing.
 */

static int drop_dead(struct prune *p, struct err *err)
{
    struct stored_file *dead;
    if (drop_unnamed_packs(p->repo, p->lock, p->plan.unreferenced, p->plan.unreferenced_count, p->progress, &p->dropped,
                           err) != 0)
        return -1;
    size_t count = prune_plan_files(&p->plan, PRUNE_DELETE, &dead);
    int rc = drop_packs(p->repo, p->lock, dead, count, p->plan.repack_count == 0, p->progress, &p->dropped, err);
    free(dead);
    return rc;
}

/* How many of the next packs make a batch; 0 when there is not even space for one. */
static size_t batch_size(struct prune *p, size_t first)
{
    uint64_t free_bytes, sum = 0;
    size_t n = first;
    if (!(p->repo->store->features & STORE_FREE_SPACE) || store_free_space(p->repo->store, &free_bytes, NULL) != 0)
        return p->plan.repack_count - first;
    for (; n < p->plan.repack_count; n++) {
        uint64_t needs = sum + p->plan.packs[p->plan.repack[n]].used_bytes;
        uint64_t limit = n == first ? free_bytes : free_bytes / 2;
        if (needs + BATCH_SPARE_BYTES > limit)
            break;
        sum = needs;
    }
    return n - first;
}

static int compare_ids(const void *a, const void *b)
{
    return id_compare(a, b);
}

/* The batch's blobs are durable in new packs: takes the old ones away, but for those that could not be copied whole. */
static int drop_repacked(struct prune *p, const struct repack_pack *packs, size_t count, bool last, struct err *err)
{
    struct stored_file *old = mem_array(NULL, count + 1, sizeof *old);
    size_t old_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (packs[i].failed)
            p->result->packs_damaged++;
        else
            old[old_count++] = (struct stored_file){.id = packs[i].id, .bytes = packs[i].bytes};
    }
    if (old_count > 0)
        qsort(old, old_count, sizeof *old, compare_ids);
    int rc = drop_packs(p->repo, p->lock, old, old_count, last, p->progress, &p->dropped, err);
    if (rc == 0)
        p->result->packs_repacked += old_count;
    free(old);
    return rc;
}

static int copy_blobs(struct prune *p, struct repack_pack *packs, size_t count, struct err *err)
{
    const struct repack job = {
        .repo = p->repo,
        .lock = p->lock,
        .blobs = &p->plan.blobs,
        .keep = &p->used,
        .compress_all = p->options->repack_uncompressed,
        .progress = p->progress,
        .damaged = p->reporter != NULL ? p->reporter->damaged : NULL,
        .ctx = p->reporter != NULL ? p->reporter->ctx : NULL,
    };
    struct writer_stats stats;
    struct writer *w = writer_new(p->repo, false, err);
    if (w == NULL)
        return -1;
    writer_set_lock(w, p->lock);
    int rc = repack_run(&job, w, packs, count, err);
    if (rc == 0)
        rc = engine_check_stop(p->lock, err);
    if (rc == 0)
        rc = writer_flush(w, err);
    writer_stats(w, &stats);
    p->result->packs_written += stats.packs;
    p->result->bytes_written += stats.data_stored + stats.tree_stored;
    p->result->index_written += stats.index_files;
    writer_free(w);
    return rc;
}

static int repack_batch(struct prune *p, size_t first, size_t count, struct err *err)
{
    struct repack_pack *packs = mem_zalloc(count * sizeof *packs);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t number = p->plan.repack[first + i];
        packs[i] = (struct repack_pack){
            .id = p->plan.packs[number].id, .number = number, .bytes = p->plan.packs[number].bytes};
        bytes += packs[i].bytes;
    }
    engine_progress_stage(p->progress, "repacking", count, bytes);
    int rc = copy_blobs(p, packs, count, err);
    if (rc == 0)
        rc = drop_repacked(p, packs, count, first + count == p->plan.repack_count, err);
    free(packs);
    return rc;
}

static int repack_all(struct prune *p, struct err *err)
{
    for (size_t first = 0; first < p->plan.repack_count;) {
        size_t count = batch_size(p, first);
        if (count == 0) { /* this pack is too large for what is free; smaller ones may still fit */
            p->result->packs_no_space++;
            first++;
            continue;
        }
        if (repack_batch(p, first, count, err) != 0)
            return -1;
        first += count;
    }
    return 0;
}

static int execute(struct prune *p, struct err *err)
{
    if (check_unchanged(p, STORE_SNAPSHOT, p->snapshot_ids, p->snapshot_count, err) != 0 ||
        check_unchanged(p, STORE_INDEX, p->index_ids, p->index_count, err) != 0 ||
        engine_check_stop(p->lock, err) != 0 || lock_prove(p->lock, err) != 0)
        return -1;
    p->result->executed = true;
    if (store_clean(p->repo->store, err) != 0 || drop_dead(p, err) != 0)
        return -1;
    return repack_all(p, err);
}

/* What is there now; also after a failure. */
static void take_totals(struct prune *p)
{
    struct stored_files after;
    p->result->packs_removed = p->dropped.packs;
    p->result->bytes_removed = p->dropped.pack_bytes;
    p->result->index_removed = p->dropped.index_removed;
    p->result->index_written += p->dropped.index_written;
    if (stored_files_list(p->repo->store, STORE_PACK, &after, NULL) == 0) {
        p->result->packs_after = after.count;
        p->result->bytes_after = after.bytes;
    }
    stored_files_release(&after);
}

static void release(struct prune *p)
{
    stored_files_release(&p->files);
    prune_plan_release(&p->plan);
    bits_release(&p->used);
    free(p->index_ids);
    free(p->snapshot_ids);
}

int prune_run(struct repo *r, struct lock *lock, const struct prune_options *options,
              const struct prune_reporter *reporter, struct engine_progress *progress, struct prune_result *out,
              struct err *err)
{
    *out = (struct prune_result){0};
    struct prune p = {
        .repo = r, .lock = lock, .options = options, .reporter = reporter, .progress = progress, .result = out};
    int rc = repo_check_writable(r, err);
    if (rc == 0)
        rc = stored_files_list(r->store, STORE_PACK, &p.files, err);
    if (rc == 0)
        rc = load_index(&p, err);
    if (rc == 0)
        rc = find_used(&p, err);
    if (rc == 0)
        rc = make_plan(&p, err);
    if (rc == 0 && !options->dry_run)
        rc = execute(&p, err);
    if (out->executed) {
        take_totals(&p);
        store_reserve_keep(r->store);
    }
    release(&p);
    return rc;
}
