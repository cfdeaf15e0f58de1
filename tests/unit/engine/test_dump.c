#include "tree_fixture.h"
#include <sys/sysmacros.h>
#include "engine/archive.h"
#include "engine/dump.h"

static int append(void *ctx, const void *p, size_t len, struct err *err)
{
    (void)err;
    buf_append(ctx, p, len);
    return 0;
}

static int refuse(void *ctx, const void *p, size_t len, struct err *err)
{
    (void)ctx;
    (void)p;
    (void)len;
    return err_set(err, ERR_NO_SPACE, "full");
}

static void dump_ok(struct maker *m, const struct id *root, const char *path, enum dump_format format, struct buf *out)
{
    struct err err = {0};
    struct dump_progress progress = {0};
    struct dump_options o = {.root = root, .path = path, .format = format, .threads = 3};
    buf_clear(out);
    fixture_ok(dump_run(m->f->repo, &o, append, out, &progress, &err), &err);
}

/* --- files --- */

static void test_dump__writes_a_file_as_it_is(void **state)
{
    struct maker *m = *state;
    size_t len = 5 << 20;
    unsigned char *bytes = mem_alloc(len);
    fixture_bytes(bytes, len, 3);
    struct node n[] = {maker_bytes(m, "big", bytes, len, 100000), maker_symlink(m, "link", "big"),
                       maker_file(m, "small", "tiny")};
    struct id root = maker_finish(m, n, 3, "/");
    struct buf out;
    struct err err = {0};
    bool archive = true;
    buf_init(&out, 64 << 20);
    dump_ok(m, &root, "/big", DUMP_TAR, &out);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.data, bytes, len);
    dump_ok(m, &root, "small", DUMP_TAR, &out);
    assert_string_equal(buf_cstr(&out), "tiny");
    fixture_ok(dump_is_archive(m->f->repo, &root, "/small", &archive, &err), &err);
    assert_false(archive);
    fixture_ok(dump_is_archive(m->f->repo, &root, "/", &archive, &err), &err);
    assert_true(archive);
    assert_int_equal(dump_is_archive(m->f->repo, &root, "/link", &archive, &err), -1);
    assert_int_equal(err.code, ERR_USAGE);
    assert_int_equal(dump_is_archive(m->f->repo, &root, "/nix", &archive, &err), -1);
    assert_int_equal(err.code, ERR_NOT_FOUND);
    struct dump_progress progress = {0};
    struct dump_options o = {.root = &root, .path = "/big", .threads = 3};
    assert_int_equal(dump_run(m->f->repo, &o, refuse, NULL, &progress, &err), -1);
    assert_int_equal(err.code, ERR_NO_SPACE);
    o.path = "/link";
    assert_int_equal(dump_run(m->f->repo, &o, append, &out, &progress, &err), -1);
    buf_release(&out);
    free(bytes);
}

static void test_dump__ends_at_a_damaged_blob(void **state)
{
    struct maker *m = *state;
    struct node n = maker_file(m, "f", "some content in five blobs");
    struct id root = maker_finish(m, &n, 1, "/");
    damage_blob(m, &n.content[2]);
    struct buf out;
    struct err err = {0};
    struct dump_progress progress = {0};
    buf_init(&out, 1 << 20);
    const char *paths[] = {"/f", "/"};
    for (unsigned threads = 1; threads < 4; threads += 2) {
        for (size_t i = 0; i < 2; i++) {
            struct dump_options o = {.root = &root, .path = paths[i], .threads = threads};
            buf_clear(&out);
            assert_int_equal(dump_run(m->f->repo, &o, append, &out, &progress, &err), -1);
            assert_int_equal(err.code, ERR_CORRUPT);
        }
    }
    buf_release(&out);
}

/* --- tar, read back with as little code as that takes --- */

struct member {
    char name[1024], link[1024], type;
    unsigned mode, uid, gid;
    unsigned long long size;
    char pax[4096]; /* records, newline-separated */
    const unsigned char *data;
};

static unsigned long long octal(const unsigned char *p, size_t len)
{
    char text[16] = "";
    memcpy(text, p, len);
    return strtoull(text, NULL, 8);
}

static const char *pax_value(const struct member *e, const char *key)
{
    static char value[2048];
    for (const char *p = e->pax; *p != '\0';) {
        size_t len = strtoul(p, NULL, 10);
        const char *record = strchr(p, ' ') + 1;
        if (strncmp(record, key, strlen(key)) == 0 && record[strlen(key)] == '=') {
            size_t n = (size_t)(p + len - 1 - record) - strlen(key) - 1;
            memcpy(value, record + strlen(key) + 1, n);
            value[n] = '\0';
            return value;
        }
        assert_int_equal(p[len - 1], '\n');
        p += len;
    }
    return NULL;
}

