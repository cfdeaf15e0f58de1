/*
 * Names as trees store them: Go's strconv.Quote without the outer quotes ("printable" by Unicode 15's table), then JSON
 * as Go's encoding/json writes it (<, >, &, U+2028, U+2029 as \u escapes).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* Go's unicode.IsPrint as strconv uses it, Unicode 15.0. */
bool quote_is_printable(uint32_t rune);
/* Appends the JSON string text (no outer quotes) of a raw name: quoted the Go way, then JSON-escaped. */
void quote_name(const char *raw, size_t len, struct buf *out);
/* Undoes the Go quoting of an already JSON-unescaped name. False when it is malformed. */
bool quote_unquote(const char *quoted, size_t len, struct buf *out);
/* Appends any string as JSON text (no outer quotes), as Go does: invalid UTF-8 becomes \ufffd. */
void quote_json(const char *s, size_t len, struct buf *out);
bool quote_is_utf8(const char *s, size_t len);
