#include "tree_fixture.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include "engine/restore.h"
#include "engine/restore_cover.h"
#include "os/interrupt.h"

struct run {
    struct maker m;
    char target[96];
    struct restore_options options;
    struct restore_progress progress;
    struct restore_result result;
    struct err err;
    /* what was reported */
    pthread_mutex_t mutex;
    unsigned errors, warnings, items[4];
    char last_path[256], last_error[ERR_MESSAGE_BYTES];
};

static void on_error(void *ctx, const char *path, const struct err *err)
{
    struct run *r = ctx;
    pthread_mutex_lock(&r->mutex);
    r->errors++;
    snprintf(r->last_path, sizeof r->last_path, "%s", path);
    snprintf(r->last_error, sizeof r->last_error, "%s", err->message);
    pthread_mutex_unlock(&r->mutex);
}

static void on_warning(void *ctx, const char *path, const char *what)
{
    struct run *r = ctx;
    (void)path;
    (void)what;
    pthread_mutex_lock(&r->mutex);
    r->warnings++;
    pthread_mutex_unlock(&r->mutex);
}

static void on_item(void *ctx, enum restore_action action, const char *path, uint64_t bytes)
{
    struct run *r = ctx;
    (void)path;
    (void)bytes;
    pthread_mutex_lock(&r->mutex);
    r->items[action]++;
    pthread_mutex_unlock(&r->mutex);
}

static int setup(void **state)
{
    struct run *r = mem_zalloc(sizeof *r);
    maker_init(&r->m);
    snprintf(r->target, sizeof r->target, "%s/target", r->m.f->dir);
    r->options = (struct restore_options){.target = r->target, .threads = 3};
    pthread_mutex_init(&r->mutex, NULL);
    *state = r;
    return 0;
}

/* Directories without permissions would survive the removal when the test is not run by root. */
static int make_removable(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)ftw;
    return type == FTW_D || type == FTW_DNR ? chmod(path, st->st_mode | 0700) : 0;
}

static int teardown(void **state)
{
    struct run *r = *state;
    nftw(r->target, make_removable, 16, FTW_PHYS);
    maker_release(&r->m);
    pthread_mutex_destroy(&r->mutex);
    free(r);
    return 0;
}

/* Restores; counters and reports are of this run alone. */
static int run(struct run *r)
{
    struct restore_reporter reporter = {.ctx = r, .error = on_error, .warning = on_warning, .item = on_item};
    r->progress = (struct restore_progress){0};
    r->errors = r->warnings = 0;
    memset(r->items, 0, sizeof r->items);
    err_clear(&r->err);
    return restore_run(r->m.f->repo, &r->m.snapshot, &r->options, &reporter, &r->progress, &r->result, &r->err);
}

static void run_ok(struct run *r)
{
    fixture_ok(run(r), &r->err);
    if (r->errors > 0)
        fail_msg("'%s': %s", r->last_path, r->last_error);
    assert_int_equal(atomic_load(&r->progress.errors), 0);
}

/* {a: "hello, world", d: {b: "second", e: {}}, l -> a} at /top */
static void make_simple(struct run *r)
{
    struct maker *m = &r->m;
    struct node below[] = {maker_file(m, "b", "second"), maker_dir(m, "e", NULL, 0)};
    struct node top[] = {maker_file(m, "a", "hello, world"), maker_dir(m, "d", below, 2), maker_symlink(m, "l", "a")};
    struct node root[] = {maker_dir(m, "top", top, 3)};
    maker_finish(m, root, 1, "/top");
}