static bool next_block(const struct buf *tar, size_t *at, struct member *e)
{
    const unsigned char *h = tar->data + *at;
    if (h[0] == '\0' && h[257] == '\0')
        return false;
    unsigned sum = 0;
    for (size_t i = 0; i < 512; i++)
        sum += i >= 148 && i < 156 ? ' ' : h[i];
    assert_int_equal(octal(h + 148, 8), sum);
    assert_memory_equal(h + 257, "ustar\00000", 8);
    snprintf(e->name, sizeof e->name, "%.100s", (const char *)h);
    snprintf(e->link, sizeof e->link, "%.100s", (const char *)h + 157);
    e->type = (char)h[156];
    e->mode = (unsigned)octal(h + 100, 8);
    e->uid = (unsigned)octal(h + 108, 8);
    e->size = octal(h + 124, 12);
    e->data = h + 512;
    *at += 512 + (size_t)((e->size + 511) / 512 * 512);
    return true;
}

static bool next_member(const struct buf *tar, size_t *at, struct member *e)
{
    memset(e, 0, sizeof *e);
    struct member h = {0};
    if (!next_block(tar, at, &h))
        return false;
    if (h.type == 'x') {
        memcpy(e->pax, h.data, h.size);
        assert_true(next_block(tar, at, &h));
    }
    memcpy(h.pax, e->pax, sizeof h.pax);
    *e = h;
    if (pax_value(e, "path") != NULL)
        snprintf(e->name, sizeof e->name, "%s", pax_value(e, "path"));
    if (pax_value(e, "linkpath") != NULL)
        snprintf(e->link, sizeof e->link, "%s", pax_value(e, "linkpath"));
    return true;
}

static void test_tar__holds_every_type_and_all_metadata(void **state)
{
    struct maker *m = *state;
    static const unsigned char ACL[] = {2, 0,   0,   0,   1,   0,   6,  0, 255, 255, 255, 255, 2,   0,  4,
                                        0, 232, 3,   0,   0,   4,   0,  4, 0,   255, 255, 255, 255, 16, 0,
                                        4, 0,   255, 255, 255, 255, 32, 0, 0,   0,   255, 255, 255, 255};
    struct node_xattr xattrs[] = {{.name = "system.posix_acl_access", .value = ACL, .size = sizeof ACL},
                                  {.name = "user.bin", .value = "a=b\n", .size = 4},
                                  {.name = "user.null"},
                                  {.name = "system.posix_acl_default", .value = "odd", .size = 3}};
    char long_name[201], long_target[301];
    memset(long_name, 'n', 200);
    memset(long_target, 't', 300);
    long_name[200] = long_target[300] = '\0';
    struct node inner = maker_file(m, "inner", "in");
    struct node n[] = {maker_file(m, "a", "linked"),
                       maker_file(m, "b", "linked"),
                       maker_node(m, "c", NODE_CHARDEV, NODE_MODE_DEVICE | NODE_MODE_CHARDEV | 0600),
                       maker_dir(m, "d", &inner, 1),
                       maker_node(m, "e", NODE_FIFO, NODE_MODE_FIFO | 0600),
                       maker_node(m, "f", NODE_SOCKET, NODE_MODE_SOCKET | 0600),
                       maker_file(m, long_name, "content"),
                       maker_symlink(m, "s", long_target)};
    n[0].inode = n[1].inode = 9;
    n[0].links = n[1].links = 2;
    n[2].device = makedev(1, 3);
    n[6].xattrs = xattrs;
    n[6].xattr_count = 4;
    n[6].uid = 3000000;
    n[6].user = "someone";
    n[6].mtime = (struct timespec){-2, 250000000};
    n[7].mtime.tv_nsec = 0;
    struct id root = maker_finish(m, n, 8, "/");
    struct buf out;
    buf_init(&out, 1 << 20);
    dump_ok(m, &root, "/", DUMP_TAR, &out);
    assert_int_equal(out.len % 10240, 0);
    struct member e;
    size_t at = 0;
    assert_true(next_member(&out, &at, &e));
    assert_string_equal(e.name, "a");
    assert_int_equal(e.type, '0');
    assert_memory_equal(e.data, "linked", 6);
    assert_int_equal(e.mode, 0644);
    assert_string_equal(pax_value(&e, "mtime"), "1600000000.123456789");
    assert_true(next_member(&out, &at, &e));
    assert_int_equal(e.type, '1');
    assert_string_equal(e.link, "a");
    assert_int_equal(e.size, 0);
    assert_true(next_member(&out, &at, &e));
    assert_int_equal(e.type, '3');
    assert_true(next_member(&out, &at, &e));
    assert_int_equal(e.type, '5');
    assert_string_equal(e.name, "d/");
    assert_true(next_member(&out, &at, &e));
    assert_string_equal(e.name, "d/inner");
    assert_true(next_member(&out, &at, &e));
    assert_int_equal(e.type, '6');
    assert_true(next_member(&out, &at, &e)); /* the socket is left out */
    assert_string_equal(e.name, long_name);
    assert_string_equal(pax_value(&e, "uid"), "3000000");
    assert_string_equal(pax_value(&e, "mtime"), "-1.750000000");
    assert_string_equal(pax_value(&e, "SCHILY.acl.access"), "user::rw-,user:1000:r--,group::r--,mask::r--,other::---");
    assert_string_equal(pax_value(&e, "SCHILY.xattr.user.bin"), "a=b\n");
    assert_string_equal(pax_value(&e, "SCHILY.xattr.user.null"), "");
    assert_string_equal(pax_value(&e, "SCHILY.xattr.system.posix_acl_default"), "odd");
    assert_true(next_member(&out, &at, &e));
    assert_int_equal(e.type, '2');
    assert_string_equal(e.link, long_target);
    assert_null(pax_value(&e, "mtime"));
    assert_false(next_member(&out, &at, &e));
    dump_ok(m, &root, "/d/", DUMP_TAR, &out);
    at = 0;
    assert_true(next_member(&out, &at, &e));
    assert_string_equal(e.name, "d/");
    assert_true(next_member(&out, &at, &e));
    assert_string_equal(e.name, "d/inner");
    buf_release(&out);
}

