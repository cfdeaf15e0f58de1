#include "crypto/cipher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static size_t from_hex(const char *hex, unsigned char *out)
{
    size_t len = strlen(hex) / 2;
    for (size_t i = 0; i < len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        out[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return len;
}

static struct cipher *cipher_from_hex(const char *encrypt, const char *mac_k, const char *mac_r)
{
    struct cipher_key key;
    struct err err = {0};
    from_hex(encrypt, key.encrypt);
    from_hex(mac_k, key.mac_k);
    from_hex(mac_r, key.mac_r);
    struct cipher *c = cipher_new(&key, &err);
    assert_non_null(c);
    return c;
}

static const char SOME_KEY[] = "303e8687b1d7db18421bdc6bb8588ccadac4d59ee87b8ff70c44e635790cafef";

static int setup(void **state)
{
    *state = cipher_from_hex(SOME_KEY, "ef4d8824cb80b2bcc5fbff8a9b12a42c", "cc8d4b948ee0ebfe1d415de921d10353");
    return 0;
}

static int teardown(void **state)
{
    cipher_free(*state);
    return 0;
}

/* An item that another program wrote. Its r is not clamped. */
static void test_cipher__opens_a_known_item(void **state)
{
    unsigned char sealed[64], plain[64];
    size_t len =
        from_hex("69fb41c62d12def4593bd71757138606338f621aeaeb39da0fe4f99233f8037a54ea63338a813bcf3f75d8c3cc75dddf"
                 "8750",
                 sealed);
    struct err err = {0};
    assert_int_equal(cipher_open(*state, sealed, len, plain, &err), 0);
    assert_int_equal(len - CIPHER_OVERHEAD_BYTES, 18);
    assert_memory_equal(plain, "Dies ist ein Test!", 18);
}

/* The Poly1305-AES paper's examples: k and nonce make s, the message stands where the ciphertext does. */
static void test_cipher__authenticates_as_poly1305_aes(void **state)
{
    (void)state;
    static const struct {
        const char *message, *r, *k, *nonce, *tag;
    } vectors[] = {
        {"f3f6", "851fc40c3467ac0be05cc20404f3f700", "ec074c835580741701425b623235add6",
         "fb447350c4e868c52ac3275cf9d4327e", "f4c633c3044fc145f84f335cb81953de"},
        {"", "a0f3080000f46400d0c7e9076c834403", "75deaa25c09f208e1dc4ce6b5cad3fbf", "61ee09218d29b0aaed7e154a2c5509cc",
         "dd3fab2251f11ac759f0887129cc2ee7"},
        {"663cea190ffb83d89593f3f476b6bc24d7e679107ea26adb8caf6652d0656136", "48443d0bb0d21109c89a100b5ce2c208",
         "6acb5f61a7176dd320c5c1eb2edcdc74", "ae212a55399729595dea458bc621ff0e", "0ee1c16bb73f0f4fd19881753c01cdbe"},
        {"ab0812724a7f1e342742cbed374d94d136c6b8795d45b3819830f2c04491faf0990c62e48b8018b2c3e4a0fa3134cb67fa83e158c994d"
         "961c4cb"
         "21095c1bf9",
         "12976a08c4426d0ce8a82407c4f48207", "e1a5668a4d5b66a5f68cc5424ed5982d", "9ae831e743978d3a23527c7128149e3a",
         "5154ad0d2cb26e01274fc51148491f1b"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        struct cipher *c = cipher_from_hex(SOME_KEY, vectors[i].k, vectors[i].r);
        unsigned char sealed[128], plain[128];
        struct err err = {0};
        size_t len = from_hex(vectors[i].nonce, sealed);
        len += from_hex(vectors[i].message, sealed + len);
        len += from_hex(vectors[i].tag, sealed + len);
        assert_int_equal(cipher_open(c, sealed, len, plain, &err), 0);
        cipher_free(c);
    }
}

/* SP 800-38A F.5.5: the key stream of AES-256-CTR, here read off by opening what we seal under the vector's IV. */
static void test_cipher__encrypts_as_aes_256_ctr(void **state)
{
    (void)state;
    struct cipher *c = cipher_from_hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                                       "ef4d8824cb80b2bcc5fbff8a9b12a42c", "00000000000000000000000000000010");
    /* The only byte of r is cleared by clamping, so the tag is AES-128(mac_k, IV) whatever the ciphertext is. */
    unsigned char sealed[64 + CIPHER_OVERHEAD_BYTES], plain[64], expected[64];
    struct err err = {0};
    from_hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", sealed);
    from_hex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c52b0930daa23de94ce87017ba2d84988ddfc9c58db"
             "67aada613c2"
             "dd08457941a6",
             sealed + CIPHER_IV_BYTES);
    from_hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445d"
             "f4f9b17ad2b"
             "417be66c3710",
             expected);
    from_hex("1882140c44b6c3445e6cca7c522f193d", sealed + CIPHER_IV_BYTES + 64);
    assert_int_equal(cipher_open(c, sealed, sizeof sealed, plain, &err), 0);
    assert_memory_equal(plain, expected, sizeof plain);
    cipher_free(c);
}

