/*
 * Invariants
 *  1. steps[(first + i) % STEPS], i < ready, are full and the compressing thread's; the next one is being filled by the
 *     pushing thread.
 *  2. The compressing thread never stops taking steps before the end: after a failure it throws them away. The writing
 *     thread never stops reading gpg before its end, unless it stops gpg, too. So nobody waits for ever.
 *  3. gpg's own verdict, or the failure to write what it made, explains a failed write to gpg: errors of the writing
 *     thread replace that one.
 */
#include "sink/archive_sink_pipe.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/sha256.h"

enum { STEP_BYTES = 256 << 10, STEPS = 16, READ_BYTES = 256 << 10 };

struct step {
    size_t len;
    unsigned char data[STEP_BYTES];
};

struct archive_pipe {
    struct archive_output *output;
    struct compress *compress;
    struct openpgp *gpg; /* NULL: the compressing thread writes by itself */
    struct sha256 *tar;  /* NULL: nobody asks */
    struct id tar_sha256;
    pthread_t compressor, writer;
    bool has_compressor, has_writer;
    struct step *steps;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t filled, emptied;
    size_t first, ready;
    bool ended;     /* no more steps will come */
    bool abandoned; /* ended without being complete */
    bool writer_done;
    struct err feed_error, error; /* error: the one to report */
};

static void note(struct archive_pipe *p, struct err *where, const struct err *what)
{
    pthread_mutex_lock(&p->mutex);
    if (where->code == ERR_NONE)
        *where = *what;
    pthread_cond_broadcast(&p->emptied);
    pthread_mutex_unlock(&p->mutex);
}

/* ---- the compressing thread */

static int feed(void *ctx, const void *data, size_t len, struct err *err)
{
    struct archive_pipe *p = ctx;
    return p->gpg != NULL ? openpgp_write(p->gpg, data, len, err) : archive_output_write(p->output, data, len, err);
}

/* Waits for a full step; NULL at the end. */
static struct step *next_step(struct archive_pipe *p)
{
    pthread_mutex_lock(&p->mutex);
    while (p->ready == 0 && !p->ended)
        pthread_cond_wait(&p->filled, &p->mutex);
    struct step *s = p->ready > 0 ? &p->steps[p->first] : NULL;
    pthread_mutex_unlock(&p->mutex);
    return s;
}

static void step_done(struct archive_pipe *p)
{
    pthread_mutex_lock(&p->mutex);
    p->first = (p->first + 1) % STEPS;
    p->ready--;
    pthread_cond_broadcast(&p->emptied);
    pthread_mutex_unlock(&p->mutex);
}

static void *compressor_main(void *arg)
{
    struct archive_pipe *p = arg;
    struct err err = {.code = ERR_NONE};
    int rc = 0;
    for (struct step *s; (s = next_step(p)) != NULL; step_done(p)) {
        if (rc != 0)
            continue;
        if (p->tar != NULL)
            sha256_add(p->tar, s->data, s->len);
        rc = compress_add(p->compress, s->data, s->len, &err);
        if (rc != 0) {
            note(p, &p->feed_error, &err);
            if (p->gpg != NULL) /* so that the writing thread comes to its end, which explain() waits for */
                openpgp_close_input(p->gpg);
        }
    }
    pthread_mutex_lock(&p->mutex);
    bool complete = !p->abandoned;
    pthread_mutex_unlock(&p->mutex);
    if (rc == 0 && complete && compress_end(p->compress, &err) != 0)
        note(p, &p->feed_error, &err);
    if (p->tar != NULL)
        sha256_end(p->tar, &p->tar_sha256);
    if (p->gpg != NULL)
        openpgp_close_input(p->gpg);
    return NULL;
}

/* ---- the writing thread */

static int write_output(struct archive_pipe *p, unsigned char *buffer, struct err *err)
{
    int64_t n;
    while ((n = openpgp_read(p->gpg, buffer, READ_BYTES, err)) > 0)
        if (archive_output_write(p->output, buffer, (size_t)n, err) != 0)
            return -1;
    return n < 0 ? -1 : openpgp_end(p->gpg, err);
}

