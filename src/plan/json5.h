/*
 * JSON5 made into plain JSON, for configuration files that people write by hand: comments, trailing commas, keys
 * without quotes, strings in single quotes, hexadecimal numbers, "+1", ".5" and "5.". The result is for jansson. Pure
 * function.
 *
 * Refused, though JSON5 has them: Infinity and NaN, for which JSON has no form, and hexadecimal numbers above 64 bits.
 * Bytes that are no UTF-8 pass through; jansson turns them down.
 *
 * Source: "The JSON5 Data Interchange Format", version 1.0.0 (spec.json5.org).
 */
#pragma once
#include <stddef.h>
#include "base/buf.h"
#include "base/err.h"

enum { JSON5_NESTING_MAX = 60 };

/* Appends the document as JSON; every line break outside of strings stays one, so that a later parser's line numbers
 * agree with the file. ERR_CORRUPT, "line 3: …", when it is malformed or nested too deeply, or when out's maximum is
 * reached; the message quotes nothing of the text, which may be secret. */
int json5_to_json(const char *text, size_t len, struct buf *out, struct err *err);