static unsigned char *pattern(size_t len)
{
    unsigned char *p = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        p[i] = (unsigned char)(i * 131 + (i >> 8));
    return p;
}

static void test_cipher__opens_what_it_sealed(void **state)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 200, 262143, 262144, 262145, 3000001};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t len = lengths[i];
        unsigned char *plain = pattern(len), *sealed = mem_alloc(len + CIPHER_OVERHEAD_BYTES), *opened = mem_alloc(len);
        struct err err = {0};
        assert_int_equal(cipher_seal(*state, plain, len, sealed, &err), 0);
        assert_int_equal(cipher_open(*state, sealed, len + CIPHER_OVERHEAD_BYTES, opened, &err), 0);
        assert_memory_equal(opened, plain, len);
        if (len >= 16)
            assert_memory_not_equal(sealed + CIPHER_IV_BYTES, plain, len);
        free(plain);
        free(sealed);
        free(opened);
    }
}

static void test_cipher__works_in_place(void **state)
{
    enum { LEN = 600000 };
    unsigned char *plain = pattern(LEN), *box = mem_alloc(LEN + CIPHER_OVERHEAD_BYTES);
    struct err err = {0};
    memcpy(box + CIPHER_IV_BYTES, plain, LEN);
    assert_int_equal(cipher_seal(*state, box + CIPHER_IV_BYTES, LEN, box, &err), 0);
    assert_memory_not_equal(box + CIPHER_IV_BYTES, plain, LEN);
    assert_int_equal(cipher_open(*state, box, LEN + CIPHER_OVERHEAD_BYTES, box + CIPHER_IV_BYTES, &err), 0);
    assert_memory_equal(box + CIPHER_IV_BYTES, plain, LEN);
    free(plain);
    free(box);
}

