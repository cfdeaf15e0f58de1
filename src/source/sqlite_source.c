/*
 * The databases are walked as files are, with what that brings (parents, owners, attributes, captures). Between that
 * walk and the sink stands a sink of our own, which lets a file pass only as long as what is read is a database's
 * capture.
 */
#include "source/sqlite_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/open.h"
#include "source/files.h"
#include "source/sqlite.h"
#include "source/sqlite_header.h"

struct sqlite_source {
    struct source base;
    struct files_options options;
    struct files *files;
    const struct sink_reporter *reporter; /* of whoever pushes; until the source is freed */
    struct sink_reporter filtered;
};

/* ---- captures alone */

struct guarded {
    struct sink_content content; /* the file's */
    char *path;
};

static int guarded_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    const struct guarded *g = ctx;
    struct err why = {0};
    if (g->content.open(g->content.ctx, attempt, node, out, &why) != 0) {
        /* To a sink ERR_NOT_FOUND means that a file vanished, which is no error; a database that is named must be
         * there. */
        if (why.code == ERR_NOT_FOUND)
            why.code = ERR_FAILED;
        if (err != NULL)
            *err = why;
        return -1;
    }
    if (out->cut == SINK_CUT_FIXED) /* pages: only a capture is cut like that */
        return 0;
    out->close(out->state);
    return err_set(err, ERR_CORRUPT, "'%s' is a damaged SQLite database, or none any more", g->path);
}

static void guarded_release(void *ctx)
{
    struct guarded *g = ctx;
    if (g->content.release != NULL)
        g->content.release(g->content.ctx);
    free(g->path);
    free(g);
}

/* The sink between. */
struct guard {
    struct sink sink;
    struct sink *next;
};

static int guard_dir_begin(struct sink *s, const struct node *dir, struct err *err)
{
    struct guard *g = (struct guard *)s;
    return g->next->ops->dir_begin(g->next, dir, err);
}

static int guard_dir_end(struct sink *s, struct err *err)
{
    struct guard *g = (struct guard *)s;
    return g->next->ops->dir_end(g->next, err);
}

static int guard_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                       struct err *err)
{
    struct guard *g = (struct guard *)s;
    if (content == NULL)
        return g->next->ops->entry(g->next, node, path, content, err);
    struct guarded *guarded = mem_zalloc(sizeof *guarded);
    guarded->content = *content;
    guarded->path = mem_strdup(path);
    struct sink_content passed = *content;
    passed.is_dump = true;
    passed.ctx = guarded;
    passed.open = guarded_open;
    passed.release = guarded_release;
    return g->next->ops->entry(g->next, node, path, &passed, err);
}

static const struct node *guard_known(struct sink *s, const char *name, size_t name_len, const struct stat *st)
{
    struct guard *g = (struct guard *)s;
    return g->next->ops->known != NULL ? g->next->ops->known(g->next, name, name_len, st) : NULL;
}

/* Among files a damaged database is stored as it is, with a warning. Here it is refused, and the warning would be
 * wrong. */
static void pass_warning(void *ctx, const char *path, const char *what)
{
    const struct sqlite_source *s = ctx;
    if (!strlist_contains(&s->base.paths, path) || strstr(what, "stored as it is") == NULL)
        s->reporter->warning(s->reporter->ctx, path, what);
}

static void pass_unreadable(void *ctx, const char *path, const struct err *err)
{
    const struct sqlite_source *s = ctx;
    s->reporter->unreadable(s->reporter->ctx, path, err);
}

/* ---- looking first */

/* 0 when there is a file that begins as a database does. */
static int check_file(const char *path, struct err *err)
{
    unsigned char head[SQLITE_HEADER_BYTES];
    int fd = os_open_noatime(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return err_set(err, ERR_FAILED, "the SQLite database '%s' does not exist", path);
    if (fd < 0)
        return err_errno(err, errno, "cannot open the SQLite database '%s'", path);
    ssize_t n = os_read_full(fd, head, sizeof head);
    int errnum = errno;
    close(fd);
    if (n < 0)
        return err_errno(err, errnum, "cannot read the SQLite database '%s'", path);
    if (n == 0)
        return err_set(err, ERR_FAILED, "'%s' is empty: no SQLite database yet", path);
    if (!sqlite_is_database(head, (size_t)n))
        return err_set(err, ERR_FAILED, "'%s' is no SQLite database (an encrypted one can be backed up among files)",
                       path);
    return 0;
}

/* What a symlink leads to: the database lies there, and its WAL beside it. The caller frees it. */
static char *where_it_lies(const char *path)
{
    struct stat st;
    char *real = lstat(path, &st) == 0 && S_ISLNK(st.st_mode) ? realpath(path, NULL) : NULL;
    char *where = mem_strdup(real != NULL ? real : path);
    free(real);
    return where;
}

/* ---- the source */

static int sqlite_push(struct source *base, struct sink *sink, const struct sink_reporter *reporter, struct err *err)
{
    static const struct sink_ops ops = {guard_dir_begin, guard_entry, guard_dir_end, guard_known};
    struct sqlite_source *s = (struct sqlite_source *)base;
    struct guard guard = {.sink = {.ops = &ops}, .next = sink};
    for (size_t i = 0; i < s->base.paths.count; i++)
        if (check_file(s->base.paths.items[i], err) != 0)
            return -1;
    s->reporter = reporter;
    s->filtered = (struct sink_reporter){.ctx = s, .unreadable = pass_unreadable, .warning = pass_warning};
    if (files_new(&s->files, &s->options, &s->filtered, err) != 0)
        return -1;
    int rc = files_run(s->files, &guard.sink, err);
    if (rc != 0 && err != NULL && err->code == ERR_NOT_FOUND)
        err->code = ERR_FAILED; /* all vanished in this moment; not "it does not run" */
    return rc;
}

static void sqlite_free(struct source *base)
{
    struct sqlite_source *s = (struct sqlite_source *)base;
    files_free(s->files);
    free(s);
}

int sqlite_source_new(struct source **out, const struct strlist *paths, uint64_t limit_read_bytes_per_s,
                      struct err *err)
{
    static const struct source_ops OPS = {.push = sqlite_push, .free = sqlite_free};
    if (paths->count == 0)
        return err_set(err, ERR_USAGE, "no SQLite database is named");
    for (size_t i = 0; i < paths->count; i++)
        if (paths->items[i][0] != '/')
            return err_set(err, ERR_USAGE, "the path of the SQLite database '%s' is not absolute", paths->items[i]);
    struct sqlite_source *s = mem_zalloc(sizeof *s);
    s->base.ops = &OPS;
    s->base.strict = true;
    for (size_t i = 0; i < paths->count; i++) {
        char *where = where_it_lies(paths->items[i]);
        if (!strlist_contains(&s->base.paths, where))
            strlist_add(&s->base.paths, where);
        free(where);
    }
    s->options =
        (struct files_options){.paths = &s->base.paths, .limit_read_bytes_per_s = limit_read_bytes_per_s, .threads = 1};
    *out = &s->base;
    return 0;
}
