/*
 * The order of looking is check's, for its reason: what a snapshot that is there needs was written before it.
 */
#include "engine/confirm.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/cipher.h"
#include "engine/check_subset.h"
#include "engine/diff.h"
#include "engine/parallel.h"
#include "engine/problems.h"

/* What the confirmations of several snapshots share. */
struct stored {
    struct pack_blobs blobs;
    struct stored_files files;
    struct bits proved;   /* packs that were read whole, and were right */
    uint64_t sample_left; /* bytes that may still be read of packs that hold nothing new */
};

struct confirm {
    struct repo *repo;
    struct lock *lock;
    struct engine_progress *progress;
    struct confirm_result *result;
    struct problems problems;
    struct snapshot snapshot;
    struct stored *stored;
    struct bits used, added; /* added: of used, what the parent has not */
    uint32_t *fresh, *other; /* sound packs with needed data: some of it added; none */
    size_t fresh_count, other_count;
    uint32_t *chosen; /* to be read whole */
    size_t chosen_count;
    uint64_t chosen_bytes;
    uint32_t partly; /* to be read in part, as it is too large; UINT32_MAX: none */
    uint64_t left;   /* bytes that may still be read */
};

/* All snapshots were there before this, so the index that is loaded now is to name all that they need. */
static int load_stored(struct stored *s, struct repo *r, uint64_t read_bytes_max, struct err *err)
{
    s->sample_left = read_bytes_max;
    if (repo_load_index(r, NULL, err) != 0 || pack_blobs_build(&s->blobs, r->index, err) != 0 ||
        stored_files_list(r->store, STORE_PACK, &s->files, err) != 0)
        return -1;
    bits_init(&s->proved, s->blobs.pack_count);
    return 0;
}

static void release_stored(struct stored *s)
{
    stored_files_release(&s->files);
    pack_blobs_release(&s->blobs);
    bits_release(&s->proved);
}

static int load_snapshot(struct confirm *c, const struct id *snapshot, struct err *err)
{
    if (repo_load_snapshot(c->repo, snapshot, &c->snapshot, err) != 0)
        return -1;
    problems_index_loaded(&c->problems);
    bits_init(&c->used, index_loaded_count(c->repo->index));
    bits_init(&c->added, index_loaded_count(c->repo->index));
    return 0;
}

/* What lies in packs that are not there is lost: said once, for the pack, when it is known to be needed. */
static void note_missing_packs(struct confirm *c)
{
    for (uint32_t p = 0; p < c->stored->blobs.pack_count; p++)
        if (stored_files_find(&c->stored->files, index_pack_id(c->repo->index, p)) == NULL)
            for (uint32_t i = c->stored->blobs.begin[p]; i < c->stored->blobs.begin[p + 1]; i++)
                bits_set(&c->problems.bad, c->stored->blobs.positions[i]);
}

/* All trees that are there are read and proved here. */
static int walk(struct confirm *c, struct err *err)
{
    note_missing_packs(c);
    const struct usage_reporter reporter = problems_usage_reporter(&c->problems);
    engine_progress_stage(c->progress, "checking trees", 0, 0);
    return usage_walk(c->repo, c->lock, &c->snapshot.tree, 1, &c->used, &reporter, c->progress, err);
}

/* A parent that is gone or damaged makes everything count as added: that is no problem of this snapshot. */
static int find_added(struct confirm *c, struct err *err)
{
    struct snapshot parent;
    struct err why = {0};
    bool known = c->snapshot.has_parent && repo_load_snapshot(c->repo, &c->snapshot.parent, &parent, &why) == 0;
    if (known) {
        known = diff_added_blobs(c->repo, &parent.tree, &c->snapshot.tree, &c->added, &why) == 0;
        snapshot_release(&parent);
    }
    for (size_t i = 0; !known && i < index_loaded_count(c->repo->index); i++)
        if (bits_get(&c->used, i))
            bits_set(&c->added, i);
    return engine_check_stop(c->lock, err);
}

/*
 * Packs, by the listing.
 */

/* What the snapshot needs of a pack. */
struct need {
    uint64_t blobs, data, added_data; /* counts */
};

