/*
 * Invariants of a payload that ends with a mark: room[given … kept) was not handed out yet and is known to be payload;
 * room[kept … len) may be the beginning of the mark, and is shorter than it.
 */
#include "source/redis_replica.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { ROOM_BYTES = 256 << 10, LINE_MAX_BYTES = 1024 };

struct replica {
    struct redis_payload payload;
    struct redis_client *client;
    bool has_mark, ended;
    uint64_t left; /* of a payload of known length */
    char mark[REDIS_MARK_BYTES];
    size_t given, kept, len;
    unsigned char *room;
};

/* ---- the handshake */

/* Tells something of ourselves; an old server may not know what it means. */
static int tell(struct replica *r, const char *name, const char *value, struct err *err)
{
    const char *const argv[] = {"REPLCONF", name, value, NULL};
    const struct redis_asker *a = &r->client->asker;
    struct redis_reply reply = {0};
    int rc = a->ask(a->ctx, argv, &reply, err);
    const char *text = redis_reply_text(&reply);
    if (rc == 0 && reply.kind == REDIS_ERROR && strncmp(text, "ERR", 3) != 0)
        rc = redis_complain(a, "REPLCONF", text, err);
    redis_reply_release(&reply);
    return rc;
}

static int send_command(struct replica *r, const char *const *argv, struct err *err)
{
    struct buf text;
    buf_init(&text, LINE_MAX_BYTES);
    redis_command_encode(argv, &text);
    int rc = redis_link_write(r->client->link, text.data, text.len, err);
    buf_release(&text);
    return rc;
}

/* The next line that is not empty: what keeps the connection alive is empty ones. */
static int next_line(struct replica *r, struct buf *line, struct err *err)
{
    struct err why = {0};
    do {
        if (redis_read_line(&r->client->reader, line, &why) == 0)
            continue;
        if (why.code == ERR_IO)
            return err_set(
                err, ERR_FAILED,
                "Redis at '%s' closed the connection instead of sending a dump; its log says why (its disk is "
                "full, or it has no memory to fork)",
                r->client->asker.where);
        if (err != NULL)
            *err = why;
        return -1;
    } while (line->len == 0);
    return 0;
}

/* "+FULLRESYNC …" → 0, a complaint → -1, but that there is no such command → 1. */
static int ask_psync(struct replica *r, struct buf *line, struct err *err)
{
    static const char *const argv[] = {"PSYNC", "?", "-1", NULL};
    if (send_command(r, argv, err) != 0 || next_line(r, line, err) != 0)
        return -1;
    const char *text = buf_cstr(line);
    if (strncmp(text, "+FULLRESYNC", 11) == 0)
        return 0;
    if (strncasecmp(text, "-ERR unknown command", 20) == 0)
        return 1;
    if (text[0] == '-')
        return redis_complain(&r->client->asker, "PSYNC", text + 1, err);
    return err_set(err, ERR_FAILED, "Redis at '%s' did not answer PSYNC with a full synchronization",
                   r->client->asker.where);
}

/* "$123" or "$EOF:<mark>". */
static int take_frame(struct replica *r, const char *text, struct err *err)
{
    const struct redis_asker *a = &r->client->asker;
    char *end;
    if (text[0] == '-')
        return redis_complain(a, "SYNC", text + 1, err);
    if (text[0] != '$')
        return err_set(err, ERR_FAILED, "Redis at '%s' did not announce its dump", a->where);
    if (strncmp(text, "$EOF:", 5) == 0) {
        r->has_mark = true;
        if (strlen(text + 5) != REDIS_MARK_BYTES)
            return err_set(err, ERR_FAILED, "Redis at '%s' announced its dump with a wrong end mark", a->where);
        memcpy(r->mark, text + 5, REDIS_MARK_BYTES);
        return 0;
    }
    r->left = strtoull(text + 1, &end, 10);
    if (*end != '\0' || text[1] < '1' || text[1] > '9')
        return err_set(err, ERR_FAILED, "Redis at '%s' announced its dump with a wrong length", a->where);
    return 0;
}

static int begin(struct replica *r, const char *valkey_version, struct err *err)
{
    static const char *const sync[] = {"SYNC", NULL};
    if (tell(r, "capa", "eof", err) != 0 || tell(r, "rdb-only", "1", err) != 0 ||
        (valkey_version != NULL && tell(r, "version", valkey_version, err) != 0))
        return -1;
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    int rc = ask_psync(r, &line, err);
    if (rc > 0)
        rc = send_command(r, sync, err);
    if (rc == 0)
        rc = next_line(r, &line, err);
    if (rc == 0)
        rc = take_frame(r, buf_cstr(&line), err);
    buf_release(&line);
    return rc;
}

/* ---- the payload */

static int lost(struct replica *r, struct err *err)
{
    return err_set(err, ERR_FAILED, "Redis at '%s' closed the connection in the middle of its dump",
                   r->client->asker.where);
}

static int64_t read_counted(struct replica *r, void *out, size_t cap, struct err *err)
{
    if (r->left == 0)
        return 0;
    int64_t n = redis_read_some(&r->client->reader, out, r->left < cap ? (size_t)r->left : cap, err);
    if (n == 0)
        return lost(r, err);
    if (n > 0)
        r->left -= (uint64_t)n;
    return n;
}

/* More into the room, until some of it is known to be payload. */
static int fill_room(struct replica *r, struct err *err)
{
    memmove(r->room, r->room + r->kept, r->len - r->kept);
    r->len -= r->kept;
    r->given = r->kept = 0;
    int64_t n = redis_read_some(&r->client->reader, r->room + r->len, ROOM_BYTES - r->len, err);
    if (n <= 0)
        return n < 0 ? -1 : lost(r, err);
    r->len += (size_t)n;
    const unsigned char *found = memmem(r->room, r->len, r->mark, REDIS_MARK_BYTES);
    r->ended = found != NULL;
    if (found != NULL)
        r->kept = (size_t)(found - r->room);
    else
        r->kept = r->len >= REDIS_MARK_BYTES ? r->len - (REDIS_MARK_BYTES - 1) : 0;
    return 0;
}

static int64_t read_marked(struct replica *r, void *out, size_t cap, struct err *err)
{
    while (r->given == r->kept) {
        if (r->ended)
            return 0;
        if (fill_room(r, err) != 0)
            return -1;
    }
    size_t n = r->kept - r->given < cap ? r->kept - r->given : cap;
    memcpy(out, r->room + r->given, n);
    r->given += n;
    return (int64_t)n;
}

static int64_t replica_read(struct redis_payload *p, void *out, size_t cap, struct err *err)
{
    struct replica *r = (struct replica *)p;
    return r->has_mark ? read_marked(r, out, cap, err) : read_counted(r, out, cap, err);
}

static void replica_close(struct redis_payload *p)
{
    struct replica *r = (struct replica *)p;
    redis_client_close(r->client);
    free(r->room);
    free(r);
}

int redis_replica_open(struct redis_payload **out, const struct redis_login *login, const char *valkey_version,
                       struct err *err)
{
    static const struct redis_payload_ops ops = {replica_read, replica_close};
    struct replica *r = mem_zalloc(sizeof *r);
    r->payload.ops = &ops;
    r->room = mem_alloc(ROOM_BYTES);
    if (redis_client_open(&r->client, login, err) != 0 || begin(r, valkey_version, err) != 0) {
        replica_close(&r->payload);
        return -1;
    }
    *out = &r->payload;
    return 0;
}
