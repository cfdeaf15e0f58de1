/* What the values of jobs.json mean. Escapes are well-formed: jobs_text.c has seen to that. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "daemon/jobs_text.h"
#include "repo/quote.h"

/* --- strings and keys --- */

static unsigned hex_value(const char *p, size_t digits)
{
    char text[5] = {0};
    memcpy(text, p, digits);
    return (unsigned)strtoul(text, NULL, 16);
}

static void put_rune(struct buf *out, uint32_t c)
{
    if (c < 0x80) {
        buf_append_byte(out, (unsigned char)c);
    } else if (c < 0x800) {
        buf_append_byte(out, (unsigned char)(0xC0 | c >> 6));
        buf_append_byte(out, (unsigned char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        buf_append_byte(out, (unsigned char)(0xE0 | c >> 12));
        buf_append_byte(out, (unsigned char)(0x80 | (c >> 6 & 0x3F)));
        buf_append_byte(out, (unsigned char)(0x80 | (c & 0x3F)));
    } else {
        buf_append_byte(out, (unsigned char)(0xF0 | c >> 18));
        buf_append_byte(out, (unsigned char)(0x80 | (c >> 12 & 0x3F)));
        buf_append_byte(out, (unsigned char)(0x80 | (c >> 6 & 0x3F)));
        buf_append_byte(out, (unsigned char)(0x80 | (c & 0x3F)));
    }
}

/* p at the 'u'; the scanner has seen to the digits. Behind the escape, or behind the pair of surrogates that it begins
 * (half a pair is written as it is: then the text is no UTF-8). */
static const char *put_unicode(struct buf *out, const char *p, const char *end)
{
    uint32_t high = hex_value(p + 1, 4), low = 0;
    p += 5;
    if (high >= 0xD800 && high < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u')
        low = hex_value(p + 2, 4);
    if (low < 0xDC00 || low >= 0xE000) {
        put_rune(out, high);
        return p;
    }
    put_rune(out, 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
    return p + 6;
}

/* p behind the backslash. */
static const char *put_escape(struct buf *out, const char *p, const char *end)
{
    static const char NAMED[] = "b\bf\fn\nr\rt\tv\v";
    if (*p == 'u')
        return put_unicode(out, p, end);
    if (*p == 'x') {
        put_rune(out, hex_value(p + 1, 2));
        return p + 3;
    }
    if (*p == '\n')
        return p + 1;
    if (*p == '\r')
        return p + (end - p > 1 && p[1] == '\n' ? 2 : 1);
    if (end - p >= 3 && (memcmp(p, "\xE2\x80\xA8", 3) == 0 || memcmp(p, "\xE2\x80\xA9", 3) == 0))
        return p + 3;
    char c = *p == '0' ? '\0' : *p;
    for (const char *n = NAMED; *n != '\0'; n += 2)
        if (*n == *p)
            c = n[1];
    buf_append_byte(out, (unsigned char)c);
    return p + 1;
}

static void decode(const struct jobs_text *t, uint32_t start, uint32_t end_offset, struct buf *out)
{
    const char *p = t->text + start, *end = t->text + end_offset;
    buf_init(out, (size_t)end_offset - start + 8);
    bool quoted = p < end && (*p == '"' || *p == '\'');
    p += quoted;
    end -= quoted;
    while (p < end) {
        if (*p == '\\')
            p = put_escape(out, p + 1, end);
        else
            buf_append_byte(out, (unsigned char)*p++);
    }
}

bool jobs_text_string(const struct jobs_text *t, const struct jobs_node *n, char **out)
{
    struct buf b;
    decode(t, n->start, n->end, &b);
    bool ok = n->kind == JOBS_STRING && (b.len == 0 || memchr(b.data, '\0', b.len) == NULL) &&
              quote_is_utf8(buf_cstr(&b), b.len);
    if (ok)
        *out = mem_strdup(buf_cstr(&b));
    buf_release(&b);
    return ok;
}

char *jobs_text_key(const struct jobs_text *t, const struct jobs_node *n)
{
    struct buf b;
    decode(t, n->key_start, n->key_end, &b);
    char *key = mem_strndup(buf_cstr(&b), b.len);
    buf_release(&b);
    return key;
}

bool jobs_text_key_is(const struct jobs_text *t, const struct jobs_node *n, const char *key)
{
    const char *p = t->text + n->key_start;
    size_t len = n->key_end - n->key_start, wanted = strlen(key);
    if (len == 0)
        return false;
    if (memchr(p, '\\', len) == NULL) {
        bool quoted = *p == '"' || *p == '\'';
        return len == wanted + (quoted ? 2 : 0) && memcmp(p + quoted, key, wanted) == 0;
    }
    struct buf b;
    decode(t, n->key_start, n->key_end, &b);
    bool same = b.len == wanted && memcmp(buf_cstr(&b), key, wanted) == 0;
    buf_release(&b);
    return same;
}

const struct jobs_node *jobs_text_member(const struct jobs_text *t, const struct jobs_node *object, const char *key)
{
    const struct jobs_node *found = NULL;
    if (object->kind != JOBS_OBJECT)
        return NULL;
    for (const struct jobs_node *n = jobs_text_first(t, object); n != NULL; n = jobs_text_next(t, n))
        if (jobs_text_key_is(t, n, key))
            found = n;
    return found;
}

/* --- the rest --- */

bool jobs_text_is_true(const struct jobs_text *t, const struct jobs_node *n)
{
    return n->kind == JOBS_BOOL && t->text[n->start] == 't';
}

/* Hexadecimal or decimal digits alone: exactly. */
static bool exact(const char *text, bool negative, int64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10);
    if (*end != '\0' || errno != 0 || n > INT64_MAX)
        return false;
    *out = negative ? -(int64_t)n : (int64_t)n;
    return true;
}

bool jobs_text_integer(const struct jobs_text *t, const struct jobs_node *n, int64_t *out)
{
    enum { LONGEST = 64 };
    char text[LONGEST];
    size_t len = n->end - n->start;
    if (n->kind != JOBS_NUMBER || len >= LONGEST)
        return false;
    memcpy(text, t->text + n->start, len);
    text[len] = '\0';
    bool negative = text[0] == '-';
    const char *digits = text + (negative || text[0] == '+');
    if (exact(digits, negative, out))
        return true;
    if (strpbrk(digits, ".eE") == NULL || digits[1] == 'x' || digits[1] == 'X')
        return false;
    double value = strtod(digits, NULL);
    if (!(value <= 9007199254740992.0) || value != floor(value))
        return false;
    *out = (int64_t)(negative ? -value : value);
    return true;
}

/* --- as a document of jansson's --- */

static json_t *number_json(const struct jobs_text *t, const struct jobs_node *n)
{
    enum { LONGEST = 400 };
    char text[LONGEST], *end;
    int64_t value;
    size_t len = n->end - n->start;
    if (jobs_text_integer(t, n, &value))
        return json_integer(value);
    if (len >= LONGEST)
        return NULL;
    memcpy(text, t->text + n->start, len);
    text[len] = '\0';
    double real = strtod(text, &end);
    return *end == '\0' && isfinite(real) ? json_real(real) : NULL;
}

static json_t *container_json(const struct jobs_text *t, const struct jobs_node *n)
{
    json_t *out = n->kind == JOBS_OBJECT ? json_object() : json_array();
    for (const struct jobs_node *c = jobs_text_first(t, n); c != NULL; c = jobs_text_next(t, c)) {
        json_t *value = jobs_text_json(t, c);
        char *key = n->kind == JOBS_OBJECT ? jobs_text_key(t, c) : NULL;
        int rc = value == NULL ? -1
                 : key != NULL ? json_object_set_new(out, key, value)
                               : json_array_append_new(out, value);
        free(key);
        if (rc != 0) {
            json_decref(out);
            return NULL;
        }
    }
    return out;
}

json_t *jobs_text_json(const struct jobs_text *t, const struct jobs_node *n)
{
    char *text;
    json_t *value;
    switch (n->kind) {
    case JOBS_NULL:
        return json_null();
    case JOBS_BOOL:
        return json_boolean(jobs_text_is_true(t, n));
    case JOBS_NUMBER:
        return number_json(t, n);
    case JOBS_STRING:
        if (!jobs_text_string(t, n, &text))
            return NULL;
        value = json_string(text);
        free(text);
        return value;
    case JOBS_ARRAY:
    case JOBS_OBJECT:
        break;
    }
    return container_json(t, n);
}
