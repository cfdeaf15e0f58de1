#include "repo/quote.h"

#include <string.h>

#include "repo/quote_table.h"

static const char HEX[] = "0123456789abcdef";

/* ASCII that both quotings leave as it is. DEL is not in it, though JSON alone would leave it. */
static bool is_plain(unsigned char c)
{
    static const unsigned char SPECIAL[256] = {
        ['"'] = 1, ['\\'] = 1, ['<'] = 1, ['>'] = 1, ['&'] = 1,
    };
    return c >= 0x20 && c < 0x7f && !SPECIAL[c];
}

static size_t plain_run(const unsigned char *p, size_t len)
{
    size_t n = 0;
    while (n < len && is_plain(p[n]))
        n++;
    return n;
}

bool quote_is_printable(uint32_t rune)
{
    bool basic = rune < 0x10000;
    size_t low = 0, high = basic ? QUOTE_BASIC_COUNT : QUOTE_HIGH_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t first = basic ? QUOTE_BASIC[middle].first : QUOTE_HIGH[middle].first;
        uint32_t last = basic ? QUOTE_BASIC[middle].last : QUOTE_HIGH[middle].last;
        if (rune < first)
            high = middle;
        else if (rune > last)
            low = middle + 1;
        else
            return true;
    }
    return false;
}

