#include "tree_fixture.h"
#include "engine/diff.h"
#include "engine/find.h"
#include "engine/stats.h"

/* Two snapshots: /d/{b, e/}, /a, /fifo, and later /d/{b, e/}, /a (other content), /fifo (a symlink), /new/{n} */
struct pair {
    struct maker m;
    struct id first, second;
    struct node a, b; /* of the first */
};

static int setup(void **state)
{
    struct pair *p = mem_zalloc(sizeof *p);
    struct maker *m = &p->m;
    maker_init(m);
    p->a = maker_bytes(m, "a", "alpha", 5, 64);
    p->b = maker_bytes(m, "b", "beta", 4, 64);
    struct node d[] = {p->b, maker_dir(m, "e", NULL, 0)};
    struct node one[] = {p->a, maker_dir(m, "d", d, 2), maker_node(m, "fifo", NODE_FIFO, NODE_MODE_FIFO | 0600)};
    struct node n = maker_bytes(m, "n", "nu", 2, 64);
    struct node two[] = {maker_bytes(m, "a", "ALPHA", 5, 64), one[1], maker_symlink(m, "fifo", "x"),
                         maker_dir(m, "new", &n, 1)};
    p->first = maker_tree(m, one, 3);
    p->second = maker_finish(m, two, 4, "/");
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct pair *p = *state;
    maker_release(&p->m);
    free(p);
    return 0;
}

/* --- find --- */

static int log_hit(void *ctx, const struct find_hit *hit, struct err *err)
{
    (void)err;
    buf_printf(ctx, "%s%s ", hit->object == NULL ? "" : hit->object_type == BLOB_TREE ? "tree:" : "blob:", hit->path);
    return 0;
}

static void check_find(struct pair *p, const struct find_options *o, const char *first, const char *second)
{
    struct err err = {0};
    struct find *f;
    struct buf log;
    buf_init(&log, 1 << 16);
    fixture_ok(find_new(&f, p->m.f->repo, o, &err), &err);
    fixture_ok(find_run(f, &p->first, log_hit, &log, &err), &err);
    assert_string_equal(buf_cstr(&log), first);
    buf_clear(&log);
    fixture_ok(find_run(f, &p->second, log_hit, &log, &err), &err);
    assert_string_equal(buf_cstr(&log), second);
    find_free(f);
    buf_release(&log);
}

static void check_pattern(struct pair *p, const char *pattern, const char *first, const char *second)
{
    struct err err = {0};
    struct filter *filter = filter_new();
    fixture_ok(filter_add(filter, pattern, false, &err), &err);
    struct find_options o = {.patterns = filter, .patterns_have_slash = strchr(pattern, '/') != NULL};
    check_find(p, &o, first, second);
    filter_free(filter);
}

static void test_find__by_name(void **state)
{
    struct pair *p = *state;
    check_pattern(p, "b", "/d/b ", "/d/b ");
    check_pattern(p, "n*", "", "/new /new/n ");
    check_pattern(p, "d", "/d /d/b /d/e ", "/d /d/b /d/e ");
    check_pattern(p, "/d/b", "/d/b ", "/d/b ");
    check_pattern(p, "/new/*", "", "/new/n ");
    check_pattern(p, "nothing", "", "");
}

static void test_find__by_time(void **state)
{
    struct pair *p = *state;
    struct err err = {0};
    struct filter *filter = filter_new();
    fixture_ok(filter_add(filter, "a", false, &err), &err);
    struct timespec at = {MAKER_MTIME, MAKER_MTIME_NS}, before = {MAKER_MTIME, 0}, after = {MAKER_MTIME + 1, 0};
    struct find_options o = {.patterns = filter, .oldest = &at, .newest = &at};
    check_find(p, &o, "/a ", "/a ");
    o.newest = &before;
    check_find(p, &o, "", "");
    o.newest = NULL;
    o.oldest = &after;
    check_find(p, &o, "", "");
    filter_free(filter);
}

