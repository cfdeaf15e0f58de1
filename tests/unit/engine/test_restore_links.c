/* Hard links from the inside, and what only root or only another user can show. */
#include "tree_fixture.h"
#include <grp.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include "engine/restore_internal.h"

/* --- the table --- */

static struct rdir *dir_called(struct node *n, struct rdir *top, const char *name)
{
    *n = (struct node){.name = name, .name_len = strlen(name)};
    return rdir_new(top, n, NULL);
}

static void free_dir(struct rdir *d)
{
    link_dir_release(d->link_dir);
    free(d);
}

static void test_links__later_names_follow_the_first(void **state)
{
    (void)state;
    struct links *l = links_new();
    struct node node = {.inode = 5, .device_id = 6, .links = 3}, dn;
    struct rdir *top = rdir_new(NULL, NULL, NULL), *dir = dir_called(&dn, top, "dir");
    struct restore_link *a, *b;
    struct stat st = {.st_dev = 1, .st_ino = 2}, other = {.st_dev = 1, .st_ino = 3};
    assert_int_equal(links_join(l, dir, &node, &a), LINK_LEAD);
    assert_null(links_done(l, a, dir, "first", &st));
    assert_int_equal(links_join(l, top, &node, &b), LINK_FOLLOW);
    assert_ptr_equal(a, b);
    assert_string_equal(link_dir_path(link_dir_of(b)), "dir");
    assert_string_equal(link_name(b), "first");
    assert_true(link_is(b, &st));
    assert_false(link_is(b, &other));
    assert_true(links_same_dir(l, b, dir));
    assert_false(links_same_dir(l, b, top));
    links_followed(l, b);
    assert_int_equal(links_join(l, top, &node, &b), LINK_FOLLOW);
    links_followed(l, b);
    /* All three names were seen: it is forgotten. */
    assert_int_equal(links_join(l, top, &node, &b), LINK_LEAD);
    assert_null(links_done(l, b, top, "x", &st));
    links_free(l);
    links_free(NULL);
    free_dir(dir);
    free_dir(top);
}

static void test_links__names_wait_while_the_first_is_being_restored(void **state)
{
    (void)state;
    struct links *l = links_new();
    struct node node = {.inode = 5, .links = 9};
    struct rdir *top = rdir_new(NULL, NULL, NULL);
    struct restore_link *a, *b;
    struct stat st = {.st_ino = 2};
    assert_int_equal(links_join(l, top, &node, &a), LINK_LEAD);
    for (int i = 0; i < 3; i++)
        assert_int_equal(links_join(l, top, &node, &b), LINK_WAIT);
    struct link_waiter *next = links_done(l, a, top, "failed", NULL); /* one of them leads now */
    assert_non_null(next);
    assert_null(next->next);
    assert_ptr_equal(next->node, &node);
    free(next);
    next = links_done(l, a, top, "made", &st);
    assert_non_null(next->next);
    assert_null(next->next->next);
    free(next->next);
    free(next);
    links_followed(l, a);
    links_followed(l, a);
    assert_int_equal(links_join(l, top, &node, &b), LINK_FOLLOW);
    links_followed(l, b);
    /* Nobody waits for one that failed: it is as if it had never been there. */
    node.inode = 6;
    assert_int_equal(links_join(l, top, &node, &a), LINK_LEAD);
    assert_null(links_done(l, a, top, "x", NULL));
    assert_int_equal(links_join(l, top, &node, &a), LINK_LEAD);
    assert_null(links_done(l, a, top, "x", &st));
    links_free(l);
    free_dir(top);
}

static void test_links__keeps_many(void **state)
{
    (void)state;
    struct links *l = links_new();
    struct rdir *top = rdir_new(NULL, NULL, NULL);
    struct stat st = {.st_ino = 1};
    for (uint64_t pass = 0; pass < 3; pass++) {
        for (uint64_t i = 1; i < 2000; i++) {
            struct node node = {.inode = i, .device_id = i % 3, .links = 3};
            struct restore_link *link;
            enum link_role role = links_join(l, top, &node, &link);
            assert_int_equal(role, pass == 0 ? LINK_LEAD : LINK_FOLLOW);
            if (pass == 0)
                assert_null(links_done(l, link, top, "n", &st));
            else
                links_followed(l, link);
        }
    }
    links_free(l);
    free_dir(top);
}

/* --- whole restores --- */

struct run {
    struct maker m;
    char target[96];
    struct restore_options options;
    struct restore_progress progress;
    struct restore_result result;
    unsigned errors;
};

