/*
 * For tests of sources: a directory to fill, a sink that writes down what it is given, and a reporter that writes down
 * what it is told. Paths are written down relative to the test's directory; what lies above it is left out.
 */
#pragma once
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "sink/sink.h"

/* ---- a directory */

struct place {
    char root[64];
    int fd;
};

static inline void place_make(struct place *p)
{
    snprintf(p->root, sizeof p->root, "/tmp/clawback-source-XXXXXX");
    assert_non_null(mkdtemp(p->root));
    assert_int_equal(chmod(p->root, 0755), 0);
    p->fd = open(p->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p->fd >= 0);
}

/* Descriptor by descriptor: the tests make paths that are too long to be named. */
static inline void place_empty(int dir_fd)
{
    DIR *dir = fdopendir(dup(dir_fd));
    assert_non_null(dir);
    rewinddir(dir);
    for (struct dirent *d = readdir(dir); d != NULL; d = readdir(dir)) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || unlinkat(dir_fd, d->d_name, 0) == 0)
            continue;
        (void)fchmodat(dir_fd, d->d_name, 0700, 0);
        int fd = openat(dir_fd, d->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        assert_true(fd >= 0);
        place_empty(fd);
        close(fd);
        assert_int_equal(unlinkat(dir_fd, d->d_name, AT_REMOVEDIR), 0);
    }
    closedir(dir);
}

static inline void place_remove(struct place *p)
{
    place_empty(p->fd);
    close(p->fd);
    assert_int_equal(rmdir(p->root), 0);
}

static inline char *place_path(const struct place *p, const char *name)
{
    return name[0] == '\0' ? mem_strdup(p->root) : mem_printf("%s/%s", p->root, name);
}

static inline void place_dir(const struct place *p, const char *name)
{
    assert_int_equal(mkdirat(p->fd, name, 0755), 0);
}

