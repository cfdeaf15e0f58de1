/* The end of what a program said: kept while it comes, made harmless when it is shown. Pure. */
#pragma once
#include <stddef.h>

enum { JOB_WORDS_BYTES = 4096 };

/* Zeroed: nothing was said. */
struct job_words {
    char text[JOB_WORDS_BYTES]; /* the last bytes, in order */
    size_t len;
    _Bool cut; /* something came before these */
};
void job_words_add(struct job_words *w, const char *text, size_t len);

/* As lines for people: no control characters, no terminal sequences, no empty lines, no half character or line at the
 * beginning; at most max bytes, the last ones. The caller frees it. NULL: nothing was said. */
char *job_words_lines(const struct job_words *w, size_t max);
/* The last line of it alone. */
char *job_words_last(const struct job_words *w, size_t max);
