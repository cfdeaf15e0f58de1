/*
 * Invariants:
 * - `lock` guards session_error, session, references, counted, dumped; the session's psql itself is used by whoever
 *   counts, its snapshot's name by whoever dumps;
 * - the session lives until both contents are released: until then its snapshot may be needed.
 */
#include "source/postgres_dump.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/file.h"
#include "source/postgres_archive.h"
#include "source/postgres_session.h"

enum {
    COUNTS_BYTES_MAX = 1 << 30,
    HEAD_KEPT_BYTES = 64 << 20, /* of a dump whose format we don't know, for pg_restore to look at */
    LIST_TIMEOUT_MS = 120000,
};

struct dump {
    const struct pg_client *client;
    const struct sink_reporter *reporter;
    char *database, *path;
    uint64_t timeout_ms;
    struct sink_content content, counts_content;

    pthread_mutex_t lock;
    unsigned references;
    struct pg_session *session;
    struct pg_rows counted, dumped;
    bool has_counted, has_dumped;
};

/* ------------------------------------------------------------------------------------------------------- what is
 * shared
 */

static void release(struct dump *d)
{
    pthread_mutex_lock(&d->lock);
    bool last = --d->references == 0;
    pthread_mutex_unlock(&d->lock);
    if (!last)
        return;
    pg_session_free(d->session);
    pg_rows_release(&d->counted);
    pg_rows_release(&d->dumped);
    pthread_mutex_destroy(&d->lock);
    free(d->database);
    free(d->path);
    free(d);
}

static int wrap(const struct dump *d, const char *doing, struct err *err)
{
    if (err == NULL)
        return -1;
    if (err->code == ERR_NOT_FOUND) /* to a sink that means that the file vanished, which is no error */
        err->code = ERR_FAILED;
    return err_wrap(err, "cannot %s the database '%s' of %s", doing, d->database, d->client->target.label);
}

static int need_session(struct dump *d, struct err *err)
{
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    if (d->session == NULL)
        rc = pg_session_open(&d->session, d->client, d->database, d->timeout_ms, err);
    pthread_mutex_unlock(&d->lock);
    return rc == 0 ? 0 : wrap(d, "get a snapshot of", err);
}

/* A table that was counted but is not in the dump is told, but no reason to throw the rest away. */
static void report_missing(const struct dump *d, size_t missing, const struct pg_table *first)
{
    if (missing == 0)
        return;
    char *text =
        mem_printf("%zu of the tables that have rows are not in the dump, %s.%s first: pg_dump leaves them out",
                   missing, first->schema, first->name);
    d->reporter->warning(d->reporter->ctx, d->path, text);
    free(text);
}

