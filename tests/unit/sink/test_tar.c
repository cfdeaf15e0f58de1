/* Tar as a stream, read by the stock programs. What dumps need of it is in engine/test_dump.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "archive_place.h"
#include "sink/inode_paths.h"
#include "sink/tar.h"

struct drop {
    struct buf head;
    uint64_t bytes;
};

/* Keeps the beginning only: for members larger than any disk. */
static int keep_head(void *ctx, const void *p, size_t len, struct err *err)
{
    struct drop *d = ctx;
    (void)err;
    d->bytes += len;
    if (d->head.len < 64 << 10)
        buf_append(&d->head, p, len);
    return 0;
}

static int append(void *ctx, const void *p, size_t len, struct err *err)
{
    buf_append(ctx, p, len);
    return ((struct buf *)ctx)->overflow ? err_set(err, ERR_NO_SPACE, "full") : 0;
}

static void test_tar__says_sizes_and_owners_of_any_number(void **state)
{
    (void)state;
    struct drop d = {0};
    struct err err = {0};
    buf_init(&d.head, 1 << 20);
    struct tar *t = tar_new(keep_head, &d);
    struct node n = make_node("huge", NODE_FILE, 0600);
    n.size = 20000000000u;
    n.uid = 4000000000u;
    n.gid = 3000000;
    n.user = "a user's name that is longer than the thirty-one bytes of its field";
    assert_ok(tar_begin(t, &n, "huge", NULL, &err), &err);
    const char *head = buf_cstr(&d.head);
    assert_non_null(memmem(head, d.head.len, "20 size=20000000000\n", 20));
    assert_non_null(memmem(head, d.head.len, "uid=4000000000\n", 15));
    assert_non_null(memmem(head, d.head.len, "gid=3000000\n", 12));
    assert_non_null(memmem(head, d.head.len, "uname=a user's", 14));
    assert_int_equal(tar_data_left(t), 20000000000u);
    static unsigned char zeros[1 << 20];
    for (uint64_t left = n.size; left > 0;) {
        size_t step = left < sizeof zeros ? (size_t)left : sizeof zeros;
        assert_ok(tar_data(t, zeros, step, &err), &err);
        left -= step;
    }
    assert_ok(tar_end(t, &err), &err);
    assert_ok(tar_finish(t, &err), &err);
    assert_int_equal(tar_bytes(t), d.bytes);
    assert_int_equal(d.bytes % 10240, 0);
    tar_free(t);
    buf_release(&d.head);
}

