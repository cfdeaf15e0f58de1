#include "source/redis_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"

/* Bytes that come in pieces of `piece`, and then an end, or an error. */
struct feed {
    const char *text;
    size_t len, at, piece;
    bool fails;
};

static int64_t feed_read(void *ctx, void *p, size_t cap, struct err *err)
{
    struct feed *f = ctx;
    size_t n = f->len - f->at;
    if (n == 0 && f->fails)
        return err_set(err, ERR_TIMEOUT, "no more");
    if (n > cap)
        n = cap;
    if (n > f->piece)
        n = f->piece;
    memcpy(p, f->text + f->at, n);
    f->at += n;
    return (int64_t)n;
}

static void reader_init(struct redis_reader *r, struct feed *f)
{
    memset(r, 0, sizeof *r);
    r->read = feed_read;
    r->ctx = f;
}

/* Reads one reply in pieces of this size. */
static enum err_code read_text(const char *text, size_t len, size_t piece, struct redis_reply *out)
{
    struct feed f = {.text = text, .len = len, .piece = piece};
    struct redis_reader *r = mem_alloc(sizeof *r);
    struct err err = {0};
    reader_init(r, &f);
    int rc = redis_reply_read(r, out, &err);
    free(r);
    return rc == 0 ? ERR_NONE : err.code;
}

/* items: joined by '|'. */
static void assert_reply(const char *text, size_t len, enum redis_reply_kind kind, const char *items)
{
    static const size_t pieces[] = {1, 2, 5, SIZE_MAX};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct redis_reply reply = {0};
        assert_int_equal(read_text(text, len, pieces[i], &reply), ERR_NONE);
        assert_int_equal(reply.kind, kind);
        char *joined = strlist_join(&reply.items, "|");
        assert_string_equal(joined, items);
        free(joined);
        redis_reply_release(&reply);
    }
}
#define REPLY(text, kind, items) assert_reply(text, sizeof(text) - 1, kind, items)

static void test_redis_reply__every_kind_is_read(void **state)
{
    (void)state;
    REPLY("+OK\r\n", REDIS_STATUS, "OK");
    REPLY("+OK\n", REDIS_STATUS, "OK");
    REPLY("-ERR no\r\n", REDIS_ERROR, "ERR no");
    REPLY(":-12\r\n", REDIS_INTEGER, "-12");
    REPLY("$3\r\na\rb\r\n", REDIS_BULK, "a\rb");
    REPLY("$0\r\n\r\n", REDIS_BULK, "");
    REPLY("$3\r\na\0b\r\n", REDIS_BULK, "a");
    REPLY("$-1\r\n", REDIS_NIL, "");
    REPLY("*-1\r\n", REDIS_NIL, "");
    REPLY("*0\r\n", REDIS_ARRAY, "");
    REPLY("*3\r\n$1\r\na\r\n:2\r\n$-1\r\n", REDIS_ARRAY, "a|2");
    REPLY("*3\r\n*2\r\n+a\r\n+b\r\n*0\r\n*1\r\n*1\r\n+c\r\n", REDIS_ARRAY, "a|b|c");
}

static void test_redis_reply__reads_one_after_the_other(void **state)
{
    (void)state;
    struct feed f = {.text = "+a\r\n*1\r\n+b\r\n$2\r\ncd\r\nrest", .len = 24, .piece = 100};
    struct redis_reader r;
    struct redis_reply reply = {0};
    unsigned char room[10];
    reader_init(&r, &f);
    assert_string_equal(redis_reply_text(&reply), "");
    assert_int_equal(redis_reply_read(&r, &reply, NULL), 0);
    assert_string_equal(redis_reply_text(&reply), "a");
    assert_int_equal(redis_reply_read(&r, &reply, NULL), 0);
    assert_string_equal(redis_reply_text(&reply), "b");
    assert_int_equal(redis_reply_read(&r, &reply, NULL), 0);
    assert_string_equal(redis_reply_text(&reply), "cd");
    assert_int_equal(redis_read_some(&r, room, 3, NULL), 3);
    assert_memory_equal(room, "res", 3);
    assert_int_equal(redis_read_some(&r, room, 3, NULL), 1);
    assert_int_equal(redis_read_some(&r, room, 3, NULL), 0);
    redis_reply_release(&reply);
}

