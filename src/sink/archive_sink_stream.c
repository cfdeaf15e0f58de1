/*
 * Members that are too large to be read first. Their size is in the header before their content is read, so whatever
 * happens meanwhile, that many bytes follow: a file that grew is cut, one that shrank or cannot be read on is filled up
 * with zeros, and each is reported.
 */
#include "os/interrupt.h"
#include "sink/archive_sink_file.h"

struct reading {
    const struct sink_stream *stream;
    uint64_t at;    /* where it stands */
    bool ended;     /* nothing more will come */
    struct err why; /* ERR_NONE: it was just the end */
};

static size_t at_most(uint64_t left)
{
    return left < ARCHIVE_BUFFER_BYTES ? (size_t)left : ARCHIVE_BUFFER_BYTES;
}

/* Steps over a hole of at most that size; 0: there is none. */
static uint64_t skip_some(struct reading *r, uint64_t most)
{
    uint64_t hole = archive_hole_here(r->stream), n = hole < most ? hole : most;
    if (n == 0)
        return 0;
    if (r->stream->skip(r->stream->state, n, &r->why) != 0) {
        r->ended = true;
        return 0;
    }
    r->at += n;
    return n;
}

/* Bytes into the buffer; 0: it has ended. */
static size_t read_some(struct archive_filing *f, struct reading *r, uint64_t most)
{
    int64_t n =
        os_check_interrupt(&r->why) == 0 ? r->stream->read(r->stream->state, f->buffer, at_most(most), &r->why) : -1;
    if (n <= 0) {
        r->ended = true;
        return 0;
    }
    archive_count_read(f, (uint64_t)n);
    r->at += (uint64_t)n;
    return (size_t)n;
}

/* What lies before `to` goes into the tar. -1 when that fails; the stream's own failing ends it only. */
static int copy_to(struct archive_filing *f, struct reading *r, uint64_t to, struct err *err)
{
    while (r->at < to && !r->ended) {
        uint64_t hole = skip_some(r, to - r->at);
        if (hole > 0 && archive_put_zeros(f, hole, false, err) != 0)
            return -1;
        if (hole > 0 || r->ended)
            continue;
        size_t n = read_some(f, r, to - r->at);
        if (n > 0 && archive_put_data(f, f->buffer, n, err) != 0)
            return -1;
    }
    return 0;
}

/* What lies before `to` was a hole when the map was made. */
static int pass_to(struct archive_filing *f, struct reading *r, uint64_t to, struct err *err)
{
    if (archive_put_zeros(f, to - r->at, true, err) != 0)
        return -1;
    while (r->at < to && !r->ended)
        if (skip_some(r, to - r->at) == 0 && !r->ended && read_some(f, r, to - r->at) > 0)
            f->changed = true;
    return 0;
}

static int interrupted(const struct err *why, struct err *err)
{
    if (why->code != ERR_INTERRUPTED)
        return 0;
    if (err != NULL)
        *err = *why;
    return -1;
}

/* Zeros for what did not come. */
static int fill_up(struct archive_filing *f, const struct reading *r, struct err *err)
{
    struct err said = r->why;
    uint64_t in_tar = tar_data_left(f->tar), in_all = f->node->size - f->hashed;
    if (interrupted(&r->why, err) != 0)
        return -1;
    if (said.code == ERR_NONE)
        err_set(&said, ERR_CHANGED, "'%s' became shorter while it was read: in the archive zeros fill its end",
                f->path);
    else
        err_wrap(&said, "in the archive zeros stand for the rest of '%s'", f->path);
    f->incomplete = true;
    f->reporter->unreadable(f->reporter->ctx, f->path, &said);
    return archive_put_zeros(f, in_all - in_tar, true, err) != 0 ? -1 : archive_put_zeros(f, in_tar, false, err);
}

/* After the last byte: is there more, did it change? All that can be done now is to say so. */
static int ask_finish(struct archive_filing *f, struct reading *r, struct err *err)
{
    struct node scratch = *f->node;
    if (!r->ended && read_some(f, r, 1) > 0)
        f->changed = true; /* beyond what the stream itself called its size */
    enum sink_finish outcome = r->stream->finish(r->stream->state, &scratch, &r->why);
    if (interrupted(&r->why, err) != 0)
        return -1;
    if (outcome == SINK_FINISH_ERROR) {
        f->incomplete = true;
        f->reporter->unreadable(f->reporter->ctx, f->path, &r->why);
    } else if (outcome == SINK_FINISH_AGAIN || f->changed) {
        f->changed = true;
        f->reporter->warning(f->reporter->ctx, f->path,
                             "changed while it was read; the archive may hold parts of before and after");
    }
    return 0;
}

static int end_member(struct archive_filing *f, struct reading *r, struct err *err)
{
    bool whole = f->hashed == f->node->size;
    if (!whole && fill_up(f, r, err) != 0)
        return -1;
    if (tar_end(f->tar, err) != 0)
        return -1;
    sha256_end(f->sha, &f->sha256);
    return whole ? ask_finish(f, r, err) : 0;
}

int archive_stream_plain(struct archive_filing *f, const struct sink_stream *s, struct err *err)
{
    struct reading r = {.stream = s, .at = archive_hold_size(f->hold)};
    bool sparse;
    if (archive_put_hold(f, &sparse, err) != 0 || copy_to(f, &r, f->node->size, err) != 0)
        return -1;
    return end_member(f, &r, err);
}

int archive_stream_sparse(struct archive_filing *f, const struct sink_stream *s, struct err *err)
{
    size_t count;
    const struct tar_segment *segments = archive_hold_segments(f->hold, &count);
    struct reading r = {.stream = s};
    sha256_begin(f->sha);
    f->hashed = 0;
    if (tar_begin_sparse(f->tar, f->node, f->member, segments, count, err) != 0)
        return -1;
    for (size_t i = 0; i < count && !r.ended; i++)
        if (pass_to(f, &r, segments[i].offset, err) != 0 ||
            (!r.ended && copy_to(f, &r, segments[i].offset + segments[i].bytes, err) != 0))
            return -1;
    if (!r.ended && pass_to(f, &r, f->node->size, err) != 0)
        return -1;
    return end_member(f, &r, err);
}
