/*
 * Invariants:
 * - `pattern` points at what is next, at the end of a record into its NUL; `frames` are the repetitions it lies in, the
 *   innermost last;
 * - `skip` bytes are stepped over before anything else; then `need` bytes are gathered in `bytes` before they are
 * looked at, as the beginning of `part`.
 */
#include "source/rdb_scan.h"

#include <string.h>

/* Redis allows strings of 512 MB, if not told otherwise; what is longer than this is damage. */
static const uint64_t LENGTH_MAX = UINT64_C(1) << 48;

static void want(struct rdb_scan *s, enum rdb_part part, unsigned bytes)
{
    s->part = part;
    s->need = bytes;
    s->have = 0;
}

static void refuse(struct rdb_scan *s, const char *what)
{
    s->state = RDB_SCAN_BAD;
    s->bad = what;
}

/* ---- the pattern */

/* The ')' that ends the repetition beginning at p, which is after its '('. */
static const char *closing(const char *p)
{
    for (unsigned depth = 1;; p++) {
        depth += *p == '(';
        depth -= *p == ')';
        if (depth == 0)
            return p;
    }
}

static void push_frame(struct rdb_scan *s, const char *start, uint64_t left, const char *pattern)
{
    s->frames[s->depth++] = (struct rdb_frame){.start = start, .left = left};
    s->pattern = pattern;
}

/* Of a record, or of a part of a module's value. */
static void end_pattern(struct rdb_scan *s)
{
    if (s->depth == 0)
        s->state = RDB_SCAN_DONE;
    else
        s->pattern = s->frames[--s->depth].start;
}

static void end_repetition(struct rdb_scan *s)
{
    struct rdb_frame *f = &s->frames[s->depth - 1];
    if (--f->left > 0) {
        s->pattern = f->start;
        return;
    }
    s->depth--;
    s->pattern++;
}

static void next_part(struct rdb_scan *s)
{
    switch (*s->pattern) {
    case '\0':
        end_pattern(s);
        break;
    case ')':
        end_repetition(s);
        break;
    case 's':
        want(s, RDB_PART_STRING, 1);
        break;
    case 'l':
        want(s, RDB_PART_NUMBER, 1);
        break;
    case 'a':
        want(s, RDB_PART_TEXT, 1);
        break;
    case '(':
        want(s, RDB_PART_COUNT, 1);
        break;
    case 'm':
        want(s, RDB_PART_MARK, 1);
        break;
    default: /* bytes as they are */
        s->skip = *s->pattern == 'i' ? 16 : (uint64_t)(*s->pattern - '0');
        s->pattern++;
    }
}

static void part_done(struct rdb_scan *s)
{
    s->strings += s->part != RDB_PART_NUMBER;
    s->pattern++;
    want(s, RDB_PART_NONE, 0);
}

/* ---- numbers */

/* How many bytes a length takes that begins with this one; 0: it is none. */
static unsigned length_bytes(unsigned char first)
{
    switch (first >> 6) {
    case 0:
        return 1;
    case 1:
        return 2;
    case 2:
        return first == 0x80 ? 5 : first == 0x81 ? 9 : 0;
    default:
        return 0;
    }
}

/* With a length's first byte, or all of it, gathered: 1 when it is complete (in s->number), 0 when more is needed, -1
 * when it is none (the state is then BAD). */
static int take_length(struct rdb_scan *s, const char *complaint)
{
    unsigned bytes = length_bytes(s->bytes[0]);
    if (bytes == 0) {
        refuse(s, complaint);
        return -1;
    }
    if (s->have < bytes) {
        s->need = bytes;
        return 0;
    }
    s->number = bytes <= 2 ? s->bytes[0] & 0x3f : 0;
    for (unsigned i = 1; i < bytes; i++)
        s->number = s->number << 8 | s->bytes[i];
    return 1;
}

static void take_number(struct rdb_scan *s)
{
    if (take_length(s, "a number is not written as one") > 0)
        part_done(s);
}

static void take_count(struct rdb_scan *s)
{
    if (take_length(s, "a number of elements is impossible") <= 0)
        return;
    const char *inner = s->pattern + 1;
    if (s->number == 0)
        s->pattern = closing(inner) + 1;
    else
        push_frame(s, inner, s->number, inner);
    want(s, RDB_PART_NONE, 0);
}

static void take_mark(struct rdb_scan *s)
{
    if (take_length(s, "a module's value has a part without a kind") <= 0)
        return;
    const char *part = rdb_module_part(s->number);
    if (part == NULL) {
        refuse(s, "a module's value has a part of an unknown kind");
        return;
    }
    if (*part == '\0')
        s->pattern++;
    else
        push_frame(s, s->pattern, 1, part);
    want(s, RDB_PART_NONE, 0);
}

/* ---- strings */

