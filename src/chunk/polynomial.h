/*
 * Polynomials over GF(2) of degree up to 63, as bit sets: bit i is the coefficient of x^i.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum { POLYNOMIAL_DEGREE = 53 };

int polynomial_degree(uint64_t p); /* -1 for 0 */
uint64_t polynomial_mod(uint64_t a, uint64_t m);
/* (a × b) mod m, degrees of a and b below that of m. */
uint64_t polynomial_mul_mod(uint64_t a, uint64_t b, uint64_t m);
/* Ben-Or's test. */
bool polynomial_irreducible(uint64_t p);
/* A random irreducible polynomial of POLYNOMIAL_DEGREE. */
int polynomial_random(uint64_t *out, struct err *err);
