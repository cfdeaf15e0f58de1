#include "sink/archive_sink_verify.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "crypto/sha256.h"
#include "os/file.h"
#include "os/interrupt.h"

enum { STEP_BYTES = 1 << 20 };

/* Where what was read goes besides. */
typedef int feed_fn(void *ctx, const void *p, size_t len, struct err *err);

static int compare(const struct id *is, const struct id *expected, const char *what, struct err *err)
{
    if (id_equal(is, expected))
        return 0;
    return err_set(err, ERR_CORRUPT, "%s is not what was written: the disk or its connection is failing", what);
}

/* Reads the file once, in order. */
static int read_back(const struct archive_verification *v, feed_fn *feed, void *ctx, struct err *err)
{
    struct sha256 *sha = sha256_new();
    unsigned char *step = mem_alloc(STEP_BYTES);
    uint64_t at = 0;
    int rc = 0;
    sha256_begin(sha);
    (void)posix_fadvise(v->fd, 0, 0, POSIX_FADV_DONTNEED);
    (void)posix_fadvise(v->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    while (rc == 0 && at <= v->bytes) { /* asks for more than there is in the end: nothing may follow */
        ssize_t n = os_pread_full(v->fd, step, STEP_BYTES, (off_t)at);
        if (n < 0)
            rc = err_errno(err, errno, "cannot read back the archive in '%s'", v->dir);
        if (n <= 0)
            break;
        sha256_add(sha, step, (size_t)n);
        (void)posix_fadvise(v->fd, (off_t)at, n, POSIX_FADV_DONTNEED);
        at += (uint64_t)n;
        rc = os_check_interrupt(err);
        if (rc == 0 && feed != NULL)
            rc = feed(ctx, step, (size_t)n, err);
    }
    struct id is;
    sha256_end(sha, &is);
    if (rc == 0 && at != v->bytes)
        rc = err_set(err, ERR_CORRUPT, "it is %llu bytes long instead of %llu", (unsigned long long)at,
                     (unsigned long long)v->bytes);
    if (rc == 0)
        rc = compare(&is, &v->sha256, "what was read back", err);
    free(step);
    sha256_free(sha);
    return rc;
}

int archive_verify_bytes(const struct archive_verification *v, struct err *err)
{
    return read_back(v, NULL, NULL, err);
}

/* ---- with the content */

struct checker {
    const struct archive_verification *v;
    struct openpgp *gpg;
    struct decompress *decompress;
    struct sha256 *tar;
    int rc; /* of the reading thread */
    struct err err;
};

static int add_tar(void *ctx, const void *p, size_t len, struct err *err)
{
    struct checker *c = ctx;
    (void)err;
    sha256_add(c->tar, p, len);
    return 0;
}

static int feed_gpg(void *ctx, const void *p, size_t len, struct err *err)
{
    return openpgp_write(((struct checker *)ctx)->gpg, p, len, err);
}

static int feed_decompress(void *ctx, const void *p, size_t len, struct err *err)
{
    return decompress_add(((struct checker *)ctx)->decompress, p, len, err);
}

static void *reader_main(void *arg)
{
    struct checker *c = arg;
    c->rc = read_back(c->v, feed_gpg, c, &c->err);
    openpgp_close_input(c->gpg);
    return NULL;
}

static int drain_gpg(struct checker *c, struct err *err)
{
    unsigned char *step = mem_alloc(STEP_BYTES);
    int64_t n;
    int rc = 0;
    while (rc == 0 && (n = openpgp_read(c->gpg, step, STEP_BYTES, err)) != 0)
        rc = n < 0 ? -1 : decompress_add(c->decompress, step, (size_t)n, err);
    free(step);
    if (rc == 0)
        return openpgp_end(c->gpg, err);
    openpgp_abort(c->gpg);
    return -1;
}

/* gpg between two threads: one reads the file, this one takes what gpg makes of it. */
static int check_encrypted(struct checker *c, struct err *err)
{
    pthread_t reader;
    sigset_t all, old;
    if (openpgp_decrypt(&c->gpg, c->v->encryption, c->v->state_dir, err) != 0)
        return -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&reader, NULL, reader_main, c);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed != 0)
        return err_errno(err, failed, "cannot start a thread");
    int rc = drain_gpg(c, err);
    pthread_join(reader, NULL);
    /* Bytes that came back wrong explain why gpg failed; a gpg that ended explains why it could not be written to. */
    if (c->rc != 0 && (rc == 0 || c->err.code == ERR_CORRUPT || c->err.code == ERR_INTERRUPTED)) {
        if (err != NULL)
            *err = c->err;
        rc = -1;
    }
    return rc;
}

int archive_verify_content(const struct archive_verification *v, struct err *err)
{
    struct checker c = {.v = v, .tar = sha256_new()};
    struct id is;
    int rc = -1;
    sha256_begin(c.tar);
    c.decompress = decompress_new(v->codec, add_tar, &c, err);
    if (c.decompress == NULL)
        goto out;
    rc = v->encryption->kind == OPENPGP_NONE ? read_back(v, feed_decompress, &c, err) : check_encrypted(&c, err);
    if (rc == 0)
        rc = decompress_end(c.decompress, err);
    sha256_end(c.tar, &is);
    if (rc == 0)
        rc = compare(&is, &v->tar_sha256, "the tar in it", err);
out:
    openpgp_free(c.gpg);
    decompress_free(c.decompress);
    sha256_free(c.tar);
    return rc;
}
