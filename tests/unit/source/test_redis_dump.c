#include "source/redis_dump.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "source/rdb_crc.h"

#define MARK "298e2aae5b49b73f50a2ba332bfd836571159f56"

/* Bytes in pieces, and then an end or a failure. */
struct fake {
    struct redis_payload payload;
    const unsigned char *bytes;
    size_t len, at, piece;
    enum err_code fails_open, fails_at_end;
    bool marked;
    unsigned closed;
};

static int64_t fake_read(struct redis_payload *p, void *out, size_t cap, struct err *err)
{
    struct fake *f = (struct fake *)p;
    size_t n = f->len - f->at;
    if (n == 0 && f->fails_at_end != ERR_NONE)
        return err_set(err, f->fails_at_end, "it broke");
    n = n < cap ? n : cap;
    n = n < f->piece ? n : f->piece;
    memcpy(out, f->bytes + f->at, n);
    f->at += n;
    return (int64_t)n;
}

static void fake_close(struct redis_payload *p)
{
    ((struct fake *)p)->closed++;
}

static int fake_open(void *ctx, struct redis_payload **out, struct err *err)
{
    static const struct redis_payload_ops ops = {fake_read, fake_close};
    struct fake *f = ctx;
    if (f->fails_open != ERR_NONE)
        return err_set(err, f->fails_open, "no server");
    f->payload = (struct redis_payload){.ops = &ops, .may_have_mark = f->marked};
    f->at = 0;
    *out = &f->payload;
    return 0;
}

static struct buf warnings;
static void note_warning(void *ctx, const char *path, const char *what)
{
    (void)ctx;
    assert_string_equal(path, "/redis/x/dump.rdb");
    buf_printf(&warnings, "%s|", what);
}
static const struct sink_reporter reporter = {.warning = note_warning};

/* A dump that ends with a checksum, or with zeros. `code`: a type in it. */
static struct buf make_dump(unsigned code, size_t value_bytes, bool with_sum)
{
    struct buf b;
    buf_init(&b, 10 << 20);
    buf_append_str(&b, "REDIS0011");
    buf_append(&b, "\xfe\x00", 2);
    buf_append_byte(&b, (unsigned char)code);
    buf_append(&b, "\x01k\x80", 3);
    for (int i = 3; i >= 0; i--)
        buf_append_byte(&b, (unsigned char)(value_bytes >> 8 * i));
    for (size_t i = 0; i < value_bytes; i++)
        buf_append_byte(&b, (unsigned char)(i * 7));
    buf_append_byte(&b, 0xff);
    uint64_t sum = with_sum ? rdb_crc(0, b.data, b.len) : 0;
    for (int i = 0; i < 8; i++)
        buf_append_byte(&b, (unsigned char)(sum >> 8 * i));
    return b;
}

struct result {
    enum err_code code;
    struct buf stored;
    char message[ERR_MESSAGE_BYTES];
};

/* As a sink does it. */
static struct result store(struct fake *f, size_t step, bool valkey)
{
    const struct redis_dump_options options = {
        .open = fake_open, .ctx = f, .reporter = &reporter, .path = "/redis/x/dump.rdb", .expects_valkey = valkey};
    struct sink_content *c = redis_dump_content_new(&options);
    struct result r = {0};
    struct err err = {0};
    struct node node = {0};
    struct sink_stream s;
    buf_release(&warnings);
    buf_init(&warnings, 1 << 20);
    buf_init(&r.stored, 10 << 20);
    assert_true(c->always);
    if (c->open(c->ctx, 1, &node, &s, &err) != 0) {
        r.code = err.code;
    } else {
        char *room = mem_alloc(step);
        int64_t n;
        assert_int_equal(s.cut, SINK_CUT_SCATTERED);
        while ((n = s.read(s.state, room, step, &err)) > 0)
            buf_append(&r.stored, room, (size_t)n);
        struct err why = {0};
        enum sink_finish end = s.finish(s.state, &node, &why);
        r.code = n < 0 ? err.code : ERR_NONE;
        assert_int_equal(end, n < 0 ? SINK_FINISH_ERROR : SINK_FINISH_OK);
        if (n == 0)
            assert_int_equal(node.size, r.stored.len);
        s.close(s.state);
        free(room);
        assert_int_equal(f->closed, 1);
        f->closed = 0;
    }
    memcpy(r.message, err.message, sizeof r.message);
    c->release(c->ctx);
    return r;
}

/* Whatever the pieces, the dump and nothing else is stored. */
static void assert_stored(struct buf *sent, size_t dump_len, bool marked, const char *expected_warnings)
{
    static const size_t pieces[] = {1, 7, 39, 40, 41, 100, SIZE_MAX}, steps[] = {1, 41, 1 << 20};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        for (size_t k = 0; k < sizeof steps / sizeof *steps; k++) {
            struct fake f = {.bytes = sent->data, .len = sent->len, .piece = pieces[i], .marked = marked};
            struct result r = store(&f, steps[k], false);
            if (r.code != ERR_NONE)
                fail_msg("pieces of %zu: %s", pieces[i], r.message);
            assert_int_equal(r.stored.len, dump_len);
            assert_memory_equal(r.stored.data, sent->data, dump_len);
            assert_string_equal(buf_cstr(&warnings), expected_warnings);
            buf_release(&r.stored);
        }
    buf_release(sent);
}

static void assert_refused(struct buf *sent, bool marked, const char *word)
{
    static const size_t pieces[] = {1, 40, SIZE_MAX};
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        struct fake f = {.bytes = sent->data, .len = sent->len, .piece = pieces[i], .marked = marked};
        struct result r = store(&f, 1000, false);
        assert_int_equal(r.code, ERR_CORRUPT);
        if (strstr(r.message, word) == NULL)
            fail_msg("'%s' is not in '%s'", word, r.message);
        buf_release(&r.stored);
    }
    buf_release(sent);
}

