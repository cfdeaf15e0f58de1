/*
 * Order: all new trees, then the index (writer_flush), then the new snapshots, and only then, if asked, the broken ones
 * go.
 */
#include "engine/repair.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/pack_blobs.h"
#include "engine/parallel.h"
#include "engine/salvage.h"
#include "engine/stored_files.h"
#include "engine/verify.h"
#include "repo/writer.h"

struct repair {
    struct repo *repo;
    struct lock *lock;
    const struct repair_snapshots_options *options;
    const struct repair_snapshots_reporter *reporter;
    struct engine_progress *progress;
    struct repair_snapshots_result *result;
    struct snapshot_list snapshots;
    struct repaired_snapshot *repaired; /* one for each that is looked at */
    struct id *roots;                   /* their new trees */
    size_t count;
    struct bits bad;
    struct writer *writer;
    struct codec *codec;
};

static void finding(struct repair *r, const char *message)
{
    if (r->reporter != NULL && r->reporter->finding != NULL)
        r->reporter->finding(r->reporter->ctx, message);
}

/*
 * What is lost?
 */

static void pack_message(struct repair *r, uint32_t pack, const char *what)
{
    char message[ERR_MESSAGE_BYTES + 128], hex[ID_HEX_BYTES];
    snprintf(message, sizeof message, "pack %s: %s", id_to_hex(index_pack_id(r->repo->index, pack), hex), what);
    finding(r, message);
}

static void pack_finding(void *ctx, uint32_t pack, bool index_differs, const char *what)
{
    (void)index_differs;
    pack_message(ctx, pack, what);
}

static void blob_finding(void *ctx, size_t position, const struct err *why)
{
    struct repair *r = ctx;
    pack_message(r, index_entry_pack(index_loaded(r->repo->index, position)), why->message);
}

/* Marks the blobs of packs that are gone; gathers the packs that must be read to learn what of them is left. */
static size_t choose_packs(struct repair *r, const struct pack_blobs *blobs, const struct stored_files *files,
                           uint32_t *packs)
{
    const struct index *ix = r->repo->index;
    size_t count = 0;
    for (uint32_t p = 0; p < blobs->pack_count; p++) {
        const struct stored_file *f = stored_files_find(files, index_pack_id(ix, p));
        for (uint32_t i = blobs->begin[p]; f == NULL && i < blobs->begin[p + 1]; i++)
            bits_set(&r->bad, blobs->positions[i]);
        if (f != NULL && (r->options->read_data || f->bytes != pack_blobs_expected_bytes(blobs, ix, p)))
            packs[count++] = p;
    }
    return count;
}

static int find_bad(struct repair *r, struct err *err)
{
    const struct verify_reporter reporter = {.ctx = r, .pack = pack_finding, .blob = blob_finding};
    struct stored_files files;
    struct pack_blobs blobs = {0};
    uint32_t *packs = NULL;
    uint64_t bytes = 0;
    int rc = stored_files_list(r->repo->store, STORE_PACK, &files, err);
    if (rc == 0)
        rc = pack_blobs_build(&blobs, r->repo->index, err);
    if (rc == 0) {
        packs = mem_array(NULL, blobs.pack_count + 1, sizeof *packs);
        size_t count = choose_packs(r, &blobs, &files, packs);
        for (size_t i = 0; i < count; i++)
            bytes += stored_files_find(&files, index_pack_id(r->repo->index, packs[i]))->bytes;
        engine_progress_stage(r->progress, "reading packs", count, bytes);
        rc = verify_packs(r->repo, r->lock, packs, count, &blobs, &files, &r->bad, &reporter, r->progress, err);
    }
    free(packs);
    pack_blobs_release(&blobs);
    stored_files_release(&files);
    return rc;
}

static int load_index(struct repair *r, struct err *err)
{
    struct strlist broken = {0};
    engine_progress_stage(r->progress, "loading the index", 0, 0);
    int rc = repo_load_index_uncached(r->repo, &broken, err);
    if (rc == 0 && broken.count > 0)
        rc = err_set(err, ERR_CORRUPT, "index file %s is damaged; nothing was changed; run 'repair index' first",
                     broken.items[0]);
    strlist_release(&broken);
    if (rc == 0)
        bits_init(&r->bad, index_loaded_count(r->repo->index));
    return rc;
}

/*
 * Which snapshots?
 */

static bool is_chosen(const struct repair *r, const struct snapshot *s)
{
    const struct repair_snapshots_options *o = r->options;
    for (size_t i = 0; i < o->id_count; i++)
        if (id_equal(&o->ids[i], &s->id))
            return true;
    return o->id_count == 0 && (o->match == NULL || o->match(o->match_ctx, s));
}

static int choose_snapshots(struct repair *r, struct err *err)
{
    struct strlist broken = {0};
    int rc = repo_load_snapshots(r->repo, &r->snapshots, &broken, err);
    for (size_t i = 0; i < broken.count; i++)
        finding(r, broken.items[i]);
    strlist_release(&broken);
    if (rc != 0)
        return -1;
    r->repaired = mem_zalloc((r->snapshots.count + 1) * sizeof *r->repaired);
    r->roots = mem_zalloc((r->snapshots.count + 1) * sizeof *r->roots);
    for (size_t i = 0; i < r->snapshots.count; i++)
        if (is_chosen(r, &r->snapshots.items[i]))
            r->repaired[r->count++].snapshot = &r->snapshots.items[i];
    r->result->snapshots = r->count;
    return 0;
}

