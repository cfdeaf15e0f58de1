#include "daemon/jobs_edit_layout.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_break(char c)
{
    return c == '\n' || c == '\r';
}

/* Where a comment to the end of the line ends: JSON5 knows two line breaks more. */
static bool ends_line(const struct jobs_text *t, size_t at)
{
    return is_break(t->text[at]) || (t->len - at >= 3 && (memcmp(t->text + at, "\xE2\x80\xA8", 3) == 0 ||
                                                          memcmp(t->text + at, "\xE2\x80\xA9", 3) == 0));
}

static size_t token_start(const struct jobs_node *n)
{
    return n->key_end > 0 ? n->key_start : n->start;
}

/* Where the blanks before an offset begin. */
static size_t blanks_before(const struct jobs_text *t, size_t at)
{
    while (at > 0 && is_blank(t->text[at - 1]))
        at--;
    return at;
}

/* Where the line break that ends here begins; `at` when there is none. */
static size_t break_before(const struct jobs_text *t, size_t at)
{
    if (at > 0 && is_break(t->text[at - 1]))
        at -= at > 1 && t->text[at - 1] == '\n' && t->text[at - 2] == '\r' ? 2 : 1;
    return at;
}

/* Behind the comments that follow on the same line; `from` when there are none. *open: the last one lasts to the end of
 * its line. */
static size_t comments_behind(const struct jobs_text *t, size_t from, bool *open)
{
    size_t end = from;
    *open = false;
    for (size_t p = from;;) {
        while (p < t->len && is_blank(t->text[p]))
            p++;
        if (t->len - p < 2 || t->text[p] != '/' || (t->text[p + 1] != '/' && t->text[p + 1] != '*'))
            return end;
        *open = t->text[p + 1] == '/';
        size_t inner = p + 2;
        for (p = inner; p < t->len && !ends_line(t, p); p++)
            if (!*open && p > inner && t->text[p] == '/' && t->text[p - 1] == '*')
                break;
        if (!*open && (p == t->len || ends_line(t, p)))
            return end; /* it goes on in the next line: not ours */
        end = p += !*open;
        if (*open)
            return end;
    }
}

static char *colon_of(const struct jobs_text *t, const struct jobs_node *n)
{
    if (n == NULL || n->key_end == 0)
        return mem_strdup(": ");
    const char *p = t->text + n->key_end;
    size_t len = n->start - n->key_end;
    for (size_t i = 0; i < len; i++)
        if (!is_blank(p[i]) && p[i] != ':')
            return mem_strdup(": ");
    return mem_strndup(p, len);
}

/* What stands before the last element. */
static char *before_last(const struct jobs_text *t, const struct jobs_node *container, const struct jobs_node *last,
                         bool *multiline)
{
    size_t token = token_start(last), blanks = blanks_before(t, token), line = break_before(t, blanks);
    *multiline = line < blanks;
    if (*multiline)
        return mem_strndup(t->text + line, token - line);
    bool alone = container->first == container->last;
    bool blank = alone ? last->start > 0 && is_blank(t->text[last->start - 1]) : blanks < token;
    return mem_strdup(blank || (alone && last->key_end == 0) ? " " : "");
}

/* An empty container in a text of several lines: its element gets a line of its own, two blanks deeper. */
static void lay_out_empty(const struct jobs_text *t, const struct jobs_node *container, struct jobs_layout *out)
{
    size_t line = container->start, end;
    while (line > 0 && !is_break(t->text[line - 1]))
        line--;
    for (end = line; end < container->start && is_blank(t->text[end]);)
        end++;
    size_t newline = break_before(t, line);
    out->at = container->start + 1;
    out->multiline = container->kind == JOBS_ARRAY && memchr(t->text, '\n', t->len) != NULL;
    if (!out->multiline) {
        out->before = mem_strdup(" ");
        out->behind = mem_strdup("");
        return;
    }
    bool carriage = newline < line && t->text[newline] == '\r';
    out->behind = mem_printf("%s\n%.*s", carriage ? "\r" : "", (int)(end - line), t->text + line);
    out->before = mem_printf("%s  ", out->behind);
}

void jobs_layout_find(const struct jobs_text *t, const struct jobs_node *container, struct jobs_layout *out)
{
    const struct jobs_node *last = container->last != 0 ? &t->nodes[container->last] : NULL;
    bool open;
    *out = (struct jobs_layout){.colon = colon_of(t, last)};
    if (last == NULL) {
        lay_out_empty(t, container, out);
        return;
    }
    out->trailing_comma = last->comma != 0;
    out->comma_at = last->comma != 0 ? 0 : last->end;
    out->at = comments_behind(t, last->comma != 0 ? last->comma + 1 : last->end, &open);
    out->before = before_last(t, container, last, &out->multiline);
    out->behind = mem_strdup("");
    if (open && !out->multiline) { /* behind a comment to the end of the line nothing else can be */
        free(out->before);
        out->before = mem_strdup(t->text[out->at] == '\r' ? "\r\n" : "\n");
    }
}

void jobs_layout_release(struct jobs_layout *l)
{
    free(l->before);
    free(l->behind);
    free(l->colon);
}

char *jobs_layout_indent(const char *text, const char *before)
{
    struct buf out;
    buf_init(&out, SIZE_MAX / 2);
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            buf_append_str(&out, before);
        else
            buf_append_byte(&out, (unsigned char)*text);
    }
    char *copy = mem_strdup(buf_cstr(&out));
    buf_release(&out);
    return copy;
}

void jobs_layout_extent(const struct jobs_text *t, const struct jobs_node *child, size_t *from, size_t *to)
{
    size_t token = token_start(child), blanks = blanks_before(t, token), line = break_before(t, blanks);
    size_t end = child->comma != 0 ? child->comma + 1 : child->end;
    bool open, own_line = line < blanks;
    size_t behind = comments_behind(t, end, &open);
    while (behind < t->len && is_blank(t->text[behind]))
        behind++;
    bool rest_is_empty = behind == t->len || is_break(t->text[behind]);
    if (own_line && rest_is_empty) {
        *from = line;
        *to = behind;
        return;
    }
    *from = token;
    for (*to = end; *to < t->len && is_blank(t->text[*to]);)
        ++*to;
}
