/* Words for a POSIX shell. */
#pragma once
#include "base/buf.h"

/* Appends the word as a shell takes it: plain where it may be, else in single quotes. */
void shell_append_word(struct buf *out, const char *word);
/* The same alone. The caller frees it. */
char *shell_word(const char *word);
