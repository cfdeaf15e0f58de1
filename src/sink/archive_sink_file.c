#include "sink/archive_sink_file.h"

#include "os/interrupt.h"

enum { MAP_ATTEMPTS = 3 }; /* openings of a large file with holes that keeps changing, before it is spooled */

/* How reading a stream into the hold ended. */
enum reading { READ_WHOLE, READ_MEMORY_FULL, READ_FAILED };
/* How an attempt ended. */
enum attempt { ATTEMPT_STORED, ATTEMPT_LEFT_OUT, ATTEMPT_AGAIN, ATTEMPT_FATAL };

static const unsigned char ZEROS[64 << 10];

/* ---- the pieces */

void archive_count_read(const struct archive_filing *f, uint64_t bytes)
{
    if (f->progress != NULL)
        atomic_fetch_add_explicit(&f->progress->bytes_read, bytes, memory_order_relaxed);
}

int archive_put_data(struct archive_filing *f, const void *p, size_t len, struct err *err)
{
    sha256_add(f->sha, p, len);
    f->hashed += len;
    return tar_data(f->tar, p, len, err);
}

int archive_put_zeros(struct archive_filing *f, uint64_t bytes, bool hole, struct err *err)
{
    while (bytes > 0) {
        size_t n = bytes < sizeof ZEROS ? (size_t)bytes : sizeof ZEROS;
        sha256_add(f->sha, ZEROS, n);
        f->hashed += n;
        if ((!hole && tar_data(f->tar, ZEROS, n, err) != 0) || os_check_interrupt(err) != 0)
            return -1;
        bytes -= n;
    }
    return 0;
}

uint64_t archive_hole_here(const struct sink_stream *s)
{
    return s->hole != NULL && s->skip != NULL ? s->hole(s->state) : 0;
}

/* ---- from the hold */

static int put_segment(struct archive_filing *f, uint64_t bytes, struct err *err)
{
    while (bytes > 0) {
        size_t want = bytes < ARCHIVE_BUFFER_BYTES ? (size_t)bytes : ARCHIVE_BUFFER_BYTES;
        int64_t n = archive_hold_take(f->hold, f->buffer, want, err);
        if (n <= 0)
            return n == 0 ? err_set(err, ERR_CORRUPT, "held data ends early") : -1;
        if (archive_put_data(f, f->buffer, (size_t)n, err) != 0)
            return -1;
        bytes -= (uint64_t)n;
    }
    return 0;
}

int archive_put_hold(struct archive_filing *f, bool *sparse_out, struct err *err)
{
    size_t count;
    const struct tar_segment *segments = archive_hold_segments(f->hold, &count);
    bool sparse = archive_hold_hole_bytes(f->hold) >= ARCHIVE_SPARSE_MIN_BYTES;
    sha256_begin(f->sha);
    f->hashed = 0;
    if (archive_hold_end(f->hold, err) != 0)
        return -1;
    int rc = sparse ? tar_begin_sparse(f->tar, f->node, f->member, segments, count, err)
                    : tar_begin(f->tar, f->node, f->member, NULL, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        rc = archive_put_zeros(f, segments[i].offset - f->hashed, sparse, err);
        if (rc == 0)
            rc = put_segment(f, segments[i].bytes, err);
    }
    if (rc == 0)
        rc = archive_put_zeros(f, archive_hold_size(f->hold) - f->hashed, sparse, err);
    *sparse_out = sparse;
    return rc;
}

int archive_store_hold(struct archive_filing *f, struct err *err)
{
    bool sparse;
    f->node->size = archive_hold_size(f->hold);
    if (archive_put_hold(f, &sparse, err) != 0 || tar_end(f->tar, err) != 0)
        return -1;
    sha256_end(f->sha, &f->sha256);
    return 0;
}

/* ---- into the hold */

/* A file as it is on a disk, whose length is known and not reached yet; databases and dumps are not streamed, since
 * they are whole or worthless. */
static bool can_be_streamed(const struct archive_filing *f, const struct sink_stream *s)
{
    return s->cut == SINK_CUT_FORMAT && f->node->size > archive_hold_size(f->hold);
}

static int read_step(struct archive_filing *f, const struct sink_stream *s, bool keep, int64_t *n_out, struct err *err)
{
    size_t room;
    unsigned char *to = keep ? archive_hold_room(f->hold, &room) : NULL;
    bool direct = to != NULL;
    if (!direct) {
        to = f->buffer;
        room = ARCHIVE_BUFFER_BYTES;
    }
    *n_out = s->read(s->state, to, room < ARCHIVE_BUFFER_BYTES ? room : ARCHIVE_BUFFER_BYTES, err);
    if (*n_out < 0)
        return -1;
    archive_count_read(f, (uint64_t)*n_out);
    if (!keep)
        archive_hold_pass(f->hold, (uint64_t)*n_out);
    else if (direct)
        archive_hold_added(f->hold, (size_t)*n_out);
    else
        return archive_hold_add(f->hold, to, (size_t)*n_out, err);
    return 0;
}

enum beyond { STOP, SPOOL, MAP_ONLY }; /* what to do when the hold's memory is full */

