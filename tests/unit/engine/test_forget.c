/* Forgetting: by policy, by ID, and what is refused. */
#include "engine_fixture.h"
#include "engine/forget.h"

static const struct id TREE = {{1, 2, 3}};
enum { DAY = 86400 };

static const struct snapshot_grouping BY_HOST_AND_PATHS = {.host = true, .paths = true};

/* Two hosts with four daily snapshots each, host b's tagged. */
static void fill(struct fixture *f, struct id a[4], struct id b[4])
{
    for (int i = 0; i < 4; i++) {
        a[i] = save_snapshot(f, &TREE, i * DAY, "a", "/home", NULL);
        b[i] = save_snapshot(f, &TREE, i * DAY + 10, "b", "/home", i < 2 ? "old" : "new");
    }
}

static bool is_there(const struct fixture *f, const struct id *id)
{
    char path[256];
    return access(stored_path(f, STORE_SNAPSHOT, id, path), F_OK) == 0;
}

static void test_forget__keeps_by_policy_in_each_group(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id a[4], b[4];
    struct forget_result r;
    fill(f, a, b);
    struct forget_options options = {.policy = {.last = 2}, .grouping = BY_HOST_AND_PATHS};
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_int_equal(r.group_count, 2);
    assert_int_equal(r.entry_count, 8);
    assert_int_equal(r.remove_count, 4);
    assert_int_equal(r.removed, 4);
    for (size_t g = 0; g < 2; g++)
        for (size_t i = r.groups[g].begin; i < r.groups[g].end; i++) {
            bool kept = i - r.groups[g].begin >= 2; /* in order of time */
            assert_int_equal(r.entries[i].item.keep, kept);
            assert_int_equal(r.entries[i].item.reasons.count, kept ? 1 : 0);
            if (kept)
                assert_string_equal(r.entries[i].item.reasons.items[0], "last snapshot");
        }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(is_there(f, &a[i]), i >= 2);
        assert_int_equal(is_there(f, &b[i]), i >= 2);
    }
    forget_result_release(&r);
    fixture_free(f);
}

static bool is_host_a(void *ctx, const struct snapshot *s)
{
    (void)ctx;
    return strcmp(s->hostname, "a") == 0;
}

static void test_forget__looks_only_at_what_matches_and_dry_run_removes_nothing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id a[4], b[4];
    struct forget_result r;
    fill(f, a, b);
    struct forget_options options = {
        .policy = {.last = 1}, .grouping = BY_HOST_AND_PATHS, .match = is_host_a, .dry_run = true};
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_int_equal(r.remove_count, 3);
    assert_int_equal(r.removed, 0);
    assert_int_equal(count_files(f, STORE_SNAPSHOT), 8);
    forget_result_release(&r);
    options.dry_run = false;
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_int_equal(count_files(f, STORE_SNAPSHOT), 5);
    forget_result_release(&r);
    fixture_free(f);
}

static void test_forget__groups_as_it_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *by;
        size_t groups;
    } CASES[] = {{"host,paths", 2}, {"", 1}, {"paths", 1}, {"tags", 3}, {"host,tags", 3}, {"path,hosts,tag", 3}};
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id a[4], b[4];
    fill(f, a, b);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct forget_result r;
        struct forget_options options = {.policy = {.last = -1}};
        fixture_ok(grouping_parse(CASES[i].by, &options.grouping, &err), &err);
        fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
        assert_int_equal(r.group_count, CASES[i].groups);
        forget_result_release(&r);
    }
    struct snapshot_grouping g;
    assert_int_equal(grouping_parse("host,nonsense", &g, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, "nonsense"));
    fixture_free(f);
}

/* A workspace outside of the home came, and went, and each time the paths were others. */
static void test_forget__an_agent_home_is_one_group_whatever_its_paths(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct forget_result r;
    struct id root = {{1}};
    save_snapshot(f, &root, 0, "a", "/root/.openclaw", "agent-home=/root/.openclaw");
    save_snapshot(f, &root, 1, "a", "/srv/workspace", "agent-home=/root/.openclaw");
    save_snapshot(f, &root, 2, "a", "/root/.openclaw", "agent-home=/root/.openclaw");
    save_snapshot(f, &root, 3, "b", "/root/.openclaw", "agent-home=/root/.openclaw");
    save_snapshot(f, &root, 4, "a", "/root/.openclaw", NULL);
    struct forget_options options = {.policy = {.last = 1}, .grouping = BY_HOST_AND_PATHS};
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_int_equal(r.group_count, 3);
    assert_int_equal(r.removed, 2);
    forget_result_release(&r);
    fixture_free(f);
}

