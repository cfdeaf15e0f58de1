#include "source/rdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "source/rdb_crc.h"
#include "source/rdb_grammar.h"

/* ---- making dumps */

static struct buf dump;

static void begin(const char *magic)
{
    buf_release(&dump);
    buf_init(&dump, 1 << 24);
    buf_append_str(&dump, magic);
}

static void bytes(const char *p, size_t len)
{
    buf_append(&dump, p, len);
}

/* A literal with its NULs. */
#define RAW(text) bytes(text, sizeof(text) - 1)

static void byte(unsigned c)
{
    buf_append_byte(&dump, (unsigned char)c);
}

static void string(const char *text)
{
    byte((unsigned)strlen(text)); /* below 64 */
    buf_append_str(&dump, text);
}

static void aux(const char *name, const char *value)
{
    byte(RDB_OP_AUX);
    string(name);
    string(value);
}

static void type(unsigned code, const char *key)
{
    byte(code);
    string(key);
}

static void put_sum(uint64_t sum)
{
    for (int i = 0; i < 8; i++)
        byte((unsigned)(sum >> 8 * i) & 0xff);
}

static void end(void)
{
    byte(RDB_OP_END);
    put_sum(rdb_crc(0, dump.data, dump.len));
}

static void small_dump(void)
{
    begin("REDIS0010");
    aux("redis-ver", "7.0.15");
    byte(RDB_OP_AUX);
    string("ctime");
    RAW("\xc2\x00\xf1\x53\x65"); /* 1700000000 as an integer */
    byte(RDB_OP_SELECT);
    byte(0);
    RAW("\xfb\x02\x01");
    type(0, "a");
    string("b");
    RAW("\xfc\x01\x02\x03\x04\x05\x06\x07\x08");
    type(0, "c");
    RAW("\xc1\xff\xff");
    byte(RDB_OP_SELECT);
    byte(3);
    type(1, "list");
    byte(2);
    string("x");
    string("y");
    end();
}

/* ---- checking them */

/* In pieces of this size. The code of what went wrong; the check is left in *out unless NULL. */
static enum err_code check_in(const void *p, size_t len, size_t piece, struct rdb_check **out, char message[])
{
    struct rdb_check *c = rdb_check_new();
    struct err err = {0};
    int rc = 0;
    size_t done = 0;
    while (rc == 0 && done < len) {
        size_t n = len - done < piece ? len - done : piece;
        int64_t taken = rdb_check_feed(c, (const char *)p + done, n, &err);
        if (taken < 0)
            rc = -1;
        else if ((size_t)taken < n)
            rc = err_set(&err, ERR_FAILED, "%zu bytes too many", len - done - (size_t)taken);
        done += n;
    }
    if (rc == 0)
        rc = rdb_check_finish(c, &err);
    if (message != NULL)
        memcpy(message, err.message, ERR_MESSAGE_BYTES);
    if (out != NULL)
        *out = c;
    else
        rdb_check_free(c);
    return rc == 0 ? ERR_NONE : err.code;
}

static enum err_code check_dump(void)
{
    return check_in(dump.data, dump.len, dump.len, NULL, NULL);
}

static void assert_whole_in_any_pieces(void)
{
    static const size_t pieces[] = {1, 2, 3, 7, 8, 9, 16, 17, 100, SIZE_MAX};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        char message[ERR_MESSAGE_BYTES];
        if (check_in(dump.data, dump.len, pieces[i], NULL, message) != ERR_NONE)
            fail_msg("in pieces of %zu: %s", pieces[i], message);
    }
}

