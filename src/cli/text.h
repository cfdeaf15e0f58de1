/*
 * Text for people: UTF-8 and its width on a terminal, numbers, colours, filled paragraphs. Pure functions; cli.h
 * declares those that commands use.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

#define TEXT_BOLD "\033[1m"
#define TEXT_RED "\033[1;31m"
#define TEXT_YELLOW "\033[33m"
#define TEXT_PLAIN "\033[0m"

/* Decodes one UTF-8 sequence: its length, or 0 when the bytes are none (overlong, surrogate, cut off). */
size_t text_decode(const char *s, size_t len, uint32_t *rune_out);
/* Appends the text filled into lines of at most `width` columns; lines after the first start with `indent` blanks, and
 * `column` is where the first one starts. White space of any kind separates words. No newline at the end. */
void text_fill(struct buf *out, const char *text, size_t len, size_t column, size_t indent, size_t width);
