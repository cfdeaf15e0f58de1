/*
 * The repository's authenticated encryption: AES-256-CTR and Poly1305-AES over the ciphertext.
 *
 *     OFFSET  SIZE  CONTENT
 *     0       16    IV: the first counter block (128-bit big-endian counter), random, never all zero
 *     16      n     ciphertext
 *     16+n    16    tag: Poly1305(ciphertext) with r = mac_r (clamped on use), s = AES-128(mac_k, IV)
 *
 * Source: the repository format's crypto section. A cipher belongs to one thread at a time.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum { CIPHER_IV_BYTES = 16, CIPHER_TAG_BYTES = 16, CIPHER_OVERHEAD_BYTES = 32 };

struct cipher_key {
    unsigned char encrypt[32];
    unsigned char mac_k[16];
    unsigned char mac_r[16]; /* as stored: not clamped */
};

struct cipher;

/* Random key material. */
int cipher_key_generate(struct cipher_key *key, struct err *err);
/* An all-zero part makes a key invalid; such keys are refused by cipher_new with ERR_CORRUPT. */
struct cipher *cipher_new(const struct cipher_key *key, struct err *err);
void cipher_free(struct cipher *c); /* wipes */

/* Encrypts len bytes into out[0 … len+32). `plain` may be out+16 (in place), else must not overlap out. */
int cipher_seal(struct cipher *c, const void *plain, size_t len, unsigned char *out, struct err *err);
/* Verifies the tag, then decrypts sealed[0 … len) into out[0 … len-32). `out` may be sealed+16 (in place), else must
 * not overlap. On a wrong tag, or len < 32: -1, ERR_CORRUPT, and out is untouched. */
int cipher_open(struct cipher *c, const unsigned char *sealed, size_t len, void *out, struct err *err);

/* Cryptographically strong random bytes. */
int crypto_random(void *out, size_t len, struct err *err);
