#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "repo/tree.h"

#define ID_A "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
#define ID_B "ebbc99dfc9634c386da9648d7c6268e280dc26788594219481abed8c48a8ca39"
#define TIMES                                                                                                    \
    "\"mtime\":\"2009-02-13T23:31:30.5Z\",\"atime\":\"2009-02-13T23:31:30.5Z\",\"ctime\":\"2026-11-23T00:17:05." \
    "480131177Z\""
#define OWNER ",\"uid\":0,\"gid\":0,\"user\":\"root\",\"group\":\"root\""

/* One node of each kind and odd names, as the format's first implementation wrote them, in its order. */
static const char *const NODES[] = {
    "{\"name\":\" space \",\"type\":\"file\"," TIMES OWNER
    ",\"inode\":1,\"device_id\":65024,\"links\":1,\"content\":[]}",
    "{\"name\":\"-mode-0\",\"type\":\"file\"," TIMES OWNER ",\"inode\":1,\"device_id\":65024,\"size\":1,\"links\":1,"
    "\"content\":[\"" ID_A "\"]}",
    "{\"name\":\"\\u003chtml\\u003e\\u0026amp;\",\"type\":\"file\",\"mode\":420," TIMES OWNER
    ",\"inode\":1,\"device_id\":65024,\"size\":9000000,\"links\":1,\"content\":[\"" ID_A "\",\"" ID_B "\"]}",
    "{\"name\":\"back\\\\\\\\slash\",\"type\":\"file\",\"mode\":420," TIMES OWNER ",\"content\":[]}",
    "{\"name\":\"blk\",\"type\":\"dev\",\"mode\":67109296," TIMES OWNER
    ",\"inode\":10969572,\"device_id\":65024,\"links\":1,\"device\":1050412,\"content\":null}",
    "{\"name\":\"chr\",\"type\":\"chardev\",\"mode\":69206400," TIMES OWNER
    ",\"inode\":10969571,\"device_id\":65024,\"links\":1,\"device\":259,\"content\":null}",
    "{\"name\":\"dir\",\"type\":\"dir\",\"mode\":2147484141," TIMES OWNER
    ",\"inode\":10969558,\"device_id\":65024,\"content\":null,\"subtree\":\"" ID_B "\"}",
    "{\"name\":\"fifo\",\"type\":\"fifo\",\"mode\":33554852," TIMES OWNER
    ",\"inode\":10969570,\"device_id\":65024,\"content\":null}",
    "{\"name\":\"link\",\"type\":\"symlink\",\"mode\":134218239," TIMES OWNER
    ",\"inode\":10969567,\"device_id\":65024,\"links\":1,\"linktarget\":\"../"
    "\\u003cplain\\u003e\\n\xc2\xad\",\"content\":null}",
    "{\"name\":\"link-bad\",\"type\":\"symlink\",\"mode\":134218239," TIMES OWNER
    ",\"inode\":1,\"device_id\":65024,\"links\":1,\"linktarget\":\"a\\ufffd\",\"linktarget_raw\":\"Yf8=\",\"content\":"
    "null}",
    "{\"name\":\"new\\\\nline\",\"type\":\"file\",\"mode\":420," TIMES OWNER ",\"content\":[]}",
    "{\"name\":\"nouser\",\"type\":\"file\",\"mode\":420," TIMES ",\"uid\":4242,\"gid\":4294967295,\"content\":[]}",
    "{\"name\":\"old\",\"type\":\"file\",\"mode\":420,\"mtime\":\"1940-01-08T00:00:00.000000005Z\","
    "\"atime\":\"1970-01-01T00:00:00Z\",\"ctime\":\"9999-12-31T23:59:59.999999999Z\"" OWNER ",\"content\":[]}",
    "{\"name\":\"quote\\\\\\\"s\",\"type\":\"file\",\"mode\":420," TIMES OWNER ",\"content\":[]}",
    "{\"name\":\"setgid\",\"type\":\"file\",\"mode\":4194797," TIMES OWNER ",\"content\":[]}",
    "{\"name\":\"setuid\",\"type\":\"file\",\"mode\":8389101," TIMES OWNER ",\"content\":[]}",
    "{\"name\":\"socket\",\"type\":\"socket\",\"mode\":16777709," TIMES OWNER ",\"content\":null}",
    "{\"name\":\"sticky\",\"type\":\"dir\",\"mode\":2148532735," TIMES OWNER ",\"content\":null,\"subtree\":\"" ID_A
    "\"}",
    "{\"name\":\"xa\",\"type\":\"file\",\"mode\":420," TIMES OWNER
    ",\"inode\":18446744073709551615,\"device_id\":65024,"
    "\"size\":1,\"links\":1,\"extended_attributes\":[{\"name\":\"user.one\",\"value\":\"dmFsdWUA/w==\"},"
    "{\"name\":\"user.empty\",\"value\":\"\"},{\"name\":\"user.\\u003c\\u003e\\\"\\u2029\",\"value\":null}],"
    "\"content\":[\"" ID_A "\"]}",
    "{\"name\":\"\xf0\x9f\x98\x80\\\\u00ad\",\"type\":\"irregular\",\"mode\":524708," TIMES OWNER ",\"content\":null}",
    "{\"name\":\"\\\\xff\\\\xfeinvalid\",\"type\":\"file\",\"mode\":420," TIMES OWNER ",\"content\":[]}",
};
enum { NODE_COUNT = sizeof NODES / sizeof NODES[0] };

