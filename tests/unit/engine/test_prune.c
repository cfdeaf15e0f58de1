/* Pruning: what goes, what stays, what is refused, and that it may fail anywhere. */
#include "engine_fixture.h"

static const struct spec OLD[] = {{"a", 1, 3000}, {"b", 2, 3000}, {"c", 3, 500}};
static const struct spec NEW[] = {{"a", 1, 3000}, {"b", 2, 3000}, {"d", 4, 2000}};
static const struct spec OTHER[] = {{"x", 10, 5000}};

static const struct prune_options ALL = {.max_repack_bytes = UINT64_MAX, .max_unused = {.kind = PRUNE_LIMIT_BYTES}};

struct notes {
    unsigned planned, damaged;
    struct fixture *write_when_planned;
};

static void on_planned(void *ctx, const struct prune_result *plan)
{
    struct notes *n = ctx;
    n->planned++;
    assert_false(plan->executed);
    if (n->write_when_planned != NULL) {
        struct id tree = {{1}};
        save_snapshot(n->write_when_planned, &tree, 99, "intruder", "/", NULL);
    }
}

static void on_damaged(void *ctx, const struct id *pack, const char *message)
{
    struct notes *n = ctx;
    n->damaged++;
    assert_non_null(pack);
    assert_true(strlen(message) > 10);
}

static struct prune_result prune(struct fixture *f, const struct prune_options *options, struct notes *notes)
{
    struct err err;
    struct prune_result result;
    struct notes unused = {0};
    const struct prune_reporter reporter = {
        .ctx = notes != NULL ? notes : &unused, .planned = on_planned, .damaged = on_damaged};
    fixture_ok(prune_run(f->repo, NULL, options, &reporter, NULL, &result, &err), &err);
    return result;
}

/* Refused, with this code and these words, and nothing changed. */
static void assert_refused(struct fixture *f, enum err_code code, const char *words)
{
    struct err err;
    struct prune_result result;
    size_t packs = count_files(f, STORE_PACK), indexes = count_files(f, STORE_INDEX);
    assert_int_equal(prune_run(f->repo, NULL, &ALL, NULL, NULL, &result, &err), -1);
    assert_int_equal(err.code, code);
    assert_non_null(strstr(err.message, words));
    assert_false(result.executed);
    assert_int_equal(count_files(f, STORE_PACK), packs);
    assert_int_equal(count_files(f, STORE_INDEX), indexes);
}

static void test_prune__removes_dead_packs_and_repacks_partly_used_ones(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct id old = add_snapshot(f, 0, OLD, 3);
    add_snapshot(f, 1, NEW, 3);
    struct id other = add_snapshot(f, 2, OTHER, 1);
    remove_snapshot(f, &old);
    remove_snapshot(f, &other);
    struct prune_result r = prune(f, &ALL, NULL);
    assert_int_equal(r.snapshots, 1);
    assert_int_equal(r.packs_before, 6);
    assert_int_equal(r.delete_packs, 3); /* OTHER's two, OLD's trees */
    assert_int_equal(r.repack_packs, 1); /* OLD's data: c is not needed */
    assert_int_equal(r.packs_removed, 4);
    assert_int_equal(r.packs_repacked, 1);
    assert_int_equal(r.remaining_unused_bytes, 0);
    assert_int_equal(r.packs_after, 3);
    assert_int_equal(count_files(f, STORE_PACK), 3);
    assert_true(r.bytes_after < r.bytes_before);
    assert_clean(f);
    struct findings *findings = mem_alloc(sizeof *findings);
    assert_int_equal(run_check(f, true, true, findings).unused_blobs, 0);
    free(findings);
    r = prune(f, &ALL, NULL);
    assert_int_equal(r.packs_removed, 0);
    assert_int_equal(r.index_written, 0);
    fixture_free(f);
}

