/* Repairing the index and snapshots. */
#include <errno.h>
#include "engine_fixture.h"
#include "engine/repair.h"

static const struct spec FIRST[] = {{"a", 1, 3000}, {"b", 2, 2500}};
static const struct spec SECOND[] = {{"a", 1, 3000}, {"c", 3, 1500}};

static struct findings found;

static void count_finding(void *ctx, const char *message)
{
    assert_true(strlen(message) > 5);
    ++*(unsigned *)ctx;
}

static struct repair_index_result repair_index_as(struct fixture *f, const struct repair_index_options *options)
{
    struct err err;
    struct repair_index_result r;
    unsigned findings = 0;
    const struct repair_reporter reporter = {.ctx = &findings, .finding = count_finding};
    index_free(f->repo->index);
    f->repo->index = NULL;
    fixture_ok(repair_index_run(f->repo, NULL, options, &reporter, NULL, &r, &err), &err);
    assert_null(f->repo->index);
    if (r.packs_missing + r.packs_damaged + r.index_broken > 0)
        assert_true(findings > 0);
    return r;
}

static struct repair_index_result repair_index(struct fixture *f, bool read_all, bool dry_run)
{
    return repair_index_as(f, &(struct repair_index_options){.read_all_packs = read_all, .dry_run = dry_run});
}

/*
 * The index.
 */

static void test_repair_index__leaves_a_right_index_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    struct repair_index_result r = repair_index(f, false, false);
    assert_int_equal(r.packs_kept, 4);
    assert_int_equal(r.index_written, 0);
    assert_int_equal(r.index_removed, 0);
    r = repair_index(f, true, false); /* … unless told to read all */
    assert_int_equal(r.packs_added, 4);
    assert_int_equal(r.index_written, 1);
    assert_int_equal(r.index_removed, 2);
    assert_clean(f);
    fixture_free(f);
}

static void test_repair_index__takes_in_packs_that_no_index_names(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    struct id index = nth_file(f, STORE_INDEX, 1);
    delete_file(f, STORE_INDEX, &index);
    struct repair_index_result r = repair_index(f, false, true);
    assert_int_equal(r.packs_added, 2);
    assert_int_equal(count_files(f, STORE_INDEX), 1);
    r = repair_index(f, false, false);
    assert_int_equal(r.packs_added, 2);
    assert_int_equal(r.packs_kept, 2);
    assert_clean(f);
    fixture_free(f);
}

static void test_repair_index__replaces_a_broken_index_file(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    struct id index = nth_file(f, STORE_INDEX, 0);
    flip_byte(f, STORE_INDEX, &index, 40);
    struct repair_index_result r = repair_index(f, false, false);
    assert_int_equal(r.index_broken, 1);
    assert_int_equal(r.index_removed, 1);
    assert_int_equal(r.index_written, 1);
    assert_clean(f);
    fixture_free(f);
}

static void test_repair_index__takes_out_packs_that_are_gone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    struct blob_place place = find_blob(f, &FIRST[1], 0);
    delete_file(f, STORE_PACK, &place.pack_id);
    struct repair_index_result r = repair_index(f, false, false);
    assert_int_equal(r.packs_missing, 1);
    assert_int_equal(r.packs_kept, 3);
    run_check(f, true, false, &found);
    assert_int_equal(found.kinds[CHECK_PACK_MISSING], 0);
    assert_int_equal(found.kinds[CHECK_BLOB_MISSING], 3 + 3);
    assert_string_equal(found.all_paths, "/dir/a\n/dir/b\n/dir/a\n");
    fixture_free(f);
}

static void test_repair_index__salvages_the_good_blobs_of_a_cut_pack(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    struct blob_place last = find_blob(f, &FIRST[1], 2);
    cut_file(f, STORE_PACK, &last.pack_id, last.offset + 5);
    struct repair_index_result r = repair_index(f, false, true);
    assert_int_equal(r.blobs_salvaged, 5);
    assert_int_equal(count_files(f, STORE_PACK), 2);
    r = repair_index(f, false, false);
    assert_int_equal(r.packs_damaged, 1);
    assert_int_equal(r.blobs_salvaged, 5);
    struct check_result checked = run_check(f, true, false, &found);
    assert_int_equal(checked.errors, 1);
    assert_int_equal(found.kinds[CHECK_BLOB_MISSING], 1);
    assert_string_equal(found.all_paths, "/dir/b\n");
    assert_int_equal(checked.unused_packs, 1); /* the cut one, still there */
    fixture_free(f);
}

