#include "engine/copy_blobs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "engine/pack_blobs.h"
#include "engine/pack_stream.h"
#include "engine/parallel.h"

enum { KEEP_BYTES = 12 << 20 };

struct copy_worker {
    struct codec *source, *target;
    struct pack_stream stream;
    struct buf plain;
};

struct run {
    const struct copy_blobs *job;
    struct pack_blobs blobs;
    uint32_t *packs; /* those with wanted blobs */
    size_t pack_count;
    uint64_t bytes;
    bool keep_frames; /* compressed blobs stay as they are compressed */
    struct copy_worker *workers;
    pthread_mutex_t mutex; /* one report at a time */
};

static void place_of(const struct run *run, uint32_t position, struct blob_place *out)
{
    const struct index *ix = run->job->source->index;
    const struct index_entry *e = index_loaded(ix, position);
    *out = (struct blob_place){
        .id = e->id,
        .pack_id = *index_pack_id(ix, index_entry_pack(e)),
        .type = index_entry_type(e),
        .offset = e->offset,
        .length = e->length,
        .raw_length = e->raw_length,
    };
}

static void report(struct run *run, const struct blob_place *place, const struct err *why)
{
    char hex[ID_HEX_BYTES], pack[ID_HEX_BYTES], message[ERR_MESSAGE_BYTES + 256];
    snprintf(message, sizeof message, "%s blob %s in pack %.8s: %s", blob_type_name(place->type),
             id_to_hex(&place->id, hex), id_to_hex(&place->pack_id, pack), why->message);
    pthread_mutex_lock(&run->mutex);
    run->job->damaged(run->job->ctx, message);
    pthread_mutex_unlock(&run->mutex);
}

/* Leaves the plaintext in w->plain and, where this copy of the blob is good, its content as it is compressed at *frame,
 * else NULL: then it came from another pack. */
static int read_blob(struct run *run, struct copy_worker *w, const struct blob_place *place,
                     const unsigned char **frame, struct err *err)
{
    struct repo *source = run->job->source;
    unsigned char *stored;
    *frame = NULL;
    if (pack_stream_get(&w->stream, place->offset, place->length, &stored, err) == 0 &&
        repo_open_blob(w->source, place, stored, &w->plain, err) == 0) {
        *frame = stored + CIPHER_IV_BYTES;
        return 0;
    }
    return repo_load_blob(source, w->source, place->type, &place->id, &w->plain, NULL);
}

static int write_blob(struct run *run, struct copy_worker *w, const struct blob_place *place,
                      const unsigned char *frame, struct err *err)
{
    struct pack_blob blob = {.id = place->id, .type = place->type};
    const unsigned char *sealed;
    if (!index_claim(run->job->target->index, place->type, &place->id))
        return 0;
    int rc = frame != NULL && place->raw_length > 0 && run->keep_frames
                 ? repo_seal_content(w->target, frame, place->length - CIPHER_OVERHEAD_BYTES, place->raw_length, &blob,
                                     &sealed, err)
                 : repo_seal_blob(w->target, w->plain.data, w->plain.len, false, &blob, &sealed, err);
    return rc == 0 ? writer_sealed(run->job->writer, &blob, sealed, err) : -1;
}

/* Where the last blob that the index lists for it ends. */
static uint64_t pack_end(const struct run *run, uint32_t pack)
{
    uint64_t end = 0;
    for (uint32_t i = run->blobs.begin[pack]; i < run->blobs.begin[pack + 1]; i++) {
        const struct index_entry *e = index_loaded(run->job->source->index, run->blobs.positions[i]);
        if ((uint64_t)e->offset + e->length > end)
            end = (uint64_t)e->offset + e->length;
    }
    return end;
}

static int copy_pack(void *ctx, unsigned worker, size_t item, struct err *err)
{
    struct run *run = ctx;
    struct copy_worker *w = &run->workers[worker];
    uint32_t pack = run->packs[item];
    pack_stream_open(&w->stream, index_pack_id(run->job->source->index, pack), pack_end(run, pack), NULL);
    for (uint32_t i = run->blobs.begin[pack]; i < run->blobs.begin[pack + 1]; i++) {
        struct err why = {0};
        struct blob_place place;
        const unsigned char *frame;
        if (!bits_get(run->job->wanted, run->blobs.positions[i]))
            continue;
        place_of(run, run->blobs.positions[i], &place);
        if (read_blob(run, w, &place, &frame, &why) != 0)
            report(run, &place, &why);
        else if (write_blob(run, w, &place, frame, err) != 0)
            return -1;
        engine_progress_add(run->job->progress, 1, place.length);
        if (engine_check_stop(run->job->lock, err) != 0)
            return -1;
    }
    buf_shrink(&w->plain, KEEP_BYTES);
    return 0;
}

static int find_packs(struct run *run, struct err *err)
{
    const struct index *ix = run->job->source->index;
    uint64_t blobs = 0;
    if (pack_blobs_build(&run->blobs, ix, err) != 0)
        return -1;
    run->packs = mem_array(NULL, run->blobs.pack_count + 1, sizeof *run->packs);
    for (uint32_t p = 0; p < run->blobs.pack_count; p++) {
        uint64_t before = blobs;
        for (uint32_t i = run->blobs.begin[p]; i < run->blobs.begin[p + 1]; i++) {
            bool wanted = bits_get(run->job->wanted, run->blobs.positions[i]);
            blobs += wanted;
            run->bytes += wanted ? index_loaded(ix, run->blobs.positions[i])->length : 0;
        }
        if (blobs > before)
            run->packs[run->pack_count++] = p;
    }
    engine_progress_stage(run->job->progress, "copying", blobs, run->bytes);
    return 0;
}

static int workers_new(struct run *run, unsigned count, struct err *err)
{
    run->workers = mem_zalloc((count + 1) * sizeof *run->workers);
    for (unsigned i = 0; i < count; i++) {
        struct copy_worker *w = &run->workers[i];
        buf_init(&w->plain, REPO_BLOB_MAX_BYTES);
        pack_stream_init(&w->stream, run->job->source->store);
        w->source = codec_new(run->job->source, err);
        w->target = w->source != NULL ? codec_new(run->job->target, err) : NULL;
        if (w->target == NULL)
            return -1;
    }
    return 0;
}

static void workers_free(struct run *run, unsigned count)
{
    for (unsigned i = 0; run->workers != NULL && i < count; i++) {
        struct copy_worker *w = &run->workers[i];
        codec_free(w->source);
        codec_free(w->target);
        pack_stream_release(&w->stream);
        buf_release(&w->plain);
    }
    free(run->workers);
}

int copy_blobs_run(const struct copy_blobs *job, struct err *err)
{
    struct run run = {
        .job = job,
        .keep_frames = job->target->config.version >= 2 && job->target->options.compression == REPO_COMPRESSION_AUTO,
        .mutex = PTHREAD_MUTEX_INITIALIZER,
    };
    unsigned threads = parallel_threads(job->target);
    int rc = find_packs(&run, err);
    if (threads > run.pack_count)
        threads = (unsigned)run.pack_count;
    if (rc == 0)
        rc = workers_new(&run, threads, err);
    if (rc == 0)
        rc = parallel_run(threads, run.pack_count, job->lock, copy_pack, &run, err);
    workers_free(&run, threads);
    pack_blobs_release(&run.blobs);
    free(run.packs);
    pthread_mutex_destroy(&run.mutex);
    return rc;
}
