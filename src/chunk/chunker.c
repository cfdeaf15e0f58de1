/*
 * The fingerprint of a window b0 … b63 is (b0 x^504 + b1 x^496 + … + b63) mod P. One step takes a byte in and another
 * out:
 *
 *     d' = d x^8 + entering − leaving x^512   (mod P)
 *
 * All of it is XOR in GF(2): mod_table reduces d x^8, out_table holds leaving x^512 mod P. A step must wait for the
 * table lookup of the step before, some seven cycles of which the processor could use nearly all for something else. So
 * the search runs in LANES lanes over consecutive stretches of equal length, one step of each in turn: four times as
 * fast. A lane starts 64 bytes early to fill its window. The first cut is the first hit of the lowest lane that has
 * one.
 */
#include "chunk/chunker.h"

#include <assert.h>
#include <stdbool.h>

#include "chunk/polynomial.h"

enum {
    WINDOW_BYTES = 64,
    LANES = 6,
    /* A lane's stretch. Where cuts are rare long ones cost less to start; where they are frequent short ones search
     * less in vain behind a hit. */
    WIDE_STRETCH = 4096,
    NARROW_STRETCH = 512,
    MIN_STRETCH = 96,
    RARE_MASK_BITS = 18,
    INDEX_SHIFT = POLYNOMIAL_DEGREE - 8,
};

const struct chunker_params CHUNKER_FORMAT = {.min = 512 << 10, .max = 8 << 20, .mask_bits = 20};
const struct chunker_params CHUNKER_FINE[CHUNKER_FINE_LEVELS] = {
    {.min = 512, .max = 8 << 10, .mask_bits = 11},        {.min = 1 << 10, .max = 16 << 10, .mask_bits = 12},
    {.min = 2 << 10, .max = 32 << 10, .mask_bits = 13},   {.min = 8 << 10, .max = 128 << 10, .mask_bits = 15},
    {.min = 32 << 10, .max = 512 << 10, .mask_bits = 17}, {.min = 128 << 10, .max = 2 << 20, .mask_bits = 19},
};

unsigned chunker_fine_level(uint64_t offset_bytes, enum chunker_grain grain)
{
    static const uint64_t from[] = {0, UINT64_C(128) << 20, UINT64_C(1) << 30, UINT64_C(64) << 30};
    if (grain == CHUNKER_FEW && offset_bytes < UINT64_C(1) << 20)
        return 0;
    if (grain == CHUNKER_SCATTERED && offset_bytes < UINT64_C(32) << 20)
        return 1;
    unsigned level = CHUNKER_FINE_LEVELS - 1;
    while (offset_bytes < from[level - 2])
        level--;
    return level;
}

static inline uint64_t append(const struct chunker *c, uint64_t d, unsigned char entering)
{
    return (d << 8 | entering) ^ c->mod_table[d >> INDEX_SHIFT];
}

/* What does not wait for the lookup in mod_table comes first. */
static inline uint64_t slide(const struct chunker *c, uint64_t d, unsigned char entering, unsigned char leaving)
{
    return (d << 8 | entering) ^ c->out_table[leaving] ^ c->mod_table[d >> INDEX_SHIFT];
}

int chunker_init(struct chunker *c, uint64_t polynomial, const struct chunker_params *params, struct err *err)
{
    assert(params->min >= WINDOW_BYTES && params->min < params->max);
    assert(params->mask_bits < POLYNOMIAL_DEGREE);
    if (polynomial_degree(polynomial) != POLYNOMIAL_DEGREE)
        return err_set(err, ERR_CORRUPT, "chunker polynomial %llx is not of degree %d", (unsigned long long)polynomial,
                       POLYNOMIAL_DEGREE);
    c->params = *params;
    c->polynomial = polynomial;
    for (uint64_t b = 0; b < 256; b++) {
        uint64_t high = b << POLYNOMIAL_DEGREE;
        c->mod_table[b] = polynomial_mod(high, polynomial) | high;
    }
    for (unsigned b = 0; b < 256; b++) {
        uint64_t d = b;
        for (int i = 0; i < WINDOW_BYTES; i++)
            d = append(c, d, 0);
        c->out_table[b] = d;
    }
    return 0;
}

