#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "repo/snapshot.h"

#define ID_A "2de59aa04e3ab976b9e189e17a79ccf783a3807e125359e894c8c31a967ef354"
#define ID_B "94ac21d977e8aa1e52433f1d6e6f417412c9b8fa29e3780525b0f2c134b1dd8e"
#define ID_C "e186f6518e3781645d0a46b83b259dfc807c530b4f955af7214b2e6ecb3a146e"
#define TIME "\"time\":\"2026-11-22T20:47:13.364962549-03:30\""

#define SUMMARY                                                                                                       \
    "\"summary\":{\"backup_start\":\"2026-11-23T00:17:13Z\",\"backup_end\":\"2026-11-23T00:17:14.5Z\",\"files_new\":" \
    "1,"                                                                                                              \
    "\"files_changed\":2,\"files_unmodified\":3,\"dirs_new\":4,\"dirs_changed\":5,\"dirs_unmodified\":6,"             \
    "\"data_blobs\":7,\"tree_blobs\":8,\"data_added\":9,\"data_added_packed\":10,\"total_files_processed\":11,"       \
    "\"total_bytes_processed\":18446744073709551615"

/* As the format's first implementation writes them, compact. */
static const char PLAIN[] =
    "{" TIME ",\"tree\":\"" ID_A "\",\"paths\":[\"/tmp/src\"],\"hostname\":\"vm\",\"username\":\"root\","
    "\"excludes\":[\"nothing\"],\"tags\":[\"a\",\"b\"]}";
static const char FULL[] =
    "{" TIME ",\"parent\":\"" ID_B "\",\"tree\":\"" ID_A "\",\"paths\":[\"/a \\u003cb\\u003e\",\"/\\\"c\\\"\"],"
    "\"hostname\":\"vm\",\"username\":\"u\",\"uid\":1000,\"gid\":4294967295,\"excludes\":[\"*.o\"],"
    "\"tags\":[\"tier=home\"],\"original\":\"" ID_C "\",\"program_version\":\"clawback 0.1\"," SUMMARY "}}";

static void decode(const char *json, struct snapshot *s)
{
    struct err err = {0};
    if (snapshot_decode(json, strlen(json), s, &err) != 0)
        fail_msg("%s", err.message);
}

static void assert_encodes_as(const struct snapshot *s, const char *text)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    snapshot_encode(s, &out);
    assert_string_equal(buf_cstr(&out), text);
    buf_release(&out);
}

static void assert_survives(const char *text)
{
    struct snapshot s;
    decode(text, &s);
    assert_encodes_as(&s, text);
    snapshot_release(&s);
}

static void assert_fails(const char *json, size_t len)
{
    struct err err = {0};
    struct snapshot s;
    char *exact = mem_copy(json, len); /* so that a read past the end is seen */
    if (snapshot_decode(exact, len, &s, &err) == 0)
        fail_msg("this was accepted: %.*s", (int)len, json);
    assert_int_equal(err.code, ERR_CORRUPT);
    free(exact);
}

static void test_snapshot__encodes_what_it_decoded_byte_for_byte(void **state)
{
    (void)state;
    assert_survives(PLAIN);
    assert_survives(FULL);
}

static void test_snapshot__decodes_every_field(void **state)
{
    (void)state;
    struct snapshot s;
    decode(FULL, &s);
    assert_true(id_is_zero(&s.id));
    assert_int_equal(s.time.tv_sec, 1795393033);
    assert_int_equal(s.time.tv_nsec, 364962549);
    assert_int_equal(s.utc_offset_s, -12600);
    assert_true(s.has_parent && s.has_original && s.has_summary && s.has_uid);
    assert_int_equal(s.parent.bytes[0], 0x94);
    assert_int_equal(s.tree.bytes[0], 0x2d);
    assert_int_equal(s.original.bytes[0], 0xe1);
    assert_int_equal(s.paths.count, 2);
    assert_string_equal(s.paths.items[0], "/a <b>");
    assert_string_equal(s.paths.items[1], "/\"c\"");
    assert_int_equal(s.excludes.count, 1);
    assert_string_equal(s.tags.items[0], "tier=home");
    assert_string_equal(s.hostname, "vm");
    assert_string_equal(s.username, "u");
    assert_int_equal(s.uid, 1000);
    assert_int_equal(s.gid, UINT32_MAX);
    assert_string_equal(s.program_version, "clawback 0.1");
    assert_int_equal(s.summary.backup_start.tv_sec, 1795393033);
    assert_int_equal(s.summary.backup_end.tv_nsec, 500000000);
    assert_int_equal(s.summary.files_new, 1);
    assert_int_equal(s.summary.data_added_packed, 10);
    assert_true(s.summary.total_bytes_processed == UINT64_MAX);
    assert_null(s.unknown);
    snapshot_release(&s);
}

