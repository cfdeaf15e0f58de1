#include "sink/file_store.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/interrupt.h"

/*
 * Invariants, under `mutex`
 *  1. A batch is in the hands of exactly one worker, or in `batches`; its buffer is in `spare`, or belongs to a batch.
 *  2. task->outstanding counts the task's batches that are not done. Only the worker that reads the file waits for
 * them, and while it waits it works on batches itself: there is always somebody to do them.
 *  3. task->ids grows only on its reading worker; others fill in slots that were reserved for them.
 */
enum {
    QUEUE_MAX = 512,
    READ_STEP_BYTES = 512 << 10,
    BATCH_CHUNKS_MAX = 256,
    SHARE_MIN_BYTES = 256 << 10, /* below, telling another worker costs more than it saves */
};

/* Chunks that lie one after another in memory. */
struct batch {
    struct file_task *task;
    const unsigned char *data;
    unsigned char *buffer; /* data's memory when it was copied for another worker */
    size_t count, bytes, first_slot;
    size_t lengths[BATCH_CHUNKS_MAX];
    struct batch *next;
};

struct worker {
    struct file_store *fs;
    pthread_t thread;
    struct codec *codec;
    unsigned char *buffer; /* buffer_bytes of it; pages that are never touched cost nothing */
};

struct file_store {
    struct repo *repo;
    struct writer *writer;
    const struct sink_reporter *reporter;
    struct backup_progress *progress;
    file_done_fn *done;
    void *ctx;
    struct chunker format, fine[CHUNKER_FINE_LEVELS];
    size_t buffer_bytes;

    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t work, changed;
    struct file_task *queue[QUEUE_MAX];
    size_t head, queued, running;
    struct batch *batches; /* for whoever is idle */
    unsigned char **spare;
    size_t spare_count, idle;
    bool closing;
    struct err error;
    struct id zero_id; /* of the last hole's chunk */
    size_t zero_bytes;

    struct worker *workers;
    unsigned worker_count;
};

static void *worker_main(void *arg);

void file_task_free(struct file_task *t)
{
    if (t == NULL)
        return;
    if (t->content.release != NULL)
        t->content.release(t->content.ctx);
    free(t->path);
    free(t->ids);
    free(t);
}

static int start_workers(struct file_store *fs, unsigned count, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    fs->workers = mem_zalloc(count * sizeof *fs->workers);
    fs->spare = mem_zalloc(count * sizeof *fs->spare);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < count; i++) {
        struct worker *w = &fs->workers[i];
        w->fs = fs;
        w->codec = codec_new(fs->repo, err);
        if (w->codec == NULL) {
            rc = -1;
            break;
        }
        w->buffer = mem_alloc(fs->buffer_bytes);
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0) {
            codec_free(w->codec);
            free(w->buffer);
            rc = i > 0 ? 1 : err_set(err, ERR_FAILED, "cannot start a thread");
            break;
        }
        fs->worker_count++;
        fs->spare[fs->spare_count++] = mem_alloc(fs->buffer_bytes);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc < 0 ? -1 : 0;
}

static int init_chunkers(struct file_store *fs, struct err *err)
{
    uint64_t polynomial = fs->repo->config.polynomial;
    int rc = chunker_init(&fs->format, polynomial, &CHUNKER_FORMAT, err);
    for (unsigned level = 0; rc == 0 && level < CHUNKER_FINE_LEVELS; level++)
        rc = chunker_init(&fs->fine[level], polynomial, &CHUNKER_FINE[level], err);
    return rc;
}

struct file_store *file_store_new(struct repo *r, struct writer *w, const struct sink_reporter *reporter,
                                  struct backup_progress *progress, file_done_fn *done, void *ctx, struct err *err)
{
    struct file_store *fs = mem_zalloc(sizeof *fs);
    fs->repo = r;
    fs->writer = w;
    fs->reporter = reporter;
    fs->progress = progress;
    fs->done = done;
    fs->ctx = ctx;
    fs->buffer_bytes = CHUNKER_FORMAT.max + READ_STEP_BYTES;
    pthread_mutex_init(&fs->mutex, NULL);
    pthread_cond_init(&fs->work, NULL);
    pthread_cond_init(&fs->changed, NULL);
    if (init_chunkers(fs, err) != 0 || start_workers(fs, r->options.threads, err) != 0) {
        file_store_free(fs);
        return NULL;
    }
    return fs;
}

