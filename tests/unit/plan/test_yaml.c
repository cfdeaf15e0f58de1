#include "plan/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

static struct yaml_node *parse_bytes(const char *text, size_t len)
{
    struct yaml_node *n;
    struct yaml_position where;
    struct err err = {0};
    if (yaml_parse_document(text, len, &n, &where, &err) != 0)
        fail_msg("'%s': line %u: %s", text, where.line, err.message);
    return n;
}

static struct yaml_node *parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void expect_error_bytes(const char *text, size_t len, unsigned line, unsigned column, const char *part)
{
    struct yaml_node *n;
    struct yaml_position where;
    struct err err = {0};
    if (yaml_parse_document(text, len, &n, &where, &err) == 0)
        fail_msg("'%s' was taken", text);
    assert_null(n);
    assert_int_equal(err.code, ERR_CORRUPT);
    if (strstr(err.message, part) == NULL || where.line != line || where.column != column)
        fail_msg("'%s': %u:%u: %s", text, where.line, where.column, err.message);
    assert_int_equal(yaml_parse_document(text, len, &n, &where, NULL), -1);
}

static void expect_error(const char *text, unsigned line, unsigned column, const char *part)
{
    expect_error_bytes(text, strlen(text), line, column, part);
}

/* The tree in one line: {a: 'x', b: [1, 2]}; plain scalars without quotes. */
static void write(const struct yaml_node *n, struct buf *out)
{
    if (n->kind == YAML_SCALAR)
        buf_printf(out, n->plain ? "%s" : "'%s'", n->text);
    else
        buf_append_str(out, n->kind == YAML_LIST ? "[" : "{");
    for (size_t i = 0; i < n->count; i++) {
        buf_append_str(out, i > 0 ? ", " : "");
        if (n->kind == YAML_MAP)
            buf_printf(out, "%s: ", n->keys[i]->text);
        write(n->items[i], out);
    }
    if (n->kind != YAML_SCALAR)
        buf_append_str(out, n->kind == YAML_LIST ? "]" : "}");
}

static void expect(const char *text, const char *tree)
{
    struct yaml_node *n = parse(text);
    struct buf out;
    buf_init(&out, 1 << 20);
    write(n, &out);
    assert_string_equal(buf_cstr(&out), tree);
    buf_release(&out);
    yaml_node_free(n);
}

static void test_yaml__makes_a_tree(void **state)
{
    (void)state;
    expect("a: 1\nb: [x, 'y', \"z\"]\nc: {d: e}\nf:\n  - g\n  - h: i\n",
           "{a: 1, b: [x, 'y', 'z'], c: {d: e}, f: [g, {h: i}]}");
    expect("- !!str 5\n- !!int 5\n- ! x\n", "['5', 5, 'x']");
    expect("a: |\n  two\n  lines\n", "{a: 'two\nlines\n'}");
    expect("x", "x");
    expect("--- a\n...\n", "a");
    expect("\xEF\xBB\xBF"
           "a: 1",
           "{a: 1}");
    expect("a: \"\\u00e9 \xF0\x9F\x98\x80\"", "{a: '\xC3\xA9 \xF0\x9F\x98\x80'}");
    assert_null(parse(""));
    assert_null(parse("# nothing\n"));
}

static void test_yaml__knows_where_things_stand(void **state)
{
    (void)state;
    struct yaml_node *n = parse("# c\na: 1\n\xC3\xA9\xC3\xA9: {b: [x, yy]}\n");
    assert_true(n->line == 2 && n->column == 1);
    assert_true(n->keys[1]->line == 3 && n->keys[1]->column == 1);
    const struct yaml_node *list = yaml_get(n->items[1], "b");
    assert_true(list->line == 3 && list->column == 9);
    assert_true(list->items[1]->column == 13);
    assert_null(yaml_get(n, "nope"));
    assert_null(yaml_get(list, "b"));
    yaml_node_free(n);
}

static void test_yaml__nothing_is_null_only_without_quotes(void **state)
{
    (void)state;
    struct yaml_node *n = parse("[~, null, Null, NULL, '', \"null\", !!str null, nul, {}]\n");
    for (size_t i = 0; i < n->count; i++)
        assert_int_equal(yaml_is_null(n->items[i]), i < 4);
    yaml_node_free(n);
    n = parse("a:\nb: c");
    assert_true(yaml_is_null(n->items[0]) && !yaml_is_null(n->items[1]));
    yaml_node_free(n);
}

static void test_yaml__copies_what_aliases_name(void **state)
{
    (void)state;
    expect("a: &x {k: [1, 2]}\nb: *x\nc: &x 5\nd: *x\n", "{a: {k: [1, 2]}, b: {k: [1, 2]}, c: 5, d: 5}");
    expect_error("a: *x\n", 1, 4, "no anchor '&x'");
    expect_error("a: &x [*x]\n", 1, 8, "no anchor '&x'");
}