static void test_repair_index__keeps_what_it_knows_of_a_pack_with_a_damaged_header(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    struct blob_place last = find_blob(f, &FIRST[1], 2);
    flip_byte(f, STORE_PACK, &last.pack_id, last.offset + last.length + 3);
    struct repair_index_result r = repair_index(f, true, false);
    assert_int_equal(r.packs_header_damaged, 1);
    assert_int_equal(r.packs_damaged, 0);
    assert_int_equal(r.packs_added, 1);
    run_check(f, true, false, &found);
    assert_int_equal(found.damages, 0);
    fixture_free(f);
}

/* Whether index files describe the pack or it is asked itself: what is damaged leaves, all else is known afterwards. */
static void test_repair_index__takes_damaged_data_out_of_the_index(void **state)
{
    (void)state;
    for (unsigned read_all = 0; read_all < 2; read_all++) {
        struct fixture *f = fixture_new(2);
        add_snapshot(f, 0, FIRST, 2);
        struct blob_place last = find_blob(f, &FIRST[1], 2);
        flip_byte(f, STORE_PACK, &last.pack_id, last.offset + 3);
        struct repair_index_options options = {.read_all_packs = read_all == 1, .read_data = true, .dry_run = true};
        assert_int_equal(repair_index_as(f, &options).packs_damaged, 1);
        assert_int_equal(count_files(f, STORE_PACK), 2);
        options.dry_run = false;
        struct repair_index_result r = repair_index_as(f, &options);
        assert_int_equal(r.packs_damaged, 1);
        assert_int_equal(r.packs_kept + r.packs_added, 1);
        assert_int_equal(r.blobs_salvaged, 5);
        struct check_result checked = run_check(f, true, false, &found);
        assert_int_equal(checked.errors, 1);
        assert_int_equal(found.kinds[CHECK_BLOB_MISSING], 1);
        assert_string_equal(found.all_paths, "/dir/b\n");
        assert_int_equal(checked.unused_packs, 1);
        fixture_free(f);
    }
}

static void test_repair_index__takes_a_pack_with_a_damaged_header_out_of_the_index(void **state)
{
    (void)state;
    for (unsigned read_all = 0; read_all < 2; read_all++) {
        struct fixture *f = fixture_new(2);
        add_snapshot(f, 0, FIRST, 2);
        struct blob_place last = find_blob(f, &FIRST[1], 2);
        flip_byte(f, STORE_PACK, &last.pack_id, last.offset + last.length + 3);
        const struct repair_index_options options = {.read_all_packs = read_all == 1, .read_data = true};
        struct repair_index_result r = repair_index_as(f, &options);
        assert_int_equal(r.packs_damaged, 1);
        assert_int_equal(r.blobs_salvaged, 6);
        assert_int_equal(run_check(f, true, false, &found).errors, 0);
        fixture_free(f);
    }
}

static void test_repair_index__failing_anywhere_loses_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    struct id lost = nth_file(f, STORE_INDEX, 0);
    add_snapshot(f, 1, SECOND, 2);
    delete_file(f, STORE_INDEX, &lost);
    const struct raw_blob blob = {BLOB_DATA, "will be gone", 12};
    struct id pack = craft_pack(f, &blob, 1, false);
    delete_file(f, STORE_PACK, &pack);
    static const enum store_fault KINDS[] = {STORE_FAULT_FAIL, STORE_FAULT_ONCE, STORE_FAULT_TEAR, STORE_FAULT_LATE};
    for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
        for (unsigned long call = 1, calls = call; call <= calls; call++) {
            struct err err;
            struct repair_index_result r;
            const struct repair_index_options options = {0};
            struct copy c = begin_copy(f);
            begin_fault(f, KINDS[k], call);
            repair_index_run(f->repo, NULL, &options, NULL, NULL, &r, &err);
            calls = end_fault(f);
            repair_index(f, false, false);
            assert_clean(f);
            end_copy(f, &c);
        }
    }
    fixture_free(f);
}

