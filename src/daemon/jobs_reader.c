#include "daemon/jobs_reader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { FOUND_SHOWN_BYTES = 40 };

/* --- reports --- */

void jobs_report_add(struct jobs_report *r, const char *id, char *message, bool left_out)
{
    r->items = mem_array(r->items, r->count + 1, sizeof *r->items);
    r->items[r->count++] = (struct jobs_mistake){.id = mem_strdup(id), .message = message, .left_out = left_out};
}

void jobs_report_release(struct jobs_report *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->items[i].id);
        free(r->items[i].message);
    }
    free(r->items);
    *r = (struct jobs_report){0};
}

int jobs_mistake(const struct jobs_part *p, const struct jobs_node *at, bool leave_out, const char *format, ...)
{
    unsigned line, column;
    char text[ERR_MESSAGE_BYTES];
    const struct jobs_node *n = at != NULL ? at : p->object;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    jobs_text_place(p->r->t, n->key_end > 0 ? n->key_start : n->start, &line, &column);
    jobs_report_add(p->r->report, p->r->id, mem_printf("line %u: %s", line, text), leave_out);
    p->r->broken = p->r->broken || leave_out;
    return -1;
}

/* The value as it is written, when it is short and of one line. */
static void describe(const struct jobs_text *t, const struct jobs_node *n, char out[FOUND_SHOWN_BYTES + 8])
{
    size_t len = n->end - n->start;
    if (n->kind == JOBS_OBJECT || n->kind == JOBS_ARRAY) {
        snprintf(out, FOUND_SHOWN_BYTES + 8, n->kind == JOBS_OBJECT ? "an object" : "a list");
        return;
    }
    size_t shown = len > FOUND_SHOWN_BYTES ? FOUND_SHOWN_BYTES : len;
    while (shown < len && shown > 0 && ((unsigned char)t->text[n->start + shown] & 0xC0) == 0x80)
        shown--;
    memcpy(out, t->text + n->start, shown);
    for (size_t i = 0; i < shown; i++)
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
            out[i] = '?';
    snprintf(out + shown, 8, "%s", shown < len ? "…" : "");
}

int jobs_unexpected(const struct jobs_part *p, const struct jobs_node *found, const char *key, const char *expected)
{
    char text[FOUND_SHOWN_BYTES + 8];
    describe(p->r->t, found, text);
    return jobs_mistake(p, found, true, "%s%s: found %s, expected %s", p->prefix, key, text, expected);
}

/* --- members --- */

const struct jobs_node *jobs_get(const struct jobs_part *p, const char *key)
{
    const struct jobs_node *n = jobs_text_member(p->r->t, p->object, key);
    return n != NULL && n->kind != JOBS_NULL ? n : NULL;
}

int jobs_get_text(const struct jobs_part *p, const char *key, char **out)
{
    const struct jobs_node *n = jobs_get(p, key);
    char *text;
    if (n == NULL)
        return 0;
    if (n->kind != JOBS_STRING)
        return jobs_unexpected(p, n, key, "a string");
    if (!jobs_text_string(p->r->t, n, &text))
        return jobs_mistake(p, n, true, "%s%s: the string has a NUL byte in it, or bytes that are no UTF-8", p->prefix,
                            key);
    free(*out);
    *out = text;
    return 1;
}

int jobs_get_bool(const struct jobs_part *p, const char *key, bool *out)
{
    const struct jobs_node *n = jobs_get(p, key);
    if (n == NULL)
        return 0;
    if (n->kind != JOBS_BOOL)
        return jobs_unexpected(p, n, key, "true or false");
    *out = jobs_text_is_true(p->r->t, n);
    return 1;
}

int jobs_get_integer(const struct jobs_part *p, const char *key, int64_t min, int64_t max, const char *expected,
                     int64_t *out)
{
    const struct jobs_node *n = jobs_get(p, key);
    int64_t value;
    if (n == NULL)
        return 0;
    if (!jobs_text_integer(p->r->t, n, &value) || value < min || value > max)
        return jobs_unexpected(p, n, key, expected);
    *out = value;
    return 1;
}

int jobs_get_list(const struct jobs_part *p, const char *key, bool single, struct strlist *out)
{
    const struct jobs_node *n = jobs_get(p, key);
    const char *expected = single ? "a string or a list of strings" : "a list of strings";
    if (n == NULL)
        return 0;
    if (n->kind != JOBS_ARRAY && !(single && n->kind == JOBS_STRING))
        return jobs_unexpected(p, n, key, expected);
    const struct jobs_node *item = n->kind == JOBS_ARRAY ? jobs_text_first(p->r->t, n) : n;
    for (; item != NULL; item = jobs_text_next(p->r->t, item)) {
        char *text;
        if (!jobs_text_string(p->r->t, item, &text))
            return jobs_mistake(p, n, true, "%s%s: found something that is no proper string in it, expected %s",
                                p->prefix, key, expected);
        strlist_add(out, text);
        free(text);
        if (n->kind == JOBS_STRING)
            break;
    }
    return 1;
}