static bool is_continuation(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The first rune of UTF-8 text and its width; 0 when there is none that is valid (overlong forms, surrogates and what
 * lies above U+10FFFF are not). */
static size_t decode_rune(const unsigned char *p, size_t len, uint32_t *rune)
{
    unsigned char c = p[0];
    if (c < 0x80) {
        *rune = c;
        return 1;
    }
    if (c >= 0xc2 && c <= 0xdf && len >= 2 && is_continuation(p[1])) {
        *rune = (uint32_t)(c & 31) << 6 | (p[1] & 63);
        return 2;
    }
    if ((c & 0xf0) == 0xe0 && len >= 3 && is_continuation(p[1]) && is_continuation(p[2])) {
        *rune = (uint32_t)(c & 15) << 12 | (uint32_t)(p[1] & 63) << 6 | (p[2] & 63);
        return *rune >= 0x800 && (*rune < 0xd800 || *rune > 0xdfff) ? 3 : 0;
    }
    if ((c & 0xf8) == 0xf0 && len >= 4 && is_continuation(p[1]) && is_continuation(p[2]) && is_continuation(p[3])) {
        *rune = (uint32_t)(c & 7) << 18 | (uint32_t)(p[1] & 63) << 12 | (uint32_t)(p[2] & 63) << 6 | (p[3] & 63);
        return *rune >= 0x10000 && *rune <= 0x10ffff ? 4 : 0;
    }
    return 0;
}

bool quote_is_utf8(const char *s, size_t len)
{
    const unsigned char *p = (const unsigned char *)s;
    uint32_t rune;
    for (size_t i = 0, width; i < len; i += width) {
        width = p[i] < 0x80 ? 1 : decode_rune(p + i, len - i, &rune);
        if (width == 0)
            return false;
    }
    return true;
}

/* Writes `prefix` and `digits` hex digits of v; returns the length. */
static size_t hex_escape(char *out, const char *prefix, uint32_t v, int digits)
{
    size_t n = strlen(prefix);
    memcpy(out, prefix, n);
    for (int i = digits - 1; i >= 0; i--)
        out[n++] = HEX[v >> 4 * i & 15];
    return n;
}

enum { ESCAPE_MAX_BYTES = 16 };

/* The letter of a C-like escape among `controls`, or 0. */
static char escape_letter(unsigned char c, const char *controls, const char *letters)
{
    const char *at = c != '\0' ? strchr(controls, c) : NULL;
    return at != NULL ? letters[at - controls] : '\0';
}

/* One ASCII character of a name that is not plain, through both quotings: each backslash of the first is two after the
 * second. */
static size_t escape_name_ascii(unsigned char c, char *out)
{
    char letter = escape_letter(c, "\a\b\f\n\r\t\v", "abfnrtv");
    if (letter != '\0') {
        memcpy(out, "\\\\", 2);
        out[2] = letter;
        return 3;
    }
    if (c == '"' || c == '\\') {
        memcpy(out, "\\\\\\", 3);
        out[3] = (char)c;
        return 4;
    }
    return c < 0x20 || c == 0x7f ? hex_escape(out, "\\\\x", c, 2) : hex_escape(out, "\\u", c, 4);
}

/* One character at p that is not plain; sets *width to the bytes it took. Returns 0 when it stays as it is. */
static size_t escape_name_char(const unsigned char *p, size_t len, size_t *width, char *out)
{
    uint32_t rune;
    *width = decode_rune(p, len, &rune);
    if (*width == 0) {
        *width = 1;
        return hex_escape(out, "\\\\x", *p, 2);
    }
    if (*width == 1)
        return escape_name_ascii(*p, out);
    if (quote_is_printable(rune))
        return 0;
    return rune < 0x10000 ? hex_escape(out, "\\\\u", rune, 4) : hex_escape(out, "\\\\U", rune, 8);
}

static size_t escape_json_char(const unsigned char *p, size_t len, size_t *width, char *out)
{
    uint32_t rune;
    *width = decode_rune(p, len, &rune);
    if (*width == 0) {
        *width = 1;
        return hex_escape(out, "\\u", 0xfffd, 4);
    }
    if (*width > 1)
        return rune == 0x2028 || rune == 0x2029 ? hex_escape(out, "\\u", rune, 4) : 0;
    char letter = escape_letter(*p, "\"\\\b\f\n\r\t", "\"\\bfnrt");
    if (letter != '\0') {
        out[0] = '\\';
        out[1] = letter;
        return 2;
    }
    return *p == 0x7f ? 0 : hex_escape(out, "\\u", rune, 4);
}

typedef size_t escape_fn(const unsigned char *p, size_t len, size_t *width, char *out);

static void append_escaped(const char *s, size_t len, struct buf *out, escape_fn *escape)
{
    const unsigned char *p = (const unsigned char *)s;
    char text[ESCAPE_MAX_BYTES];
    size_t done = 0, at = 0;
    while ((at += plain_run(p + at, len - at)) < len) {
        size_t width, n = escape(p + at, len - at, &width, text);
        if (n > 0) {
            buf_append(out, p + done, at - done);
            buf_append(out, text, n);
            done = at + width;
        }
        at += width;
    }
    if (len > done)
        buf_append(out, p + done, len - done);
}

void quote_name(const char *raw, size_t len, struct buf *out)
{
    append_escaped(raw, len, out, escape_name_char);
}

void quote_json(const char *s, size_t len, struct buf *out)
{
    append_escaped(s, len, out, escape_json_char);
}

static void append_rune(struct buf *out, uint32_t rune)
{
    unsigned char b[4];
    size_t n = rune < 0x80 ? 1 : rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    static const unsigned char LEAD[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, rune >>= 6)
        b[i] = (unsigned char)(0x80 | (rune & 63));
    b[0] = (unsigned char)(LEAD[n] | rune);
    buf_append(out, b, n);
}

/* Reads exactly `digits` digits to a base of at most 16. */
static bool read_number(const char *p, size_t len, size_t digits, uint32_t base, uint32_t *out)
{
    uint32_t v = 0;
    if (len < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        char lower = p[i] >= 'A' && p[i] <= 'F' ? (char)(p[i] - 'A' + 'a') : p[i];
        const char *at = lower != '\0' ? strchr(HEX, lower) : NULL;
        if (at == NULL || (uint32_t)(at - HEX) >= base)
            return false;
        v = v * base + (uint32_t)(at - HEX);
    }
    *out = v;
    return true;
}

/* The escape after a backslash. Returns the characters it took, 0 when it is none. */
static size_t unquote_escape(const char *p, size_t len, struct buf *out)
{
    uint32_t v;
    if (len == 0)
        return 0;
    char simple = escape_letter((unsigned char)*p, "abfnrtv\\\"", "\a\b\f\n\r\t\v\\\"");
    if (simple != '\0') {
        buf_append_byte(out, (unsigned char)simple);
        return 1;
    }
    if (*p == 'x' || (*p >= '0' && *p <= '7')) {
        size_t skip = *p == 'x', digits = *p == 'x' ? 2 : 3;
        if (!read_number(p + skip, len - skip, digits, *p == 'x' ? 16 : 8, &v) || v > 255)
            return 0;
        buf_append_byte(out, (unsigned char)v);
        return skip + digits;
    }
    size_t digits = *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
    if (digits == 0 || !read_number(p + 1, len - 1, digits, 16, &v) || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return 0;
    append_rune(out, v);
    return 1 + digits;
}

bool quote_unquote(const char *quoted, size_t len, struct buf *out)
{
    for (size_t at = 0; at < len;) {
        size_t run = at;
        while (run < len && quoted[run] != '\\' && quoted[run] != '"' && quoted[run] != '\n')
            run++;
        buf_append(out, quoted + at, run - at);
        if (run == len)
            return true;
        size_t taken = quoted[run] == '\\' ? unquote_escape(quoted + run + 1, len - run - 1, out) : 0;
        if (taken == 0)
            return false;
        at = run + 1 + taken;
    }
    return true;
}
