/* Compressing and decompressing streams, and that stock programs read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "archive_place.h"
#include "sink/compress.h"

static int append(void *ctx, const void *p, size_t len, struct err *err)
{
    struct buf *b = ctx;
    buf_append(b, p, len);
    return b->overflow ? err_set(err, ERR_NO_SPACE, "full") : 0;
}

static void compress_all(enum compress_codec codec, const unsigned char *p, size_t len, size_t step, struct buf *out)
{
    struct err err = {0};
    struct compress *c = compress_new(codec, 0, 0, append, out, &err);
    assert_non_null(c);
    for (size_t at = 0; at < len; at += step)
        assert_ok(compress_add(c, p + at, len - at < step ? len - at : step, &err), &err);
    assert_ok(compress_end(c, &err), &err);
    compress_free(c);
}

static int decompress_all(enum compress_codec codec, const unsigned char *p, size_t len, struct buf *out,
                          struct err *err)
{
    struct decompress *d = decompress_new(codec, append, out, err);
    assert_non_null(d);
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < len; at += 9973)
        rc = decompress_add(d, p + at, len - at < 9973 ? len - at : 9973, err);
    if (rc == 0)
        rc = decompress_end(d, err);
    decompress_free(d);
    return rc;
}

/* Compresses well, but not to nothing. */
static unsigned char *make_text(size_t len)
{
    unsigned char *p = mem_alloc(len + 1);
    for (size_t i = 0; i < len; i++)
        p[i] = (unsigned char)("the quick brown fox "[i % 20] + (i / 5000) % 7);
    return p;
}

static void round_trip(enum compress_codec codec, const char *program)
{
    static const size_t SIZES[] = {0, 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, (5 << 20) + 12345};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        struct buf out, back;
        struct err err = {0};
        buf_init(&out, 64 << 20);
        buf_init(&back, 64 << 20);
        unsigned char *p = make_text(SIZES[i]);
        compress_all(codec, p, SIZES[i], i % 2 == 0 ? 70000 : 1 << 20, &out);
        assert_ok(decompress_all(codec, out.data, out.len, &back, &err), &err);
        assert_int_equal(back.len, SIZES[i]);
        assert_true(SIZES[i] == 0 || memcmp(back.data, p, SIZES[i]) == 0);
        assert_true(codec == COMPRESS_NONE || SIZES[i] < 1000 || out.len < SIZES[i] / 5);
        if (program != NULL) {
            char *dir = scratch_make();
            scratch_write(dir, "in", p, SIZES[i]);
            scratch_write(dir, "out", out.data, out.len);
            free(shell(false, "%s -dc < %s/out | cmp - %s/in", program, dir, dir));
            scratch_remove(dir);
        }
        free(p);
        buf_release(&out);
        buf_release(&back);
    }
}

static void test_compress__gzip_is_one_member_that_gzip_reads(void **state)
{
    (void)state;
    assert_string_equal(compress_suffix(COMPRESS_GZIP), ".gz");
    round_trip(COMPRESS_GZIP, "gzip");
}

static void test_compress__zstd_is_read_by_zstd(void **state)
{
    (void)state;
    assert_string_equal(compress_suffix(COMPRESS_ZSTD), ".zst");
    round_trip(COMPRESS_ZSTD, "zstd -q");
}

static void test_compress__none_changes_nothing(void **state)
{
    (void)state;
    assert_string_equal(compress_suffix(COMPRESS_NONE), "");
    round_trip(COMPRESS_NONE, NULL);
}

static void test_compress__says_which_levels_there_are(void **state)
{
    (void)state;
    struct err err = {0};
    assert_null(compress_new(COMPRESS_GZIP, 10, 1, append, NULL, &err));
    assert_int_equal(err.code, ERR_USAGE);
    assert_null(compress_new(COMPRESS_ZSTD, 99, 1, append, NULL, &err));
    assert_non_null(strstr(err.message, "zstd has no level 99"));
    compress_free(NULL);
    decompress_free(NULL);
}

