/* SHA-256 (FIPS 180-4), by OpenSSL. A context belongs to one thread at a time. */
#pragma once
#include <stddef.h>
#include "base/id.h"

struct sha256;
/* Never NULL: ends the process when OpenSSL has no SHA-256 (see mem.h for why that is safe). */
struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *s);
/* One shot on a context that is reused: no lookup of the algorithm per call. */
void sha256_once(struct sha256 *s, const void *p, size_t len, struct id *out);
/* The same in parts. A new beginning forgets what was added before. */
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t len);
void sha256_end(struct sha256 *s, struct id *out);