static uint64_t mask_of(const struct chunker *c)
{
    return (UINT64_C(1) << c->params.mask_bits) - 1;
}

/* The fingerprint of the window before p. */
static uint64_t window_before(const struct chunker *c, const unsigned char *p)
{
    uint64_t d = 0;
    for (int i = -WINDOW_BYTES; i < 0; i++)
        d = append(c, d, p[i]);
    return d;
}

/* The search functions look for the first byte in p[0 … n) after which a cut may be; 64 bytes before p can be read.
 * They return its index, or n when there is none. */
static size_t search_simple(const struct chunker *c, const unsigned char *p, size_t n)
{
    const uint64_t mask = mask_of(c);
    uint64_t d = window_before(c, p);
    for (size_t i = 0; i < n; i++) {
        d = slide(c, d, p[i], p[(ptrdiff_t)i - WINDOW_BYTES]);
        if ((d & mask) == 0)
            return i;
    }
    return n;
}

/* n = LANES × stretch. Inlined, so that a constant stretch makes the lanes' addresses constant offsets of one pointer.
 */
static inline __attribute__((always_inline)) size_t search_lanes(const struct chunker *c, const unsigned char *p,
                                                                 ptrdiff_t stretch)
{
    const uint64_t mask = mask_of(c);
    uint64_t d[LANES] = {0};
    ptrdiff_t first_hit[LANES];
    for (int lane = 0; lane < LANES; lane++)
        first_hit[lane] = stretch;
    for (ptrdiff_t i = -WINDOW_BYTES; i < 0; i++) {
#pragma GCC unroll 8
        for (int lane = 0; lane < LANES; lane++)
            d[lane] = append(c, d[lane], p[i + lane * stretch]);
    }
    for (ptrdiff_t i = 0; i < stretch; i++) {
#pragma GCC unroll 8
        for (int lane = 0; lane < LANES; lane++) {
            d[lane] = slide(c, d[lane], p[i + lane * stretch], p[i + lane * stretch - WINDOW_BYTES]);
            if (__builtin_expect((d[lane] & mask) == 0, 0)) {
                if (lane == 0)
                    return (size_t)i;
                if (first_hit[lane] == stretch)
                    first_hit[lane] = i;
            }
        }
    }
    for (ptrdiff_t lane = 1; lane < LANES; lane++) {
        if (first_hit[lane] < stretch)
            return (size_t)(lane * stretch + first_hit[lane]);
    }
    return (size_t)(LANES * stretch);
}

static size_t search(const struct chunker *c, const unsigned char *p, size_t n)
{
    const bool cuts_are_rare = c->params.mask_bits >= RARE_MASK_BITS;
    size_t done = 0;
    while (done < n) {
        size_t left = n - done, block, hit;
        if (cuts_are_rare && left >= LANES * WIDE_STRETCH) {
            block = LANES * WIDE_STRETCH;
            hit = search_lanes(c, p + done, WIDE_STRETCH);
        } else if (left >= LANES * NARROW_STRETCH) {
            block = LANES * NARROW_STRETCH;
            hit = search_lanes(c, p + done, NARROW_STRETCH);
        } else if (left >= LANES * MIN_STRETCH) {
            block = left / LANES * LANES;
            hit = search_lanes(c, p + done, (ptrdiff_t)(left / LANES));
        } else {
            block = left;
            hit = search_simple(c, p + done, left);
        }
        if (hit < block)
            return done + hit;
        done += block;
    }
    return n;
}

size_t chunker_cut(const struct chunker *c, const unsigned char *data, size_t len, size_t searched)
{
    const struct chunker_params *params = &c->params;
    const size_t end = len < params->max ? len : params->max;
    size_t from =
        searched < params->min ? params->min - 1 : searched; /* index of the first byte that can end the chunk */
    assert(searched <= len);
    if (from < WINDOW_BYTES && from < end) { /* only with the smallest min: the chunk is the window, no byte left it */
        if ((window_before(c, data + WINDOW_BYTES) & mask_of(c)) == 0)
            return WINDOW_BYTES;
        from = WINDOW_BYTES;
    }
    if (from < end) {
        size_t hit = from + search(c, data + from, end - from);
        if (hit < end)
            return hit + 1;
    }
    return len >= params->max ? params->max : 0;
}
