#include "cli/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "cli/cli.h"

/* --- UTF-8 --- */

size_t text_decode(const char *s, size_t len, uint32_t *rune_out)
{
    static const uint32_t SMALLEST[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0)
        return 0;
    unsigned char first = (unsigned char)s[0];
    size_t n = first < 0x80 ? 1 : first >> 5 == 6 ? 2 : first >> 4 == 14 ? 3 : first >> 3 == 30 ? 4 : 0;
    if (n == 0 || n > len)
        return 0;
    uint32_t rune = n == 1 ? first : first & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
        rune = rune << 6 | ((unsigned char)s[i] & 0x3f);
    }
    if (rune < SMALLEST[n] || rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff))
        return 0;
    *rune_out = rune;
    return n;
}

struct range {
    uint32_t first, last;
};

static bool in_ranges(uint32_t rune, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rune >= ranges[i].first && rune <= ranges[i].last)
            return true;
    return false;
}

static size_t rune_columns(uint32_t rune)
{
    static const struct range WIDE[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0xa4cf},  {0xac00, 0xd7a3},
                                        {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},  {0xffe0, 0xffe6},
                                        {0x1f300, 0x1f64f}, {0x1f680, 0x1faff}, {0x20000, 0x3fffd}};
    static const struct range NONE[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x200b, 0x200f},
                                        {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef}};
    if (rune < 0x300)
        return 1;
    if (in_ranges(rune, NONE, sizeof NONE / sizeof *NONE))
        return 0;
    return in_ranges(rune, WIDE, sizeof WIDE / sizeof *WIDE) ? 2 : 1;
}

/* One step through text that may be anything: a byte that is no UTF-8 counts as one column. */
static size_t step(const char *s, size_t len, size_t *columns)
{
    uint32_t rune;
    size_t n = text_decode(s, len, &rune);
    *columns = n == 0 ? 1 : rune_columns(rune);
    return n == 0 ? 1 : n;
}

static size_t columns_of(const char *s, size_t len)
{
    size_t total = 0, columns;
    for (size_t i = 0; i < len; total += columns)
        i += step(s + i, len - i, &columns);
    return total;
}

size_t cli_text_columns(const char *text)
{
    return columns_of(text, strlen(text));
}

void cli_text_cut(char *text, size_t columns, bool keep_end)
{
    static const char ELLIPSIS[] = "\xe2\x80\xa6";
    size_t len = strlen(text), total = columns_of(text, len), at = 0, used = 0, n;
    if (total <= columns)
        return;
    if (columns == 0) {
        text[0] = '\0';
        return;
    }
    if (keep_end) {
        /* Drop from the front until what is left, and the ellipsis, fits. */
        while (at < len && total - used + 1 > columns) {
            at += step(text + at, len - at, &n);
            used += n;
        }
    } else {
        for (;;) {
            size_t bytes = step(text + at, len - at, &n);
            if (used + n + 1 > columns)
                break;
            at += bytes;
            used += n;
        }
    }
    /* The ellipsis takes three bytes; where fewer were cut there is no room for it and a dot must do. */
    size_t mark = sizeof ELLIPSIS - 1;
    if (!keep_end) {
        bool room = at + mark <= len;
        memcpy(text + at, room ? ELLIPSIS : ".", room ? mark + 1 : 2);
        return;
    }
    const char *sign = at >= mark ? ELLIPSIS : ".";
    size_t sign_len = strlen(sign);
    memmove(text + sign_len, text + at, len - at + 1);
    memcpy(text, sign, sign_len);
}

/* --- what may be dangerous or invisible on a terminal --- */

static bool is_unsafe(uint32_t rune)
{
    static const struct range UNSAFE[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x200b, 0x200f}, {0x2028, 0x202e},
                                          {0x2060, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
    return in_ranges(rune, UNSAFE, sizeof UNSAFE / sizeof *UNSAFE);
}

static int escape(char piece[16], const char *s, size_t n, uint32_t rune)
{
    if (n == 0)
        return snprintf(piece, 16, "\\x%02x", (unsigned char)*s);
    if (rune == '\n')
        return snprintf(piece, 16, "\\n");
    if (rune == '\t')
        return snprintf(piece, 16, "\\t");
    if (rune < 0x80)
        return snprintf(piece, 16, "\\x%02x", rune);
    return rune <= 0xffff ? snprintf(piece, 16, "\\u%04x", rune) : snprintf(piece, 16, "\\U%08x", rune);
}

const char *cli_printable(const char *s, char *out, size_t cap)
{
    size_t len = strlen(s), used = 0;
    for (size_t i = 0; i < len;) {
        uint32_t rune = 0;
        char piece[16];
        size_t n = text_decode(s + i, len - i, &rune), piece_len = n;
        if (n == 0 || is_unsafe(rune))
            piece_len = (size_t)escape(piece, s + i, n, rune);
        else
            memcpy(piece, s + i, n);
        if (used + piece_len + 1 > cap)
            break;
        memcpy(out + used, piece, piece_len);
        used += piece_len;
        i += n == 0 ? 1 : n;
    }
    if (cap > 0)
        out[used] = '\0';
    return out;
}

/* --- numbers --- */

const char *cli_duration(uint64_t ns, char out[32])
{
    uint64_t seconds = ns / 1000000000, ms = ns / 1000000;
    if (ms < 1000)
        snprintf(out, 32, "%llu ms", (unsigned long long)ms);
    else if (seconds < 60)
        snprintf(out, 32, "%llu.%llu s", (unsigned long long)seconds, (unsigned long long)(ms / 100 % 10));
    else if (seconds < 3600)
        snprintf(out, 32, "%llum %02llus", (unsigned long long)(seconds / 60), (unsigned long long)(seconds % 60));
    else
        snprintf(out, 32, "%lluh %02llum %02llus", (unsigned long long)(seconds / 3600),
                 (unsigned long long)(seconds / 60 % 60), (unsigned long long)(seconds % 60));
    return out;
}

const char *cli_count(uint64_t n, char out[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n), used = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

/* --- paragraphs --- */

void text_fill(struct buf *out, const char *text, size_t len, size_t column, size_t indent, size_t width)
{
    static const char BLANKS[] = " \n\t";
    bool line_empty = true;
    size_t i = 0;
    while (i < len) {
        while (i < len && strchr(BLANKS, text[i]) != NULL)
            i++;
        size_t start = i;
        while (i < len && strchr(BLANKS, text[i]) == NULL)
            i++;
        if (i == start)
            break;
        size_t columns = columns_of(text + start, i - start);
        if (!line_empty && column + 1 + columns > width) {
            buf_append_byte(out, '\n');
            for (size_t k = 0; k < indent; k++)
                buf_append_byte(out, ' ');
            column = indent;
            line_empty = true;
        }
        if (!line_empty) {
            buf_append_byte(out, ' ');
            column++;
        }
        buf_append(out, text + start, i - start);
        column += columns;
        line_empty = false;
    }
}