static void test_forget__refuses_an_empty_policy(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id a[4], b[4];
    struct forget_result r;
    fill(f, a, b);
    struct forget_options options = {.grouping = BY_HOST_AND_PATHS};
    assert_int_equal(forget_run(f->repo, NULL, &options, &r, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(count_files(f, STORE_SNAPSHOT), 8);
    forget_result_release(&r);
    fixture_free(f);
}

static void test_forget__refuses_to_remove_the_last_snapshot_of_a_group(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct id a[4], b[4];
    struct forget_result r;
    struct strlist tags = {0};
    fill(f, a, b);
    strlist_add(&tags, "new"); /* host a has none of these */
    struct forget_options options = {.policy = {.keep_tags = &tags, .keep_tag_count = 1},
                                     .grouping = BY_HOST_AND_PATHS};
    assert_int_equal(forget_run(f->repo, NULL, &options, &r, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_non_null(strstr(err.message, "'a'"));
    assert_int_equal(count_files(f, STORE_SNAPSHOT), 8);
    forget_result_release(&r);
    strlist_release(&tags);
    fixture_free(f);
}

static void test_forget__by_id_removes_the_last_one_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct forget_result r;
    const struct id only = save_snapshot(f, &TREE, 0, "a", "/", NULL);
    const struct id twice[] = {only, only};
    struct forget_options options = {.ids = twice, .id_count = 2, .dry_run = true};
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_int_equal(r.remove_count, 1);
    assert_true(is_there(f, &only));
    forget_result_release(&r);
    options.dry_run = false;
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_int_equal(r.removed, 1);
    assert_false(is_there(f, &only));
    forget_result_release(&r);
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err); /* gone meanwhile: no error */
    forget_result_release(&r);
    fixture_free(f);
}

static void test_forget__removes_nothing_once_its_lock_is_gone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct lock *lock;
    struct forget_result r;
    const struct id only = save_snapshot(f, &TREE, 0, "a", "/", NULL);
    struct forget_options options = {.ids = &only, .id_count = 1};
    fixture_ok(lock_acquire(&lock, f->repo, true, 0, &err), &err);
    assert_int_equal(lock_remove_stale(f->repo, true, &err), 1);
    assert_int_equal(forget_run(f->repo, lock, &options, &r, &err), -1);
    assert_int_equal(err.code, ERR_LOCKED);
    assert_true(is_there(f, &only));
    lock_release(lock);
    forget_result_release(&r);
    fixture_free(f);
}

static void test_forget__leaves_broken_snapshots_alone_unless_named(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct err err;
    struct forget_result r;
    struct id old = save_snapshot(f, &TREE, 0, "a", "/", NULL), broken = save_snapshot(f, &TREE, 1, "a", "/", NULL);
    save_snapshot(f, &TREE, 2, "a", "/", NULL);
    flip_byte(f, STORE_SNAPSHOT, &broken, 20);
    struct forget_options options = {.policy = {.last = 1}, .grouping = BY_HOST_AND_PATHS};
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_int_equal(r.broken.count, 1);
    assert_int_equal(r.removed, 1);
    assert_false(is_there(f, &old));
    assert_true(is_there(f, &broken));
    forget_result_release(&r);
    options.ids = &broken;
    options.id_count = 1;
    fixture_ok(forget_run(f->repo, NULL, &options, &r, &err), &err);
    assert_false(is_there(f, &broken));
    forget_result_release(&r);
    fixture_free(f);
}

static void test_forget__failing_anywhere_keeps_what_the_policy_keeps(void **state)
{
    (void)state;
    struct fixture *f = fixture_new(2);
    struct id a[4], b[4];
    fill(f, a, b);
    for (unsigned long call = 1, calls = call; call <= calls; call++) {
        struct err err;
        struct forget_result r;
        struct forget_options options = {.policy = {.last = 1}, .grouping = BY_HOST_AND_PATHS};
        struct copy c = begin_copy(f);
        begin_fault(f, STORE_FAULT_FAIL, call);
        int rc = forget_run(f->repo, NULL, &options, &r, &err);
        calls = end_fault(f);
        assert_int_equal(rc, calls >= call ? -1 : 0);
        assert_int_equal(count_files(f, STORE_SNAPSHOT), 8 - r.removed);
        assert_true(is_there(f, &a[3]) && is_there(f, &b[3]));
        forget_result_release(&r);
        end_copy(f, &c);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forget__keeps_by_policy_in_each_group),
        cmocka_unit_test(test_forget__looks_only_at_what_matches_and_dry_run_removes_nothing),
        cmocka_unit_test(test_forget__groups_as_it_is_told),
        cmocka_unit_test(test_forget__an_agent_home_is_one_group_whatever_its_paths),
        cmocka_unit_test(test_forget__refuses_an_empty_policy),
        cmocka_unit_test(test_forget__refuses_to_remove_the_last_snapshot_of_a_group),
        cmocka_unit_test(test_forget__by_id_removes_the_last_one_too),
        cmocka_unit_test(test_forget__removes_nothing_once_its_lock_is_gone),
        cmocka_unit_test(test_forget__leaves_broken_snapshots_alone_unless_named),
        cmocka_unit_test(test_forget__failing_anywhere_keeps_what_the_policy_keeps),
    };
    return cmocka_run_group_tests_name("forget", tests, NULL, NULL);
}
