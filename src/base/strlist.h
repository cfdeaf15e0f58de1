/* A list of strings that it owns. A zeroed one is empty. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct strlist {
    char **items;
    size_t count, cap;
};
void strlist_add(struct strlist *l, const char *s);
void strlist_add_len(struct strlist *l, const char *s, size_t len);
bool strlist_contains(const struct strlist *l, const char *s);
void strlist_sort(struct strlist *l);                              /* bytewise */
void strlist_remove(struct strlist *l, const char *s);             /* every occurrence */
void strlist_copy(struct strlist *to, const struct strlist *from); /* appends */
bool strlist_equal(const struct strlist *a, const struct strlist *b);
/* All of them with the separator between; the caller frees it. */
char *strlist_join(const struct strlist *l, const char *separator);
void strlist_release(struct strlist *l);
