#include "source/glob.h"

enum { RUNE_INVALID = 0xFFFD };

static bool is_continuation(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

static uint32_t low_bits(char c)
{
    return (unsigned char)c & 0x3Fu;
}

/* The length that a first byte announces, 0 when it cannot start a character. */
static size_t announced_len(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c >= 0xC2 && c <= 0xDF)
        return 2;
    if (c >= 0xE0 && c <= 0xEF)
        return 3;
    return c >= 0xF0 && c <= 0xF4 ? 4 : 0;
}

size_t glob_decode(const char *s, size_t len, uint32_t *rune)
{
    size_t n = announced_len((unsigned char)s[0]);
    *rune = n == 1 ? (unsigned char)s[0] : RUNE_INVALID;
    if (n <= 1 || n > len)
        return 1;
    for (size_t i = 1; i < n; i++)
        if (!is_continuation((unsigned char)s[i]))
            return 1;
    uint32_t r = (unsigned char)s[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++)
        r = r << 6 | low_bits(s[i]);
    bool overlong = (n == 3 && r < 0x800) || (n == 4 && r < 0x10000);
    if (overlong || r > 0x10FFFF || (r >= 0xD800 && r <= 0xDFFF))
        return 1;
    *rune = r;
    return n;
}

/* One end of a range within a set. */
static bool set_bound(const char *p, size_t len, size_t *at, uint32_t *rune)
{
    if (*at >= len || p[*at] == '-' || p[*at] == ']')
        return false;
    if (p[*at] == '\\' && ++*at >= len)
        return false;
    size_t n = glob_decode(p + *at, len - *at, rune);
    if (*rune == RUNE_INVALID && n == 1)
        return false;
    *at += n;
    return *at < len;
}

/* Reads the set whose '[' is at *at and moves behind its ']'. False when it is malformed. */
static bool set_scan(const char *p, size_t len, size_t *at, uint32_t rune, bool *matched)
{
    (*at)++;
    bool negated = *at < len && p[*at] == '^';
    if (negated)
        (*at)++;
    bool any = false;
    for (size_t ranges = 0;; ranges++) {
        if (*at < len && p[*at] == ']' && ranges > 0)
            break;
        uint32_t low, high;
        if (!set_bound(p, len, at, &low))
            return false;
        high = low;
        if (p[*at] == '-') {
            (*at)++;
            if (!set_bound(p, len, at, &high))
                return false;
        }
        any = any || (low <= rune && rune <= high);
    }
    (*at)++;
    *matched = any != negated;
    return true;
}

bool glob_is_valid(const char *pattern, size_t len)
{
    bool unused;
    for (size_t at = 0; at < len;) {
        if (pattern[at] == '[') {
            if (!set_scan(pattern, len, &at, 0, &unused))
                return false;
            continue;
        }
        if (pattern[at] == '\\' && ++at == len)
            return false;
        at++;
    }
    return true;
}

/* Matches one element of the pattern that is no '*' against what starts at name[*n], and moves behind both. */
static bool match_one(const char *pattern, size_t pattern_len, size_t *p, const char *name, size_t name_len, size_t *n)
{
    uint32_t rune;
    bool matched = false;
    switch (pattern[*p]) {
    case '?':
        *n += glob_decode(name + *n, name_len - *n, &rune);
        (*p)++;
        return true;
    case '[':
        *n += glob_decode(name + *n, name_len - *n, &rune);
        return set_scan(pattern, pattern_len, p, rune, &matched) && matched;
    case '\\':
        (*p)++;
        break;
    }
    return pattern[(*p)++] == name[(*n)++];
}

bool glob_match(const char *pattern, size_t pattern_len, const char *name, size_t name_len)
{
    size_t p = 0, n = 0;
    size_t star_p = 0, star_n = 0; /* behind the last '*', and where in the name what follows it is tried */
    for (;;) {
        if (p < pattern_len && pattern[p] == '*') {
            star_p = ++p;
            star_n = n;
            continue;
        }
        if (p == pattern_len && n == name_len)
            return true;
        if (p < pattern_len && n < name_len && match_one(pattern, pattern_len, &p, name, name_len, &n))
            continue;
        if (star_p == 0 || star_n == name_len)
            return false;
        p = star_p;
        n = ++star_n;
    }
}
