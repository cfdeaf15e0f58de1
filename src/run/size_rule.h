/* Is a dump as large as it should be? A dump that is empty, or less than a tenth of what it was when it was last fine,
 * is more likely an accident than a success. */
#pragma once
#include <stdint.h>
#include "monitor/record.h"

enum size_verdict { SIZE_FINE, SIZE_EMPTY, SIZE_SHRUNKEN };
enum { SIZE_RULE_MESSAGE_BYTES = 160 };

/* last_bytes 0: there is nothing to compare with. why: "empty", "only 1.2 MB, and was 850.0 MB before"; set unless
 * SIZE_FINE. */
enum size_verdict size_rule_check(uint64_t bytes, uint64_t last_bytes, char why[SIZE_RULE_MESSAGE_BYTES]);

/* What records tell of sources that are called so, the newest first. */

/* The newest that lists dumps, whole or not; NULL: none does. */
const struct record_source *size_rule_last_list(const struct record_list *l, const char *source);
/* What a dump had when it was last fine, or was taken for fine; 0: nobody knows. */
uint64_t size_rule_last_dump(const struct record_list *l, const char *source, const char *path);
/* What the whole source had when it last completed; 0: it never did. */
uint64_t size_rule_last_source(const struct record_list *l, const char *source);
