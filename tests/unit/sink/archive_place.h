/*
 * For tests of archives: directories, a reporter that counts, contents that behave as they are told, and what stock
 * programs say to the result.
 */
#pragma once
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include "../store/scratch.h"
#include "base/buf.h"
#include "os/process.h"
#include "sink/archive_sink.h"

#define PASSPHRASE "a päss phrase"

/* ---- the shell */

/* What `sh -c` prints, its last line break taken off; the caller frees it. A failure ends the test unless `may_fail`,
 * then it is NULL. */
static inline char *shell(bool may_fail, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline char *shell(bool may_fail, const char *format, ...)
{
    va_list args;
    char command[8192];
    va_start(args, format);
    vsnprintf(command, sizeof command, format, args);
    va_end(args);
    char sh[] = "sh", c[] = "-c";
    char *argv[] = {sh, c, command, NULL};
    struct process_options o = {.argv = argv};
    struct buf out;
    struct err err = {0};
    buf_init(&out, 64 << 20);
    int rc = process_run(&o, &out, &err);
    if (rc != 0 && !may_fail)
        fail_msg("%s: %s", command, err.message);
    const char *text = buf_cstr(&out);
    size_t len = out.len > 0 && text[out.len - 1] == '\n' ? out.len - 1 : out.len;
    char *copy = rc == 0 ? mem_strndup(text, len) : NULL;
    buf_release(&out);
    return copy;
}

static inline void shell_gives(const char *expected, const char *command)
{
    char *out = shell(false, "%s", command);
    assert_string_equal(out, expected);
    free(out);
}

static inline void assert_ok(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%s", err->message);
}

/* Bytes that hardly compress, other ones for each seed. */
static inline void fill(unsigned char *p, size_t len, uint64_t seed)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        p[i] = (unsigned char)x;
    }
}

/* ---- a reporter */

struct reports {
    struct sink_reporter reporter;
    unsigned unreadable, warnings;
    struct err last;
    char last_warning[512];
};

static inline void report_unreadable(void *ctx, const char *path, const struct err *err)
{
    struct reports *r = ctx;
    (void)path;
    r->unreadable++;
    r->last = *err;
}

static inline void report_warning(void *ctx, const char *path, const char *what)
{
    struct reports *r = ctx;
    (void)path;
    r->warnings++;
    snprintf(r->last_warning, sizeof r->last_warning, "%s", what);
}

static inline void reports_init(struct reports *r)
{
    *r = (struct reports){0};
    r->reporter = (struct sink_reporter){.ctx = r, .unreadable = report_unreadable, .warning = report_warning};
}

/* ---- contents */

struct hole {
    uint64_t offset, bytes;
};

/* Reads `bytes` zeros-and-noise bytes of which holes are zeros. */
struct fake {
    uint64_t bytes;     /* that come */
    uint64_t announced; /* in the node when it is opened; UINT64_MAX: `bytes` */
    enum sink_cut cut;
    const struct hole *holes;
    size_t hole_count;
    unsigned again;     /* how many times finish says so */
    bool finish_fails;  /* or this */
    uint64_t fail_at;   /* reading fails there; 0: never */
    enum err_code code; /* with this */
    bool open_fails;    /* with `code` */
    void (*at_half)(void *arg);
    void *arg;
    /* out */
    unsigned opened, closed, released;
};

struct fake_stream {
    struct fake *fake;
    uint64_t at;
    bool half_told;
};

/* The byte at an offset: it changes with every few bytes, and repeats enough to compress a little. */
static inline unsigned char fake_byte(uint64_t at)
{
    return (unsigned char)((at * 2654435761u >> 13) | 1);
}

static inline bool fake_in_hole(const struct fake *f, uint64_t at, uint64_t *end_out)
{
    *end_out = f->bytes;
    for (size_t i = 0; i < f->hole_count; i++) {
        const struct hole *h = &f->holes[i];
        if (at >= h->offset && at < h->offset + h->bytes) {
            *end_out = h->offset + h->bytes;
            return true;
        }
        if (at < h->offset && h->offset < *end_out)
            *end_out = h->offset;
    }
    return false;
}

