#include "engine/prune_copies.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/parallel.h"

struct choice {
    struct prune_plan *plan;
    const struct prune_reporter *reporter;
    struct codec **codecs;
    struct buf *plain; /* one a worker */
    uint64_t *firm;    /* for each pack: bytes of needed blobs that are nowhere else */
    size_t *runs;      /* positions where the copies of a needed blob begin */
    size_t run_count, run_cap;
    pthread_mutex_t mutex; /* guards what follows */
    struct prune_result *result;
};

/* The end of the copies that begin at `first`. */
static size_t run_end(const struct index *ix, size_t first)
{
    const struct index_entry *a = index_loaded(ix, first);
    size_t end = first + 1;
    for (; end < index_loaded_count(ix); end++) {
        const struct index_entry *b = index_loaded(ix, end);
        if (index_entry_type(a) != index_entry_type(b) || !id_equal(&a->id, &b->id))
            break;
    }
    return end;
}

static int unsound_pack(const struct prune_plan *plan, const struct index_entry *e, struct err *err)
{
    const struct plan_pack *pack = &plan->packs[index_entry_pack(e)];
    char pack_hex[ID_HEX_BYTES], hex[ID_HEX_BYTES];
    return err_set(err, ERR_CORRUPT, "pack %s %s, and %s blob %.8s in it is needed; run 'repair index', then 'check'",
                   id_to_hex(&pack->id, pack_hex), pack->bytes == 0 ? "is missing" : "has the wrong size",
                   blob_type_name(index_entry_type(e)), id_to_hex(&e->id, hex));
}

static void add_run(struct choice *c, size_t first)
{
    if (c->run_count == c->run_cap) {
        c->run_cap = c->run_cap == 0 ? 64 : c->run_cap * 2;
        c->runs = mem_array(c->runs, c->run_cap, sizeof *c->runs);
    }
    c->runs[c->run_count++] = first;
}

/* Blobs with one copy settle themselves; the others are collected. */
static int collect_runs(struct choice *c, struct err *err)
{
    const struct index *ix = c->plan->repo->index;
    for (size_t first = 0, end; first < index_loaded_count(ix); first = end) {
        const struct index_entry *e = index_loaded(ix, first);
        end = run_end(ix, first);
        if (!bits_get(c->plan->used, first))
            continue;
        if (end - first > 1)
            add_run(c, first);
        else if (!c->plan->packs[index_entry_pack(e)].sound)
            return unsound_pack(c->plan, e, err);
        else
            c->firm[index_entry_pack(e)] += e->length;
    }
    return 0;
}

/* Better: in a pack that has more to stay for; else in the one that was named first. */
static bool better(const struct choice *c, uint32_t a, uint32_t b)
{
    return c->firm[a] != c->firm[b] ? c->firm[a] > c->firm[b] : a < b;
}

/* The best copy in a sound pack that was not tried yet; SIZE_MAX when there is none left. `tried` has one entry a copy.
 */
static size_t best_copy(const struct choice *c, size_t first, size_t end, const bool *tried)
{
    const struct index *ix = c->plan->repo->index;
    size_t best = SIZE_MAX;
    for (size_t i = first; i < end; i++) {
        uint32_t pack = index_entry_pack(index_loaded(ix, i));
        if (c->plan->packs[pack].sound && !tried[i - first] &&
            (best == SIZE_MAX || better(c, pack, index_entry_pack(index_loaded(ix, best)))))
            best = i;
    }
    return best;
}

static int prove_copy(struct choice *c, unsigned worker, size_t position, struct err *err)
{
    const struct index_entry *e = index_loaded(c->plan->repo->index, position);
    struct blob_place place = {
        .id = e->id,
        .pack_id = c->plan->packs[index_entry_pack(e)].id,
        .type = index_entry_type(e),
        .offset = e->offset,
        .length = e->length,
        .raw_length = e->raw_length,
    };
    return repo_load_blob_at(c->plan->repo, c->codecs[worker], &place, &c->plain[worker], err);
}

static void report_damaged(struct choice *c, size_t position, const struct err *why)
{
    const struct index_entry *e = index_loaded(c->plan->repo->index, position);
    pthread_mutex_lock(&c->mutex);
    c->result->packs_damaged++;
    if (c->reporter != NULL && c->reporter->damaged != NULL)
        c->reporter->damaged(c->reporter->ctx, &c->plan->packs[index_entry_pack(e)].id, why->message);
    pthread_mutex_unlock(&c->mutex);
}

static int choose_one(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct choice *c = ctx;
    struct bits *used = c->plan->used;
    size_t first = c->runs[item], end = run_end(c->plan->repo->index, first);
    size_t best, proven = SIZE_MAX, any = SIZE_MAX;
    struct err why = {0};
    bool *tried = mem_zalloc((end - first) * sizeof *tried);
    while (proven == SIZE_MAX && (best = best_copy(c, first, end, tried)) != SIZE_MAX) {
        tried[best - first] = true;
        any = best;
        if (prove_copy(c, worker, best, &why) == 0)
            proven = best;
    }
    free(tried);
    if (any == SIZE_MAX)
        return unsound_pack(c->plan, index_loaded(c->plan->repo->index, first), err);
    bits_clear(used, first);
    if (proven != SIZE_MAX) {
        bits_set(used, proven);
        return 0;
    }
    for (size_t i = first; i < end; i++) /* nothing of what might yet be mended is thrown away */
        if (c->plan->packs[index_entry_pack(index_loaded(c->plan->repo->index, i))].sound)
            bits_set(used, i);
    report_damaged(c, any, &why);
    return 0;
}

int prune_choose_copies(struct prune_plan *plan, struct lock *lock, const struct prune_reporter *reporter,
                        struct prune_result *result, struct err *err)
{
    unsigned threads = parallel_threads(plan->repo);
    struct choice c = {.plan = plan, .reporter = reporter, .result = result, .mutex = PTHREAD_MUTEX_INITIALIZER};
    c.firm = mem_zalloc((plan->pack_count + 1) * sizeof *c.firm);
    c.plain = mem_zalloc(threads * sizeof *c.plain);
    for (unsigned i = 0; i < threads; i++)
        buf_init(&c.plain[i], REPO_BLOB_MAX_BYTES);
    int rc = collect_runs(&c, err);
    if (rc == 0 && c.run_count > 0) {
        rc = codecs_new(&c.codecs, plan->repo, threads, err);
        if (rc == 0)
            rc = parallel_run(threads, c.run_count, lock, choose_one, &c, err);
        codecs_free(c.codecs, threads);
    }
    for (unsigned i = 0; i < threads; i++)
        buf_release(&c.plain[i]);
    pthread_mutex_destroy(&c.mutex);
    free(c.plain);
    free(c.firm);
    free(c.runs);
    return rc;
}
