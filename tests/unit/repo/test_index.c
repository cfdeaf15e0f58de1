/* The index in memory, its documents, and its cache. */
#include "fixture.h"
#include "crypto/sha256.h"
#include "repo/index.h"

static struct id id_of(uint64_t n)
{
    struct id id;
    struct sha256 *s = sha256_new();
    sha256_once(s, &n, sizeof n, &id);
    sha256_free(s);
    return id;
}

static void load(struct index *ix, uint64_t pack, uint64_t first, size_t count)
{
    struct err err;
    struct id pack_id = id_of(pack);
    struct pack_blob *blobs = mem_zalloc(count * sizeof *blobs);
    for (size_t i = 0; i < count; i++)
        blobs[i] = (struct pack_blob){.id = id_of(first + i),
                                      .type = (first + i) % 3 == 0 ? BLOB_TREE : BLOB_DATA,
                                      .offset = (uint32_t)(i * 100),
                                      .length = 100,
                                      .raw_length = (uint32_t)(i % 2 * 150)};
    fixture_ok(index_load_pack(ix, &pack_id, blobs, count, &err), &err);
    free(blobs);
}

static enum blob_type type_of(uint64_t n)
{
    return n % 3 == 0 ? BLOB_TREE : BLOB_DATA;
}

static void test_index__finds_every_loaded_blob(void **state)
{
    (void)state;
    struct index *ix = index_new();
    for (uint64_t p = 0; p < 50; p++)
        load(ix, 1000000 + p, p * 200, 200);
    index_seal(ix);
    assert_int_equal(index_count(ix), 10000);
    assert_int_equal(index_pack_count(ix), 50);
    for (uint64_t n = 0; n < 10000; n++) {
        struct index_entry e;
        struct id pack, want = id_of(1000000 + n / 200), id = id_of(n);
        assert_true(index_find(ix, type_of(n), &id, &e, &pack));
        assert_true(id_equal(&pack, &want));
        assert_int_equal(e.offset, n % 200 * 100);
        assert_int_equal(e.raw_length, n % 200 % 2 * 150);
        /* The same ID as the other type is another blob. */
        assert_false(index_find(ix, type_of(n) == BLOB_TREE ? BLOB_DATA : BLOB_TREE, &id, &e, NULL));
    }
    struct id unknown = id_of(99999999);
    assert_false(index_known(ix, BLOB_DATA, &unknown));
    index_free(ix);
}

static void test_index__is_empty_without_blobs(void **state)
{
    (void)state;
    struct index *ix = index_new();
    struct id id = id_of(1);
    index_seal(ix);
    assert_false(index_known(ix, BLOB_DATA, &id));
    assert_int_equal(index_position(ix, BLOB_DATA, &id), SIZE_MAX);
    index_free(ix);
}

static void test_index__drops_exact_duplicates_and_keeps_other_places(void **state)
{
    (void)state;
    struct index *ix = index_new();
    load(ix, 7, 0, 10);
    load(ix, 7, 0, 10);
    load(ix, 8, 5, 3);
    index_seal(ix);
    assert_int_equal(index_loaded_count(ix), 13);
    assert_int_equal(index_pack_count(ix), 2);
    struct id id = id_of(6);
    size_t at = index_position(ix, BLOB_TREE, &id);
    assert_true(id_equal(&index_loaded(ix, at)->id, &id));
    assert_true(id_equal(&index_loaded(ix, at + 1)->id, &id));
    assert_int_not_equal(index_entry_pack(index_loaded(ix, at)), index_entry_pack(index_loaded(ix, at + 1)));
    index_free(ix);
}

static void test_index__costs_at_most_50_bytes_a_blob(void **state)
{
    (void)state;
    struct index *ix = index_new();
    for (uint64_t p = 0; p < 100; p++)
        load(ix, 1000000 + p, p * 1000, 1000);
    index_seal(ix);
    size_t fixed = 256 * 128; /* an empty index's tables */
    assert_true(index_memory_bytes(ix) - fixed <= 50 * 100000);
    index_free(ix);
}