/* Once both are there. */
static int compare_rows(struct dump *d, struct err *err)
{
    size_t missing = 0;
    const struct pg_table *first = NULL;
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    if (d->has_counted && d->has_dumped) {
        rc = pg_rows_compare(&d->counted, &d->dumped, &missing, &first, err);
        if (rc == 0)
            report_missing(d, missing, first);
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

/* ------------------------------------------------------------------------------------------------------------ the
 * counts
 */

struct counts_stream {
    struct buf text;
    size_t at;
};

static int64_t counts_read(void *state, void *p, size_t cap, struct err *err)
{
    struct counts_stream *s = state;
    (void)err;
    size_t left = s->text.len - s->at, n = left < cap ? left : cap;
    if (n > 0)
        memcpy(p, s->text.data + s->at, n);
    s->at += n;
    return (int64_t)n;
}

static enum sink_finish counts_finish(void *state, struct node *node, struct err *err)
{
    const struct counts_stream *s = state;
    (void)err;
    node->size = s->text.len;
    return SINK_FINISH_OK;
}

static void counts_close(void *state)
{
    struct counts_stream *s = state;
    buf_release(&s->text);
    free(s);
}

static int count(struct dump *d, struct buf *text, struct err *err)
{
    struct pg_rows rows = {0};
    if (need_session(d, err) != 0)
        return -1;
    if (pg_session_count(d->session, &rows, err) != 0) {
        pg_rows_release(&rows);
        return wrap(d, "count the rows of", err);
    }
    pg_rows_write(&rows, d->database, text);
    if (text->overflow) {
        pg_rows_release(&rows);
        return err_set(err, ERR_FAILED, "the database '%s' has too many tables to list", d->database);
    }
    pthread_mutex_lock(&d->lock);
    pg_rows_release(&d->counted);
    d->counted = rows;
    d->has_counted = true;
    pthread_mutex_unlock(&d->lock);
    return compare_rows(d, err) == 0 ? 0 : wrap(d, "vouch for", err);
}

static int counts_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    (void)attempt;
    (void)node;
    struct counts_stream *s = mem_zalloc(sizeof *s);
    buf_init(&s->text, COUNTS_BYTES_MAX);
    if (count(ctx, &s->text, err) != 0) {
        counts_close(s);
        return -1;
    }
    *out = (struct sink_stream){
        .state = s, .cut = SINK_CUT_FORMAT, .read = counts_read, .finish = counts_finish, .close = counts_close};
    return 0;
}

static void counts_release(void *ctx)
{
    release(ctx);
}

/* -------------------------------------------------------------------------------------------------------------- the
 * dump
 */

struct dump_stream {
    struct dump *dump;
    struct pg_tool *tool;
    struct pg_archive *archive;
    uint64_t bytes;
    int head_fd; /* a copy of the beginning, in memory, where the format is not known; else -1 */
    bool ended;  /* whole, by all that can be told */
};

static int keep_head(struct dump_stream *s, const unsigned char *p, size_t len, struct err *err)
{
    if (pg_archive_is_known(s->archive) || s->bytes >= HEAD_KEPT_BYTES)
        return 0;
    if (s->head_fd < 0) { /* the first bytes may have come one by one, before it was known what they are */
        size_t gone = PG_ARCHIVE_HEAD_BYTES - (size_t)s->bytes;
        s->head_fd = memfd_create("clawback-dump", MFD_CLOEXEC);
        if (s->head_fd < 0 || os_write_full(s->head_fd, pg_archive_head(s->archive), PG_ARCHIVE_HEAD_BYTES) != 0)
            return err_errno(err, errno, "cannot get memory for the beginning of a dump");
        p += gone;
        len -= gone;
    }
    if (os_write_full(s->head_fd, p, len) != 0)
        return err_errno(err, errno, "cannot keep the beginning of a dump");
    return 0;
}

/* Lets pg_restore, of the same installation as pg_dump, read the table of contents. */
static int let_restore_look(struct dump_stream *s, struct err *err)
{
    struct strlist args = {0};
    strlist_add(&args, "--list");
    if (s->head_fd < 0 || lseek(s->head_fd, 0, SEEK_SET) != 0)
        return err_set(err, ERR_CORRUPT, "the dump stops in the middle");
    struct pg_tool_options options = {.name = "pg_restore",
                                      .args = &args,
                                      .without_connection = true,
                                      .with_stdin = true,
                                      .stdin_fd = s->head_fd,
                                      .timeout_ms = LIST_TIMEOUT_MS};
    int rc = pg_tool_run(s->dump->client, &options, NULL, NULL, err);
    strlist_release(&args);
    if (rc != 0)
        return err_wrap(err, "pg_restore cannot read the dump's table of contents");
    char version[16];
    pg_archive_version(s->archive, version, sizeof version);
    char *text =
        mem_printf("its format (%s) is newer than this program knows: only its table of contents and pg_dump's "
                   "own word vouch for it",
                   version);
    s->dump->reporter->warning(s->dump->reporter->ctx, s->dump->path, text);
    free(text);
    return 0;
}

/* The output is at its end: is it all? */
static int judge(struct dump_stream *s, struct err *err)
{
    struct dump *d = s->dump;
    if (pg_tool_wait(s->tool, err) != 0 || pg_archive_end(s->archive, err) != 0)
        return wrap(d, "dump", err);
    if (!pg_archive_is_known(s->archive)) {
        if (let_restore_look(s, err) != 0)
            return wrap(d, "dump", err);
    } else {
        pthread_mutex_lock(&d->lock);
        pg_archive_take_rows(s->archive, &d->dumped);
        d->has_dumped = true;
        pthread_mutex_unlock(&d->lock);
        if (compare_rows(d, err) != 0)
            return wrap(d, "vouch for", err);
    }
    s->ended = true;
    return 0;
}

static int64_t dump_read(void *state, void *p, size_t cap, struct err *err)
{
    struct dump_stream *s = state;
    if (s->ended)
        return 0;
    int64_t n = pg_tool_read(s->tool, p, cap, err);
    if (n < 0)
        return wrap(s->dump, "dump", err);
    if (n > 0 && (pg_archive_feed(s->archive, p, (size_t)n, err) != 0 || keep_head(s, p, (size_t)n, err) != 0))
        return wrap(s->dump, "dump", err);
    s->bytes += (uint64_t)n;
    if ((size_t)n < cap && judge(s, err) != 0)
        return -1;
    return n;
}

static enum sink_finish dump_finish(void *state, struct node *node, struct err *err)
{
    const struct dump_stream *s = state;
    if (!s->ended) {
        err_set(err, ERR_FAILED, "the dump was not read to its end");
        return SINK_FINISH_ERROR;
    }
    node->size = s->bytes;
    return SINK_FINISH_OK;
}

static void dump_close(void *state)
{
    struct dump_stream *s = state;
    pg_tool_free(s->tool);
    pg_archive_free(s->archive);
    if (s->head_fd >= 0)
        close(s->head_fd);
    free(s);
}

static int start_pg_dump(struct dump_stream *s, struct err *err)
{
    struct dump *d = s->dump;
    struct strlist args = {0};
    char *snapshot = mem_printf("--snapshot=%s", pg_session_snapshot(d->session));
    char *wait = mem_printf("--lock-wait-timeout=%u", pg_lock_wait_ms(d->timeout_ms));
    strlist_add(&args, "--format=custom");
    strlist_add(&args, "--compress=0");
    strlist_add(&args, snapshot);
    strlist_add(&args, wait);
    struct pg_tool_options options = {
        .name = "pg_dump", .args = &args, .database = d->database, .timeout_ms = d->timeout_ms};
    int rc = pg_tool_start(&s->tool, d->client, &options, err);
    free(snapshot);
    free(wait);
    strlist_release(&args);
    return rc;
}

static int dump_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    (void)attempt;
    (void)node;
    struct dump *d = ctx;
    if (need_session(d, err) != 0)
        return -1;
    struct dump_stream *s = mem_zalloc(sizeof *s);
    s->dump = d;
    s->head_fd = -1;
    s->archive = pg_archive_new();
    if (start_pg_dump(s, err) != 0) {
        dump_close(s);
        return wrap(d, "dump", err);
    }
    *out = (struct sink_stream){
        .state = s, .cut = SINK_CUT_SCATTERED, .read = dump_read, .finish = dump_finish, .close = dump_close};
    return 0;
}

static void dump_release(void *ctx)
{
    release(ctx);
}

void pg_dump_contents_new(const struct pg_client *c, const char *database, const char *path, uint64_t timeout_ms,
                          const struct sink_reporter *reporter, struct sink_content **dump_out,
                          struct sink_content **counts_out)
{
    struct dump *d = mem_zalloc(sizeof *d);
    d->client = c;
    d->reporter = reporter;
    d->database = mem_strdup(database);
    d->path = mem_strdup(path);
    d->timeout_ms = timeout_ms;
    d->references = 2;
    pthread_mutex_init(&d->lock, NULL);
    d->content =
        (struct sink_content){.ctx = d, .always = true, .is_dump = true, .open = dump_open, .release = dump_release};
    d->counts_content = (struct sink_content){.ctx = d, .always = true, .open = counts_open, .release = counts_release};
    *dump_out = &d->content;
    *counts_out = &d->counts_content;
}
