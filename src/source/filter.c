#include "source/filter.h"

#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>
#include "base/mem.h"
#include "source/filter_pattern.h"
#include "source/glob.h"

struct filter *filter_new(void)
{
    return mem_zalloc(sizeof(struct filter));
}

void filter_free(struct filter *f)
{
    if (f == NULL)
        return;
    for (int c = 0; c < CASE_COUNT; c++) {
        struct pattern_list *l = &f->lists[c];
        for (size_t i = 0; i < l->count; i++) {
            free(l->items[i].parts);
            free(l->items[i].text);
        }
        free(l->items);
    }
    free(f);
}

bool filter_is_empty(const struct filter *f)
{
    return f->lists[CASE_EXACT].count == 0 && f->lists[CASE_IGNORED].count == 0;
}

/* ---- lower case */

static locale_t utf8_locale;

static void make_locale(void)
{
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

static uint32_t lower_rune(uint32_t rune)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    if (rune < 0x80)
        return rune >= 'A' && rune <= 'Z' ? rune + ('a' - 'A') : rune;
    pthread_once(&once, make_locale);
    return utf8_locale == (locale_t)0 ? rune : (uint32_t)towlower_l((wint_t)rune, utf8_locale);
}

static void append_rune(struct buf *out, uint32_t rune)
{
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t len = rune < 0x80 ? 1 : rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    if (len == 1) {
        buf_append_byte(out, (unsigned char)rune);
        return;
    }
    buf_append_byte(out, (unsigned char)(lead[len] | rune >> (6 * (len - 1))));
    for (size_t i = len - 1; i-- > 0;)
        buf_append_byte(out, (unsigned char)(0x80 | (rune >> (6 * i) & 0x3F)));
}

static void append_lower(struct buf *out, const char *s, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t rune;
        size_t n = glob_decode(s + at, len - at, &rune);
        uint32_t lower = lower_rune(rune);
        if (lower == rune)
            buf_append(out, s + at, n);
        else
            append_rune(out, lower);
        at += n;
    }
}

void filter_append_cased(struct buf *out, const char *s, size_t len, int case_rule)
{
    if (case_rule == CASE_IGNORED)
        append_lower(out, s, len);
    else
        buf_append(out, s, len);
}

/* ---- taking patterns in */

static bool is_last_of(const struct buf *out, size_t start, const char *text)
{
    size_t len = strlen(text);
    return out->len - start == len && memcmp(out->data + start, text, len) == 0;
}

/* Removes the last component of a cleaned path in the making, which starts behind `root`. False when there is none that
 * ".." could take away. */
static bool remove_last(struct buf *out, size_t root)
{
    size_t at = out->len;
    while (at > root && out->data[at - 1] != '/')
        at--;
    if (out->len == root || is_last_of(out, at, ".."))
        return false;
    out->len = at > root ? at - 1 : root;
    return true;
}

/* Go's filepath.Clean: no doubled or trailing slashes, no "." and no ".." that something precedes. */
static void clean(struct buf *out, const char *path, size_t len)
{
    size_t root = 0;
    if (len > 0 && path[0] == '/') {
        buf_append_byte(out, '/');
        root = 1;
    }
    for (size_t at = 0; at < len;) {
        const char *slash = memchr(path + at, '/', len - at);
        size_t n = slash == NULL ? len - at : (size_t)(slash - (path + at));
        const char *part = path + at;
        at += n + 1;
        if (n == 0 || (n == 1 && part[0] == '.'))
            continue;
        if (n == 2 && memcmp(part, "..", 2) == 0 && (remove_last(out, root) || root == 1))
            continue;
        if (out->len > root)
            buf_append_byte(out, '/');
        buf_append(out, part, n);
    }
    if (out->len == 0)
        buf_append_byte(out, '.');
}

static bool is_plain(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (strchr("\\[]*?", s[i]) != NULL)
            return false;
    return true;
}

static struct part make_part(const char *s, size_t len)
{
    struct part part = {.kind = PART_GLOB, .text = s, .len = (uint32_t)len};
    if (is_plain(s, len)) {
        part.kind = PART_LITERAL;
    } else if (len == 1 && s[0] == '*') {
        part.kind = PART_ANY;
    } else if (len == 2 && memcmp(s, "**", 2) == 0) {
        part.kind = PART_DOUBLE;
    } else if (s[0] == '*' && is_plain(s + 1, len - 1)) {
        part = (struct part){.kind = PART_SUFFIX, .text = s + 1, .len = (uint32_t)len - 1};
    } else if (s[len - 1] == '*' && is_plain(s, len - 1)) {
        part = (struct part){.kind = PART_PREFIX, .text = s, .len = (uint32_t)len - 1};
    }
    return part;
}

/* Splits a cleaned pattern. "/" alone is one empty component below the root. False: malformed. */
static bool split_pattern(struct pattern *p)
{
    const char *s = p->text;
    p->rooted = s[0] == '/';
    if (p->rooted)
        s++;
    for (;;) {
        size_t len = strcspn(s, "/");
        if (!glob_is_valid(s, len))
            return false;
        p->parts = mem_array(p->parts, p->count + 1, sizeof *p->parts);
        p->parts[p->count++] = make_part(s, len);
        if (s[len] == '\0')
            break;
        s += len + 1;
    }
    return true;
}

int filter_add(struct filter *f, const char *pattern, bool ignore_case, struct err *err)
{
    if (pattern[0] == '\0')
        return 0;
    size_t len = strlen(pattern);
    if (len > UINT16_MAX)
        return err_set(err, ERR_USAGE, "pattern '%.40s...' is too long", pattern);
    struct pattern p = {.negated = pattern[0] == '!'};
    struct buf cleaned, cased;
    buf_init(&cleaned, FILTER_TEXT_MAX_BYTES);
    buf_init(&cased, FILTER_TEXT_MAX_BYTES);
    clean(&cleaned, pattern + p.negated, len - p.negated);
    filter_append_cased(&cased, (const char *)cleaned.data, cleaned.len, ignore_case ? CASE_IGNORED : CASE_EXACT);
    p.text = mem_strndup((const char *)cased.data, cased.len);
    buf_release(&cleaned);
    buf_release(&cased);
    if (!split_pattern(&p)) {
        free(p.parts);
        free(p.text);
        return err_set(err, ERR_USAGE, "pattern '%s' is malformed", pattern);
    }
    struct pattern_list *l = &f->lists[ignore_case ? CASE_IGNORED : CASE_EXACT];
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 16 : l->cap * 2;
        l->items = mem_array(l->items, l->cap, sizeof *l->items);
    }
    l->items[l->count++] = p;
    l->has_negated = l->has_negated || p.negated;
    return 0;
}

void filter_escape(const char *path, struct buf *out)
{
    for (const char *p = path; *p != '\0'; p++) {
        if (strchr("*?[\\", *p) != NULL)
            buf_append_byte(out, '\\');
        buf_append_byte(out, (unsigned char)*p);
    }
}

int filter_add_path(struct filter *f, const char *path, struct err *err)
{
    struct buf text;
    buf_init(&text, FILTER_TEXT_MAX_BYTES);
    filter_escape(path, &text);
    int rc = filter_add(f, buf_cstr(&text), false, err);
    buf_release(&text);
    return rc;
}
