/* scrypt (RFC 7914), by OpenSSL. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum { KDF_SALT_BYTES = 64, KDF_MEMORY_MAX_BYTES = 1 << 30 };

struct kdf_params {
    uint64_t n;
    uint32_t r, p;
};

/* Derives len bytes. ERR_UNSUPPORTED when the parameters are ones that we (or OpenSSL) cannot or will not compute: N
 * must be a power of two above 1 and below 2^(16r), the memory at most KDF_MEMORY_MAX_BYTES, the work about a minute's.
 * That is a key file of another kind, not a wrong passphrase. */
int kdf_scrypt(const void *passphrase, size_t passphrase_len, const unsigned char *salt, size_t salt_len,
               const struct kdf_params *params, unsigned char *out, size_t len, struct err *err);
