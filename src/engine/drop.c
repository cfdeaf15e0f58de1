/*
 * Invariants, at every moment, so also after a kill:
 *  1. Every pack that an index file names is on the store (or was missing before we came). An index that names a pack
 * that is gone is not merely untidy: the next backup would take the pack's blobs for stored.
 *  2. Every pack that is not to be dropped is named by an index file, if it was before.
 * Hence the order, group by group: write index files that name what the group's files name, less the dropped packs;
 * remove the group's files; remove the packs that no file names any more (`named` counts).
 *
 * Space: files that name only dropped packs come first, since nothing has to be written for them. The others follow,
 * smallest first, in groups that fit into half of the free space, one file at the least.
 */
#include "engine/drop.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/id_map.h"
#include "engine/parallel.h"
#include "repo/writer.h"

enum {
    SMALL_INDEX_BLOBS = 20000, /* an index file with fewer is small … */
    SMALL_INDEX_FILES = 8,     /* … and more small ones than this are worth merging */
    REMOVE_THREADS = 8,        /* removals wait for the disk, not for the CPU */
};

struct index_file {
    struct id id;
    uint64_t bytes;
    uint32_t drops, keeps; /* packs that it names */
    size_t blobs;
};

struct drop {
    struct repo *repo;
    struct lock *lock;
    const struct stored_file *packs; /* to be dropped */
    size_t count;
    _Atomic uint32_t *named; /* for each: how many index files name it */
    struct index_file *files;
    size_t file_count;
    struct codec **codecs;
    unsigned threads;
    struct engine_progress *progress;
    struct drop_result *result;
};

static const struct stored_file *find_dropped(const struct drop *d, const struct id *id)
{
    struct stored_files list = {.items = (struct stored_file *)(uintptr_t)d->packs, .count = d->count};
    return stored_files_find(&list, id);
}

/*
 * Removing.
 */

struct removal {
    struct repo *repo;
    enum store_type type;
    const struct stored_file *files;
    struct engine_progress *progress;
    _Atomic uint64_t removed, bytes;
};

static int remove_one(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct removal *m = ctx;
    const struct stored_file *f = &m->files[item];
    char hex[ID_HEX_BYTES];
    struct err this = {0};
    (void)worker;
    engine_progress_add(m->progress, 1, f->bytes);
    if (store_remove(m->repo->store, m->type, id_to_hex(&f->id, hex), &this) == 0) {
        atomic_fetch_add(&m->removed, 1);
        atomic_fetch_add(&m->bytes, f->bytes);
    } else if (this.code != ERR_NOT_FOUND) {
        err_wrap(&this, "cannot remove %s/%.8s", store_type_name(m->type), hex);
        if (err != NULL)
            *err = this;
        return -1;
    }
    return 0;
}

static int remove_files(struct repo *r, struct lock *lock, enum store_type type, const struct stored_file *files,
                        size_t count, struct engine_progress *progress, struct removal *m, struct err *err)
{
    *m = (struct removal){.repo = r, .type = type, .files = files, .progress = progress};
    if (count == 0)
        return 0;
    if (lock_prove(lock, err) != 0) /* without it others may rely on these by now */
        return -1;
    return parallel_run(REMOVE_THREADS, count, lock, remove_one, m, err);
}

int drop_unnamed_packs(struct repo *r, struct lock *lock, const struct stored_file *packs, size_t count,
                       struct engine_progress *progress, struct drop_result *out, struct err *err)
{
    struct removal m;
    if (count == 0)
        return 0;
    engine_progress_stage(progress, "removing packs", count, 0);
    int rc = remove_files(r, lock, STORE_PACK, packs, count, progress, &m, err);
    out->packs += m.removed;
    out->pack_bytes += m.bytes;
    return rc;
}

/*
 * What do the index files name?
 */

struct scan {
    struct drop *drop;
    struct index_file *file;
};

static int scan_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct scan *s = ctx;
    const struct stored_file *dropped = find_dropped(s->drop, pack_id);
    (void)blobs, (void)err;
    s->file->blobs += count;
    if (dropped != NULL) {
        s->file->drops++;
        atomic_fetch_add(&s->drop->named[dropped - s->drop->packs], 1);
    } else {
        s->file->keeps++;
    }
    return 0;
}

