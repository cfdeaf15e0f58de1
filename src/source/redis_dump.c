/*
 * Invariants: room[given … checked) was accepted by the check and not handed out yet; room[checked … len) was not
 * looked at: it is what can be an end mark, or what followed the dump's end.
 */
#include "source/redis_dump.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "source/rdb.h"

enum { ROOM_BYTES = 256 << 10 };

struct dump {
    struct sink_content content;
    struct redis_dump_options options;
    char *path;
};

struct dump_stream {
    struct dump *dump;
    struct redis_payload *payload;
    struct rdb_check *check;
    size_t given, checked, len;
    bool ended; /* whole, and checked */
    uint64_t bytes;
    unsigned char room[ROOM_BYTES];
};

/* ---- the end */

static bool is_mark(const unsigned char *p, size_t len)
{
    if (len != REDIS_MARK_BYTES)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isxdigit(p[i]))
            return false;
    return true;
}

/* Is the dump whole with these bytes at its end? Then they are taken. */
static bool takes_rest(struct dump_stream *s, struct err *err)
{
    struct rdb_check *with = rdb_check_copy(s->check);
    size_t rest = s->len - s->checked;
    int64_t n = rdb_check_feed(with, s->room + s->checked, rest, err);
    bool whole = n >= 0 && rdb_check_finish(with, err) == 0;
    if (whole && (size_t)n < rest) {
        err_set(err, ERR_CORRUPT, "the dump is followed by %zu bytes that do not belong to it", rest - (size_t)n);
        whole = false;
    }
    if (!whole) {
        rdb_check_free(with);
        return false;
    }
    rdb_check_free(s->check);
    s->check = with;
    s->checked = s->len;
    return true;
}

/* No more bytes will come. */
static int settle(struct dump_stream *s, struct err *err)
{
    bool marked = s->payload->may_have_mark && is_mark(s->room + s->checked, s->len - s->checked);
    if (marked && rdb_check_finish(s->check, NULL) == 0)
        s->len = s->checked;
    else if (!takes_rest(s, err))
        return -1;
    s->ended = true;
    return 0;
}

/* ---- reading */

static int fill(struct dump_stream *s, struct err *err)
{
    size_t rest = s->len - s->checked;
    memmove(s->room, s->room + s->checked, rest);
    s->given = s->checked = 0;
    s->len = rest;
    if (rest > REDIS_MARK_BYTES)
        return err_set(err, ERR_CORRUPT, "the dump is followed by more than an end mark");
    int64_t n = s->payload->ops->read(s->payload, s->room + rest, ROOM_BYTES - rest, err);
    if (n < 0)
        return -1;
    if (n == 0)
        return settle(s, err);
    s->len += (size_t)n;
    size_t hold = s->payload->may_have_mark ? REDIS_MARK_BYTES : 0;
    if (s->len <= hold)
        return 0;
    int64_t taken = rdb_check_feed(s->check, s->room, s->len - hold, err);
    if (taken < 0)
        return -1;
    s->checked = (size_t)taken;
    return 0;
}

static int64_t dump_read(void *state, void *out, size_t cap, struct err *err)
{
    struct dump_stream *s = state;
    size_t done = 0;
    while (done < cap) {
        if (s->given == s->checked) {
            if (s->ended)
                break;
            if (fill(s, err) != 0)
                return -1;
            continue;
        }
        size_t n = s->checked - s->given < cap - done ? s->checked - s->given : cap - done;
        memcpy((unsigned char *)out + done, s->room + s->given, n);
        s->given += n;
        done += n;
    }
    s->bytes += done;
    return (int64_t)done;
}

static void warn(const struct dump *d, const char *what)
{
    const struct sink_reporter *r = d->options.reporter;
    if (r != NULL && r->warning != NULL)
        r->warning(r->ctx, d->path, what);
}

static enum sink_finish dump_finish(void *state, struct node *node, struct err *err)
{
    struct dump_stream *s = state;
    if (!s->ended) {
        err_set(err, ERR_FAILED, "the dump was not read to its end");
        return SINK_FINISH_ERROR;
    }
    const struct rdb_facts *facts = rdb_check_facts(s->check);
    node->size = s->bytes;
    if (!facts->has_checksum)
        warn(s->dump, "has no checksum; set 'rdbchecksum yes' on the server");
    if (!rdb_is_followed(s->check)) {
        char *text =
            mem_printf("has values of a kind that is newer than this program (%u): its checksum and its end were "
                       "checked, its structure was not",
                       rdb_unknown_code(s->check));
        warn(s->dump, text);
        free(text);
    }
    if (s->dump->options.expects_valkey && !facts->is_valkey)
        warn(s->dump, "is in an older format than the server's own: times to live of hash fields may be missing");
    return SINK_FINISH_OK;
}

static void dump_close(void *state)
{
    struct dump_stream *s = state;
    s->payload->ops->close(s->payload);
    rdb_check_free(s->check);
    free(s);
}

static int dump_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    const struct dump *d = ctx;
    struct redis_payload *payload;
    struct err why = {0};
    (void)attempt;
    (void)node;
    if (d->options.open(d->options.ctx, &payload, &why) != 0) {
        /* To a sink ERR_NOT_FOUND means that a file vanished, which is no error. A server that ends meanwhile is one.
         */
        if (why.code == ERR_NOT_FOUND)
            why.code = ERR_FAILED;
        if (err != NULL)
            *err = why;
        return -1;
    }
    struct dump_stream *s = mem_zalloc(sizeof *s);
    s->dump = ctx;
    s->payload = payload;
    s->check = rdb_check_new();
    *out = (struct sink_stream){
        .state = s, .cut = SINK_CUT_SCATTERED, .read = dump_read, .finish = dump_finish, .close = dump_close};
    return 0;
}

static void dump_release(void *ctx)
{
    struct dump *d = ctx;
    free(d->path);
    free(d);
}

struct sink_content *redis_dump_content_new(const struct redis_dump_options *options)
{
    struct dump *d = mem_zalloc(sizeof *d);
    d->options = *options;
    d->path = mem_strdup(options->path);
    d->options.path = d->path;
    d->content =
        (struct sink_content){.ctx = d, .always = true, .is_dump = true, .open = dump_open, .release = dump_release};
    return &d->content;
}