/* A store that fails once, whenever that is, drops nothing from the index that is there and whole. */
static void test_repair_index__one_failed_read_drops_no_pack(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    for (unsigned how = 0; how < 4; how++) {
        for (unsigned long call = 1, calls = call; call <= calls; call++) {
            struct err err;
            struct repair_index_result r;
            const struct repair_index_options options = {.read_all_packs = (how & 1) != 0, .read_data = (how & 2) != 0};
            struct copy c = begin_copy(f);
            begin_fault(f, STORE_FAULT_ONCE, call);
            int rc = repair_index_run(f->repo, NULL, &options, NULL, NULL, &r, &err);
            calls = end_fault(f);
            if (rc == 0) {
                assert_int_equal(r.packs_damaged + r.index_broken, 0);
                assert_int_equal(r.packs_kept + r.packs_added, 4);
            }
            struct check_result checked = run_check(f, true, false, &found);
            assert_int_equal(checked.errors, 0);
            assert_int_equal(checked.unused_packs, 0);
            end_copy(f, &c);
        }
    }
    fixture_free(f);
}

/*
 * A pack that cannot be read at all.
 */

static struct store_ops refusing_ops;
static int (*plain_read)(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out,
                         size_t len, struct err *err);
static struct id refused_pack;
static int refused_errno;

static int refuse_read(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out, size_t len,
                       struct err *err)
{
    char hex[ID_HEX_BYTES];
    if (type == STORE_PACK && strcmp(name, id_to_hex(&refused_pack, hex)) == 0)
        return err_errno(err, refused_errno, "cannot open pack");
    return plain_read(s, type, name, offset, out, len, err);
}

/* One that we may not read, or not now, may be whole: it stays in the index. A bad sector is damage. */
static void test_repair_index__a_pack_that_may_not_be_read_stays(void **state)
{
    static const int ERRNOS[] = {EACCES, ESTALE, ETIMEDOUT, ENOENT, EMFILE, EIO};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof ERRNOS / sizeof *ERRNOS; i++) {
        struct fixture *f = fixture_new(2);
        struct err err;
        struct repair_index_result r;
        const struct store_ops *ops = f->repo->store->ops;
        const struct repair_index_options options = {.read_all_packs = i % 2 == 1, .read_data = true};
        add_snapshot(f, 0, FIRST, 2);
        refused_pack = find_blob(f, &FIRST[1], 2).pack_id;
        refused_errno = ERRNOS[i / 2];
        refusing_ops = *ops;
        plain_read = ops->read;
        refusing_ops.read = refuse_read;
        f->repo->store->ops = &refusing_ops;
        int rc = repair_index_run(f->repo, NULL, &options, NULL, NULL, &r, &err);
        f->repo->store->ops = ops;
        if (refused_errno == EIO) {
            assert_int_equal(rc, 0);
            assert_int_equal(r.packs_damaged, 1);
        } else {
            assert_int_equal(rc, -1);
            assert_clean(f);
        }
        fixture_free(f);
    }
}

/* An index file that the store does not give out now may be whole: it stays, while what it says is asked of the packs.
 */
static void test_repair_index__an_index_file_that_cannot_be_read_now_stays(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct repair_index_result r = {0};
    const struct repair_index_options options = {0};
    add_snapshot(f, 0, FIRST, 2);
    bool met = false;
    for (unsigned long call = 1; call < 12 && !met; call++) {
        struct copy c = begin_copy(f);
        begin_fault(f, STORE_FAULT_FAIL, call);
        repair_index_run(f->repo, NULL, &options, NULL, NULL, &r, &err);
        end_fault(f);
        met = r.index_unread > 0;
        assert_int_equal(r.index_removed, 0);
        assert_int_equal(count_files(f, STORE_INDEX), 1);
        assert_clean(f);
        end_copy(f, &c);
    }
    assert_true(met);
    fixture_free(f);
}

/*
 * Snapshots.
 */