static int decode_file(struct drop *d, unsigned worker, const struct id *id, index_pack_fn *fn, void *ctx,
                       struct err *err)
{
    char hex[ID_HEX_BYTES];
    struct buf json;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    int rc = repo_load_unpacked(d->repo, d->codecs[worker], STORE_INDEX, id, &json, err);
    if (rc == 0)
        rc = index_decode((const char *)json.data, json.len, fn, ctx, err);
    if (rc != 0 && err != NULL && err->code == ERR_CORRUPT)
        err_wrap(err, "index file %.8s", id_to_hex(id, hex));
    buf_release(&json);
    return rc;
}

static int scan_file(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct drop *d = ctx;
    struct scan s = {.drop = d, .file = &d->files[item]};
    return decode_file(d, worker, &s.file->id, scan_pack, &s, err);
}

static int compare_cost(const void *a, const void *b)
{
    const struct index_file *x = a, *y = b;
    if ((x->keeps == 0) != (y->keeps == 0))
        return x->keeps == 0 ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

/* Keeps in d->files those that must go, cheapest first. */
static void choose_files(struct drop *d, bool merge_small)
{
    size_t small = 0, chosen = 0;
    for (size_t i = 0; i < d->file_count; i++)
        small += d->files[i].blobs < SMALL_INDEX_BLOBS;
    bool merge = merge_small && small > SMALL_INDEX_FILES;
    for (size_t i = 0; i < d->file_count; i++) {
        const struct index_file *f = &d->files[i];
        if (f->drops > 0 || f->keeps == 0 || (merge && f->blobs < SMALL_INDEX_BLOBS))
            d->files[chosen++] = *f;
    }
    d->file_count = chosen;
    qsort(d->files, chosen, sizeof *d->files, compare_cost);
}

static int scan_files(struct drop *d, bool merge_small, struct err *err)
{
    struct stored_files list;
    int rc = stored_files_list(d->repo->store, STORE_INDEX, &list, err);
    if (rc == 0 && (d->count > 0 || (merge_small && list.count > SMALL_INDEX_FILES))) {
        d->files = mem_zalloc((list.count + 1) * sizeof *d->files);
        for (size_t i = 0; i < list.count; i++)
            d->files[d->file_count++] = (struct index_file){.id = list.items[i].id, .bytes = list.items[i].bytes};
        rc = parallel_run(d->threads, d->file_count, d->lock, scan_file, d, err);
        choose_files(d, merge_small);
    }
    stored_files_release(&list);
    return rc;
}

/*
 * One group of index files.
 */

struct group {
    struct drop *drop;
    struct writer *writer;
    struct id_map carried; /* packs written already: the number of their blobs */
    size_t *dropped;       /* positions in drop->packs, one for each time they are named */
    size_t count, cap;
    bool rewritten; /* the new index files are durable */
};

static int carry_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct group *g = ctx;
    uint64_t carried_count;
    const struct stored_file *dropped = find_dropped(g->drop, pack_id);
    if (dropped != NULL) {
        if (g->count == g->cap) {
            g->cap = g->cap == 0 ? 64 : g->cap * 2;
            g->dropped = mem_array(g->dropped, g->cap, sizeof *g->dropped);
        }
        g->dropped[g->count++] = (size_t)(dropped - g->drop->packs);
        return 0;
    }
    /* Files repeat each other after an interruption. A list of another length is carried too: it may know more. */
    if (id_map_get(&g->carried, pack_id, &carried_count) && carried_count == count)
        return 0;
    id_map_put(&g->carried, pack_id, count);
    return writer_index_pack(g->writer, pack_id, blobs, count, err);
}

static void discard_index_files(struct drop *d, const struct id *ids, size_t count)
{
    char hex[ID_HEX_BYTES];
    for (size_t i = 0; i < count; i++)
        store_remove(d->repo->store, STORE_INDEX, id_to_hex(&ids[i], hex), NULL);
}

static int rewrite_group(struct group *g, const struct index_file *files, size_t count, struct err *err)
{
    struct drop *d = g->drop;
    g->writer = writer_new(d->repo, false, err);
    if (g->writer == NULL)
        return -1;
    writer_set_lock(g->writer, d->lock);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = engine_check_stop(d->lock, err);
        if (rc == 0)
            rc = decode_file(d, 0, &files[i].id, carry_pack, g, err);
    }
    if (rc == 0)
        rc = writer_flush(g->writer, err);
    size_t written;
    const struct id *ids = writer_index_ids(g->writer, &written);
    if (rc == 0)
        d->result->index_written += written;
    else /* the old ones are all there: give the space back */
        discard_index_files(d, ids, written);
    writer_free(g->writer);
    g->rewritten = rc == 0;
    return rc;
}

