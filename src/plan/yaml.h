/*
 * A YAML document as a tree whose nodes know where they stand, so that every mistake in it can be shown to its writer.
 * Knows nothing of what the document means: scalars stay text. Parsed by libyaml. Pure function.
 *
 * Bounded, whatever the text is: in nodes, copies made by aliases included, and in depth. Anchors, aliases and merge
 * keys (<<) work; an alias becomes a copy. Turned down: a second document, a key that is no scalar, NUL, bytes that are
 * no UTF-8, and tags other than YAML's own for plain things (!!str, !!int …). A key that is there twice is marked: a
 * mistake, which must not hide others.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/err.h"

enum { YAML_NODES_MAX = 20000, YAML_DEPTH_MAX = 24 };

enum yaml_kind { YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_node {
    enum yaml_kind kind;
    unsigned line, column; /* from 1; columns count characters */
    char *text;            /* SCALAR; without a NUL in it */
    bool plain;            /* SCALAR: without quotes, so that "null", "true" and "3" may be something else than text */
    unsigned first_line;   /* of a key that its map has already: where the first one is; else 0. Copies have 0 */
    /* LIST: items; MAP: keys (scalars) and items, pairwise. */
    struct yaml_node **keys, **items;
    size_t count, cap;
};

struct yaml_position {
    unsigned line, column;
};

/* NULL in *out: there is no document, or it is empty. ERR_CORRUPT: *where says where, and the message does not. Quotes
 * keys and anchors only, no values: they may be secret. */
int yaml_parse_document(const char *text, size_t len, struct yaml_node **out, struct yaml_position *where,
                        struct err *err);
void yaml_node_free(struct yaml_node *n); /* NULL is nothing */

/* The value of a key, the first of that name, or NULL. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* A scalar that is empty, ~ or null, without quotes. */
bool yaml_is_null(const struct yaml_node *n);