static int setup(void **state)
{
    struct run *r = mem_zalloc(sizeof *r);
    maker_init(&r->m);
    snprintf(r->target, sizeof r->target, "%s/target", r->m.f->dir);
    r->options = (struct restore_options){.target = r->target, .threads = 4};
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct run *r = *state;
    maker_release(&r->m);
    free(r);
    return 0;
}

static int run(struct run *r)
{
    struct err err = {0};
    struct restore_reporter reporter = {0};
    r->progress = (struct restore_progress){0};
    int rc = restore_run(r->m.f->repo, &r->m.snapshot, &r->options, &reporter, &r->progress, &r->result, &err);
    r->errors = (unsigned)atomic_load(&r->progress.errors);
    return rc;
}

/* Names of few inodes, spread over many directories, so that workers meet at them. */
static void test_restore__many_hard_links_at_once(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    enum { DIRS = 40, FILES = 30 };
    struct node dirs[DIRS], files[FILES];
    char name[32];
    unsigned char *bytes = mem_alloc(300000);
    fixture_bytes(bytes, 300000, 1);
    for (int k = 0; k < FILES; k++) {
        snprintf(name, sizeof name, "f%02d", k);
        bytes[0] = (unsigned char)k;
        files[k] = maker_bytes(m, name, bytes, k % 2 ? 300000 : 10, 50000);
        files[k].inode = (uint64_t)k + 1;
        files[k].links = DIRS;
    }
    for (int i = 0; i < DIRS; i++) {
        snprintf(name, sizeof name, "d%02d", i);
        dirs[i] = maker_dir(m, name, files, FILES);
        dirs[i].mode = NODE_MODE_DIR | 0500 | ((unsigned)i & 7); /* different trees stay the same; the nodes differ */
    }
    maker_finish(m, dirs, DIRS, "/");
    r->options.verify = true;
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 0);
    for (int k = 0; k < FILES; k++) {
        snprintf(name, sizeof name, "d00/f%02d", k);
        struct stat first = look(r->target, name);
        assert_int_equal(first.st_nlink, DIRS);
    }
    assert_int_equal(look(r->target, "d17").st_mtim.tv_sec, MAKER_MTIME);
    free(bytes);
}

static void test_restore__reports_each_name_of_a_damaged_file(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node n[] = {maker_bytes(m, "a", "bytes", 5, 64), maker_bytes(m, "b", "bytes", 5, 64)};
    n[0].inode = n[1].inode = 3;
    n[0].links = n[1].links = 2;
    maker_finish(m, n, 2, "/");
    damage_blob(m, &n[0].content[0]);
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 2);
}