static void keep(struct rdb_scan *s, const void *p, size_t len)
{
    if (!s->keeps || s->strings >= 2)
        return;
    unsigned *at = &s->kept_len[s->strings];
    size_t room = RDB_SCAN_KEPT_BYTES - 1 - *at, n = len < room ? len : room;
    memcpy(s->kept[s->strings] + *at, p, n);
    *at += (unsigned)n;
    s->kept[s->strings][*at] = '\0';
}

static void keep_number(struct rdb_scan *s, int64_t v)
{
    char digits[24], *p = digits + sizeof digits;
    uint64_t left = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do
        *--p = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (v < 0)
        *--p = '-';
    keep(s, p, (size_t)(digits + sizeof digits - p));
}

/* A string that is a number of 1, 2 or 4 bytes. */
static void take_integer(struct rdb_scan *s, unsigned bytes)
{
    const unsigned char *p = s->bytes + 1;
    if (s->have < 1 + bytes) {
        s->need = 1 + bytes;
        return;
    }
    if (bytes == 1)
        keep_number(s, (int8_t)p[0]);
    else if (bytes == 2)
        keep_number(s, (int16_t)(p[0] | p[1] << 8));
    else
        keep_number(s, (int32_t)((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24));
    part_done(s);
}

static void take_string(struct rdb_scan *s)
{
    switch (s->bytes[0]) {
    case 0xc0:
        take_integer(s, 1);
        return;
    case 0xc1:
        take_integer(s, 2);
        return;
    case 0xc2:
        take_integer(s, 4);
        return;
    case 0xc3:
        want(s, RDB_PART_COMPRESSED, 1);
        return;
    default:
        break;
    }
    if (take_length(s, "a string is of an unknown encoding") <= 0)
        return;
    s->skip = s->number;
    if (s->number > LENGTH_MAX)
        refuse(s, "a string's length is impossible");
    else if (s->number == 0)
        part_done(s);
}

static void take_compressed(struct rdb_scan *s)
{
    static const char *const complaint = "a compressed string's length is impossible";
    uint64_t stored = s->number;
    if (take_length(s, complaint) <= 0)
        return;
    if (s->number > LENGTH_MAX || s->number == 0) {
        refuse(s, complaint);
    } else if (s->part == RDB_PART_COMPRESSED) {
        want(s, RDB_PART_PLAIN, 1);
    } else {
        s->skip = stored;
    }
}

/* A number as text: its length first, or what it is when it is not finite. */
static void take_text(struct rdb_scan *s)
{
    unsigned char len = s->bytes[0];
    if (len > 0 && len < 253)
        s->skip = len;
    else
        part_done(s);
}

/* ---- bytes */

static void take_part(struct rdb_scan *s)
{
    switch (s->part) {
    case RDB_PART_NONE:
        next_part(s);
        break;
    case RDB_PART_NUMBER:
        take_number(s);
        break;
    case RDB_PART_STRING:
        take_string(s);
        break;
    case RDB_PART_COMPRESSED:
    case RDB_PART_PLAIN:
        take_compressed(s);
        break;
    case RDB_PART_TEXT:
        take_text(s);
        break;
    case RDB_PART_COUNT:
        take_count(s);
        break;
    case RDB_PART_MARK:
        take_mark(s);
        break;
    }
}

/* As far as it goes without more bytes. */
static void advance(struct rdb_scan *s)
{
    while (s->state == RDB_SCAN_MORE && s->skip == 0 && s->have == s->need)
        take_part(s);
}

static size_t step_over(struct rdb_scan *s, const unsigned char *p, size_t len)
{
    size_t n = s->skip < len ? (size_t)s->skip : len;
    if (s->part == RDB_PART_STRING)
        keep(s, p, n);
    s->skip -= n;
    if (s->skip == 0 && s->part != RDB_PART_NONE)
        part_done(s);
    return n;
}

static size_t gather(struct rdb_scan *s, const unsigned char *p, size_t len)
{
    size_t n = s->need - s->have < len ? s->need - s->have : len;
    memcpy(s->bytes + s->have, p, n);
    s->have += (unsigned)n;
    return n;
}

void rdb_scan_begin(struct rdb_scan *s, const char *pattern, bool keeps)
{
    s->state = RDB_SCAN_MORE;
    s->pattern = pattern;
    s->keeps = keeps;
    s->kept[0][0] = s->kept[1][0] = '\0';
    s->kept_len[0] = s->kept_len[1] = s->strings = s->depth = 0;
    s->skip = 0;
    want(s, RDB_PART_NONE, 0);
    advance(s);
}

size_t rdb_scan_feed(struct rdb_scan *s, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    size_t done = 0;
    while (done < len && s->state == RDB_SCAN_MORE) {
        done += s->skip > 0 ? step_over(s, p + done, len - done) : gather(s, p + done, len - done);
        advance(s);
    }
    return done;
}
