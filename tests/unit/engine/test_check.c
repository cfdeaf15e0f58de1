/* Checking: what is found, and which files it touches. */
#include "engine_fixture.h"
#include "engine/check_subset.h"

static const struct spec FIRST[] = {{"a", 1, 3000}, {"b", 2, 2500}};
static const struct spec SECOND[] = {{"a", 1, 3000}, {"c", 3, 1500}};

static struct findings found;

static void test_check__finds_nothing_wrong_in_a_sound_repository(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        struct fixture *f = fixture_new(version);
        run_check(f, true, true, &found); /* an empty one */
        add_snapshot(f, 0, FIRST, 2);
        add_snapshot(f, 1, SECOND, 2);
        struct check_result r = run_check(f, true, true, &found);
        assert_int_equal(r.errors, 0);
        assert_int_equal(r.snapshots, 2);
        assert_int_equal(r.trees, 4);
        assert_int_equal(r.packs, 4);
        assert_int_equal(r.packs_read, 4);
        assert_int_equal(r.index_files, 2);
        assert_int_equal(found.damages, 0);
        assert_false(r.repair_index || r.repair_snapshots || r.prune);
        fixture_free(f);
    }
}

static void test_check__names_the_files_of_every_snapshot_that_a_missing_pack_touches(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    struct blob_place place = find_blob(f, &FIRST[0], 0);
    delete_file(f, STORE_PACK, &place.pack_id);
    struct check_result r = run_check(f, false, false, &found);
    assert_int_equal(r.errors, 1);
    assert_int_equal(found.kinds[CHECK_PACK_MISSING], 1);
    assert_string_equal(found.all_paths, "/dir/a\n/dir/b\n/dir/a\n");
    assert_int_equal(r.damaged_paths, 3);
    assert_true(r.repair_index && r.repair_snapshots);
    fixture_free(f);
}

static void test_check__names_the_directory_when_its_tree_is_gone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct id snapshot = add_snapshot(f, 0, FIRST, 2);
    struct id pack = tree_pack(f, &snapshot);
    delete_file(f, STORE_PACK, &pack);
    struct check_result r = run_check(f, false, false, &found);
    assert_int_equal(r.errors, 1); /* the pack; the tree in it needs no line of its own */
    assert_string_equal(found.all_paths, "//\n");
    fixture_free(f);
}

static void test_check__a_cut_pack_is_read_to_learn_what_is_lost(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    struct blob_place last = find_blob(f, &FIRST[1], 2);
    cut_file(f, STORE_PACK, &last.pack_id, last.offset + 10);
    struct check_result r = run_check(f, false, false, &found);
    assert_int_equal(found.kinds[CHECK_PACK_SIZE], 1);
    assert_int_equal(found.kinds[CHECK_BLOB], 1);
    assert_int_equal(r.packs_read, 1);
    assert_string_equal(found.all_paths, "/dir/b\n"); /* a, in the same pack, is whole */
    fixture_free(f);
}

static void test_check__a_longer_pack_is_an_error_that_touches_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    struct blob_place place = find_blob(f, &FIRST[0], 0);
    cut_file(f, STORE_PACK, &place.pack_id, 100000);
    run_check(f, false, false, &found);
    assert_int_equal(found.kinds[CHECK_PACK_SIZE], 1);
    assert_int_equal(found.damages, 0);
    fixture_free(f);
}

static void test_check__says_when_an_index_file_or_a_snapshot_is_broken(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    struct id snapshot = add_snapshot(f, 1, SECOND, 2);
    struct id index = nth_file(f, STORE_INDEX, 0);
    flip_byte(f, STORE_INDEX, &index, 30);
    flip_byte(f, STORE_SNAPSHOT, &snapshot, 30);
    struct check_result r = run_check(f, false, false, &found);
    assert_int_equal(found.kinds[CHECK_INDEX_FILE], 1);
    assert_int_equal(found.kinds[CHECK_SNAPSHOT], 1);
    assert_true(r.repair_index);
    assert_int_equal(r.unused_packs, 2);
    fixture_free(f);
}

