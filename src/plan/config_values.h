/* Values of the configuration as text. Pure functions. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* "500", "100MB" (powers of 1000), "64MiB" (powers of 1024), "64M" (of 1024, as on the command line), "1.5GB":
 * bytes. ERR_USAGE. */
int size_parse(const char *text, uint64_t *out, struct err *err);

/* Has the URL a password in it, before the '@' or as a parameter? */
bool url_has_password(const char *url);
/* The URL with "***" for its passwords. The caller frees it. */
char *url_without_password(const char *url);

/* The text with what does not belong on a screen made '?', and cut to what a message can hold. */
enum { SHOWN_BYTES = 64 };
const char *text_shown(const char *text, char out[SHOWN_BYTES]);