static void test_redis_dump__stores_the_dump(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 30, 60, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf b = make_dump(0, sizes[i], true);
        assert_stored(&b, b.len, false, "");
        b = make_dump(0, sizes[i], true);
        assert_stored(&b, b.len, true, "");
    }
    struct buf large = make_dump(0, 3 << 20, true);
    struct fake f = {.bytes = large.data, .len = large.len, .piece = 70000, .marked = true};
    struct result r = store(&f, 1 << 20, false);
    assert_int_equal(r.code, ERR_NONE);
    assert_int_equal(r.stored.len, large.len);
    assert_memory_equal(r.stored.data, large.data, large.len);
    buf_release(&r.stored);
    buf_release(&large);
}

static void test_redis_dump__keeps_no_end_mark(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 30, 5000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf b = make_dump(0, sizes[i], true);
        size_t len = b.len;
        buf_append_str(&b, MARK);
        assert_stored(&b, len, true, "");
    }
}

#define NEWER                                                                                                \
    "has values of a kind that is newer than this program (99): its checksum and its end were checked, its " \
    "structure was not|"

static void test_redis_dump__of_a_newer_kind_the_end_is_found_too(void **state)
{
    (void)state;
    struct buf b = make_dump(99, 5000, true);
    assert_stored(&b, b.len, false, NEWER);
    b = make_dump(99, 5000, true);
    assert_stored(&b, b.len, true, NEWER);
    b = make_dump(99, 5000, true);
    size_t len = b.len;
    buf_append_str(&b, MARK);
    assert_stored(&b, len, true, NEWER);
}

static void test_redis_dump__refuses_what_is_not_whole(void **state)
{
    (void)state;
    struct buf b = make_dump(0, 100, true);
    b.len -= 9;
    assert_refused(&b, false, "too early");
    b = make_dump(0, 100, true);
    b.len -= 9;
    assert_refused(&b, true, "too early");
    b = make_dump(0, 100, true);
    b.len -= 9;
    buf_append_str(&b, MARK); /* a mark does not make it whole: it is taken for a part of the dump */
    assert_refused(&b, true, "the dump ");
    b = make_dump(0, 100, true);
    b.data[50] ^= 1;
    assert_refused(&b, false, "checksum");
    b = make_dump(99, 100, true);
    b.data[50] ^= 1;
    assert_refused(&b, true, "checksum");
    b = make_dump(0, 100, true);
    b.len = 0;
    assert_refused(&b, true, "too early, at byte 0");
    b = make_dump(0, 100, true);
    memcpy(b.data, "-ERR unkn", 9);
    assert_refused(&b, true, "no Redis dump");
}

static void test_redis_dump__refuses_what_follows_it(void **state)
{
    (void)state;
    static const char *const rests[] = {"x", MARK "x", MARK MARK, "298e2aae5b49b73f50a2ba332bfd836571159fzz"};
    struct buf b;
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        b = make_dump(0, 100, true);
        buf_append_str(&b, rests[i]);
        assert_refused(&b, true, "followed by");
    }
    b = make_dump(0, 100, true);
    buf_append_str(&b, MARK);
    assert_refused(&b, false, "followed by"); /* by URL the mark is taken off before */
}

static void test_redis_dump__says_that_a_checksum_is_missing(void **state)
{
    (void)state;
    struct buf b = make_dump(0, 100, false);
    assert_stored(&b, b.len, false, "has no checksum; set 'rdbchecksum yes' on the server|");
    b = make_dump(99, 100, false);
    assert_refused(&b, false, "cannot be checked");
}

static void test_redis_dump__says_that_valkey_held_something_back(void **state)
{
    (void)state;
    struct buf b = make_dump(0, 100, true);
    struct fake f = {.bytes = b.data, .len = b.len, .piece = 100};
    struct result r = store(&f, 100, true);
    assert_int_equal(r.code, ERR_NONE);
    assert_non_null(strstr(buf_cstr(&warnings), "older format"));
    buf_release(&r.stored);
    buf_release(&b);
}

static void test_redis_dump__passes_failures_on(void **state)
{
    (void)state;
    struct buf b = make_dump(0, 100, true);
    struct fake f = {.bytes = b.data, .len = b.len, .piece = 100, .fails_at_end = ERR_TIMEOUT};
    struct result r = store(&f, 7, false);
    assert_int_equal(r.code, ERR_TIMEOUT);
    buf_release(&r.stored);
    /* A sink takes ERR_NOT_FOUND for a file that vanished. */
    f = (struct fake){.fails_open = ERR_NOT_FOUND};
    r = store(&f, 7, false);
    assert_int_equal(r.code, ERR_FAILED);
    assert_string_equal(r.message, "no server");
    buf_release(&b);
}

static int teardown(void **state)
{
    (void)state;
    buf_release(&warnings);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_dump__stores_the_dump),
        cmocka_unit_test(test_redis_dump__keeps_no_end_mark),
        cmocka_unit_test(test_redis_dump__of_a_newer_kind_the_end_is_found_too),
        cmocka_unit_test(test_redis_dump__refuses_what_is_not_whole),
        cmocka_unit_test(test_redis_dump__refuses_what_follows_it),
        cmocka_unit_test(test_redis_dump__says_that_a_checksum_is_missing),
        cmocka_unit_test(test_redis_dump__says_that_valkey_held_something_back),
        cmocka_unit_test(test_redis_dump__passes_failures_on),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