static void test_tar__refuses_what_it_cannot_hold(void **state)
{
    (void)state;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    struct tar *t = tar_new(append, &out);
    struct node n = make_node("s", NODE_SOCKET, 0600);
    assert_false(tar_can_hold(NODE_SOCKET));
    assert_false(tar_can_hold(NODE_IRREGULAR));
    assert_true(tar_can_hold(NODE_FIFO));
    assert_int_equal(tar_begin(t, &n, "s", NULL, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    char *value = mem_zalloc(65 << 20);
    struct node_xattr x = {"user.large", value, 65 << 20};
    n = make_node("f", NODE_FILE, 0600);
    n.xattrs = &x;
    n.xattr_count = 1;
    assert_int_equal(tar_begin(t, &n, "f", NULL, &err), -1);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    struct tar_segment s = {0, 0};
    assert_int_equal(tar_begin_sparse(t, &n, "f", &s, 1, &err), -1);
    assert_int_equal(out.len, 0); /* nothing was begun */
    n.xattr_count = 0;
    assert_ok(tar_begin(t, &n, "f", NULL, &err), &err);
    assert_ok(tar_end(t, &err), &err);
    free(value);
    tar_free(t);
    tar_free(NULL);
    buf_release(&out);
}

static void test_tar__content_has_the_announced_length(void **state)
{
    (void)state;
    struct buf out;
    struct err err = {0};
    buf_init(&out, 1 << 20);
    struct tar *t = tar_new(append, &out);
    struct node n = make_node("f", NODE_FILE, 0600);
    n.size = 3;
    assert_ok(tar_begin(t, &n, "f", NULL, &err), &err);
    assert_int_equal(tar_data(t, "1234", 4, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_ok(tar_data(t, "12", 2, &err), &err);
    assert_int_equal(tar_end(t, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    tar_free(t);
    buf_release(&out);
}

/* name: a sparse file as GNU's tar and libarchive's restore it. */
static void check_sparse(const char *name, const struct tar_segment *segments, size_t count, uint64_t size)
{
    struct buf out;
    struct err err = {0};
    buf_init(&out, 16 << 20);
    struct tar *t = tar_new(append, &out);
    struct node n = make_node(name, NODE_FILE, 0600);
    n.size = size;
    assert_ok(tar_begin_sparse(t, &n, name, segments, count, &err), &err);
    char *dir = scratch_make();
    unsigned char *plain = mem_zalloc((size_t)size + 1);
    for (size_t i = 0; i < count; i++) {
        memset(plain + segments[i].offset, 'a' + (int)(i % 26), (size_t)segments[i].bytes);
        assert_ok(tar_data(t, plain + segments[i].offset, (size_t)segments[i].bytes, &err), &err);
    }
    assert_ok(tar_end(t, &err), &err);
    struct node after = make_node("after", NODE_FIFO, 0600);
    assert_ok(tar_begin(t, &after, "after", NULL, &err), &err);
    assert_ok(tar_end(t, &err), &err);
    assert_ok(tar_finish(t, &err), &err);
    scratch_write(dir, "t.tar", out.data, out.len);
    scratch_write(dir, "plain", plain, (size_t)size);
    static const char *const PROGRAMS[] = {"tar", "bsdtar"};
    for (size_t i = 0; i < 2; i++) {
        char *seen = shell(false,
                           "cd %s && mkdir %s && %s xf t.tar -C %s && cmp plain '%s/%s' && test -p %s/after && "
                           "test $(( $(stat -c %%b '%s/%s') * 512 )) -lt %llu && echo same",
                           dir, PROGRAMS[i], PROGRAMS[i], PROGRAMS[i], PROGRAMS[i], name, PROGRAMS[i], PROGRAMS[i],
                           name, (unsigned long long)size / 2);
        assert_string_equal(seen, "same");
        free(seen);
    }
    free(plain);
    scratch_remove(dir);
    tar_free(t);
    buf_release(&out);
}

static void test_tar__sparse_files_come_back_with_their_holes(void **state)
{
    (void)state;
    const struct tar_segment middle[] = {{1 << 20, 512}, {3 << 20, 4097}};
    const struct tar_segment ends[] = {{0, 1024}, {(4 << 20) - 512, 512}};
    char name[240];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    check_sparse("f", middle, 2, 4 << 20);
    check_sparse("f", ends, 2, 4 << 20);
    check_sparse("f", NULL, 0, 4 << 20);
    check_sparse(name, middle, 2, 4 << 20);
}

static void test_tar__sparse_member_lies_in_its_directory(void **state)
{
    (void)state;
    struct drop d = {0};
    struct err err = {0};
    buf_init(&d.head, 1 << 20);
    struct tar *t = tar_new(keep_head, &d);
    struct node n = make_node("f", NODE_FILE, 0600);
    n.size = 4 << 20;
    assert_ok(tar_begin_sparse(t, &n, "a/b/f", NULL, 0, &err), &err);
    assert_non_null(memmem(d.head.data, d.head.len, "GNU.sparse.name=a/b/f\n", 22));
    assert_non_null(memmem(d.head.data, d.head.len, "a/b/GNUSparseFile.0/f", 21));
    tar_free(t);
    buf_release(&d.head);
}

static void test_tar__passes_on_that_writing_failed(void **state)
{
    (void)state;
    struct err err = {0};
    struct node n = make_node("f", NODE_FILE, 0600);
    n.size = 5000;
    for (size_t room = 0; room < 10000; room += 300) {
        struct buf out;
        buf_init(&out, room);
        struct tar *t = tar_new(append, &out);
        unsigned char data[5000] = {0};
        int rc = tar_begin(t, &n, "f", NULL, &err);
        if (rc == 0)
            rc = tar_data(t, data, sizeof data, &err);
        if (rc == 0)
            rc = tar_end(t, &err);
        if (rc == 0)
            rc = tar_begin_sparse(t, &n, "g", NULL, 0, &err);
        if (rc == 0)
            rc = tar_finish(t, &err);
        assert_int_equal(rc, -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        tar_free(t);
        buf_release(&out);
    }
}

static void test_inode_paths__a_forgotten_one_is_new_again(void **state)
{
    (void)state;
    struct inode_paths p = {0};
    struct node n = make_node("f", NODE_FILE, 0600), single = n;
    n.inode = 5;
    n.links = 3;
    single.links = 1;
    inode_paths_forget(&p, &n);
    inode_paths_forget(&p, &single);
    assert_null(inode_paths_see(&p, &n, "a"));
    inode_paths_forget(&p, &n);
    assert_null(inode_paths_see(&p, &n, "b"));
    char *first = inode_paths_see(&p, &n, "c");
    assert_string_equal(first, "b");
    free(first);
    inode_paths_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tar__says_sizes_and_owners_of_any_number),
        cmocka_unit_test(test_tar__refuses_what_it_cannot_hold),
        cmocka_unit_test(test_tar__content_has_the_announced_length),
        cmocka_unit_test(test_tar__sparse_files_come_back_with_their_holes),
        cmocka_unit_test(test_tar__sparse_member_lies_in_its_directory),
        cmocka_unit_test(test_tar__passes_on_that_writing_failed),
        cmocka_unit_test(test_inode_paths__a_forgotten_one_is_new_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