static char *whole_tree(void)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_str(&text, "{\"nodes\":[");
    for (size_t i = 0; i < NODE_COUNT; i++) {
        buf_append_str(&text, i == 0 ? "" : ",");
        buf_append_str(&text, NODES[i]);
    }
    buf_append_str(&text, "]}\n");
    char *s = mem_strdup(buf_cstr(&text));
    buf_release(&text);
    return s;
}

static void decode(const char *json, struct tree *t)
{
    struct err err = {0};
    if (tree_decode(json, strlen(json), t, &err) != 0)
        fail_msg("%s", err.message);
}

/* The message of a failure, in a static buffer. */
static const char *decode_failure(const char *json, size_t len)
{
    static struct err err;
    struct tree t;
    char *exact = mem_copy(json, len); /* so that a read past the end is seen */
    err_clear(&err);
    assert_int_equal(tree_decode(exact, len, &t, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    free(exact);
    return err.message;
}

static void assert_fails(const char *json, const char *said)
{
    const char *message = decode_failure(json, strlen(json));
    if (strstr(message, said) == NULL)
        fail_msg("'%s' is not in '%s' for %s", said, message, json);
}

static void encode(const struct tree *t, bool raw, struct buf *out)
{
    tree_encode_begin(out);
    for (size_t i = 0; i < t->count; i++) {
        struct node n = t->nodes[i];
        if (!raw)
            n.raw = NULL;
        tree_encode_node(out, &n, i == 0);
    }
    tree_encode_end(out);
}

static void test_tree__encodes_what_it_decoded_byte_for_byte(void **state)
{
    (void)state;
    char *text = whole_tree();
    struct tree t;
    decode(text, &t);
    assert_int_equal(t.count, NODE_COUNT);
    for (int raw = 0; raw <= 1; raw++) {
        struct buf out;
        buf_init(&out, TREE_MAX_BYTES);
        encode(&t, raw, &out);
        assert_string_equal(buf_cstr(&out), text);
        buf_release(&out);
    }
    tree_release(&t);
    free(text);
}

static void test_tree__raw_is_the_nodes_exact_text(void **state)
{
    (void)state;
    char *text = whole_tree();
    struct tree t;
    decode(text, &t);
    for (size_t i = 0; i < t.count; i++) {
        assert_int_equal(t.nodes[i].raw_len, strlen(NODES[i]));
        assert_memory_equal(t.nodes[i].raw, NODES[i], strlen(NODES[i]));
    }
    tree_release(&t);
    free(text);
}

static void test_tree__decodes_every_field(void **state)
{
    (void)state;
    char *text = whole_tree();
    struct tree t;
    decode(text, &t);
    const struct node *n = tree_find(&t, "xa", 2);
    assert_non_null(n);
    assert_int_equal(n->type, NODE_FILE);
    assert_int_equal(n->mode, 0644);
    assert_int_equal(n->mtime.tv_sec, 1234567890);
    assert_int_equal(n->mtime.tv_nsec, 500000000);
    assert_int_equal(n->atime.tv_sec, 1234567890);
    assert_int_equal(n->ctime.tv_nsec, 480131177);
    assert_string_equal(n->user, "root");
    assert_string_equal(n->group, "root");
    assert_true(n->inode == UINT64_MAX);
    assert_int_equal(n->device_id, 65024);
    assert_int_equal(n->size, 1);
    assert_int_equal(n->links, 1);
    assert_int_equal(n->content_count, 1);
    assert_int_equal(n->content[0].bytes[0], 0xb9);
    assert_int_equal(n->xattr_count, 3);
    assert_string_equal(n->xattrs[0].name, "user.one");
    assert_int_equal(n->xattrs[0].size, 7);
    assert_memory_equal(n->xattrs[0].value, "value\0\xff", 7);
    assert_non_null(n->xattrs[1].value);
    assert_int_equal(n->xattrs[1].size, 0);
    assert_string_equal(n->xattrs[2].name, "user.<>\"\xe2\x80\xa9");
    assert_null(n->xattrs[2].value);

    n = tree_find(&t, "dir", 3);
    assert_true(n->has_subtree);
    assert_int_equal(n->subtree.bytes[31], 0x39);
    n = tree_find(&t, "blk", 3);
    assert_int_equal(n->type, NODE_DEV);
    assert_int_equal(n->device, 1050412);
    n = tree_find(&t, "nouser", 6);
    assert_null(n->user);
    assert_null(n->group);
    assert_int_equal(n->gid, UINT32_MAX);
    tree_release(&t);
    free(text);
}

static void test_tree__link_target_raw_wins_in_any_order(void **state)
{
    (void)state;
    static const char *const TREES[] = {
        "{\"nodes\":[{\"name\":\"l\",\"type\":\"symlink\",\"linktarget\":\"a\\ufffd\",\"linktarget_raw\":\"Yf8=\"}]}",
        "{\"nodes\":[{\"name\":\"l\",\"type\":\"symlink\",\"linktarget_raw\":\"Yf8=\",\"linktarget\":\"a\\ufffd\"}]}",
        "{\"nodes\":[{\"name\":\"l\",\"type\":\"symlink\",\"linktarget_raw\":\"Y\\u0066\\u0038=\"}]}",
    };
    for (size_t i = 0; i < 3; i++) {
        struct tree t;
        decode(TREES[i], &t);
        assert_int_equal(t.nodes[0].link_target_len, 2);
        assert_string_equal(t.nodes[0].link_target, "a\xff");
        tree_release(&t);
    }
}

static void test_tree__empty_tree_is_the_formats(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    struct tree t;
    decode("{\"nodes\":[]}\n", &t);
    assert_int_equal(t.count, 0);
    assert_null(tree_find(&t, "a", 1));
    encode(&t, false, &out);
    assert_string_equal(buf_cstr(&out), "{\"nodes\":[]}\n");
    buf_release(&out);
    tree_release(&t);
    decode(" { \"nodes\" : null } ", &t);
    assert_int_equal(t.count, 0);
    tree_release(&t);
}

static void test_tree__reads_any_order_spacing_and_unknown_keys(void **state)
{
    (void)state;
    static const char NODE[] =
        "{ \"subtree\" : \"" ID_A "\" ,\n\"content\":null,\"generic_attributes\":{\"windows.x\":[1,{\"a\":null}]},"
        "\"error\":\"could not "
        "read\",\"new\":-1.5e3,\"size\":0,\"gid\":3,\"uid\":2,\"user\":\"\",\"group\":null,\"links\":null,"
        "\"type\":\"dir\",\"mode\":null,\"name\":\"d\",\"extended_attributes\":[{\"future\":true,\"value\":\"YQ==\","
        "\"name\":\"u\"}],"
        "\"atime\":\"2009-02-14T00:31:30+01:00\" }";
    char text[2048];
    int len = snprintf(text, sizeof text, "{\"version\":[2], \"nodes\" : [ %s ] , \"x\":{} }", NODE);
    struct tree t;
    assert_true(len > 0 && (size_t)len < sizeof text);
    decode(text, &t);
    assert_int_equal(t.count, 1);
    const struct node *n = &t.nodes[0];
    assert_string_equal(n->name, "d");
    assert_int_equal(n->type, NODE_DIR);
    assert_int_equal(n->uid, 2);
    assert_int_equal(n->gid, 3);
    assert_null(n->user);
    assert_null(n->group);
    assert_int_equal(n->atime.tv_sec, 1234567890);
    assert_true(n->mtime.tv_sec == -62135596800); /* not given: the first second of year 1 */
    assert_true(n->has_subtree);
    assert_int_equal(n->xattr_count, 1);
    assert_int_equal(n->raw_len, strlen(NODE));
    struct buf out;
    buf_init(&out, 4096);
    tree_encode_node(&out, n, true);
    assert_string_equal(buf_cstr(&out), NODE); /* what we do not know survives */
    buf_release(&out);
    tree_release(&t);
}

static void test_tree__unknown_type_is_irregular(void **state)
{
    (void)state;
    struct tree t;
    decode("{\"nodes\":[{\"name\":\"d\",\"type\":\"door\"}]}", &t);
    assert_int_equal(t.nodes[0].type, NODE_IRREGULAR);
    tree_release(&t);
}

static void test_tree__users_and_groups_are_not_mixed_up(void **state)
{
    (void)state;
    struct tree t;
    decode("{\"nodes\":[{\"name\":\"1\",\"type\":\"file\",\"user\":\"a\",\"group\":\"b\"},"
           "{\"name\":\"2\",\"type\":\"file\",\"user\":\"a\",\"group\":\"bb\"},"
           "{\"name\":\"3\",\"type\":\"file\",\"user\":\"aa\",\"group\":\"bb\"},"
           "{\"name\":\"4\",\"type\":\"file\",\"user\":\"\",\"group\":\"\\u0062\"},"
           "{\"name\":\"5\",\"type\":\"file\",\"user\":\"\",\"group\":\"\\u0062\"},"
           "{\"name\":\"6\",\"type\":\"file\"}]}",
           &t);
    static const char *const USERS[] = {"a", "a", "aa", NULL, NULL, NULL}, *const GROUPS[] = {"b", "bb", "bb",
                                                                                              "b", "b",  NULL};
    for (size_t i = 0; i < 6; i++) {
        assert_true(USERS[i] == NULL ? t.nodes[i].user == NULL : strcmp(t.nodes[i].user, USERS[i]) == 0);
        assert_true(GROUPS[i] == NULL ? t.nodes[i].group == NULL : strcmp(t.nodes[i].group, GROUPS[i]) == 0);
    }
    assert_ptr_equal(t.nodes[0].user, t.nodes[1].user); /* kept once */
    tree_release(&t);
}

static void test_tree__rejects_names_no_file_can_have(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",          ".",         "..",         "a/b",        "\\\\x2e", "\\\\x2e\\\\x2e",
                                      "a\\\\x2fb", "a\\\\x00b", "a\\\\u0000", "\\\\u002e.", "\\/",     "\\\\q",
                                      "\\\\ud800", "\\u12g4",   "a\\\"b",     "a\\nb"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"nodes\":[{\"name\":\"%s\",\"type\":\"file\"}]}", BAD[i]);
        assert_fails(text, "at node 0, 'name'");
    }
}