static void test_find__by_object(void **state)
{
    struct pair *p = *state;
    char hex[ID_HEX_BYTES];
    struct strlist words = {0};
    struct find_options o = {.blobs = &words};
    strlist_add(&words, id_to_hex(&p->b.content[0], hex));
    check_find(p, &o, "blob:/d/b ", "blob:/d/b ");
    strlist_release(&words);
    hex[8] = '\0';
    strlist_add(&words, hex);
    check_find(p, &o, "blob:/d/b ", "blob:/d/b ");
    strlist_release(&words);
    strlist_add(&words, id_to_hex(&p->first, hex));
    o = (struct find_options){.trees = &words};
    check_find(p, &o, "tree:/ ", "");
    strlist_release(&words);
    struct id pack;
    assert_true(find_pack_of(p->m.f->repo, BLOB_DATA, &p->a.content[0], &pack));
    strlist_add(&words, id_to_hex(&pack, hex));
    o = (struct find_options){.packs = &words};
    check_find(p, &o, "blob:/a blob:/d/b ", "blob:/a blob:/d/b blob:/new/n ");
    strlist_release(&words);
    assert_true(find_pack_of(p->m.f->repo, BLOB_TREE, &p->first, &pack));
    strlist_add(&words, id_to_hex(&pack, hex));
    check_find(p, &o, "tree:/ tree:/d tree:/d/e ", "tree:/ tree:/d tree:/d/e tree:/new ");
    strlist_release(&words);
}

