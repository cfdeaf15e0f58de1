#include "engine/verify.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/pack_stream.h"
#include "engine/parallel.h"

struct verify_worker {
    struct codec *codec;
    struct sha256 *hash;
    struct pack_stream stream;
    struct buf plain;
};

struct verify {
    struct repo *repo;
    const uint32_t *packs;
    const struct pack_blobs *blobs;
    const struct stored_files *files;
    struct bits *bad;
    const struct verify_reporter *reporter;
    struct engine_progress *progress;
    struct verify_worker *workers;
    pthread_mutex_t mutex; /* one report at a time */
};

static void report_pack(struct verify *v, uint32_t pack, bool index_differs, const char *what)
{
    pthread_mutex_lock(&v->mutex);
    v->reporter->pack(v->reporter->ctx, pack, index_differs, what);
    pthread_mutex_unlock(&v->mutex);
}

static void report_blob(struct verify *v, size_t position, const struct err *why)
{
    bits_set(v->bad, position);
    pthread_mutex_lock(&v->mutex);
    v->reporter->blob(v->reporter->ctx, position, why);
    pthread_mutex_unlock(&v->mutex);
}

static void place_of(const struct verify *v, size_t position, struct blob_place *out)
{
    const struct index_entry *e = index_loaded(v->repo->index, position);
    *out = (struct blob_place){
        .id = e->id,
        .pack_id = *index_pack_id(v->repo->index, index_entry_pack(e)),
        .type = index_entry_type(e),
        .offset = e->offset,
        .length = e->length,
        .raw_length = e->raw_length,
    };
}

/*
 * The header against the index.
 */

static int compare_by_offset(const void *a, const void *b)
{
    const struct pack_blob *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool same_blob(const struct pack_blob *b, const struct index_entry *e)
{
    return id_equal(&b->id, &e->id) && b->type == index_entry_type(e) && b->offset == e->offset &&
           b->length == e->length && b->raw_length == e->raw_length;
}

/* True: it lists, one after another and without a gap, just what the index lists. */
static bool check_header(struct verify *v, struct verify_worker *w, const struct stored_file *file, uint32_t pack)
{
    struct err err = {0};
    struct pack_blob *blobs = NULL;
    size_t count = 0;
    if (repo_load_pack_header(v->repo, w->codec, &file->id, file->bytes, &blobs, &count, &err) != 0) {
        report_pack(v, pack, false, err.message);
        return false;
    }
    qsort(blobs, count, sizeof *blobs, compare_by_offset);
    bool same = count == pack_blobs_count(v->blobs, pack);
    for (size_t i = 0; i < count && same; i++)
        same = same_blob(&blobs[i], index_loaded(v->repo->index, v->blobs->positions[v->blobs->begin[pack] + i]));
    if (!same)
        report_pack(v, pack, true, "its header does not list the blobs that the index lists for it");
    free(blobs);
    return same;
}

/*
 * The blobs.
 */

/* One by one: slower, but one unreadable spot does not hide the rest. */
static void check_blobs_singly(struct verify *v, struct verify_worker *w, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++) {
        struct err err = {0};
        struct blob_place place;
        place_of(v, v->blobs->positions[i], &place);
        if (repo_load_blob_at(v->repo, w->codec, &place, &w->plain, &err) != 0)
            report_blob(v, v->blobs->positions[i], &err);
    }
}

/* Blobs that overlap cannot be taken from one window, where each is decrypted in place. Only a wrong index has them. */
static bool blobs_overlap(const struct verify *v, uint32_t pack)
{
    uint64_t end = 0;
    for (uint32_t i = v->blobs->begin[pack]; i < v->blobs->begin[pack + 1]; i++) {
        const struct index_entry *e = index_loaded(v->repo->index, v->blobs->positions[i]);
        if (e->offset < end)
            return true;
        end = (uint64_t)e->offset + e->length;
    }
    return false;
}

