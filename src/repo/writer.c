#include "repo/writer.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/clock.h"
#include "repo/codec.h"
#include "repo/lock.h"

/*
 * A blob's way: writer_blob() hashes and claims it, compresses and seals it on the caller's thread, and appends it to
 * the open pack of its type (a lane, under the lane's lock: copying, hashing the pack, spooling). A pack that is full
 * goes to the finisher thread, which adds the header, makes it durable under its name, gives the blobs their place in
 * the index, and now and then writes an index file.
 *
 * Invariants
 *  1. A blob gets its place in the index only when its pack is durable.
 *  2. An index file names only packs that are durable: packs first, then index files.
 *     That holds while the lock does: without it a prune may have removed packs that no index file named yet.
 *  3. After the first failure `error` is set, nothing more is written, and every call reports it.
 */
enum {
    SPOOL_BUFFER_BYTES = 128 << 10,
    FINISH_QUEUE = 2,
    INDEX_BLOBS_MAX = 20000, /* an index file stays below a megabyte: see STORE_RESERVE_BYTES */
    LANES = 2,               /* one for each blob_type */
};
static const uint64_t INDEX_INTERVAL_NS = 600 * 1000000000ULL;

struct open_pack {
    struct store_spool *spool;
    struct sha256 *sha;
    unsigned char *buffer; /* not yet spooled */
    size_t buffered;
    uint64_t bytes; /* of blobs so far */
    struct pack_blob *blobs;
    size_t count, cap, header_bytes;
};

/* A finished pack that no index file names yet. */
struct indexed_pack {
    struct id id;
    struct pack_blob *blobs;
    size_t count;
};

struct lane {
    pthread_mutex_t mutex;
    struct open_pack *pack; /* NULL: none open */
};

struct writer {
    struct repo *repo;
    bool dry_run;
    struct lock *lock; /* NULL: none */
    struct lane lanes[LANES];
    int (*gate)(void *ctx, struct err *err); /* NULL: none, or passed */
    void *gate_ctx;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct open_pack *queue[FINISH_QUEUE];
    size_t queued;
    bool finishing, closing;
    struct err error;
    struct writer_stats stats;

    /* the finisher's own, and writer_flush's while the finisher is idle */
    pthread_t finisher;
    struct codec *codec;
    struct indexed_pack *indexed;
    size_t indexed_count, indexed_cap, indexed_blobs;
    uint64_t last_index_ns;
    struct id *index_ids;
    size_t index_id_count;
};

static void *finisher_main(void *arg);

struct writer *writer_new(struct repo *r, bool dry_run, struct err *err)
{
    struct codec *codec = codec_new(r, err);
    if (codec == NULL)
        return NULL;
    struct writer *w = mem_zalloc(sizeof *w);
    w->repo = r;
    w->dry_run = dry_run;
    w->codec = codec;
    w->last_index_ns = os_monotonic_ns();
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->changed, NULL);
    for (unsigned i = 0; i < LANES; i++)
        pthread_mutex_init(&w->lanes[i].mutex, NULL);
    if (pthread_create(&w->finisher, NULL, finisher_main, w) != 0) {
        err_set(err, ERR_FAILED, "cannot start a thread");
        w->closing = true;
        w->finisher = pthread_self();
        writer_free(w);
        return NULL;
    }
    return w;
}

void writer_set_gate(struct writer *w, int (*gate)(void *ctx, struct err *err), void *ctx)
{
    w->gate = gate;
    w->gate_ctx = ctx;
}

void writer_set_lock(struct writer *w, struct lock *l)
{
    w->lock = l;
}

/* Only the finisher (or writer_flush while it is idle) comes here. */
static int pass_gate(struct writer *w, struct err *err)
{
    if (w->gate != NULL && w->gate(w->gate_ctx, err) != 0)
        return -1;
    w->gate = NULL;
    return 0;
}

/* Notes the first failure and wakes whoever waits. */
static int fail(struct writer *w, const struct err *err)
{
    pthread_mutex_lock(&w->mutex);
    if (w->error.code == ERR_NONE)
        w->error = *err;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    return -1;
}

/* -1 and the failure, if there was one. */
static int check_failed(struct writer *w, struct err *err)
{
    pthread_mutex_lock(&w->mutex);
    bool failed = w->error.code != ERR_NONE;
    if (failed && err != NULL)
        *err = w->error;
    pthread_mutex_unlock(&w->mutex);
    return failed ? -1 : 0;
}

/*
 * Open packs.
 */

