/* Confirming a snapshot: what is looked at, what is read first, and what is said about damage. */
#include "engine_fixture.h"
#include "engine/confirm.h"

static const struct spec FIRST[] = {{"a", 1, 3000}, {"b", 2, 2500}};
static const struct spec SECOND[] = {{"a", 1, 3000}, {"c", 3, 1500}};

enum { PLENTY = 1 << 30 };

static struct findings found;

static int confirm(struct fixture *f, const struct id *snapshot, uint64_t read_bytes_max, struct confirm_result *out,
                   struct err *err)
{
    const struct check_reporter reporter = {.ctx = &found, .problem = note_problem, .damage = note_damage};
    found = (struct findings){0};
    *err = (struct err){0};
    return confirm_snapshots(f->repo, NULL, snapshot, 1, read_bytes_max, &reporter, NULL, out, err);
}

/* SECOND on top of FIRST, which is its parent. */
static struct id add_child(struct fixture *f, const struct id *parent)
{
    struct err err;
    struct snapshot s;
    struct id plain = add_snapshot(f, 1, SECOND, 2);
    fixture_ok(repo_load_snapshot(f->repo, &plain, &s, &err), &err);
    remove_snapshot(f, &plain);
    s.has_parent = true;
    s.parent = *parent;
    fixture_ok(repo_save_snapshot(f->repo, f->codec, &s, &err), &err);
    struct id id = s.id;
    snapshot_release(&s);
    return id;
}

static void test_confirm__reads_everything_that_the_bytes_allow(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        struct fixture *f = fixture_new(version);
        struct err err;
        struct confirm_result r;
        struct id id = add_snapshot(f, 0, FIRST, 2);
        fixture_ok(confirm(f, &id, PLENTY, &r, &err), &err);
        assert_int_equal(r.problems, 0);
        assert_int_equal(r.trees, 2);
        assert_int_equal(r.blobs, 2 + 6);
        assert_int_equal(r.packs, 2);
        assert_int_equal(r.packs_read, 1); /* that of the data; trees were read by the walk */
        assert_int_equal(r.new_bytes_read, r.new_bytes);
        fixture_free(f);
    }
}

static void test_confirm__reads_what_is_new_first(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct confirm_result r;
    struct id parent = add_snapshot(f, 0, FIRST, 2), id = add_child(f, &parent);
    struct blob_place old = find_blob(f, &FIRST[0], 0), fresh = find_blob(f, &SECOND[1], 0);
    char path[256];
    struct stat st;
    assert_int_equal(stat(stored_path(f, STORE_PACK, &fresh.pack_id, path), &st), 0);
    flip_byte(f, STORE_PACK, &old.pack_id, (off_t)old.offset + 20);
    fixture_ok(confirm(f, &id, (uint64_t)st.st_size, &r, &err), &err); /* enough for the new pack alone */
    assert_int_equal(r.packs_read, 1);
    assert_int_equal(r.bytes_read, st.st_size);
    assert_int_equal(r.new_bytes_read, r.new_bytes);
    assert_int_equal(confirm(f, &id, PLENTY, &r, &err), -1);
    assert_int_equal(r.packs_read, 2);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(found.kinds[CHECK_BLOB], 1);
    assert_string_equal(found.all_paths, "/dir/a\n");
    fixture_free(f);
}

static void test_confirm__reads_part_of_a_pack_that_is_too_large(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct confirm_result r;
    struct id id = add_snapshot(f, 0, FIRST, 2);
    struct blob_place first = find_blob(f, &FIRST[0], 0), second = find_blob(f, &FIRST[0], 1);
    fixture_ok(confirm(f, &id, first.length + 10, &r, &err), &err);
    assert_int_equal(r.packs_read, 0);
    assert_int_equal(r.bytes_read, first.length);
    fixture_ok(confirm(f, &id, 0, &r, &err), &err);
    assert_int_equal(r.bytes_read, 0);
    flip_byte(f, STORE_PACK, &second.pack_id, (off_t)second.offset + 20);
    fixture_ok(confirm(f, &id, first.length + 10, &r, &err), &err); /* not looked at */
    assert_int_equal(confirm(f, &id, first.length + second.length, &r, &err), -1);
    assert_int_equal(r.problems, 1);
    assert_string_equal(found.all_paths, "/dir/a\n");
    fixture_free(f);
}