static void test_restore__brings_back_content_and_metadata(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node_xattr xattr = {.name = "user.note", .value = "kept", .size = 4};
    struct node_xattr empty = {.name = "user.empty"};
    struct node inner = maker_file(m, "inner", "x");
    struct node n[] = {maker_dir(m, "dir", &inner, 1), maker_file(m, "empty", ""), maker_node(m, "fifo", NODE_FIFO, 0),
                       maker_file(m, "file", "some content"), maker_symlink(m, "link", "nowhere")};
    n[0].mode = NODE_MODE_DIR | NODE_MODE_STICKY | 0555;
    n[0].xattrs = &xattr;
    n[0].xattr_count = 1;
    n[1].mode = 0;
    n[1].xattrs = &empty;
    n[1].xattr_count = 1;
    n[2].mode = NODE_MODE_FIFO | 0622;
    n[3].mode = NODE_MODE_SETUID | 0751;
    n[3].xattrs = &xattr;
    n[3].xattr_count = 1;
    n[4].mtime.tv_sec = -5;
    maker_finish(m, n, 5, "/");
    run_ok(r);
    assert_string_equal(content(r->target, "file"), "some content");
    assert_string_equal(content(r->target, "dir/inner"), "x");
    assert_int_equal(look(r->target, "file").st_mode, S_IFREG | 04751);
    assert_int_equal(look(r->target, "empty").st_mode, S_IFREG);
    assert_int_equal(look(r->target, "dir").st_mode, S_IFDIR | 01555);
    assert_int_equal(look(r->target, "fifo").st_mode, S_IFIFO | 0622);
    const char *names[] = {"file", "dir", "fifo", "empty", "dir/inner"};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(look(r->target, names[i]).st_mtim.tv_sec, MAKER_MTIME);
        assert_int_equal(look(r->target, names[i]).st_mtim.tv_nsec, MAKER_MTIME_NS);
    }
    assert_int_equal(look(r->target, "link").st_mtim.tv_sec, -5);
    char value[16];
    assert_int_equal(getxattr(in_dir(r->target, "file"), "user.note", value, sizeof value), 4);
    assert_memory_equal(value, "kept", 4);
    assert_int_equal(getxattr(in_dir(r->target, "dir"), "user.note", value, sizeof value), 4);
    assert_int_equal(readlink(in_dir(r->target, "link"), value, sizeof value), 7);
    assert_memory_equal(value, "nowhere", 7);
    assert_int_equal(r->items[RESTORE_CREATED], 6);
}

static void test_restore__leaves_alone_what_is_right(void **state)
{
    struct run *r = *state;
    make_simple(r);
    run_ok(r);
    struct stat before = look(r->target, "top/a"), dir = look(r->target, "top/d"), link = look(r->target, "top/l");
    run_ok(r);
    struct stat after = look(r->target, "top/a");
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(before.st_ctim.tv_nsec, after.st_ctim.tv_nsec);
    assert_int_equal(dir.st_ctim.tv_nsec, look(r->target, "top/d").st_ctim.tv_nsec);
    assert_int_equal(link.st_ctim.tv_nsec, look(r->target, "top/l").st_ctim.tv_nsec);
    assert_int_equal(atomic_load(&r->progress.files_done), 0);
    assert_int_equal(atomic_load(&r->progress.bytes_done), 0);
    assert_int_equal(atomic_load(&r->progress.bytes_skipped), 18);
    assert_int_equal(r->items[RESTORE_UNCHANGED], 6);
}

static void test_restore__writes_only_the_blobs_that_differ(void **state)
{
    struct run *r = *state;
    make_simple(r);
    run_ok(r);
    struct stat before = look(r->target, "top/a");
    put_file(r->target, "top/a", "hello, WORld and more");
    chmod(in_dir(r->target, "top/a"), 0666);
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "hello, world");
    assert_int_equal(look(r->target, "top/a").st_ino, before.st_ino);
    assert_int_equal(look(r->target, "top/a").st_mode & 07777, 0644);
    assert_int_equal(look(r->target, "top/a").st_mtim.tv_sec, MAKER_MTIME);
    assert_int_equal(look(r->target, "top").st_mtim.tv_sec, MAKER_MTIME);
    assert_int_equal(atomic_load(&r->progress.bytes_done), 8); /* the second and third of three blobs of four bytes */
    assert_int_equal(r->items[RESTORE_UPDATED], 1);
    put_file(r->target, "top/a", "hell");
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "hello, world");
}

