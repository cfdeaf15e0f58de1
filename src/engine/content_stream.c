#include "engine/content_stream.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/interrupt.h"
#include "os/pool.h"

enum { THREADS_MAX = 4, SLOTS_MAX = 2 * THREADS_MAX, KEEP_BYTES = 2 << 20, SMALL_COUNT = 2 };

/* A place for one loaded blob. A worker fills it; `done` (under the mutex) hands it to the reader, who alone touches it
 * until it is submitted again. */
struct slot {
    struct content_stream *stream;
    struct id id;
    struct buf blob;
    struct err failure;
    int result;
    bool done;
};

struct content_stream {
    struct repo *repo;
    struct fetch *fetch; /* the reader's own, for what is too small to share */
    unsigned threads, slot_count;
    struct pool *pool; /* made when first needed */
    struct codec **codecs;
    struct slot slots[SLOTS_MAX];
    pthread_mutex_t mutex;
    pthread_cond_t filled;
};

struct content_stream *content_stream_new(struct repo *r, unsigned threads, struct err *err)
{
    struct fetch *fetch = fetch_new(r, err);
    if (fetch == NULL)
        return NULL;
    struct content_stream *s = mem_zalloc(sizeof *s);
    unsigned cpus = os_cpu_count();
    s->repo = r;
    s->fetch = fetch;
    s->threads = threads > 0 ? threads : cpus;
    if (s->threads > THREADS_MAX)
        s->threads = THREADS_MAX;
    s->slot_count = s->threads * 2;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->filled, NULL);
    for (unsigned i = 0; i < s->slot_count; i++) {
        s->slots[i].stream = s;
        buf_init(&s->slots[i].blob, REPO_BLOB_MAX_BYTES);
    }
    return s;
}

void content_stream_free(struct content_stream *s)
{
    if (s == NULL)
        return;
    pool_free(s->pool);
    for (unsigned i = 0; i < s->threads && s->codecs != NULL; i++)
        codec_free(s->codecs[i]);
    for (unsigned i = 0; i < s->slot_count; i++)
        buf_release(&s->slots[i].blob);
    fetch_free(s->fetch);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->filled);
    free(s->codecs);
    free(s);
}

static int start_pool(struct content_stream *s, struct err *err)
{
    if (s->codecs == NULL)
        s->codecs = mem_zalloc(s->threads * sizeof *s->codecs);
    for (unsigned i = 0; i < s->threads; i++)
        if (s->codecs[i] == NULL && (s->codecs[i] = codec_new(s->repo, err)) == NULL)
            return -1;
    s->pool = pool_new(s->threads, s->slot_count);
    return 0;
}

static void fill_slot(void *arg, unsigned worker)
{
    struct slot *slot = arg;
    struct content_stream *s = slot->stream;
    err_clear(&slot->failure);
    buf_shrink(&slot->blob, KEEP_BYTES);
    slot->result = repo_load_blob(s->repo, s->codecs[worker], BLOB_DATA, &slot->id, &slot->blob, &slot->failure);
    pthread_mutex_lock(&s->mutex);
    slot->done = true;
    pthread_cond_signal(&s->filled);
    pthread_mutex_unlock(&s->mutex);
}

static struct slot *slot_of(struct content_stream *s, size_t i)
{
    assert(s->slot_count > 0);
    return &s->slots[i % s->slot_count];
}

static void submit(struct content_stream *s, const struct id *ids, size_t i)
{
    struct slot *slot = slot_of(s, i);
    slot->id = ids[i];
    slot->done = false;
    pool_submit(s->pool, fill_slot, slot);
}

static struct slot *wait_for(struct content_stream *s, size_t i)
{
    assert(s->slot_count > 0);
    struct slot *slot = slot_of(s, i);
    pthread_mutex_lock(&s->mutex);
    while (!slot->done)
        pthread_cond_wait(&s->filled, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    return slot;
}

static int run_parallel(struct content_stream *s, const struct id *ids, size_t count, content_write_fn *write,
                        void *ctx, struct err *err)
{
    if (s->pool == NULL && start_pool(s, err) < 0)
        return -1;
    int result = 0;
    size_t submitted = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        while (submitted < count && submitted < i + s->slot_count)
            submit(s, ids, submitted++);
        const struct slot *slot = wait_for(s, i);
        result = os_check_interrupt(err);
        if (result == 0 && slot->result < 0) {
            if (err != NULL)
                *err = slot->failure;
            result = -1;
        }
        if (result == 0)
            result = write(ctx, slot->blob.data, slot->blob.len, err);
    }
    pool_wait(s->pool); /* after a failure some slots may still be in work */
    return result;
}

int content_stream_run(struct content_stream *s, const struct id *ids, size_t count, content_write_fn *write, void *ctx,
                       struct err *err)
{
    if (count > SMALL_COUNT && s->threads > 1)
        return run_parallel(s, ids, count, write, ctx, err);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *data;
        size_t len;
        if (fetch_one(s->fetch, &ids[i], &data, &len, err) < 0 || write(ctx, data, len, err) < 0)
            return -1;
    }
    return 0;
}
