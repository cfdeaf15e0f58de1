#include "daemon/job_run_words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

void job_words_add(struct job_words *w, const char *text, size_t len)
{
    if (len >= sizeof w->text) {
        w->cut = w->cut || w->len > 0 || len > sizeof w->text;
        memcpy(w->text, text + len - sizeof w->text, sizeof w->text);
        w->len = sizeof w->text;
        return;
    }
    if (w->len + len > sizeof w->text) {
        size_t gone = w->len + len - sizeof w->text;
        memmove(w->text, w->text + gone, w->len - gone);
        w->len -= gone;
        w->cut = true;
    }
    memcpy(w->text + w->len, text, len);
    w->len += len;
}

/* How many bytes the terminal sequence at p takes ("ESC [ 3 1 m", "ESC ] title BEL"); at least the ESC itself. */
static size_t sequence_length(const char *p, const char *end)
{
    const char *q = p + 1;
    if (q < end && *q == '[') {
        for (q++; q < end && (unsigned char)*q >= ' ' && (unsigned char)*q < '@'; q++)
            ;
        return (size_t)(q - p) + (q < end && (unsigned char)*q >= '@' ? 1 : 0);
    }
    if (q < end && *q == ']') {
        while (q < end && *q != '\a' && *q != '\n' && *q != 0x1b)
            q++;
        return (size_t)(q - p) + (q < end && *q == '\a' ? 1 : 0);
    }
    return 1;
}

/* A control character of Latin-1 as UTF-8 writes it: some terminals obey these, too. */
static bool is_c1(const char *p, const char *end)
{
    return (unsigned char)p[0] == 0xc2 && p + 1 < end && ((unsigned char)p[1] & 0xe0) == 0x80;
}

static size_t clean(const char *p, const char *end, char *out)
{
    size_t len = 0;
    while (p < end) {
        unsigned char c = (unsigned char)*p;
        if (c == 0x1b) {
            p += sequence_length(p, end);
            continue;
        }
        if (is_c1(p, end)) {
            p += 2;
            continue;
        }
        p++;
        char kept = (char)(c == '\r' ? '\n' : c < ' ' && c != '\n' ? ' ' : c == 0x7f ? ' ' : c);
        if (kept == '\n') /* no blanks before a line's end, no empty lines */
            while (len > 0 && out[len - 1] == ' ')
                len--;
        if (kept != '\n' || (len > 0 && out[len - 1] != '\n'))
            out[len++] = kept;
    }
    while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == ' '))
        len--;
    return len;
}

/* Where text can begin so that `max` bytes are left: not within a character. */
static const char *last_bytes(const char *text, size_t len, size_t max)
{
    const char *from = len > max ? text + len - max : text, *end = text + len;
    while (from > text && from < end && ((unsigned char)*from & 0xc0) == 0x80)
        from++;
    return from;
}

char *job_words_lines(const struct job_words *w, size_t max)
{
    char *text = mem_alloc(sizeof w->text);
    const char *from = w->text, *end = w->text + w->len;
    while (w->cut && from < end && ((unsigned char)*from & 0xc0) == 0x80)
        from++;
    size_t len = clean(from, end, text);
    const char *first = w->cut || len > max ? last_bytes(text, len, max) : text;
    const char *stop = text + len, *line = memchr(first, '\n', (size_t)(stop - first));
    if ((w->cut || first > text) && line != NULL)
        first = line + 1;
    char *out = first < stop ? mem_strndup(first, (size_t)(stop - first)) : NULL;
    free(text);
    return out;
}

char *job_words_last(const struct job_words *w, size_t max)
{
    char *lines = job_words_lines(w, sizeof w->text);
    if (lines == NULL)
        return NULL;
    const char *line = strrchr(lines, '\n');
    line = line != NULL ? line + 1 : lines;
    while (*line == ' ')
        line++;
    size_t len = strlen(line);
    /* Of one line the beginning says what it is about. */
    if (len > max)
        for (len = max; len > 0 && ((unsigned char)line[len] & 0xc0) == 0x80;)
            len--;
    char *out = mem_strndup(line, len);
    free(lines);
    return out;
}