static void test_check__missing_blobs_are_told_once_and_files_each_time(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    struct id first_index = nth_file(f, STORE_INDEX, 0);
    add_snapshot(f, 1, SECOND, 2);
    delete_file(f, STORE_INDEX, &first_index);
    struct check_result r = run_check(f, false, false, &found);
    assert_int_equal(found.kinds[CHECK_BLOB_MISSING],
                     1 + 3); /* FIRST's root; the three blobs of a, which SECOND needs too */
    assert_string_equal(found.all_paths, "//\n/dir/a\n");
    assert_true(r.repair_index);
    fixture_free(f);
}

static void test_check__reports_malformed_trees(void **state)
{
    (void)state;
    static const char *const TREES[] = {
        "no tree at all",
        "{\"nodes\":[{\"name\":\"b\",\"type\":\"file\",\"content\":[]},{\"name\":\"a\",\"type\":\"file\",\"content\":[]"
        "}]}\n",
        "{\"nodes\":[{\"name\":\"d\",\"type\":\"dir\"}]}\n",
    };
    struct fixture *f = fixture_new(2);
    for (size_t i = 0; i < 3; i++) {
        struct id root;
        struct sha256 *sha = sha256_new();
        const struct raw_blob blob = {BLOB_TREE, TREES[i], strlen(TREES[i])};
        craft_pack(f, &blob, 1, false);
        sha256_once(sha, TREES[i], strlen(TREES[i]), &root);
        sha256_free(sha);
        save_snapshot(f, &root, (int64_t)i, "host", "/", NULL);
    }
    struct check_result r = run_check(f, false, false, &found);
    assert_int_equal(r.errors, 3);
    assert_int_equal(found.kinds[CHECK_TREE], 3);
    assert_string_equal(found.all_paths, "//\n//\n/d/\n");
    fixture_free(f);
}

static void test_check__counts_duplicates_and_unused_things_as_notes(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    unsigned char again[1000];
    fixture_bytes(again, sizeof again, 1);
    const struct raw_blob blobs[] = {{BLOB_DATA, again, sizeof again}, {BLOB_DATA, "nobody needs it", 15}};
    craft_pack(f, blobs, 2, false);
    craft_pack(f, &blobs[1], 1, true);
    struct check_result r = run_check(f, true, false, &found);
    assert_int_equal(r.errors, 0);
    assert_int_equal(r.unused_packs, 1);
    assert_int_equal(r.duplicate_blobs, 1);
    assert_int_equal(r.unused_blobs, 1);
    assert_true(r.prune);
    r = run_check(f, false, true, &found);
    assert_int_equal(r.errors, 1);
    assert_int_equal(found.kinds[CHECK_UNUSED_BLOB], 1);
    fixture_free(f);
}

static void test_check__a_damaged_copy_of_a_duplicate_touches_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    unsigned char again[1000];
    fixture_bytes(again, sizeof again, 1);
    const struct raw_blob blob = {BLOB_DATA, again, sizeof again};
    struct id copy = craft_pack(f, &blob, 1, false);
    flip_byte(f, STORE_PACK, &copy, 50);
    struct check_result r = run_check(f, true, false, &found);
    assert_int_equal(found.kinds[CHECK_BLOB], 1);
    assert_int_equal(r.damaged_paths, 0);
    fixture_free(f);
}

/* An index that says other things than the pack's header: offsets shifted so that blobs overlap, and a blob left out.
 */