/* Takes the whole blocks of a hole; what lies in a block with data is read as zeros. 1: it did, 0: there is none. */
static int take_hole(struct archive_filing *f, const struct sink_stream *s, enum beyond beyond, struct err *err)
{
    size_t room = TAR_BLOCK_BYTES;
    uint64_t hole = archive_hole_here(s), used = archive_hold_size(f->hold) % TAR_BLOCK_BYTES;
    size_t before = used > 0 ? (size_t)(TAR_BLOCK_BYTES - used) : 0;
    if (hole < before + TAR_BLOCK_BYTES)
        return 0;
    if (beyond == STOP)
        (void)archive_hold_room(f->hold, &room);
    if (room < before)
        return 0;
    uint64_t blocks = (hole - before) / TAR_BLOCK_BYTES * TAR_BLOCK_BYTES;
    if (beyond == MAP_ONLY)
        archive_hold_pass(f->hold, before);
    else if (archive_hold_add(f->hold, ZEROS, before, err) != 0)
        return -1;
    if (archive_hold_hole(f->hold, blocks))
        return s->skip(s->state, before + blocks, err) != 0 ? -1 : 1;
    return s->skip(s->state, before, err); /* too many to be remembered */
}

static enum reading read_into_hold(struct archive_filing *f, const struct sink_stream *s, enum beyond beyond,
                                   struct err *err)
{
    for (;;) {
        size_t room;
        int64_t n;
        if (os_check_interrupt(err) != 0)
            return READ_FAILED;
        int hole = take_hole(f, s, beyond, err);
        if (hole < 0)
            return READ_FAILED;
        if (hole > 0)
            continue;
        if (beyond == STOP && archive_hold_room(f->hold, &room) == NULL)
            return READ_MEMORY_FULL;
        if (read_step(f, s, beyond != MAP_ONLY, &n, err) != 0)
            return READ_FAILED;
        if (n == 0)
            return READ_WHOLE;
    }
}

/* ---- deciding */

static enum attempt give_up(struct archive_filing *f, const struct err *why, struct err *err)
{
    if (why->code == ERR_INTERRUPTED) {
        if (err != NULL)
            *err = *why;
        return ATTEMPT_FATAL;
    }
    if (why->code != ERR_NOT_FOUND) /* it vanished: nothing is missing */
        f->reporter->unreadable(f->reporter->ctx, f->path, why);
    return ATTEMPT_LEFT_OUT;
}

static enum attempt stored(int rc)
{
    return rc == 0 ? ATTEMPT_STORED : ATTEMPT_FATAL;
}

/* All of it is in the hold: is it consistent? */
static enum attempt finish_held(struct archive_filing *f, const struct sink_stream *s, struct err *err)
{
    struct err why = {.code = ERR_NONE};
    f->node->size = archive_hold_size(f->hold);
    switch (s->finish(s->state, f->node, &why)) {
    case SINK_FINISH_OK:
        return stored(archive_store_hold(f, err));
    case SINK_FINISH_AGAIN:
        return ATTEMPT_AGAIN;
    default:
        return give_up(f, &why, err);
    }
}

/* The stream was read to its end for its holes alone. It is opened again for what is between them. */
static enum attempt reopen_sparse(struct archive_filing *f, unsigned attempt, struct err *err)
{
    struct err why = {.code = ERR_NONE};
    struct sink_stream s;
    if (f->content->open(f->content->ctx, attempt + 1, f->node, &s, &why) != 0)
        return give_up(f, &why, err);
    enum attempt outcome = ATTEMPT_AGAIN;
    if (s.cut == SINK_CUT_FORMAT && f->node->size == archive_hold_size(f->hold))
        outcome = stored(archive_stream_sparse(f, &s, err));
    s.close(s.state);
    return outcome;
}

/* What does not fit in memory. *map_out: the hold has the map of a sparse file, to be opened again. */
static enum attempt store_large(struct archive_filing *f, const struct sink_stream *s, unsigned attempt, bool *map_out,
                                struct err *err)
{
    struct err why = {.code = ERR_NONE};
    bool sparse = archive_hold_hole_bytes(f->hold) >= ARCHIVE_SPARSE_MIN_BYTES;
    bool streamed = can_be_streamed(f, s);
    if (streamed && !sparse)
        return stored(archive_stream_plain(f, s, err));
    *map_out = streamed && attempt <= MAP_ATTEMPTS;
    if (read_into_hold(f, s, *map_out ? MAP_ONLY : SPOOL, &why) != READ_WHOLE) {
        *map_out = false;
        return give_up(f, &why, err);
    }
    return *map_out ? ATTEMPT_AGAIN : finish_held(f, s, err);
}

static enum attempt try_file(struct archive_filing *f, unsigned attempt, struct err *err)
{
    struct err why = {.code = ERR_NONE};
    struct sink_stream s = {0};
    bool map = false;
    enum attempt outcome;
    archive_hold_reset(f->hold);
    f->changed = f->incomplete = false;
    if (f->content->open(f->content->ctx, attempt, f->node, &s, &why) != 0)
        return give_up(f, &why, err);
    switch (read_into_hold(f, &s, STOP, &why)) {
    case READ_WHOLE:
        outcome = finish_held(f, &s, err);
        break;
    case READ_MEMORY_FULL:
        outcome = store_large(f, &s, attempt, &map, err);
        break;
    default:
        outcome = give_up(f, &why, err);
    }
    s.close(s.state);
    return map ? reopen_sparse(f, attempt, err) : outcome;
}

int archive_store_file(struct archive_filing *f, struct err *err)
{
    struct err local = {.code = ERR_NONE};
    enum attempt outcome = ATTEMPT_AGAIN;
    if (err == NULL)
        err = &local;
    for (unsigned attempt = 1; outcome == ATTEMPT_AGAIN; attempt++)
        outcome = try_file(f, attempt, err);
    /* Refused before anything of it was written. */
    if (outcome == ATTEMPT_FATAL && err->code == ERR_UNSUPPORTED)
        outcome = give_up(f, err, err);
    archive_hold_reset(f->hold);
    f->stored = outcome == ATTEMPT_STORED;
    return outcome == ATTEMPT_FATAL ? -1 : 0;
}
