/*
 * The order of reading makes a check right also beside a running backup (with --no-lock): snapshots first, then the
 * index, then the listing of packs. A backup writes in the reverse order, so whatever a snapshot that we saw needs is
 * there when we look.
 */
#include "engine/check.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/check_subset.h"
#include "engine/pack_blobs.h"
#include "engine/parallel.h"
#include "engine/problems.h"

struct check {
    struct repo *repo;
    struct lock *lock;
    const struct check_options *options;
    struct engine_progress *progress;
    struct check_result *result;
    struct problems problems;
    struct snapshot_list snapshots;
    struct stored_files files;
    struct pack_blobs blobs;
    struct bits used;
    uint32_t *readable; /* packs that are there with the right size */
    size_t readable_count;
    uint32_t *suspect; /* … with the wrong size */
    size_t suspect_count;
};

/*
 * Snapshots and the index.
 */

static int check_snapshots(struct check *c, struct err *err)
{
    struct strlist broken = {0};
    engine_progress_stage(c->progress, "loading snapshots", 0, 0);
    int rc = repo_load_snapshots(c->repo, &c->snapshots, &broken, err);
    for (size_t i = 0; i < broken.count; i++)
        problem_add(&c->problems, CHECK_SNAPSHOT, NULL, "%s", broken.items[i]);
    strlist_release(&broken);
    c->result->snapshots = c->snapshots.count;
    return rc;
}

static int ignore_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                       struct err *err)
{
    (void)ctx, (void)pack_id, (void)blobs, (void)count, (void)err;
    return 0;
}

/* Loads a broken index file once more, to say why it is broken. */
static int broken_index_file(struct check *c, const char *name, struct err *err)
{
    struct err why = {0};
    struct id id;
    struct buf json;
    struct codec *codec = codec_new(c->repo, err);
    if (codec == NULL)
        return -1;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    if (id_from_hex(name, strlen(name), &id) != 0 ||
        (repo_load_unpacked(c->repo, codec, STORE_INDEX, &id, &json, &why) == 0 &&
         index_decode((const char *)json.data, json.len, ignore_pack, NULL, &why) == 0))
        err_set(&why, ERR_FAILED, "it could be read only the second time: is the disk failing?");
    problem_add(&c->problems, CHECK_INDEX_FILE, NULL, "index file %s: %s", name, why.message);
    buf_release(&json);
    codec_free(codec);
    return 0;
}

static int check_index(struct check *c, struct err *err)
{
    struct strlist broken = {0};
    struct id *ids = NULL;
    size_t count = 0;
    engine_progress_stage(c->progress, "loading the index", 0, 0);
    int rc = repo_list_ids(c->repo, STORE_INDEX, &ids, &count, err);
    free(ids);
    if (rc == 0)
        rc = repo_load_index_uncached(c->repo, &broken, err);
    for (size_t i = 0; i < broken.count && rc == 0; i++)
        rc = broken_index_file(c, broken.items[i], err);
    strlist_release(&broken);
    if (rc != 0)
        return -1;
    c->result->index_files = count;
    c->result->blobs = index_loaded_count(c->repo->index);
    bits_init(&c->used, index_loaded_count(c->repo->index));
    problems_index_loaded(&c->problems);
    return pack_blobs_build(&c->blobs, c->repo->index, err);
}

/*
 * Packs, by the listing.
 */

static void check_pack_size(struct check *c, uint32_t pack, struct bits *named)
{
    const struct index *ix = c->repo->index;
    const struct stored_file *file = stored_files_find(&c->files, index_pack_id(ix, pack));
    if (file != NULL)
        bits_set(named, (size_t)(file - c->files.items));
    if (pack_blobs_count(&c->blobs, pack) == 0)
        return;
    uint64_t expected = pack_blobs_expected_bytes(&c->blobs, ix, pack);
    if (file == NULL) {
        problem_pack_missing(&c->problems, &c->blobs, pack);
    } else if (file->bytes != expected) {
        c->suspect[c->suspect_count++] = pack;
        problem_pack_size(&c->problems, pack, file->bytes, expected);
    } else {
        c->readable[c->readable_count++] = pack;
    }
}

static void check_unused_packs(struct check *c, const struct bits *named)
{
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; i < c->files.count; i++) {
        if (bits_get(named, i))
            continue;
        c->result->unused_packs++;
        c->result->unused_pack_bytes += c->files.items[i].bytes;
        problem_add(&c->problems, CHECK_UNUSED_PACK, &c->files.items[i].id, "pack %s (%llu bytes) is in no index",
                    id_to_hex(&c->files.items[i].id, hex), (unsigned long long)c->files.items[i].bytes);
    }
}

