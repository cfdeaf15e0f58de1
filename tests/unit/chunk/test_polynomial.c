#include "chunk/polynomial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_polynomial__degree_is_the_highest_bit(void **state)
{
    (void)state;
    assert_int_equal(polynomial_degree(0), -1);
    assert_int_equal(polynomial_degree(1), 0);
    assert_int_equal(polynomial_degree(2), 1);
    assert_int_equal(polynomial_degree(0x3da3358b4dc173), 53);
    assert_int_equal(polynomial_degree(UINT64_MAX), 63);
}

static void test_polynomial__mod_leaves_the_remainder(void **state)
{
    (void)state;
    assert_int_equal(polynomial_mod(0, 0x11b), 0);
    assert_int_equal(polynomial_mod(0x11a, 0x11b), 1);
    assert_int_equal(polynomial_mod(0xff, 0x11b), 0xff);
    assert_int_equal(polynomial_mod(0x100, 0x11b), 0x1b);
    assert_int_equal(polynomial_mod(0x2b79, 0x11b), 0xc1);
    assert_int_equal(polynomial_mod(UINT64_MAX, 1), 0);
    assert_int_equal(polynomial_mod(UINT64_MAX, UINT64_C(1) << 63), UINT64_MAX >> 1);
}

/* In the field that AES uses; the examples of FIPS 197. */
static void test_polynomial__multiplies_in_a_field(void **state)
{
    (void)state;
    assert_int_equal(polynomial_mul_mod(0x57, 0x83, 0x11b), 0xc1);
    assert_int_equal(polynomial_mul_mod(0x57, 0x13, 0x11b), 0xfe);
    assert_int_equal(polynomial_mul_mod(0x57, 0, 0x11b), 0);
    assert_int_equal(polynomial_mul_mod(0, 0x57, 0x11b), 0);
    assert_int_equal(polynomial_mul_mod(1, 0x57, 0x11b), 0x57);
}

static void test_polynomial__multiplies_up_to_degree_63(void **state)
{
    (void)state;
    const uint64_t m = (UINT64_C(1) << 63) | 3; /* x^63 + x + 1 */
    const uint64_t top = UINT64_C(1) << 62;
    assert_int_equal(polynomial_mul_mod(top, 2, m), 3);
    assert_int_equal(polynomial_mul_mod(2, top, m), 3);
    /* x^124 = x^61 x^63 = x^62 + x^61 */
    assert_int_equal(polynomial_mul_mod(top, top, m), top | top >> 1);
}

static void test_polynomial__knows_the_small_irreducible_ones(void **state)
{
    (void)state;
    /* How many there are of each degree: 2, 1, 2, 3, 6, 9, 18, 30, 56, 99. */
    static const int expected[] = {0, 2, 1, 2, 3, 6, 9, 18, 30, 56, 99};
    int counted[11] = {0};
    for (uint64_t p = 0; p < 1 << 11; p++) {
        if (polynomial_irreducible(p))
            counted[polynomial_degree(p)]++;
    }
    assert_memory_equal(counted, expected, sizeof expected);
}

static void test_polynomial__tells_irreducible_ones_of_the_formats_degree(void **state)
{
    (void)state;
    static const uint64_t irreducible[] = {0x3da3358b4dc173, 0x2482734cacca49};
    static const uint64_t reducible[] = {
        0x38f1e565e288df, 0x30a8295b9d5c91, 0x255f4350b962cb, 0x267f776110a235, 0x2f4dae10d41227, 0x312daf4b284899,
        0x29dfb6553d01d1, 0x3548245eb26257, 0x3199e7ef4211b3, 0x362f39017dae8b, 0x200d57aa6fdacb, 0x35e0a4efa1d275,
        0x2ced55b026577f, 0x260b012010893d, 0x2df29cbcd59e9d, 0x3f2ac7488bd429, 0x3e5cb1711669fb, 0x226d8de57a9959,
        0x3c8de80aaf5835, 0x2026a59efb219b, 0x39dfa4d13fb231, 0x3143d0464b3299};
    for (size_t i = 0; i < sizeof irreducible / sizeof irreducible[0]; i++)
        assert_true(polynomial_irreducible(irreducible[i]));
    for (size_t i = 0; i < sizeof reducible / sizeof reducible[0]; i++)
        assert_false(polynomial_irreducible(reducible[i]));
}

/* The product of two irreducible ones of about half the degree: the test must go all the way. */
static void test_polynomial__finds_factors_of_half_the_degree(void **state)
{
    (void)state;
    const uint64_t a = (UINT64_C(1) << 26) | 0x47, b = (UINT64_C(1) << 27) | 0x27;
    assert_true(polynomial_irreducible(a));
    assert_true(polynomial_irreducible(b));
    uint64_t product = polynomial_mul_mod(a, b, UINT64_C(1) << 63);
    assert_int_equal(polynomial_degree(product), 53);
    assert_false(polynomial_irreducible(product));
}

static void test_polynomial__random_ones_serve_the_chunker_and_differ(void **state)
{
    (void)state;
    uint64_t previous = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t p = 0;
        assert_int_equal(polynomial_random(&p, NULL), 0);
        assert_int_equal(polynomial_degree(p), POLYNOMIAL_DEGREE);
        assert_true(polynomial_irreducible(p));
        assert_int_not_equal(p, previous);
        previous = p;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_polynomial__degree_is_the_highest_bit),
        cmocka_unit_test(test_polynomial__mod_leaves_the_remainder),
        cmocka_unit_test(test_polynomial__multiplies_in_a_field),
        cmocka_unit_test(test_polynomial__multiplies_up_to_degree_63),
        cmocka_unit_test(test_polynomial__knows_the_small_irreducible_ones),
        cmocka_unit_test(test_polynomial__tells_irreducible_ones_of_the_formats_degree),
        cmocka_unit_test(test_polynomial__finds_factors_of_half_the_degree),
        cmocka_unit_test(test_polynomial__random_ones_serve_the_chunker_and_differ),
    };
    return cmocka_run_group_tests_name("polynomial", tests, NULL, NULL);
}
