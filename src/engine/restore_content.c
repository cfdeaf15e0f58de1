#include "engine/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"

enum { HOLE_BYTES = 4096, COMPARE_KEEP_BYTES = 4 << 20, PRIVATE_MODE = 0600 };

bool restore_is_large(const struct node *node)
{
    return node->content_count > 1 && (node->size > RESTORE_LARGE_BYTES || node->content_count > RESTORE_LARGE_BLOBS);
}

size_t restore_content_plan(struct restore_worker *w, const struct node *node)
{
    size_t first = 0;
    for (size_t i = 0; i < node->content_count; i++) {
        size_t position = fetch_plan_add(w->fetch, &node->content[i]);
        if (i == 0)
            first = position;
    }
    return first;
}

/* One report a file: the first problem. */
static void content_failed(struct restore_worker *w, struct restore_content *c, struct err *err)
{
    if (!atomic_exchange(&c->failed, true))
        restore_report(w->run, c->dir, c->node->name, err);
}

/* --- writing --- */

/* An existing file may be readable to more people than what is now written into it. */
static int make_private(struct restore_content *c, struct err *err)
{
    if (atomic_exchange(&c->made_private, true) || (c->old_mode & 077) == 0)
        return 0;
    return fchmod(c->fd, PRIVATE_MODE) < 0 ? err_errno(err, errno, "cannot make it private for writing") : 0;
}

static bool is_zero(const unsigned char *p, size_t len)
{
    return len > 0 && p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

static int write_run(struct restore_content *c, const unsigned char *p, size_t len, uint64_t offset, bool zero,
                     struct err *err)
{
    if (zero && c->sparse_new)
        return 0;
    if (zero && fallocate(c->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) == 0)
        return 0;
    return os_pwrite_full(c->fd, p, len, (off_t)offset) < 0 ? err_errno(err, errno, "cannot write") : 0;
}

/* Writes runs of zero blocks as holes. Blocks are those of the file, not of the data. */
static int write_sparse(struct restore_content *c, const unsigned char *p, size_t len, uint64_t offset, struct err *err)
{
    size_t start = 0;
    bool start_zero = false;
    for (size_t at = 0; at < len;) {
        size_t block = HOLE_BYTES - (offset + at) % HOLE_BYTES;
        bool zero = block == HOLE_BYTES && at + block <= len && is_zero(p + at, block);
        if (at > start && zero != start_zero) {
            if (write_run(c, p + start, at - start, offset + start, start_zero, err) < 0)
                return -1;
            start = at;
        }
        start_zero = zero;
        at = at + block < len ? at + block : len;
    }
    return len > start ? write_run(c, p + start, len - start, offset + start, start_zero, err) : 0;
}

int restore_content_write(struct restore_content *c, const unsigned char *p, size_t len, uint64_t offset, bool sparse,
                          struct err *err)
{
    if (make_private(c, err) < 0)
        return -1;
    return sparse ? write_sparse(c, p, len, offset, err) : write_run(c, p, len, offset, false, err);
}

/* --- one blob --- */

/* Does the file hold this blob at this offset already? */
static bool is_there(struct restore_worker *w, const struct restore_content *c, const struct id *id, uint64_t offset,
                     uint32_t bytes)
{
    if (offset + bytes > c->old_size)
        return false;
    if (bytes > w->compare_cap || (w->compare_cap > COMPARE_KEEP_BYTES && bytes <= COMPARE_KEEP_BYTES)) {
        free(w->compare);
        w->compare_cap = bytes > 64 << 10 ? bytes : 64 << 10;
        w->compare = mem_alloc(w->compare_cap);
    }
    struct id actual;
    if (os_pread_full(c->fd, w->compare, bytes, (off_t)offset) != (ssize_t)bytes)
        return false;
    sha256_once(w->sha, w->compare, bytes, &actual);
    return id_equal(&actual, id);
}

static int restore_blob(struct restore_worker *w, struct restore_content *c, size_t plan, uint64_t offset,
                        uint32_t bytes, struct err *err)
{
    const unsigned char *data;
    size_t len;
    if (fetch_blob(w->fetch, plan, &data, &len, err) < 0)
        return err_wrap(err, "%u bytes at offset %llu cannot be restored", bytes, (unsigned long long)offset);
    if (len != bytes)
        return err_set(err, ERR_CORRUPT, "a blob has %zu bytes where the index says %u", len, bytes);
    if (restore_content_write(c, data, len, offset, w->run->options->sparse, err) < 0)
        return -1;
    atomic_fetch_add_explicit(&w->run->progress->bytes_done, len, memory_order_relaxed);
    return 0;
}

/* Blobs first … first+count of the file, which are at `plan` in the worker's plan and belong at `offset`. Returns where
 * the next one belongs. A blob that is damaged is reported, and those after it are still restored. */
static uint64_t run_blobs(struct restore_worker *w, struct restore_content *c, size_t plan, size_t first, size_t count,
                          uint64_t offset)
{
    struct restore *r = w->run;
    for (size_t i = 0; i < count && !restore_stopped(r); i++) {
        struct err err = {0};
        uint32_t bytes;
        if (!fetch_size(w->fetch, plan + i, &bytes)) {
            char hex[ID_SHORT_CHARS + 1];
            err_set(&err, ERR_NOT_FOUND, "its content is lost from offset %llu on: blob %s is in no index",
                    (unsigned long long)offset, id_to_short(&c->node->content[first + i], hex));
            content_failed(w, c, &err);
            break;
        }
        if (is_there(w, c, &c->node->content[first + i], offset, bytes)) {
            if (c->write)
                atomic_fetch_add_explicit(&r->progress->bytes_skipped, bytes, memory_order_relaxed);
        } else {
            atomic_store(&c->differs, true);
            if (!c->write)
                break;
            if (restore_blob(w, c, plan + i, offset, bytes, &err) < 0)
                content_failed(w, c, &err);
        }
        offset += bytes;
    }
    return offset;
}

static void check_size(struct restore_worker *w, struct restore_content *c, uint64_t bytes)
{
    if (bytes == c->node->size || atomic_load(&c->failed) || (atomic_load(&c->differs) && !c->write) ||
        restore_stopped(w->run))
        return;
    struct err err;
    err_set(&err, ERR_CORRUPT, "the snapshot says that it has %llu bytes, but holds %llu bytes of it",
            (unsigned long long)c->node->size, (unsigned long long)bytes);
    content_failed(w, c, &err);
}

/* --- large files --- */

struct range {
    size_t first, count;
    uint64_t offset;
};

/* Shared by those that work on one file. The thread that began it waits until no range is being worked on; helpers that
 * come later than that find nothing to do. */
struct large {
    struct restore_content *content;
    struct restore *run;
    struct range *ranges;
    size_t count, next;
    unsigned active, refs;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
};

static void large_release(struct large *l)
{
    pthread_mutex_lock(&l->mutex);
    bool last = --l->refs == 0;
    pthread_mutex_unlock(&l->mutex);
    if (!last)
        return;
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->idle);
    free(l->ranges);
    free(l);
}