static void test_check__compares_the_index_with_the_headers(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    const struct raw_blob raw[] = {{BLOB_DATA, "one", 3}, {BLOB_DATA, "two", 3}};
    struct pack_blob *blobs, other[2];
    size_t count;
    struct id pack = craft_pack(f, raw, 2, true);
    char path[256];
    struct stat st;
    assert_int_equal(stat(stored_path(f, STORE_PACK, &pack, path), &st), 0);
    fixture_ok(repo_load_pack_header(f->repo, f->codec, &pack, (uint64_t)st.st_size, &blobs, &count, &err), &err);
    memcpy(other, blobs, sizeof other);
    for (int round = 0; round < 2; round++) {
        struct copy c = begin_copy(f);
        if (round == 0)
            other[1].offset = 1; /* overlaps the first */
        else
            other[1] = blobs[1], other[1].id.bytes[0] ^= 1; /* another blob at its place */
        index_now(f);
        struct writer *w = writer_new(f->repo, false, &err);
        fixture_ok(writer_index_pack(w, &pack, other, 2, &err), &err);
        fixture_ok(writer_flush(w, &err), &err);
        writer_free(w);
        struct check_result r = run_check(f, true, false, &found);
        assert_true(found.kinds[CHECK_PACK_INDEX] >= 1);
        assert_int_equal(found.kinds[CHECK_BLOB], 1);
        assert_true(r.repair_index);
        end_copy(f, &c);
    }
    free(blobs);
    fixture_free(f);
}

/* Every byte of every pack: the check finds it, and it names the file if the byte is a file's. */
static void test_check__finds_every_flipped_byte(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    static const struct spec SMALL[] = {{"a", 1, 60}};
    struct err err;
    struct stored_files packs;
    add_snapshot(f, 0, SMALL, 1);
    struct copy c = begin_copy(f);
    fixture_ok(stored_files_list(f->repo->store, STORE_PACK, &packs, &err), &err);
    for (size_t p = 0; p < packs.count; p++) {
        for (uint64_t at = 0; at < packs.items[p].bytes; at++) {
            flip_byte(f, STORE_PACK, &packs.items[p].id, (off_t)at);
            struct check_result r = run_check(f, true, false, &found);
            if (r.errors == 0)
                fail_msg("pack %zu: byte %llu", p, (unsigned long long)at);
            flip_byte(f, STORE_PACK, &packs.items[p].id, (off_t)at);
        }
    }
    assert_clean(f);
    stored_files_release(&packs);
    end_copy(f, &c);
    fixture_free(f);
}

static void test_check__a_failing_store_is_an_error_or_a_finding_but_never_clean(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    const struct check_options options = {.read = {.kind = CHECK_READ_ALL}};
    const struct check_reporter reporter = {.ctx = &found, .problem = note_problem, .damage = NULL};
    struct copy c = begin_copy(f);
    for (unsigned long call = 1;; call++) {
        struct err err;
        struct check_result r;
        found = (struct findings){0};
        begin_fault(f, STORE_FAULT_FAIL, call);
        int rc = check_run(f->repo, NULL, &options, &reporter, NULL, &r, &err);
        if (end_fault(f) < call)
            break;
        assert_true(rc != 0 || r.errors > 0);
    }
    end_copy(f, &c);
    fixture_free(f);
}