static void test_tree__accepts_names_that_only_look_odd(void **state)
{
    (void)state;
    struct tree t;
    decode("{\"nodes\":[{\"name\":\"\\\\a\\\\x7f\\\\u2028\",\"type\":\"file\"},{\"name\":\"...\",\"type\":\"file\"},"
           "{\"name\":\".a\",\"type\":\"file\"}]}",
           &t);
    assert_non_null(tree_find(&t, "...", 3));
    assert_non_null(tree_find(&t, ".a", 2));
    assert_null(tree_find(&t, ".", 1));
    assert_non_null(tree_find(&t, "\a\x7f\xe2\x80\xa8", 5));
    tree_release(&t);
}

static void test_tree__rejects_names_that_do_not_ascend(void **state)
{
    (void)state;
    assert_fails("{\"nodes\":[{\"name\":\"b\",\"type\":\"file\"},{\"name\":\"a\",\"type\":\"file\"}]}", "at node 1");
    assert_fails("{\"nodes\":[{\"name\":\"a\",\"type\":\"file\"},{\"name\":\"a\",\"type\":\"dir\"}]}", "do not ascend");
    assert_fails("{\"nodes\":[{\"name\":\"ab\",\"type\":\"file\"},{\"name\":\"a\",\"type\":\"file\"}]}",
                 "do not ascend");
    /* by raw bytes, not by how they are written: 0x01 is before 'a' */
    struct tree t;
    decode("{\"nodes\":[{\"name\":\"\\\\x01\",\"type\":\"file\"},{\"name\":\"A\",\"type\":\"file\"}]}", &t);
    tree_release(&t);
}

