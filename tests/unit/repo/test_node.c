#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "repo/node.h"

static void test_node__maps_every_file_type(void **state)
{
    (void)state;
    static const struct {
        mode_t mode;
        enum node_type type;
        const char *name;
        uint32_t stored;
    } CASES[] = {
        {S_IFREG | 0644, NODE_FILE, "file", 0644},
        {S_IFDIR | 0755, NODE_DIR, "dir", 0x80000000u | 0755},
        {S_IFLNK | 0777, NODE_SYMLINK, "symlink", 134218239},
        {S_IFBLK | 0660, NODE_DEV, "dev", 0x4000000u | 0660},
        {S_IFCHR | 0600, NODE_CHARDEV, "chardev", 0x4200000u | 0600},
        {S_IFIFO | 0600, NODE_FIFO, "fifo", 0x2000000u | 0600},
        {S_IFSOCK | 0700, NODE_SOCKET, "socket", 0x1000000u | 0700},
        {0, NODE_IRREGULAR, "irregular", 0x80000u},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        assert_int_equal(node_type_from_stat(CASES[i].mode), CASES[i].type);
        assert_string_equal(node_type_name(CASES[i].type), CASES[i].name);
        assert_int_equal(node_mode_from_stat(CASES[i].mode), CASES[i].stored);
    }
}

static void test_node__keeps_all_twelve_permission_bits(void **state)
{
    (void)state;
    for (mode_t bits = 0; bits <= 07777; bits++)
        assert_int_equal(node_mode_to_permissions(node_mode_from_stat(S_IFREG | bits)), bits);
    assert_int_equal(node_mode_from_stat(S_IFREG | 04000), NODE_MODE_SETUID);
    assert_int_equal(node_mode_from_stat(S_IFREG | 02000), NODE_MODE_SETGID);
    assert_int_equal(node_mode_from_stat(S_IFREG | 01000), NODE_MODE_STICKY);
}

static const struct node_xattr XATTRS[] = {{"user.a", "value", 5}, {"user.empty", "", 0}, {"user.null", NULL, 0}};
static const struct id CONTENT[] = {{{1}}, {{2}}};

static struct node full_node(void)
{
    return (struct node){.name = "name",
                         .name_len = 4,
                         .type = NODE_FILE,
                         .mode = 0644,
                         .mtime = {1, 2},
                         .atime = {3, 4},
                         .ctime = {5, 6},
                         .uid = 7,
                         .gid = 8,
                         .user = "user",
                         .group = "group",
                         .inode = 9,
                         .device_id = 10,
                         .size = 11,
                         .links = 12,
                         .device = 13,
                         .link_target = "tar\0get",
                         .link_target_len = 7,
                         .xattrs = XATTRS,
                         .xattr_count = 3,
                         .content = CONTENT,
                         .content_count = 2,
                         .subtree = {{3}},
                         .has_subtree = true,
                         .raw = "{}",
                         .raw_len = 2};
}

static void test_node__copy_is_deep(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct node from = full_node(), to;
    node_copy(&to, &from, &arena);
    assert_true(node_metadata_equal(&from, &to));
    assert_ptr_not_equal(to.name, from.name);
    assert_ptr_not_equal(to.user, from.user);
    assert_ptr_not_equal(to.group, from.group);
    assert_ptr_not_equal(to.link_target, from.link_target);
    assert_int_equal(to.link_target[7], '\0');
    assert_ptr_not_equal(to.xattrs, from.xattrs);
    assert_ptr_not_equal(to.xattrs[0].value, from.xattrs[0].value);
    assert_non_null(to.xattrs[1].value);
    assert_null(to.xattrs[2].value);
    assert_ptr_not_equal(to.content, from.content);
    assert_memory_equal(to.content, CONTENT, sizeof CONTENT);
    assert_true(to.has_subtree && id_equal(&to.subtree, &from.subtree));
    assert_null(to.raw);
    assert_int_equal(to.raw_len, 0);
    arena_release(&arena);
}

static void test_node__copy_of_an_empty_node_is_empty(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct node from = {0}, to;
    node_copy(&to, &from, &arena);
    assert_null(to.name);
    assert_null(to.user);
    assert_null(to.link_target);
    assert_null(to.xattrs);
    assert_null(to.content);
    assert_true(node_metadata_equal(&from, &to));
    arena_release(&arena);
}

static void test_node__metadata_differs_in_any_one_field(void **state)
{
    (void)state;
    static const struct node_xattr OTHER_VALUE[] = {
        {"user.a", "valuE", 5}, {"user.empty", "", 0}, {"user.null", NULL, 0}};
    static const struct node_xattr OTHER_NAME[] = {
        {"user.b", "value", 5}, {"user.empty", "", 0}, {"user.null", NULL, 0}};
    struct node base = full_node(), n;
#define DIFFERS(field, value) \
    n = base;                 \
    n.field = (value);        \
    assert_false(node_metadata_equal(&base, &n))
    DIFFERS(name, "nam2");
    DIFFERS(name_len, 3);
    DIFFERS(type, NODE_DIR);
    DIFFERS(mode, 0600);
    DIFFERS(mtime.tv_sec, 99);
    DIFFERS(mtime.tv_nsec, 99);
    DIFFERS(atime.tv_sec, 99);
    DIFFERS(atime.tv_nsec, 99);
    DIFFERS(ctime.tv_sec, 99);
    DIFFERS(ctime.tv_nsec, 99);
    DIFFERS(uid, 99);
    DIFFERS(gid, 99);
    DIFFERS(user, NULL);
    DIFFERS(group, "g");
    DIFFERS(inode, 99);
    DIFFERS(device_id, 99);
    DIFFERS(size, 99);
    DIFFERS(links, 99);
    DIFFERS(device, 99);
    DIFFERS(link_target, "tar\0geT");
    DIFFERS(link_target_len, 3);
    DIFFERS(xattr_count, 2);
    DIFFERS(xattrs, OTHER_VALUE);
    DIFFERS(xattrs, OTHER_NAME);
#undef DIFFERS
}

static void test_node__metadata_ignores_content_and_spelling(void **state)
{
    (void)state;
    static const struct node_xattr SAME[] = {{"user.a", "value", 5}, {"user.empty", NULL, 0}, {"user.null", "", 0}};
    struct node a = full_node(), b = a;
    a.user = NULL;
    b.user = "";
    b.content = NULL;
    b.content_count = 0;
    b.has_subtree = false;
    b.raw = NULL;
    b.xattrs = SAME;
    assert_true(node_metadata_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node__maps_every_file_type),
        cmocka_unit_test(test_node__keeps_all_twelve_permission_bits),
        cmocka_unit_test(test_node__copy_is_deep),
        cmocka_unit_test(test_node__copy_of_an_empty_node_is_empty),
        cmocka_unit_test(test_node__metadata_differs_in_any_one_field),
        cmocka_unit_test(test_node__metadata_ignores_content_and_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