static struct need count_need(struct confirm *c, uint32_t pack)
{
    struct need n = {0};
    for (uint32_t i = c->stored->blobs.begin[pack]; i < c->stored->blobs.begin[pack + 1]; i++) {
        size_t position = c->stored->blobs.positions[i];
        const struct index_entry *e = index_loaded(c->repo->index, position);
        bool is_data = index_entry_type(e) == BLOB_DATA;
        if (!bits_get(&c->used, position))
            continue;
        n.blobs++;
        n.data += is_data;
        c->result->trees += !is_data;
        if (bits_get(&c->added, position)) {
            n.added_data += is_data;
            c->result->new_bytes += e->length;
            c->result->new_bytes_read += is_data ? 0 : e->length; /* by the walk */
        }
    }
    c->result->blobs += n.blobs;
    return n;
}

static void check_packs(struct confirm *c)
{
    const struct index *ix = c->repo->index;
    c->fresh = mem_array(NULL, c->stored->blobs.pack_count + 1, sizeof *c->fresh);
    c->other = mem_array(NULL, c->stored->blobs.pack_count + 1, sizeof *c->other);
    for (uint32_t p = 0; p < c->stored->blobs.pack_count; p++) {
        struct need need = count_need(c, p);
        const struct stored_file *file = stored_files_find(&c->stored->files, index_pack_id(ix, p));
        uint64_t expected = pack_blobs_expected_bytes(&c->stored->blobs, ix, p);
        if (need.blobs == 0)
            continue;
        c->result->packs++;
        if (file == NULL)
            problem_pack_missing(&c->problems, &c->stored->blobs, p);
        else if (file->bytes < expected)
            problem_pack_size(&c->problems, p, file->bytes, expected);
        else if (need.added_data > 0)
            c->fresh[c->fresh_count++] = p;
        else if (need.data > 0)
            c->other[c->other_count++] = p;
    }
}

/*
 * Reading.
 */

static uint64_t pack_bytes(const struct confirm *c, uint32_t pack)
{
    return stored_files_find(&c->stored->files, index_pack_id(c->repo->index, pack))->bytes;
}

static void count_added(struct confirm *c, uint32_t position)
{
    const struct index_entry *e = index_loaded(c->repo->index, position);
    if (bits_get(&c->used, position) && bits_get(&c->added, position) && index_entry_type(e) == BLOB_DATA)
        c->result->new_bytes_read += e->length;
}

static void count_pack(struct confirm *c, uint32_t pack)
{
    for (uint32_t i = c->stored->blobs.begin[pack]; i < c->stored->blobs.begin[pack + 1]; i++)
        count_added(c, c->stored->blobs.positions[i]);
}

/* Whole packs as far as the bytes go; the first that is too large is read in part. What was read for another snapshot a
 * moment ago is not read again. */
static void choose(struct confirm *c, const uint32_t *packs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = pack_bytes(c, packs[i]);
        if (bits_get(&c->stored->proved, packs[i])) {
            count_pack(c, packs[i]);
        } else if (bytes <= c->left) {
            c->chosen[c->chosen_count++] = packs[i];
            c->left -= bytes;
            c->chosen_bytes += bytes;
        } else if (c->partly == UINT32_MAX) {
            c->partly = packs[i];
        }
    }
}

static int read_packs(struct confirm *c, struct err *err)
{
    const struct verify_reporter reporter = problems_verify_reporter(&c->problems);
    engine_progress_stage(c->progress, "reading packs", c->chosen_count, c->chosen_bytes);
    c->result->packs_read += c->chosen_count;
    c->result->bytes_read += c->chosen_bytes;
    for (size_t p = 0; p < c->chosen_count; p++)
        count_pack(c, c->chosen[p]);
    if (verify_packs(c->repo, c->lock, c->chosen, c->chosen_count, &c->stored->blobs, &c->stored->files,
                     &c->problems.bad, &reporter, c->progress, err) != 0)
        return -1;
    /* Where one was not right, this snapshot is the last that is looked at. */
    for (size_t p = 0; p < c->chosen_count; p++)
        bits_set(&c->stored->proved, c->chosen[p]);
    return 0;
}

static void read_blob(struct confirm *c, struct codec *codec, struct buf *plain, uint32_t position)
{
    const struct verify_reporter reporter = problems_verify_reporter(&c->problems);
    const struct index_entry *e = index_loaded(c->repo->index, position);
    struct err why = {0};
    struct blob_place place = {
        .id = e->id,
        .pack_id = *index_pack_id(c->repo->index, index_entry_pack(e)),
        .type = index_entry_type(e),
        .offset = e->offset,
        .length = e->length,
        .raw_length = e->raw_length,
    };
    c->left -= e->length;
    c->result->bytes_read += e->length;
    count_added(c, position);
    if (repo_load_blob_at(c->repo, codec, &place, plain, &why) == 0)
        return;
    bits_set(&c->problems.bad, position);
    reporter.blob(reporter.ctx, position, &why);
}

