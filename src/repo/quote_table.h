/* The ranges of printable runes behind quote_is_printable(), ascending; made by tools/generate-quote-table. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct quote_range16 {
    uint16_t first, last;
};
struct quote_range32 {
    uint32_t first, last;
};
extern const struct quote_range16 QUOTE_BASIC[]; /* below U+10000 */
extern const size_t QUOTE_BASIC_COUNT;
extern const struct quote_range32 QUOTE_HIGH[]; /* U+10000 and above */
extern const size_t QUOTE_HIGH_COUNT;
