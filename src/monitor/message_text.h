/* Text as it goes to people: clean, short, with times and durations. Pure. For monitor/ only. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* A copy in which invalid UTF-8 is '?' and control characters but line breaks and tabs are blanks. NULL: NULL. */
char *text_clean(const char *s);
/* The same, on one line: line breaks are blanks. */
char *text_clean_line(const char *s);

/* How many bytes of s are at most `max` UTF-16 units, or bytes, with no character cut in two. s is valid UTF-8. */
size_t text_fit_utf16(const char *s, size_t max);
size_t text_fit_bytes(const char *s, size_t max);

/* "2026-02-04 06:00", local. */
void text_time(int64_t ms, char out[32]);
/* "2026-02-04T06:00:00Z". */
void text_time_utc(int64_t ms, char out[32]);
/* "3 h", "25 min", "2 days": roughly. */
void text_span(int64_t ms, char out[32]);
