#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "source/git_pack.h"

enum { LEVELS = GIT_PARTS - 1, LEVEL_BITS_FIRST = 12, LEVEL_BITS_STEP = 3, TEXT_MAX_BYTES = 1 << 30 };
enum {
    KEY_BYTES = 20,
    NAME_KEPT_BYTES = 512,
    FEED_BYTES = 64 << 10,
    LINE_MAX_BYTES = 1 << 20,
    KEYS_FIRST = 4096,
    CHECK_ALL_COMMITS = 20000
};

/* ---- a set of objects' names: their first 20 bytes, which nobody can forge in sha256 either */

struct key {
    unsigned char bytes[KEY_BYTES];
};
struct keys {
    struct key *slots; /* all zero: free; no object has that name */
    size_t count, cap; /* cap: a power of two */
};

static int digit(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

static struct key parse_key(const char *hex)
{
    struct key k;
    for (size_t i = 0; i < KEY_BYTES; i++)
        k.bytes[i] = (unsigned char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return k;
}

static struct key *find_slot(const struct keys *s, const struct key *k)
{
    static const struct key none;
    uint64_t hash;
    memcpy(&hash, k->bytes, sizeof hash);
    size_t at = (size_t)hash & (s->cap - 1);
    while (memcmp(&s->slots[at], &none, sizeof none) != 0 && memcmp(&s->slots[at], k, sizeof *k) != 0)
        at = (at + 1) & (s->cap - 1);
    return &s->slots[at];
}

/* False: it is there already. */
static bool keys_add(struct keys *s, const struct key *k)
{
    if (s->count * 4 >= s->cap * 3) {
        struct keys more = {.count = s->count, .cap = s->cap == 0 ? KEYS_FIRST : 2 * s->cap};
        static const struct key none;
        more.slots = mem_zalloc(more.cap * sizeof *more.slots);
        for (size_t i = 0; i < s->cap; i++)
            if (memcmp(&s->slots[i], &none, sizeof none) != 0)
                *find_slot(&more, &s->slots[i]) = s->slots[i];
        free(s->slots);
        *s = more;
    }
    struct key *slot = find_slot(s, k);
    if (memcmp(slot, k, sizeof *k) == 0)
        return false;
    *slot = *k;
    s->count++;
    return true;
}

/* ---- where history is cut */

struct cuts {
    struct buf anchors[LEVELS]; /* lines of commits that are not in an earlier one */
    size_t hex_chars;
    uint64_t commits;
};

/* What a history begins with is the oldest part by itself: it may be most of a young repository, and a part is stored
 * again whenever another commit becomes an anchor of its level. */
static void sort_commit(struct cuts *cuts, const char *oid, bool is_root)
{
    uint32_t low = 0;
    cuts->commits++;
    for (int i = 0; i < 8; i++)
        low = low << 4 | (uint32_t)digit(oid[i]);
    for (int level = 0; level < LEVELS; level++) {
        unsigned bits = LEVEL_BITS_FIRST - LEVEL_BITS_STEP * (unsigned)level;
        if (is_root || (low & ((1u << bits) - 1)) == 0) {
            buf_append(&cuts->anchors[level], oid, cuts->hex_chars);
            buf_append_byte(&cuts->anchors[level], '\n');
            return;
        }
    }
}

/* Calls back for each line of a process's output, without its end. */
typedef int line_fn(void *ctx, char *line, size_t len, struct err *err);

static int each_line(struct process *p, line_fn *fn, void *ctx, struct err *err)
{
    char *room = mem_alloc(LINE_MAX_BYTES);
    size_t have = 0;
    int rc = 0;
    for (;;) {
        /* git_read waits until it has all it was asked for: whole blocks are what we want */
        int64_t n = git_read(p, "rev-list", room + have,
                             FEED_BYTES < LINE_MAX_BYTES - have ? FEED_BYTES : LINE_MAX_BYTES - have, err);
        rc = n < 0 ? -1 : 0;
        if (n <= 0)
            break;
        have += (size_t)n;
        char *line = room, *end;
        while (rc == 0 && (end = memchr(line, '\n', have - (size_t)(line - room))) != NULL) {
            *end = '\0';
            rc = fn(ctx, line, (size_t)(end - line), err);
            line = end + 1;
        }
        have -= (size_t)(line - room);
        memmove(room, line, have);
        if (rc == 0 && have == LINE_MAX_BYTES)
            rc = err_set(err, ERR_UNSUPPORTED, "git speaks in lines of more than %d bytes", LINE_MAX_BYTES);
        if (rc != 0)
            break;
    }
    free(room);
    return rc;
}

/* "OID PARENT…" */
static int cut_line(void *ctx, char *line, size_t len, struct err *err)
{
    struct cuts *cuts = ctx;
    (void)err;
    if (len >= cuts->hex_chars)
        sort_commit(cuts, line, len == cuts->hex_chars);
    return 0;
}

static int start_with_input(struct process **out, const struct git_capture *c, const char *const *args,
                            const struct buf *input, struct err *err)
{
    struct git_call call = git_capture_call(c);
    int fd = git_capture_input(c, input->data, input->len, err);
    if (fd < 0)
        return -1;
    call.with_stdin = true;
    call.stdin_fd = fd;
    int rc = git_start(out, &call, args, err);
    close(fd);
    return rc;
}

/* git goes on after some damage, having said so: then it was not all. */
static int end_listing(struct process *p, const char *subcommand, int rc, struct err *err)
{
    if (rc == 0)
        rc = git_wait(p, subcommand, err);
    if (rc == 0 && strstr(process_stderr(p), "error: ") != NULL) {
        char *words = git_words(process_stderr(p));
        rc = err_set(err, ERR_CORRUPT, "git %s: %s", subcommand, words);
        free(words);
    }
    process_free(p);
    return rc;
}

static int find_cuts(struct cuts *cuts, const struct git_capture *c, const struct buf *tips, struct err *err)
{
    static const char *const args[] = {"rev-list", "--parents", "--stdin", NULL};
    struct process *p;
    if (start_with_input(&p, c, args, tips, err) != 0)
        return -1;
    return end_listing(p, args[0], each_line(p, cut_line, cuts, err), err);
}

/* ---- dealing out */

struct dealing {
    struct keys keys; /* dealt so far */
    size_t hex_chars;
    struct git_part *part;
    int feed; /* the packer's input */
    uint64_t deadline_ns;
    struct buf pending; /* for the packer */
};

static int flush(struct dealing *d, struct err *err)
{
    struct err reason = {0};
    int rc = git_feed(d->feed, d->pending.data, d->pending.len, d->deadline_ns, &reason);
    buf_clear(&d->pending);
    if (rc == 0)
        return 0;
    if (reason.code == ERR_IO) /* it ended before its time, and knows why */
        return git_wait(d->part->packer, "pack-objects", err) == 0
                   ? err_set(err, ERR_FAILED, "git pack-objects ended before it had read all")
                   : -1;
    if (err != NULL)
        *err = reason;
    return -1;
}

/* "OID NAME", or "-OID": a commit in an earlier part, deltas may be made against what is in it. */
static int deal_line(void *ctx, char *line, size_t len, struct err *err)
{
    struct dealing *d = ctx;
    bool edge = line[0] == '-';
    const char *oid = edge ? line + 1 : line;
    if (strspn(oid, "0123456789abcdef") != d->hex_chars)
        return err_set(err, ERR_FAILED, "git rev-list: '%.80s' is no object", line);
    if (!edge) {
        struct key k = parse_key(oid);
        if (!keys_add(&d->keys, &k))
            return 0;
        d->part->objects++;
    }
    size_t head = (size_t)(oid - line) + d->hex_chars;
    const char *name = line + head, *end = line + len;
    buf_append(&d->pending, line, head);
    if (end - name > NAME_KEPT_BYTES) { /* git wants short lines; what it makes of a name is told by its end */
        buf_append_byte(&d->pending, ' ');
        name = end - NAME_KEPT_BYTES;
    }
    buf_append(&d->pending, name, (size_t)(end - name));
    buf_append_byte(&d->pending, '\n');
    return d->pending.len >= FEED_BYTES ? flush(d, err) : 0;
}

static int start_packer(struct dealing *d, const struct git_capture *c, struct err *err)
{
    static const char *const args[] = {"pack-objects", "--stdout", "-q", "--delta-base-offset", NULL};
    struct git_call call = git_capture_call(c);
    int ends[2];
    if (git_feed_pipe(ends, err) != 0)
        return -1;
    call.with_stdin = true;
    call.stdin_fd = ends[0];
    d->feed = ends[1];
    int rc = git_start(&d->part->packer, &call, args, err);
    close(ends[0]);
    if (rc != 0)
        close(ends[1]);
    return rc;
}

/* revisions: what the part leads from and, with '^', what is in earlier ones. Objects of the first part of a long
 * history are not checked against their names each time: they are the oldest, most by far of a large repository, and
 * were checked when they were new. */
static int deal_part(struct dealing *d, const struct git_capture *c, const struct buf *revisions, bool check,
                     struct err *err)
{
    const char *const args[] = {"rev-list", "--objects-edge", "--stdin", check ? "--verify-objects" : NULL, NULL};
    struct process *p;
    if (start_packer(d, c, err) != 0)
        return -1;
    d->deadline_ns = c->timeout_ms == 0 ? UINT64_MAX : os_monotonic_ns() + c->timeout_ms * UINT64_C(1000000);
    int rc = start_with_input(&p, c, args, revisions, err);
    if (rc == 0)
        rc = end_listing(p, args[0], each_line(p, deal_line, d, err), err);
    if (rc == 0)
        rc = flush(d, err);
    close(d->feed);
    return rc;
}

static void append_lines(struct buf *out, const struct buf *lines, const char *prefix, size_t line_chars)
{
    for (size_t at = 0; at < lines->len; at += line_chars) {
        buf_append_str(out, prefix);
        buf_append(out, lines->data + at, line_chars);
    }
}

static int deal(struct git_part parts[GIT_PARTS], const struct git_capture *c, const struct cuts *cuts,
                const struct buf *tips, struct err *err)
{
    struct dealing d = {.hex_chars = cuts->hex_chars};
    struct buf earlier, revisions;
    int rc = 0;
    buf_init(&earlier, TEXT_MAX_BYTES);
    buf_init(&revisions, TEXT_MAX_BYTES);
    buf_init(&d.pending, (size_t)2 * FEED_BYTES);
    for (int i = 0; rc == 0 && i < GIT_PARTS; i++) {
        const struct buf *from = i < LEVELS ? &cuts->anchors[i] : tips;
        if (from->len == 0)
            continue;
        buf_clear(&revisions);
        append_lines(&revisions, from, "", cuts->hex_chars + 1);
        append_lines(&revisions, &earlier, "^", cuts->hex_chars + 1);
        d.part = &parts[i];
        rc = deal_part(&d, c, &revisions, i > 0 || cuts->commits < CHECK_ALL_COMMITS, err);
        append_lines(&earlier, from, "", cuts->hex_chars + 1);
    }
    buf_release(&earlier);
    buf_release(&revisions);
    buf_release(&d.pending);
    free(d.keys.slots);
    return rc;
}

int git_parts_start(struct git_part parts[GIT_PARTS], const struct git_capture *c, const struct git_state *s,
                    struct err *err)
{
    struct cuts cuts = {.hex_chars = s->hex_chars};
    struct buf tips;
    buf_init(&tips, TEXT_MAX_BYTES);
    for (int i = 0; i < LEVELS; i++)
        buf_init(&cuts.anchors[i], TEXT_MAX_BYTES);
    for (size_t i = 0; i < s->tips.count; i++)
        buf_printf(&tips, "%s\n", s->tips.items[i].oid);
    int rc = find_cuts(&cuts, c, &tips, err);
    if (rc == 0)
        rc = deal(parts, c, &cuts, &tips, err);
    for (int i = 0; i < LEVELS; i++)
        buf_release(&cuts.anchors[i]);
    buf_release(&tips);
    return rc;
}
