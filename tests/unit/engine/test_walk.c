#include "tree_fixture.h"
#include "engine/fetch.h"
#include "sink/inode_paths.h"
#include "engine/listing.h"
#include "engine/prefetch.h"

struct visit {
    struct buf log;
    const char *prune, *fail;
};

static int log_entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct visit *v = ctx;
    buf_printf(&v->log, "%u%s ", dir->depth, path);
    assert_ptr_equal(n->raw, NULL);
    if (v->fail != NULL && strcmp(path, v->fail) == 0)
        return err_set(err, ERR_FAILED, "as told");
    return v->prune != NULL && strcmp(path, v->prune) == 0 ? WALK_PRUNE : WALK_GO;
}

static int log_enter(void *ctx, struct walk_dir *dir, const char *path, struct err *err)
{
    struct visit *v = ctx;
    (void)err;
    assert_true((dir->parent == NULL) == (strcmp(path, "/") == 0));
    buf_printf(&v->log, "(%s ", path);
    return 0;
}

static int log_leave(void *ctx, struct walk_dir *dir, const char *path, bool failed, struct err *err)
{
    struct visit *v = ctx;
    (void)dir;
    (void)err;
    buf_printf(&v->log, "%s%s) ", path, failed ? "!" : "");
    return 0;
}

static int log_broken(void *ctx, const char *path, const struct id *tree, const struct err *why, struct err *err)
{
    struct visit *v = ctx;
    (void)tree;
    (void)err;
    assert_int_equal(why->code, ERR_NOT_FOUND);
    buf_printf(&v->log, "?%s ", path);
    return 0;
}

/* /{a: {x, y: {z}}, b, c: {}} */
static struct id make_small(struct maker *m)
{
    struct node z = maker_file(m, "z", "1");
    struct node a[] = {maker_file(m, "x", "2"), maker_dir(m, "y", &z, 1)};
    struct node root[] = {maker_dir(m, "a", a, 2), maker_file(m, "b", "3"), maker_dir(m, "c", NULL, 0)};
    return maker_finish(m, root, 3, "/");
}

static const char *walk(struct maker *m, const struct id *root, unsigned threads, struct visit *v, int expected)
{
    struct err err = {0};
    struct walk_visitor visitor = {
        .ctx = v, .entry = log_entry, .enter = log_enter, .leave = log_leave, .broken = log_broken};
    buf_clear(&v->log);
    assert_int_equal(walk_run(m->f->repo, root, threads, &visitor, &err), expected);
    return buf_cstr(&v->log);
}

static void test_walk__goes_depth_first_in_order(void **state)
{
    struct maker *m = *state;
    struct id root = make_small(m);
    struct visit v = {0};
    buf_init(&v.log, 1 << 20);
    for (unsigned threads = 0; threads < 3; threads++)
        assert_string_equal(walk(m, &root, threads, &v, 0),
                            "(/ 0/a (/a 1/a/x 1/a/y (/a/y 2/a/y/z /a/y) /a) 0/b 0/c (/c /c) /) ");
    v.prune = "/a";
    assert_string_equal(walk(m, &root, 1, &v, 0), "(/ 0/a 0/b 0/c (/c /c) /) ");
    v.fail = "/a/y";
    v.prune = NULL;
    assert_string_equal(walk(m, &root, 1, &v, -1), "(/ 0/a (/a 1/a/x 1/a/y /a!) /!) ");
    buf_release(&v.log);
}

static void test_walk__goes_on_past_a_broken_tree(void **state)
{
    struct maker *m = *state;
    struct node n[] = {maker_dir(m, "bad", NULL, 0), maker_file(m, "good", "1")};
    memset(&n[0].subtree, 9, ID_BYTES);
    struct id root = maker_finish(m, n, 2, "/");
    struct visit v = {0};
    buf_init(&v.log, 1 << 20);
    for (unsigned threads = 0; threads < 2; threads++)
        assert_string_equal(walk(m, &root, threads, &v, 0), "(/ 0/bad ?/bad 0/good /) ");
    struct err err = {0};
    struct walk_visitor strict = {.ctx = &v, .entry = log_entry};
    assert_int_equal(walk_run(m->f->repo, &root, 1, &strict, &err), -1);
    assert_non_null(strstr(err.message, "/bad"));
    assert_int_equal(walk_run(m->f->repo, &n[0].subtree, 0, &strict, &err), -1);
    buf_release(&v.log);
}

static int count_entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    (void)dir;
    (void)n;
    (void)path;
    (void)err;
    ++*(size_t *)ctx;
    return WALK_GO;
}

