/*
 * A recursive descent over the text that writes while it reads. Every `put_` function is called with the scanner at its
 * construct's first byte, and leaves it behind the last.
 */
#include "plan/json5.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct scanner {
    const char *p, *end;
    unsigned line, depth;
    struct buf *out;
    struct err *err;
};

static int fail(struct scanner *s, const char *what)
{
    return err_set(s->err, ERR_CORRUPT, "line %u: %s", s->line, what);
}

static bool at(const struct scanner *s, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(s->end - s->p) >= len && memcmp(s->p, text, len) == 0;
}

static bool at_byte(const struct scanner *s, char c)
{
    return s->p < s->end && *s->p == c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* ---- white space and comments */

/* The length of the line break here: \n, \r, \r\n, U+2028 or U+2029; 0: none. */
static size_t line_break(const struct scanner *s)
{
    if (at(s, "\r\n"))
        return 2;
    if (at_byte(s, '\n') || at_byte(s, '\r'))
        return 1;
    return at(s, "\xE2\x80\xA8") || at(s, "\xE2\x80\xA9") ? 3 : 0;
}

static bool take_line_break(struct scanner *s)
{
    size_t len = line_break(s);
    s->p += len;
    s->line += len > 0;
    return len > 0;
}

/* The length of the blank here (ASCII's, the byte order mark, and Unicode's category Zs); 0: none. */
static size_t blank(const struct scanner *s)
{
    static const char *const WIDE[] = {"\xC2\xA0",     "\xEF\xBB\xBF", "\xE1\x9A\x80",
                                       "\xE2\x80\xAF", "\xE2\x81\x9F", "\xE3\x80\x80"};
    if (s->p < s->end && *s->p != '\0' && strchr(" \t\v\f", *s->p) != NULL)
        return 1;
    for (size_t i = 0; i < sizeof WIDE / sizeof *WIDE; i++)
        if (at(s, WIDE[i]))
            return strlen(WIDE[i]);
    bool en_quad_to_hair_space =
        at(s, "\xE2\x80") && s->end - s->p > 2 && (unsigned char)s->p[2] >= 0x80 && (unsigned char)s->p[2] <= 0x8A;
    return en_quad_to_hair_space ? 3 : 0;
}

static int skip_block_comment(struct scanner *s)
{
    unsigned first_line = s->line;
    s->p += 2;
    while (s->p < s->end && !at(s, "*/")) {
        if (take_line_break(s))
            buf_append_byte(s->out, '\n');
        else
            s->p++;
    }
    if (s->p == s->end) {
        s->line = first_line;
        return fail(s, "a comment is not closed");
    }
    s->p += 2;
    return 0;
}

static int skip_space(struct scanner *s)
{
    for (;;) {
        size_t len = blank(s);
        if (len > 0) {
            s->p += len;
        } else if (take_line_break(s)) {
            buf_append_byte(s->out, '\n');
        } else if (at(s, "//")) {
            while (s->p < s->end && line_break(s) == 0)
                s->p++;
        } else if (at(s, "/*")) {
            if (skip_block_comment(s) < 0)
                return -1;
        } else {
            return 0;
        }
    }
}

/* ---- strings */

static void put_char(struct buf *out, unsigned char c)
{
    static const char SHORT[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (const char *p = SHORT; *p != '\0'; p += 2) {
        if ((unsigned char)*p == c) {
            buf_append_byte(out, '\\');
            buf_append_byte(out, (unsigned char)p[1]);
            return;
        }
    }
    if (c < 0x20)
        buf_printf(out, "\\u%04x", c);
    else
        buf_append_byte(out, c);
}

/* "\xHH" and "\uHHHH", the scanner at the 'x' or 'u'. */
static int put_hex_escape(struct scanner *s, size_t digits)
{
    s->p++;
    for (size_t i = 0; i < digits; i++)
        if ((size_t)(s->end - s->p) <= i || !is_hex(s->p[i]))
            return fail(s, "an escape sequence lacks its hexadecimal digits");
    buf_append_str(s->out, digits == 2 ? "\\u00" : "\\u");
    buf_append(s->out, s->p, digits);
    s->p += digits;
    return 0;
}

/* The scanner at the backslash. */
static int put_escape(struct scanner *s)
{
    static const char NAMED[] = "b\bf\fn\nr\rt\tv\v";
    s->p++;
    if (s->p == s->end)
        return fail(s, "a string is not closed");
    if (take_line_break(s))
        return 0;
    char c = *s->p;
    if (c == 'x' || c == 'u')
        return put_hex_escape(s, c == 'x' ? 2 : 4);
    s->p++;
    if (c == '0' && (s->p == s->end || !is_digit(*s->p))) {
        put_char(s->out, '\0');
        return 0;
    }
    if (is_digit(c))
        return fail(s, "a backslash stands before a digit");
    for (const char *n = NAMED; *n != '\0'; n += 2)
        if (*n == c)
            c = n[1];
    put_char(s->out, (unsigned char)c);
    return 0;
}

static int put_string(struct scanner *s)
{
    char quote = *s->p++;
    buf_append_byte(s->out, '"');
    while (s->p < s->end && *s->p != quote) {
        if (*s->p == '\n' || *s->p == '\r')
            return fail(s, "a string is not closed on its line");
        if (*s->p == '\\') {
            if (put_escape(s) < 0)
                return -1;
        } else {
            put_char(s->out, (unsigned char)*s->p++);
        }
    }
    if (s->p == s->end)
        return fail(s, "a string is not closed");
    s->p++;
    buf_append_byte(s->out, '"');
    return 0;
}

/* ---- keys */

/* Letters beyond ASCII are not looked up: what is no blank may be part of a name. */
static bool at_name(const struct scanner *s, bool first)
{
    if (s->p == s->end)
        return false;
    unsigned char c = (unsigned char)*s->p;
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
    return letter || (!first && is_digit(*s->p)) || at(s, "\\u") || (c >= 0x80 && blank(s) == 0 && line_break(s) == 0);
}

static int put_key(struct scanner *s)
{
    if (at_byte(s, '"') || at_byte(s, '\''))
        return put_string(s);
    if (!at_name(s, true))
        return fail(s, s->p == s->end ? "an object is not closed" : "a key is missing, or a quote around it");
    buf_append_byte(s->out, '"');
    for (bool first = true; at_name(s, first); first = false) {
        if (*s->p != '\\') {
            buf_append_byte(s->out, (unsigned char)*s->p++);
            continue;
        }
        s->p++;
        if (put_hex_escape(s, 4) < 0)
            return -1;
    }
    buf_append_byte(s->out, '"');
    return 0;
}

/* ---- numbers and words */

static size_t count_digits(const struct scanner *s)
{
    size_t n = 0;
    while (n < (size_t)(s->end - s->p) && is_digit(s->p[n]))
        n++;
    return n;
}

static int put_hex_number(struct scanner *s)
{
    char digits[17];
    size_t n = 0;
    for (s->p += 2; at_byte(s, '0') && s->end - s->p > 1 && is_hex(s->p[1]);)
        s->p++;
    for (; s->p < s->end && is_hex(*s->p); s->p++, n++) {
        if (n == sizeof digits - 1)
            return fail(s, "a hexadecimal number is too large");
        digits[n] = *s->p;
    }
    if (n == 0)
        return fail(s, "a hexadecimal number has no digits");
    digits[n] = '\0';
    buf_append_u64(s->out, strtoull(digits, NULL, 16));
    return 0;
}

static int put_exponent(struct scanner *s)
{
    if (!at_byte(s, 'e') && !at_byte(s, 'E'))
        return 0;
    buf_append_byte(s->out, (unsigned char)*s->p++);
    if (at_byte(s, '+') || at_byte(s, '-'))
        buf_append_byte(s->out, (unsigned char)*s->p++);
    size_t n = count_digits(s);
    if (n == 0)
        return fail(s, "a number's exponent has no digits");
    buf_append(s->out, s->p, n);
    s->p += n;
    return 0;
}

/* A digit that JSON wants and JSON5 may leave out becomes 0. */
static int put_decimal(struct scanner *s)
{
    size_t whole = count_digits(s), fraction = 0;
    if (whole > 1 && *s->p == '0')
        return fail(s, "a number starts with 0");
    buf_append(s->out, whole > 0 ? s->p : "0", whole > 0 ? whole : 1);
    s->p += whole;
    if (at_byte(s, '.')) {
        s->p++;
        fraction = count_digits(s);
        buf_append_byte(s->out, '.');
        buf_append(s->out, fraction > 0 ? s->p : "0", fraction > 0 ? fraction : 1);
        s->p += fraction;
    }
    if (whole + fraction == 0)
        return fail(s, "a number has no digits");
    return put_exponent(s);
}

static int put_number(struct scanner *s)
{
    if (at_byte(s, '-'))
        buf_append_byte(s->out, '-');
    if (at_byte(s, '-') || at_byte(s, '+'))
        s->p++;
    if (at(s, "Infinity") || at(s, "NaN"))
        return fail(s, "Infinity and NaN are not supported");
    int rc = at(s, "0x") || at(s, "0X") ? put_hex_number(s) : put_decimal(s);
    if (rc == 0 && (at_name(s, false) || at_byte(s, '.')))
        return fail(s, "a number is malformed");
    return rc;
}

static int put_word(struct scanner *s)
{
    static const char *const WORDS[] = {"null", "true", "false"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (!at(s, WORDS[i]))
            continue;
        s->p += strlen(WORDS[i]);
        if (at_name(s, false))
            break;
        buf_append_str(s->out, WORDS[i]);
        return 0;
    }
    if (at(s, "Infinity") || at(s, "NaN"))
        return fail(s, "Infinity and NaN are not supported");
    return fail(s, s->p == s->end ? "a value is missing at the end" : "a value is missing, or a quote around it");
}

/* ---- structure */

static int put_value(struct scanner *s);

/* What stands between two commas. */
static int put_element(struct scanner *s, bool object)
{
    if (!object)
        return put_value(s);
    if (put_key(s) < 0 || skip_space(s) < 0)
        return -1;
    if (!at_byte(s, ':'))
        return fail(s, "a colon is missing after a key");
    s->p++;
    buf_append_byte(s->out, ':');
    return put_value(s);
}

/* An object or an array. A comma is written only once an element follows it. */
static int put_container(struct scanner *s)
{
    bool object = *s->p == '{';
    char close = object ? '}' : ']';
    if (s->depth == JSON5_NESTING_MAX)
        return fail(s, "it is nested too deeply");
    s->depth++;
    buf_append_byte(s->out, (unsigned char)*s->p++);
    for (bool first = true;; first = false) {
        if (skip_space(s) < 0)
            return -1;
        if (at_byte(s, close))
            break;
        if (!first)
            buf_append_byte(s->out, ',');
        if (put_element(s, object) < 0 || skip_space(s) < 0)
            return -1;
        if (at_byte(s, ','))
            s->p++;
        else if (s->p == s->end)
            return fail(s, object ? "an object is not closed" : "an array is not closed");
        else if (!at_byte(s, close))
            return fail(s, object ? "a comma or '}' is missing" : "a comma or ']' is missing");
    }
    s->p++;
    s->depth--;
    buf_append_byte(s->out, (unsigned char)close);
    return 0;
}

static int put_value(struct scanner *s)
{
    if (skip_space(s) < 0)
        return -1;
    char c = '\0';
    if (s->p < s->end)
        c = *s->p;
    if (c == '{' || c == '[')
        return put_container(s);
    if (c == '"' || c == '\'')
        return put_string(s);
    if (is_digit(c) || c == '+' || c == '-' || c == '.')
        return put_number(s);
    return put_word(s);
}

int json5_to_json(const char *text, size_t len, struct buf *out, struct err *err)
{
    struct scanner s = {.p = text, .end = text + len, .line = 1, .out = out, .err = err};
    if (put_value(&s) < 0 || skip_space(&s) < 0)
        return -1;
    if (s.p != s.end)
        return fail(&s, "something follows the end of the document");
    if (out->overflow)
        return err_set(err, ERR_CORRUPT, "the document is too large");
    return 0;
}
