/* Amounts of data for people, the same everywhere. Machines get bytes. */
#pragma once
#include <stdint.h>

enum { BYTES_TEXT_BYTES = 24 };
/* "12 B", "1.2 kB", "850 MB": powers of 1000, as disks are sold and as sizes in the plan are meant; three digits at
 * most. Into out, which is returned. */
const char *bytes_text(uint64_t bytes, char out[BYTES_TEXT_BYTES]);