struct notes {
    char paths[1024];
    unsigned snapshots, changed, findings;
    struct id new_id;
};

static void note_path(void *ctx, const struct snapshot *s, const char *path, bool is_dir, size_t lost, size_t parts)
{
    struct notes *n = ctx;
    size_t used = strlen(n->paths);
    assert_non_null(s);
    snprintf(n->paths + used, sizeof n->paths - used, "%s%s %zu/%zu\n", path, is_dir ? "/" : "", lost, parts);
}

static void note_snapshot(void *ctx, const struct repaired_snapshot *s)
{
    struct notes *n = ctx;
    n->snapshots++;
    n->changed += s->changed;
    if (!id_is_zero(&s->new_id))
        n->new_id = s->new_id;
}

static void note_finding(void *ctx, const char *message)
{
    struct notes *n = ctx;
    n->findings++;
    assert_non_null(message);
}

static struct repair_snapshots_result repair_snapshots(struct fixture *f,
                                                       const struct repair_snapshots_options *options, struct notes *n)
{
    struct err err;
    struct repair_snapshots_result r;
    const struct repair_snapshots_reporter reporter = {
        .ctx = n, .path = note_path, .snapshot = note_snapshot, .finding = note_finding};
    *n = (struct notes){0};
    fixture_ok(repair_snapshots_run(f->repo, NULL, options, &reporter, NULL, &r, &err), &err);
    return r;
}

static void load_snapshot(struct fixture *f, const struct id *id, struct snapshot *out)
{
    struct err err;
    struct buf json;
    buf_init(&json, 1 << 20);
    fixture_ok(repo_load_unpacked(f->repo, f->codec, STORE_SNAPSHOT, id, &json, &err), &err);
    fixture_ok(snapshot_decode((const char *)json.data, json.len, out, &err), &err);
    buf_release(&json);
}

static void test_repair_snapshots__leaves_whole_ones_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes n;
    add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    struct repair_snapshots_result r =
        repair_snapshots(f, &(struct repair_snapshots_options){.read_data = true, .forget = true}, &n);
    assert_int_equal(r.intact, 2);
    assert_int_equal(r.repaired + r.lost + r.removed, 0);
    assert_int_equal(count_files(f, STORE_SNAPSHOT), 2);
    fixture_free(f);
}

static void test_repair_snapshots__keeps_the_parts_of_files_that_are_left(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes n;
    struct id broken = add_snapshot(f, 0, FIRST, 2);
    struct blob_place lost = find_blob(f, &FIRST[0], 1);
    flip_byte(f, STORE_PACK, &lost.pack_id, lost.offset + 30);
    struct repair_snapshots_options options = {0};
    assert_int_equal(repair_snapshots(f, &options, &n).intact, 1); /* nobody has read it */
    options.read_data = true;
    options.dry_run = true;
    assert_int_equal(repair_snapshots(f, &options, &n).repaired, 1);
    assert_string_equal(n.paths, "/dir/a 1/3\n");
    assert_true(n.findings > 0);
    assert_int_equal(count_files(f, STORE_SNAPSHOT), 1);
    options.dry_run = false;
    assert_int_equal(repair_snapshots(f, &options, &n).repaired, 1);
    struct snapshot s;
    load_snapshot(f, &n.new_id, &s);
    assert_true(s.has_original && id_equal(&s.original, &broken));
    assert_true(strlist_contains(&s.tags, "repaired"));
    snapshot_release(&s);
    struct id first = n.new_id;
    assert_int_equal(repair_snapshots(f, &options, &n).repaired, 1); /* again: the same, and nothing new */
    assert_true(id_equal(&n.new_id, &first));
    assert_int_equal(count_files(f, STORE_SNAPSHOT), 2);
    run_check(f, true, false, &found);
    assert_string_equal(found.all_paths, "/dir/a\n"); /* of the broken one only */
    fixture_free(f);
}

