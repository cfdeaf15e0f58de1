#include "chunk/polynomial.h"

#include <assert.h>

#include <openssl/rand.h>

int polynomial_degree(uint64_t p)
{
    return p == 0 ? -1 : 63 - __builtin_clzll(p);
}

uint64_t polynomial_mod(uint64_t a, uint64_t m)
{
    int degree = polynomial_degree(m);
    assert(degree >= 0);
    for (int d = polynomial_degree(a); d >= degree; d = polynomial_degree(a))
        a ^= m << (d - degree);
    return a;
}

uint64_t polynomial_mul_mod(uint64_t a, uint64_t b, uint64_t m)
{
    int degree = polynomial_degree(m);
    assert(polynomial_degree(a) < degree && polynomial_degree(b) < degree);
    uint64_t product = 0;
    for (int i = polynomial_degree(b); i >= 0; i--) {
        product <<= 1; /* of degree 63 at most: no bit is lost */
        if (product >> degree & 1)
            product ^= m;
        if (b >> i & 1)
            product ^= a;
    }
    return product;
}

static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = polynomial_mod(a, b);
        a = b;
        b = rest;
    }
    return a;
}

/* x^(2^i) − x is the product of all irreducible polynomials whose degree divides i: a polynomial without a common
 * factor with it for every i up to half its degree has no factor at all. */
bool polynomial_irreducible(uint64_t p)
{
    int degree = polynomial_degree(p);
    if (degree < 1)
        return false;
    const uint64_t x = 2;
    uint64_t power = x;
    for (int i = 1; i <= degree / 2; i++) {
        power = polynomial_mul_mod(power, power, p);
        if (greatest_common_divisor(p, power ^ x) != 1)
            return false;
    }
    return true;
}

int polynomial_random(uint64_t *out, struct err *err)
{
    const uint64_t top = UINT64_C(1) << POLYNOMIAL_DEGREE;
    do { /* one in 26 of those with a constant term is irreducible */
        if (RAND_bytes((unsigned char *)out, sizeof *out) != 1)
            return err_set(err, ERR_FAILED, "OpenSSL cannot draw random bytes");
        *out = (*out & (top - 1)) | top | 1;
    } while (!polynomial_irreducible(*out));
    return 0;
}
