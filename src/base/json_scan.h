/*
 * A pull scanner for JSON that is read in bulk (trees, indexes): no document is built, strings are returned as slices
 * of the input, and unknown values are skipped. Small documents are read with jansson instead.
 *
 * Errors are sticky: after the first malformed byte every call returns false or 0, and json_scan_failed() tells. Strict
 * RFC 8259 but for three leniencies that Go's encoder and decoder share: duplicate keys (the last wins, by the caller's
 * doing), invalid UTF-8 passed through, and lone surrogates (decoded as U+FFFD). Nesting is limited to 64.
 *
 *     json_object_begin(&s);
 *     while (json_object_next(&s, &key))
 *         if (json_key_is(&key, "id")) … else json_skip(&s);
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

struct json_scan {
    const char *p, *end, *start;
    unsigned depth;
    bool failed;
    bool first; /* the next element of the innermost container is its first */
};

/* The text between a string's quotes, as it stands in the input. */
struct json_slice {
    const char *p;
    size_t len;
    bool escaped; /* contains at least one backslash */
};

void json_scan_init(struct json_scan *s, const void *data, size_t len);
static inline bool json_scan_failed(const struct json_scan *s)
{
    return s->failed;
}
/* True when everything was consumed but white space, and nothing failed. */
bool json_scan_at_end(struct json_scan *s);

bool json_object_begin(struct json_scan *s);
/* Moves to the next member and returns its key; false at the closing brace (which it consumes) or on failure. */
bool json_object_next(struct json_scan *s, struct json_slice *key);
bool json_array_begin(struct json_scan *s);
/* True when another element follows; false at the closing bracket (which it consumes) or on failure. */
bool json_array_next(struct json_scan *s);

bool json_scan_string(struct json_scan *s, struct json_slice *out);
uint64_t json_u64(struct json_scan *s); /* fails on sign, fraction, exponent or overflow */
int64_t json_i64(struct json_scan *s);
bool json_bool(struct json_scan *s);
/* Consumes `null` when it is next and says so; otherwise consumes nothing. */
bool json_scan_null(struct json_scan *s);
/* Skips one value of any kind. `out`, if not NULL, receives its exact text (len and p; escaped is not set). */
bool json_skip(struct json_scan *s, struct json_slice *out);
/* Marks the input as bad, for callers that find a well-formed value to be of the wrong kind. */
void json_fail(struct json_scan *s);

bool json_key_is(const struct json_slice *key, const char *name);
/* Appends the string's meaning (escapes resolved, UTF-8) to out. False when an escape is malformed. */
bool json_unescape(const struct json_slice *in, struct buf *out);