#define WITH(fields) "{\"nodes\":[{\"name\":\"a\",\"type\":\"file\"," fields "}]}"

static void test_tree__rejects_malformed_fields(void **state)
{
    (void)state;
    assert_fails(WITH("\"mode\":4294967296"), "'mode': number too large");
    assert_fails(WITH("\"uid\":4294967296"), "'uid'");
    assert_fails(WITH("\"gid\":-1"), "'gid'");
    assert_fails(WITH("\"size\":18446744073709551616"), "'size'");
    assert_fails(WITH("\"size\":1.5"), "'size'");
    assert_fails(WITH("\"size\":1e3"), "'size'");
    assert_fails(WITH("\"size\":\"1\""), "'size'");
    assert_fails(WITH("\"inode\":true"), "'inode'");
    assert_fails(WITH("\"mtime\":\"yesterday\""), "'mtime': no time");
    assert_fails(WITH("\"ctime\":1"), "'ctime'");
    assert_fails(WITH("\"user\":\"a\\u0000\""), "'user': NUL");
    assert_fails(WITH("\"group\":\"\\q\""), "'group': malformed or cut-off JSON");
    assert_fails(WITH("\"linktarget\":\"\\u12\""), "'linktarget': malformed escape");
    assert_fails(WITH("\"linktarget_raw\":\"Y\""), "'linktarget_raw': malformed base64");
    assert_fails(WITH("\"linktarget_raw\":[]"), "'linktarget_raw'");
    assert_fails(WITH("\"content\":\"\""), "'content'");
    assert_fails(WITH("\"content\":[\"00\"]"), "'content': no ID");
    assert_fails(WITH("\"content\":[null]"), "'content'");
    assert_fails(WITH("\"content\":[\"" ID_A "\",]"), "'content'");
    assert_fails(WITH("\"subtree\":\"" ID_A "0\""), "'subtree': no ID");
    assert_fails(WITH("\"extended_attributes\":{}"), "'extended_attributes'");
    assert_fails(WITH("\"extended_attributes\":[1]"), "'extended_attributes'");
    assert_fails(WITH("\"extended_attributes\":[{\"value\":\"\"}]"), "without a name");
    assert_fails(WITH("\"extended_attributes\":[{\"name\":\"a\",\"value\":\"?\"}]"), "malformed base64");
}