static void test_check_subset__parses_parts_shares_and_sizes(void **state)
{
    (void)state;
    struct check_subset s;
    struct err err;
    assert_int_equal(check_subset_parse("2/5", &s, &err), 0);
    assert_true(s.kind == CHECK_READ_PART && s.part == 2 && s.parts == 5);
    assert_int_equal(check_subset_parse("2.5%", &s, &err), 0);
    assert_true(s.kind == CHECK_READ_PERCENT && s.percent > 2.4 && s.percent < 2.6);
    assert_int_equal(check_subset_parse("3M", &s, &err), 0);
    assert_true(s.kind == CHECK_READ_BYTES && s.bytes == 3 << 20);
    static const char *const BAD[] = {"",     "0/5", "6/5", "1/257", "1/", "/2",  "1/2x", "0%",
                                      "101%", "-3%", "x%",  "0",     "-1", "12X", "1/-2", "5%x"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_int_equal(check_subset_parse(BAD[i], &s, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

static void test_check_subset__chooses_what_was_asked_for(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct stored_files files;
    for (uint32_t i = 0; i < 20; i++) {
        const struct spec spec = {"a", i + 1, 500};
        add_snapshot(f, i, &spec, 1);
    }
    index_now(f);
    fixture_ok(stored_files_list(f->repo->store, STORE_PACK, &files, &err), &err);
    size_t all = index_pack_count(f->repo->index), sum = 0;
    assert_int_equal(all, 40);
    uint32_t *packs = mem_array(NULL, all, sizeof *packs);
    static const struct {
        struct check_subset subset;
        size_t at_least, at_most;
    } CASES[] = {
        {{.kind = CHECK_READ_NONE}, 0, 0},
        {{.kind = CHECK_READ_ALL}, 40, 40},
        {{.kind = CHECK_READ_PERCENT, .percent = 100}, 40, 40},
        {{.kind = CHECK_READ_PERCENT, .percent = 10}, 4, 5},
        {{.kind = CHECK_READ_PERCENT, .percent = 0.01}, 1, 1},
        {{.kind = CHECK_READ_BYTES, .bytes = 1}, 1, 1},
        {{.kind = CHECK_READ_BYTES, .bytes = 1000}, 1, 4},
        {{.kind = CHECK_READ_BYTES, .bytes = 1 << 30}, 40, 40},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        size_t count = all;
        for (uint32_t p = 0; p < all; p++)
            packs[p] = p;
        fixture_ok(check_subset_choose(&CASES[i].subset, f->repo->index, &files, packs, &count, &err), &err);
        assert_in_range(count, CASES[i].at_least, CASES[i].at_most);
    }
    for (unsigned part = 1; part <= 3; part++) { /* together they are all */
        const struct check_subset third = {.kind = CHECK_READ_PART, .part = part, .parts = 3};
        size_t count = all;
        for (uint32_t p = 0; p < all; p++)
            packs[p] = p;
        fixture_ok(check_subset_choose(&third, f->repo->index, &files, packs, &count, &err), &err);
        sum += count;
    }
    assert_int_equal(sum, all);
    free(packs);
    stored_files_release(&files);
    fixture_free(f);
}

static void test_check__nobody_need_listen(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct check_result r;
    const struct check_reporter deaf = {0};
    const struct check_options options = {.read = {.kind = CHECK_READ_ALL}};
    add_snapshot(f, 0, FIRST, 2);
    struct blob_place place = find_blob(f, &FIRST[0], 0);
    flip_byte(f, STORE_PACK, &place.pack_id, (off_t)place.offset + 20);
    for (int i = 0; i < 2; i++) {
        fixture_ok(check_run(f->repo, NULL, &options, i == 0 ? NULL : &deaf, NULL, &r, &err), &err);
        assert_int_equal(r.errors, 1);
        assert_int_equal(r.damaged_paths, 1);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__finds_nothing_wrong_in_a_sound_repository),
        cmocka_unit_test(test_check__names_the_files_of_every_snapshot_that_a_missing_pack_touches),
        cmocka_unit_test(test_check__names_the_directory_when_its_tree_is_gone),
        cmocka_unit_test(test_check__a_cut_pack_is_read_to_learn_what_is_lost),
        cmocka_unit_test(test_check__a_longer_pack_is_an_error_that_touches_nothing),
        cmocka_unit_test(test_check__says_when_an_index_file_or_a_snapshot_is_broken),
        cmocka_unit_test(test_check__missing_blobs_are_told_once_and_files_each_time),
        cmocka_unit_test(test_check__reports_malformed_trees),
        cmocka_unit_test(test_check__counts_duplicates_and_unused_things_as_notes),
        cmocka_unit_test(test_check__a_damaged_copy_of_a_duplicate_touches_nothing),
        cmocka_unit_test(test_check__compares_the_index_with_the_headers),
        cmocka_unit_test(test_check__finds_every_flipped_byte),
        cmocka_unit_test(test_check__a_failing_store_is_an_error_or_a_finding_but_never_clean),
        cmocka_unit_test(test_check__nobody_need_listen),
        cmocka_unit_test(test_check_subset__parses_parts_shares_and_sizes),
        cmocka_unit_test(test_check_subset__chooses_what_was_asked_for),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