/* A dump of one value of this type, which must be followed to its end and be one key. */
static void assert_value(const char *magic, unsigned code, const char *value, size_t len)
{
    struct rdb_check *c;
    char message[ERR_MESSAGE_BYTES];
    begin(magic);
    type(code, "key");
    bytes(value, len);
    type(0, "another");
    string("value");
    end();
    if (check_in(dump.data, dump.len, SIZE_MAX, &c, message) != ERR_NONE)
        fail_msg("type %u: %s", code, message);
    assert_true(rdb_is_followed(c));
    assert_int_equal(rdb_check_facts(c)->keys, 2);
    rdb_check_free(c);
    assert_whole_in_any_pieces();
}
#define VALUE(code, text) assert_value("REDIS0011", code, text, sizeof(text) - 1)
#define VALKEY_VALUE(code, text) assert_value("VALKEY081", code, text, sizeof(text) - 1)

static int teardown(void **state)
{
    (void)state;
    buf_release(&dump);
    return 0;
}

/* ---- the checksum */

static void test_rdb__checksum_is_crc64_jones(void **state)
{
    (void)state;
    assert_true(rdb_crc(0, "123456789", 9) == UINT64_C(0xe9c6d914c4b8d9ca));
    assert_true(rdb_crc(rdb_crc(0, "1234", 4), "56789", 5) == UINT64_C(0xe9c6d914c4b8d9ca));
    assert_true(rdb_crc(7, NULL, 0) == 7);
}

/* ---- whole dumps */

static void test_rdb__tells_what_is_in_a_dump(void **state)
{
    (void)state;
    struct rdb_check *c;
    small_dump();
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, &c, NULL), ERR_NONE);
    const struct rdb_facts *f = rdb_check_facts(c);
    assert_true(rdb_check_at_end(c));
    assert_int_equal(f->version, 10);
    assert_false(f->is_valkey);
    assert_int_equal(f->bytes, dump.len);
    assert_int_equal(f->keys, 3);
    assert_true(f->has_checksum);
    assert_string_equal(f->server_version, "7.0.15");
    assert_int_equal(f->created_s, 1700000000);
    assert_int_equal(f->database_count, 2);
    assert_int_equal(f->databases[0].keys, 2);
    assert_int_equal(f->databases[0].expires, 1);
    assert_int_equal(f->databases[1].number, 3);
    assert_int_equal(f->databases[1].keys, 1);
    assert_int_equal(f->databases[1].expires, 0);
    rdb_check_free(c);
    assert_whole_in_any_pieces();
}

static void test_rdb__an_empty_dump_is_whole(void **state)
{
    (void)state;
    begin("REDIS0009");
    end();
    assert_whole_in_any_pieces();
}

static void test_rdb__stops_at_the_end(void **state)
{
    (void)state;
    small_dump();
    size_t len = dump.len;
    buf_append_str(&dump, "298e2aae5b49b73f50a2ba332bfd836571159f56");
    struct rdb_check *c = rdb_check_new();
    assert_int_equal(rdb_check_feed(c, dump.data, dump.len, NULL), len);
    assert_int_equal(rdb_check_feed(c, dump.data, 5, NULL), 0);
    assert_int_equal(rdb_check_finish(c, NULL), 0);
    rdb_check_free(c);
}

static void test_rdb__a_copy_goes_on_by_itself(void **state)
{
    (void)state;
    small_dump();
    for (size_t at = 0; at < dump.len; at++) {
        struct rdb_check *c = rdb_check_new();
        assert_int_equal(rdb_check_feed(c, dump.data, at, NULL), at);
        struct rdb_check *copy = rdb_check_copy(c);
        rdb_check_free(c);
        assert_int_equal(rdb_check_feed(copy, dump.data + at, dump.len - at, NULL), dump.len - at);
        assert_int_equal(rdb_check_finish(copy, NULL), 0);
        assert_int_equal(rdb_check_facts(copy)->databases[1].keys, 1);
        rdb_check_free(copy);
    }
}