static void test_tree__rejects_what_is_no_tree(void **state)
{
    (void)state;
    assert_fails("", "malformed or cut-off");
    assert_fails("[]", "malformed or cut-off");
    assert_fails("{}", "no list of nodes");
    assert_fails("{\"nodes\":{}}", "tree is damaged");
    assert_fails("{\"nodes\":[1]}", "at node 0");
    assert_fails("{\"nodes\":[]}x", "behind the end");
    assert_fails("{\"nodes\":[],\"nodes\":[]}", "two lists");
    assert_fails("{\"nodes\":[{\"type\":\"file\"}]}", "without a name");
    assert_fails("{\"nodes\":[{\"name\":\"a\"}]}", "without a type");
    assert_fails("{\"nodes\":[{\"name\":1,\"type\":\"file\"}]}", "'name'");
    assert_fails("{\"nodes\":[{\"name\":\"a\",\"type\":1}]}", "'type'");
    struct err err = {0};
    struct tree t;
    assert_int_equal(tree_decode("", (size_t)TREE_MAX_BYTES + 1, &t, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
}

static void test_tree__rejects_every_truncation(void **state)
{
    (void)state;
    char *text = whole_tree();
    size_t len = strlen(text) - 1; /* the newline may be missing */
    for (size_t cut = 0; cut < len; cut++)
        decode_failure(text, cut);
    free(text);
}

static void test_tree__rejects_deep_nesting(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_str(&text, "{\"nodes\":[{\"name\":\"a\",\"type\":\"file\",\"x\":");
    for (int i = 0; i < 100000; i++)
        buf_append_byte(&text, '[');
    decode_failure(buf_cstr(&text), text.len);
    buf_release(&text);
}

static void test_tree__flipped_bits_never_read_out_of_bounds(void **state)
{
    (void)state;
    char *text = whole_tree();
    size_t len = strlen(text);
    for (size_t bit = 0; bit < len * 8; bit++) {
        struct tree t;
        char *flipped = mem_copy(text, len);
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ 1 << bit % 8);
        if (tree_decode(flipped, len, &t, NULL) == 0)
            tree_release(&t);
        free(flipped);
    }
    free(text);
}

static void test_tree__finds_every_name_and_no_other(void **state)
{
    (void)state;
    char *text = whole_tree();
    struct tree t;
    decode(text, &t);
    for (size_t i = 0; i < t.count; i++)
        assert_ptr_equal(tree_find(&t, t.nodes[i].name, t.nodes[i].name_len), &t.nodes[i]);
    assert_null(tree_find(&t, "", 0));
    assert_null(tree_find(&t, "di", 2));
    assert_null(tree_find(&t, "dirs", 4));
    assert_null(tree_find(&t, "zz", 2));
    tree_release(&t);
    free(text);
}

static void test_tree__many_blobs_and_attributes(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct arena arena;
    arena_init(&arena);
    struct id *content = arena_alloc(&arena, COUNT * sizeof *content);
    struct node_xattr *xattrs = arena_alloc(&arena, COUNT * sizeof *xattrs);
    for (size_t i = 0; i < COUNT; i++) {
        memset(&content[i], (int)(i % 251), sizeof content[i]);
        xattrs[i] = (struct node_xattr){"user.x", "value", i % 6};
    }
    struct node n = {.name = "n",
                     .name_len = 1,
                     .type = NODE_FILE,
                     .content = content,
                     .content_count = COUNT,
                     .xattrs = xattrs,
                     .xattr_count = COUNT};
    struct buf out;
    buf_init(&out, 1 << 20);
    struct tree one = {.nodes = &n, .count = 1}, t;
    encode(&one, false, &out);
    decode(buf_cstr(&out), &t);
    assert_true(node_metadata_equal(&t.nodes[0], &n));
    assert_int_equal(t.nodes[0].content_count, COUNT);
    assert_memory_equal(t.nodes[0].content, content, COUNT * sizeof *content);
    tree_release(&t);
    buf_release(&out);
    arena_release(&arena);
}

/* Long enough for memory to be given back on the way, with owners and times that repeat. */
static void test_tree__consuming_the_text_gives_the_same_nodes(void **state)
{
    (void)state;
    struct err err;
    struct tree kept, consumed;
    struct buf json, again;
    buf_init(&json, 64 << 20);
    buf_init(&again, 64 << 20);
    tree_encode_begin(&json);
    for (unsigned i = 0; i < 20000; i++) {
        char name[32];
        snprintf(name, sizeof name, "file \n %08u", i);
        struct node n = {.name = name, .name_len = strlen(name), .type = NODE_FILE, .user = "somebody", .inode = i};
        n.mtime.tv_sec = n.atime.tv_sec = n.ctime.tv_sec = 1700000000 + i / 5000;
        n.group = i % 3 == 0 ? "one" : "two";
        tree_encode_node(&json, &n, i == 0);
    }
    tree_encode_end(&json);
    assert_true(json.len > 4 << 20);
    buf_append(&again, json.data, json.len);
    assert_int_equal(tree_decode((const char *)json.data, json.len, &kept, &err), 0);
    assert_int_equal(tree_decode_consume(&again, &consumed, &err), 0);
    assert_int_equal(again.len, 0);
    assert_int_equal(consumed.count, kept.count);
    for (size_t i = 0; i < kept.count; i++) {
        assert_true(node_metadata_equal(&kept.nodes[i], &consumed.nodes[i]));
        assert_null(consumed.nodes[i].raw);
    }
    tree_release(&consumed);
    buf_append(&again, json.data, json.len - 3); /* and it can be used again */
    assert_int_equal(tree_decode_consume(&again, &consumed, &err), -1);
    assert_int_equal(again.len, 0);
    tree_release(&kept);
    buf_release(&json);
    buf_release(&again);
}

static void test_tree__encoding_stops_at_the_buffers_maximum(void **state)
{
    (void)state;
    char *text = whole_tree();
    struct tree t;
    decode(text, &t);
    for (size_t max = 0; max < strlen(text); max += 7) {
        struct buf out;
        buf_init(&out, max);
        encode(&t, false, &out);
        assert_true(out.overflow);
        assert_true(out.len <= max);
        buf_release(&out);
    }
    tree_release(&t);
    free(text);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree__encodes_what_it_decoded_byte_for_byte),
        cmocka_unit_test(test_tree__raw_is_the_nodes_exact_text),
        cmocka_unit_test(test_tree__decodes_every_field),
        cmocka_unit_test(test_tree__link_target_raw_wins_in_any_order),
        cmocka_unit_test(test_tree__empty_tree_is_the_formats),
        cmocka_unit_test(test_tree__reads_any_order_spacing_and_unknown_keys),
        cmocka_unit_test(test_tree__unknown_type_is_irregular),
        cmocka_unit_test(test_tree__users_and_groups_are_not_mixed_up),
        cmocka_unit_test(test_tree__rejects_names_no_file_can_have),
        cmocka_unit_test(test_tree__accepts_names_that_only_look_odd),
        cmocka_unit_test(test_tree__rejects_names_that_do_not_ascend),
        cmocka_unit_test(test_tree__rejects_malformed_fields),
        cmocka_unit_test(test_tree__rejects_what_is_no_tree),
        cmocka_unit_test(test_tree__rejects_every_truncation),
        cmocka_unit_test(test_tree__rejects_deep_nesting),
        cmocka_unit_test(test_tree__flipped_bits_never_read_out_of_bounds),
        cmocka_unit_test(test_tree__finds_every_name_and_no_other),
        cmocka_unit_test(test_tree__many_blobs_and_attributes),
        cmocka_unit_test(test_tree__consuming_the_text_gives_the_same_nodes),
        cmocka_unit_test(test_tree__encoding_stops_at_the_buffers_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