static void test_snapshot__unknown_keys_survive(void **state)
{
    (void)state;
    struct snapshot s;
    decode("{\"label\":\"x\",\"tree\":\"" ID_A "\"," TIME
           ",\"delete\":{\"after\":[1.50, null]},\"paths\":null,\"none\":null,"
           "\"summary\":{\"command\":\"rustic\",\"files_new\":1,\"total_duration\":0.1}}",
           &s);
    struct buf out;
    buf_init(&out, 10000);
    snapshot_encode(&s, &out);
    assert_non_null(strstr(buf_cstr(&out), ",\"command\":\"rustic\",\"total_duration\":0.1},\"label\":\"x\","
                                           "\"delete\":{\"after\":[1.50, null]},\"none\":null}"));
    assert_non_null(strstr(buf_cstr(&out), "\"paths\":[]"));
    assert_survives(buf_cstr(&out));
    buf_release(&out);
    snapshot_release(&s);
}

static void test_snapshot__new_one_has_local_time_and_no_empty_fields(void **state)
{
    (void)state;
    struct snapshot s;
    snapshot_init(&s);
    s.time = (struct timespec){1234567890, 120000000};
    s.hostname = mem_strdup("");
    s.has_uid = true;
    s.gid = 5;
    strlist_add(&s.paths, "/x");
    assert_int_equal(id_from_hex(ID_A, 64, &s.tree), 0);
    setenv("TZ", "XYZ-5:30", 1);
    tzset();
    assert_encodes_as(&s,
                      "{\"time\":\"2009-02-14T05:01:30.12+05:30\",\"tree\":\"" ID_A "\",\"paths\":[\"/x\"],\"gid\":5}");
    snapshot_release(&s);
    setenv("TZ", "UTC", 1);
    tzset();
}

static void test_snapshot__a_changed_time_is_written(void **state)
{
    (void)state;
    struct snapshot s;
    decode("{" TIME ",\"tree\":\"" ID_A "\",\"paths\":[]}", &s);
    s.time.tv_sec = 1300000000;
    s.time.tv_nsec = 0;
    assert_encodes_as(&s, "{\"time\":\"2011-03-13T07:06:40Z\",\"tree\":\"" ID_A "\",\"paths\":[]}");
    snapshot_release(&s);
}

static void test_snapshot__knows_the_offset_of_its_time(void **state)
{
    (void)state;
    static const struct {
        const char *time;
        int offset_s;
    } CASES[] = {
        {"2024-03-01T00:00:00Z", 0},
        {"2024-03-01T00:00:00+09:00", 32400},
        {"2024-03-01T00:00:00.123456789-05:45", -20700},
        {"2024-03-01T00:00:00.1234567890123456789012345678901234567890+01:00", 3600}, /* longer than time_text */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[300];
        snprintf(text, sizeof text, "{\"time\":\"%s\",\"tree\":\"%s\",\"paths\":[]}", CASES[i].time, ID_A);
        struct snapshot s;
        decode(text, &s);
        assert_int_equal(s.utc_offset_s, CASES[i].offset_s);
        snapshot_release(&s);
    }
}

static void test_snapshot__paths_that_are_not_utf8_can_be_stored(void **state)
{
    (void)state;
    struct snapshot s;
    snapshot_init(&s);
    strlist_add(&s.paths, "/a\xff\x01");
    assert_encodes_as(&s, "{\"time\":\"1970-01-01T00:00:00Z\",\"tree\":\"00000000000000000000000000000000"
                          "00000000000000000000000000000000\",\"paths\":[\"/a\\ufffd\\u0001\"]}");
    snapshot_release(&s);
}

static void test_snapshot__repeated_keys_replace_each_other(void **state)
{
    (void)state;
    struct snapshot s;
    decode("{" TIME ",\"tree\":\"" ID_A
           "\",\"paths\":[\"/a\"],\"paths\":[\"/b\"],\"hostname\":\"1\",\"hostname\":\"2\","
           "\"uid\":1,\"uid\":2,\"summary\":{\"files_new\":1,\"x\":1},\"summary\":{\"y\":2,\"dirs_new\":null,\"backup_"
           "end\":null}}",
           &s);
    assert_int_equal(s.paths.count, 1);
    assert_string_equal(s.paths.items[0], "/b");
    assert_string_equal(s.hostname, "2");
    assert_int_equal(s.uid, 2);
    assert_int_equal(s.summary.files_new, 0);
    assert_string_equal(s.unknown_summary, ",\"y\":2");
    snapshot_release(&s);
}

