/*
 * The text of jobs.json as a tree that knows where every value stands, byte by byte: what reading needs for its
 * messages and writing for changing nothing else. Grammar: JSON5 (spec.json5.org), which is JSON with comments,
 * trailing commas, single quotes, keys without quotes and a few more numbers.
 *
 * Numbers are kept as they are written, strings are decoded only when they are asked for, and a member that occurs
 * twice counts as JavaScript has it: the last one does. Pure functions of the text, which has to outlive the tree.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <jansson.h>
#include "base/err.h"

enum { JOBS_TEXT_NESTING_MAX = 60, JOBS_TEXT_NODES_MAX = 1 << 20 };

enum jobs_kind { JOBS_NULL, JOBS_BOOL, JOBS_NUMBER, JOBS_STRING, JOBS_ARRAY, JOBS_OBJECT };

/* Offsets are of bytes; the end is the first byte behind. Other nodes are named by index, 0: none. */
struct jobs_node {
    enum jobs_kind kind;
    uint32_t start, end;         /* the value */
    uint32_t key_start, key_end; /* a member's key, quotes included; both 0: no member */
    uint32_t comma;              /* the comma behind it; 0: none */
    uint32_t first, last, next;  /* children in order, the next sibling */
};

struct jobs_text {
    const char *text;
    size_t len;
    struct jobs_node *nodes; /* [1] is the document */
    uint32_t count, cap;
};

/* ERR_CORRUPT, "line 3, column 7: …"; then there is nothing to release. len is below 4 GiB. */
int jobs_text_parse(struct jobs_text *t, const char *text, size_t len, struct err *err);
void jobs_text_release(struct jobs_text *t);

const struct jobs_node *jobs_text_root(const struct jobs_text *t);
const struct jobs_node *jobs_text_first(const struct jobs_text *t, const struct jobs_node *n); /* NULL: none */
const struct jobs_node *jobs_text_next(const struct jobs_text *t, const struct jobs_node *n);  /* NULL: none */
/* The member of an object, NULL: none, or no object. */
const struct jobs_node *jobs_text_member(const struct jobs_text *t, const struct jobs_node *object, const char *key);
bool jobs_text_key_is(const struct jobs_text *t, const struct jobs_node *n, const char *key);
/* The key as text for messages; the caller frees it. */
char *jobs_text_key(const struct jobs_text *t, const struct jobs_node *n);

/* A string's meaning; the caller frees *out. False: it is none that C can hold (NUL, a lone surrogate, no UTF-8). */
bool jobs_text_string(const struct jobs_text *t, const struct jobs_node *n, char **out);
/* A number without a fraction that fits ("7.2e6" is one); false: it is not. */
bool jobs_text_integer(const struct jobs_text *t, const struct jobs_node *n, int64_t *out);
bool jobs_text_is_true(const struct jobs_text *t, const struct jobs_node *n);
/* The value as a document, NULL: something in it cannot be one (numbers out of range, strings as above). */
json_t *jobs_text_json(const struct jobs_text *t, const struct jobs_node *n);
/* Where a byte stands, from 1; columns are characters. */
void jobs_text_place(const struct jobs_text *t, size_t offset, unsigned *line, unsigned *column);