static void make_owned(struct run *r)
{
    struct maker *m = &r->m;
    static const unsigned char CAPABILITY[] = {1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    static const struct node_xattr xattr = {
        .name = "security.capability", .value = CAPABILITY, .size = sizeof CAPABILITY};
    struct node inner = maker_file(m, "inner", "1");
    struct node n[] = {maker_node(m, "block", NODE_DEV, NODE_MODE_DEVICE | 0640),
                       maker_node(m, "char", NODE_CHARDEV, NODE_MODE_DEVICE | NODE_MODE_CHARDEV | 0666),
                       maker_dir(m, "dir", &inner, 1),
                       maker_node(m, "fifo", NODE_FIFO, NODE_MODE_FIFO | NODE_MODE_SETUID | 0600),
                       maker_file(m, "file", "content"),
                       maker_symlink(m, "link", "nowhere")};
    n[0].device = makedev(7, 99);
    n[1].device = makedev(1, 3);
    for (unsigned i = 0; i < 6; i++) {
        n[i].uid = 1000 + i;
        n[i].gid = 2000 + i;
    }
    n[2].mode = NODE_MODE_DIR | NODE_MODE_SETGID | 0755;
    n[4].mode = NODE_MODE_SETUID | NODE_MODE_SETGID | 0755;
    n[4].xattrs = &xattr;
    n[4].xattr_count = 1;
    maker_finish(m, n, 6, "/");
}

static void check_owned(struct run *r)
{
    static const char *const NAMES[] = {"block", "char", "dir", "fifo", "file", "link"};
    for (unsigned i = 0; i < 6; i++) {
        struct stat st = look(r->target, NAMES[i]);
        assert_int_equal(st.st_uid, 1000 + i);
        assert_int_equal(st.st_gid, 2000 + i);
        assert_int_equal(st.st_mtim.tv_sec, MAKER_MTIME);
    }
    assert_int_equal(look(r->target, "block").st_rdev, makedev(7, 99));
    assert_int_equal(look(r->target, "block").st_mode, S_IFBLK | 0640);
    assert_int_equal(look(r->target, "char").st_mode, S_IFCHR | 0666);
    assert_int_equal(look(r->target, "dir").st_mode, S_IFDIR | 02755);
    assert_int_equal(look(r->target, "fifo").st_mode, S_IFIFO | 04600);
    assert_int_equal(look(r->target, "file").st_mode, S_IFREG | 06755);
    assert_int_equal(getxattr(in_dir(r->target, "file"), "security.capability", NULL, 0), 20);
}

static void test_restore__sets_owners_and_makes_devices_as_root(void **state)
{
    struct run *r = *state;
    if (geteuid() != 0)
        skip();
    make_owned(r);
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 0);
    check_owned(r);
    /* What is there and wrong is made right again, also below a directory that hands its group on. */
    assert_int_equal(lchown(in_dir(r->target, "link"), 0, 0), 0);
    assert_int_equal(chown(in_dir(r->target, "file"), 0, 0), 0);
    assert_int_equal(chmod(in_dir(r->target, "char"), 0600), 0);
    assert_int_equal(unlink(in_dir(r->target, "dir/inner")), 0);
    assert_int_equal(chown(r->target, 0, 4444), 0);
    assert_int_equal(chmod(r->target, 02755), 0);
    assert_int_equal(setxattr(r->target, "system.posix_acl_default",
                              "\2\0\0\0\1\0\7\0\377\377\377\377\2\0\7\0\351\3\0\0\4\0\5\0\377\377\377\377"
                              "\20\0\7\0\377\377\377\377\40\0\5\0\377\377\377\377",
                              44, 0),
                     0);
    assert_int_equal(unlink(in_dir(r->target, "fifo")), 0);
    r->options.verify = true;
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 0);
    check_owned(r);
    assert_int_equal(look(r->target, "dir/inner").st_gid, getegid());
    assert_int_equal(getxattr(in_dir(r->target, "fifo"), "system.posix_acl_access", NULL, 0), -1);
    assert_int_equal(mknod(in_dir(r->target, "char2"), S_IFCHR | 0600, makedev(1, 5)), 0);
    assert_int_equal(rename(in_dir(r->target, "char2"), in_dir(r->target, "char")), 0);
    assert_int_equal(run(r), 0);
    check_owned(r);
}

static int give_away(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return lchown(path, 65534, 65534);
}

/* In a process of its own, which stays another user. */
static int run_as_nobody(struct run *r)
{
    if (setgroups(0, NULL) < 0 || setgid(65534) < 0 || setuid(65534) < 0)
        return 10;
    if (run(r) != 0)
        return 11;
    if (r->errors != 2) /* the devices */
        return 12;
    if (r->result.owners_kept == 0 || r->result.xattrs_unsupported != 1)
        return 13;
    struct stat st = look(r->target, "file");
    if (st.st_uid != 65534 || st.st_mtim.tv_sec != MAKER_MTIME)
        return 14;
    /* A directory that its owner closed to himself is opened for the restore. */
    unlink(in_dir(r->target, "dir/inner"));
    chmod(in_dir(r->target, "dir"), 0500);
    chmod(in_dir(r->target, "file"), 0200);
    if (run(r) != 0 || r->errors != 2 || !is_there(r->target, "dir/inner"))
        return 15;
    return 0;
}

static void test_restore__does_what_it_may_as_another_user(void **state)
{
    struct run *r = *state;
    if (geteuid() != 0)
        skip();
    make_owned(r);
    assert_int_equal(nftw(r->m.f->dir, give_away, 16, FTW_PHYS), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(run_as_nobody(r));
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_restore__reports_what_it_may_not_change(void **state)
{
    struct run *r = *state;
    struct maker *m = &r->m;
    struct node_xattr bad = {.name = "nonsense.name", .value = "1", .size = 1};
    struct node n = maker_file(m, "f", "content");
    n.xattrs = &bad;
    n.xattr_count = 1;
    maker_finish(m, &n, 1, "/");
    assert_int_equal(run(r), 0);
    assert_int_equal(r->errors, 0); /* the file system does not know this kind: counted, not an error */
    assert_int_equal(r->result.xattrs_unsupported, 1);
    assert_string_equal(content(r->target, "f"), "content");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links__later_names_follow_the_first),
        cmocka_unit_test(test_links__names_wait_while_the_first_is_being_restored),
        cmocka_unit_test(test_links__keeps_many),
        TEST(test_restore__many_hard_links_at_once),
        TEST(test_restore__reports_each_name_of_a_damaged_file),
        TEST(test_restore__sets_owners_and_makes_devices_as_root),
        TEST(test_restore__does_what_it_may_as_another_user),
        TEST(test_restore__reports_what_it_may_not_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
