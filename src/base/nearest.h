/* Spelling: which word somebody probably meant. Pure function. */
#pragma once

/* Of these words (NULL-terminated) the one that `word` was probably meant to be: a few letters wrong, missing, added or
 * swapped, or the beginning of it. NULL: none is near. */
const char *nearest_word(const char *word, const char *const *words);
