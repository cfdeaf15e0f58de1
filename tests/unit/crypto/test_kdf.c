#include "crypto/kdf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int derive(uint64_t n, uint32_t r, uint32_t p, unsigned char out[64], struct err *err)
{
    const struct kdf_params params = {.n = n, .r = r, .p = p};
    return kdf_scrypt("password", 8, (const unsigned char *)"NaCl", 4, &params, out, 64, err);
}

static void assert_derives(const char *passphrase, const char *salt, struct kdf_params params,
                           const unsigned char expected[64])
{
    unsigned char out[64];
    struct err err = {0};
    assert_int_equal(kdf_scrypt(passphrase, strlen(passphrase), (const unsigned char *)salt, strlen(salt), &params, out,
                                sizeof out, &err),
                     0);
    assert_memory_equal(out, expected, 64);
}

static void test_kdf__matches_rfc_7914(void **state)
{
    (void)state;
    static const unsigned char empty[64] = {
        0x77, 0xd6, 0x57, 0x62, 0x38, 0x65, 0x7b, 0x20, 0x3b, 0x19, 0xca, 0x42, 0xc1, 0x8a, 0x04, 0x97,
        0xf1, 0x6b, 0x48, 0x44, 0xe3, 0x07, 0x4a, 0xe8, 0xdf, 0xdf, 0xfa, 0x3f, 0xed, 0xe2, 0x14, 0x42,
        0xfc, 0xd0, 0x06, 0x9d, 0xed, 0x09, 0x48, 0xf8, 0x32, 0x6a, 0x75, 0x3a, 0x0f, 0xc8, 0x1f, 0x17,
        0xe8, 0xd3, 0xe0, 0xfb, 0x2e, 0x0d, 0x36, 0x28, 0xcf, 0x35, 0xe2, 0x0c, 0x38, 0xd1, 0x89, 0x06};
    static const unsigned char nacl[64] = {0xfd, 0xba, 0xbe, 0x1c, 0x9d, 0x34, 0x72, 0x00, 0x78, 0x56, 0xe7, 0x19, 0x0d,
                                           0x01, 0xe9, 0xfe, 0x7c, 0x6a, 0xd7, 0xcb, 0xc8, 0x23, 0x78, 0x30, 0xe7, 0x73,
                                           0x76, 0x63, 0x4b, 0x37, 0x31, 0x62, 0x2e, 0xaf, 0x30, 0xd9, 0x2e, 0x22, 0xa3,
                                           0x88, 0x6f, 0xf1, 0x09, 0x27, 0x9d, 0x98, 0x30, 0xda, 0xc7, 0x27, 0xaf, 0xb9,
                                           0x4a, 0x83, 0xee, 0x6d, 0x83, 0x60, 0xcb, 0xdf, 0xa2, 0xcc, 0x06, 0x40};
    static const unsigned char sodium[64] = {
        0x70, 0x23, 0xbd, 0xcb, 0x3a, 0xfd, 0x73, 0x48, 0x46, 0x1c, 0x06, 0xcd, 0x81, 0xfd, 0x38, 0xeb,
        0xfd, 0xa8, 0xfb, 0xba, 0x90, 0x4f, 0x8e, 0x3e, 0xa9, 0xb5, 0x43, 0xf6, 0x54, 0x5d, 0xa1, 0xf2,
        0xd5, 0x43, 0x29, 0x55, 0x61, 0x3f, 0x0f, 0xcf, 0x62, 0xd4, 0x97, 0x05, 0x24, 0x2a, 0x9a, 0xf9,
        0xe6, 0x1e, 0x85, 0xdc, 0x0d, 0x65, 0x1e, 0x40, 0xdf, 0xcf, 0x01, 0x7b, 0x45, 0x57, 0x58, 0x87};
    assert_derives("", "", (struct kdf_params){16, 1, 1}, empty);
    assert_derives("password", "NaCl", (struct kdf_params){1024, 8, 16}, nacl);
    assert_derives("pleaseletmein", "SodiumChloride", (struct kdf_params){16384, 8, 1}, sodium);
}

/* N = 2^16, r = 8 takes 64 MiB, twice what OpenSSL allows unless told otherwise. */
static void test_kdf__computes_beyond_openssls_default_memory(void **state)
{
    (void)state;
    unsigned char out[64] = {0}, zero[64] = {0};
    struct err err = {0};
    assert_int_equal(derive(1 << 16, 8, 1, out, &err), 0);
    assert_memory_not_equal(out, zero, 64);
}

static void test_kdf__refuses_what_it_cannot_compute(void **state)
{
    (void)state;
    static const struct kdf_params refused[] = {
        {0, 8, 1},
        {1, 8, 1},
        {3, 8, 1},
        {1000, 8, 1},
        {16384, 0, 1},
        {16384, 8, 0},
        {1 << 16, 1, 1},           /* N < 2^(16r) */
        {1 << 20, 8, 1},           /* a little over 1 GiB */
        {2, 1 << 22, 1},           /* likewise by r */
        {2, 8, 1 << 20},           /* and by p */
        {1 << 17, 8, 1 << 9},      /* too long to wait for */
        {UINT64_C(1) << 63, 8, 1}, /* whatever would overflow */
        {UINT64_C(1) << 32, UINT32_MAX, UINT32_MAX},
        {2, UINT32_MAX, 1},
        {2, 1, UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        unsigned char out[64];
        struct err err = {0};
        assert_int_equal(derive(refused[i].n, refused[i].r, refused[i].p, out, &err), -1);
        assert_int_equal(err.code, ERR_UNSUPPORTED);
    }
}

static void test_kdf__accepts_the_largest_n_for_r(void **state)
{
    (void)state;
    unsigned char out[64];
    struct err err = {0};
    assert_int_equal(derive(1 << 15, 1, 1, out, &err), 0);
    assert_int_equal(derive(2, 1, 1, out, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kdf__matches_rfc_7914),
        cmocka_unit_test(test_kdf__computes_beyond_openssls_default_memory),
        cmocka_unit_test(test_kdf__refuses_what_it_cannot_compute),
        cmocka_unit_test(test_kdf__accepts_the_largest_n_for_r),
    };
    return cmocka_run_group_tests_name("kdf", tests, NULL, NULL);
}
