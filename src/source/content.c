#include "source/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/open.h"
#include "os/pagecache.h"
#include "source/content_database.h"
#include "source/sqlite.h"

/* A file up to this size is read whole when it is opened; of a larger one the header. */
enum { WHOLE_BYTES = 32 << 10, HEADER_BYTES = 100, DATABASE_MIN_BYTES = 512 };

struct content {
    const struct content_env *env;
    uint64_t inode;
    struct timespec ctime;
    bool plain; /* a database by its header, but none that could be captured: copied as it is */
    char path[];
};

struct stream {
    struct content *content;
    int fd;
    unsigned attempt;
    struct stat before;
    uint64_t at, end; /* end: the size when it was opened, until reading comes short of it */
    bool unsized;     /* size 0 as stat sees it: read to the end, which in /proc is further */
    bool may_have_holes;
    uint64_t data_end; /* up to here there is no hole; known once the sink asks for holes */
    struct os_pagecache cache;
    size_t head_len;
    unsigned char head[];
};

static int say_errno(const struct content *c, int errnum, const char *what, struct err *err)
{
    return err_errno(err, errnum, "cannot %s '%s'", what, c->path);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* ---- reading */

/* What is in the head buffer, then the file, up to the end. */
static int64_t read_up_to(struct stream *s, unsigned char *p, size_t len, struct err *err)
{
    size_t done = 0;
    if (s->at < s->head_len) {
        done = s->head_len - (size_t)s->at < len ? s->head_len - (size_t)s->at : len;
        memcpy(p, s->head + s->at, done);
    }
    if (done < len) {
        ssize_t n = os_pagecache_read(&s->cache, p + done, len - done, s->at + done);
        if (n < 0)
            return say_errno(s->content, errno, "read", err);
        done += (size_t)n;
    }
    if (done < len)
        s->end = s->at + done;
    s->at += done;
    return (int64_t)done;
}

static int64_t stream_read(void *state, void *p, size_t cap, struct err *err)
{
    struct stream *s = state;
    struct os_rate *rate = s->content->env->rate;
    uint64_t end = s->end;
    if (s->data_end > s->at && s->data_end < end)
        end = s->data_end; /* stops where a hole begins, for a sink that takes holes */
    uint64_t left = end - s->at;
    size_t want = left < cap ? (size_t)left : cap;
    size_t done = 0;
    while (done < want) {
        uint64_t step = os_rate_step(rate);
        size_t part = want - done < step ? want - done : (size_t)step;
        int64_t n = read_up_to(s, (unsigned char *)p + done, part, err);
        if (n < 0)
            return -1;
        os_rate_take(rate, (uint64_t)n);
        done += (size_t)n;
        if ((size_t)n < part)
            break;
    }
    return (int64_t)done;
}

static uint64_t stream_hole(void *state)
{
    struct stream *s = state;
    if (!s->may_have_holes || s->at < s->data_end || s->at >= s->end)
        return 0;
    off_t data = lseek(s->fd, (off_t)s->at, SEEK_DATA);
    uint64_t start = s->end; /* ENXIO: nothing but a hole up to the end */
    if (data >= 0) {
        start = (uint64_t)data < s->end ? (uint64_t)data : s->end;
    } else if (errno != ENXIO) {
        s->may_have_holes = false;
        return 0;
    }
    off_t data_end = start < s->end ? lseek(s->fd, (off_t)start, SEEK_HOLE) : (off_t)s->end;
    s->data_end = data_end > (off_t)start ? (uint64_t)data_end : s->end;
    return start - s->at;
}

static int stream_skip(void *state, uint64_t bytes, struct err *err)
{
    struct stream *s = state;
    (void)err;
    s->at += bytes;
    return 0;
}

/* ---- afterwards */

enum verdict { SAME, ACCEPTABLE, CHANGED };

static enum verdict compare(const struct stream *s, const struct stat *now)
{
    const struct stat *then = &s->before;
    bool whole = s->unsized || s->at == (uint64_t)then->st_size;
    bool same_size = now->st_size == then->st_size;
    bool same_mtime = same_time(&now->st_mtim, &then->st_mtim);
    if (!whole)
        return CHANGED;
    if (same_size && same_mtime && same_time(&now->st_ctim, &then->st_ctim))
        return SAME;
    if (now->st_size > then->st_size && !s->unsized)
        return ACCEPTABLE; /* it grew */
    if (same_size && same_mtime && now->st_nlink != then->st_nlink)
        return ACCEPTABLE; /* a name came or went */
    return CHANGED;
}

static enum sink_finish stream_finish(void *state, struct node *node, struct err *err)
{
    struct stream *s = state;
    const struct content *c = s->content;
    struct stat now;
    if (fstat(s->fd, &now) != 0) {
        say_errno(c, errno, "stat", err);
        return SINK_FINISH_ERROR;
    }
    node->size = s->at;
    if (compare(s, &now) != CHANGED)
        return SINK_FINISH_OK;
    if (s->attempt < CONTENT_ATTEMPTS)
        return SINK_FINISH_AGAIN;
    if (c->plain) {
        err_set(err, ERR_CHANGED, "'%s' is a damaged SQLite database that keeps changing", c->path);
        return SINK_FINISH_ERROR;
    }
    c->env->reporter->warning(c->env->reporter->ctx, c->path, "changed while it was read");
    return SINK_FINISH_OK;
}

static void stream_close(void *state)
{
    struct stream *s = state;
    os_pagecache_end(&s->cache);
    close(s->fd);
    free(s);
}

/* ---- opening */

/* A descriptor and its stat. ERR_NOT_FOUND: it is gone. ERR_CHANGED: something else has its name. */
static int open_file(const struct content *c, struct stat *st, struct err *err)
{
    int fd = os_open_noatime(c->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == ENOTDIR)
        return err_errno(err, ENOENT, "cannot open '%s'", c->path);
    if (fd < 0 && (errno == ELOOP || errno == ENXIO))
        return err_set(err, ERR_CHANGED, "'%s' is no longer a regular file", c->path);
    if (fd < 0)
        return say_errno(c, errno, "open", err);
    if (fstat(fd, st) != 0) {
        say_errno(c, errno, "stat", err);
    } else if (!S_ISREG(st->st_mode)) {
        err_set(err, ERR_CHANGED, "'%s' is no longer a regular file", c->path);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

static struct stream *new_stream(struct content *c, unsigned attempt, int fd, const struct stat *st)
{
    uint64_t size = (uint64_t)st->st_size;
    size_t head = size <= WHOLE_BYTES ? (size_t)size : HEADER_BYTES;
    struct stream *s = mem_alloc(sizeof *s + head);
    *s = (struct stream){.content = c, .fd = fd, .attempt = attempt, .before = *st, .end = size};
    if (size == 0) {
        s->unsized = true;
        s->end = INT64_MAX;
    }
    s->may_have_holes = (uint64_t)st->st_blocks * 512 < size;
    os_pagecache_begin(&s->cache, fd, size);
    return s;
}

/* Reads the head of a file that could be a database. A small file is thereby read already. */
static int read_head(struct stream *s, struct err *err)
{
    uint64_t size = (uint64_t)s->before.st_size;
    if (size < DATABASE_MIN_BYTES || (size > WHOLE_BYTES && s->content->env->ignore_sqlite))
        return 0;
    size_t len = size <= WHOLE_BYTES ? (size_t)size : HEADER_BYTES;
    ssize_t n = os_pagecache_read(&s->cache, s->head, len, 0);
    if (n < 0)
        return say_errno(s->content, errno, "read", err);
    s->head_len = (size_t)n;
    return 0;
}

/* When the file is not what the scan saw, its metadata is that of now; but inode and ctime stay those of the scan, as
 * does what was not asked again, so that the next run finds it changed and asks anew. */
static void correct_node(const struct content *c, const struct stat *st, struct node *node)
{
    node->size = (uint64_t)st->st_size;
    if (st->st_ino == c->inode && same_time(&st->st_ctim, &c->ctime))
        return;
    node->mode = node_mode_from_stat(st->st_mode);
    node->mtime = st->st_mtim;
    node->atime = c->env->with_atime ? st->st_atim : st->st_mtim;
    node->uid = st->st_uid;
    node->gid = st->st_gid;
    node->user = os_user_name(c->env->owners, st->st_uid);
    node->group = os_group_name(c->env->owners, st->st_gid);
    node->links = st->st_nlink;
}

static void hand_out(struct stream *s, struct sink_stream *out)
{
    const struct content *c = s->content;
    bool fine = c->env->fine_cut != NULL && filter_match(c->env->fine_cut, c->path);
    *out = (struct sink_stream){.state = s,
                                .cut = fine ? SINK_CUT_GROWING : SINK_CUT_FORMAT,
                                .read = stream_read,
                                .hole = stream_hole,
                                .skip = stream_skip,
                                .finish = stream_finish,
                                .close = stream_close};
}

/* A database that is none after all is copied like any file, unless part of it is in a file beside it. */
static int open_database(struct content *c, unsigned attempt, struct node *node, struct sink_stream *out,
                         struct err *err)
{
    if (content_database_open(out, c->env, c->path, attempt, node, err) == 0)
        return 0;
    bool damaged = err != NULL && (err->code == ERR_CORRUPT || err->code == ERR_UNSUPPORTED);
    if (!damaged || content_database_has_more(c->path))
        return -1;
    c->plain = true;
    c->env->reporter->warning(c->env->reporter->ctx, c->path,
                              "looks like a SQLite database but is damaged; stored as it is");
    return 1;
}

static int content_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    struct content *c = ctx;
    struct stat st;
    struct err local;
    if (err == NULL)
        err = &local;
    for (;;) {
        int fd = open_file(c, &st, err);
        if (fd < 0)
            return -1;
        struct stream *s = new_stream(c, attempt, fd, &st);
        if (read_head(s, err) != 0) {
            stream_close(s);
            return -1;
        }
        correct_node(c, &st, node);
        if (c->env->ignore_sqlite || c->plain || !sqlite_is_database(s->head, s->head_len)) {
            hand_out(s, out);
            return 0;
        }
        /* Closed before SQLite opens it: closing any descriptor of a file gives up all of the process's locks on it. */
        stream_close(s);
        int rc = open_database(c, attempt, node, out, err);
        if (rc <= 0)
            return rc;
    }
}

static void content_release(void *ctx)
{
    free(ctx);
}

struct sink_content content_new(const struct content_env *env, const char *path, size_t path_len, const struct stat *st,
                                bool live)
{
    struct content *c = mem_alloc(sizeof *c + path_len + 1);
    c->env = env;
    c->inode = st->st_ino;
    c->ctime = st->st_ctim;
    c->plain = false;
    memcpy(c->path, path, path_len);
    c->path[path_len] = '\0';
    return (struct sink_content){.ctx = c, .always = live, .open = content_open, .release = content_release};
}