static void test_repair_snapshots__forget_removes_the_broken_ones(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes n;
    struct id broken = add_snapshot(f, 0, FIRST, 2);
    add_snapshot(f, 1, SECOND, 2);
    struct blob_place lost = find_blob(f, &FIRST[1], 0);
    flip_byte(f, STORE_PACK, &lost.pack_id, lost.offset + 30);
    struct repair_snapshots_result r =
        repair_snapshots(f, &(struct repair_snapshots_options){.read_data = true, .forget = true}, &n);
    assert_int_equal(r.repaired, 1);
    assert_int_equal(r.removed, 1);
    char path[256];
    assert_int_equal(access(stored_path(f, STORE_SNAPSHOT, &broken, path), F_OK), -1);
    struct snapshot s;
    load_snapshot(f, &n.new_id, &s);
    assert_false(strlist_contains(&s.tags, "repaired"));
    snapshot_release(&s);
    run_check(f, true, false, &found);
    assert_int_equal(found.damages, 0);
    fixture_free(f);
}

static void test_repair_snapshots__looks_at_the_chosen_ones_only(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes n;
    add_snapshot(f, 0, FIRST, 2);
    struct id second = add_snapshot(f, 1, SECOND, 2);
    struct repair_snapshots_result r =
        repair_snapshots(f, &(struct repair_snapshots_options){.ids = &second, .id_count = 1}, &n);
    assert_int_equal(r.snapshots, 1);
    fixture_free(f);
}

/* /top/sub/<file>, with trees in packs of their own, and keys that we do not know. */
static void test_repair_snapshots__empties_lost_directories_and_keeps_unknown_keys(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        struct fixture *f = fixture_new(version);
        struct err err;
        struct notes n;
        struct sha256 *sha = sha256_new();
        struct id sub, top, root;
        char hex[ID_HEX_BYTES], sub_json[] = "{\"nodes\":[{\"name\":\"f\",\"type\":\"file\",\"content\":[]}]}\n";
        char empty_json[] = "{\"nodes\":[]}\n", top_json[512], root_json[512];
        sha256_once(sha, sub_json, strlen(sub_json), &sub);
        snprintf(top_json, sizeof top_json,
                 "{\"nodes\":[{\"name\":\"sub\",\"type\":\"dir\",\"new_key\":{\"x\":1},\"subtree\":\"%s\"}]}\n",
                 id_to_hex(&sub, hex));
        sha256_once(sha, top_json, strlen(top_json), &top);
        snprintf(root_json, sizeof root_json,
                 "{\"nodes\":[{\"name\":\"top\",\"type\":\"dir\",\"subtree\":\"%s\",\"generic_attributes\":{\"a\":"
                 "\"b\"}}]}\n",
                 id_to_hex(&top, hex));
        sha256_once(sha, root_json, strlen(root_json), &root);
        const struct raw_blob upper[] = {{BLOB_TREE, top_json, strlen(top_json)},
                                         {BLOB_TREE, root_json, strlen(root_json)}};
        const struct raw_blob lower[] = {{BLOB_TREE, sub_json, strlen(sub_json)},
                                         {BLOB_TREE, empty_json, strlen(empty_json)}};
        craft_pack(f, upper, 2, false);
        struct id pack = craft_pack(f, lower, 2, false); /* the empty tree is known, and lost too */
        save_snapshot(f, &root, 0, "host", "/top", NULL);
        save_snapshot(f, &sub, 1, "host", "/f", NULL); /* its root is lost */
        delete_file(f, STORE_PACK, &pack);
        struct repair_snapshots_result r = repair_snapshots(f, &(struct repair_snapshots_options){.forget = true}, &n);
        assert_int_equal(r.repaired, 1);
        assert_int_equal(r.lost, 1);
        assert_int_equal(r.removed, 2);
        assert_string_equal(n.paths, "/top/sub/ 1/1\n// 1/1\n");
        struct snapshot s;
        struct buf json;
        struct tree tree;
        buf_init(&json, 1 << 20);
        load_snapshot(f, &n.new_id, &s);
        repair_index(f, false, false); /* takes the lost pack out */
        index_now(f);
        fixture_ok(repo_load_tree(f->repo, f->codec, &s.tree, &json, &tree, &err), &err);
        assert_non_null(strstr((const char *)buf_cstr(&json), "\"generic_attributes\":{\"a\":\"b\"}"));
        top = tree.nodes[0].subtree;
        tree_release(&tree);
        fixture_ok(repo_load_tree(f->repo, f->codec, &top, &json, &tree, &err), &err);
        assert_non_null(strstr(buf_cstr(&json), "\"new_key\":{\"x\":1}"));
        tree_release(&tree);
        buf_release(&json);
        snapshot_release(&s);
        sha256_free(sha);
        assert_clean(f);
        fixture_free(f);
    }
}