static void test_restore__corrects_metadata_of_the_same_content(void **state)
{
    struct run *r = *state;
    make_simple(r);
    run_ok(r);
    chmod(in_dir(r->target, "top/a"), 0600);
    chmod(in_dir(r->target, "top/d"), 0700);
    setxattr(in_dir(r->target, "top/a"), "user.extra", "1", 1, 0);
    struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
    utimensat(AT_FDCWD, in_dir(r->target, "top/l"), now, AT_SYMLINK_NOFOLLOW);
    run_ok(r);
    assert_int_equal(look(r->target, "top/a").st_mode & 07777, 0644);
    assert_int_equal(look(r->target, "top/d").st_mode & 07777, 0755);
    assert_int_equal(look(r->target, "top/l").st_mtim.tv_sec, MAKER_MTIME);
    assert_int_equal(getxattr(in_dir(r->target, "top/a"), "user.extra", NULL, 0), -1);
}

static void test_restore__replaces_entries_of_another_type(void **state)
{
    struct run *r = *state;
    make_simple(r);
    mkdir(r->target, 0755);
    mkdir(in_dir(r->target, "top"), 0755);
    mkdir(in_dir(r->target, "top/a"), 0755);
    put_file(r->target, "top/d", "a file where a directory belongs");
    put_file(r->target, "top/l", "and one for a symlink");
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "hello, world");
    assert_string_equal(content(r->target, "top/d/b"), "second");
    assert_true(S_ISLNK(look(r->target, "top/l").st_mode));
    unlink(in_dir(r->target, "top/a"));
    assert_int_equal(symlink("/etc/hostname", in_dir(r->target, "top/a")), 0);
    unlink(in_dir(r->target, "top/l"));
    assert_int_equal(symlink("elsewhere", in_dir(r->target, "top/l")), 0);
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "hello, world");
    assert_int_equal(r->items[RESTORE_UPDATED], 2);
}

static void test_restore__keeps_a_full_directory_in_the_way_unless_told(void **state)
{
    struct run *r = *state;
    make_simple(r);
    mkdir(r->target, 0755);
    mkdir(in_dir(r->target, "top"), 0755);
    mkdir(in_dir(r->target, "top/a"), 0755);
    mkdir(in_dir(r->target, "top/a/sub"), 0755);
    put_file(r->target, "top/a/sub/precious", "mine");
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 1);
    assert_string_equal(r->last_path, "/top/a");
    assert_string_equal(content(r->target, "top/a/sub/precious"), "mine");
    assert_string_equal(content(r->target, "top/d/b"), "second");
    r->options.delete_extra = true;
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "hello, world");
}

static void test_restore__never_follows_a_symlink_out_of_the_target(void **state)
{
    struct run *r = *state;
    make_simple(r);
    char outside[128];
    snprintf(outside, sizeof outside, "%s/outside", r->m.f->dir);
    mkdir(r->target, 0755);
    mkdir(in_dir(r->target, "top"), 0755);
    mkdir(outside, 0755);
    put_file(outside, "b", "untouched");
    assert_int_equal(symlink("../../outside", in_dir(r->target, "top/d")), 0);
    assert_int_equal(symlink("../../outside/b", in_dir(r->target, "top/a")), 0);
    r->options.delete_extra = true;
    run_ok(r);
    assert_string_equal(content(outside, "b"), "untouched");
    assert_true(S_ISDIR(look(r->target, "top/d").st_mode));
    assert_true(S_ISREG(look(r->target, "top/a").st_mode));
    assert_string_equal(content(r->target, "top/d/b"), "second");
}

static void test_restore__reports_a_symlink_above_the_snapshots_paths(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node file = maker_file(m, "f", "1");
    struct node home = maker_dir(m, "home", &file, 1);
    struct node root = maker_dir(m, "mnt", &home, 1);
    maker_finish(m, &root, 1, "/mnt/home");
    mkdir(r->target, 0755);
    mkdir(in_dir(m->f->dir, "real"), 0755);
    assert_int_equal(symlink("../real", in_dir(r->target, "mnt")), 0);
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 1);
    assert_string_equal(r->last_path, "/mnt");
    assert_true(S_ISLNK(look(r->target, "mnt").st_mode));
    assert_false(is_there(m->f->dir, "real/home"));
}

