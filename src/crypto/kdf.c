#include "crypto/kdf.h"

#include <inttypes.h>
#include <stdbool.h>

#include <openssl/evp.h>

/* N × r × p that one derivation may cost: about a minute. Keys are calibrated to half a second, so more than that is
 * no passphrase key but somebody's attempt to keep us busy. */
#define KDF_WORK_MAX (UINT64_C(1) << 28)

static bool is_supported(const struct kdf_params *k)
{
    if (k->n < 2 || (k->n & (k->n - 1)) != 0 || k->r == 0 || k->p == 0)
        return false;
    if (k->r < 4 && k->n >> (16 * k->r) != 0) /* N < 2^(16r); a larger r bounds no 64-bit N */
        return false;
    /* OpenSSL allocates 128 r (N + 2) + 128 r p bytes. Bound each factor first: nothing below can then overflow. */
    uint64_t max_blocks = KDF_MEMORY_MAX_BYTES / 128;
    if (k->n > max_blocks || k->r > max_blocks || k->p > max_blocks)
        return false;
    return k->r * (k->n + 2 + k->p) <= max_blocks && k->n * k->r <= KDF_WORK_MAX / k->p;
}

int kdf_scrypt(const void *passphrase, size_t passphrase_len, const unsigned char *salt, size_t salt_len,
               const struct kdf_params *params, unsigned char *out, size_t len, struct err *err)
{
    if (!is_supported(params))
        return err_set(err, ERR_UNSUPPORTED,
                       "scrypt parameters N=%" PRIu64 " r=%" PRIu32 " p=%" PRIu32 " are not supported", params->n,
                       params->r, params->p);
    if (EVP_PBE_scrypt(passphrase, passphrase_len, salt, salt_len, params->n, params->r, params->p,
                       KDF_MEMORY_MAX_BYTES, out, len) != 1)
        return err_set(err, ERR_FAILED, "OpenSSL cannot compute scrypt");
    return 0;
}
