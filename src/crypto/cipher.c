/*
 * Invariants of a cipher:
 *   1. `ctr` and `ecb` hold their expanded keys for life; only the IV of `ctr` changes.
 *   2. one_time_key[0 … 16) is mac_r as stored: Poly1305 clamps it (RFC 8439, 2.5.1). [16 … 32) is scratch for s.
 *   3. ivs[0 … ivs_left) are random bytes that were not used yet; all above are zero.
 */
#include "crypto/cipher.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/mem.h"

enum {
    /* Random bytes are drawn for this many at once: a draw costs as much as sealing a small blob. */
    IV_BATCH_BYTES = 256 * CIPHER_IV_BYTES,
    /* Encrypt and authenticate piece by piece, so that the second pass finds the bytes in a near cache. */
    PIECE_BYTES = 256 * 1024,
    RANDOM_STEP_BYTES = 1 << 20,
    MAC_KEY_BYTES = 32,
};

struct cipher {
    EVP_CIPHER_CTX *ctr, *ecb;
    EVP_MAC_CTX *mac;
    unsigned char one_time_key[MAC_KEY_BYTES];
    unsigned char ivs[IV_BATCH_BYTES];
    size_t ivs_left;
};

static int openssl_failed(struct err *err, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return err_set(err, ERR_FAILED, "OpenSSL cannot %s: %s", what, reason != NULL ? reason : "no reason given");
}

int crypto_random(void *out, size_t len, struct err *err)
{
    unsigned char *p = out;
    while (len > 0) {
        size_t step = len < RANDOM_STEP_BYTES ? len : RANDOM_STEP_BYTES; /* RAND_bytes counts in int */
        if (RAND_bytes(p, (int)step) != 1)
            return openssl_failed(err, "draw random bytes");
        p += step;
        len -= step;
    }
    return 0;
}

int cipher_key_generate(struct cipher_key *key, struct err *err)
{
    static_assert(sizeof *key == 64, "the key is three arrays without gaps");
    return crypto_random(key, sizeof *key, err);
}

static bool all_zero(const unsigned char *p, size_t len)
{
    unsigned char any = 0;
    for (size_t i = 0; i < len; i++)
        any |= p[i];
    return any == 0;
}

/* A context that encrypts with `name` under `key`, without padding; NULL when OpenSSL has no such thing. */
static EVP_CIPHER_CTX *encryption_new(const char *name, const unsigned char *key)
{
    EVP_CIPHER *algorithm = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = algorithm != NULL && ctx != NULL && EVP_EncryptInit_ex2(ctx, algorithm, key, NULL, NULL) == 1 &&
              EVP_CIPHER_CTX_set_padding(ctx, 0) == 1;
    EVP_CIPHER_free(algorithm); /* the context has its own reference */
    if (ok)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

struct cipher *cipher_new(const struct cipher_key *key, struct err *err)
{
    if (all_zero(key->encrypt, sizeof key->encrypt) || all_zero(key->mac_k, sizeof key->mac_k) ||
        all_zero(key->mac_r, sizeof key->mac_r)) {
        err_set(err, ERR_CORRUPT, "encryption key is all zero");
        return NULL;
    }
    struct cipher *c = mem_zalloc(sizeof *c);
    memcpy(c->one_time_key, key->mac_r, sizeof key->mac_r);
    c->ctr = encryption_new("AES-256-CTR", key->encrypt);
    c->ecb = encryption_new("AES-128-ECB", key->mac_k);
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    c->mac = mac != NULL ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac);
    if (c->ctr == NULL || c->ecb == NULL || c->mac == NULL) {
        openssl_failed(err, "provide AES-256-CTR, AES-128 and Poly1305");
        cipher_free(c);
        return NULL;
    }
    return c;
}

