/*
 * The order of reading makes a check right also beside a running backup (with --no-lock): snapshots first, then the
 * index, then the listing of packs. A backup writes in the reverse order, so whatever a snapshot that we saw needs is
 * there when we look.
 */
#include "engine/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/check_subset.h"
#include "engine/id_map.h"
#include "engine/pack_blobs.h"
#include "engine/parallel.h"
#include "engine/usage.h"
#include "engine/verify.h"

struct check {
    struct repo *repo;
    struct lock *lock;
    const struct check_options *options;
    const struct check_reporter *reporter;
    struct engine_progress *progress;
    struct check_result *result;
    struct snapshot_list snapshots;
    struct stored_files files;
    struct pack_blobs blobs;
    struct bits used, bad;
    struct id_map reported; /* missing blobs */
    uint32_t *readable;     /* packs that are there with the right size */
    size_t readable_count;
    uint32_t *suspect; /* … with the wrong size */
    size_t suspect_count;
};

const char *check_kind_name(enum check_kind kind)
{
    static const char *const NAMES[] = {
        [CHECK_INDEX_FILE] = "index file",
        [CHECK_SNAPSHOT] = "snapshot",
        [CHECK_PACK_MISSING] = "pack missing",
        [CHECK_PACK_SIZE] = "pack size",
        [CHECK_PACK] = "pack",
        [CHECK_PACK_INDEX] = "pack differs from index",
        [CHECK_BLOB] = "blob",
        [CHECK_BLOB_MISSING] = "blob missing",
        [CHECK_TREE] = "tree",
        [CHECK_UNUSED_BLOB] = "unused blob",
        [CHECK_UNUSED_PACK] = "unused pack",
        [CHECK_DUPLICATE] = "duplicate blobs",
    };
    return NAMES[kind];
}