static void test_archive__refuses_content_of_another_length(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf out;
    struct node n = {.name = "f", .name_len = 1, .type = NODE_FILE, .size = 3};
    struct node socket = {.name = "s", .name_len = 1, .type = NODE_SOCKET};
    buf_init(&out, 1 << 20);
    for (int zip = 0; zip < 2; zip++) {
        struct archive *a = zip ? archive_zip_new(append, &out) : archive_tar_new(append, &out);
        fixture_ok(archive_begin(a, &n, "f", NULL, &err), &err);
        assert_int_equal(archive_data(a, "1234", 4, &err), -1);
        fixture_ok(archive_data(a, "12", 2, &err), &err);
        assert_int_equal(archive_end(a, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_int_equal(archive_begin(a, &socket, "s", NULL, &err), -1);
        assert_int_equal(err.code, ERR_UNSUPPORTED);
        archive_free(a);
    }
    archive_free(NULL);
    buf_release(&out);
}

static void test_tar__says_large_sizes_in_pax(void **state)
{
    (void)state;
    struct err err = {0};
    struct buf out;
    struct member e = {0};
    struct node n = {.name = "f", .name_len = 1, .type = NODE_FILE, .size = UINT64_C(1) << 40};
    buf_init(&out, 1 << 20);
    struct archive *a = archive_tar_new(append, &out);
    fixture_ok(archive_begin(a, &n, "f", NULL, &err), &err);
    size_t at = 0;
    assert_true(next_block(&out, &at, &e));
    assert_int_equal(e.type, 'x');
    assert_non_null(strstr((const char *)e.data, " size=1099511627776\n"));
    archive_free(a);
    buf_release(&out);
}

/* --- zip --- */

static uint64_t little(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static void test_zip__directory_and_contents_agree(void **state)
{
    struct maker *m = *state;
    struct node inner = maker_file(m, "inner", "123456789");
    struct node n[] = {maker_dir(m, "d", &inner, 1), maker_file(m, "\xff", ""), maker_symlink(m, "s", "target")};
    struct node sorted[] = {n[0], n[2], n[1]};
    struct id root = maker_finish(m, sorted, 3, "/");
    struct buf out;
    buf_init(&out, 1 << 20);
    dump_ok(m, &root, "/", DUMP_ZIP, &out);
    const unsigned char *end = out.data + out.len - 22;
    assert_int_equal(little(end, 4), 0x06054b50);
    assert_int_equal(little(end + 10, 2), 4);
    const unsigned char *d = out.data + little(end + 16, 4);
    static const struct {
        const char *name, *data;
        unsigned mode, flags;
        uint32_t crc;
    } EXPECTED[] = {{"d/", "", S_IFDIR | 0755, 1 << 11, 0},
                    {"d/inner", "123456789", S_IFREG | 0644, 1 << 11 | 1 << 3, 0xcbf43926},
                    {"s", "target", S_IFLNK | 0777, 1 << 11 | 1 << 3, 0},
                    {"\xff", "", S_IFREG | 0644, 0, 0}};
    for (size_t i = 0; i < 4; i++) {
        size_t name_len = little(d + 28, 2), extra_len = little(d + 30, 2), len = strlen(EXPECTED[i].data);
        assert_int_equal(little(d, 4), 0x02014b50);
        assert_int_equal(little(d + 8, 2), EXPECTED[i].flags);
        assert_int_equal(little(d + 20, 4), len);
        assert_int_equal(little(d + 24, 4), len);
        assert_int_equal(little(d + 40, 2), EXPECTED[i].mode);
        assert_int_equal(name_len, strlen(EXPECTED[i].name));
        assert_memory_equal(d + 46, EXPECTED[i].name, name_len);
        if (EXPECTED[i].crc != 0)
            assert_int_equal(little(d + 16, 4), EXPECTED[i].crc);
        const unsigned char *local = out.data + little(d + 42, 4);
        assert_int_equal(little(local, 4), 0x04034b50);
        const unsigned char *data = local + 30 + little(local + 26, 2) + little(local + 28, 2);
        assert_memory_equal(data, EXPECTED[i].data, len);
        if (len > 0) {
            assert_int_equal(little(data + len, 4), 0x08074b50);
            assert_int_equal(little(data + len + 4, 4), little(d + 16, 4));
        }
        d += 46 + name_len + extra_len;
    }
    assert_ptr_equal(d, end);
    buf_release(&out);
}

/* Counts what is written and keeps its end. */
struct tail {
    uint64_t bytes;
    struct buf last;
};

static int keep_tail(void *ctx, const void *p, size_t len, struct err *err)
{
    struct tail *t = ctx;
    (void)err;
    t->bytes += len;
    if (len >= 1 << 20)
        buf_clear(&t->last);
    else
        buf_append(&t->last, p, len);
    return 0;
}

static void test_zip__writes_zip64_where_32_bits_do_not_do(void **state)
{
    (void)state;
    struct err err = {0};
    struct tail t = {0};
    size_t piece = 64 << 20;
    char *zeros = mem_zalloc(piece);
    struct node n = {.name = "f", .name_len = 1, .type = NODE_FILE, .size = (uint64_t)piece * 65};
    struct node small = {.name = "g", .name_len = 1, .type = NODE_FILE, .mtime = {.tv_sec = -1}};
    buf_init(&t.last, 1 << 20);
    struct archive *a = archive_zip_new(keep_tail, &t);
    fixture_ok(archive_begin(a, &n, "f", NULL, &err), &err);
    for (int i = 0; i < 65; i++)
        fixture_ok(archive_data(a, zeros, piece, &err), &err);
    fixture_ok(archive_end(a, &err), &err);
    fixture_ok(archive_begin(a, &small, "g", NULL, &err), &err);
    fixture_ok(archive_end(a, &err), &err);
    fixture_ok(archive_finish(a, &err), &err);
    assert_int_equal(a->offset, t.bytes);
    const unsigned char *end = t.last.data + t.last.len - 22;
    assert_int_equal(little(end, 4), 0x06054b50);
    assert_int_equal(little(end + 16, 4), 0xffffffff);
    assert_int_equal(little(end - 20, 4), 0x07064b50);
    const unsigned char *end64 = end - 20 - 56;
    assert_int_equal(little(end64, 4), 0x06064b50);
    assert_int_equal(little(end64 + 32, 8), 2);
    uint64_t start = little(end64 + 48, 8), size = little(end64 + 40, 8);
    assert_int_equal(start + size, t.bytes - 22 - 20 - 56);
    const unsigned char *d = end64 - size;
    assert_int_equal(little(d + 24, 4), 0xffffffff);
    assert_int_equal(little(d + 46 + 1, 2), 1);
    assert_int_equal(little(d + 46 + 1 + 4, 8), n.size);
    archive_free(a);
    buf_release(&t.last);
    free(zeros);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, maker_set_up, maker_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dump__writes_a_file_as_it_is),
        TEST(test_dump__ends_at_a_damaged_blob),
        TEST(test_tar__holds_every_type_and_all_metadata),
        cmocka_unit_test(test_archive__refuses_content_of_another_length),
        cmocka_unit_test(test_tar__says_large_sizes_in_pax),
        TEST(test_zip__directory_and_contents_agree),
        cmocka_unit_test(test_zip__writes_zip64_where_32_bits_do_not_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