static void test_snapshot__rejects_what_is_none(void **state)
{
    (void)state;
#define SNAPSHOT(fields) "{" TIME ",\"tree\":\"" ID_A "\"," fields "}"
    static const char *const BAD[] = {
        "",
        "[]",
        "null",
        "{}",
        "{" TIME "}",
        "{\"tree\":\"" ID_A "\"}",
        "{" TIME ",\"tree\":null}",
        "{" TIME ",\"tree\":\"abc\"}",
        "{" TIME ",\"tree\":1}",
        "{\"time\":\"now\",\"tree\":\"" ID_A "\"}",
        "{\"time\":1,\"tree\":\"" ID_A "\"}",
        SNAPSHOT("\"paths\":{}"),
        SNAPSHOT("\"paths\":[1]"),
        SNAPSHOT("\"tags\":[\"a\\u0000\"]"),
        SNAPSHOT("\"hostname\":\"\\x\""),
        SNAPSHOT("\"hostname\":1"),
        SNAPSHOT("\"uid\":4294967296"),
        SNAPSHOT("\"gid\":-1"),
        SNAPSHOT("\"parent\":\"\""),
        SNAPSHOT("\"original\":[]"),
        SNAPSHOT("\"summary\":[]"),
        SNAPSHOT("\"summary\":{\"files_new\":-1}"),
        SNAPSHOT("\"summary\":{\"backup_start\":\"\"}"),
        SNAPSHOT("\"new\":tru"),
        SNAPSHOT("\"paths\":[]") "{",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_fails(BAD[i], strlen(BAD[i]));
    for (size_t cut = 0; cut < strlen(FULL); cut++)
        assert_fails(FULL, cut);
    static const char WITH_NUL[] = "{" TIME ",\"tree\":\"" ID_A "\",\"new\":\"\\\0\"}";
    assert_fails(WITH_NUL, sizeof WITH_NUL - 1);
    struct err err = {0};
    struct snapshot s;
    assert_int_equal(snapshot_decode("", SIZE_MAX, &s, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
}

static struct strlist list(const char *a, const char *b)
{
    struct strlist l = {0};
    if (a != NULL)
        strlist_add(&l, a);
    if (b != NULL)
        strlist_add(&l, b);
    return l;
}

static void assert_tags(const struct snapshot *s, const char *a, const char *b, bool expected)
{
    struct strlist l = list(a, b);
    assert_int_equal(snapshot_has_tags(s, &l), expected);
    strlist_release(&l);
}

static void test_snapshot__matches_tags_and_paths(void **state)
{
    (void)state;
    struct snapshot s;
    snapshot_init(&s);
    assert_tags(&s, NULL, NULL, true);
    assert_tags(&s, "", NULL, true);
    assert_tags(&s, "a", NULL, false);
    strlist_add(&s.tags, "a");
    strlist_add(&s.tags, "b");
    strlist_add(&s.paths, "/p");
    assert_tags(&s, NULL, NULL, false);
    assert_tags(&s, "", NULL, false);
    assert_tags(&s, "a", NULL, true);
    assert_tags(&s, "b", "a", true);
    assert_tags(&s, "a", "c", false);
    assert_true(snapshot_has_path(&s, "/p"));
    assert_false(snapshot_has_path(&s, "/"));
    snapshot_release(&s);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshot__encodes_what_it_decoded_byte_for_byte),
        cmocka_unit_test(test_snapshot__decodes_every_field),
        cmocka_unit_test(test_snapshot__unknown_keys_survive),
        cmocka_unit_test(test_snapshot__new_one_has_local_time_and_no_empty_fields),
        cmocka_unit_test(test_snapshot__a_changed_time_is_written),
        cmocka_unit_test(test_snapshot__knows_the_offset_of_its_time),
        cmocka_unit_test(test_snapshot__paths_that_are_not_utf8_can_be_stored),
        cmocka_unit_test(test_snapshot__repeated_keys_replace_each_other),
        cmocka_unit_test(test_snapshot__rejects_what_is_none),
        cmocka_unit_test(test_snapshot__matches_tags_and_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