/* Returns how many of the pack's blobs it got through before the stream itself failed, and why it failed. */
static uint32_t check_blobs_streamed(struct verify *v, struct verify_worker *w, uint32_t pack, struct err *stream_err)
{
    uint32_t i = v->blobs->begin[pack], end = v->blobs->begin[pack + 1];
    for (; i < end; i++) {
        struct err err = {0};
        struct blob_place place;
        unsigned char *stored;
        char hex[ID_HEX_BYTES];
        struct blob_view view;
        place_of(v, v->blobs->positions[i], &place);
        if (pack_stream_get(&w->stream, place.offset, place.length, &stored, stream_err) != 0)
            return i;
        if (repo_view_blob(w->codec, &place, stored, &w->plain, &view, &err) != 0) {
            err_wrap(&err, "%s blob %.8s at offset %u", blob_type_name(place.type), id_to_hex(&place.id, hex),
                     place.offset);
            report_blob(v, v->blobs->positions[i], &err);
        }
    }
    pack_stream_finish(&w->stream, stream_err);
    return i;
}

/* covered: see check_header(). Then each byte of the pack lies under a code that proves it (those of the blobs and of
 * the header), and hashing all of them again would only cost: of data that does not compress, a third of the time. */
static void check_contents(struct verify *v, struct verify_worker *w, const struct stored_file *file, uint32_t pack,
                           bool covered)
{
    struct err err = {0};
    uint32_t end = v->blobs->begin[pack + 1];
    if (blobs_overlap(v, pack)) {
        report_pack(v, pack, true, "the index lists blobs for it that overlap");
        check_blobs_singly(v, w, v->blobs->begin[pack], end);
        return;
    }
    pack_stream_open(&w->stream, &file->id, file->bytes, covered ? NULL : w->hash);
    uint32_t reached = check_blobs_streamed(v, w, pack, &err);
    if (err.code != ERR_NONE) {
        report_pack(v, pack, false, err.message);
        check_blobs_singly(v, w, reached, end);
        return;
    }
    if (covered)
        return;
    struct id actual;
    sha256_end(w->hash, &actual);
    if (!id_equal(&actual, &file->id))
        report_pack(v, pack, false, "its contents do not match its name: it is damaged");
}

static int verify_one(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct verify *v = ctx;
    struct verify_worker *w = &v->workers[worker];
    uint32_t pack = v->packs[item];
    const struct stored_file *file = stored_files_find(v->files, index_pack_id(v->repo->index, pack));
    (void)err;
    bool covered = check_header(v, w, file, pack);
    check_contents(v, w, file, pack, covered);
    buf_shrink(&w->plain, 12 << 20);
    engine_progress_add(v->progress, 1, file->bytes);
    return 0;
}

static int workers_new(struct verify *v, unsigned count, struct err *err)
{
    v->workers = mem_zalloc(count * sizeof *v->workers);
    for (unsigned i = 0; i < count; i++) {
        struct verify_worker *w = &v->workers[i];
        buf_init(&w->plain, REPO_BLOB_MAX_BYTES);
        pack_stream_init(&w->stream, v->repo->store);
        w->hash = sha256_new();
        w->codec = codec_new(v->repo, err);
        if (w->codec == NULL)
            return -1;
    }
    return 0;
}

static void workers_free(struct verify *v, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct verify_worker *w = &v->workers[i];
        codec_free(w->codec);
        sha256_free(w->hash);
        pack_stream_release(&w->stream);
        buf_release(&w->plain);
    }
    free(v->workers);
}

int verify_packs(struct repo *r, struct lock *lock, const uint32_t *packs, size_t count, const struct pack_blobs *blobs,
                 const struct stored_files *files, struct bits *bad, const struct verify_reporter *reporter,
                 struct engine_progress *progress, struct err *err)
{
    unsigned threads = parallel_threads(r);
    struct verify v = {
        .repo = r,
        .packs = packs,
        .blobs = blobs,
        .files = files,
        .bad = bad,
        .reporter = reporter,
        .progress = progress,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    if (threads > count && count > 0)
        threads = (unsigned)count;
    int rc = workers_new(&v, threads, err);
    if (rc == 0)
        rc = parallel_run(threads, count, lock, verify_one, &v, err);
    workers_free(&v, threads);
    pthread_mutex_destroy(&v.mutex);
    return rc;
}