static void problem(struct check *c, enum check_kind kind, const struct id *id, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void problem(struct check *c, enum check_kind kind, const struct id *id, const char *format, ...)
{
    char message[ERR_MESSAGE_BYTES + 256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    c->result->errors += check_kind_is_error(kind);
    switch (kind) {
    case CHECK_INDEX_FILE:
    case CHECK_PACK_MISSING:
    case CHECK_PACK_SIZE:
    case CHECK_PACK_INDEX:
    case CHECK_BLOB_MISSING:
        c->result->repair_index = true;
        break;
    case CHECK_UNUSED_BLOB:
    case CHECK_UNUSED_PACK:
    case CHECK_DUPLICATE:
        c->result->prune = true;
        break;
    default:
        break;
    }
    struct check_problem p = {.kind = kind, .id = id, .message = message};
    c->reporter->problem(c->reporter->ctx, &p);
}

/*
 * Snapshots and the index.
 */

static int check_snapshots(struct check *c, struct err *err)
{
    struct strlist broken = {0};
    engine_progress_stage(c->progress, "loading snapshots", 0, 0);
    int rc = repo_load_snapshots(c->repo, &c->snapshots, &broken, err);
    for (size_t i = 0; i < broken.count; i++)
        problem(c, CHECK_SNAPSHOT, NULL, "%s", broken.items[i]);
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
    problem(c, CHECK_INDEX_FILE, NULL, "index file %s: %s", name, why.message);
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
    bits_init(&c->bad, index_loaded_count(c->repo->index));
    return pack_blobs_build(&c->blobs, c->repo->index, err);
}

/*
 * Packs, by the listing.
 */

static void check_pack_size(struct check *c, uint32_t pack, struct bits *named)
{
    const struct index *ix = c->repo->index;
    const struct id *id = index_pack_id(ix, pack);
    const struct stored_file *file = stored_files_find(&c->files, id);
    char hex[ID_HEX_BYTES];
    if (file != NULL)
        bits_set(named, (size_t)(file - c->files.items));
    if (pack_blobs_count(&c->blobs, pack) == 0)
        return;
    uint64_t expected = pack_blobs_expected_bytes(&c->blobs, ix, pack);
    if (file == NULL) {
        for (uint32_t i = c->blobs.begin[pack]; i < c->blobs.begin[pack + 1]; i++)
            bits_set(&c->bad, c->blobs.positions[i]);
        problem(c, CHECK_PACK_MISSING, id, "pack %s, which the index names, is not there", id_to_hex(id, hex));
    } else if (file->bytes != expected) {
        c->suspect[c->suspect_count++] = pack;
        problem(c, CHECK_PACK_SIZE, id, "pack %s has %llu bytes; by the index it must have %llu", id_to_hex(id, hex),
                (unsigned long long)file->bytes, (unsigned long long)expected);
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
        problem(c, CHECK_UNUSED_PACK, &c->files.items[i].id, "pack %s (%llu bytes) is in no index",
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

static void report_bad_tree(void *ctx, const struct id *tree, const struct err *why)
{
    struct check *c = ctx;
    char hex[ID_HEX_BYTES];
    /* With its pack reported as missing there is nothing to add. */
    if (!damage_blob_lost(c->repo->index, &c->bad, BLOB_TREE, tree))
        problem(c, CHECK_TREE, tree, "tree %s: %s", id_to_hex(tree, hex), why->message);
}

static void report_missing(void *ctx, enum blob_type type, const struct id *blob, const struct id *tree)
{
    struct check *c = ctx;
    char hex[ID_HEX_BYTES], tree_hex[ID_HEX_BYTES];
    if (!id_map_put(&c->reported, blob, 0))
        return;
    if (tree == NULL)
        problem(c, CHECK_BLOB_MISSING, blob, "the tree of a snapshot, %s, is in no index", id_to_hex(blob, hex));
    else
        problem(c, CHECK_BLOB_MISSING, blob, "%s blob %s, which tree %.8s needs, is in no index", blob_type_name(type),
                id_to_hex(blob, hex), id_to_hex(tree, tree_hex));
}

static int check_trees(struct check *c, struct err *err)
{
    struct usage_reporter reporter = {.ctx = c, .bad_tree = report_bad_tree, .missing = report_missing};
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
            problem(c, CHECK_UNUSED_BLOB, &e->id, "%s blob %s is needed by no snapshot",
                    blob_type_name(index_entry_type(e)), id_to_hex(&e->id, hex));
    }
    if (c->result->duplicate_blobs > 0)
        problem(c, CHECK_DUPLICATE, NULL, "%llu blobs are stored more than once",
                (unsigned long long)c->result->duplicate_blobs);
}

/*
 * Data.
 */

static void report_pack(void *ctx, uint32_t pack, bool index_differs, const char *what)
{
    struct check *c = ctx;
    char hex[ID_HEX_BYTES];
    const struct id *id = index_pack_id(c->repo->index, pack);
    problem(c, index_differs ? CHECK_PACK_INDEX : CHECK_PACK, id, "pack %s: %s", id_to_hex(id, hex), what);
}

static void report_blob(void *ctx, size_t position, const struct err *why)
{
    struct check *c = ctx;
    char hex[ID_HEX_BYTES];
    const struct index_entry *e = index_loaded(c->repo->index, position);
    problem(c, CHECK_BLOB, &e->id, "pack %s: %s", id_to_hex(index_pack_id(c->repo->index, index_entry_pack(e)), hex),
            why->message);
}

static int check_data(struct check *c, struct err *err)
{
    struct verify_reporter reporter = {.ctx = c, .pack = report_pack, .blob = report_blob};
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
    return verify_packs(c->repo, c->lock, c->readable, count, &c->blobs, &c->files, &c->bad, &reporter, c->progress,
                        err);
}

/*
 * What it means for the snapshots.
 */

static void report_damage(void *ctx, const struct damage *d)
{
    struct check *c = ctx;
    c->result->damaged_paths++;
    c->result->repair_snapshots = true;
    if (c->reporter->damage != NULL)
        c->reporter->damage(c->reporter->ctx, d);
}

static int check_damage(struct check *c, struct err *err)
{
    if (c->result->errors == 0)
        return 0;
    engine_progress_stage(c->progress, "finding touched files", 0, 0);
    return damage_find(c->repo, c->lock, &c->snapshots, &c->bad, report_damage, c, err);
}

static void release(struct check *c)
{
    snapshot_list_release(&c->snapshots);
    stored_files_release(&c->files);
    pack_blobs_release(&c->blobs);
    bits_release(&c->used);
    bits_release(&c->bad);
    id_map_release(&c->reported);
    free(c->readable);
    free(c->suspect);
}

int check_run(struct repo *r, struct lock *lock, const struct check_options *options,
              const struct check_reporter *reporter, struct engine_progress *progress, struct check_result *out,
              struct err *err)
{
    *out = (struct check_result){0};
    struct check c = {
        .repo = r, .lock = lock, .options = options, .reporter = reporter, .progress = progress, .result = out};
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
    release(&c);
    return rc;
}