static void test_prune__dry_run_changes_nothing_and_can_ignore_snapshots(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes notes = {0};
    add_snapshot(f, 0, OLD, 3);
    struct id other = add_snapshot(f, 1, OTHER, 1);
    struct prune_options options = ALL;
    options.dry_run = true;
    assert_int_equal(prune(f, &options, &notes).delete_packs, 0);
    options.ignore_snapshots = &other;
    options.ignore_count = 1;
    struct prune_result r = prune(f, &options, &notes);
    assert_int_equal(r.delete_packs, 2);
    assert_int_equal(r.snapshots, 1);
    assert_false(r.executed);
    assert_int_equal(notes.planned, 2);
    assert_int_equal(count_files(f, STORE_PACK), 4);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__empties_a_repository_without_snapshots(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    struct id old = add_snapshot(f, 0, OLD, 3);
    remove_snapshot(f, &old);
    prune(f, &ALL, NULL);
    assert_int_equal(count_files(f, STORE_PACK), 0);
    assert_int_equal(count_files(f, STORE_INDEX), 0);
    prune(f, &ALL, NULL);
    fixture_free(f);
}

static void test_prune__removes_packs_that_no_index_names(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, OLD, 3);
    const struct raw_blob blob = {BLOB_DATA, "left over", 9};
    craft_pack(f, &blob, 1, true);
    struct prune_result r = prune(f, &ALL, NULL);
    assert_int_equal(r.unreferenced_packs, 1);
    assert_int_equal(r.packs_removed, 1);
    assert_int_equal(count_files(f, STORE_PACK), 2);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__limits_keep_unused_data_where_it_is(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct id old = add_snapshot(f, 0, OLD, 3);
    add_snapshot(f, 1, NEW, 3);
    remove_snapshot(f, &old);
    struct prune_options options = ALL;
    options.dry_run = true;
    options.max_unused.kind = PRUNE_LIMIT_NONE;
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    options.max_unused = (struct prune_limit){.kind = PRUNE_LIMIT_PERCENT, .percent = 50};
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    options.max_unused.percent = 100;
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    options.max_unused.percent = 1;
    assert_int_equal(prune(f, &options, NULL).repack_packs, 1);
    options.max_unused = (struct prune_limit){.kind = PRUNE_LIMIT_BYTES, .bytes = 10000};
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    options.max_unused.bytes = 0;
    options.max_repack_bytes = 0;
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    options.max_repack_bytes = UINT64_MAX;
    options.repack_cacheable_only = true;
    struct prune_result r = prune(f, &options, NULL);
    assert_int_equal(r.repack_packs, 0);
    assert_int_equal(r.delete_packs, 1);
    fixture_free(f);
}

static void test_prune__keeps_one_copy_of_duplicates(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes notes = {0};
    add_snapshot(f, 0, OLD, 3);
    unsigned char c[500];
    fixture_bytes(c, sizeof c, 3);
    const struct raw_blob again = {BLOB_DATA, c, sizeof c}; /* OLD's file c once more */
    craft_pack(f, &again, 1, false);
    struct prune_result r = prune(f, &ALL, &notes);
    assert_int_equal(r.duplicate_blobs, 1);
    assert_int_equal(r.packs_removed, 1);
    assert_int_equal(notes.damaged, 0);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__keeps_the_good_copy_of_a_damaged_duplicate(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes notes = {0};
    add_snapshot(f, 0, OLD, 3);
    struct blob_place place = find_blob(f, &OLD[2], 0);
    unsigned char c[500];
    fixture_bytes(c, sizeof c, 3);
    const struct raw_blob again = {BLOB_DATA, c, sizeof c};
    struct id copy = craft_pack(f, &again, 1, false);
    flip_byte(f, STORE_PACK, &place.pack_id, place.offset + 20);
    struct prune_result r = prune(f, &ALL, &notes);
    assert_int_equal(r.duplicate_blobs, 1);
    assert_int_equal(r.packs_damaged, 0);
    char path[256];
    struct stat st;
    assert_int_equal(stat(stored_path(f, STORE_PACK, &copy, path), &st), 0);
    assert_clean(f); /* the damaged copy was in a pack that was repacked for it */
    fixture_free(f);
}

static void test_prune__keeps_all_copies_when_none_is_good(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes notes = {0};
    add_snapshot(f, 0, OLD, 3);
    struct blob_place place = find_blob(f, &OLD[2], 0);
    unsigned char c[500];
    fixture_bytes(c, sizeof c, 3);
    const struct raw_blob again = {BLOB_DATA, c, sizeof c};
    struct id copy = craft_pack(f, &again, 1, false);
    flip_byte(f, STORE_PACK, &place.pack_id, place.offset + 20);
    flip_byte(f, STORE_PACK, &copy, 20);
    struct prune_result r = prune(f, &ALL, &notes);
    assert_int_equal(r.packs_damaged, 1);
    assert_int_equal(notes.damaged, 1);
    assert_int_equal(r.packs_removed, 0);
    fixture_free(f);
}

static void test_prune__keeps_a_pack_with_a_damaged_blob_that_is_needed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct notes notes = {0};
    struct id old = add_snapshot(f, 0, OLD, 3);
    add_snapshot(f, 1, NEW, 3);
    struct id other = add_snapshot(f, 2, OTHER, 1);
    remove_snapshot(f, &old);
    remove_snapshot(f, &other);
    struct blob_place place = find_blob(f, &OLD[1], 1); /* b, which NEW needs */
    flip_byte(f, STORE_PACK, &place.pack_id, place.offset + 40);
    struct prune_result r = prune(f, &ALL, &notes);
    assert_int_equal(r.packs_damaged, 1);
    assert_int_equal(notes.damaged, 1);
    assert_int_equal(r.packs_repacked, 0);
    assert_int_equal(r.packs_removed, 3);
    char path[256];
    struct stat st;
    assert_int_equal(stat(stored_path(f, STORE_PACK, &place.pack_id, path), &st), 0);
    struct findings *findings = mem_alloc(sizeof *findings);
    run_check(f, true, false, findings);
    assert_string_equal(findings->all_paths, "/dir/b\n"); /* that one, and no other */
    free(findings);
    fixture_free(f);
}

static void test_prune__splits_packs_of_mixed_types(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(1);
    const char *tree = "{\"nodes\":[]}\n";
    const struct raw_blob blobs[] = {{BLOB_DATA, "some data", 9}, {BLOB_TREE, tree, strlen(tree)}};
    craft_pack(f, blobs, 2, false);
    struct id root;
    struct sha256 *sha = sha256_new();
    sha256_once(sha, tree, strlen(tree), &root);
    sha256_free(sha);
    save_snapshot(f, &root, 0, "host", "/", NULL);
    struct prune_options options = ALL;
    options.max_unused.kind = PRUNE_LIMIT_NONE;
    struct prune_result r = prune(f, &options, NULL);
    assert_int_equal(r.repack_packs, 1);
    assert_int_equal(r.packs_after, 1);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__compresses_what_is_not_when_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id file, root;
    static unsigned char zeros[5000], noise[3000];
    assert_int_equal(crypto_random(noise, sizeof noise, &err), 0);
    const struct raw_blob blobs[] = {
        {BLOB_DATA, zeros, sizeof zeros}, {BLOB_DATA, noise, sizeof noise}, {BLOB_DATA, "", 0}};
    struct id pack = craft_pack(f, blobs, 3, false);
    index_now(f);
    struct writer *w = writer_new(f->repo, false, &err);
    struct buf json;
    struct id content[3];
    buf_init(&json, 1 << 20);
    for (size_t i = 0; i < 3; i++)
        content[i] = index_loaded(f->repo->index, i)->id;
    struct node node = {.name = "z", .name_len = 1, .type = NODE_FILE, .content = content, .content_count = 3};
    tree_encode_begin(&json);
    put_node(&json, &node, true);
    tree_encode_end(&json);
    save_tree(f, w, &json, &file);
    dir_tree(f, w, "dir", &file, &root);
    fixture_ok(writer_flush(w, &err), &err);
    writer_free(w);
    buf_release(&json);
    save_snapshot(f, &root, 0, "host", "/", NULL);
    struct prune_options options = ALL;
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    options.repack_uncompressed = true;
    struct prune_result r = prune(f, &options, NULL);
    assert_true(r.repack_packs >= 1);
    assert_true(r.bytes_after + 4000 < r.bytes_before);
    assert_clean(f);
    char path[256];
    struct stat st;
    assert_int_equal(stat(stored_path(f, STORE_PACK, &pack, path), &st), -1);
    fixture_free(f);
}

static void test_prune__joins_small_packs_when_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, OLD, 3);
    add_snapshot(f, 1, OTHER, 1);
    struct prune_options options = ALL;
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    options.repack_small = true;
    struct prune_result r = prune(f, &options, NULL);
    assert_int_equal(r.repack_packs, 4);
    assert_int_equal(r.packs_after, 2);
    assert_int_equal(prune(f, &options, NULL).repack_packs, 0);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__merges_many_small_index_files(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    for (uint32_t i = 0; i < 12; i++) {
        const struct spec spec = {"a", i + 100, 300};
        add_snapshot(f, i, &spec, 1);
    }
    assert_int_equal(count_files(f, STORE_INDEX), 12);
    prune(f, &ALL, NULL);
    assert_int_equal(count_files(f, STORE_INDEX), 1);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__forgets_missing_packs_that_nothing_needs(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, OLD, 3);
    const struct raw_blob blob = {BLOB_DATA, "nobody needs it", 15};
    struct id pack = craft_pack(f, &blob, 1, false);
    delete_file(f, STORE_PACK, &pack);
    struct prune_result r = prune(f, &ALL, NULL);
    assert_int_equal(r.missing_packs, 1);
    assert_int_equal(r.packs_removed, 0);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__refuses_a_damaged_repository(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct id old = add_snapshot(f, 0, OLD, 3);
    struct copy c = begin_copy(f);
    struct blob_place place = find_blob(f, &OLD[0], 0);
    delete_file(f, STORE_PACK, &place.pack_id);
    assert_refused(f, ERR_CORRUPT, "is missing");
    end_copy(f, &c);

    c = begin_copy(f);
    struct id index = nth_file(f, STORE_INDEX, 0);
    delete_file(f, STORE_INDEX, &index);
    assert_refused(f, ERR_CORRUPT, "repair index");
    end_copy(f, &c);

    c = begin_copy(f);
    struct id bogus = {{7}};
    struct err err;
    char hex[ID_HEX_BYTES];
    fixture_ok(store_save(f->repo->store, STORE_INDEX, id_to_hex(&bogus, hex), "junk", 4, &err), &err);
    assert_refused(f, ERR_CORRUPT, "repair index");
    end_copy(f, &c);

    c = begin_copy(f);
    fixture_ok(store_save(f->repo->store, STORE_SNAPSHOT, id_to_hex(&bogus, hex), "junk", 4, &err), &err);
    assert_refused(f, ERR_CORRUPT, "nothing was changed");
    end_copy(f, &c);

    struct id pack = tree_pack(f, &old);
    cut_file(f, STORE_PACK, &pack, 100);
    assert_refused(f, ERR_CORRUPT, "nothing was changed");
    fixture_free(f);
}

static void test_prune__refuses_a_pack_of_the_wrong_size_that_is_needed(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    add_snapshot(f, 0, OLD, 3);
    struct blob_place place = find_blob(f, &OLD[0], 0);
    cut_file(f, STORE_PACK, &place.pack_id, 3000);
    assert_refused(f, ERR_CORRUPT, "wrong size");
    unsigned char c[500];
    fixture_bytes(c, sizeof c, 3);
    const struct raw_blob again = {BLOB_DATA, c, sizeof c};
    struct id copy = craft_pack(f, &again, 1, false); /* two copies, neither in a sound pack */
    cut_file(f, STORE_PACK, &copy, 90);
    assert_refused(f, ERR_CORRUPT, "is needed");
    fixture_free(f);
}

static void test_prune__refuses_when_somebody_writes_meanwhile(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct prune_result result;
    struct notes notes = {.write_when_planned = f};
    const struct prune_reporter reporter = {.ctx = &notes, .planned = on_planned};
    struct id old = add_snapshot(f, 0, OLD, 3);
    remove_snapshot(f, &old);
    assert_int_equal(prune_run(f->repo, NULL, &ALL, &reporter, NULL, &result, &err), -1);
    assert_int_equal(err.code, ERR_CHANGED);
    assert_int_equal(count_files(f, STORE_PACK), 2);
    fixture_free(f);
}

/*
 * The lock is removed under its hands.
 */

static struct store_ops unlocking_ops;
static int (*plain_remove)(struct store *s, enum store_type type, const char *name, struct err *err);
static struct repo *unlocked_repo;

/* Somebody removes every lock just before the first index file goes. */
static int remove_and_unlock(struct store *s, enum store_type type, const char *name, struct err *err)
{
    struct repo *r = unlocked_repo;
    if (type == STORE_INDEX && r != NULL) {
        unlocked_repo = NULL;
        assert_int_equal(lock_remove_stale(r, true, err), 1);
    }
    return plain_remove(s, type, name, err);
}

static void unlock_midway(struct fixture *f)
{
    unlocking_ops = *f->repo->store->ops;
    plain_remove = unlocking_ops.remove;
    unlocking_ops.remove = remove_and_unlock;
    f->repo->store->ops = &unlocking_ops;
    unlocked_repo = f->repo;
}

static void on_planned_unlock(void *ctx, const struct prune_result *plan)
{
    struct err err;
    (void)plan;
    assert_int_equal(lock_remove_stale(ctx, true, &err), 1);
}

static void assert_lost(struct fixture *f, const struct prune_reporter *reporter)
{
    struct err err;
    struct prune_result result;
    struct lock *lock;
    size_t packs = count_files(f, STORE_PACK);
    fixture_ok(lock_acquire(&lock, f->repo, true, 0, &err), &err);
    assert_int_equal(prune_run(f->repo, lock, &ALL, reporter, NULL, &result, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    assert_non_null(strstr(err.message, "removed the lock"));
    assert_int_equal(count_files(f, STORE_PACK), packs);
    lock_release(lock);
    assert_clean(f);
}

static void test_prune__removes_nothing_once_its_lock_is_gone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct id old = add_snapshot(f, 0, OLD, 3);
    add_snapshot(f, 1, NEW, 3);
    remove_snapshot(f, &old);
    const struct prune_reporter unlocks = {.ctx = f->repo, .planned = on_planned_unlock};
    size_t indexes = count_files(f, STORE_INDEX);
    assert_lost(f, &unlocks);
    assert_int_equal(count_files(f, STORE_INDEX), indexes);
    unlock_midway(f);
    assert_lost(f, NULL);
    assert_null(unlocked_repo);
    prune(f, &ALL, NULL);
    assert_int_equal(count_files(f, STORE_PACK), 3);
    assert_clean(f);
    fixture_free(f);
}

/*
 * Little space.
 */

static struct store_ops tight_ops;
static uint64_t tight_free;
static size_t tight_index_max; /* index files larger than this do not fit; 0: all do */
static int (*tight_save)(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                         struct err *err);

static int fake_free_space(struct store *s, uint64_t *bytes_out, struct err *err)
{
    (void)s, (void)err;
    *bytes_out = tight_free;
    return 0;
}

static int fake_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                     struct err *err)
{
    if (type == STORE_INDEX && tight_index_max > 0 && len > tight_index_max)
        return err_set(err, ERR_NO_SPACE, "the disk is full");
    return tight_save(s, type, name, p, len, err);
}

static void make_tight(struct fixture *f, uint64_t free_bytes, size_t index_max)
{
    if (f->repo->store->ops != &tight_ops) {
        tight_ops = *f->repo->store->ops;
        tight_save = tight_ops.save;
        tight_ops.save = fake_save;
        tight_ops.free_space = fake_free_space;
        f->repo->store->ops = &tight_ops;
        f->repo->store->features |= STORE_FREE_SPACE;
    }
    tight_free = free_bytes;
    tight_index_max = index_max;
}

/* Ten snapshots of two files, each with packs and an index file of its own; then every other file is not needed. */
static void make_half_used(struct fixture *f)
{
    struct id first[10];
    for (uint32_t i = 0; i < 10; i++) {
        const struct spec both[] = {{"a", 2 * i + 50, 1000}, {"b", 2 * i + 51, 1000}};
        first[i] = add_snapshot(f, i, both, 2);
        add_snapshot(f, 100 + i, both, 1);
    }
    for (uint32_t i = 0; i < 10; i++)
        remove_snapshot(f, &first[i]);
}

static void test_prune__repacks_in_batches_that_fit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    make_half_used(f);
    make_tight(f, (1 << 20) + 1000, 0); /* space for one pack's blobs beside what is kept in reserve */
    struct prune_result r = prune(f, &ALL, NULL);
    assert_int_equal(r.packs_repacked, 10);
    assert_int_equal(r.packs_no_space, 0);
    assert_true(r.packs_written >= 10); /* one a batch */
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__without_space_removes_dead_packs_only(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    make_half_used(f);
    make_tight(f, 0, 0);
    struct prune_result r = prune(f, &ALL, NULL);
    assert_int_equal(r.packs_no_space, 10);
    assert_int_equal(r.packs_repacked, 0);
    assert_int_equal(r.packs_removed, r.delete_packs);
    assert_true(r.delete_packs > 0);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__rewrites_index_files_one_by_one_when_a_group_does_not_fit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    make_half_used(f);
    make_tight(f, 1 << 30, 500); /* one small file fits, all in one do not */
    struct prune_options options = ALL;
    options.max_repack_bytes = 0;
    struct prune_result r = prune(f, &options, NULL);
    assert_int_equal(r.packs_removed, r.delete_packs);
    assert_clean(f);
    fixture_free(f);
}

static void test_prune__says_so_when_not_even_an_index_file_fits(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct prune_result r;
    make_half_used(f);
    struct id other = add_snapshot(f, 500, OTHER, 1); /* an index file that names nothing else */
    remove_snapshot(f, &other);
    make_tight(f, 1 << 30, 1);
    assert_int_equal(prune_run(f->repo, NULL, &ALL, NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    assert_int_equal(r.packs_removed, 2); /* for these nothing had to be written */
    assert_clean(f);
    make_tight(f, 1 << 30, 0);
    prune(f, &ALL, NULL);
    assert_clean(f);
    fixture_free(f);
}

/*
 * Failures.
 */

/* The prune fails at call N in some way; then everything that snapshots need is there, and the next prune ends it. */
static bool survives_fault(struct fixture *f, enum store_fault kind, unsigned long call)
{
    struct err err;
    struct prune_result result;
    struct copy c = begin_copy(f);
    begin_fault(f, kind, call);
    prune_run(f->repo, NULL, &ALL, NULL, NULL, &result, &err);
    bool reached = end_fault(f) >= call;
    assert_clean(f);
    fixture_ok(prune_run(f->repo, NULL, &ALL, NULL, NULL, &result, &err), &err);
    struct findings *findings = mem_alloc(sizeof *findings);
    struct check_result checked = run_check(f, true, true, findings);
    if (checked.errors > 0 || checked.unused_packs > 0 || checked.duplicate_blobs > 0)
        fail_msg("fault %d at call %lu: %s", (int)kind, call, findings->messages);
    free(findings);
    end_copy(f, &c);
    return reached;
}

static void test_prune__may_fail_at_any_call(void **state)
{
    (void)state;
    static const enum store_fault KINDS[] = {STORE_FAULT_FAIL, STORE_FAULT_ONCE, STORE_FAULT_TEAR, STORE_FAULT_NO_SPACE,
                                             STORE_FAULT_LATE};
    struct fixture *f = fixture_new(2);
    struct id old = add_snapshot(f, 0, OLD, 3);
    add_snapshot(f, 1, NEW, 3);
    struct id other = add_snapshot(f, 2, OTHER, 1);
    remove_snapshot(f, &old);
    remove_snapshot(f, &other);
    const struct raw_blob left_over = {BLOB_DATA, "left over", 9};
    craft_pack(f, &left_over, 1, true);
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        for (unsigned long call = 1; survives_fault(f, KINDS[i], call); call++) {
        }
    fixture_free(f);
}

static void test_prune_limit_parse__knows_shares_sizes_and_unlimited(void **state)
{
    (void)state;
    struct prune_limit l;
    struct err err;
    assert_int_equal(prune_limit_parse("5%", &l, &err), 0);
    assert_true(l.kind == PRUNE_LIMIT_PERCENT && l.percent > 4.99 && l.percent < 5.01);
    assert_int_equal(prune_limit_parse("2.5%", &l, &err), 0);
    assert_int_equal(prune_limit_parse("0", &l, &err), 0);
    assert_true(l.kind == PRUNE_LIMIT_BYTES && l.bytes == 0);
    assert_int_equal(prune_limit_parse("3MiB", &l, &err), 0);
    assert_int_equal(l.bytes, 3 << 20);
    assert_int_equal(prune_limit_parse("unlimited", &l, &err), 0);
    assert_int_equal(l.kind, PRUNE_LIMIT_NONE);
    static const char *const BAD[] = {"", "%", "101%", "-1", "5%%", "x", "1Q", "5 %", "99999999999T"};
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        assert_int_equal(prune_limit_parse(BAD[i], &l, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prune__removes_dead_packs_and_repacks_partly_used_ones),
        cmocka_unit_test(test_prune__dry_run_changes_nothing_and_can_ignore_snapshots),
        cmocka_unit_test(test_prune__empties_a_repository_without_snapshots),
        cmocka_unit_test(test_prune__removes_packs_that_no_index_names),
        cmocka_unit_test(test_prune__limits_keep_unused_data_where_it_is),
        cmocka_unit_test(test_prune__keeps_one_copy_of_duplicates),
        cmocka_unit_test(test_prune__keeps_the_good_copy_of_a_damaged_duplicate),
        cmocka_unit_test(test_prune__keeps_all_copies_when_none_is_good),
        cmocka_unit_test(test_prune__keeps_a_pack_with_a_damaged_blob_that_is_needed),
        cmocka_unit_test(test_prune__splits_packs_of_mixed_types),
        cmocka_unit_test(test_prune__compresses_what_is_not_when_asked),
        cmocka_unit_test(test_prune__joins_small_packs_when_asked),
        cmocka_unit_test(test_prune__merges_many_small_index_files),
        cmocka_unit_test(test_prune__forgets_missing_packs_that_nothing_needs),
        cmocka_unit_test(test_prune__refuses_a_damaged_repository),
        cmocka_unit_test(test_prune__refuses_a_pack_of_the_wrong_size_that_is_needed),
        cmocka_unit_test(test_prune__refuses_when_somebody_writes_meanwhile),
        cmocka_unit_test(test_prune__removes_nothing_once_its_lock_is_gone),
        cmocka_unit_test(test_prune__repacks_in_batches_that_fit),
        cmocka_unit_test(test_prune__without_space_removes_dead_packs_only),
        cmocka_unit_test(test_prune__rewrites_index_files_one_by_one_when_a_group_does_not_fit),
        cmocka_unit_test(test_prune__says_so_when_not_even_an_index_file_fits),
        cmocka_unit_test(test_prune__may_fail_at_any_call),
        cmocka_unit_test(test_prune_limit_parse__knows_shares_sizes_and_unlimited),
    };
    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
