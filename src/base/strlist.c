#include "base/strlist.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

void strlist_add_len(struct strlist *l, const char *s, size_t len)
{
    if (l->count == l->cap) {
        l->cap = l->cap == 0 ? 8 : l->cap * 2;
        l->items = mem_array(l->items, l->cap, sizeof *l->items);
    }
    l->items[l->count++] = mem_strndup(s, len);
}

void strlist_add(struct strlist *l, const char *s)
{
    strlist_add_len(l, s, strlen(s));
}

bool strlist_contains(const struct strlist *l, const char *s)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->items[i], s) == 0)
            return true;
    return false;
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void strlist_sort(struct strlist *l)
{
    if (l->count > 1)
        qsort(l->items, l->count, sizeof *l->items, compare_strings);
}

void strlist_remove(struct strlist *l, const char *s)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->items[i], s) == 0)
            free(l->items[i]);
        else
            l->items[kept++] = l->items[i];
    }
    l->count = kept;
}

void strlist_copy(struct strlist *to, const struct strlist *from)
{
    for (size_t i = 0; i < from->count; i++)
        strlist_add(to, from->items[i]);
}

bool strlist_equal(const struct strlist *a, const struct strlist *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

char *strlist_join(const struct strlist *l, const char *separator)
{
    struct buf text;
    buf_init(&text, SIZE_MAX / 2);
    for (size_t i = 0; i < l->count; i++) {
        buf_append_str(&text, i > 0 ? separator : "");
        buf_append_str(&text, l->items[i]);
    }
    char *out = mem_strdup(buf_cstr(&text));
    buf_release(&text);
    return out;
}

void strlist_release(struct strlist *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct strlist){0};
}
