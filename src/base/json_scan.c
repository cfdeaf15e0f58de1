#include "base/json_scan.h"

#include <string.h>

enum { DEPTH_MAX = 64 };

void json_scan_init(struct json_scan *s, const void *data, size_t len)
{
    *s = (struct json_scan){.p = data, .start = data, .end = (const char *)data + len, .first = true};
}

void json_fail(struct json_scan *s)
{
    s->failed = true;
    s->p = s->end;
}

static void skip_space(struct json_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

/* Consumes c, after white space; marks failure when something else is there. */
static bool expect(struct json_scan *s, char c)
{
    skip_space(s);
    if (s->p < s->end && *s->p == c) {
        s->p++;
        return true;
    }
    json_fail(s);
    return false;
}

static bool next_is(struct json_scan *s, char c)
{
    skip_space(s);
    return s->p < s->end && *s->p == c;
}

bool json_scan_at_end(struct json_scan *s)
{
    skip_space(s);
    return !s->failed && s->p == s->end && s->depth == 0;
}

static bool container_begin(struct json_scan *s, char open)
{
    if (s->depth >= DEPTH_MAX || !expect(s, open)) {
        json_fail(s);
        return false;
    }
    s->depth++;
    s->first = true;
    return true;
}

/* At the start of an element, or at the container's end. `first` belongs to the innermost container; after a container
 * ends, its parent has had at least that one element. */
static bool container_next(struct json_scan *s, char close)
{
    if (s->failed)
        return false;
    if (next_is(s, close)) {
        s->p++;
        s->depth--;
        s->first = false;
        return false;
    }
    if (!s->first && !expect(s, ','))
        return false;
    s->first = false;
    return true;
}

bool json_object_begin(struct json_scan *s)
{
    return container_begin(s, '{');
}

bool json_object_next(struct json_scan *s, struct json_slice *key)
{
    return container_next(s, '}') && json_scan_string(s, key) && expect(s, ':');
}

bool json_array_begin(struct json_scan *s)
{
    return container_begin(s, '[');
}

bool json_array_next(struct json_scan *s)
{
    if (!container_next(s, ']'))
        return false;
    if (next_is(s, ']')) { /* a trailing comma */
        json_fail(s);
        return false;
    }
    return true;
}

/* Which of eight bytes are '"', '\\' or below 0x20? A bit pattern that is 0 when none is. */
static uint64_t special_bytes(uint64_t w)
{
    const uint64_t ones = 0x0101010101010101U, high = 0x8080808080808080U;
    uint64_t quote = w ^ (ones * '"'), escape = w ^ (ones * '\\');
    /* x - ones has the high bit of a zero byte set; bytes above 0x7f are no match, which ~x takes care of. */
    return (((quote - ones) & ~quote) | ((escape - ones) & ~escape) | ((w - ones * 0x20) & ~w)) & high;
}

/* The first byte at or after p that a string cannot simply go on with. */
static const char *plain_end(const char *p, const char *end)
{
    uint64_t w;
    for (; end - p >= (ptrdiff_t)sizeof w; p += sizeof w) {
        memcpy(&w, p, sizeof w);
        if (special_bytes(w) != 0)
            break;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
        p++;
    return p;
}

bool json_scan_string(struct json_scan *s, struct json_slice *out)
{
    if (!expect(s, '"'))
        return false;
    bool escaped = false;
    const char *p = plain_end(s->p, s->end);
    while (p < s->end && *p == '\\') {
        escaped = true;
        if (s->end - p < 2 || p[1] == '\0' || strchr("\"\\/bfnrtu", p[1]) == NULL)
            break;
        p = plain_end(p + 2, s->end);
    }
    if (p >= s->end || *p != '"') {
        json_fail(s);
        return false;
    }
    *out = (struct json_slice){s->p, (size_t)(p - s->p), escaped};
    s->p = p + 1;
    return true;
}

static bool is_digit(const struct json_scan *s)
{
    return s->p < s->end && *s->p >= '0' && *s->p <= '9';
}

/* An integer ends where no other part of a number follows. */
static bool number_goes_on(const struct json_scan *s)
{
    return s->p < s->end && (*s->p == '.' || *s->p == 'e' || *s->p == 'E');
}

uint64_t json_u64(struct json_scan *s)
{
    skip_space(s);
    const char *start = s->p;
    uint64_t v = 0;
    while (is_digit(s)) {
        unsigned digit = (unsigned)(*s->p - '0');
        if (v > (UINT64_MAX - digit) / 10) {
            json_fail(s);
            return 0;
        }
        v = v * 10 + digit;
        s->p++;
    }
    size_t digits = (size_t)(s->p - start);
    if (digits == 0 || (digits > 1 && *start == '0') || number_goes_on(s)) {
        json_fail(s);
        return 0;
    }
    return v;
}

int64_t json_i64(struct json_scan *s)
{
    bool negative = next_is(s, '-');
    if (negative)
        s->p++;
    uint64_t v = is_digit(s) ? json_u64(s) : (json_fail(s), 0);
    if (v > (uint64_t)INT64_MAX + negative) {
        json_fail(s);
        return 0;
    }
    return negative ? (int64_t)(0 - v) : (int64_t)v;
}

static bool literal(struct json_scan *s, const char *word)
{
    size_t len = strlen(word);
    skip_space(s);
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return false;
    s->p += len;
    return true;
}

bool json_bool(struct json_scan *s)
{
    if (literal(s, "true"))
        return true;
    if (!literal(s, "false"))
        json_fail(s);
    return false;
}

bool json_scan_null(struct json_scan *s)
{
    return literal(s, "null");
}

static void skip_digits(struct json_scan *s)
{
    if (!is_digit(s))
        json_fail(s);
    while (is_digit(s))
        s->p++;
}

static void skip_number(struct json_scan *s)
{
    if (next_is(s, '-'))
        s->p++;
    if (s->p < s->end && *s->p == '0')
        s->p++; /* a leading zero stands alone */
    else
        skip_digits(s);
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        skip_digits(s);
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
            s->p++;
        skip_digits(s);
    }
}

static void skip_value(struct json_scan *s);

static void skip_container(struct json_scan *s, bool object)
{
    struct json_slice key;
    if (object ? !json_object_begin(s) : !json_array_begin(s))
        return;
    while (object ? json_object_next(s, &key) : json_array_next(s))
        skip_value(s);
}

static void skip_value(struct json_scan *s)
{
    struct json_slice text;
    skip_space(s);
    switch (s->p < s->end ? *s->p : '\0') {
    case '{':
        skip_container(s, true);
        break;
    case '[':
        skip_container(s, false);
        break;
    case '"':
        json_scan_string(s, &text);
        break;
    case 't':
    case 'f':
        json_bool(s);
        break;
    case 'n':
        if (!json_scan_null(s))
            json_fail(s);
        break;
    default:
        skip_number(s);
    }
}

bool json_skip(struct json_scan *s, struct json_slice *out)
{
    skip_space(s);
    const char *start = s->p;
    skip_value(s);
    if (s->failed)
        return false;
    if (out != NULL)
        *out = (struct json_slice){start, (size_t)(s->p - start), false};
    return true;
}

bool json_key_is(const struct json_slice *key, const char *name)
{
    size_t len = strlen(name);
    return key->len == len && memcmp(key->p, name, len) == 0;
}

static void append_utf8(struct buf *out, uint32_t c)
{
    unsigned char b[4];
    size_t n;
    if (c < 0x80) {
        b[0] = (unsigned char)c;
        n = 1;
    } else if (c < 0x800) {
        b[0] = (unsigned char)(0xc0 | c >> 6);
        b[1] = (unsigned char)(0x80 | (c & 63));
        n = 2;
    } else if (c < 0x10000) {
        b[0] = (unsigned char)(0xe0 | c >> 12);
        b[1] = (unsigned char)(0x80 | (c >> 6 & 63));
        b[2] = (unsigned char)(0x80 | (c & 63));
        n = 3;
    } else {
        b[0] = (unsigned char)(0xf0 | c >> 18);
        b[1] = (unsigned char)(0x80 | (c >> 12 & 63));
        b[2] = (unsigned char)(0x80 | (c >> 6 & 63));
        b[3] = (unsigned char)(0x80 | (c & 63));
        n = 4;
    }
    buf_append(out, b, n);
}

/* Four hex digits at p, or -1. */
static int32_t hex4(const char *p, const char *end)
{
    if (end - p < 4)
        return -1;
    int32_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* After "\u": appends the rune, joining surrogate pairs. Returns how many characters it took, 0 when malformed. */
static size_t unescape_unicode(const char *p, const char *end, struct buf *out)
{
    int32_t high = hex4(p, end);
    if (high < 0)
        return 0;
    if (high < 0xd800 || high > 0xdfff) {
        append_utf8(out, (uint32_t)high);
        return 4;
    }
    int32_t low = high < 0xdc00 && end - p >= 10 && p[4] == '\\' && p[5] == 'u' ? hex4(p + 6, end) : -1;
    if (low >= 0xdc00 && low <= 0xdfff) {
        append_utf8(out, 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
        return 10;
    }
    append_utf8(out, 0xfffd);
    return 4;
}

bool json_unescape(const struct json_slice *in, struct buf *out)
{
    if (!in->escaped) {
        buf_append(out, in->p, in->len);
        return true;
    }
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *p = in->p, *end = in->p + in->len;
    while (p < end) {
        const char *stop = memchr(p, '\\', (size_t)(end - p));
        if (stop == NULL)
            stop = end;
        buf_append(out, p, (size_t)(stop - p));
        p = stop;
        if (p == end)
            break;
        if (++p == end)
            return false;
        if (*p == 'u') {
            size_t taken = unescape_unicode(p + 1, end, out);
            if (taken == 0)
                return false;
            p += 1 + taken;
            continue;
        }
        const char *known = *p != '\0' ? strchr(from, *p) : NULL;
        if (known == NULL)
            return false;
        buf_append_byte(out, (unsigned char)to[known - from]);
        p++;
    }
    return true;
}
