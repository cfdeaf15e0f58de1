/* Sizes as people write them: "100", "64K", "10MiB", "2g" (powers of 1024). 0, or -1 when it is no size. */
#pragma once
#include <stdint.h>

int size_text_parse(const char *text, uint64_t *bytes_out);