static void test_yaml__merges_maps(void **state)
{
    (void)state;
    expect("d: &d {a: 1, b: 2}\nx: {<<: *d, b: 3}\n", "{d: {a: 1, b: 2}, x: {b: 3, a: 1}}");
    expect("x: {<<: [{a: 1}, {a: 2, b: 3}], c: 4}\n", "{x: {c: 4, a: 1, b: 3}}");
    expect("x: {'<<': 4}\n", "{x: {<<: 4}}");
    /* What merging leaves out can still be named. */
    expect("x: {<<: {a: &q 1}, a: 2}\ny: *q\n", "{x: {a: 2}, y: 1}");
    expect("x: {&k <<: {a: 1}}\ny: *k\n", "{x: {a: 1}, y: <<}");
    expect_error("x: {<<: 5}\n", 1, 9, "'<<' needs a map");
    expect_error("x: {<<: [[{a: 1}]]}\n", 1, 10, "'<<' needs a map");
    expect_error("x: {<<: {a: 1}, b: *no}\n", 1, 20, "no anchor");
}

static void test_yaml__marks_keys_that_are_there_twice(void **state)
{
    (void)state;
    struct yaml_node *n = parse("a: 1\nb: 2\na: 3\nc: {b: 1, 'b': 2}\na: 4\n");
    assert_int_equal(n->count, 5);
    assert_true(n->keys[0]->first_line == 0 && n->keys[1]->first_line == 0);
    assert_true(n->keys[2]->first_line == 1 && n->keys[2]->line == 3 && n->keys[4]->first_line == 1);
    assert_int_equal(n->items[3]->keys[1]->first_line, 4);
    assert_string_equal(yaml_get(n, "a")->text, "1");
    yaml_node_free(n);
}

static void test_yaml__turns_down_keys_that_are_no_text(void **state)
{
    (void)state;
    expect_error("? [a]\n: 1\n", 1, 3, "a key that is no plain text");
    expect_error("? {a: b}\n: 1\n", 1, 3, "a key that is no plain text");
}

static void test_yaml__turns_down_what_is_no_single_document(void **state)
{
    (void)state;
    expect_error("a: 1\n---\nb: 2\n", 2, 1, "a second document");
    expect_error("a: [1, 2\nb: 3\n", 2, 2,
                 "did not find expected ',' or ']' (while parsing a flow sequence from line 1");
    expect_error("a: b: c\n", 1, 5, "mapping values are not allowed");
    expect_error("a:\n\tb: 1\n", 2, 1, "is it a tab?");
    expect_error("a: !foo 1\n", 1, 4, "tags");
    expect_error("a: !!binary aGk=\n", 1, 4, "tags");
    expect_error("a: !!set {x}\n", 1, 4, "tags");
    expect_error("%YAML 9.9\n---\na\n", 1, 1, "incompatible");
}

static void test_yaml__turns_down_bytes_that_are_no_text(void **state)
{
    (void)state;
    expect_error("a: 1\nb: x\xFFy\n", 2, 5, "no UTF-8");
    expect_error("\xC3\xA9: \xC3\n", 1, 5, "no UTF-8");
    expect_error("a: \x01\n", 1, 4, "a control character");
    expect_error_bytes("a: x\0y", 6, 1, 5, "a control character");
    expect_error("a: \"x\\0y\"\n", 1, 4, "a NUL character");
    expect_error_bytes("\xFF\xFE"
                       "a\0",
                       4, 1, 1, "no UTF-8");
}

static void test_yaml__is_bounded(void **state)
{
    (void)state;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 2000; i++)
        buf_append_byte(&text, '[');
    expect_error(buf_cstr(&text), 1, YAML_DEPTH_MAX + 2, "nested too deeply");
    buf_clear(&text);
    buf_append_str(&text, "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for (int i = 1; i < 20; i++)
        buf_printf(&text, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1, i - 1, i - 1,
                   i - 1, i - 1);
    struct yaml_node *n;
    struct yaml_position where;
    struct err err = {0};
    assert_int_equal(yaml_parse_document(buf_cstr(&text), text.len, &n, &where, &err), -1);
    assert_string_equal(err.message, "too many values in one file");
    buf_clear(&text);
    for (int i = 0; i <= YAML_NODES_MAX; i++)
        buf_append_str(&text, "- x\n");
    expect_error(buf_cstr(&text), YAML_NODES_MAX, 3, "too many values");
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_yaml__makes_a_tree),
        cmocka_unit_test(test_yaml__knows_where_things_stand),
        cmocka_unit_test(test_yaml__nothing_is_null_only_without_quotes),
        cmocka_unit_test(test_yaml__copies_what_aliases_name),
        cmocka_unit_test(test_yaml__merges_maps),
        cmocka_unit_test(test_yaml__marks_keys_that_are_there_twice),
        cmocka_unit_test(test_yaml__turns_down_keys_that_are_no_text),
        cmocka_unit_test(test_yaml__turns_down_what_is_no_single_document),
        cmocka_unit_test(test_yaml__turns_down_bytes_that_are_no_text),
        cmocka_unit_test(test_yaml__is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
