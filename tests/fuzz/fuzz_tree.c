/*
 * Trees: what decodes must encode to text that decodes to the same again, with raw text and without. Strings that are
 * not UTF-8 are escaped as \ufffd once and stand as that rune from then on, so only texts without it must come back at
 * once.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "repo/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return setenv("TZ", "UTC0", 1);
}

static void encode(const struct tree *t, bool raw, struct buf *out)
{
    buf_init(out, TREE_MAX_BYTES);
    tree_encode_begin(out);
    for (size_t i = 0; i < t->count; i++) {
        struct node n = t->nodes[i];
        if (!raw)
            n.raw = NULL;
        tree_encode_node(out, &n, i == 0);
    }
    tree_encode_end(out);
}

static void must(bool condition)
{
    if (!condition)
        abort();
}

static bool bufs_equal(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Decodes a tree's encoding, which must have the expected nodes, and encodes that from its fields. */
static void encode_again(const struct buf *text, const struct tree *expected, struct buf *out)
{
    struct tree t;
    must(tree_decode((const char *)text->data, text->len, &t, NULL) == 0);
    must(t.count == expected->count);
    for (size_t i = 0; i < t.count; i++) {
        const struct node *n = &expected->nodes[i];
        must(tree_find(&t, n->name, n->name_len) == &t.nodes[i]);
    }
    encode(&t, false, out);
    tree_release(&t);
}

static void check(const struct tree *t, bool raw)
{
    struct buf first, second, third, fields;
    encode(t, raw, &first);
    encode(t, false, &fields);
    encode_again(&first, t, &second);
    if (raw)
        must(bufs_equal(&fields, &second));
    else if (memmem(first.data, first.len, "\\ufffd", 6) == NULL)
        must(bufs_equal(&first, &second));
    encode_again(&second, t, &third);
    if (!raw)
        must(bufs_equal(&second, &third));
    buf_release(&first);
    buf_release(&second);
    buf_release(&third);
    buf_release(&fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tree t;
    if (tree_decode((const char *)data, size, &t, NULL) != 0)
        return 0;
    check(&t, false);
    check(&t, true);
    tree_release(&t);
    return 0;
}
