/* Trees that no file system holds: their order, their names, what is taken from a parent by its fingerprint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/mem.h"
#include "source/stream.h"
#include "source/virtual.h"

/* A sink that writes down what it is given. */
struct recorder {
    struct sink base;
    struct buf log;
    size_t fail_at; /* the call that fails, from 1; 0: none */
    size_t calls;
    uint64_t inode;
    mode_t mode;
    bool by_fingerprint;
};

static int step(struct recorder *r, struct err *err)
{
    return ++r->calls == r->fail_at ? err_set(err, ERR_IO, "the sink failed") : 0;
}

static int record_begin(struct sink *s, const struct node *dir, struct err *err)
{
    struct recorder *r = (struct recorder *)s;
    buf_printf(&r->log, "%.*s{", (int)dir->name_len, dir->name);
    return step(r, err);
}

static int record_end(struct sink *s, struct err *err)
{
    struct recorder *r = (struct recorder *)s;
    buf_append_str(&r->log, "}");
    return step(r, err);
}

static int record_entry(struct sink *s, const struct node *node, const char *path, struct sink_content *content,
                        struct err *err)
{
    struct recorder *r = (struct recorder *)s;
    struct sink_stream stream;
    struct node copy = *node;
    char text[64];
    r->inode = node->inode;
    r->mode = node_mode_to_permissions(node->mode);
    r->by_fingerprint = content->by_fingerprint;
    assert_int_equal(content->open(content->ctx, 1, &copy, &stream, err), 0);
    int64_t n = stream.read(stream.state, text, sizeof text, err);
    assert_true(n >= 0);
    assert_int_equal(stream.read(stream.state, text + n, sizeof text - (size_t)n, err), 0);
    assert_int_equal(stream.finish(stream.state, &copy, err), SINK_FINISH_OK);
    assert_int_equal(copy.size, n);
    stream.close(stream.state);
    content->release(content->ctx);
    buf_printf(&r->log, "%.*s(%s)=%.*s;", (int)node->name_len, node->name, path, (int)n, text);
    return step(r, err);
}

static const struct sink_ops RECORDER = {.dir_begin = record_begin, .dir_end = record_end, .entry = record_entry};

static void recorder_init(struct recorder *r)
{
    *r = (struct recorder){.base.ops = &RECORDER};
    buf_init(&r->log, 1 << 16);
}

static void add(struct virtual_tree *t, const char *path, const char *text)
{
    virtual_tree_add(t, path, bytes_content_new(text, strlen(text)));
}

static void test_virtual__pushes_in_the_order_a_tree_needs(void **state)
{
    (void)state;
    struct recorder r;
    struct err err = {0};
    struct virtual_tree *t = virtual_tree_new((struct timespec){.tv_sec = 1});
    recorder_init(&r);
    add(t, "b", "4");
    add(t, "a.b/x", "3");
    add(t, "a/z/1", "2");
    add(t, "a/b", "1");
    add(t, "c/d/e/f", "");
    assert_int_equal(virtual_tree_push(t, &r.base, &err), 0);
    assert_string_equal(buf_cstr(&r.log),
                        "a{b(/a/b)=1;z{1(/a/z/1)=2;}}a.b{x(/a.b/x)=3;}b(/b)=4;c{d{e{f(/c/d/e/f)=;}}}");
    virtual_tree_free(t);
    buf_release(&r.log);
}

static void test_virtual__stops_where_the_sink_fails(void **state)
{
    (void)state;
    for (size_t at = 1; at <= 5; at++) {
        struct recorder r;
        struct err err = {0};
        struct virtual_tree *t = virtual_tree_new((struct timespec){.tv_sec = 1});
        recorder_init(&r);
        r.fail_at = at;
        add(t, "a/b", "1");
        add(t, "c/d", "2");
        assert_int_equal(virtual_tree_push(t, &r.base, &err), -1);
        assert_int_equal(err.code, ERR_IO);
        assert_int_equal(r.calls, at);
        virtual_tree_free(t); /* the sanitizer sees that nothing is left */
        buf_release(&r.log);
    }
}

static void test_virtual__gives_a_fingerprint_as_inode(void **state)
{
    (void)state;
    struct recorder r;
    struct err err = {0};
    struct virtual_tree *t = virtual_tree_new((struct timespec){.tv_sec = 1});
    recorder_init(&r);
    virtual_tree_set_modes(t, 0640, 0750);
    virtual_tree_add_known(t, "x", 4711, bytes_content_new("x", 1));
    assert_int_equal(virtual_tree_push(t, &r.base, &err), 0);
    assert_int_equal(r.inode, 4711);
    assert_int_equal(r.mode, 0640);
    assert_true(r.by_fingerprint);
    virtual_tree_free(t);
    buf_release(&r.log);
}

static void assert_name(const char *text, const char *expected)
{
    char *name = virtual_name(text);
    assert_string_equal(name, expected);
    free(name);
}

static void test_virtual__makes_names_of_any_text(void **state)
{
    (void)state;
    assert_name("shop", "shop");
    assert_name("", "_");
    assert_name(".", "_");
    assert_name("..", "_");
    assert_name("a/b", "a_b");
    char text[400];
    memset(text, 'x', sizeof text);
    memcpy(text + 199, "\xc3\xa4", 2); /* lies across the limit: not cut in two */
    text[399] = '\0';
    char *name = virtual_name(text);
    assert_int_equal(strlen(name), 199);
    free(name);
}

static void test_stream__is_one_strict_file_of_a_command(void **state)
{
    (void)state;
    struct recorder r;
    struct err err = {0};
    struct source *s;
    char echo[] = "echo", option[] = "-n", text[] = "hello", *argv[] = {echo, option, text, NULL};
    struct sink_reporter reporter = {0};
    recorder_init(&r);
    assert_int_equal(stream_source_new(&s, "dumps//all.sql", argv, (struct timespec){.tv_sec = 1}, &err), 0);
    assert_true(s->strict);
    assert_int_equal(s->paths.count, 1);
    assert_string_equal(s->paths.items[0], "/dumps/all.sql");
    assert_int_equal(source_start(s, &reporter, &err), 0);
    assert_int_equal(source_push(s, &r.base, &reporter, &err), 0);
    assert_string_equal(buf_cstr(&r.log), "dumps{all.sql(/dumps/all.sql)=hello;}");
    assert_int_equal(r.mode, 0644);
    source_free(s);
    source_free(NULL);
    buf_release(&r.log);
}

static void test_stream__refuses_names_that_are_none(void **state)
{
    (void)state;
    struct source *s;
    struct err err = {0};
    char name[300];
    memset(name, 'n', sizeof name);
    name[299] = '\0';
    const char *const names[] = {"", "/", "..", name};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(stream_source_new(&s, names[i], NULL, (struct timespec){0}, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virtual__pushes_in_the_order_a_tree_needs),
        cmocka_unit_test(test_virtual__stops_where_the_sink_fails),
        cmocka_unit_test(test_virtual__gives_a_fingerprint_as_inode),
        cmocka_unit_test(test_virtual__makes_names_of_any_text),
        cmocka_unit_test(test_stream__is_one_strict_file_of_a_command),
        cmocka_unit_test(test_stream__refuses_names_that_are_none),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
