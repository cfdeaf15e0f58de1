/*
 * The chunker against a byte-by-byte reference that follows the format's text to the letter: a ring for the window,
 * the tables by their definitions, one byte after the other from the start of the chunk.
 */
#include "chunk/chunker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static const uint64_t POLYNOMIAL = 0x3da3358b4dc173;

struct reference {
    struct chunker_params params;
    uint64_t out[256], mod[256];
};

static uint64_t remainder_of(uint64_t a)
{
    for (int bit = 63; bit >= 53; bit--) {
        if (a >> bit & 1)
            a ^= POLYNOMIAL << (bit - 53);
    }
    return a;
}

static void reference_init(struct reference *r, const struct chunker_params *params)
{
    r->params = *params;
    for (uint64_t b = 0; b < 256; b++) {
        uint64_t hash = remainder_of(b);
        for (int i = 0; i < 63; i++)
            hash = remainder_of(hash << 8);
        r->out[b] = hash;
        r->mod[b] = remainder_of(b << 53) | b << 53;
    }
}

static size_t reference_cut(const struct reference *r, const unsigned char *data, size_t len)
{
    const uint64_t mask = (UINT64_C(1) << r->params.mask_bits) - 1;
    unsigned char window[64] = {0};
    uint64_t d = 0;
    /* Byte 1 is slid into the window of zeros first; only then the chunk's own bytes come. */
    window[0] = 1;
    d = 1;
    for (size_t i = 0, at = 1; i < len; i++, at = (at + 1) % 64) {
        d ^= r->out[window[at]];
        window[at] = data[i];
        uint64_t index = d >> 45;
        d = (d << 8 | data[i]) ^ r->mod[index];
        size_t count = i + 1;
        if (count >= r->params.min && ((d & mask) == 0 || count >= r->params.max))
            return count;
    }
    return 0;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = *seed;
    return (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 16;
}

static unsigned char *random_bytes(size_t len, uint64_t seed)
{
    unsigned char *p = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        p[i] = (unsigned char)next_random(&seed);
    return p;
}

struct both {
    struct chunker c;
    struct reference r;
};

static struct both both_with(const struct chunker_params *params)
{
    struct both b;
    assert_int_equal(chunker_init(&b.c, POLYNOMIAL, params, NULL), 0);
    reference_init(&b.r, params);
    return b;
}

/* Cuts all of data both ways; each chunk is copied to memory of its exact size, so that reading outside of it is seen.
 */
static size_t cut_both_ways(const struct both *b, const unsigned char *data, size_t len)
{
    size_t chunks = 0;
    for (size_t at = 0, cut = 1; at < len && cut > 0; at += cut, chunks++) {
        size_t available = len - at < b->c.params.max ? len - at : b->c.params.max;
        unsigned char *chunk = mem_copy(data + at, available);
        cut = chunker_cut(&b->c, chunk, available, 0);
        free(chunk);
        assert_int_equal(cut, reference_cut(&b->r, data + at, len - at));
        assert_int_equal(chunker_cut(&b->c, data + at, len - at, 0), cut);
    }
    return chunks;
}

static size_t assert_same_cuts(const struct chunker_params *params, const unsigned char *data, size_t len)
{
    const struct both b = both_with(params);
    return cut_both_ways(&b, data, len);
}

static void test_chunker__refuses_a_polynomial_of_another_degree(void **state)
{
    (void)state;
    static const uint64_t others[] = {0, 1, 0x3da3358b4dc173 >> 1, UINT64_C(0x3da3358b4dc173) << 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct chunker c;
        struct err err = {0};
        assert_int_equal(chunker_init(&c, others[i], &CHUNKER_FORMAT, &err), -1);
        assert_int_equal(err.code, ERR_CORRUPT);
    }
}

static void test_chunker__cuts_as_the_format_says(void **state)
{
    (void)state;
    enum { LEN = 24 << 20 };
    unsigned char *data = random_bytes(LEN, 1);
    size_t chunks = assert_same_cuts(&CHUNKER_FORMAT, data, LEN);
    assert_in_range(chunks, 8, 32);
    free(data);
}

static void test_chunker__fine_cuts_grow_with_the_level(void **state)
{
    (void)state;
    enum { LEN = 16 << 20 };
    static const double AVERAGE_KIB[CHUNKER_FINE_LEVELS] = {2.5, 5, 10, 40, 160, 640};
    unsigned char *data = random_bytes(LEN, 2);
    for (unsigned level = 0; level < CHUNKER_FINE_LEVELS; level++) {
        size_t chunks = assert_same_cuts(&CHUNKER_FINE[level], data, LEN), expected = LEN / 1024 / AVERAGE_KIB[level];
        assert_in_range(chunks, expected * 7 / 10, expected * 14 / 10);
    }
    free(data);
}

static void test_chunker__fine_levels_follow_the_offset(void **state)
{
    (void)state;
    const uint64_t mib = 1 << 20, gib = 1 << 30;
    static const struct {
        uint64_t first;
        unsigned level[3]; /* growing, scattered, few */
    } BORDERS[] = {{0, {2, 1, 0}},         {1 * mib, {2, 1, 2}}, {32 * mib, {2, 2, 2}},
                   {128 * mib, {3, 3, 3}}, {1 * gib, {4, 4, 4}}, {64 * gib, {5, 5, 5}}};
    const size_t count = sizeof BORDERS / sizeof BORDERS[0];
    for (size_t i = 0; i < count; i++) {
        uint64_t last = i + 1 < count ? BORDERS[i + 1].first - 1 : UINT64_MAX;
        for (enum chunker_grain grain = CHUNKER_GROWING; grain <= CHUNKER_FEW; grain++) {
            assert_int_equal(chunker_fine_level(BORDERS[i].first, grain), BORDERS[i].level[grain]);
            assert_int_equal(chunker_fine_level(last, grain), BORDERS[i].level[grain]);
        }
    }
}

/* Every mask width from "always" on, so that hits fall into all lanes, several at once, and the rest behind them. */
static void test_chunker__finds_the_first_of_many_hits(void **state)
{
    (void)state;
    enum { LEN = 1 << 20 };
    unsigned char *data = random_bytes(LEN, 3);
    for (unsigned bits = 0; bits <= 20; bits++) {
        const struct chunker_params params = {.min = 700, .max = 90000, .mask_bits = bits};
        size_t chunks = assert_same_cuts(&params, data, LEN);
        assert_true(chunks >= LEN / 90000);
    }
    free(data);
}

static void test_chunker__cuts_zeros_at_min(void **state)
{
    (void)state;
    unsigned char *zeros = mem_zalloc(3 << 20);
    assert_int_equal(assert_same_cuts(&CHUNKER_FORMAT, zeros, 3 << 20), 6);
    assert_int_equal(assert_same_cuts(&CHUNKER_FINE[3], zeros, 1 << 20), 128);
    free(zeros);
}

static void test_chunker__cuts_periodic_data(void **state)
{
    (void)state;
    enum { LEN = 2 << 20 };
    static const size_t periods[] = {1, 2, 7, 63, 64, 65, 100, 512, 4096, 5000};
    unsigned char *data = random_bytes(LEN, 4);
    for (size_t i = 0; i < sizeof periods / sizeof periods[0]; i++) {
        for (size_t at = periods[i]; at < LEN; at++)
            data[at] = data[at - periods[i]];
        for (unsigned bits = 4; bits <= 12; bits += 4) {
            const struct chunker_params params = {.min = 3000, .max = 200000, .mask_bits = bits};
            assert_same_cuts(&params, data, LEN / 4);
        }
        assert_same_cuts(&CHUNKER_FINE[3], data, LEN);
    }
    free(data);
}

/* With a mask that nothing satisfies, max alone cuts. */
static void test_chunker__cuts_at_max_where_nothing_else_does(void **state)
{
    (void)state;
    const struct chunker_params params = {.min = 100, .max = 50000, .mask_bits = 52};
    unsigned char *data = random_bytes(120000, 5);
    struct chunker c;
    assert_int_equal(chunker_init(&c, POLYNOMIAL, &params, NULL), 0);
    assert_int_equal(chunker_cut(&c, data, 49999, 0), 0);
    assert_int_equal(chunker_cut(&c, data, 50000, 0), 50000);
    assert_int_equal(chunker_cut(&c, data, 50000, 49999), 50000);
    assert_int_equal(chunker_cut(&c, data, 50000, 50000), 50000);
    assert_int_equal(chunker_cut(&c, data, 120000, 0), 50000);
    free(data);
}

static void test_chunker__needs_more_bytes_below_min(void **state)
{
    (void)state;
    struct chunker c;
    unsigned char *zeros = mem_zalloc(8192);
    assert_int_equal(chunker_init(&c, POLYNOMIAL, &CHUNKER_FINE[3], NULL), 0);
    assert_int_equal(chunker_cut(&c, zeros, 0, 0), 0);
    assert_int_equal(chunker_cut(&c, zeros, 1, 0), 0);
    assert_int_equal(chunker_cut(&c, zeros, 8191, 0), 0);
    assert_int_equal(chunker_cut(&c, zeros, 8192, 0), 8192);
    assert_int_equal(chunker_cut(&c, zeros, 8192, 8191), 8192);
    free(zeros);
}

/* The smallest windows, and every length around 64, min, max and the search's own block sizes. */
static void test_chunker__agrees_at_every_length(void **state)
{
    (void)state;
    static const struct chunker_params all[] = {
        {64, 65, 3}, {64, 200, 5}, {64, 4000, 8}, {65, 4000, 8}, {127, 128, 4}, {128, 3900, 10}, {576, 8000, 11},
    };
    unsigned char *data = random_bytes(9000, 6);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        const struct both b = both_with(&all[i]);
        for (size_t len = 0; len < 8900; len += len < 1400 || (len > 3500 && len < 4100) ? 1 : 37)
            cut_both_ways(&b, data + len % 100, len);
    }
    free(data);
}

