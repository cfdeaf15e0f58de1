/* What filter.c makes of patterns and filter_match.c matches. Private to these two. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

enum { CASE_EXACT, CASE_IGNORED, CASE_COUNT };
/* No text in here is longer. */
enum { FILTER_TEXT_MAX_BYTES = 1 << 30 };

enum part_kind {
    PART_LITERAL,
    PART_ANY,    /* "*" */
    PART_DOUBLE, /* "**" */
    PART_PREFIX, /* "text*" */
    PART_SUFFIX, /* "*text" */
    PART_GLOB
};

/* One component of a pattern. For prefix and suffix, text is without the star. */
struct part {
    enum part_kind kind;
    uint32_t len;
    const char *text;
};

struct pattern {
    struct part *parts;
    size_t count;
    bool rooted, negated;
    char *text; /* owns what the parts point to */
};

struct pattern_list {
    struct pattern *items;
    size_t count, cap;
    bool has_negated;
};

struct filter {
    struct pattern_list lists[CASE_COUNT];
};

/* Appends the text, in lower case for CASE_IGNORED. Bytes that are no UTF-8 stay as they are. */
void filter_append_cased(struct buf *out, const char *s, size_t len, int case_rule);