static void *writer_main(void *arg)
{
    struct archive_pipe *p = arg;
    struct err err = {.code = ERR_NONE};
    unsigned char *buffer = mem_alloc(READ_BYTES);
    if (write_output(p, buffer, &err) != 0) {
        note(p, &p->error, &err);
        openpgp_abort(p->gpg);
    }
    free(buffer);
    pthread_mutex_lock(&p->mutex);
    p->writer_done = true;
    pthread_cond_broadcast(&p->emptied);
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

/* ---- beginning */

static bool start_thread(pthread_t *thread, void *(*main)(void *), struct archive_pipe *p, struct err *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(thread, NULL, main, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed != 0)
        err_errno(err, failed, "cannot start a thread");
    return failed == 0;
}

struct archive_pipe *archive_pipe_new(const struct archive_sink_options *options, struct archive_output *output,
                                      struct err *err)
{
    struct archive_pipe *p = mem_zalloc(sizeof *p);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->filled, NULL);
    pthread_cond_init(&p->emptied, NULL);
    p->output = output;
    p->writer_done = true;
    p->steps = mem_array(NULL, STEPS, sizeof *p->steps);
    p->steps[0].len = 0;
    if (options->verify == ARCHIVE_VERIFY_DECRYPT) {
        p->tar = sha256_new();
        sha256_begin(p->tar);
    }
    p->compress = compress_new(options->codec, options->level, 0, feed, p, err);
    if (p->compress == NULL)
        goto fail;
    if (options->encryption.kind != OPENPGP_NONE) {
        if (openpgp_encrypt(&p->gpg, &options->encryption, options->state_dir, err) != 0)
            goto fail;
        p->writer_done = false;
        p->has_writer = start_thread(&p->writer, writer_main, p, err);
        if (!p->has_writer)
            goto fail;
    }
    p->has_compressor = start_thread(&p->compressor, compressor_main, p, err);
    if (p->has_compressor)
        return p;
fail:
    archive_pipe_free(p);
    return NULL;
}

/* ---- the pushing thread */

/* With the mutex held. Something failed: waits for the thread that knows best why. */
static int explain(struct archive_pipe *p, struct err *err)
{
    while (!p->writer_done && p->error.code == ERR_NONE)
        pthread_cond_wait(&p->emptied, &p->mutex);
    if (err != NULL)
        *err = p->error.code != ERR_NONE ? p->error : p->feed_error;
    return -1;
}

static bool has_failed(const struct archive_pipe *p)
{
    return p->error.code != ERR_NONE || p->feed_error.code != ERR_NONE;
}

/* Hands the step over that was being filled; waits until there is another to fill. */
static int hand_over(struct archive_pipe *p, struct err *err)
{
    pthread_mutex_lock(&p->mutex);
    p->ready++;
    pthread_cond_signal(&p->filled);
    while (p->ready == STEPS && !has_failed(p))
        pthread_cond_wait(&p->emptied, &p->mutex);
    int rc = has_failed(p) ? explain(p, err) : 0;
    if (rc == 0)
        p->steps[(p->first + p->ready) % STEPS].len = 0;
    pthread_mutex_unlock(&p->mutex);
    return rc;
}

static struct step *filling(struct archive_pipe *p)
{
    pthread_mutex_lock(&p->mutex);
    struct step *s = has_failed(p) ? NULL : &p->steps[(p->first + p->ready) % STEPS];
    pthread_mutex_unlock(&p->mutex);
    return s;
}

int archive_pipe_write(struct archive_pipe *p, const void *data, size_t len, struct err *err)
{
    const unsigned char *from = data;
    while (len > 0) {
        struct step *s = filling(p);
        if (s == NULL) {
            pthread_mutex_lock(&p->mutex);
            explain(p, err);
            pthread_mutex_unlock(&p->mutex);
            return -1;
        }
        size_t n = STEP_BYTES - s->len < len ? STEP_BYTES - s->len : len;
        memcpy(s->data + s->len, from, n);
        s->len += n;
        from += n;
        len -= n;
        if (s->len == STEP_BYTES && hand_over(p, err) != 0)
            return -1;
    }
    return 0;
}

static void join_threads(struct archive_pipe *p)
{
    pthread_mutex_lock(&p->mutex);
    p->ended = true;
    pthread_cond_broadcast(&p->filled);
    pthread_mutex_unlock(&p->mutex);
    if (p->has_compressor)
        pthread_join(p->compressor, NULL);
    else if (p->gpg != NULL)
        openpgp_close_input(p->gpg);
    if (p->has_writer)
        pthread_join(p->writer, NULL);
    p->has_compressor = p->has_writer = false;
}

int archive_pipe_end(struct archive_pipe *p, struct id *tar_sha256_out, struct err *err)
{
    struct step *s = filling(p);
    if (s != NULL && s->len > 0) {
        pthread_mutex_lock(&p->mutex);
        p->ready++;
        pthread_mutex_unlock(&p->mutex);
    }
    join_threads(p);
    *tar_sha256_out = p->tar_sha256;
    if (!has_failed(p))
        return 0;
    if (err != NULL)
        *err = p->error.code != ERR_NONE ? p->error : p->feed_error;
    return -1;
}

void archive_pipe_free(struct archive_pipe *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->mutex);
    p->abandoned = true;
    pthread_mutex_unlock(&p->mutex);
    /* gpg is stopped by having nothing to write to: nobody waits for what it would still make of what it has. */
    if (p->gpg != NULL && p->has_compressor)
        openpgp_abort(p->gpg);
    join_threads(p);
    compress_free(p->compress);
    openpgp_free(p->gpg);
    sha256_free(p->tar);
    free(p->steps);
    pthread_cond_destroy(&p->emptied);
    pthread_cond_destroy(&p->filled);
    pthread_mutex_destroy(&p->mutex);
    free(p);
}