/* Every directory is in its own tree, whoever loads it. */
static void test_walk__finds_all_of_a_wide_and_deep_tree(void **state)
{
    struct maker *m = *state;
    struct node below = maker_file(m, "f", "1");
    for (int depth = 0; depth < 40; depth++) {
        struct node level[8];
        char name[16];
        for (int i = 0; i < 8; i++) {
            snprintf(name, sizeof name, "d%d", i);
            char text[32];
            snprintf(text, sizeof text, "%d %d", depth, i);
            struct node file = maker_file(m, "file", text);
            level[i] = maker_dir(m, name, &file, 1);
        }
        struct node both[9];
        memcpy(both, level, sizeof level);
        both[8] = below;
        below = maker_dir(m, "x", both, 9);
    }
    struct id root = maker_finish(m, &below, 1, "/");
    for (unsigned threads = 0; threads < 4; threads++) {
        size_t count = 0;
        struct err err = {0};
        struct walk_visitor visitor = {.ctx = &count, .entry = count_entry};
        fixture_ok(walk_run(m->f->repo, &root, threads, &visitor, &err), &err);
        assert_int_equal(count, 40 * 17 + 1);
    }
}

static void test_walk__finds_paths(void **state)
{
    struct maker *m = *state;
    struct id root = make_small(m), id;
    struct walk_tree *tree;
    const struct node *node;
    struct err err = {0};
    fixture_ok(walk_find(m->f->repo, &root, "/a//y/z/", &tree, &node, &err), &err);
    assert_string_equal(node->name, "z");
    walk_tree_unref(tree);
    fixture_ok(walk_find(m->f->repo, &root, "/", &tree, &node, &err), &err);
    assert_null(node);
    assert_null(tree);
    assert_int_equal(walk_find(m->f->repo, &root, "/b/x", &tree, &node, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(walk_find(m->f->repo, &root, "/a/q", &tree, &node, &err), -1);
    fixture_ok(walk_find_dir(m->f->repo, &root, "a/y", &id, &err), &err);
    fixture_ok(walk_find_dir(m->f->repo, &root, "", &id, &err), &err);
    assert_true(id_equal(&id, &root));
    assert_int_equal(walk_find_dir(m->f->repo, &root, "/b", &id, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(walk_find_dir(m->f->repo, &root, "/nix", &id, &err), -1);
}

static void test_prefetch__gives_what_was_wanted_and_forgets_what_was_dropped(void **state)
{
    struct maker *m = *state;
    struct id root = make_small(m);
    struct prefetch *p = prefetch_new(m->f->repo, 1);
    struct walk_tree *tree;
    struct err err;
    assert_non_null(p);
    for (size_t i = 0; i < 4; i++)
        assert_true(prefetch_want(p, 3, i, &root));
    assert_false(prefetch_want(p, 3, 4, &root));
    prefetch_drop(p, 3, 1);
    assert_false(prefetch_take(p, 3, 0, &tree, &err));
    if (prefetch_take(p, 3, 2, &tree, &err)) {
        assert_int_equal(tree->tree.count, 3);
        walk_tree_unref(tree);
    }
    assert_false(prefetch_take(p, 3, 2, &tree, &err));
    /* Another directory 16 levels further takes the places over. */
    size_t taken = 0;
    for (size_t i = 0; i < 5; i++)
        taken += prefetch_want(p, 19, i, &root);
    assert_in_range(taken, 1, 4);
    prefetch_free(p);
}

static int log_listed(void *ctx, const struct node *n, const char *path, struct err *err)
{
    (void)n;
    (void)err;
    buf_printf(ctx, "%s ", path);
    return 0;
}

static void test_listing__lists_directories_and_what_is_in_them(void **state)
{
    struct maker *m = *state;
    struct id root = make_small(m);
    struct strlist dirs = {0};
    struct listing_options o = {0};
    struct buf log;
    struct err err = {0};
    buf_init(&log, 1 << 16);
    fixture_ok(listing_run(m->f->repo, &root, &o, log_listed, &log, &err), &err);
    assert_string_equal(buf_cstr(&log), "/a /a/x /a/y /a/y/z /b /c ");
    strlist_add(&dirs, "/a/");
    strlist_add(&dirs, "/c");
    o.dirs = &dirs;
    buf_clear(&log);
    fixture_ok(listing_run(m->f->repo, &root, &o, log_listed, &log, &err), &err);
    assert_string_equal(buf_cstr(&log), "/a /a/x /a/y /c ");
    o.recursive = true;
    buf_clear(&log);
    fixture_ok(listing_run(m->f->repo, &root, &o, log_listed, &log, &err), &err);
    assert_string_equal(buf_cstr(&log), "/a /a/x /a/y /a/y/z /c ");
    strlist_release(&dirs);
    strlist_add(&dirs, "/a/y");
    buf_clear(&log);
    fixture_ok(listing_run(m->f->repo, &root, &o, log_listed, &log, &err), &err);
    assert_string_equal(buf_cstr(&log), "/a/y /a/y/z ");
    strlist_add(&dirs, "relative");
    assert_int_equal(listing_run(m->f->repo, &root, &o, log_listed, &log, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    strlist_release(&dirs);
    buf_release(&log);
}

static void check_fetch(struct maker *m, const struct node *n)
{
    struct err err = {0};
    struct fetch *f = fetch_new(m->f->repo, &err);
    const unsigned char *data;
    size_t len;
    for (int round = 0; round < 2; round++) {
        fetch_plan_clear(f);
        for (size_t i = 0; i < n->content_count; i++)
            assert_int_equal(fetch_plan_add(f, &n->content[i]), i);
        for (size_t i = 0; i < n->content_count; i += (size_t)1 + (size_t)round) {
            uint32_t size, again;
            assert_true(fetch_size(f, i, &size));
            assert_true(fetch_size_of(f, &n->content[i], &again));
            fixture_ok(fetch_blob(f, i, &data, &len, &err), &err);
            assert_int_equal(len, size);
            assert_int_equal(len, again);
            fixture_ok(fetch_blob(f, i, &data, &len, &err), &err);
        }
        fixture_ok(fetch_blob(f, 0, &data, &len, &err), &err); /* backwards */
    }
    struct id unknown = {{1}};
    uint32_t size;
    assert_false(fetch_size_of(f, &unknown, &size));
    size_t at = fetch_plan_add(f, &unknown);
    assert_false(fetch_size(f, at, &size));
    assert_int_equal(fetch_blob(f, at, &data, &len, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    fixture_ok(fetch_one(f, &n->content[0], &data, &len, &err), &err);
    fixture_ok(fetch_one(f, &n->content[0], &data, &len, &err), &err);
    assert_int_equal(fetch_one(f, &unknown, &data, &len, &err), -1);
    fetch_free(f);
    fetch_free(NULL);
}

static void test_fetch__reads_in_any_order_by_windows(void **state)
{
    struct maker *m = *state;
    unsigned char *bytes = mem_alloc(3 << 20);
    fixture_bytes(bytes, 3 << 20, 5);
    struct node n = maker_bytes(m, "f", bytes, 3 << 20, 30000);
    struct id *ids = mem_copy(n.content, n.content_count * sizeof *ids);
    ids[7] = ids[3]; /* once more, further back in the pack */
    ids[8] = ids[7];
    n.content = ids;
    maker_finish(m, &n, 1, "/");
    check_fetch(m, &n);
    m->f->repo->store->features &= ~(unsigned)STORE_CHEAP_READS;
    check_fetch(m, &n);
    free(ids);
    free(bytes);
}

static void test_inode_paths__remembers_until_all_names_were_seen(void **state)
{
    (void)state;
    struct inode_paths p = {0};
    struct node n = {.inode = 1, .device_id = 2, .links = 3}, single = {.inode = 1, .links = 1};
    char *first;
    assert_null(inode_paths_see(&p, &single, "a"));
    assert_null(inode_paths_see(&p, &n, "a"));
    for (int i = 0; i < 2; i++) {
        first = inode_paths_see(&p, &n, "b");
        assert_string_equal(first, "a");
        free(first);
    }
    assert_int_equal(p.count, 0);
    for (unsigned i = 1; i <= 1000; i++) {
        n.inode = i;
        assert_null(inode_paths_see(&p, &n, "x"));
    }
    n.inode = 500;
    first = inode_paths_see(&p, &n, "y");
    assert_string_equal(first, "x");
    free(first);
    n.device_id = 3;
    assert_null(inode_paths_see(&p, &n, "z"));
    inode_paths_release(&p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, maker_set_up, maker_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_walk__goes_depth_first_in_order),
        TEST(test_walk__goes_on_past_a_broken_tree),
        TEST(test_walk__finds_all_of_a_wide_and_deep_tree),
        TEST(test_walk__finds_paths),
        TEST(test_prefetch__gives_what_was_wanted_and_forgets_what_was_dropped),
        TEST(test_listing__lists_directories_and_what_is_in_them),
        TEST(test_fetch__reads_in_any_order_by_windows),
        TEST(test_inode_paths__remembers_until_all_names_were_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
