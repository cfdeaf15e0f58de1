/* The small tools of the engine: streams of packs, maps, patches of nodes, sizes, parallel runs. */
#include "engine_fixture.h"
#include "engine/id_map.h"
#include "engine/node_patch.h"
#include "engine/pack_stream.h"
#include "engine/parallel.h"
#include "engine/size_text.h"

enum { PACK_BYTES = 3 << 20 };

static unsigned char *save_bytes(struct fixture *f, struct id *id)
{
    struct err err;
    char hex[ID_HEX_BYTES];
    unsigned char *bytes = mem_alloc(PACK_BYTES);
    struct sha256 *sha = sha256_new();
    fixture_bytes(bytes, PACK_BYTES, 7);
    sha256_once(sha, bytes, PACK_BYTES, id);
    sha256_free(sha);
    fixture_ok(store_save(f->repo->store, STORE_PACK, id_to_hex(id, hex), bytes, PACK_BYTES, &err), &err);
    return bytes;
}

static void test_pack_stream__hands_out_what_is_there_and_hashes_all_of_it(void **state)
{
    (void)state;
    static const size_t STEPS[] = {1, 100, 4096, 700001, 1 << 20, (1 << 20) + 1, 2500000};
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id id, actual;
    struct pack_stream s;
    struct sha256 *hash = sha256_new();
    unsigned char *bytes = save_bytes(f, &id), *p;
    pack_stream_init(&s, f->repo->store);
    for (size_t i = 0; i < sizeof STEPS / sizeof *STEPS; i++) {
        size_t step = STEPS[i], gap = step < 100 ? 1009 : step / 3;
        pack_stream_open(&s, &id, PACK_BYTES, i % 2 == 0 ? hash : NULL);
        for (size_t at = 0; at + step <= PACK_BYTES; at += step + gap) {
            fixture_ok(pack_stream_get(&s, at, step, &p, &err), &err);
            assert_memory_equal(p, bytes + at, step);
            memset(p, 0, step); /* callers do that */
        }
        fixture_ok(pack_stream_finish(&s, &err), &err);
        if (i % 2 == 0) {
            sha256_end(hash, &actual);
            assert_true(id_equal(&id, &actual));
        }
    }
    pack_stream_release(&s);
    sha256_free(hash);
    free(bytes);
    fixture_free(f);
}

static void test_pack_stream__refuses_what_lies_behind_the_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id id;
    struct pack_stream s;
    unsigned char *p, *bytes = save_bytes(f, &id);
    pack_stream_init(&s, f->repo->store);
    pack_stream_open(&s, &id, PACK_BYTES, NULL);
    assert_int_equal(pack_stream_get(&s, PACK_BYTES - 10, 11, &p, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(pack_stream_get(&s, (uint64_t)PACK_BYTES + 1, 0, &p, &err), -1);
    pack_stream_open(&s, &id, UINT64_MAX / 2, NULL); /* a listing that lies */
    assert_int_equal(pack_stream_get(&s, 0, (size_t)2 << 30, &p, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(pack_stream_get(&s, (uint64_t)PACK_BYTES * 2, 10, &p, &err), -1);
    pack_stream_release(&s);
    free(bytes);
    fixture_free(f);
}

static void test_id_map__holds_many(void **state)
{
    (void)state;
    struct id_map m = {0};
    struct sha256 *sha = sha256_new();
    struct id id;
    uint64_t value;
    for (uint64_t i = 0; i < 5000; i++) {
        sha256_once(sha, &i, sizeof i, &id);
        assert_false(id_map_get(&m, &id, NULL));
        assert_true(id_map_put(&m, &id, i));
        assert_false(id_map_put(&m, &id, i * 2));
    }
    for (uint64_t i = 0; i < 5000; i++) {
        sha256_once(sha, &i, sizeof i, &id);
        assert_true(id_map_get(&m, &id, &value));
        assert_int_equal(value, i * 2);
    }
    sha256_free(sha);
    id_map_release(&m);
}

static void test_node_patch__replaces_one_member_and_no_other(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *key, *value, *want;
    } CASES[] = {
        {"{\"a\":1,\"size\":12,\"b\":[1, 2]}", "size", "7", "{\"a\":1,\"size\":7,\"b\":[1, 2]}"},
        {"{\"size\":{\"size\":3}}", "size", "7", "{\"size\":7}"},
        {"{\"x\":{\"size\":3}}", "size", "7", "{\"x\":{\"size\":3},\"size\":7}"},
        {"{}", "size", "7", "{\"size\":7}"},
        {"{ \"name\" : \"}\" }", "content", "[]", "{ \"name\" : \"}\" ,\"content\":[]}"},
        {"{\"content\":null,\"u\":\"\\u007d\"}", "content", "[\"x\"]", "{\"content\":[\"x\"],\"u\":\"\\u007d\"}"},
    };
    struct buf out;
    buf_init(&out, 1 << 16);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        buf_clear(&out);
        assert_int_equal(node_patch(CASES[i].raw, strlen(CASES[i].raw), CASES[i].key, CASES[i].value, &out), 0);
        assert_string_equal(buf_cstr(&out), CASES[i].want);
    }
    static const char *const BAD[] = {"", "[]", "{\"a\":}", "{\"a\":1", "{\"a\" 1}"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(node_patch(BAD[i], strlen(BAD[i]), "a", "2", &out), -1);
    buf_release(&out);
}

static void test_size_text__knows_units_and_limits(void **state)
{
    (void)state;
    uint64_t n;
    static const struct {
        const char *text;
        uint64_t want;
    } CASES[] = {{"0", 0}, {"100", 100}, {"64K", 65536}, {"10MiB", 10 << 20}, {"2g", 2ULL << 30}, {"1TB", 1ULL << 40}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        assert_int_equal(size_text_parse(CASES[i].text, &n), 0);
        assert_int_equal(n, CASES[i].want);
    }
    static const char *const BAD[] = {"",          "K",  "-1", "+1", " 1", "1KK", "1Ki2", "18446744073709551616",
                                      "16777216T", "1\n"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(size_text_parse(BAD[i], &n), -1);
}

static int fail_at_50(void *ctx, unsigned worker, size_t item, struct err *err)
{
    _Atomic unsigned *runs = ctx;
    assert_true(worker < 4);
    atomic_fetch_add(runs, 1);
    return item == 50 ? err_set(err, ERR_IO, "item 50") : 0;
}

static void test_parallel_run__ends_at_the_first_failure_and_tells_it(void **state)
{
    (void)state;
    struct err err;
    _Atomic unsigned runs = 0;
    assert_int_equal(parallel_run(4, 50, NULL, fail_at_50, &runs, &err), 0);
    assert_int_equal(runs, 50);
    assert_int_equal(parallel_run(4, 100000, NULL, fail_at_50, &runs, &err), -1);
    assert_string_equal(err.message, "item 50");
    assert_true(runs < 50000);
    assert_int_equal(parallel_run(1, 51, NULL, fail_at_50, &runs, NULL), -1);
    assert_int_equal(parallel_run(4, 0, NULL, fail_at_50, &runs, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pack_stream__hands_out_what_is_there_and_hashes_all_of_it),
        cmocka_unit_test(test_pack_stream__refuses_what_lies_behind_the_end),
        cmocka_unit_test(test_id_map__holds_many),
        cmocka_unit_test(test_node_patch__replaces_one_member_and_no_other),
        cmocka_unit_test(test_size_text__knows_units_and_limits),
        cmocka_unit_test(test_parallel_run__ends_at_the_first_failure_and_tells_it),
    };
    return cmocka_run_group_tests_name("engine tools", tests, NULL, NULL);
}
