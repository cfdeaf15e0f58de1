/*
 * Shell patterns for one component of a path, with the meaning of Go's filepath.Match: '*' any bytes, '?' one character
 * (UTF-8; a byte that is no UTF-8 counts as one), [a-z] and [^a-z] one of a set, '\' takes the next byte literally.
 * Pure functions.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False for an unclosed or empty set, a range without an end, and a '\' at the end. */
bool glob_is_valid(const char *pattern, size_t len);
/* The pattern must be valid. Time is at most the product of both lengths. */
bool glob_match(const char *pattern, size_t pattern_len, const char *name, size_t name_len);
/* Decodes one character of UTF-8; returns its length in bytes. A byte that starts none: U+FFFD, 1. len must not be 0.
 * */
size_t glob_decode(const char *s, size_t len, uint32_t *rune);