static void test_rdb__counts_more_databases_than_it_keeps(void **state)
{
    (void)state;
    struct rdb_check *c;
    begin("REDIS0010");
    for (unsigned i = 0; i < RDB_DATABASES_KEPT + 10; i++) {
        byte(RDB_OP_SELECT);
        byte(0x40 | i >> 8);
        byte(i & 0xff);
        type(0, "k");
        string("v");
    }
    end();
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, &c, NULL), ERR_NONE);
    assert_int_equal(rdb_check_facts(c)->database_count, RDB_DATABASES_KEPT);
    assert_int_equal(rdb_check_facts(c)->databases[200].number, 200);
    assert_int_equal(rdb_check_facts(c)->keys, RDB_DATABASES_KEPT + 10);
    rdb_check_free(c);
}

static void test_rdb__a_database_that_comes_again_is_the_same(void **state)
{
    (void)state;
    struct rdb_check *c;
    begin("REDIS0003");
    for (unsigned i = 0; i < 4; i++) {
        byte(RDB_OP_SELECT);
        byte(i & 1);
        type(0, "k");
        string("v");
    }
    byte(RDB_OP_END); /* no checksum yet in this version */
    assert_int_equal(check_in(dump.data, dump.len, 1, &c, NULL), ERR_NONE);
    assert_int_equal(rdb_check_facts(c)->database_count, 2);
    assert_int_equal(rdb_check_facts(c)->databases[1].keys, 2);
    assert_false(rdb_check_facts(c)->has_checksum);
    rdb_check_free(c);
}

/* ---- values */

static void test_rdb__follows_every_type(void **state)
{
    (void)state;
    VALUE(0, "\x03"
             "abc");
    VALUE(0, "\xc0\x80");
    VALUE(0, "\xc2\x00\x00\x00\x80");
    VALUE(0, "\x40\x02"
             "ab"); /* a length of 14 bits */
    VALUE(0, "\x80\x00\x00\x00\x02"
             "ab"); /* of 32 */
    VALUE(0, "\x81\x00\x00\x00\x00\x00\x00\x00\x02"
             "ab"); /* of 64 */
    VALUE(0, "\xc3\x04\x40\x80"
             "\x00"
             "a\x20\x00"); /* compressed: 4 bytes here, 128 there */
    VALUE(0, "\x00");
    VALUE(1, "\x00");
    VALUE(1, "\x02\x01"
             "a\xc0\x07");
    VALUE(2, "\x01\x01"
             "a");
    VALUE(3, "\x04\x01"
             "a\x03"
             "1.5\x01"
             "b\xfd\x01"
             "c\xfe\x01"
             "d\xff");
    VALUE(4, "\x01\x01"
             "f\x01"
             "v");
    VALUE(5, "\x02\x01"
             "a12345678\x01"
             "b12345678");
    VALUE(7, "\x81\x01\x02\x03\x04\x05\x06\x07\x08"
             "\x01\x07\x02\x08\x03"
             "1234"
             "\x04"
             "12345678"
             "\x05\x02"
             "xy"
             "\x00");
    VALUE(9, "\x02zm");
    VALUE(10, "\x02zl");
    VALUE(11, "\x02is");
    VALUE(12, "\x02zz");
    VALUE(13, "\x02hz");
    VALUE(14, "\x02\x02q1\x02q2");
    VALUE(16, "\x02lp");
    VALUE(17, "\x02lp");
    VALUE(18, "\x02\x01\x02p1\x02\x02p2");
    VALUE(20, "\x02lp");
    VALUE(22, "\x01\x00\x01"
              "f\x01"
              "v");
    VALUE(23, "\x02lp");
    VALUE(24, "12345678\x01\x05\x01"
              "f\x01"
              "v");
    VALUE(25, "12345678\x02lp");
}

#define NODES "\x01\x02id\x02lp"    /* one node */
#define COUNTERS "\x05\x06\x07"     /* entries, last ID */
#define MORE "\x01\x02\x03\x04\x05" /* first ID, largest deleted, counter */
#define PENDING        \
    "\x01"             \
    "0123456789abcdef" \
    "12345678"         \
    "\x03"
#define OWNED \
    "\x01"    \
    "0123456789abcdef"