static int check_packs(struct check *c, struct err *err)
{
    struct bits named;
    size_t packs = index_pack_count(c->repo->index);
    engine_progress_stage(c->progress, "checking packs", 0, 0);
    if (stored_files_list(c->repo->store, STORE_PACK, &c->files, err) != 0)
        return -1;
    c->result->packs = c->files.count;
    c->readable = mem_array(NULL, packs + 1, sizeof *c->readable);
    c->suspect = mem_array(NULL, packs + 1, sizeof *c->suspect);
    bits_init(&named, c->files.count);
    for (uint32_t p = 0; p < packs; p++)
        check_pack_size(c, p, &named);
    check_unused_packs(c, &named);
    bits_release(&named);
    return 0;
}

/*
 * Trees.
 */

static int check_trees(struct check *c, struct err *err)
{
    const struct usage_reporter reporter = problems_usage_reporter(&c->problems);
    struct id *roots = usage_roots(&c->snapshots);
    engine_progress_stage(c->progress, "checking trees", 0, 0);
    int rc = usage_walk(c->repo, c->lock, roots, c->snapshots.count, &c->used, &reporter, c->progress, err);
    free(roots);
    return rc;
}

/* Counts duplicates and trees, and finds blobs that nobody needs. Copies of one blob follow each other; the walk marked
 * the first. */
static void check_usage(struct check *c)
{
    const struct index *ix = c->repo->index;
    const struct index_entry *first = NULL;
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; i < index_loaded_count(ix); i++) {
        const struct index_entry *e = index_loaded(ix, i);
        if (first != NULL && index_entry_type(first) == index_entry_type(e) && id_equal(&first->id, &e->id)) {
            c->result->duplicate_blobs++;
            continue;
        }
        first = e;
        c->result->trees += bits_get(&c->used, i) && index_entry_type(e) == BLOB_TREE;
        if (bits_get(&c->used, i))
            continue;
        c->result->unused_blobs++;
        if (c->options->unused)
            problem_add(&c->problems, CHECK_UNUSED_BLOB, &e->id, "%s blob %s is needed by no snapshot",
                        blob_type_name(index_entry_type(e)), id_to_hex(&e->id, hex));
    }
    if (c->result->duplicate_blobs > 0)
        problem_add(&c->problems, CHECK_DUPLICATE, NULL, "%llu blobs are stored more than once",
                    (unsigned long long)c->result->duplicate_blobs);
}

/*
 * Data.
 */

static int check_data(struct check *c, struct err *err)
{
    const struct verify_reporter reporter = problems_verify_reporter(&c->problems);
    uint64_t bytes = 0;
    if (check_subset_choose(&c->options->read, c->repo->index, &c->files, c->readable, &c->readable_count, err) != 0)
        return -1;
    if (c->suspect_count > 0) /* room for all packs was made */
        memcpy(c->readable + c->readable_count, c->suspect, c->suspect_count * sizeof *c->suspect);
    size_t count = c->readable_count + c->suspect_count;
    for (size_t i = 0; i < count; i++)
        bytes += stored_files_find(&c->files, index_pack_id(c->repo->index, c->readable[i]))->bytes;
    if (count == 0)
        return 0;
    engine_progress_stage(c->progress, "reading packs", count, bytes);
    c->result->packs_read = count;
    c->result->bytes_read = bytes;
    return verify_packs(c->repo, c->lock, c->readable, count, &c->blobs, &c->files, &c->problems.bad, &reporter,
                        c->progress, err);
}

/*
 * What it means for the snapshots.
 */

static int check_damage(struct check *c, struct err *err)
{
    if (c->problems.errors > 0)
        engine_progress_stage(c->progress, "finding touched files", 0, 0);
    return problems_find_damage(&c->problems, c->lock, &c->snapshots, err);
}

static void fill_result(struct check *c)
{
    c->result->errors = c->problems.errors;
    c->result->damaged_paths = c->problems.damaged_paths;
    c->result->repair_index = c->problems.repair_index;
    c->result->repair_snapshots = c->problems.repair_snapshots;
    c->result->prune = c->problems.prune;
}

static void release(struct check *c)
{
    snapshot_list_release(&c->snapshots);
    stored_files_release(&c->files);
    pack_blobs_release(&c->blobs);
    bits_release(&c->used);
    problems_release(&c->problems);
    free(c->readable);
    free(c->suspect);
}

int check_run(struct repo *r, struct lock *lock, const struct check_options *options,
              const struct check_reporter *reporter, struct engine_progress *progress, struct check_result *out,
              struct err *err)
{
    *out = (struct check_result){0};
    struct check c = {.repo = r, .lock = lock, .options = options, .progress = progress, .result = out};
    problems_init(&c.problems, r, reporter);
    int rc = check_snapshots(&c, err);
    if (rc == 0)
        rc = check_index(&c, err);
    if (rc == 0)
        rc = check_packs(&c, err);
    if (rc == 0)
        rc = check_trees(&c, err);
    if (rc == 0)
        check_usage(&c);
    if (rc == 0)
        rc = check_data(&c, err);
    if (rc == 0)
        rc = check_damage(&c, err);
    fill_result(&c);
    release(&c);
    return rc;
}