static inline int64_t fake_read(void *state, void *p, size_t cap, struct err *err)
{
    struct fake_stream *s = state;
    struct fake *f = s->fake;
    unsigned char *to = p;
    if (f->at_half != NULL && !s->half_told && s->at >= f->bytes / 2) {
        s->half_told = true;
        f->at_half(f->arg);
    }
    if (f->fail_at > 0 && s->at >= f->fail_at)
        return err_set(err, f->code, "the disk is broken");
    uint64_t left = (f->fail_at > 0 ? f->fail_at : f->bytes) - s->at;
    size_t n = left < cap ? (size_t)left : cap;
    uint64_t end = 0;
    bool zeros = fake_in_hole(f, s->at, &end);
    for (size_t i = 0; i < n; i++) {
        if (s->at + i == end)
            zeros = fake_in_hole(f, end, &end);
        to[i] = zeros ? 0 : fake_byte(s->at + i);
    }
    s->at += n;
    return (int64_t)n;
}

static inline uint64_t fake_hole(void *state)
{
    struct fake_stream *s = state;
    uint64_t end;
    return fake_in_hole(s->fake, s->at, &end) ? (end < s->fake->bytes ? end : s->fake->bytes) - s->at : 0;
}

static inline int fake_skip(void *state, uint64_t bytes, struct err *err)
{
    (void)err;
    ((struct fake_stream *)state)->at += bytes;
    return 0;
}

static inline enum sink_finish fake_finish(void *state, struct node *node, struct err *err)
{
    struct fake_stream *s = state;
    node->size = s->at;
    if (s->fake->again > 0) {
        s->fake->again--;
        return SINK_FINISH_AGAIN;
    }
    if (!s->fake->finish_fails)
        return SINK_FINISH_OK;
    err_set(err, ERR_FAILED, "the dump is short");
    return SINK_FINISH_ERROR;
}

static inline void fake_close(void *state)
{
    struct fake_stream *s = state;
    s->fake->closed++;
    free(s);
}

static inline int fake_open(void *ctx, unsigned attempt, struct node *node, struct sink_stream *out, struct err *err)
{
    struct fake *f = ctx;
    (void)attempt;
    if (f->open_fails)
        return err_set(err, f->code, "cannot be opened");
    struct fake_stream *s = mem_zalloc(sizeof *s);
    s->fake = f;
    f->opened++;
    node->size = f->announced == UINT64_MAX ? f->bytes : f->announced;
    *out = (struct sink_stream){.state = s,
                                .cut = f->cut,
                                .cut_bytes = 4096,
                                .read = fake_read,
                                .hole = f->hole_count > 0 ? fake_hole : NULL,
                                .skip = f->hole_count > 0 ? fake_skip : NULL,
                                .finish = fake_finish,
                                .close = fake_close};
    return 0;
}

static inline void fake_release(void *ctx)
{
    ((struct fake *)ctx)->released++;
}

static inline struct fake fake_file(uint64_t bytes)
{
    return (struct fake){.bytes = bytes, .announced = UINT64_MAX, .cut = SINK_CUT_FORMAT};
}

static inline struct fake fake_dump(uint64_t bytes)
{
    return (struct fake){.bytes = bytes, .announced = 0, .cut = SINK_CUT_SCATTERED};
}

/* The SHA-256 of what it gives, by the stock program. */
static inline void assert_is_fake(const char *path, const struct fake *f)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s is not there", path);
    uint64_t end = 0;
    bool zeros = fake_in_hole(f, 0, &end);
    for (uint64_t at = 0; at < f->bytes; at++) {
        if (at == end)
            zeros = fake_in_hole(f, at, &end);
        int expected = zeros ? 0 : fake_byte(at), c = getc_unlocked(file);
        if (c != expected)
            fail_msg("%s: byte %llu is %d, not %d", path, (unsigned long long)at, c, expected);
    }
    assert_int_equal(getc(file), EOF);
    fclose(file);
}

/* ---- pushing */

static inline struct node make_node(const char *name, enum node_type type, uint32_t mode)
{
    return (struct node){.name = name,
                         .name_len = strlen(name),
                         .type = type,
                         .mode = mode,
                         .mtime = {.tv_sec = 1700000000, .tv_nsec = 123456789},
                         .uid = getuid(),
                         .gid = getgid()};
}

static inline int push_dir(struct sink *s, const char *name, struct err *err)
{
    struct node n = make_node(name, NODE_DIR, 0755 | NODE_MODE_DIR);
    return s->ops->dir_begin(s, &n, err);
}

static inline int push_fake(struct sink *s, const char *name, struct fake *f, struct err *err)
{
    struct node n = make_node(name, NODE_FILE, 0640);
    struct sink_content content = {.ctx = f, .open = fake_open, .release = fake_release};
    n.size = f->announced == UINT64_MAX ? f->bytes : f->announced;
    return s->ops->entry(s, &n, name, &content, err);
}