/* Three names of one inode, in two directories. */
static void make_linked(struct run *r)
{
    struct maker *m = &r->m;
    struct node n[] = {maker_file(m, "one", "shared content"), maker_file(m, "two", "shared content")};
    struct node deep = maker_file(m, "three", "shared content");
    n[0].links = n[1].links = deep.links = 3;
    n[0].inode = n[1].inode = deep.inode = 77;
    n[0].device_id = n[1].device_id = deep.device_id = 5;
    struct node root[] = {maker_dir(m, "d", &deep, 1), n[0], n[1]};
    maker_finish(m, root, 3, "/");
}

static void test_restore__links_hard_links_again(void **state)
{
    struct run *r = *state;
    make_linked(r);
    run_ok(r);
    struct stat one = look(r->target, "one");
    assert_int_equal(one.st_nlink, 3);
    assert_int_equal(look(r->target, "two").st_ino, one.st_ino);
    assert_int_equal(look(r->target, "d/three").st_ino, one.st_ino);
    assert_int_equal(look(r->target, "d").st_mtim.tv_sec, MAKER_MTIME);
    run_ok(r);
    assert_int_equal(look(r->target, "one").st_ino, one.st_ino);
    assert_int_equal(r->items[RESTORE_UNCHANGED], 4);
    unlink(in_dir(r->target, "two"));
    put_file(r->target, "two", "something else");
    run_ok(r);
    assert_int_equal(look(r->target, "two").st_ino, look(r->target, "one").st_ino);
    assert_string_equal(content(r->target, "two"), "shared content");
}

static void test_restore__does_not_write_through_a_foreign_hard_link(void **state)
{
    struct run *r = *state;
    make_simple(r);
    run_ok(r);
    char outside[128];
    snprintf(outside, sizeof outside, "%s/outside", r->m.f->dir);
    put_file(r->m.f->dir, "outside", "HELLO, world");
    unlink(in_dir(r->target, "top/a"));
    assert_int_equal(link(outside, in_dir(r->target, "top/a")), 0);
    run_ok(r);
    assert_string_equal(content(r->m.f->dir, "outside"), "HELLO, world");
    assert_string_equal(content(r->target, "top/a"), "hello, world");
    /* Nor its metadata, when the content is the same. */
    put_file(r->m.f->dir, "outside", "hello, world");
    chmod(outside, 0600);
    unlink(in_dir(r->target, "top/a"));
    assert_int_equal(link(outside, in_dir(r->target, "top/a")), 0);
    run_ok(r);
    assert_int_equal(look(r->m.f->dir, "outside").st_mode & 07777, 0600);
    assert_int_equal(look(r->target, "top/a").st_mode & 07777, 0644);
}

static struct filter *filter_of(const char *pattern)
{
    struct err err;
    struct filter *f = filter_new();
    fixture_ok(filter_add(f, pattern, false, &err), &err);
    return f;
}

static void test_restore__honours_include_and_exclude(void **state)
{
    struct run *r = *state;
    make_simple(r);
    struct filter *include = filter_of("/top/d/b"), *exclude = filter_of("b");
    r->options.include = include;
    run_ok(r);
    assert_true(is_there(r->target, "top/d/b"));
    assert_false(is_there(r->target, "top/a"));
    assert_false(is_there(r->target, "top/d/e"));
    assert_int_equal(look(r->target, "top/d").st_mtim.tv_sec, MAKER_MTIME);
    scratch_remove_tree(r->target);
    r->options.include = NULL;
    r->options.exclude = exclude;
    run_ok(r);
    assert_false(is_there(r->target, "top/d/b"));
    assert_true(is_there(r->target, "top/d/e"));
    assert_true(is_there(r->target, "top/a"));
    filter_free(include);
    filter_free(exclude);
}

