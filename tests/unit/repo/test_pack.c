#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "repo/pack.h"

static struct id id_of(unsigned char fill)
{
    struct id id;
    memset(id.bytes, fill, sizeof id.bytes);
    return id;
}

static enum err_code decode_code(const void *p, size_t len, uint64_t data_bytes)
{
    struct err err = {0};
    struct pack_blob *blobs = (void *)1;
    size_t count = 99;
    if (pack_header_decode(p, len, data_bytes, &blobs, &count, &err) == 0) {
        free(blobs);
        return ERR_NONE;
    }
    assert_null(blobs);
    assert_int_equal(count, 0);
    assert_true(err.message[0] != '\0');
    return err.code;
}

static void test_pack__header_has_the_bytes_of_the_format(void **state)
{
    (void)state;
    const struct pack_blob blobs[] = {{.id = id_of(0xaa), .type = BLOB_DATA, .length = 0x01020304},
                                      {.id = id_of(0xbb), .type = BLOB_TREE, .length = 0x21, .raw_length = 0x0a0b0c0d}};
    unsigned char expected[PACK_ENTRY_BYTES + PACK_ENTRY_COMPRESSED_BYTES] = {0, 4, 3, 2, 1};
    memset(expected + 5, 0xaa, 32);
    memcpy(expected + 37, "\x03\x21\0\0\0\x0d\x0c\x0b\x0a", 9);
    memset(expected + 46, 0xbb, 32);
    struct buf out;
    buf_init(&out, 1000);
    pack_header_encode(blobs, 2, &out);
    assert_int_equal(out.len, sizeof expected);
    assert_memory_equal(out.data, expected, sizeof expected);
    buf_release(&out);
}

static void test_pack__header_round_trips_all_four_types(void **state)
{
    (void)state;
    const struct pack_blob blobs[] = {
        {.id = id_of(1), .type = BLOB_DATA, .offset = 0, .length = 32},
        {.id = id_of(2), .type = BLOB_TREE, .offset = 32, .length = 100},
        {.id = id_of(3), .type = BLOB_DATA, .offset = 132, .length = 33, .raw_length = 5000},
        {.id = id_of(4), .type = BLOB_TREE, .offset = 165, .length = 70, .raw_length = 1},
    };
    struct buf out;
    buf_init(&out, 1000);
    pack_header_encode(blobs, 4, &out);
    struct pack_blob *read = NULL;
    size_t count = 0;
    assert_int_equal(pack_header_decode(out.data, out.len, 235, &read, &count, NULL), 0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        assert_true(id_equal(&read[i].id, &blobs[i].id));
        assert_int_equal(read[i].type, blobs[i].type);
        assert_int_equal(read[i].offset, blobs[i].offset);
        assert_int_equal(read[i].length, blobs[i].length);
        assert_int_equal(read[i].raw_length, blobs[i].raw_length);
    }
    free(read);
    buf_release(&out);
}

static void test_pack__rejects_truncated_header(void **state)
{
    (void)state;
    const struct pack_blob blobs[] = {{.id = id_of(1), .type = BLOB_DATA, .length = 40},
                                      {.id = id_of(2), .type = BLOB_DATA, .length = 50, .raw_length = 60}};
    struct buf out;
    buf_init(&out, 1000);
    pack_header_encode(blobs, 2, &out);
    assert_int_equal(decode_code(out.data, out.len, 90), ERR_NONE);
    for (size_t len = 0; len < out.len; len++) {
        unsigned char *exact = mem_copy(out.data, len); /* so that a read past the end is seen */
        assert_int_equal(decode_code(exact, len, 90), ERR_CORRUPT);
        free(exact);
    }
    buf_release(&out);
}

static void test_pack__rejects_impossible_entries(void **state)
{
    (void)state;
    unsigned char plain[PACK_ENTRY_BYTES] = {0, 32}, packed[PACK_ENTRY_COMPRESSED_BYTES] = {2, 33, 0, 0, 0, 1};
    assert_int_equal(decode_code(plain, sizeof plain, 32), ERR_NONE);
    plain[0] = 4;
    assert_int_equal(decode_code(plain, sizeof plain, 32), ERR_CORRUPT);
    plain[0] = 0;
    plain[1] = 31; /* shorter than encryption's overhead */
    assert_int_equal(decode_code(plain, sizeof plain, 31), ERR_CORRUPT);
    assert_int_equal(decode_code(packed, sizeof packed, 33), ERR_NONE);
    packed[1] = 32; /* a compressed blob of no bytes */
    assert_int_equal(decode_code(packed, sizeof packed, 32), ERR_CORRUPT);
    packed[1] = 33;
    packed[5] = 0; /* compressed from nothing */
    assert_int_equal(decode_code(packed, sizeof packed, 33), ERR_CORRUPT);
}

static void test_pack__rejects_blobs_that_do_not_fill_the_pack(void **state)
{
    (void)state;
    unsigned char entries[2 * PACK_ENTRY_BYTES] = {0, 0xff, 0xff, 0xff, 0xff};
    entries[PACK_ENTRY_BYTES + 1] = 40;
    assert_int_equal(decode_code(entries, PACK_ENTRY_BYTES, UINT32_MAX), ERR_NONE);
    assert_int_equal(decode_code(entries, PACK_ENTRY_BYTES, UINT32_MAX - 1), ERR_CORRUPT);
    assert_int_equal(decode_code(entries, sizeof entries, 39), ERR_CORRUPT);         /* the sum wrapped to 32 bits */
    assert_int_equal(decode_code(entries, sizeof entries, UINT32_MAX), ERR_CORRUPT); /* the second is too much */
    assert_int_equal(decode_code(entries + PACK_ENTRY_BYTES, PACK_ENTRY_BYTES, 41), ERR_CORRUPT); /* a gap */
}

static void test_pack__refuses_sizes_beyond_the_format(void **state)
{
    (void)state;
    unsigned char entry[PACK_ENTRY_BYTES] = {0, 40};
    assert_int_equal(decode_code(entry, sizeof entry, (uint64_t)UINT32_MAX + 1), ERR_UNSUPPORTED);
    size_t too_long = (PACK_HEADER_MAX_BYTES / PACK_ENTRY_BYTES + 1) * PACK_ENTRY_BYTES;
    unsigned char *zeros = mem_zalloc(too_long);
    assert_int_equal(decode_code(zeros, too_long, 40), ERR_CORRUPT);
    free(zeros);
}

static void test_pack__names_blob_types(void **state)
{
    (void)state;
    assert_string_equal(blob_type_name(BLOB_DATA), "data");
    assert_string_equal(blob_type_name(BLOB_TREE), "tree");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack__header_has_the_bytes_of_the_format),
        cmocka_unit_test(test_pack__header_round_trips_all_four_types),
        cmocka_unit_test(test_pack__rejects_truncated_header),
        cmocka_unit_test(test_pack__rejects_impossible_entries),
        cmocka_unit_test(test_pack__rejects_blobs_that_do_not_fill_the_pack),
        cmocka_unit_test(test_pack__refuses_sizes_beyond_the_format),
        cmocka_unit_test(test_pack__names_blob_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
