/* Is a dump as large as it should be? A dump that is empty, or less than a tenth of what it was when it was last fine,
 * is more likely an accident than a success. */
#pragma once
#include <stdint.h>

enum size_verdict { SIZE_FINE, SIZE_EMPTY, SIZE_SHRUNKEN };
enum { SIZE_RULE_MESSAGE_BYTES = 160 };

/* last_bytes 0: there is nothing to compare with. why: "empty", "only 1.2 MB, and was 850.0 MB before"; set unless
 * SIZE_FINE. */
enum size_verdict size_rule_check(uint64_t bytes, uint64_t last_bytes, char why[SIZE_RULE_MESSAGE_BYTES]);