static int read_partly(struct confirm *c, struct err *err)
{
    int rc = 0;
    struct buf plain;
    struct codec *codec = codec_new(c->repo, err);
    if (codec == NULL)
        return -1;
    buf_init(&plain, REPO_BLOB_MAX_BYTES);
    for (uint32_t i = c->stored->blobs.begin[c->partly]; i < c->stored->blobs.begin[c->partly + 1] && rc == 0; i++) {
        uint32_t position = c->stored->blobs.positions[i];
        const struct index_entry *e = index_loaded(c->repo->index, position);
        if (bits_get(&c->used, position) && index_entry_type(e) == BLOB_DATA && e->length <= c->left)
            read_blob(c, codec, &plain, position);
        rc = engine_check_stop(c->lock, err);
    }
    buf_release(&plain);
    codec_free(codec);
    return rc;
}

static int read_data(struct confirm *c, uint64_t read_bytes_max, struct err *err)
{
    c->left = read_bytes_max;
    c->partly = UINT32_MAX;
    c->chosen = mem_array(NULL, c->fresh_count + c->other_count + 1, sizeof *c->chosen);
    if (check_shuffle(c->fresh, c->fresh_count, err) != 0 || check_shuffle(c->other, c->other_count, err) != 0)
        return -1;
    choose(c, c->fresh, c->fresh_count);
    uint64_t sample = c->left < c->stored->sample_left ? c->left : c->stored->sample_left;
    c->left = sample;
    choose(c, c->other, c->other_count);
    c->stored->sample_left -= sample - c->left;
    if (c->chosen_count > 0 && read_packs(c, err) != 0)
        return -1;
    return c->partly != UINT32_MAX && c->left > 0 ? read_partly(c, err) : 0;
}

/* Which files of the snapshot it means, and the verdict. */
static int judge(struct confirm *c, struct err *err)
{
    struct snapshot_list one = {.items = &c->snapshot, .count = 1};
    char hex[ID_HEX_BYTES], more[48] = "";
    unsigned long long others = (unsigned long long)c->problems.errors - 1;
    c->result->problems += c->problems.errors;
    if (c->problems.errors == 0)
        return 0;
    if (problems_find_damage(&c->problems, c->lock, &one, err) != 0)
        return -1;
    if (others > 0)
        snprintf(more, sizeof more, " (and %llu more)", others);
    return err_set(err, ERR_CORRUPT, "snapshot %.8s is not whole in the repository: %.800s%s",
                   id_to_hex(&c->snapshot.id, hex), c->problems.first, more);
}

static void release(struct confirm *c)
{
    problems_release(&c->problems);
    snapshot_release(&c->snapshot);
    bits_release(&c->used);
    bits_release(&c->added);
    free(c->fresh);
    free(c->other);
    free(c->chosen);
}

static int confirm_one(struct confirm *c, const struct id *snapshot, uint64_t read_bytes_max, struct err *err)
{
    int rc = load_snapshot(c, snapshot, err);
    if (rc == 0)
        rc = walk(c, err);
    if (rc == 0)
        rc = find_added(c, err);
    if (rc == 0) {
        check_packs(c);
        rc = read_data(c, read_bytes_max, err);
    }
    return rc == 0 ? judge(c, err) : -1;
}

int confirm_snapshots(struct repo *r, struct lock *lock, const struct id *snapshots, size_t count,
                      uint64_t read_bytes_max, const struct check_reporter *reporter, struct engine_progress *progress,
                      struct confirm_result *out, struct err *err)
{
    struct stored stored = {0};
    *out = (struct confirm_result){0};
    engine_progress_stage(progress, "loading the index", 0, 0);
    int rc = load_stored(&stored, r, read_bytes_max, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        struct confirm c = {.repo = r, .lock = lock, .progress = progress, .result = out, .stored = &stored};
        problems_init(&c.problems, r, reporter);
        snapshot_init(&c.snapshot);
        rc = confirm_one(&c, &snapshots[i], read_bytes_max, err);
        release(&c);
    }
    release_stored(&stored);
    return rc;
}
