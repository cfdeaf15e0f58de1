/* Copying snapshots between repositories: what arrives, what is skipped, and what damage and faults leave. */
#include "engine_fixture.h"
#include "engine/copy.h"

static const struct spec FIRST[] = {{"a", 1, 3000}, {"b", 2, 2500}};
static const struct spec SECOND[] = {{"a", 1, 3000}, {"c", 3, 1500}};

/* What the reporter heard. */
struct heard {
    size_t snapshots, findings;
    char messages[4096];
};

static void hear_snapshot(void *ctx, const struct snapshot *source, const struct copied_snapshot *s)
{
    struct heard *h = ctx;
    assert_memory_equal(&source->id, &s->source_id, sizeof source->id);
    h->snapshots++;
}

static void hear_finding(void *ctx, const char *message)
{
    struct heard *h = ctx;
    size_t used = strlen(h->messages);
    h->findings++;
    snprintf(h->messages + used, sizeof h->messages - used, "%s\n", message);
}

static struct copy_result copy(struct fixture *from, struct fixture *to, const struct copy_options *options,
                               struct heard *heard)
{
    static struct heard nobody;
    const struct copy_options all = {0};
    const struct copy_reporter reporter = {
        .ctx = heard != NULL ? heard : &nobody, .snapshot = hear_snapshot, .finding = hear_finding};
    struct copy_result result;
    struct err err;
    *(heard != NULL ? heard : &nobody) = (struct heard){0};
    fixture_reopen(from, false);
    fixture_reopen(to, false);
    fixture_ok(
        copy_run(from->repo, NULL, to->repo, NULL, options != NULL ? options : &all, &reporter, NULL, &result, &err),
        &err);
    return result;
}

/* Copies once more for the counts alone. */
static uint64_t copied_again(struct fixture *from, struct fixture *to)
{
    struct copy_result r = copy(from, to, NULL, NULL);
    uint64_t copied = r.copied;
    copy_result_release(&r);
    return copied;
}

static void load(struct fixture *f, const struct id *id, struct snapshot *out)
{
    struct err err;
    fixture_ok(repo_load_snapshot(f->repo, id, out, &err), &err);
}

static void test_copy__brings_everything_over_whatever_the_versions(void **state)
{
    (void)state;
    for (unsigned versions = 0; versions < 4; versions++) {
        struct fixture *from = fixture_new(1 + versions % 2), *to = fixture_new(1 + versions / 2);
        add_snapshot(from, 0, FIRST, 2);
        add_snapshot(from, 1, SECOND, 2);
        struct copy_result r = copy(from, to, NULL, NULL);
        assert_int_equal(r.copied, 2);
        assert_int_equal(r.there + r.damaged, 0);
        assert_int_equal(r.blobs, 3 + 3 + 2 + 2 * 2); /* a, b, c, and two trees for each snapshot */
        assert_int_equal(r.count, 2);
        for (size_t i = 0; i < 2; i++) {
            struct snapshot source, target;
            load(from, &r.snapshots[i].source_id, &source);
            load(to, &r.snapshots[i].target_id, &target);
            assert_memory_equal(&source.tree, &target.tree, sizeof source.tree);
            assert_true(target.has_original && id_equal(&target.original, &source.id));
            snapshot_release(&source);
            snapshot_release(&target);
        }
        copy_result_release(&r);
        assert_clean(to);
        fixture_free(from);
        fixture_free(to);
    }
}