static void test_find__refuses_what_is_no_id(void **state)
{
    struct pair *p = *state;
    struct strlist words = {0};
    struct find_options o = {.blobs = &words};
    struct find *f;
    struct err err = {0};
    strlist_add(&words, "xyz");
    assert_int_equal(find_new(&f, p->m.f->repo, &o, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    strlist_release(&words);
    strlist_add(&words, "0123456789");
    o = (struct find_options){.packs = &words};
    assert_int_equal(find_new(&f, p->m.f->repo, &o, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    strlist_release(&words);
    find_free(NULL);
}

/* --- diff --- */

static int log_change(void *ctx, unsigned change, const char *path, struct err *err)
{
    (void)err;
    buf_printf(ctx, "%s%s%s%s%s%s%s ", change & DIFF_ADDED ? "+" : "", change & DIFF_REMOVED ? "-" : "",
               change & DIFF_TYPE ? "T" : "", change & DIFF_CONTENT ? "M" : "", change & DIFF_BITROT ? "?" : "",
               change & DIFF_METADATA ? "U" : "", path);
    return 0;
}

static struct diff_stats check_diff(struct pair *p, const struct id *from, const struct id *to, bool metadata,
                                    const char *expected)
{
    struct err err = {0};
    struct buf log;
    struct diff_stats stats;
    buf_init(&log, 1 << 16);
    struct diff_options o = {.metadata = metadata, .change = log_change, .ctx = &log};
    fixture_ok(diff_run(p->m.f->repo, from, to, &o, &stats, &err), &err);
    assert_string_equal(buf_cstr(&log), expected);
    buf_release(&log);
    return stats;
}

static void test_diff__tells_what_changed(void **state)
{
    struct pair *p = *state;
    struct diff_stats s = check_diff(p, &p->first, &p->second, false, "M?/a T/fifo +/new/ +/new/n ");
    assert_int_equal(s.changed_files, 1);
    assert_int_equal(s.added.files, 1);
    assert_int_equal(s.added.dirs, 1);
    assert_int_equal(s.added.data_blobs, 2);
    assert_int_equal(s.added.tree_blobs, 2); /* /new and the root */
    assert_int_equal(s.removed.data_blobs, 1);
    assert_int_equal(s.removed.tree_blobs, 1);
    s = check_diff(p, &p->second, &p->first, true, "M?/a TU/fifo -/new/ -/new/n ");
    assert_int_equal(s.removed.files, 1);
    assert_int_equal(s.removed.dirs, 1);
    s = check_diff(p, &p->first, &p->first, true, "");
    assert_int_equal(s.added.bytes + s.removed.bytes, 0);
}

static void test_diff__tells_metadata_only_when_asked(void **state)
{
    struct pair *p = *state;
    struct maker *m = &p->m;
    struct err err;
    m->w = writer_new(m->f->repo, false, &err);
    struct node x = maker_bytes(m, "x", "data", 4, 64), y = x, link = maker_symlink(m, "z", "t");
    y.mode = 0600;
    struct node a[] = {maker_dir(m, "d", &x, 1), link}, b[] = {maker_dir(m, "d", &y, 1)};
    struct id from = maker_tree(m, a, 2), to = maker_finish(m, b, 1, "/");
    struct diff_stats s = check_diff(p, &from, &to, false, "-/z ");
    assert_int_equal(s.removed.others, 1);
    check_diff(p, &from, &to, true, "U/d/ U/d/x -/z ");
}

static void test_diff__fails_on_a_missing_tree(void **state)
{
    struct pair *p = *state;
    struct id unknown = {{7}};
    struct err err = {0};
    struct diff_stats s;
    struct buf log;
    buf_init(&log, 1 << 16);
    struct diff_options o = {.change = log_change, .ctx = &log};
    assert_int_equal(diff_run(p->m.f->repo, &p->first, &unknown, &o, &s, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_int_equal(diff_run(p->m.f->repo, &unknown, &p->first, &o, &s, &err), -1);
    buf_release(&log);
}

/* --- stats --- */

static struct stats_result count(struct pair *p, enum stats_mode mode)
{
    struct snapshot one = {.tree = p->first}, two = {.tree = p->second};
    const struct snapshot *both[] = {&one, &two};
    struct stats_result s;
    struct stats_progress progress = {0};
    struct err err = {0};
    fixture_ok(stats_run(p->m.f->repo, both, 2, mode, &progress, &s, &err), &err);
    assert_int_equal(s.snapshots, 2);
    return s;
}

static void test_stats__counts_in_four_ways(void **state)
{
    struct pair *p = *state;
    struct stats_result s = count(p, STATS_RESTORE_SIZE);
    assert_int_equal(s.files, 5 + 7);
    assert_int_equal(s.bytes, 9 + 11);
    s = count(p, STATS_FILES_BY_CONTENTS);
    assert_int_equal(s.files, 5); /* alpha, beta, ALPHA, nu, and what is empty */
    assert_int_equal(s.bytes, 5 + 4 + 5 + 2);
    s = count(p, STATS_BLOBS_PER_FILE);
    assert_int_equal(s.blobs, 4);
    assert_int_equal(s.files, 3); /* a, d/b, new/n */
    assert_int_equal(s.bytes, 16);
    s = count(p, STATS_RAW_DATA);
    assert_int_equal(s.blobs, 4 + 5); /* trees: two roots, d, e, new */
    assert_true(s.bytes > 0 && s.bytes < s.plain_bytes);
    assert_true(s.compressed_bytes < s.compressed_plain_bytes);
}

static void test_stats__counts_an_inode_once_a_snapshot(void **state)
{
    struct pair *p = *state;
    struct maker *m = &p->m;
    struct err err;
    m->w = writer_new(m->f->repo, false, &err);
    struct node n[] = {maker_bytes(m, "x", "data", 4, 64), maker_bytes(m, "y", "data", 4, 64)};
    n[0].inode = n[1].inode = 4;
    n[0].links = n[1].links = 2;
    p->first = maker_finish(m, n, 2, "/");
    p->second = p->first;
    struct stats_result s = count(p, STATS_RESTORE_SIZE);
    assert_int_equal(s.files, 4);
    assert_int_equal(s.bytes, 8);
}

static void test_stats__names_a_lost_blob(void **state)
{
    struct pair *p = *state;
    struct maker *m = &p->m;
    struct err err;
    m->w = writer_new(m->f->repo, false, &err);
    struct node n = maker_file(m, "lost", "");
    struct id unknown = {{3}};
    n.content = &unknown;
    n.content_count = 1;
    struct snapshot s = {.tree = maker_finish(m, &n, 1, "/")};
    const struct snapshot *one = &s;
    struct stats_result result;
    assert_int_equal(stats_run(m->f->repo, &one, 1, STATS_BLOBS_PER_FILE, NULL, &result, &err), -1);
    assert_non_null(strstr(err.message, "/lost"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_find__by_name),
        TEST(test_find__by_time),
        TEST(test_find__by_object),
        TEST(test_find__refuses_what_is_no_id),
        TEST(test_diff__tells_what_changed),
        TEST(test_diff__tells_metadata_only_when_asked),
        TEST(test_diff__fails_on_a_missing_tree),
        TEST(test_stats__counts_in_four_ways),
        TEST(test_stats__counts_an_inode_once_a_snapshot),
        TEST(test_stats__names_a_lost_blob),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