static void test_repair_snapshots__refuses_a_broken_index(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct repair_snapshots_result r;
    const struct repair_snapshots_options options = {0};
    struct id snapshot = add_snapshot(f, 0, FIRST, 2);
    struct id index = nth_file(f, STORE_INDEX, 0);
    flip_byte(f, STORE_SNAPSHOT, &snapshot, 33); /* a broken snapshot is only named */
    flip_byte(f, STORE_INDEX, &index, 40);
    assert_int_equal(repair_snapshots_run(f->repo, NULL, &options, NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.message, "repair index"));
    fixture_free(f);
}

static void test_repair_snapshots__failing_anywhere_loses_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct id broken = add_snapshot(f, 0, FIRST, 2);
    struct id sound = add_snapshot(f, 1, SECOND, 2);
    struct blob_place lost = find_blob(f, &FIRST[1], 0);
    flip_byte(f, STORE_PACK, &lost.pack_id, lost.offset + 30);
    for (unsigned long call = 1, calls = call; call <= calls; call++) {
        struct err err;
        struct notes n;
        struct repair_snapshots_result r;
        char path[256];
        const struct repair_snapshots_options options = {.read_data = true, .forget = true};
        struct copy c = begin_copy(f);
        begin_fault(f, STORE_FAULT_FAIL, call);
        repair_snapshots_run(f->repo, NULL, &options, NULL, NULL, &r, &err);
        calls = end_fault(f);
        assert_int_equal(access(stored_path(f, STORE_SNAPSHOT, &sound, path), F_OK), 0);
        if (access(stored_path(f, STORE_SNAPSHOT, &broken, path), F_OK) == 0)
            assert_int_equal(repair_snapshots(f, &options, &n).repaired, 1);
        run_check(f, true, false, &found);
        assert_int_equal(found.damages, 0);
        end_copy(f, &c);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repair_index__leaves_a_right_index_alone),
        cmocka_unit_test(test_repair_index__takes_in_packs_that_no_index_names),
        cmocka_unit_test(test_repair_index__replaces_a_broken_index_file),
        cmocka_unit_test(test_repair_index__takes_out_packs_that_are_gone),
        cmocka_unit_test(test_repair_index__salvages_the_good_blobs_of_a_cut_pack),
        cmocka_unit_test(test_repair_index__keeps_what_it_knows_of_a_pack_with_a_damaged_header),
        cmocka_unit_test(test_repair_index__takes_damaged_data_out_of_the_index),
        cmocka_unit_test(test_repair_index__takes_a_pack_with_a_damaged_header_out_of_the_index),
        cmocka_unit_test(test_repair_index__failing_anywhere_loses_nothing),
        cmocka_unit_test(test_repair_index__one_failed_read_drops_no_pack),
        cmocka_unit_test(test_repair_index__a_pack_that_may_not_be_read_stays),
        cmocka_unit_test(test_repair_index__an_index_file_that_cannot_be_read_now_stays),
        cmocka_unit_test(test_repair_snapshots__leaves_whole_ones_alone),
        cmocka_unit_test(test_repair_snapshots__keeps_the_parts_of_files_that_are_left),
        cmocka_unit_test(test_repair_snapshots__forget_removes_the_broken_ones),
        cmocka_unit_test(test_repair_snapshots__looks_at_the_chosen_ones_only),
        cmocka_unit_test(test_repair_snapshots__empties_lost_directories_and_keeps_unknown_keys),
        cmocka_unit_test(test_repair_snapshots__refuses_a_broken_index),
        cmocka_unit_test(test_repair_snapshots__failing_anywhere_loses_nothing),
    };
    return cmocka_run_group_tests_name("repair", tests, NULL, NULL);
}
