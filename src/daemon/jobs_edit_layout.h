/* How a person laid a list or an object out, so that what is added looks like it. For jobs_edit.c only. */
#pragma once
#include "base/strlist.h"
#include "daemon/jobs_text.h"

/* Where and how something is added at the end of a container. */
struct jobs_layout {
    size_t at;           /* here it goes */
    size_t comma_at;     /* a comma is needed here first; 0: none is */
    bool trailing_comma; /* the last element has one, so the new one gets one */
    bool multiline;      /* elements are on lines of their own */
    char *before;        /* what stands before an element, behind a comma: a line break and blanks, a blank, nothing */
    char *behind;        /* behind the last one */
    char *colon;         /* between key and value */
};
void jobs_layout_find(const struct jobs_text *t, const struct jobs_node *container, struct jobs_layout *out);
void jobs_layout_release(struct jobs_layout *l);
/* The text with every line break made into `before`. The caller frees it. */
char *jobs_layout_indent(const char *text, const char *before);
/* The bytes that go when a child is taken out, its own comma and its whole line where it has one. */
void jobs_layout_extent(const struct jobs_text *t, const struct jobs_node *child, size_t *from, size_t *to);