static int remove_index_files(struct drop *d, const struct index_file *files, size_t count, struct err *err)
{
    struct removal m;
    struct stored_file *list = mem_array(NULL, count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++)
        list[i] = (struct stored_file){.id = files[i].id, .bytes = files[i].bytes};
    int rc = remove_files(d->repo, d->lock, STORE_INDEX, list, count, NULL, &m, err);
    d->result->index_removed += m.removed;
    free(list);
    return rc;
}

/* The group's files are gone: so may be the packs that only they named. */
static int remove_group_packs(struct group *g, struct err *err)
{
    struct drop *d = g->drop;
    struct stored_file *list = mem_array(NULL, g->count + 1, sizeof *list);
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++) {
        size_t p = g->dropped[i];
        if (atomic_fetch_sub(&d->named[p], 1) == 1 && d->packs[p].bytes > 0)
            list[count++] = d->packs[p];
    }
    int rc = drop_unnamed_packs(d->repo, d->lock, list, count, d->progress, d->result, err);
    free(list);
    return rc;
}

static int run_group(struct drop *d, const struct index_file *files, size_t count, bool *rewritten, struct err *err)
{
    struct group g = {.drop = d};
    int rc = rewrite_group(&g, files, count, err);
    if (rc == 0)
        rc = remove_index_files(d, files, count, err);
    if (rc == 0)
        rc = remove_group_packs(&g, err);
    *rewritten = g.rewritten;
    id_map_release(&g.carried);
    free(g.dropped);
    return rc;
}

/* How many of the remaining files make the next group. */
static size_t group_size(struct drop *d, const struct index_file *files, size_t count)
{
    uint64_t free_bytes, sum = 0;
    size_t n = 0;
    if (files[0].keeps == 0) { /* nothing to write */
        while (n < count && files[n].keeps == 0)
            n++;
        return n;
    }
    if (!(d->repo->store->features & STORE_FREE_SPACE) || store_free_space(d->repo->store, &free_bytes, NULL) != 0)
        return count;
    while (n < count && (n == 0 || sum + files[n].bytes <= free_bytes / 2))
        sum += files[n++].bytes;
    return n;
}

static int run_groups(struct drop *d, struct err *err)
{
    for (size_t i = 0; i < d->file_count;) {
        struct err this = {0};
        size_t n = group_size(d, d->files + i, d->file_count - i);
        engine_progress_stage(d->progress, "rewriting the index", 0, 0);
        bool rewritten;
        int rc = run_group(d, d->files + i, n, &rewritten, &this);
        /* A quota may be tighter than what the file system says is free. */
        if (rc != 0 && this.code == ERR_NO_SPACE && !rewritten && n > 1)
            rc = run_group(d, d->files + i, n = 1, &rewritten, &this);
        if (rc != 0) {
            if (this.code == ERR_NO_SPACE && !rewritten)
                err_wrap(&this,
                         "what can be removed without writing is removed; to go on, rewriting the index takes about "
                         "%llu bytes of free space",
                         (unsigned long long)d->files[i].bytes);
            if (err != NULL)
                *err = this;
            return -1;
        }
        i += n;
    }
    return 0;
}

int drop_packs(struct repo *r, struct lock *lock, const struct stored_file *packs, size_t count, bool merge_small,
               struct engine_progress *progress, struct drop_result *out, struct err *err)
{
    struct drop d = {
        .repo = r,
        .lock = lock,
        .packs = packs,
        .count = count,
        .threads = parallel_threads(r),
        .progress = progress,
        .result = out,
    };
    int rc = codecs_new(&d.codecs, r, d.threads, err);
    if (rc == 0) {
        d.named = mem_zalloc((count + 1) * sizeof *d.named);
        rc = scan_files(&d, merge_small, err);
    }
    if (rc == 0)
        rc = run_groups(&d, err);
    codecs_free(d.codecs, d.threads);
    free(d.files);
    free((void *)(uintptr_t)d.named);
    return rc;
}