static void open_pack_free(struct writer *w, struct open_pack *p)
{
    if (p == NULL)
        return;
    store_spool_discard(w->repo->store, p->spool);
    sha256_free(p->sha);
    free(p->buffer);
    free(p->blobs);
    free(p);
}

static struct open_pack *open_pack_new(struct writer *w, struct err *err)
{
    struct open_pack *p = mem_zalloc(sizeof *p);
    if (store_spool_new(w->repo->store, &p->spool, err) != 0) {
        free(p);
        return NULL;
    }
    p->sha = sha256_new();
    sha256_begin(p->sha);
    p->buffer = mem_alloc(SPOOL_BUFFER_BYTES);
    return p;
}

static int spool(struct writer *w, struct open_pack *p, const void *bytes, size_t len, struct err *err)
{
    sha256_add(p->sha, bytes, len);
    return store_spool_write(w->repo->store, p->spool, bytes, len, err);
}

static int spool_buffer(struct writer *w, struct open_pack *p, struct err *err)
{
    size_t len = p->buffered;
    p->buffered = 0;
    return len > 0 ? spool(w, p, p->buffer, len, err) : 0;
}

static int append_bytes(struct writer *w, struct open_pack *p, const unsigned char *bytes, size_t len, struct err *err)
{
    if (len > SPOOL_BUFFER_BYTES - p->buffered && spool_buffer(w, p, err) != 0)
        return -1;
    if (len > SPOOL_BUFFER_BYTES / 2)
        return spool_buffer(w, p, err) != 0 ? -1 : spool(w, p, bytes, len, err);
    memcpy(p->buffer + p->buffered, bytes, len);
    p->buffered += len;
    return 0;
}

static void note_blob(struct open_pack *p, const struct pack_blob *blob)
{
    if (p->count == p->cap) {
        p->cap = p->cap == 0 ? 256 : p->cap + p->cap / 2;
        p->blobs = mem_array(p->blobs, p->cap, sizeof *p->blobs);
    }
    p->blobs[p->count] = *blob;
    p->blobs[p->count++].offset = (uint32_t)p->bytes;
    p->bytes += blob->length;
    p->header_bytes += blob->raw_length > 0 ? PACK_ENTRY_COMPRESSED_BYTES : PACK_ENTRY_BYTES;
}

static bool is_full(const struct writer *w, const struct open_pack *p)
{
    return p->bytes >= w->repo->options.pack_target_bytes ||
           p->header_bytes > PACK_HEADER_MAX_BYTES - CIPHER_OVERHEAD_BYTES - 2 * PACK_ENTRY_COMPRESSED_BYTES;
}