static void test_confirm__finds_packs_that_are_gone_or_short(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct confirm_result r;
    struct id id = add_snapshot(f, 0, FIRST, 2), trees = tree_pack(f, &id);
    struct blob_place last = find_blob(f, &FIRST[1], 2);
    cut_file(f, STORE_PACK, &last.pack_id, last.offset + 10);
    assert_int_equal(confirm(f, &id, 0, &r, &err), -1);
    assert_int_equal(found.kinds[CHECK_PACK_SIZE], 1);
    delete_file(f, STORE_PACK, &last.pack_id);
    assert_int_equal(confirm(f, &id, 0, &r, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(r.problems, 1);
    assert_non_null(strstr(err.message, "is not there"));
    assert_string_equal(found.all_paths, "/dir/a\n/dir/b\n");
    delete_file(f, STORE_PACK, &trees);
    fixture_reopen(f, false); /* a file that was open is still there for who opened it */
    assert_int_equal(confirm(f, &id, 0, &r, &err), -1);
    assert_int_equal(found.kinds[CHECK_PACK_MISSING], 1); /* what only the trees could tell is not known */
    assert_string_equal(found.all_paths, "//\n");
    fixture_free(f);
}

static void test_confirm__finds_blobs_that_no_index_names(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct confirm_result r;
    add_snapshot(f, 0, FIRST, 2);
    struct id index = nth_file(f, STORE_INDEX, 0);
    struct id id = add_snapshot(f, 1, SECOND, 2);
    delete_file(f, STORE_INDEX, &index);
    assert_int_equal(confirm(f, &id, PLENTY, &r, &err), -1);
    assert_int_equal(found.kinds[CHECK_BLOB_MISSING], 3);
    assert_non_null(strstr(err.message, "(and 2 more)"));
    fixture_free(f);
}

static void test_confirm__other_snapshots_damage_is_not_its_own(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct confirm_result r;
    struct id other = add_snapshot(f, 0, (const struct spec[]){{"x", 9, 500}}, 1), pack = tree_pack(f, &other);
    struct id id = add_child(f, &other);
    delete_file(f, STORE_PACK, &pack); /* of the parent's trees: then everything counts as new */
    fixture_ok(confirm(f, &id, PLENTY, &r, &err), &err);
    assert_int_equal(r.new_bytes_read, r.new_bytes);
    assert_true(r.new_bytes > 0);
    remove_snapshot(f, &other);
    fixture_ok(confirm(f, &id, PLENTY, &r, &err), &err);
    fixture_free(f);
}

static void test_confirm__nobody_need_listen(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct confirm_result r;
    const struct check_reporter deaf = {0};
    struct id id = add_snapshot(f, 0, FIRST, 2), unknown = {{7}};
    struct blob_place place = find_blob(f, &FIRST[0], 0);
    fixture_ok(confirm_snapshots(f->repo, NULL, &id, 1, PLENTY, NULL, NULL, &r, &err), &err);
    flip_byte(f, STORE_PACK, &place.pack_id, (off_t)place.offset + 20);
    assert_int_equal(confirm_snapshots(f->repo, NULL, &id, 1, PLENTY, &deaf, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_int_equal(confirm_snapshots(f->repo, NULL, &unknown, 1, PLENTY, NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    fixture_free(f);
}

static void test_confirm__several_read_each_pack_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err = {0};
    struct confirm_result one, both;
    struct id ids[2];
    ids[0] = add_snapshot(f, 0, FIRST, 2);
    ids[1] = add_child(f, &ids[0]);
    fixture_ok(confirm(f, &ids[1], PLENTY, &one, &err), &err);
    assert_int_equal(one.packs_read, 2);
    fixture_ok(confirm_snapshots(f->repo, NULL, ids, 2, PLENTY, NULL, NULL, &both, &err), &err);
    assert_int_equal(both.packs_read, 2);
    assert_int_equal(both.bytes_read, one.bytes_read);
    assert_int_equal(both.new_bytes_read, both.new_bytes);
    assert_true(both.trees > one.trees && both.new_bytes > one.new_bytes);
    fixture_ok(confirm_snapshots(f->repo, NULL, ids, 0, PLENTY, NULL, NULL, &both, &err), &err);
    assert_int_equal(both.packs_read, 0);
    fixture_free(f);
}

/* What is new in each is read, though the sample of what is old was used up by another. */
static void test_confirm__several_share_the_bytes_for_what_is_old(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err = {0};
    struct confirm_result r;
    struct id ids[3], parent = add_snapshot(f, 0, FIRST, 2);
    struct blob_place old = find_blob(f, &FIRST[0], 0), fresh;
    char path[256];
    struct stat st;
    ids[0] = ids[2] = add_child(f, &parent);
    ids[1] = parent;
    fresh = find_blob(f, &SECOND[1], 0);
    assert_int_equal(stat(stored_path(f, STORE_PACK, &old.pack_id, path), &st), 0);
    uint64_t old_bytes = (uint64_t)st.st_size;
    assert_int_equal(stat(stored_path(f, STORE_PACK, &fresh.pack_id, path), &st), 0);
    /* Enough for the old pack, or for the new one and too little of the old one. */
    fixture_ok(confirm_snapshots(f->repo, NULL, ids, 2, old_bytes, NULL, NULL, &r, &err), &err);
    assert_int_equal(r.new_bytes_read, r.new_bytes);
    assert_int_equal(r.packs_read, 2);
    flip_byte(f, STORE_PACK, &fresh.pack_id, (off_t)fresh.offset + 20);
    assert_int_equal(confirm_snapshots(f->repo, NULL, ids + 1, 2, old_bytes, NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    fixture_ok(confirm_snapshots(f->repo, NULL, ids + 1, 1, old_bytes, NULL, NULL, &r, &err), &err);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confirm__reads_everything_that_the_bytes_allow),
        cmocka_unit_test(test_confirm__reads_what_is_new_first),
        cmocka_unit_test(test_confirm__reads_part_of_a_pack_that_is_too_large),
        cmocka_unit_test(test_confirm__finds_packs_that_are_gone_or_short),
        cmocka_unit_test(test_confirm__finds_blobs_that_no_index_names),
        cmocka_unit_test(test_confirm__other_snapshots_damage_is_not_its_own),
        cmocka_unit_test(test_confirm__nobody_need_listen),
        cmocka_unit_test(test_confirm__several_read_each_pack_once),
        cmocka_unit_test(test_confirm__several_share_the_bytes_for_what_is_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