static void put_extras(struct run *r)
{
    put_file(r->target, "beside", "1");
    put_file(r->target, "top/extra", "1");
    mkdir(in_dir(r->target, "top/d/more"), 0755);
    put_file(r->target, "top/d/more/x", "1");
    put_file(r->target, "top/d/more/y", "1");
}

static void test_restore__deletes_only_below_what_the_snapshot_holds_whole(void **state)
{
    struct run *r = *state;
    make_simple(r);
    run_ok(r);
    put_extras(r);
    r->options.delete_extra = true;
    r->options.dry_run = true;
    run_ok(r);
    assert_int_equal(atomic_load(&r->progress.files_deleted), 4);
    assert_true(is_there(r->target, "top/extra"));
    r->options.dry_run = false;
    run_ok(r);
    assert_false(is_there(r->target, "top/extra"));
    assert_false(is_there(r->target, "top/d/more"));
    assert_true(is_there(r->target, "beside"));
    assert_int_equal(atomic_load(&r->progress.files_deleted), 4);
    assert_int_equal(look(r->target, "top/d").st_mtim.tv_sec, MAKER_MTIME);
}

static void test_restore__deletes_what_the_filters_select(void **state)
{
    struct run *r = *state;
    make_simple(r);
    run_ok(r);
    put_extras(r);
    struct filter *exclude = filter_of("x");
    r->options.delete_extra = true;
    r->options.exclude = exclude;
    run_ok(r);
    assert_true(is_there(r->target, "top/d/more/x"));
    assert_false(is_there(r->target, "top/d/more/y"));
    assert_false(is_there(r->target, "top/extra"));
    filter_free(exclude);
    struct filter *include = filter_of("/top/d/more");
    r->options.exclude = NULL;
    r->options.include = include;
    put_file(r->target, "top/extra", "1");
    put_file(r->target, "top/d/other", "1");
    run_ok(r);
    assert_true(is_there(r->target, "top/extra"));
    assert_true(is_there(r->target, "top/d/other"));
    filter_free(include);
}

static void test_restore__overwrites_by_the_rule(void **state)
{
    struct run *r = *state;
    make_simple(r);
    run_ok(r);
    struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}}, same[2] = {{.tv_sec = 1}, {MAKER_MTIME, MAKER_MTIME_NS}};
    put_file(r->target, "top/a", "mine");
    put_file(r->target, "top/d/b", "MINE!!");
    utimensat(AT_FDCWD, in_dir(r->target, "top/d/b"), same, 0);
    r->options.overwrite = RESTORE_NEVER;
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "mine");
    r->options.overwrite = RESTORE_IF_NEWER;
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "mine");
    utimensat(AT_FDCWD, in_dir(r->target, "top/a"), old, 0);
    run_ok(r);
    assert_string_equal(content(r->target, "top/a"), "hello, world");
    r->options.overwrite = RESTORE_IF_CHANGED;
    run_ok(r);
    assert_string_equal(content(r->target, "top/d/b"), "MINE!!");
    r->options.verify = true;
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 1);
    assert_string_equal(r->last_path, "/top/d/b");
    r->options.overwrite = RESTORE_ALWAYS;
    run_ok(r);
    assert_string_equal(content(r->target, "top/d/b"), "second");
    assert_int_equal(atomic_load(&r->progress.files_verified), 2);
}

static void test_restore__never_leaves_an_existing_link_target_alone(void **state)
{
    struct run *r = *state;
    make_linked(r);
    mkdir(r->target, 0755);
    put_file(r->target, "one", "mine");
    r->options.overwrite = RESTORE_NEVER;
    run_ok(r);
    assert_string_equal(content(r->target, "one"), "mine");
    assert_string_equal(content(r->target, "two"), "shared content");
    assert_int_equal(look(r->target, "two").st_ino, look(r->target, "d/three").st_ino);
}