/* Hands a full pack over; waits while the finisher is behind, so that no more than a few packs are ever in flight. */
static void hand_over(struct writer *w, struct open_pack *p)
{
    pthread_mutex_lock(&w->mutex);
    while (w->queued == FINISH_QUEUE && w->error.code == ERR_NONE)
        pthread_cond_wait(&w->changed, &w->mutex);
    bool failed = w->error.code != ERR_NONE;
    if (!failed) {
        w->queue[w->queued++] = p;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    if (failed)
        open_pack_free(w, p);
}

/* Appends a sealed blob to its lane's pack. */
static int append_blob(struct writer *w, const struct pack_blob *blob, const unsigned char *sealed, struct err *err)
{
    struct lane *lane = &w->lanes[blob->type];
    struct open_pack *full = NULL;
    int rc = 0;
    pthread_mutex_lock(&lane->mutex);
    if (lane->pack == NULL)
        lane->pack = open_pack_new(w, err);
    if (lane->pack == NULL || append_bytes(w, lane->pack, sealed, blob->length, err) != 0) {
        rc = -1;
    } else {
        note_blob(lane->pack, blob);
        if (is_full(w, lane->pack)) {
            full = lane->pack;
            lane->pack = NULL;
        }
    }
    if (full != NULL)
        hand_over(w, full);
    pthread_mutex_unlock(&lane->mutex);
    return rc;
}

/*
 * The finisher.
 */

static int write_header(struct writer *w, struct open_pack *p, struct err *err)
{
    struct buf header;
    buf_init(&header, PACK_HEADER_MAX_BYTES);
    pack_header_encode(p->blobs, p->count, &header);
    size_t sealed_len = header.len + CIPHER_OVERHEAD_BYTES;
    unsigned char *sealed = mem_alloc(sealed_len + sizeof(uint32_t));
    uint32_t field = htole32((uint32_t)sealed_len);
    memcpy(sealed + sealed_len, &field, sizeof field);
    int rc = cipher_seal(w->codec->cipher, header.data, header.len, sealed, err);
    if (rc == 0)
        rc = spool_buffer(w, p, err) != 0 ? -1 : spool(w, p, sealed, sealed_len + sizeof field, err);
    free(sealed);
    buf_release(&header);
    return rc;
}

static int save_index(struct writer *w, struct err *err)
{
    struct buf json;
    struct id id;
    if (w->indexed_count == 0)
        return 0;
    if (lock_prove(w->lock, err) != 0)
        return -1;
    buf_init(&json, REPO_UNPACKED_MAX_BYTES);
    index_encode_begin(&json);
    for (size_t i = 0; i < w->indexed_count; i++) {
        index_encode_pack(&json, &w->indexed[i].id, w->indexed[i].blobs, w->indexed[i].count);
        free(w->indexed[i].blobs);
    }
    index_encode_end(&json);
    w->indexed_count = w->indexed_blobs = 0;
    w->last_index_ns = os_monotonic_ns();
    int rc = json.overflow ? err_set(err, ERR_UNSUPPORTED, "an index file would be too large")
                           : repo_save_unpacked(w->repo, w->codec, STORE_INDEX, json.data, json.len, &id, err);
    buf_release(&json);
    if (rc != 0)
        return err_wrap(err, "cannot save an index file");
    w->index_ids = mem_array(w->index_ids, w->index_id_count + 1, sizeof *w->index_ids);
    w->index_ids[w->index_id_count++] = id;
    pthread_mutex_lock(&w->mutex);
    w->stats.index_files++;
    pthread_mutex_unlock(&w->mutex);
    return 0;
}

/* Takes over blobs. */
static int index_later(struct writer *w, const struct id *pack_id, struct pack_blob *blobs, size_t count,
                       struct err *err)
{
    if (w->indexed_count == w->indexed_cap) {
        w->indexed_cap = w->indexed_cap == 0 ? 32 : w->indexed_cap * 2;
        w->indexed = mem_array(w->indexed, w->indexed_cap, sizeof *w->indexed);
    }
    w->indexed[w->indexed_count++] = (struct indexed_pack){*pack_id, blobs, count};
    w->indexed_blobs += count;
    if (w->indexed_blobs >= INDEX_BLOBS_MAX || os_monotonic_ns() - w->last_index_ns > INDEX_INTERVAL_NS)
        return save_index(w, err);
    return 0;
}

static int finish_pack(struct writer *w, struct open_pack *p, struct err *err)
{
    struct id id;
    char hex[ID_HEX_BYTES];
    if (write_header(w, p, err) != 0 || pass_gate(w, err) != 0)
        return -1;
    sha256_end(p->sha, &id);
    struct store_spool *spool_done = p->spool;
    p->spool = NULL; /* commit frees it, whatever it returns */
    if (store_spool_commit(w->repo->store, spool_done, STORE_PACK, id_to_hex(&id, hex), err) != 0)
        return -1;
    index_place(w->repo->index, &id, p->blobs, p->count);
    pthread_mutex_lock(&w->mutex);
    w->stats.packs++;
    pthread_mutex_unlock(&w->mutex);
    struct pack_blob *blobs = p->blobs;
    p->blobs = NULL;
    return index_later(w, &id, blobs, p->count, err);
}

static void *finisher_main(void *arg)
{
    struct writer *w = arg;
    struct err err;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        while (w->queued == 0 && !w->closing)
            pthread_cond_wait(&w->changed, &w->mutex);
        if (w->queued == 0)
            break;
        struct open_pack *p = w->queue[0];
        w->queued--;
        for (size_t i = 0; i < w->queued; i++)
            w->queue[i] = w->queue[i + 1];
        w->finishing = true;
        bool failed = w->error.code != ERR_NONE;
        pthread_cond_broadcast(&w->changed);
        pthread_mutex_unlock(&w->mutex);
        if (!failed && finish_pack(w, p, &err) != 0) {
            err_wrap(&err, "cannot store a pack");
            fail(w, &err);
        }
        open_pack_free(w, p);
        pthread_mutex_lock(&w->mutex);
        w->finishing = false;
        pthread_cond_broadcast(&w->changed);
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/*
 * Putting blobs.
 */

static void count_blob(struct writer *w, const struct pack_blob *blob, size_t len)
{
    pthread_mutex_lock(&w->mutex);
    if (blob->type == BLOB_TREE) {
        w->stats.tree_blobs++;
        w->stats.tree_bytes += len;
        w->stats.tree_stored += blob->length;
    } else {
        w->stats.data_blobs++;
        w->stats.data_bytes += len;
        w->stats.data_stored += blob->length;
    }
    pthread_mutex_unlock(&w->mutex);
}

int writer_blob(struct writer *w, struct codec *c, enum blob_type type, const void *p, size_t len, struct id *id_out,
                struct writer_put *put, struct err *err)
{
    struct err this;
    struct pack_blob blob = {.type = type};
    const unsigned char *sealed;
    if (put != NULL)
        *put = (struct writer_put){0};
    if (len > UINT32_MAX)
        return err_set(err, ERR_UNSUPPORTED, "a blob of %zu bytes is more than the format can hold", len);
    if (check_failed(w, err) != 0)
        return -1;
    sha256_once(c->sha, p, len, id_out);
    if (!index_claim(w->repo->index, type, id_out))
        return 0;
    blob.id = *id_out;
    if (repo_seal_blob(c, p, len, false, &blob, &sealed, &this) != 0 ||
        (!w->dry_run && append_blob(w, &blob, sealed, &this) != 0)) {
        if (err != NULL)
            *err = this;
        return fail(w, &this);
    }
    count_blob(w, &blob, len);
    if (put != NULL)
        *put = (struct writer_put){.is_new = true, .stored_bytes = blob.length};
    return 0;
}

int writer_sealed(struct writer *w, const struct pack_blob *blob, const unsigned char *sealed, struct err *err)
{
    struct err this;
    if (check_failed(w, err) != 0)
        return -1;
    if (!w->dry_run && append_blob(w, blob, sealed, &this) != 0) {
        if (err != NULL)
            *err = this;
        return fail(w, &this);
    }
    count_blob(w, blob, blob->raw_length > 0 ? blob->raw_length : blob->length - CIPHER_OVERHEAD_BYTES);
    return 0;
}

/* Waits until the finisher has nothing left to do. Afterwards its own fields are ours until more packs are handed over.
 */
static void wait_idle(struct writer *w)
{
    pthread_mutex_lock(&w->mutex);
    while (w->queued > 0 || w->finishing)
        pthread_cond_wait(&w->changed, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
}

int writer_index_pack(struct writer *w, const struct id *pack_id, const struct pack_blob *blobs, size_t count,
                      struct err *err)
{
    struct err this;
    wait_idle(w);
    if (check_failed(w, err) != 0)
        return -1;
    if (w->dry_run || index_later(w, pack_id, mem_copy(blobs, count * sizeof *blobs), count, &this) == 0)
        return 0;
    if (err != NULL)
        *err = this;
    return fail(w, &this);
}

int writer_flush(struct writer *w, struct err *err)
{
    struct err this;
    for (unsigned i = 0; i < LANES; i++) {
        pthread_mutex_lock(&w->lanes[i].mutex);
        if (w->lanes[i].pack != NULL)
            hand_over(w, w->lanes[i].pack);
        w->lanes[i].pack = NULL;
        pthread_mutex_unlock(&w->lanes[i].mutex);
    }
    wait_idle(w);
    if (check_failed(w, err) != 0)
        return -1;
    if (save_index(w, &this) == 0)
        return 0;
    if (err != NULL)
        *err = this;
    return fail(w, &this);
}

void writer_salvage(struct writer *w)
{
    wait_idle(w);
    if (!w->dry_run && w->gate == NULL)
        save_index(w, NULL);
}

void writer_stats(const struct writer *w, struct writer_stats *out)
{
    pthread_mutex_t *m = &((struct writer *)(uintptr_t)w)->mutex;
    pthread_mutex_lock(m);
    *out = w->stats;
    pthread_mutex_unlock(m);
}

const struct id *writer_index_ids(const struct writer *w, size_t *count_out)
{
    *count_out = w->index_id_count;
    return w->index_ids;
}

void writer_free(struct writer *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->mutex);
    if (w->error.code == ERR_NONE)
        err_set(&w->error, ERR_FAILED, "the writer was closed"); /* queued packs are discarded, not finished */
    w->closing = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->mutex);
    if (!pthread_equal(w->finisher, pthread_self()))
        pthread_join(w->finisher, NULL);
    for (unsigned i = 0; i < LANES; i++) {
        open_pack_free(w, w->lanes[i].pack);
        pthread_mutex_destroy(&w->lanes[i].mutex);
    }
    for (size_t i = 0; i < w->indexed_count; i++)
        free(w->indexed[i].blobs);
    pthread_cond_destroy(&w->changed);
    pthread_mutex_destroy(&w->mutex);
    codec_free(w->codec);
    free(w->indexed);
    free(w->index_ids);
    free(w);
}