static void test_rdb__follows_streams_of_every_version(void **state)
{
    (void)state;
    VALUE(15, NODES COUNTERS "\x01\x01g\x01\x02" PENDING "\x01\x01"
                             "c12345678" OWNED);
    VALUE(15, "\x00" COUNTERS "\x00");
    VALUE(19, NODES COUNTERS MORE "\x01\x01g\x01\x02\x09" PENDING "\x01\x01"
                                  "c12345678" OWNED);
    VALUE(21, NODES COUNTERS MORE "\x01\x01g\x01\x02\x09" PENDING "\x01\x01"
                                  "c1234567812345678" OWNED);
    VALUE(26, NODES COUNTERS MORE "\x01\x01g\x01\x02\x09" PENDING "\x01\x01"
                                  "c1234567812345678" OWNED "\x3c\x0a\x01\x01p\x01\x01i\x01\x02\x05\x06");
    VALUE(27, NODES COUNTERS MORE "\x01\x01g\x01\x02\x09" PENDING "\x01\x01"
                                  "c1234567812345678" OWNED OWNED "\x3c\x0a\x00\x05\x06");
}

static void test_rdb__knows_what_valkey_means_by_the_same_numbers(void **state)
{
    (void)state;
    VALKEY_VALUE(22, "\x02\x01"
                     "f\x01"
                     "v12345678\x01"
                     "g\x01"
                     "w\xff\xff\xff\xff\xff\xff\xff\xff");
    VALKEY_VALUE(23, "\x01\x01"
                     "p\x01\x01"
                     "f\x01"
                     "v");
    VALKEY_VALUE(20, "\x02lp");
    assert_null(rdb_pattern(24, true));
    assert_null(rdb_pattern(40, true));
    assert_null(rdb_pattern(40, false));
    assert_null(rdb_pattern(6, false));
    assert_null(rdb_pattern(8, true));
}

static void test_rdb__follows_every_opcode(void **state)
{
    (void)state;
    struct rdb_check *c;
    begin("REDIS0012");
    RAW("\xf5\x04"
        "code"); /* functions */
    RAW("\xf7\x05\x02\x01\x05\x02"
        "xy"
        "\x00"); /* a module's own data */
    RAW("\xfe\x00\xfb\x01\x01");
    RAW("\xf4\x01\x02\x03"); /* a slot */
    RAW("\xf3\x01"
        "1234"
        "\x05\x01"
        "m\x00");            /* metadata of a key */
    RAW("\xf8\x05\xf9\x07"); /* idle, frequency */
    RAW("\xfd"
        "1234"); /* seconds */
    type(0, "k");
    string("v");
    end();
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, &c, NULL), ERR_NONE);
    assert_int_equal(rdb_check_facts(c)->functions, 1);
    assert_int_equal(rdb_check_facts(c)->modules, 1);
    assert_int_equal(rdb_check_facts(c)->databases[0].expires, 1);
    rdb_check_free(c);
    assert_whole_in_any_pieces();
    begin("VALKEY080");
    aux("valkey-ver", "9.0.1");
    RAW("\xf3\x03job\x01\x00\x05"); /* a migration of slots */
    end();
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, &c, NULL), ERR_NONE);
    assert_true(rdb_check_facts(c)->is_valkey);
    assert_int_equal(rdb_check_facts(c)->version, 80);
    assert_string_equal(rdb_check_facts(c)->server_version, "9.0.1");
    rdb_check_free(c);
}

static void test_rdb__auxiliary_fields_may_be_odd(void **state)
{
    (void)state;
    struct rdb_check *c;
    char longest[60];
    memset(longest, 'x', sizeof longest);
    begin("REDIS0012");
    byte(RDB_OP_AUX);
    string("redis-ver");
    byte(0x40);
    byte(120); /* longer than what is kept */
    bytes(longest, 60);
    bytes(longest, 60);
    byte(RDB_OP_AUX);
    string("ctime");
    RAW("\xc0\xfb"); /* -5 */
    byte(RDB_OP_AUX);
    RAW("\xc3\x01\x02z"); /* a compressed name */
    RAW("\xc1\x01\x00");
    end();
    assert_int_equal(check_in(dump.data, dump.len, 1, &c, NULL), ERR_NONE);
    assert_int_equal(strlen(rdb_check_facts(c)->server_version), RDB_AUX_BYTES - 1);
    rdb_check_free(c);
}