static void test_restore__dry_run_changes_nothing(void **state)
{
    struct run *r = *state;
    make_simple(r);
    r->options.dry_run = true;
    run_ok(r);
    assert_false(is_there(r->m.f->dir, "target"));
    assert_int_equal(r->items[RESTORE_CREATED], 6);
    r->options.dry_run = false;
    run_ok(r);
    put_file(r->target, "top/a", "changed");
    unlink(in_dir(r->target, "top/l"));
    r->options.dry_run = true;
    run_ok(r);
    assert_int_equal(r->items[RESTORE_CREATED], 1);
    assert_int_equal(r->items[RESTORE_UPDATED], 1);
    assert_int_equal(r->items[RESTORE_UNCHANGED], 4);
    assert_string_equal(content(r->target, "top/a"), "changed");
}

static void test_restore__reports_a_damaged_blob_and_restores_the_rest(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    char bytes[4096];
    memset(bytes, 'x', sizeof bytes);
    bytes[1500] = 'y';
    struct node n[] = {maker_file(m, "good", "fine"), maker_bytes(m, "lost", "one blob", 8, 64),
                       maker_bytes(m, "part", bytes, sizeof bytes, 1024)};
    maker_finish(m, n, 3, "/");
    damage_blob(m, &n[1].content[0]);
    damage_blob(m, &n[2].content[1]);
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 2);
    assert_string_equal(content(r->target, "good"), "fine");
    assert_false(is_there(r->target, "lost"));
    assert_int_equal(look(r->target, "part").st_mode & 07777, 0600);
    assert_memory_equal(content(r->target, "part"), bytes, 1024);
    assert_memory_equal(content(r->target, "part") + 2048, bytes + 2048, 1024);
    assert_int_not_equal(look(r->target, "part").st_mtim.tv_sec, MAKER_MTIME);
}

static void test_restore__reports_lost_blobs_and_trees(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node n[] = {maker_dir(m, "dir", NULL, 0), maker_file(m, "file", "fine"), maker_file(m, "short", "12345678"),
                       maker_file(m, "zlost", "gone")};
    memset(n[0].subtree.bytes, 1, ID_BYTES);
    n[2].size = 9;
    struct id lost[1];
    memset(lost, 2, sizeof lost);
    n[3].content = lost;
    maker_finish(m, n, 4, "/");
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 3);
    assert_string_equal(content(r->target, "file"), "fine");
}

static void test_restore__refuses_a_target_without_space(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node n = maker_file(m, "huge", "not really");
    n.size = UINT64_C(1) << 58;
    maker_finish(m, &n, 1, "/");
    assert_int_equal(run(r), -1);
    assert_int_equal(r->err.code, ERR_NO_SPACE);
    assert_non_null(strstr(r->err.message, "nothing was changed"));
    assert_false(is_there(m->f->dir, "target"));
}

static void test_restore__trusts_a_summary_that_fits(void **state)
{
    struct run *r = *state;
    make_simple(r);
    r->m.snapshot.has_summary = true;
    r->m.snapshot.summary.total_files_processed = 3;
    r->m.snapshot.summary.total_bytes_processed = 18;
    r->m.snapshot.summary.dirs_new = 3;
    run_ok(r);
    assert_int_equal(atomic_load(&r->progress.total_files), 6);
    assert_int_equal(atomic_load(&r->progress.total_bytes), 18);
    assert_int_equal(atomic_load(&r->progress.bytes_done), 18);
    assert_int_equal(r->result.needed_bytes, 0);
}

static void test_restore__makes_holes_of_zeros(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    size_t len = 4 << 20;
    char *bytes = mem_zalloc(len);
    bytes[1000000] = 'x';
    bytes[len - 1] = 'y';
    struct node n = maker_bytes(m, "sparse", bytes, len, 1 << 20);
    maker_finish(m, &n, 1, "/");
    r->options.sparse = true;
    r->options.verify = true;
    run_ok(r);
    assert_int_equal(look(r->target, "sparse").st_size, (off_t)len);
    assert_true(look(r->target, "sparse").st_blocks * 512 < 64 << 10);
    /* Over old data the zeros must be made, too. */
    int fd = open(in_dir(r->target, "sparse"), O_WRONLY | O_CLOEXEC);
    memset(bytes, 'z', len);
    assert_int_equal(os_write_full(fd, bytes, len), 0);
    close(fd);
    run_ok(r);
    free(bytes);
}

