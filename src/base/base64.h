/* Standard base64 with padding (RFC 4648, section 4). */
#pragma once
#include <stddef.h>
#include "base/buf.h"

void base64_encode(const void *data, size_t len, struct buf *out);
/* Appends the bytes to out. Strict: no white space, padding as it must be. 0, or -1 when it is malformed (out
 * may have grown by then). */
int base64_decode(const char *text, size_t len, struct buf *out);