void file_store_fail(struct file_store *fs, const struct err *err)
{
    pthread_mutex_lock(&fs->mutex);
    if (fs->error.code == ERR_NONE)
        fs->error = *err;
    pthread_cond_broadcast(&fs->changed);
    pthread_cond_broadcast(&fs->work);
    pthread_mutex_unlock(&fs->mutex);
}

static bool has_failed(struct file_store *fs)
{
    pthread_mutex_lock(&fs->mutex);
    bool failed = fs->error.code != ERR_NONE;
    pthread_mutex_unlock(&fs->mutex);
    return failed;
}

/*
 * Batches.
 */

static void note_done(struct file_store *fs, struct file_task *t, size_t bytes, const struct writer_put *put)
{
    if (put->is_new) {
        atomic_fetch_add_explicit(&t->new_bytes, bytes, memory_order_relaxed);
        atomic_fetch_add_explicit(&t->new_stored_bytes, put->stored_bytes, memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&t->done_bytes, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&fs->progress->bytes_done, bytes, memory_order_relaxed);
}

/* Stores a batch's chunks. A failure is noted for all. */
static void store_batch(struct file_store *fs, struct codec *codec, struct batch *b)
{
    struct id ids[BATCH_CHUNKS_MAX];
    struct writer_put put;
    struct err err;
    const unsigned char *p = b->data;
    for (size_t i = 0; i < b->count; i++) {
        if (writer_blob(fs->writer, codec, BLOB_DATA, p, b->lengths[i], &ids[i], &put, &err) != 0) {
            file_store_fail(fs, &err);
            return;
        }
        p += b->lengths[i];
        note_done(fs, b->task, b->lengths[i], &put);
    }
    pthread_mutex_lock(&fs->mutex);
    memcpy(b->task->ids + b->first_slot, ids, b->count * sizeof *ids);
    pthread_mutex_unlock(&fs->mutex);
}

/* Takes a batch off the list and does it. Called with the mutex held, returns with it held. */
static void do_shared_batch(struct file_store *fs, struct codec *codec)
{
    struct batch *b = fs->batches;
    fs->batches = b->next;
    pthread_mutex_unlock(&fs->mutex);
    store_batch(fs, codec, b);
    pthread_mutex_lock(&fs->mutex);
    b->task->outstanding--;
    fs->spare[fs->spare_count++] = b->buffer;
    free(b);
    pthread_cond_broadcast(&fs->changed);
}

/* Copies the batch for another worker, if there is one with nothing to do. */
static bool share_batch(struct file_store *fs, const struct batch *b)
{
    if (b->bytes < SHARE_MIN_BYTES)
        return false;
    unsigned char *buffer = NULL;
    pthread_mutex_lock(&fs->mutex);
    if (fs->idle > 0 && fs->spare_count > 0 && fs->batches == NULL)
        buffer = fs->spare[--fs->spare_count];
    pthread_mutex_unlock(&fs->mutex);
    if (buffer == NULL)
        return false;
    struct batch *copy = mem_copy(b, sizeof *b);
    memcpy(buffer, b->data, b->bytes);
    copy->data = copy->buffer = buffer;
    pthread_mutex_lock(&fs->mutex);
    b->task->outstanding++;
    copy->next = fs->batches;
    fs->batches = copy;
    pthread_cond_signal(&fs->work);
    pthread_mutex_unlock(&fs->mutex);
    return true;
}

static void wait_for_batches(struct file_store *fs, struct codec *codec, struct file_task *t)
{
    pthread_mutex_lock(&fs->mutex);
    while (t->outstanding > 0) {
        if (fs->batches != NULL)
            do_shared_batch(fs, codec);
        else
            pthread_cond_wait(&fs->changed, &fs->mutex);
    }
    pthread_mutex_unlock(&fs->mutex);
}

static void reserve_slots(struct file_store *fs, struct file_task *t, size_t count)
{
    pthread_mutex_lock(&fs->mutex);
    if (t->count + count > t->cap) {
        t->cap = t->count + count + t->cap / 2;
        t->ids = mem_array(t->ids, t->cap, sizeof *t->ids);
    }
    t->count += count;
    pthread_mutex_unlock(&fs->mutex);
}

static void emit(struct worker *w, struct batch *b)
{
    if (b->count == 0)
        return;
    b->first_slot = b->task->count;
    reserve_slots(w->fs, b->task, b->count);
    if (!share_batch(w->fs, b))
        store_batch(w->fs, w->codec, b);
}

/*
 * Reading and cutting one file.
 */

struct reading {
    struct worker *w;
    struct file_task *task;
    struct sink_stream stream;
    size_t start, end, searched; /* of w->buffer: what is read and not yet cut, and how much of that was searched */
    bool at_end;
};

/* For the chunk that begins at r->start. */
static const struct chunker *chunker_of(const struct reading *r)
{
    const struct file_store *fs = r->w->fs;
    uint64_t offset = r->task->bytes - (r->end - r->start);
    if (r->stream.cut == SINK_CUT_FORMAT)
        return &fs->format;
    enum chunker_grain grain = r->stream.cut == SINK_CUT_FEW         ? CHUNKER_FEW
                               : r->stream.cut == SINK_CUT_SCATTERED ? CHUNKER_SCATTERED
                                                                     : CHUNKER_GROWING;
    return &fs->fine[chunker_fine_level(offset, grain)];
}

/* The length of the next chunk in the buffer; 0: read more first. */
static size_t next_cut(const struct reading *r)
{
    size_t len = r->end - r->start, cut = 0;
    if (r->stream.cut == SINK_CUT_FIXED)
        cut = len >= r->stream.cut_bytes ? r->stream.cut_bytes : 0;
    else if (len > r->searched)
        cut = chunker_cut(chunker_of(r), r->w->buffer + r->start, len, r->searched);
    return cut == 0 && r->at_end ? len : cut;
}

/* Cuts and stores all that can be cut of what was read. */
static void cut_buffer(struct reading *r)
{
    size_t n;
    do {
        struct batch b = {.task = r->task, .data = r->w->buffer + r->start};
        while (b.count < BATCH_CHUNKS_MAX && (n = next_cut(r)) > 0) {
            b.lengths[b.count++] = n;
            b.bytes += n;
            r->start += n;
            r->searched = 0;
        }
        emit(r->w, &b);
        n = b.count;
    } while (n == BATCH_CHUNKS_MAX);
    r->searched = r->end - r->start;
}

static bool all_zero(const unsigned char *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* A chunk's worth of zeros needs no reading: in a run of zeros the content-defined cut falls at exactly the minimum. */
static int store_zero_chunk(struct reading *r, size_t bytes)
{
    struct file_store *fs = r->w->fs;
    struct writer_put put = {0};
    struct err err;
    struct id id;
    pthread_mutex_lock(&fs->mutex);
    bool known = fs->zero_bytes == bytes;
    id = fs->zero_id;
    pthread_mutex_unlock(&fs->mutex);
    if (!known) {
        unsigned char *zeros = mem_zalloc(bytes);
        int rc = writer_blob(fs->writer, r->w->codec, BLOB_DATA, zeros, bytes, &id, &put, &err);
        free(zeros);
        if (rc != 0) {
            file_store_fail(fs, &err);
            return -1;
        }
    }
    size_t slot = r->task->count;
    reserve_slots(fs, r->task, 1);
    pthread_mutex_lock(&fs->mutex);
    fs->zero_bytes = bytes;
    fs->zero_id = id;
    r->task->ids[slot] = id;
    pthread_mutex_unlock(&fs->mutex);
    note_done(fs, r->task, bytes, &put);
    return 0;
}

/* Steps over a hole, chunk by chunk. Returns 1 when it did, 0 when there is none (or too small a one), -1 on an error.
 */
static int skip_hole(struct reading *r, struct err *err)
{
    if (r->stream.hole == NULL)
        return 0;
    size_t have = r->end - r->start;
    size_t chunk = r->stream.cut == SINK_CUT_FIXED ? r->stream.cut_bytes : chunker_of(r)->params.min;
    if (have >= chunk || !all_zero(r->w->buffer + r->start, have) || r->stream.hole(r->stream.state) < chunk - have)
        return 0;
    if (r->stream.skip(r->stream.state, chunk - have, err) != 0)
        return -1;
    if (store_zero_chunk(r, chunk) != 0)
        return 0; /* noted; the reading loop sees it */
    r->task->bytes += chunk - have;
    r->start = r->end = r->searched = 0;
    return 1;
}

static int fill_buffer(struct reading *r, struct err *err)
{
    unsigned char *buffer = r->w->buffer;
    if (r->start > 0 && r->w->fs->buffer_bytes - r->end < READ_STEP_BYTES) {
        memmove(buffer, buffer + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (r->start == r->end)
        r->start = r->end = 0;
    int64_t n = r->stream.read(r->stream.state, buffer + r->end, READ_STEP_BYTES, err);
    if (n < 0)
        return -1;
    r->at_end = n == 0;
    r->end += (size_t)n;
    r->task->bytes += (uint64_t)n;
    atomic_fetch_add_explicit(&r->w->fs->progress->bytes_read, (uint64_t)n, memory_order_relaxed);
    return 0;
}

/* Reads an open stream to its end. */
static int read_stream(struct reading *r, struct err *err)
{
    while (!r->at_end) {
        int skipped = skip_hole(r, err);
        if (skipped < 0)
            return -1;
        if (has_failed(r->w->fs) || os_interrupted())
            return err_set(err, ERR_INTERRUPTED, "interrupted");
        if (skipped > 0)
            continue;
        if (fill_buffer(r, err) != 0)
            return -1;
        cut_buffer(r);
    }
    return 0;
}

static void reset_task(struct file_store *fs, struct file_task *t)
{
    atomic_fetch_sub_explicit(&fs->progress->bytes_done, atomic_exchange(&t->done_bytes, 0), memory_order_relaxed);
    t->count = 0;
    t->bytes = 0;
}

/* One attempt: opens, reads, asks whether it changed. */
static enum sink_finish read_once(struct worker *w, struct file_task *t, unsigned attempt, struct err *err)
{
    struct reading r = {.w = w, .task = t};
    if (t->content.open(t->content.ctx, attempt, t->node, &r.stream, err) != 0)
        return SINK_FINISH_ERROR;
    int rc = read_stream(&r, err);
    wait_for_batches(w->fs, w->codec, t);
    enum sink_finish outcome = SINK_FINISH_ERROR;
    if (rc == 0) {
        t->node->size = t->bytes;
        outcome = r.stream.finish(r.stream.state, t->node, err);
    }
    r.stream.close(r.stream.state);
    return outcome;
}

static enum file_outcome read_file(struct worker *w, struct file_task *t)
{
    struct err err = {.code = ERR_NONE};
    enum sink_finish outcome = SINK_FINISH_AGAIN;
    backup_progress_set_current(w->fs->progress, t->path);
    for (unsigned attempt = 1; outcome == SINK_FINISH_AGAIN; attempt++) {
        reset_task(w->fs, t);
        outcome = read_once(w, t, attempt, &err);
    }
    if (outcome == SINK_FINISH_OK)
        return FILE_STORED;
    reset_task(w->fs, t);
    if (err.code == ERR_INTERRUPTED || has_failed(w->fs)) {
        file_store_fail(w->fs, &err); /* keeps the first failure, if there was one */
    } else if (err.code != ERR_NOT_FOUND) {
        w->fs->reporter->unreadable(w->fs->reporter->ctx, t->path, &err);
    }
    return FILE_DROPPED;
}

/*
 * Workers.
 */

static void do_file(struct worker *w, struct file_task *t)
{
    struct err err;
    t->began_ns = os_monotonic_ns();
    enum file_outcome outcome = has_failed(w->fs) ? FILE_DROPPED : read_file(w, t);
    if (w->fs->done(w->fs->ctx, t, outcome, w->codec, &err) != 0)
        file_store_fail(w->fs, &err);
    file_task_free(t);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct file_store *fs = w->fs;
    pthread_mutex_lock(&fs->mutex);
    for (;;) {
        if (fs->batches != NULL) {
            do_shared_batch(fs, w->codec);
        } else if (fs->queued > 0) {
            struct file_task *t = fs->queue[fs->head];
            fs->head = (fs->head + 1) % QUEUE_MAX;
            /* The pusher waits for room; waking it for each file would be waking it for nothing most of the time. */
            if (fs->queued-- == QUEUE_MAX / 2)
                pthread_cond_broadcast(&fs->changed);
            fs->running++;
            pthread_mutex_unlock(&fs->mutex);
            do_file(w, t);
            pthread_mutex_lock(&fs->mutex);
            if (--fs->running == 0 && fs->queued == 0)
                pthread_cond_broadcast(&fs->changed);
        } else if (fs->closing) {
            break;
        } else {
            fs->idle++;
            pthread_cond_wait(&fs->work, &fs->mutex);
            fs->idle--;
        }
    }
    pthread_mutex_unlock(&fs->mutex);
    return NULL;
}

int file_store_submit(struct file_store *fs, struct file_task *task, struct err *err)
{
    pthread_mutex_lock(&fs->mutex);
    if (fs->queued == QUEUE_MAX)
        while (fs->queued >= QUEUE_MAX / 2 && fs->error.code == ERR_NONE)
            pthread_cond_wait(&fs->changed, &fs->mutex);
    bool failed = fs->error.code != ERR_NONE;
    if (failed) {
        if (err != NULL)
            *err = fs->error;
    } else {
        fs->queue[(fs->head + fs->queued++) % QUEUE_MAX] = task;
        if (fs->idle > 0)
            pthread_cond_signal(&fs->work);
    }
    pthread_mutex_unlock(&fs->mutex);
    if (failed)
        file_task_free(task);
    return failed ? -1 : 0;
}

int file_store_wait(struct file_store *fs, struct err *err)
{
    pthread_mutex_lock(&fs->mutex);
    while (fs->queued > 0 || fs->running > 0)
        pthread_cond_wait(&fs->changed, &fs->mutex);
    bool failed = fs->error.code != ERR_NONE;
    if (failed && err != NULL)
        *err = fs->error;
    pthread_mutex_unlock(&fs->mutex);
    return failed ? -1 : 0;
}

void file_store_free(struct file_store *fs)
{
    if (fs == NULL)
        return;
    pthread_mutex_lock(&fs->mutex);
    fs->closing = true;
    if (fs->error.code == ERR_NONE && fs->queued > 0)
        err_set(&fs->error, ERR_FAILED, "closed"); /* what is queued is dropped unread */
    pthread_cond_broadcast(&fs->work);
    pthread_mutex_unlock(&fs->mutex);
    for (unsigned i = 0; i < fs->worker_count; i++) {
        pthread_join(fs->workers[i].thread, NULL);
        codec_free(fs->workers[i].codec);
        free(fs->workers[i].buffer);
    }
    for (size_t i = 0; i < fs->spare_count; i++)
        free(fs->spare[i]);
    free(fs->spare);
    free(fs->workers);
    pthread_cond_destroy(&fs->changed);
    pthread_cond_destroy(&fs->work);
    pthread_mutex_destroy(&fs->mutex);
    free(fs);
}
