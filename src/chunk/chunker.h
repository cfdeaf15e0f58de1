/*
 * Content-defined cuts with a Rabin fingerprint over a 64-byte window.
 *
 * A chunk ends after the first byte where its length is ≥ min and the fingerprint of the last 64 bytes has its low
 * `mask_bits` bits all zero, or where its length is max. The window is empty (zeros) at the start of every chunk, but a
 * cut at ≥ min ≥ 64 depends on the last 64 bytes alone; that is what lets the search run in several lanes at once. The
 * format's own parameters (CHUNKER_FORMAT) give the cuts that every other writer of the format makes.
 *
 * A chunker is immutable after chunker_init: any number of threads may use it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct chunker_params {
    size_t min, max;    /* bytes; 64 ≤ min < max */
    unsigned mask_bits; /* below 53 */
};
/* 512 KiB, 8 MiB, 20 bits: 1.5 MiB on average. */
extern const struct chunker_params CHUNKER_FORMAT;
/* For dumps and what grows, where scattered changes would otherwise store nearly everything again. The cuts become
 * coarser with the place in the stream (level 2 below 128 MiB, 3 below 1 GiB, 4 below 64 GiB, 5), so that a small
 * stream costs little when it changes and a huge one has a bounded number of chunks: about 10 KiB, 40 KiB, 160 KiB and
 * 640 KiB on average. Finer ones are for streams that have a folder of their own, since the list of chunks stands in
 * the folder's tree, which is stored anew with each change: level 0, of 2.5 KiB, for the first MiB of what changes in
 * few places, level 1, of 5 KiB, for the first 32 MiB of what changes in many. A cut of one level is one of the levels
 * below it, too, so that content which moved across a border soon finds its old cuts again.
 */
enum { CHUNKER_FINE_LEVELS = 6 };
extern const struct chunker_params CHUNKER_FINE[CHUNKER_FINE_LEVELS];
enum chunker_grain {
    CHUNKER_GROWING,   /* files among others, that are appended to: from level 2 on */
    CHUNKER_SCATTERED, /* changes in many places, as dumps of databases: level 1 first */
    CHUNKER_FEW,       /* changes in few places, as git bundles: level 0 first */
};
/* The level for a chunk that begins at this offset. */
unsigned chunker_fine_level(uint64_t offset_bytes, enum chunker_grain grain);

struct chunker {
    struct chunker_params params;
    uint64_t polynomial;
    uint64_t out_table[256]; /* [b]: b x^512 mod P, what byte b still adds one step after it left the window's start */
    uint64_t mod_table[256]; /* [b]: b x^53 mod P, with b itself above, which clears the overflow of d << 8 */
};

/* The polynomial must be of degree 53 (else ERR_CORRUPT); irreducibility is the caller's to check, once. `params` is
 * copied; values outside the ranges above are a programmer's mistake. */
int chunker_init(struct chunker *c, uint64_t polynomial, const struct chunker_params *params, struct err *err);

/* Finds the end of the chunk that starts at data[0].
 *   data, len  the bytes available from the chunk's start on
 *   searched   how many of them an earlier call for this chunk has looked at (its len); 0 at first
 * Returns the chunk's length when the cut lies within len, or 0 when more bytes are needed (never when len ≥ max). At
 * the end of the input the caller takes what is left as the last chunk. */
size_t chunker_cut(const struct chunker *c, const unsigned char *data, size_t len, size_t searched);