static void test_index__claims_each_blob_once(void **state)
{
    (void)state;
    struct index *ix = index_new();
    load(ix, 1, 0, 100);
    index_seal(ix);
    struct id old = id_of(5);
    assert_false(index_claim(ix, type_of(5), &old));
    for (uint64_t n = 1000; n < 6000; n++) {
        struct id id = id_of(n);
        struct index_entry e;
        assert_true(index_claim(ix, BLOB_DATA, &id));
        assert_false(index_claim(ix, BLOB_DATA, &id));
        assert_true(index_known(ix, BLOB_DATA, &id));
        assert_false(index_find(ix, BLOB_DATA, &id, &e, NULL)); /* no place yet */
    }
    assert_int_equal(index_count(ix), 100);
    struct id pack = id_of(77), id = id_of(1234), got;
    struct pack_blob blob = {.id = id, .type = BLOB_DATA, .offset = 3, .length = 4};
    struct index_entry e;
    index_place(ix, &pack, &blob, 1);
    assert_true(index_find(ix, BLOB_DATA, &id, &e, &got));
    assert_true(id_equal(&got, &pack));
    assert_int_equal(e.offset, 3);
    assert_int_equal(index_count(ix), 101);
    index_free(ix);
}

struct seen {
    size_t packs, blobs;
    struct pack_blob last;
};

static int count_pack(void *ctx, const struct id *pack_id, const struct pack_blob *blobs, size_t count, struct err *err)
{
    struct seen *s = ctx;
    (void)pack_id, (void)err;
    s->packs++;
    s->blobs += count;
    if (count > 0)
        s->last = blobs[count - 1];
    return 0;
}

static int decode(const char *json, struct seen *seen)
{
    struct err err;
    *seen = (struct seen){0};
    return index_decode(json, strlen(json), count_pack, seen, &err);
}

#define HEX_A "73d04e6125cf3c28a299cc2f3cca3b78ceac396e4fcf9575e34536b26782413c"
#define HEX_B "3ec79977ef0cf5de7b08cd12b874cd0f62bbaf7f07f3497a5b1bbcc8cb39b1ce"

static void test_index_decode__reads_both_versions_and_skips_unknown_keys(void **state)
{
    (void)state;
    struct seen s;
    assert_int_equal(
        decode("{\"supersedes\":[\"x\"],\"packs\":[{\"id\":\"" HEX_A "\",\"size\":5,\"blobs\":[{\"id\":\"" HEX_B
               "\",\"type\":\"tree\",\"offset\":25,\"length\":40,\"uncompressed_length\":90,\"new\":{}}]}],"
               "\"packs_to_delete\":[{\"id\":1}]}\n",
               &s),
        0);
    assert_int_equal(s.packs, 1);
    assert_int_equal(s.blobs, 1);
    assert_int_equal(s.last.type, BLOB_TREE);
    assert_int_equal(s.last.offset, 25);
    assert_int_equal(s.last.length, 40);
    assert_int_equal(s.last.raw_length, 90);
    assert_int_equal(decode("[{\"id\":\"" HEX_A "\",\"blobs\":[]}]", &s), 0);
    assert_int_equal(s.packs, 1);
    assert_int_equal(decode("{\"packs\":null}", &s), 0);
    assert_int_equal(s.packs, 0);
}

static void test_index_decode__refuses_what_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "{}x",
        "null",
        "{\"packs\":[{}]}",
        "{\"packs\":[{\"id\":\"00\"}]}",
        "{\"packs\":[{\"id\":\"" HEX_A "\",\"blobs\":[{\"id\":\"" HEX_B "\",\"type\":\"data\",\"offset\":1}]}]}",
        "{\"packs\":[{\"id\":\"" HEX_A "\",\"blobs\":[{\"id\":\"" HEX_B
        "\",\"type\":\"file\",\"offset\":1,\"length\":1}]}]}",
        "{\"packs\":[{\"id\":\"" HEX_A "\",\"blobs\":[{\"id\":\"" HEX_B
        "\",\"type\":\"data\",\"offset\":4294967295,\"length\":2}]}]}",
        "{\"packs\":[{\"id\":\"" HEX_A "\",\"blobs\":[{\"id\":\"" HEX_B
        "\",\"type\":\"data\",\"offset\":-1,\"length\":2}]}]}",
        "{\"packs\":[{\"id\":\"" HEX_A "\",\"blobs\":[]},]}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct seen s;
        if (decode(bad[i], &s) == 0)
            fail_msg("accepted: %s", bad[i]);
    }
}