void cipher_free(struct cipher *c)
{
    if (c == NULL)
        return;
    EVP_CIPHER_CTX_free(c->ctr);
    EVP_CIPHER_CTX_free(c->ecb);
    EVP_MAC_CTX_free(c->mac);
    mem_wipe(c, sizeof *c);
    free(c);
}

/* Hands out 16 random bytes that nobody got before. */
static int next_iv(struct cipher *c, unsigned char iv[CIPHER_IV_BYTES], struct err *err)
{
    do {
        if (c->ivs_left == 0) {
            if (crypto_random(c->ivs, sizeof c->ivs, err) != 0)
                return -1;
            c->ivs_left = sizeof c->ivs;
        }
        c->ivs_left -= CIPHER_IV_BYTES;
        memcpy(iv, c->ivs + c->ivs_left, CIPHER_IV_BYTES);
        mem_wipe(c->ivs + c->ivs_left, CIPHER_IV_BYTES);
    } while (all_zero(iv, CIPHER_IV_BYTES));
    return 0;
}

static bool mac_begin(struct cipher *c, const unsigned char *iv)
{
    int written;
    return EVP_EncryptUpdate(c->ecb, c->one_time_key + 16, &written, iv, CIPHER_IV_BYTES) == 1 &&
           EVP_MAC_init(c->mac, c->one_time_key, sizeof c->one_time_key, NULL) == 1;
}

static bool mac_end(struct cipher *c, unsigned char tag[CIPHER_TAG_BYTES])
{
    size_t written;
    return EVP_MAC_final(c->mac, tag, &written, CIPHER_TAG_BYTES) == 1;
}

/* Starts the key stream at `iv`. Counter mode is its own inverse: one context serves both directions. */
static bool stream_begin(struct cipher *c, const unsigned char *iv)
{
    return EVP_EncryptInit_ex2(c->ctr, NULL, NULL, iv, NULL) == 1;
}

static bool stream_piece(struct cipher *c, const unsigned char *in, size_t len, unsigned char *out)
{
    int written;
    return EVP_EncryptUpdate(c->ctr, out, &written, in, (int)len) == 1;
}

static size_t piece_size(size_t left)
{
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

int cipher_seal(struct cipher *c, const void *plain, size_t len, unsigned char *out, struct err *err)
{
    const unsigned char *in = plain;
    unsigned char *body = out + CIPHER_IV_BYTES;
    if (next_iv(c, out, err) != 0)
        return -1;
    bool ok = mac_begin(c, out) && stream_begin(c, out);
    for (size_t done = 0, piece; ok && done < len; done += piece) {
        piece = piece_size(len - done);
        ok = stream_piece(c, in + done, piece, body + done) && EVP_MAC_update(c->mac, body + done, piece) == 1;
    }
    if (!ok || !mac_end(c, body + len))
        return openssl_failed(err, "encrypt");
    return 0;
}

int cipher_open(struct cipher *c, const unsigned char *sealed, size_t len, void *out, struct err *err)
{
    if (len < CIPHER_OVERHEAD_BYTES)
        return err_set(err, ERR_CORRUPT, "encrypted item of %zu bytes is too short", len);
    const unsigned char *body = sealed + CIPHER_IV_BYTES;
    unsigned char tag[CIPHER_TAG_BYTES], *plain = out;
    len -= CIPHER_OVERHEAD_BYTES;
    if (!mac_begin(c, sealed) || EVP_MAC_update(c->mac, body, len) != 1 || !mac_end(c, tag))
        return openssl_failed(err, "authenticate");
    if (CRYPTO_memcmp(tag, body + len, sizeof tag) != 0)
        return err_set(err, ERR_CORRUPT,
                       "authentication tag is wrong: the data is damaged or was made with another key");
    bool ok = stream_begin(c, sealed);
    for (size_t done = 0, piece; ok && done < len; done += piece) {
        piece = piece_size(len - done);
        ok = stream_piece(c, body + done, piece, plain + done);
    }
    return ok ? 0 : openssl_failed(err, "decrypt");
}