static unsigned char *pseudo_random(size_t len)
{
    unsigned char *bytes = mem_alloc(len);
    fixture_bytes(bytes, len, 7);
    return bytes;
}

static void test_restore__shares_a_large_file_among_threads(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    size_t len = (size_t)40 << 20;
    unsigned char *bytes = pseudo_random(len);
    struct node n[] = {maker_bytes(m, "large", bytes, len, 700000), maker_file(m, "small", "s")};
    maker_finish(m, n, 2, "/");
    r->options.threads = 4;
    r->options.verify = true;
    run_ok(r);
    assert_int_equal(look(r->target, "large").st_size, (off_t)len);
    assert_int_equal(atomic_load(&r->progress.bytes_verified), len + 1);
    /* A part of it is spoilt: only that is written again. */
    int fd = open(in_dir(r->target, "large"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "spoilt", 6, 30000000), 6);
    assert_int_equal(ftruncate(fd, (off_t)len - 100), 0);
    close(fd);
    run_ok(r);
    assert_in_range(atomic_load(&r->progress.bytes_done), 1, 2 * 700000);
    /* And found when nothing may be written. */
    fd = open(in_dir(r->target, "large"), O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "spoilt", 6, 30000000), 6);
    close(fd);
    r->options.verify = false;
    r->options.dry_run = true;
    run_ok(r);
    assert_int_equal(r->items[RESTORE_UPDATED], 1);
    free(bytes);
}

static void test_restore__reports_a_large_file_with_a_lost_blob(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    size_t len = (size_t)18 << 20;
    unsigned char *bytes = pseudo_random(len);
    struct node n = maker_bytes(m, "large", bytes, len, 1 << 20);
    struct id *ids = mem_copy(n.content, n.content_count * sizeof *ids);
    memset(&ids[10], 3, sizeof *ids);
    n.content = ids;
    maker_finish(m, &n, 1, "/");
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 1);
    assert_non_null(strstr(r->last_error, "10485760"));
    free(ids);
    free(bytes);
}

static void test_restore__restores_a_directory_or_one_file_by_its_path(void **state)
{
    struct run *r = *state;
    make_simple(r);
    r->options.subpath = "/top/d";
    run_ok(r);
    assert_string_equal(content(r->target, "b"), "second");
    assert_false(is_there(r->target, "top"));
    put_file(r->target, "extra", "1");
    r->options.delete_extra = true;
    run_ok(r);
    assert_false(is_there(r->target, "extra"));
    r->options.subpath = "/top/a";
    run_ok(r);
    assert_string_equal(content(r->target, "a"), "hello, world");
    assert_true(is_there(r->target, "b"));
    r->options.subpath = "/top/nothing";
    assert_int_equal(run(r), -1);
    assert_int_equal(r->err.code, ERR_NOT_FOUND);
}