/* A hit planted at every position: no cut is missed wherever it lies, in any lane. */
static void test_chunker__finds_a_lone_hit_at_any_position(void **state)
{
    (void)state;
    enum { LEN = 32768, MIN = 1000 };
    for (unsigned bits = 15; bits <= 18; bits += 3) { /* narrow and wide lanes */
        const struct chunker_params params = {.min = MIN, .max = LEN, .mask_bits = bits};
        struct chunker c;
        assert_int_equal(chunker_init(&c, POLYNOMIAL, &params, NULL), 0);
        unsigned char *data = mem_alloc(LEN);
        memset(data, 0x5a, LEN); /* a fingerprint that never hits */
        assert_int_equal(chunker_cut(&c, data, LEN - 1, 0), 0);
        for (size_t at = MIN; at < LEN; at += 61) { /* 64 zeros are a fingerprint of zero */
            memset(data + at - 64, 0, 64);
            assert_int_equal(chunker_cut(&c, data, LEN, 0), at);
            memset(data + at - 64, 0x5a, 64);
        }
        free(data);
    }
}

/* A caller that gets its bytes in portions finds the same cut as one that has them all. */
static void test_chunker__searching_in_portions_equals_one_search(void **state)
{
    (void)state;
    enum { LEN = 300000 };
    static const size_t portions[] = {1, 63, 64, 577, 4096, 10000};
    static const struct chunker_params all[] = {{64, 3000, 9}, {2048, 40000, 13}, {512, 250000, 18}};
    unsigned char *data = random_bytes(LEN, 7);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct chunker c;
        assert_int_equal(chunker_init(&c, POLYNOMIAL, &all[i], NULL), 0);
        for (size_t p = 0; p < sizeof portions / sizeof portions[0]; p++) {
            for (size_t start = 0; start < 20000; start += 3333) {
                size_t whole = chunker_cut(&c, data + start, LEN - start, 0), cut = 0;
                for (size_t searched = 0, len; cut == 0; searched = len) {
                    len = searched + portions[p] < LEN - start ? searched + portions[p] : LEN - start;
                    cut = chunker_cut(&c, data + start, len, searched);
                }
                assert_int_equal(cut, whole);
            }
        }
    }
    free(data);
}