static void test_index_encode__is_read_back(void **state)
{
    (void)state;
    struct buf json;
    struct seen s;
    struct err err;
    struct id a = id_of(1), b = id_of(2);
    struct pack_blob blobs[2] = {{.id = id_of(3), .type = BLOB_DATA, .offset = 0, .length = 50},
                                 {.id = id_of(4), .type = BLOB_TREE, .offset = 50, .length = 60, .raw_length = 99}};
    buf_init(&json, 1 << 20);
    index_encode_begin(&json);
    index_encode_pack(&json, &a, blobs, 2);
    index_encode_pack(&json, &b, blobs, 1);
    index_encode_end(&json);
    s = (struct seen){0};
    fixture_ok(index_decode((char *)json.data, json.len, count_pack, &s, &err), &err);
    assert_int_equal(s.packs, 2);
    assert_int_equal(s.blobs, 3);
    buf_release(&json);
}

/* Stores blobs until there are several packs and index files. */
static void store_blobs(struct fixture *f, uint32_t first, uint32_t count)
{
    struct err err;
    struct writer *w = writer_new(f->repo, false, &err);
    unsigned char p[512];
    struct id id;
    for (uint32_t i = first; i < first + count; i++) {
        fixture_bytes(p, sizeof p, i);
        fixture_ok(writer_blob(w, f->codec, BLOB_DATA, p, sizeof p, &id, NULL, &err), &err);
    }
    fixture_ok(writer_flush(w, &err), &err);
    writer_free(w);
}

static void test_index_cache__gives_what_the_index_files_give(void **state)
{
    (void)state;
    struct err err;
    struct fixture *f = fixture_new(2);
    char cached[256], hex[ID_HEX_BYTES];
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    store_blobs(f, 0, 300);
    fixture_reopen(f, true);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err); /* writes the cache */
    snprintf(cached, sizeof cached, "%s/%s/index", f->cache, id_to_hex(&f->repo->config.id, hex));
    assert_int_equal(access(cached, R_OK), 0);
    size_t count = index_loaded_count(f->repo->index);
    assert_int_equal(count, 300);
    fixture_reopen(f, true);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err); /* reads it */
    assert_int_equal(index_loaded_count(f->repo->index), count);
    store_blobs(f, 300, 20);
    fixture_reopen(f, true);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err); /* cache and one more file */
    assert_int_equal(index_loaded_count(f->repo->index), 320);
    for (uint32_t i = 0; i < 320; i += 13) {
        unsigned char p[512];
        struct id id;
        struct sha256 *s = sha256_new();
        fixture_bytes(p, sizeof p, i);
        sha256_once(s, p, sizeof p, &id);
        sha256_free(s);
        assert_true(index_known(f->repo->index, BLOB_DATA, &id));
    }
    fixture_free(f);
}

static void test_index_cache__is_left_aside_when_damaged(void **state)
{
    (void)state;
    struct err err;
    struct fixture *f = fixture_new(2);
    char cached[256], hex[ID_HEX_BYTES];
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    store_blobs(f, 0, 50);
    fixture_reopen(f, true);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    snprintf(cached, sizeof cached, "%s/%s/index", f->cache, id_to_hex(&f->repo->config.id, hex));
    for (long at = 0; at < 2000; at += 97) { /* one changed byte at a time; then cut short */
        FILE *file = fopen(cached, "r+b");
        assert_non_null(file);
        fseek(file, at, SEEK_SET);
        int c = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(c ^ 0x20, file);
        fclose(file);
        fixture_reopen(f, true);
        fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
        assert_int_equal(index_loaded_count(f->repo->index), 50);
    }
    assert_int_equal(truncate(cached, 40), 0);
    fixture_reopen(f, true);
    fixture_ok(repo_load_index(f->repo, NULL, &err), &err);
    assert_int_equal(index_loaded_count(f->repo->index), 50);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index__finds_every_loaded_blob),
        cmocka_unit_test(test_index__is_empty_without_blobs),
        cmocka_unit_test(test_index__drops_exact_duplicates_and_keeps_other_places),
        cmocka_unit_test(test_index__costs_at_most_50_bytes_a_blob),
        cmocka_unit_test(test_index__claims_each_blob_once),
        cmocka_unit_test(test_index_decode__reads_both_versions_and_skips_unknown_keys),
        cmocka_unit_test(test_index_decode__refuses_what_is_malformed),
        cmocka_unit_test(test_index_encode__is_read_back),
        cmocka_unit_test(test_index_cache__gives_what_the_index_files_give),
        cmocka_unit_test(test_index_cache__is_left_aside_when_damaged),
    };
    return cmocka_run_group_tests_name("index", tests, NULL, NULL);
}