static void assert_refused(const char *text, enum err_code code)
{
    struct redis_reply reply = {0};
    assert_int_equal(read_text(text, strlen(text), 100000, &reply), code);
    assert_int_equal(reply.items.count, 0);
    redis_reply_release(&reply);
}

static void test_redis_reply__refuses_what_is_no_protocol(void **state)
{
    (void)state;
    assert_refused("HTTP/1.1 400 Bad Request\r\n\r\n", ERR_CORRUPT);
    assert_refused("\r\n", ERR_CORRUPT);
    assert_refused("$x\r\n", ERR_CORRUPT);
    assert_refused("$\r\n", ERR_CORRUPT);
    assert_refused("$-2\r\n", ERR_CORRUPT);
    assert_refused("*1x\r\n", ERR_CORRUPT);
    assert_refused("$2\r\nabcd", ERR_CORRUPT);
    assert_refused("*1\r\n?\r\n", ERR_CORRUPT);
}

static void test_redis_reply__an_end_in_the_middle_is_an_error(void **state)
{
    (void)state;
    static const char whole[] = "*2\r\n$3\r\nabc\r\n+ok\r\n";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        struct redis_reply reply = {0};
        assert_int_equal(read_text(whole, len, SIZE_MAX, &reply), ERR_IO);
    }
}

static void test_redis_reply__passes_errors_of_the_stream_on(void **state)
{
    (void)state;
    static const char *const begun[] = {"+O", "$5\r\nab"};
    for (size_t i = 0; i < 2; i++) {
        struct feed f = {.text = begun[i], .len = strlen(begun[i]), .piece = 100, .fails = true};
        struct redis_reader r;
        struct redis_reply reply = {0};
        struct err err = {0};
        reader_init(&r, &f);
        assert_int_equal(redis_reply_read(&r, &reply, &err), -1);
        assert_int_equal(err.code, ERR_TIMEOUT);
    }
}

static void test_redis_reply__what_is_too_large_is_refused(void **state)
{
    (void)state;
    assert_refused("$16777217\r\n", ERR_FAILED);
    assert_refused("$9223372036854775807\r\n", ERR_FAILED);
    assert_refused("*100001\r\n", ERR_FAILED);
    assert_refused("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n+x\r\n", ERR_FAILED);
    struct buf many;
    struct redis_reply reply = {0};
    buf_init(&many, 8 << 20);
    buf_append_str(&many, "*99999\r\n");
    for (unsigned i = 0; i < 60000; i++)
        buf_append_str(&many, "*1\r\n:1\r\n");
    assert_int_equal(read_text((char *)many.data, many.len, 65536, &reply), ERR_FAILED);
    buf_clear(&many);
    for (unsigned i = 0; i < 70000; i++)
        buf_append_byte(&many, '+');
    assert_int_equal(read_text((char *)many.data, many.len, 65536, &reply), ERR_CORRUPT);
    buf_release(&many);
}

static void test_redis_reply__commands_are_arrays_of_bulks(void **state)
{
    (void)state;
    static const char *const argv[] = {"AUTH", "", "p\r\n w", NULL};
    struct buf out;
    buf_init(&out, 1000);
    redis_command_encode(argv, &out);
    assert_string_equal(buf_cstr(&out), "*3\r\n$4\r\nAUTH\r\n$0\r\n\r\n$5\r\np\r\n w\r\n");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_redis_reply__every_kind_is_read),
        cmocka_unit_test(test_redis_reply__reads_one_after_the_other),
        cmocka_unit_test(test_redis_reply__refuses_what_is_no_protocol),
        cmocka_unit_test(test_redis_reply__an_end_in_the_middle_is_an_error),
        cmocka_unit_test(test_redis_reply__passes_errors_of_the_stream_on),
        cmocka_unit_test(test_redis_reply__what_is_too_large_is_refused),
        cmocka_unit_test(test_redis_reply__commands_are_arrays_of_bulks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