/* ---- damage */

static void test_rdb__rejects_what_is_cut_off_anywhere(void **state)
{
    (void)state;
    small_dump();
    for (size_t len = 0; len < dump.len; len++)
        assert_int_equal(check_in(dump.data, len, SIZE_MAX, NULL, NULL), ERR_CORRUPT);
}

static void test_rdb__rejects_any_flipped_bit(void **state)
{
    (void)state;
    small_dump();
    for (size_t bit = 0; bit < dump.len * 8; bit++) {
        dump.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_not_equal(check_dump(), ERR_NONE);
        dump.data[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_int_equal(check_dump(), ERR_NONE);
}

static void test_rdb__rejects_what_is_no_dump(void **state)
{
    (void)state;
    static const char *const none[] = {
        "",          "-ERR unknown command\r\n", "REDIS00", "REDIS00x0", "VALKEY0x0", "REDIS0000",
        "VALKEY000", "PK\x03\x04 zip file"};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(check_in(none[i], strlen(none[i]), SIZE_MAX, NULL, NULL), ERR_CORRUPT);
}

static void assert_damaged(const char *value, size_t len, unsigned code, const char *word)
{
    char message[ERR_MESSAGE_BYTES];
    begin("REDIS0011");
    type(code, "key");
    bytes(value, len);
    end();
    assert_int_equal(check_in(dump.data, dump.len, 1, NULL, message), ERR_CORRUPT);
    if (strstr(message, word) == NULL)
        fail_msg("'%s' is not in: %s", word, message);
}
#define DAMAGED(code, text, word) assert_damaged(text, sizeof(text) - 1, code, word)

static void test_rdb__says_what_is_wrong_with_the_structure(void **state)
{
    (void)state;
    DAMAGED(0, "\xc4", "unknown encoding");
    DAMAGED(0, "\x82", "unknown encoding");
    DAMAGED(0, "\x81\xff\xff\xff\xff\xff\xff\xff\xff", "length is impossible");
    DAMAGED(0, "\xc3\xc0", "compressed string");
    DAMAGED(0, "\xc3\x00", "compressed string");
    DAMAGED(0, "\xc3\x05\x00", "compressed string");
    DAMAGED(0, "\xc3\x81\xff\xff\xff\xff\xff\xff\xff\xff", "compressed string");
    DAMAGED(1, "\xc0\x01", "number of elements");
    DAMAGED(18, "\x01\xc0\x01", "number is not written as one");
    DAMAGED(7, "\x05\x09", "part of an unknown kind");
    DAMAGED(7, "\x05\xc9", "part without a kind");
}

static void test_rdb__a_missing_checksum_is_told(void **state)
{
    (void)state;
    struct rdb_check *c;
    begin("REDIS0011");
    type(0, "k");
    string("v");
    byte(RDB_OP_END);
    put_sum(0);
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, &c, NULL), ERR_NONE);
    assert_false(rdb_check_facts(c)->has_checksum);
    rdb_check_free(c);
}

/* ---- what is not known */

/* With something in it that a later version may have brought. */
static void newer_dump(const char *magic, unsigned code)
{
    begin(magic);
    type(0, "k");
    string("v");
    type(code, "new");
    RAW("\xc9whatever\xff\xff it is");
}