/*
 * Writing.
 */

static int salvage_all(struct repair *r, struct err *err)
{
    engine_progress_stage(r->progress, "reading trees", r->count, 0);
    struct salvage *s = salvage_new(r->repo, r->lock, &r->bad, r->writer, r->options->dry_run, r->reporter, err);
    if (s == NULL)
        return -1;
    int rc = 0;
    for (size_t i = 0; i < r->count && rc == 0; i++) {
        rc = salvage_snapshot(s, &r->repaired[i], &r->roots[i], err);
        engine_progress_add(r->progress, 1, 0);
    }
    salvage_free(s);
    return rc;
}

/* What an earlier repair made of this snapshot, if it is the same: repairing twice makes nothing new. */
static const struct snapshot *find_earlier(const struct repair *r, size_t i)
{
    for (size_t k = 0; k < r->snapshots.count; k++) {
        const struct snapshot *s = &r->snapshots.items[k];
        if (s->has_original && id_equal(&s->original, &r->repaired[i].snapshot->id) && id_equal(&s->tree, &r->roots[i]))
            return s;
    }
    return NULL;
}

/* The snapshot anew, with its new tree. A copy through its own text keeps what we do not know. */
static int save_repaired(struct repair *r, size_t i, struct err *err)
{
    const struct snapshot *old = r->repaired[i].snapshot, *earlier = find_earlier(r, i);
    struct snapshot fresh;
    struct buf json;
    if (earlier != NULL) {
        r->repaired[i].new_id = earlier->id;
        return 0;
    }
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    snapshot_encode(old, &json);
    int rc = snapshot_decode((const char *)json.data, json.len, &fresh, err);
    buf_release(&json);
    if (rc != 0)
        return -1;
    fresh.tree = r->roots[i];
    fresh.has_original = true;
    fresh.original = old->id;
    if (!r->options->forget && !strlist_contains(&fresh.tags, "repaired"))
        strlist_add(&fresh.tags, "repaired");
    rc = repo_save_snapshot(r->repo, r->codec, &fresh, err);
    r->repaired[i].new_id = fresh.id;
    snapshot_release(&fresh);
    return rc;
}

static int remove_broken(struct repair *r, const struct snapshot *s, struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (engine_check_stop(r->lock, err) != 0 ||
        store_remove(r->repo->store, STORE_SNAPSHOT, id_to_hex(&s->id, hex), err) != 0)
        return err_wrap(err, "cannot remove the broken snapshot %.8s", id_to_hex(&s->id, hex));
    r->result->removed++;
    return 0;
}

static int replace_snapshot(struct repair *r, size_t i, struct err *err)
{
    const struct repaired_snapshot *s = &r->repaired[i];
    *(!s->changed ? &r->result->intact : s->lost ? &r->result->lost : &r->result->repaired) += 1;
    if (s->changed && !r->options->dry_run) {
        if (!s->lost && (engine_check_stop(r->lock, err) != 0 || save_repaired(r, i, err) != 0))
            return -1;
        if (r->options->forget && remove_broken(r, s->snapshot, err) != 0)
            return -1;
    }
    if (r->reporter != NULL && r->reporter->snapshot != NULL)
        r->reporter->snapshot(r->reporter->ctx, s);
    return 0;
}

static int repair_all(struct repair *r, struct err *err)
{
    r->codec = codec_new(r->repo, err);
    r->writer = r->codec != NULL ? writer_new(r->repo, r->options->dry_run, err) : NULL;
    if (r->writer == NULL)
        return -1;
    writer_set_lock(r->writer, r->lock);
    if (salvage_all(r, err) != 0 || engine_check_stop(r->lock, err) != 0 || writer_flush(r->writer, err) != 0 ||
        lock_prove(r->lock, err) != 0)
        return -1;
    for (size_t i = 0; i < r->count; i++)
        if (replace_snapshot(r, i, err) != 0)
            return -1;
    return 0;
}

int repair_snapshots_run(struct repo *repo, struct lock *lock, const struct repair_snapshots_options *options,
                         const struct repair_snapshots_reporter *reporter, struct engine_progress *progress,
                         struct repair_snapshots_result *out, struct err *err)
{
    *out = (struct repair_snapshots_result){0};
    struct repair r = {
        .repo = repo, .lock = lock, .options = options, .reporter = reporter, .progress = progress, .result = out};
    int rc = repo_check_writable(repo, err);
    if (rc == 0)
        rc = choose_snapshots(&r, err);
    if (rc == 0)
        rc = load_index(&r, err);
    if (rc == 0)
        rc = find_bad(&r, err);
    if (rc == 0)
        rc = repair_all(&r, err);
    writer_free(r.writer);
    codec_free(r.codec);
    bits_release(&r.bad);
    free(r.repaired);
    free(r.roots);
    snapshot_list_release(&r.snapshots);
    return rc;
}