static void test_restore__ends_when_interrupted(void **state)
{
    struct run *r = *state;
    make_simple(r);
    pid_t child = fork();
    if (child == 0) {
        os_interrupt_install();
        raise(SIGINT);
        _exit(run(r) == -1 && r->err.code == ERR_INTERRUPTED ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_restore__many_directories_and_files(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node files[40], dirs[60];
    char name[16];
    for (size_t i = 0; i < 60; i++) {
        for (size_t k = 0; k < 40; k++) {
            snprintf(name, sizeof name, "f%03zu", k);
            char text[32];
            snprintf(text, sizeof text, "%zu/%zu", i, k);
            files[k] = maker_file(m, name, text);
        }
        snprintf(name, sizeof name, "d%03zu", i);
        dirs[i] = maker_dir(m, name, files, 40);
    }
    maker_finish(m, dirs, 60, "/");
    r->options.verify = true;
    run_ok(r);
    assert_int_equal(atomic_load(&r->progress.files_done), 60 * 41);
    assert_int_equal(atomic_load(&r->progress.files_verified), 60 * 40);
    assert_string_equal(content(r->target, "d059/f039"), "59/39");
    assert_int_equal(look(r->target, "d007").st_mtim.tv_sec, MAKER_MTIME);
}

static void test_restore__warns_of_a_socket(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node n[] = {maker_file(m, "a", "1"), maker_node(m, "s", NODE_SOCKET, NODE_MODE_SOCKET | 0600)};
    maker_finish(m, n, 2, "/");
    run_ok(r);
    assert_int_equal(r->warnings, 1);
    assert_false(is_there(r->target, "s"));
}

static void test_restore__needs_a_directory_as_target(void **state)
{
    struct run *r = *state;
    make_simple(r);
    put_file(r->m.f->dir, "target", "a file");
    assert_int_equal(run(r), -1);
    assert_non_null(strstr(r->err.message, "target"));
}

static void test_cover__knows_paths_given_relative(void **state)
{
    struct run *r = *state;
    make_simple(r);
    struct snapshot *s = &r->m.snapshot;
    struct restore_cover c;
    struct err err;
    strlist_release(&s->paths);
    strlist_add(&s->paths, "/home/me/top/d"); /* "backup top/d" in /home/me */
    fixture_ok(restore_cover_init(&c, r->m.f->repo, s, NULL, &err), &err);
    assert_true(restore_cover_has(&c, "/top/d"));
    assert_true(restore_cover_has(&c, "/top/d/e"));
    assert_false(restore_cover_has(&c, "/top"));
    assert_false(restore_cover_has(&c, "/top/dx"));
    assert_false(restore_cover_has(&c, "/"));
    restore_cover_release(&c);
    fixture_ok(restore_cover_init(&c, r->m.f->repo, s, "/top", &err), &err);
    assert_true(restore_cover_has(&c, "/d"));
    assert_false(restore_cover_has(&c, "/"));
    restore_cover_release(&c);
    fixture_ok(restore_cover_init(&c, r->m.f->repo, s, "/top/d/e", &err), &err);
    assert_true(restore_cover_has(&c, "/"));
    restore_cover_release(&c);
    strlist_add(&s->paths, "/");
    fixture_ok(restore_cover_init(&c, r->m.f->repo, s, NULL, &err), &err);
    assert_true(restore_cover_has(&c, "/anything"));
    restore_cover_release(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_restore__brings_back_content_and_metadata),
        TEST(test_restore__leaves_alone_what_is_right),
        TEST(test_restore__writes_only_the_blobs_that_differ),
        TEST(test_restore__corrects_metadata_of_the_same_content),
        TEST(test_restore__replaces_entries_of_another_type),
        TEST(test_restore__keeps_a_full_directory_in_the_way_unless_told),
        TEST(test_restore__never_follows_a_symlink_out_of_the_target),
        TEST(test_restore__reports_a_symlink_above_the_snapshots_paths),
        TEST(test_restore__links_hard_links_again),
        TEST(test_restore__does_not_write_through_a_foreign_hard_link),
        TEST(test_restore__honours_include_and_exclude),
        TEST(test_restore__deletes_only_below_what_the_snapshot_holds_whole),
        TEST(test_restore__deletes_what_the_filters_select),
        TEST(test_restore__overwrites_by_the_rule),
        TEST(test_restore__never_leaves_an_existing_link_target_alone),
        TEST(test_restore__dry_run_changes_nothing),
        TEST(test_restore__reports_a_damaged_blob_and_restores_the_rest),
        TEST(test_restore__reports_lost_blobs_and_trees),
        TEST(test_restore__refuses_a_target_without_space),
        TEST(test_restore__trusts_a_summary_that_fits),
        TEST(test_restore__makes_holes_of_zeros),
        TEST(test_restore__shares_a_large_file_among_threads),
        TEST(test_restore__reports_a_large_file_with_a_lost_blob),
        TEST(test_restore__restores_a_directory_or_one_file_by_its_path),
        TEST(test_restore__ends_when_interrupted),
        TEST(test_restore__many_directories_and_files),
        TEST(test_restore__warns_of_a_socket),
        TEST(test_restore__needs_a_directory_as_target),
        TEST(test_cover__knows_paths_given_relative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