static void test_copy__keeps_what_describes_the_snapshot(void **state)
{
    (void)state;
    struct fixture *from = fixture_new(2), *to = fixture_new(2);
    struct err err;
    struct snapshot s, t;
    struct id plain = add_snapshot(from, 5, FIRST, 2);
    load(from, &plain, &s);
    remove_snapshot(from, &plain);
    s.has_parent = true;
    s.has_summary = true;
    s.summary.total_bytes_processed = 5500;
    s.username = mem_strdup("somebody");
    s.unknown = mem_strdup(",\"from_the_future\":[1,2]");
    strlist_add(&s.tags, "run=7");
    strlist_add(&s.excludes, "*.log");
    fixture_ok(repo_save_snapshot(from->repo, from->codec, &s, &err), &err);
    struct copy_result r = copy(from, to, NULL, NULL);
    load(to, &r.snapshots[0].target_id, &t);
    assert_false(t.has_parent);
    assert_int_equal(t.time.tv_sec, s.time.tv_sec);
    assert_string_equal(t.hostname, s.hostname);
    assert_string_equal(t.username, "somebody");
    assert_true(strlist_equal(&t.tags, &s.tags) && strlist_equal(&t.paths, &s.paths) &&
                strlist_equal(&t.excludes, &s.excludes));
    assert_int_equal(t.summary.total_bytes_processed, 5500);
    assert_string_equal(t.unknown, s.unknown);
    snapshot_release(&s);
    snapshot_release(&t);
    copy_result_release(&r);
    fixture_free(from);
    fixture_free(to);
}

static void test_copy__skips_what_was_copied_before_in_either_direction(void **state)
{
    (void)state;
    struct fixture *from = fixture_new(2), *to = fixture_new(2);
    struct heard heard;
    add_snapshot(from, 0, FIRST, 2);
    copied_again(from, to);
    size_t packs = count_files(to, STORE_PACK);
    add_snapshot(from, 1, SECOND, 2);
    struct copy_result r = copy(from, to, NULL, &heard);
    assert_int_equal(r.copied, 1);
    assert_int_equal(r.there, 1);
    assert_int_equal(heard.snapshots, 2);
    assert_int_equal(r.blobs, 2 + 2); /* c and its trees */
    assert_false(id_is_zero(&r.snapshots[0].target_id));
    copy_result_release(&r);
    assert_int_equal(count_files(to, STORE_PACK), packs + 2);
    assert_int_equal(copied_again(to, from), 0); /* they are where they came from */
    assert_int_equal(copied_again(from, from), 0);
    assert_int_equal(count_files(to, STORE_SNAPSHOT), 2);
    fixture_free(from);
    fixture_free(to);
}

static void test_copy__a_snapshot_with_other_tags_is_another_one(void **state)
{
    (void)state;
    struct fixture *from = fixture_new(2), *to = fixture_new(2);
    struct err err;
    struct snapshot s;
    struct id id = add_snapshot(from, 0, FIRST, 2);
    copied_again(from, to);
    load(from, &id, &s);
    s.has_original = true;
    s.original = id;
    strlist_add(&s.tags, "keep");
    fixture_ok(repo_save_snapshot(from->repo, from->codec, &s, &err), &err);
    remove_snapshot(from, &id);
    struct copy_result r = copy(from, to, NULL, NULL);
    assert_int_equal(r.copied, 1);
    assert_int_equal(r.blobs, 0);
    struct snapshot t;
    load(to, &r.snapshots[0].target_id, &t);
    assert_true(id_equal(&t.original, &id)); /* the first of its kind, not the one it was copied from */
    snapshot_release(&t);
    snapshot_release(&s);
    copy_result_release(&r);
    fixture_free(from);
    fixture_free(to);
}

static bool is_second(void *ctx, const struct snapshot *s)
{
    (void)ctx;
    return s->time.tv_sec % 2 == 1;
}

