/*
 * Follows one record of a Redis dump by its pattern (rdb_grammar.h) through bytes that come in pieces of any size.
 * Strings are stepped over; at most two are kept, cut to RDB_SCAN_KEPT_BYTES.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "source/rdb_grammar.h"

enum { RDB_SCAN_KEPT_BYTES = 64, RDB_PART_BYTES = 9 };
enum rdb_scan_state { RDB_SCAN_MORE, RDB_SCAN_DONE, RDB_SCAN_BAD };

/* What the bytes gathered are the beginning of. */
enum rdb_part {
    RDB_PART_NONE,
    RDB_PART_NUMBER,
    RDB_PART_STRING,
    RDB_PART_COMPRESSED, /* how long it is as it stands there … */
    RDB_PART_PLAIN,      /* … and uncompressed */
    RDB_PART_TEXT,
    RDB_PART_COUNT,
    RDB_PART_MARK
};

/* A repetition that the pattern is in. */
struct rdb_frame {
    const char *start; /* of what is repeated; for a part of a module's value: the 'm' to go back to */
    uint64_t left;     /* this time included */
};

struct rdb_scan {
    enum rdb_scan_state state;
    const char *bad; /* what is wrong: "a string's length is impossible" */
    uint64_t number; /* the last one read */
    bool keeps;      /* strings, the first two, in: */
    char kept[2][RDB_SCAN_KEPT_BYTES];
    /* private */
    unsigned kept_len[2], strings;
    enum rdb_part part;
    const char *pattern;
    struct rdb_frame frames[RDB_NESTING_MAX];
    unsigned depth, have, need;
    unsigned char bytes[RDB_PART_BYTES];
    uint64_t skip;
};

/* keeps: numbers become text; a compressed string becomes "". */
void rdb_scan_begin(struct rdb_scan *s, const char *pattern, bool keeps);
/* Takes bytes while the state is MORE, and returns how many it took: all of them, or up to the record's end. A record
 * without bytes is DONE at once. */
size_t rdb_scan_feed(struct rdb_scan *s, const void *bytes, size_t len);