static void test_cipher__rejects_every_flipped_bit_and_leaves_out_untouched(void **state)
{
    unsigned char sealed[21 + CIPHER_OVERHEAD_BYTES], out[21], untouched[21];
    struct err err = {0};
    memset(out, 0xa5, sizeof out);
    memset(untouched, 0xa5, sizeof untouched);
    assert_int_equal(cipher_seal(*state, "twenty-one characters", 21, sealed, &err), 0);
    for (size_t bit = 0; bit < sizeof sealed * 8; bit++) {
        sealed[bit / 8] ^= (unsigned char)(1 << bit % 8);
        err_clear(&err);
        assert_int_equal(cipher_open(*state, sealed, sizeof sealed, out, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
        assert_memory_equal(out, untouched, sizeof out);
        sealed[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    assert_int_equal(cipher_open(*state, sealed, sizeof sealed, out, &err), 0);
}

static void test_cipher__rejects_every_truncation(void **state)
{
    unsigned char sealed[40 + CIPHER_OVERHEAD_BYTES], out[40];
    struct err err = {0};
    memset(out, 1, sizeof out);
    assert_int_equal(cipher_seal(*state, out, sizeof out, sealed, &err), 0);
    for (size_t len = 0; len < sizeof sealed; len++) {
        err_clear(&err);
        assert_int_equal(cipher_open(*state, sealed, len, out, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void test_cipher__rejects_another_key(void **state)
{
    struct cipher *other =
        cipher_from_hex(SOME_KEY, "ef4d8824cb80b2bcc5fbff8a9b12a42d", "cc8d4b948ee0ebfe1d415de921d10353");
    unsigned char sealed[3 + CIPHER_OVERHEAD_BYTES], out[3];
    struct err err = {0};
    assert_int_equal(cipher_seal(*state, "abc", 3, sealed, &err), 0);
    assert_int_equal(cipher_open(other, sealed, sizeof sealed, out, &err), -1);
    assert_int_equal(err.code, ERR_CORRUPT);
    cipher_free(other);
}

static int compare_ivs(const void *a, const void *b)
{
    return memcmp(a, b, CIPHER_IV_BYTES);
}

/* Across several draws of random bytes. */
static void test_cipher__never_repeats_an_iv(void **state)
{
    enum { COUNT = 1000 };
    static const unsigned char zero[CIPHER_IV_BYTES];
    unsigned char(*ivs)[CIPHER_IV_BYTES] = mem_array(NULL, COUNT, CIPHER_IV_BYTES);
    for (size_t i = 0; i < COUNT; i++) {
        unsigned char sealed[1 + CIPHER_OVERHEAD_BYTES];
        struct err err = {0};
        assert_int_equal(cipher_seal(*state, "x", 1, sealed, &err), 0);
        memcpy(ivs[i], sealed, CIPHER_IV_BYTES);
        assert_memory_not_equal(ivs[i], zero, CIPHER_IV_BYTES);
    }
    qsort(ivs, COUNT, CIPHER_IV_BYTES, compare_ivs);
    for (size_t i = 1; i < COUNT; i++)
        assert_memory_not_equal(ivs[i - 1], ivs[i], CIPHER_IV_BYTES);
    free(ivs);
}

static void test_cipher__refuses_a_key_with_an_all_zero_part(void **state)
{
    (void)state;
    for (int part = 0; part < 3; part++) {
        struct cipher_key key;
        struct err err = {0};
        memset(&key, 0x11, sizeof key);
        if (part == 0)
            memset(key.encrypt, 0, sizeof key.encrypt);
        else
            memset(part == 1 ? key.mac_k : key.mac_r, 0, 16);
        assert_null(cipher_new(&key, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    cipher_free(NULL);
}

static void test_cipher__generates_keys_that_differ_in_every_part(void **state)
{
    (void)state;
    struct cipher_key a, b;
    struct err err = {0};
    assert_int_equal(cipher_key_generate(&a, &err), 0);
    assert_int_equal(cipher_key_generate(&b, &err), 0);
    assert_memory_not_equal(a.encrypt, b.encrypt, sizeof a.encrypt);
    assert_memory_not_equal(a.mac_k, b.mac_k, sizeof a.mac_k);
    assert_memory_not_equal(a.mac_r, b.mac_r, sizeof a.mac_r);
    struct cipher *c = cipher_new(&a, &err);
    assert_non_null(c);
    cipher_free(c);
}

/* Longer than one request to the generator: the last bytes must be random as well. */
static void test_crypto_random__fills_all_of_a_long_buffer(void **state)
{
    (void)state;
    const size_t len = (1 << 20) + 32;
    unsigned char *p = mem_zalloc(len), zero[16] = {0};
    struct err err = {0};
    assert_int_equal(crypto_random(p, len, &err), 0);
    assert_memory_not_equal(p, zero, 16);
    assert_memory_not_equal(p + len - 16, zero, 16);
    assert_int_equal(crypto_random(p, 0, &err), 0);
    free(p);
}

#define WITH_CIPHER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CIPHER(test_cipher__opens_a_known_item),
        cmocka_unit_test(test_cipher__authenticates_as_poly1305_aes),
        cmocka_unit_test(test_cipher__encrypts_as_aes_256_ctr),
        WITH_CIPHER(test_cipher__opens_what_it_sealed),
        WITH_CIPHER(test_cipher__works_in_place),
        WITH_CIPHER(test_cipher__rejects_every_flipped_bit_and_leaves_out_untouched),
        WITH_CIPHER(test_cipher__rejects_every_truncation),
        WITH_CIPHER(test_cipher__rejects_another_key),
        WITH_CIPHER(test_cipher__never_repeats_an_iv),
        cmocka_unit_test(test_cipher__refuses_a_key_with_an_all_zero_part),
        cmocka_unit_test(test_cipher__generates_keys_that_differ_in_every_part),
        cmocka_unit_test(test_crypto_random__fills_all_of_a_long_buffer),
    };
    return cmocka_run_group_tests_name("cipher", tests, NULL, NULL);
}