/* Cuts the file into ranges of whole blobs. A blob of unknown size ends the last range: what comes after it has no
 * known place. */
static void cut_ranges(struct restore_worker *w, struct large *l)
{
    const struct node *n = l->content->node;
    size_t cap = 0;
    uint64_t offset = 0;
    bool known = true;
    for (size_t i = 0; i < n->content_count && known; i++) {
        uint32_t bytes;
        known = fetch_size_of(w->fetch, &n->content[i], &bytes);
        if (l->count == 0 || offset - l->ranges[l->count - 1].offset >= RESTORE_RANGE_BYTES) {
            if (l->count == cap) {
                cap = cap * 2 + 16;
                l->ranges = mem_array(l->ranges, cap, sizeof *l->ranges);
            }
            l->ranges[l->count++] = (struct range){.first = i, .offset = offset};
        }
        l->ranges[l->count - 1].count++;
        offset += bytes;
    }
    if (known)
        check_size(w, l->content, offset);
}

static bool take_range(struct large *l, struct range *out)
{
    pthread_mutex_lock(&l->mutex);
    bool taken =
        l->next < l->count && !restore_stopped(l->run) && (l->content->write || !atomic_load(&l->content->differs));
    if (taken) {
        *out = l->ranges[l->next++];
        l->active++;
    } else {
        l->next = l->count;
    }
    pthread_mutex_unlock(&l->mutex);
    return taken;
}

static void run_range(struct restore_worker *w, struct large *l, const struct range *range)
{
    fetch_plan_clear(w->fetch);
    for (size_t i = 0; i < range->count; i++)
        fetch_plan_add(w->fetch, &l->content->node->content[range->first + i]);
    run_blobs(w, l->content, 0, range->first, range->count, range->offset);
    pthread_mutex_lock(&l->mutex);
    if (--l->active == 0)
        pthread_cond_broadcast(&l->idle);
    pthread_mutex_unlock(&l->mutex);
}

static void help(void *arg, unsigned worker)
{
    struct large *l = arg;
    struct range range;
    /* l->content lives only until the last range is done: take_range does not look at it once `next` is at the end. */
    while (take_range(l, &range))
        run_range(&l->run->workers[worker], l, &range);
    large_release(l);
}

static void call_help(struct large *l, unsigned *helpers)
{
    while (*helpers + 1 < l->run->threads && *helpers + 1 < l->count) {
        pthread_mutex_lock(&l->mutex);
        l->refs++;
        pthread_mutex_unlock(&l->mutex);
        if (!pool_try_submit(l->run->pool, help, l)) {
            pthread_mutex_lock(&l->mutex);
            l->refs--; /* not the last: the caller has one */
            pthread_mutex_unlock(&l->mutex);
            return;
        }
        ++*helpers;
    }
}

static void run_large(struct restore_worker *w, struct restore_content *c)
{
    struct large *l = mem_zalloc(sizeof *l);
    l->content = c;
    l->run = w->run;
    l->refs = 1;
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->idle, NULL);
    cut_ranges(w, l);
    unsigned helpers = 0;
    struct range range;
    call_help(l, &helpers);
    /* The analyzer loses count of refs: ours is there until large_release() below. */
    while (take_range(l, &range)) { /* NOLINT(clang-analyzer-unix.Malloc) */
        run_range(w, l, &range);
        call_help(l, &helpers);
    }
    pthread_mutex_lock(&l->mutex);
    while (l->active > 0)
        pthread_cond_wait(&l->idle, &l->mutex);
    pthread_mutex_unlock(&l->mutex);
    large_release(l);
}

void restore_content_run(struct restore_worker *w, struct restore_content *c, size_t plan, bool may_share)
{
    if (may_share && restore_is_large(c->node))
        run_large(w, c);
    else
        check_size(w, c, run_blobs(w, c, plan, 0, c->node->content_count, 0));
}