static void test_rdb__of_an_unknown_type_the_checksum_decides(void **state)
{
    (void)state;
    static const unsigned codes[] = {6, 8, 28, 99, 242};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct rdb_check *c;
        newer_dump("REDIS0012", codes[i]);
        end();
        assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, &c, NULL), ERR_NONE);
        assert_false(rdb_is_followed(c));
        assert_false(rdb_check_at_end(c));
        assert_int_equal(rdb_unknown_code(c), codes[i]);
        assert_int_equal(rdb_check_facts(c)->bytes, dump.len);
        rdb_check_free(c);
        assert_whole_in_any_pieces();
    }
}

static void test_rdb__of_an_unknown_type_damage_is_found_all_the_same(void **state)
{
    (void)state;
    newer_dump("REDIS0012", 99);
    end();
    size_t whole = dump.len;
    for (size_t len = 0; len < whole; len++)
        assert_int_equal(check_in(dump.data, len, 5, NULL, NULL), ERR_CORRUPT);
    for (size_t at = 9; at < whole; at++) {
        dump.data[at] ^= 4;
        assert_int_not_equal(check_in(dump.data, whole, 11, NULL, NULL), ERR_NONE);
        dump.data[at] ^= 4;
    }
}

static void test_rdb__of_an_unknown_type_a_checksum_is_needed(void **state)
{
    (void)state;
    char message[ERR_MESSAGE_BYTES];
    newer_dump("REDIS0012", 99);
    byte(RDB_OP_END);
    put_sum(0);
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, NULL, message), ERR_CORRUPT);
    assert_non_null(strstr(message, "rdbchecksum"));
    newer_dump("REDIS0012", 99);
    put_sum(rdb_crc(0, dump.data, dump.len)); /* right, but after no end mark */
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, NULL, message), ERR_CORRUPT);
}

static void test_rdb__in_a_newer_version_known_numbers_may_mean_something_else(void **state)
{
    (void)state;
    struct rdb_check *c;
    newer_dump("REDIS0099", 1);
    end();
    assert_int_equal(check_in(dump.data, dump.len, SIZE_MAX, &c, NULL), ERR_NONE);
    assert_false(rdb_is_followed(c));
    rdb_check_free(c);
    newer_dump("VALKEY099", 1);
    end();
    assert_int_equal(check_dump(), ERR_NONE);
    newer_dump("VALKEY080", 1);
    end();
    assert_int_equal(check_dump(), ERR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rdb__checksum_is_crc64_jones),
        cmocka_unit_test(test_rdb__tells_what_is_in_a_dump),
        cmocka_unit_test(test_rdb__an_empty_dump_is_whole),
        cmocka_unit_test(test_rdb__stops_at_the_end),
        cmocka_unit_test(test_rdb__a_copy_goes_on_by_itself),
        cmocka_unit_test(test_rdb__counts_more_databases_than_it_keeps),
        cmocka_unit_test(test_rdb__a_database_that_comes_again_is_the_same),
        cmocka_unit_test(test_rdb__follows_every_type),
        cmocka_unit_test(test_rdb__follows_streams_of_every_version),
        cmocka_unit_test(test_rdb__knows_what_valkey_means_by_the_same_numbers),
        cmocka_unit_test(test_rdb__follows_every_opcode),
        cmocka_unit_test(test_rdb__auxiliary_fields_may_be_odd),
        cmocka_unit_test(test_rdb__rejects_what_is_cut_off_anywhere),
        cmocka_unit_test(test_rdb__rejects_any_flipped_bit),
        cmocka_unit_test(test_rdb__rejects_what_is_no_dump),
        cmocka_unit_test(test_rdb__says_what_is_wrong_with_the_structure),
        cmocka_unit_test(test_rdb__a_missing_checksum_is_told),
        cmocka_unit_test(test_rdb__of_an_unknown_type_the_checksum_decides),
        cmocka_unit_test(test_rdb__of_an_unknown_type_damage_is_found_all_the_same),
        cmocka_unit_test(test_rdb__of_an_unknown_type_a_checksum_is_needed),
        cmocka_unit_test(test_rdb__in_a_newer_version_known_numbers_may_mean_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