static inline void place_bytes(const struct place *p, const char *name, const void *bytes, size_t len)
{
    int fd = openat(p->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    close(fd);
}

static inline void place_file(const struct place *p, const char *name, const char *text)
{
    place_bytes(p, name, text, strlen(text));
}

static inline void place_append(const struct place *p, const char *name, const char *text)
{
    int fd = openat(p->fd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

/* ---- the sink and the reporter */

struct recorder {
    struct sink sink;
    struct sink_reporter reporter;
    const struct place *place;
    pthread_mutex_t lock;
    char path[65536]; /* of the directory that is open */
    unsigned depth;
    struct buf order;   /* "dir/", "dir/file", a line each; "/" alone ends a directory */
    struct buf reports; /* "unreadable PATH", "warning PATH: WHAT", "excluded PATH: WHY" */
    struct buf content; /* of the file read last */
    unsigned parents;   /* directories above the test's own */
    bool read_files;
    struct node last;   /* the entry pushed last; strings point into arena */
    struct node wanted; /* the entry of that name */
    const char *want;
    struct arena arena;
    bool last_always, wanted_always;
    enum err_code open_error; /* of the last open that failed */
    struct err finish_error;
    unsigned attempts;   /* that the file read last took */
    uint64_t hole_bytes; /* skipped in the file read last */
    size_t cut_bytes;
    enum sink_cut cut;
    unsigned fail_after; /* pushes until the sink fails; 0: never */
    unsigned pushes;
    const struct node *known_node; /* what `known` answers */
    /* Called after the content was opened (step 0) and before finish (step 1). */
    void (*meanwhile)(struct recorder *r, unsigned attempt, unsigned step);
    size_t read_cap;
};

static inline const char *recorder_relative(const struct recorder *r, const char *path)
{
    size_t len = strlen(r->place->root);
    if (strncmp(path, r->place->root, len) != 0)
        return NULL;
    return path[len] == '/' ? path + len + 1 : path + len;
}

static inline void recorder_report(struct recorder *r, const char *kind, const char *path, const char *what)
{
    const char *relative = recorder_relative(r, path);
    pthread_mutex_lock(&r->lock);
    buf_printf(&r->reports, "%s %s%s%s\n", kind, relative != NULL ? relative : path, what[0] != '\0' ? ": " : "", what);
    pthread_mutex_unlock(&r->lock);
}

static inline void recorder_unreadable(void *ctx, const char *path, const struct err *err)
{
    assert_int_not_equal(err->code, ERR_NONE);
    recorder_report(ctx, "unreadable", path, "");
}

static inline void recorder_warning(void *ctx, const char *path, const char *what)
{
    recorder_report(ctx, "warning", path, what);
}

static inline void recorder_excluded(void *ctx, const char *path, const char *why)
{
    recorder_report(ctx, "excluded", path, why);
}

static inline int recorder_keep(struct recorder *r, const struct node *n, bool always, struct err *err)
{
    node_copy(&r->last, n, &r->arena);
    r->last_always = always;
    if (r->want != NULL && strcmp(n->name, r->want) == 0) {
        node_copy(&r->wanted, n, &r->arena);
        r->wanted_always = always;
    }
    if (r->fail_after != 0 && ++r->pushes >= r->fail_after)
        return err_set(err, ERR_NO_SPACE, "the sink is full");
    return 0;
}

static inline int recorder_dir_begin(struct sink *s, const struct node *n, struct err *err)
{
    struct recorder *r = (struct recorder *)(void *)s;
    size_t len = strlen(r->path);
    snprintf(r->path + len, sizeof r->path - len, "/%s", n->name);
    r->depth++;
    const char *relative = recorder_relative(r, r->path);
    if (relative == NULL)
        r->parents++;
    else
        buf_printf(&r->order, "%s/\n", relative);
    return recorder_keep(r, n, false, err);
}

static inline int recorder_dir_end(struct sink *s, struct err *err)
{
    struct recorder *r = (struct recorder *)(void *)s;
    (void)err;
    assert_true(r->depth > 0);
    r->depth--;
    if (recorder_relative(r, r->path) != NULL)
        buf_append_str(&r->order, "/\n");
    *strrchr(r->path, '/') = '\0';
    return 0;
}

static inline void recorder_read(struct recorder *r, struct node *n, struct sink_stream *stream, unsigned attempt,
                                 bool *again)
{
    struct err err = {0};
    char *piece = mem_alloc(r->read_cap);
    r->cut = stream->cut;
    r->cut_bytes = stream->cut_bytes;
    buf_clear(&r->content);
    r->hole_bytes = 0;
    if (r->meanwhile != NULL)
        r->meanwhile(r, attempt, 0);
    for (;;) {
        uint64_t hole = stream->hole != NULL ? stream->hole(stream->state) : 0;
        if (hole > 0) {
            assert_int_equal((stream->skip)(stream->state, hole, &err), 0);
            r->hole_bytes += hole;
            continue;
        }
        int64_t got = stream->read(stream->state, piece, r->read_cap, &err);
        assert_true(got >= 0);
        if (got == 0)
            break;
        buf_append(&r->content, piece, (size_t)got);
    }
    if (r->meanwhile != NULL)
        r->meanwhile(r, attempt, 1);
    enum sink_finish finish = stream->finish(stream->state, n, &r->finish_error);
    *again = finish == SINK_FINISH_AGAIN;
    if (finish == SINK_FINISH_ERROR)
        r->open_error = r->finish_error.code;
    stream->close(stream->state);
    free(piece);
}

static inline int recorder_entry(struct sink *s, const struct node *node, const char *path,
                                 struct sink_content *content, struct err *err)
{
    struct recorder *r = (struct recorder *)(void *)s;
    struct node n = *node;
    const char *relative = recorder_relative(r, path);
    buf_printf(&r->order, "%s\n", relative != NULL ? relative : path);
    assert_true((n.type == NODE_FILE) == (content != NULL));
    bool always = content != NULL && content->always;
    if (content != NULL && r->read_files) {
        bool again = true;
        for (unsigned attempt = 1; again; attempt++) {
            struct sink_stream stream;
            struct err open_err = {0};
            assert_true(attempt <= 3);
            r->attempts = attempt;
            again = false;
            if (content->open(content->ctx, attempt, &n, &stream, &open_err) == 0)
                recorder_read(r, &n, &stream, attempt, &again);
            else
                r->open_error = open_err.code;
        }
    }
    int rc = recorder_keep(r, &n, always, err);
    if (content != NULL)
        content->release(content->ctx);
    return rc;
}

static inline const struct node *recorder_known(struct sink *s, const char *name, size_t len, const struct stat *st)
{
    struct recorder *r = (struct recorder *)(void *)s;
    assert_int_equal(strlen(name), len);
    assert_true(st->st_ino != 0 && st->st_mode != 0);
    return r->known_node;
}

static const struct sink_ops recorder_ops = {recorder_dir_begin, recorder_entry, recorder_dir_end, recorder_known};

static inline void recorder_make(struct recorder *r, const struct place *place)
{
    memset(r, 0, sizeof *r);
    r->sink.ops = &recorder_ops;
    r->reporter = (struct sink_reporter){r, recorder_unreadable, recorder_warning, recorder_excluded};
    r->place = place;
    r->read_cap = 1 << 20;
    pthread_mutex_init(&r->lock, NULL);
    buf_init(&r->order, 64 << 20);
    buf_init(&r->reports, 64 << 20);
    buf_init(&r->content, 256 << 20);
    arena_init(&r->arena);
}

static inline void recorder_release(struct recorder *r)
{
    buf_release(&r->order);
    buf_release(&r->reports);
    buf_release(&r->content);
    arena_release(&r->arena);
    pthread_mutex_destroy(&r->lock);
}
