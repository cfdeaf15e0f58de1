#include "engine/repack.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "crypto/cipher.h"
#include "engine/pack_stream.h"
#include "engine/parallel.h"

struct repack_worker {
    struct codec *codec;
    struct pack_stream stream;
    struct buf scratch, plain;
};

struct run {
    const struct repack *job;
    struct writer *writer;
    struct repack_pack *packs;
    struct repack_worker *workers;
    pthread_mutex_t mutex; /* one report at a time */
};

static void pack_failed(struct run *run, struct repack_pack *pack, const struct err *why)
{
    pack->failed = true;
    pthread_mutex_lock(&run->mutex);
    if (run->job->damaged != NULL)
        run->job->damaged(run->job->ctx, &pack->id, why->message);
    pthread_mutex_unlock(&run->mutex);
}

/* Gets the stored bytes of a blob and proves a copy of them (opening destroys what it opens). */
static int read_blob(struct repack_worker *w, const struct blob_place *place, unsigned char **stored, struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (pack_stream_get(&w->stream, place->offset, place->length, stored, err) != 0)
        return -1;
    buf_clear(&w->scratch);
    buf_append(&w->scratch, *stored, place->length);
    if (repo_open_blob(w->codec, place, w->scratch.data, &w->plain, err) != 0)
        return err_wrap(err, "%s blob %.8s", blob_type_name(place->type), id_to_hex(&place->id, hex));
    return 0;
}

static int write_blob(struct run *run, struct repack_worker *w, const struct blob_place *place,
                      const unsigned char *stored, struct err *err)
{
    struct pack_blob blob = {
        .id = place->id, .type = place->type, .length = place->length, .raw_length = place->raw_length};
    /* What a repository that was of version 1 once left uncompressed. */
    if (run->job->repo->config.version >= 2 && place->raw_length == 0 &&
        repo_seal_blob(w->codec, w->plain.data, w->plain.len, run->job->compress_all, &blob, &stored, err) != 0)
        return -1;
    return writer_sealed(run->writer, &blob, stored, err);
}

static int repack_one(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct run *run = ctx;
    struct repack_worker *w = &run->workers[worker];
    struct repack_pack *pack = &run->packs[item];
    const struct pack_blobs *blobs = run->job->blobs;
    pack_stream_open(&w->stream, &pack->id, pack->bytes, NULL);
    for (uint32_t i = blobs->begin[pack->number]; i < blobs->begin[pack->number + 1]; i++) {
        struct err this = {0};
        unsigned char *stored;
        if (!bits_get(run->job->keep, blobs->positions[i]))
            continue;
        const struct index_entry *e = index_loaded(run->job->repo->index, blobs->positions[i]);
        struct blob_place place = {
            .id = e->id,
            .pack_id = pack->id,
            .type = index_entry_type(e),
            .offset = e->offset,
            .length = e->length,
            .raw_length = e->raw_length,
        };
        if (read_blob(w, &place, &stored, &this) != 0) {
            pack_failed(run, pack, &this);
            break;
        }
        if (write_blob(run, w, &place, stored, err) != 0 || engine_check_stop(run->job->lock, err) != 0)
            return -1;
    }
    buf_shrink(&w->scratch, 12 << 20);
    buf_shrink(&w->plain, 12 << 20);
    engine_progress_add(run->job->progress, 1, pack->bytes);
    return 0;
}

static int workers_new(struct run *run, unsigned count, struct err *err)
{
    struct repo *r = run->job->repo;
    run->workers = mem_zalloc(count * sizeof *run->workers);
    for (unsigned i = 0; i < count; i++) {
        struct repack_worker *w = &run->workers[i];
        buf_init(&w->scratch, SIZE_MAX / 2);
        buf_init(&w->plain, REPO_BLOB_MAX_BYTES);
        pack_stream_init(&w->stream, r->store);
        w->codec = codec_new(r, err);
        if (w->codec == NULL)
            return -1;
    }
    return 0;
}

static void workers_free(struct run *run, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct repack_worker *w = &run->workers[i];
        codec_free(w->codec);
        pack_stream_release(&w->stream);
        buf_release(&w->scratch);
        buf_release(&w->plain);
    }
    free(run->workers);
}

int repack_run(const struct repack *job, struct writer *w, struct repack_pack *packs, size_t count, struct err *err)
{
    struct run run = {.job = job, .writer = w, .packs = packs, .mutex = PTHREAD_MUTEX_INITIALIZER};
    unsigned threads = parallel_threads(job->repo);
    if (threads > count)
        threads = (unsigned)count;
    int rc = workers_new(&run, threads, err);
    if (rc == 0)
        rc = parallel_run(threads, count, job->lock, repack_one, &run, err);
    workers_free(&run, threads);
    pthread_mutex_destroy(&run.mutex);
    return rc;
}