static void test_copy__takes_only_what_is_chosen(void **state)
{
    (void)state;
    struct fixture *from = fixture_new(2), *to = fixture_new(2);
    struct id first = add_snapshot(from, 0, FIRST, 2);
    add_snapshot(from, 1, SECOND, 2);
    const struct copy_options by_match = {.match = is_second, .dry_run = true};
    struct copy_result r = copy(from, to, &by_match, NULL);
    assert_int_equal(r.copied, 1);
    assert_int_equal(r.blobs, 3 + 2 + 2);
    assert_true(r.bytes >= 4500);
    assert_true(id_is_zero(&r.snapshots[0].target_id));
    copy_result_release(&r);
    assert_int_equal(count_files(to, STORE_PACK) + count_files(to, STORE_SNAPSHOT), 0); /* it was a dry run */
    const struct copy_options by_id = {.ids = &first, .id_count = 1};
    r = copy(from, to, &by_id, NULL);
    assert_int_equal(r.count, 1);
    assert_memory_equal(&r.snapshots[0].source_id, &first, sizeof first);
    copy_result_release(&r);
    assert_clean(to);
    struct err err;
    struct id unknown = {{1}};
    const struct copy_options by_unknown = {.ids = &unknown, .id_count = 1};
    assert_int_equal(copy_run(from->repo, NULL, to->repo, NULL, &by_unknown, NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    copy_result_release(&r);
    fixture_free(from);
    fixture_free(to);
}

static void test_copy__leaves_out_damaged_snapshots_and_copies_the_others(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct fixture *from = fixture_new(2), *to = fixture_new(2);
        struct heard heard;
        struct id first = add_snapshot(from, 0, FIRST, 2);
        struct id first_index = nth_file(from, STORE_INDEX, 0), tree = tree_pack(from, &first);
        struct blob_place b = find_blob(from, &FIRST[1], 1);
        struct id whole = add_snapshot(from, 1, (const struct spec[]){{"x", 9, 500}}, 1);
        if (kind == 0)
            flip_byte(from, STORE_PACK, &b.pack_id, (off_t)b.offset + 20);
        else if (kind == 1)
            delete_file(from, STORE_PACK, &b.pack_id);
        else if (kind == 2)
            delete_file(from, STORE_INDEX, &first_index);
        else
            delete_file(from, STORE_PACK, &tree);
        const struct copy_options dry = {.dry_run = true};
        struct copy_result r = copy(from, to, &dry, NULL);
        assert_int_equal(r.damaged, kind >= 2); /* a dry run reads trees only */
        copy_result_release(&r);
        r = copy(from, to, NULL, &heard);
        assert_int_equal(r.damaged, 1);
        assert_int_equal(r.copied, 1);
        assert_true(heard.findings > 0);
        assert_memory_equal(&r.snapshots[1].source_id, &whole, sizeof whole);
        assert_int_equal(r.snapshots[1].fate, COPY_COPIED);
        assert_int_equal(r.snapshots[0].fate, COPY_DAMAGED);
        copy_result_release(&r);
        assert_int_equal(count_files(to, STORE_SNAPSHOT), 1);
        assert_clean(to);
        fixture_free(from);
        fixture_free(to);
    }
}

static void test_copy__takes_the_other_copy_of_a_damaged_blob(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct fixture *from = fixture_new(2), *to = fixture_new(2);
        unsigned char again[1000];
        add_snapshot(from, 0, FIRST, 2);
        fixture_bytes(again, sizeof again, 1);
        const struct raw_blob blob = {BLOB_DATA, again, sizeof again};
        struct id copies[2] = {find_blob(from, &FIRST[0], 0).pack_id, {{0}}};
        copies[1] = craft_pack(from, &blob, 1, false);
        flip_byte(from, STORE_PACK, &copies[i], 20);
        struct copy_result r = copy(from, to, NULL, NULL);
        assert_int_equal(r.copied, 1);
        copy_result_release(&r);
        assert_clean(to);
        fixture_free(from);
        fixture_free(to);
    }
}

static void test_copy__recompresses_only_when_asked_to(void **state)
{
    (void)state;
    struct fixture *from = fixture_new(2), *to = fixture_new(2), *best = fixture_new(2);
    struct err err;
    const struct copy_options all = {0};
    struct copy_result r;
    add_snapshot(from, 0, FIRST, 2);
    fixture_reopen(from, false);
    fixture_reopen(best, false);
    best->repo->options.compression = REPO_COMPRESSION_OFF;
    fixture_ok(copy_run(from->repo, NULL, best->repo, NULL, &all, NULL, NULL, &r, &err), &err);
    uint64_t uncompressed = r.stored_bytes;
    copy_result_release(&r);
    r = copy(from, to, NULL, NULL);
    assert_true(r.stored_bytes < uncompressed);
    copy_result_release(&r);
    r = copy(best, from, NULL, NULL); /* nothing: it is there */
    assert_int_equal(r.there, 1);
    copy_result_release(&r);
    assert_clean(best);
    fixture_free(from);
    fixture_free(to);
    fixture_free(best);
}

