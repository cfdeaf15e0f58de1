/* Loading all index files of a repository, with help of the cache. */
#include "repo/index_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/pool.h"

/* Once this many index files, or this share of all blobs, are not in the cache, it is written anew: reading some files
 * costs little, rewriting the cache of a large repository after every run would not. */
enum { CACHE_STALE_FILES = 16, CACHE_STALE_SHARE = 8 };

struct loader {
    struct repo *repo;
    const struct id *ids;
    size_t count;
    struct codec **codecs; /* one a worker */
    pthread_mutex_t mutex; /* guards all below, and loading into the index */
    size_t next;
    struct strlist *broken;
    struct err *err;
    bool failed;
};

static int load_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct loader *l = ctx;
    pthread_mutex_lock(&l->mutex);
    int rc = index_load_pack(l->repo->index, pack_id, blobs, count, err);
    pthread_mutex_unlock(&l->mutex);
    return rc;
}

static int ignore_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                       struct err *err)
{
    (void)ctx, (void)pack_id, (void)blobs, (void)count, (void)err;
    return 0;
}

/* A broken file must leave nothing behind: with `broken` given it is parsed once in full before anything is taken from
 * it. */
static int load_file(struct loader *l, const struct id *id, struct codec *codec, struct err *err)
{
    char hex[ID_HEX_BYTES];
    struct buf json;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    int rc = repo_load_unpacked(l->repo, codec, STORE_INDEX, id, &json, err);
    const char *text = (const char *)json.data;
    if (rc == 0 && ((l->broken != NULL && index_decode(text, json.len, ignore_pack, NULL, err) != 0) ||
                    index_decode(text, json.len, load_pack, l, err) != 0))
        rc = err_wrap(err, "cannot load index %.8s", id_to_hex(id, hex));
    buf_release(&json);
    return rc;
}

static void note_failure(struct loader *l, const struct id *id, const struct err *err)
{
    char hex[ID_HEX_BYTES];
    pthread_mutex_lock(&l->mutex);
    if (l->broken != NULL && err->code != ERR_INTERRUPTED) {
        strlist_add(l->broken, id_to_hex(id, hex));
    } else if (!l->failed) {
        l->failed = true;
        if (l->err != NULL)
            *l->err = *err;
    }
    pthread_mutex_unlock(&l->mutex);
}

static const struct id *next_file(struct loader *l)
{
    pthread_mutex_lock(&l->mutex);
    const struct id *id = l->failed || l->next == l->count ? NULL : &l->ids[l->next++];
    pthread_mutex_unlock(&l->mutex);
    return id;
}

static void load_files_task(void *arg, unsigned worker)
{
    struct loader *l = arg;
    const struct id *id;
    struct err err = {0};
    if (l->codecs[worker] == NULL)
        l->codecs[worker] = codec_new(l->repo, &err);
    while ((id = next_file(l)) != NULL)
        if (l->codecs[worker] == NULL || load_file(l, id, l->codecs[worker], &err) != 0)
            note_failure(l, id, &err);
}

/* Loads these index files into repo->index, several at a time when there are several. */
static int load_files(struct repo *r, const struct id *ids, size_t count, struct strlist *broken, struct err *err)
{
    if (count == 0)
        return 0;
    unsigned threads = count < r->options.threads ? (unsigned)count : r->options.threads;
    struct loader l = {.repo = r, .ids = ids, .count = count, .broken = broken, .err = err};
    pthread_mutex_init(&l.mutex, NULL);
    l.codecs = mem_zalloc(threads * sizeof(struct codec *));
    if (threads == 1) {
        load_files_task(&l, 0);
    } else {
        struct pool *pool = pool_new(threads, threads);
        for (unsigned i = 0; i < threads; i++)
            pool_submit(pool, load_files_task, &l);
        pool_free(pool);
    }
    for (unsigned i = 0; i < threads; i++)
        codec_free(l.codecs[i]);
    free(l.codecs);
    pthread_mutex_destroy(&l.mutex);
    return l.failed ? -1 : 0;
}

static bool contains(const struct id *sorted, size_t count, const struct id *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = id_compare(&sorted[middle], id);
        if (c == 0)
            return true;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* Fills r->index from the cache if every index file that the cache covers still exists; an index file that is gone (a
 * prune) makes the cache useless. *covered gets the covered files' IDs, sorted. */
static struct index *load_cache(struct repo *r, const struct id *ids, size_t count, struct id **covered,
                                size_t *covered_count)
{
    struct index *ix = r->cache_dir != NULL ? index_cache_read(r, covered, covered_count) : NULL;
    for (size_t i = 0; ix != NULL && i < *covered_count; i++) {
        if (!contains(ids, count, &(*covered)[i])) {
            index_free(ix);
            ix = NULL;
        }
    }
    if (ix == NULL) {
        free(*covered);
        *covered = NULL;
        *covered_count = 0;
    }
    return ix;
}

static int load_with_cache(struct repo *r, const struct id *ids, size_t count, struct err *err)
{
    struct id *covered = NULL;
    size_t covered_count = 0;
    struct index *cached = load_cache(r, ids, count, &covered, &covered_count);
    struct id *missing = mem_array(NULL, count, sizeof *missing);
    size_t missing_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!contains(covered, covered_count, &ids[i]))
            missing[missing_count++] = ids[i];
    size_t before = cached != NULL ? index_loaded_count(cached) : 0;
    r->index = cached != NULL ? cached : index_new();
    int rc = 0;
    if (cached == NULL || missing_count > 0) {
        index_unseal(r->index);
        rc = load_files(r, missing, missing_count, NULL, err);
        index_seal(r->index);
    }
    size_t added = index_loaded_count(r->index) - before;
    if (rc == 0 && r->cache_dir != NULL && missing_count > 0 &&
        (before == 0 || missing_count > CACHE_STALE_FILES || added > before / CACHE_STALE_SHARE))
        index_cache_write(r, ids, count);
    free(missing);
    free(covered);
    return rc;
}

int repo_load_index(struct repo *r, struct strlist *broken, struct err *err)
{
    struct id *ids;
    size_t count;
    /* Broken files are of interest to those who repair; they want what is stored, not what we remember of it. */
    if (broken != NULL || r->cache_dir == NULL)
        return repo_load_index_uncached(r, broken, err);
    if (repo_list_ids(r, STORE_INDEX, &ids, &count, err) != 0)
        return -1;
    index_free(r->index);
    int rc = load_with_cache(r, ids, count, err);
    free(ids);
    return rc;
}

int repo_load_index_uncached(struct repo *r, struct strlist *broken, struct err *err)
{
    struct id *ids;
    size_t count;
    if (repo_list_ids(r, STORE_INDEX, &ids, &count, err) != 0)
        return -1;
    index_free(r->index);
    r->index = index_new();
    int rc = load_files(r, ids, count, broken, err);
    index_seal(r->index);
    free(ids);
    return rc;
}
