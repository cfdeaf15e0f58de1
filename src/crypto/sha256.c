#include "crypto/sha256.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "base/mem.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

/* SHA-256 of bytes in memory cannot fail once OpenSSL has the algorithm. Where it has not (a broken installation),
 * nothing in this program can work: end like mem_alloc does, rather than burden every caller. */
static void require(int ok)
{
    if (!ok) {
        fputs("clawback: the OpenSSL library cannot compute SHA-256; check its installation and configuration\n",
              stderr);
        exit(1);
    }
}

struct sha256 *sha256_new(void)
{
    struct sha256 *s = mem_alloc(sizeof *s);
    EVP_MD *algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    s->ctx = EVP_MD_CTX_new();
    /* The context keeps its own reference to the algorithm: later beginnings name none, so nothing is looked up. */
    require(algorithm != NULL && s->ctx != NULL && EVP_DigestInit_ex2(s->ctx, algorithm, NULL));
    EVP_MD_free(algorithm);
    return s;
}

void sha256_free(struct sha256 *s)
{
    if (s == NULL)
        return;
    EVP_MD_CTX_free(s->ctx);
    free(s);
}

void sha256_begin(struct sha256 *s)
{
    require(EVP_DigestInit_ex2(s->ctx, NULL, NULL));
}

void sha256_add(struct sha256 *s, const void *p, size_t len)
{
    require(EVP_DigestUpdate(s->ctx, p, len));
}

void sha256_end(struct sha256 *s, struct id *out)
{
    require(EVP_DigestFinal_ex(s->ctx, out->bytes, NULL));
}

void sha256_once(struct sha256 *s, const void *p, size_t len, struct id *out)
{
    sha256_begin(s);
    sha256_add(s, p, len);
    sha256_end(s, out);
}