/* Cuts depend on the content alone: behind an insertion they meet the old ones again. */
static void test_chunker__cuts_meet_again_behind_an_insertion(void **state)
{
    (void)state;
    enum { LEN = 2 << 20, INSERTED = 11 };
    unsigned char *data = random_bytes(LEN + INSERTED, 8);
    bool *is_cut = mem_zalloc((LEN + 1) * sizeof *is_cut);
    struct chunker c;
    size_t met = 0, cuts = 0;
    assert_int_equal(chunker_init(&c, POLYNOMIAL, &CHUNKER_FINE[3], NULL), 0);
    for (size_t at = INSERTED, cut; (cut = chunker_cut(&c, data + at, LEN + INSERTED - at, 0)) > 0;) {
        at += cut;
        is_cut[at - INSERTED] = true;
    }
    for (size_t at = 0, cut; (cut = chunker_cut(&c, data + at, LEN + INSERTED - at, 0)) > 0;) {
        at += cut;
        cuts++;
        met += at >= INSERTED && is_cut[at - INSERTED];
    }
    assert_true(met + 10 >= cuts);
    free(is_cut);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunker__refuses_a_polynomial_of_another_degree),
        cmocka_unit_test(test_chunker__cuts_as_the_format_says),
        cmocka_unit_test(test_chunker__fine_cuts_grow_with_the_level),
        cmocka_unit_test(test_chunker__fine_levels_follow_the_offset),
        cmocka_unit_test(test_chunker__finds_the_first_of_many_hits),
        cmocka_unit_test(test_chunker__cuts_zeros_at_min),
        cmocka_unit_test(test_chunker__cuts_periodic_data),
        cmocka_unit_test(test_chunker__cuts_at_max_where_nothing_else_does),
        cmocka_unit_test(test_chunker__needs_more_bytes_below_min),
        cmocka_unit_test(test_chunker__agrees_at_every_length),
        cmocka_unit_test(test_chunker__finds_a_lone_hit_at_any_position),
        cmocka_unit_test(test_chunker__searching_in_portions_equals_one_search),
        cmocka_unit_test(test_chunker__cuts_meet_again_behind_an_insertion),
    };
    return cmocka_run_group_tests_name("chunker", tests, NULL, NULL);
}
