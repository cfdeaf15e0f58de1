/* A limit of bytes per second that any number of threads share. */
#pragma once
#include <stdint.h>

struct os_rate;

/* 0 bytes per second: no limit, and NULL is returned, which every function here takes. */
struct os_rate *os_rate_new(uint64_t bytes_per_s);
void os_rate_free(struct os_rate *r);
/* Accounts for `bytes` that were just moved, and sleeps for as long as they were ahead of the limit; ends early when
 * the process is interrupted. Moving at most os_rate_step() at a time keeps the flow even. */
void os_rate_take(struct os_rate *r, uint64_t bytes);
/* What a tenth of a second allows, at least 4 KiB; SIZE_MAX without a limit. */
uint64_t os_rate_step(const struct os_rate *r);