static void test_compress__passes_on_that_writing_failed(void **state)
{
    (void)state;
    static const enum compress_codec CODECS[] = {COMPRESS_GZIP, COMPRESS_ZSTD, COMPRESS_NONE};
    unsigned char *noise = mem_alloc(8 << 20);
    fill(noise, 8 << 20, 5);
    for (size_t i = 0; i < 3; i++) {
        struct buf out;
        struct err err = {0};
        buf_init(&out, 1 << 20);
        struct compress *c = compress_new(CODECS[i], 0, 200, append, &out, &err);
        assert_non_null(c);
        int rc = 0;
        for (size_t at = 0; rc == 0 && at < 8 << 20; at += 64 << 10)
            rc = compress_add(c, noise + at, 64 << 10, &err);
        if (rc == 0)
            rc = compress_end(c, &err);
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        compress_free(c);
        buf_release(&out);
    }
    free(noise);
}

/* The very first bytes, too. */
static void test_compress__passes_on_that_not_even_the_header_could_be_written(void **state)
{
    (void)state;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1);
    struct compress *c = compress_new(COMPRESS_GZIP, 1, 1, append, &out, &err);
    assert_int_equal(compress_add(c, "x", 1, &err), -1);
    compress_free(c);
    buf_clear(&out);
    c = compress_new(COMPRESS_GZIP, 1, 1, append, &out, &err);
    assert_int_equal(compress_end(c, &err), -1);
    compress_free(c);
    buf_release(&out);
}

static void test_decompress__notices_damage_and_an_early_end(void **state)
{
    (void)state;
    static const enum compress_codec CODECS[] = {COMPRESS_GZIP, COMPRESS_ZSTD};
    unsigned char *p = make_text(1 << 20);
    for (size_t i = 0; i < 2; i++) {
        struct buf out, back;
        struct err err = {0};
        buf_init(&out, 64 << 20);
        buf_init(&back, 64 << 20);
        compress_all(CODECS[i], p, 1 << 20, 1 << 16, &out);
        assert_int_equal(decompress_all(CODECS[i], out.data, out.len - 1, &back, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(decompress_all(CODECS[i], out.data, 0, &back, &err), -1);
        out.data[out.len / 2] ^= 1;
        assert_int_equal(decompress_all(CODECS[i], out.data, out.len, &back, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(decompress_all(CODECS[i], (const unsigned char *)"no stream", 9, &back, &err), -1);
        buf_release(&out);
        buf_release(&back);
    }
    free(p);
}

static void test_decompress__takes_streams_one_after_another(void **state)
{
    (void)state;
    static const enum compress_codec CODECS[] = {COMPRESS_GZIP, COMPRESS_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        struct buf out, back;
        struct err err = {0};
        buf_init(&out, 1 << 20);
        buf_init(&back, 1 << 20);
        compress_all(CODECS[i], (const unsigned char *)"one ", 4, 4, &out);
        compress_all(CODECS[i], (const unsigned char *)"two", 3, 3, &out);
        assert_ok(decompress_all(CODECS[i], out.data, out.len, &back, &err), &err);
        assert_string_equal(buf_cstr(&back), "one two");
        buf_release(&back);
        buf_init(&back, 2);
        assert_int_equal(decompress_all(CODECS[i], out.data, out.len, &back, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        buf_release(&out);
        buf_release(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compress__gzip_is_one_member_that_gzip_reads),
        cmocka_unit_test(test_compress__zstd_is_read_by_zstd),
        cmocka_unit_test(test_compress__none_changes_nothing),
        cmocka_unit_test(test_compress__says_which_levels_there_are),
        cmocka_unit_test(test_compress__passes_on_that_writing_failed),
        cmocka_unit_test(test_compress__passes_on_that_not_even_the_header_could_be_written),
        cmocka_unit_test(test_decompress__notices_damage_and_an_early_end),
        cmocka_unit_test(test_decompress__takes_streams_one_after_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