static void test_copy__an_unreadable_snapshot_file_stops_only_who_asks_for_it(void **state)
{
    (void)state;
    struct fixture *from = fixture_new(2), *to = fixture_new(2);
    struct heard heard;
    struct err err;
    struct id broken = add_snapshot(from, 0, FIRST, 2);
    add_snapshot(from, 1, SECOND, 2);
    flip_byte(from, STORE_SNAPSHOT, &broken, 40);
    struct copy_result r = copy(from, to, NULL, &heard);
    assert_int_equal(r.copied, 1);
    assert_int_equal(heard.findings, 1);
    assert_int_equal(r.unreadable, 1);
    copy_result_release(&r);
    const struct copy_options wish = {.ids = &broken, .id_count = 1};
    assert_int_equal(copy_run(from->repo, NULL, to->repo, NULL, &wish, NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    copy_result_release(&r);
    fixture_free(from);
    fixture_free(to);
}

static void test_copy__does_not_write_what_must_not_be_written(void **state)
{
    (void)state;
    struct fixture *from = fixture_new(2), *to = fixture_new(2);
    const struct copy_options all = {0};
    struct copy_result r;
    struct err err;
    add_snapshot(from, 0, FIRST, 2);
    to->repo->config.read_only = true;
    to->repo->config.read_only_why = "a reason";
    assert_int_equal(copy_run(from->repo, NULL, to->repo, NULL, &all, NULL, NULL, &r, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    copy_result_release(&r);
    fixture_free(from);
    fixture_free(to);
}

/* Every call of the target's store fails once: nothing half-done is left, and the next copy completes it. */
static void test_copy__survives_every_fault_of_the_target(void **state)
{
    (void)state;
    static const enum store_fault KINDS[] = {STORE_FAULT_ONCE, STORE_FAULT_TEAR, STORE_FAULT_LATE};
    struct fixture *from = fixture_new(2), *to = fixture_new(2);
    const struct copy_options all = {0};
    add_snapshot(from, 0, FIRST, 2);
    add_snapshot(from, 1, SECOND, 2);
    for (size_t k = 0; k < sizeof KINDS / sizeof *KINDS; k++) {
        bool reached = true;
        for (unsigned long call = 1; reached; call++) {
            struct copy_result r;
            struct err err;
            struct copy c = begin_copy(to);
            begin_fault(to, KINDS[k], call);
            index_free(to->repo->index);
            to->repo->index = NULL;
            int rc = copy_run(from->repo, NULL, to->repo, NULL, &all, NULL, NULL, &r, &err);
            reached = end_fault(to) >= call;
            if (rc == 0)
                assert_int_equal(r.copied, 2);
            copy_result_release(&r);
            assert_clean(to);
            index_free(to->repo->index);
            to->repo->index = NULL;
            fixture_ok(copy_run(from->repo, NULL, to->repo, NULL, &all, NULL, NULL, &r, &err), &err);
            assert_int_equal(r.copied + r.there, 2);
            copy_result_release(&r);
            assert_clean(to);
            assert_int_equal(count_files(to, STORE_SNAPSHOT), 2);
            end_copy(to, &c);
        }
    }
    fixture_free(from);
    fixture_free(to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy__brings_everything_over_whatever_the_versions),
        cmocka_unit_test(test_copy__keeps_what_describes_the_snapshot),
        cmocka_unit_test(test_copy__skips_what_was_copied_before_in_either_direction),
        cmocka_unit_test(test_copy__a_snapshot_with_other_tags_is_another_one),
        cmocka_unit_test(test_copy__takes_only_what_is_chosen),
        cmocka_unit_test(test_copy__leaves_out_damaged_snapshots_and_copies_the_others),
        cmocka_unit_test(test_copy__takes_the_other_copy_of_a_damaged_blob),
        cmocka_unit_test(test_copy__recompresses_only_when_asked_to),
        cmocka_unit_test(test_copy__an_unreadable_snapshot_file_stops_only_who_asks_for_it),
        cmocka_unit_test(test_copy__does_not_write_what_must_not_be_written),
        cmocka_unit_test(test_copy__survives_every_fault_of_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
