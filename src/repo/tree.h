/*
 * Trees: the JSON of one directory, byte for byte what the format's first implementation writes, so that equal
 * directories have equal IDs.
 *
 *     {"nodes":[node,…]}\n        nodes strictly ascending by raw name
 *
 * Source: the repository format's tree section; names are escaped as Go's strconv.Quote does (repo/quote.h).
 */
#pragma once
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "repo/node.h"

enum { TREE_MAX_BYTES = 1 << 30 };

struct tree {
    struct arena arena; /* owns everything the nodes point to, but raw */
    struct node *nodes;
    size_t count;
};

/* Encoding is incremental: begin, then nodes in ascending order of name, then end. */
void tree_encode_begin(struct buf *out);
/* `first`: no comma before it. A node with raw set is written as that text. What is zero, NULL or empty is left out
 * where the format leaves it out; a link target that is not UTF-8 is also given in linktarget_raw. */
void tree_encode_node(struct buf *out, const struct node *node, bool first);
void tree_encode_end(struct buf *out);

/* Parses a tree blob. Unknown keys are skipped (and survive in `raw`); nodes whose names are empty, ".", "..", hold '/'
 * or NUL, are ERR_CORRUPT, as are names that do not ascend strictly. An unknown type is read as NODE_IRREGULAR; a
 * directory without a subtree and a file without content are let through (has_subtree, content_count tell), for `check`
 * to name. `json` must outlive the tree if raw is used. After a failure there is nothing to release. */
int tree_decode(const char *json, size_t len, struct tree *out, struct err *err);
/* The same for who needs no raw: nodes have none. The text's memory is given back while it is read, so that a large
 * directory's text and nodes are never there at the same time. `json` is empty afterwards, also after a failure. */
int tree_decode_consume(struct buf *json, struct tree *out, struct err *err);
void tree_release(struct tree *t);
/* The order of nodes: bytewise, a prefix first. Negative, zero or positive. */
int tree_compare_names(const char *a, size_t a_len, const char *b, size_t b_len);
/* The node of that name, or NULL: binary search. */
const struct node *tree_find(const struct tree *t, const char *name, size_t name_len);
