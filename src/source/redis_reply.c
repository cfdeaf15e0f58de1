#include "source/redis_reply.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { LINE_MAX_BYTES = 64 << 10 };

/* ---- bytes */

int64_t redis_read_some(struct redis_reader *r, void *p, size_t cap, struct err *err)
{
    if (r->at == r->len)
        return r->read(r->ctx, p, cap, err);
    size_t n = r->len - r->at < cap ? r->len - r->at : cap;
    memcpy(p, r->room + r->at, n);
    r->at += n;
    return (int64_t)n;
}

int redis_read_byte(struct redis_reader *r, unsigned char *out, struct err *err)
{
    if (r->at == r->len) {
        int64_t n = r->read(r->ctx, r->room, sizeof r->room, err);
        if (n < 0)
            return -1;
        if (n == 0)
            return err_set(err, ERR_IO, "the Redis server closed the connection");
        r->at = 0;
        r->len = (size_t)n;
    }
    *out = r->room[r->at++];
    return 0;
}

int redis_read_line(struct redis_reader *r, struct buf *out, struct err *err)
{
    buf_clear(out);
    for (;;) {
        unsigned char c = 0;
        if (redis_read_byte(r, &c, err) != 0)
            return -1;
        if (c == '\n')
            break;
        buf_append_byte(out, c);
        if (out->overflow)
            return err_set(err, ERR_CORRUPT, "what listens there does not speak as Redis does: a line without an end");
    }
    if (out->len > 0 && out->data[out->len - 1] == '\r')
        out->len--;
    return 0;
}

static int read_exactly(struct redis_reader *r, unsigned char *p, size_t len, struct err *err)
{
    while (len > 0) {
        int64_t n = redis_read_some(r, p, len, err);
        if (n < 0)
            return -1;
        if (n == 0)
            return err_set(err, ERR_IO, "the Redis server closed the connection in the middle of a reply");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* ---- replies */

struct reading {
    struct redis_reader *reader;
    struct redis_reply *reply;
    struct buf line;
    size_t bytes, values;
};

void redis_reply_release(struct redis_reply *r)
{
    strlist_release(&r->items);
    *r = (struct redis_reply){0};
}

const char *redis_reply_text(const struct redis_reply *r)
{
    return r->items.count > 0 ? r->items.items[0] : "";
}

static int no_redis(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "what listens there does not speak as Redis does");
}

static int too_large(struct err *err)
{
    return err_set(err, ERR_FAILED, "a reply of the Redis server is too large");
}

static int add_item(struct reading *g, const char *text, size_t len, struct err *err)
{
    g->bytes += len;
    if (g->bytes > REDIS_REPLY_BYTES_MAX)
        return too_large(err);
    strlist_add_len(&g->reply->items, text, strnlen(text, len));
    return 0;
}

/* The number after the first byte of the line. */
static int line_number(const struct reading *g, long long *out, struct err *err)
{
    const char *text = (const char *)g->line.data + 1;
    char *end;
    *out = strtoll(text, &end, 10);
    return g->line.len < 2 || *end != '\0' || end == text ? no_redis(err) : 0;
}

static int read_bulk(struct reading *g, size_t len, struct err *err)
{
    if (len > REDIS_REPLY_BYTES_MAX - g->bytes)
        return too_large(err);
    unsigned char *text = mem_alloc(len + 2);
    int rc = read_exactly(g->reader, text, len + 2, err);
    if (rc == 0 && memcmp(text + len, "\r\n", 2) != 0)
        rc = no_redis(err);
    if (rc == 0)
        rc = add_item(g, (const char *)text, len, err);
    free(text);
    return rc;
}

/* One value, its line read; arrays only say how many follow. */
static int read_value(struct reading *g, enum redis_reply_kind *kind, uint64_t *follow, struct err *err)
{
    long long number;
    *follow = 0;
    switch (buf_cstr(&g->line)[0]) {
    case '+':
        *kind = REDIS_STATUS;
        return add_item(g, (const char *)g->line.data + 1, g->line.len - 1, err);
    case '-':
        *kind = REDIS_ERROR;
        return add_item(g, (const char *)g->line.data + 1, g->line.len - 1, err);
    case ':':
        *kind = REDIS_INTEGER;
        return add_item(g, (const char *)g->line.data + 1, g->line.len - 1, err);
    case '$':
    case '*':
        break;
    default:
        return no_redis(err);
    }
    bool is_array = g->line.data[0] == '*';
    if (line_number(g, &number, err) != 0 || number < -1)
        return no_redis(err);
    *kind = number < 0 ? REDIS_NIL : is_array ? REDIS_ARRAY : REDIS_BULK;
    if (number < 0)
        return 0;
    if (!is_array)
        return read_bulk(g, (size_t)number, err);
    *follow = (uint64_t)number;
    return number > REDIS_REPLY_ITEMS_MAX ? too_large(err) : 0;
}

/* The values of a reply, depth first; left[] says how many each open array still has. */
static int read_values(struct reading *g, struct err *err)
{
    uint64_t left[REDIS_REPLY_DEPTH_MAX] = {1};
    unsigned depth = 1;
    for (bool first = true; depth > 0; first = false) {
        enum redis_reply_kind kind = REDIS_NIL;
        uint64_t follow;
        if (redis_read_line(g->reader, &g->line, err) != 0 || read_value(g, &kind, &follow, err) != 0)
            return -1;
        if (++g->values > REDIS_REPLY_ITEMS_MAX)
            return too_large(err);
        if (first)
            g->reply->kind = kind;
        left[depth - 1]--;
        if (follow > 0 && depth == REDIS_REPLY_DEPTH_MAX)
            return too_large(err);
        if (follow > 0)
            left[depth++] = follow;
        while (depth > 0 && left[depth - 1] == 0)
            depth--;
    }
    return 0;
}

int redis_reply_read(struct redis_reader *r, struct redis_reply *out, struct err *err)
{
    struct reading g = {.reader = r, .reply = out};
    redis_reply_release(out);
    buf_init(&g.line, LINE_MAX_BYTES);
    int rc = read_values(&g, err);
    buf_release(&g.line);
    if (rc != 0)
        redis_reply_release(out);
    return rc;
}

/* ---- commands */

void redis_command_encode(const char *const *argv, struct buf *out)
{
    size_t count = 0;
    while (argv[count] != NULL)
        count++;
    buf_printf(out, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_printf(out, "$%zu\r\n", strlen(argv[i]));
        buf_append_str(out, argv[i]);
        buf_append_str(out, "\r\n");
    }
}
