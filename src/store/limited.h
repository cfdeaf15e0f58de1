/* A store around another one that is written to at most so fast. Reading is not held up. Thread-safe. */
#pragma once
#include "store/store.h"

/* Owns inner. bytes_per_s 0: inner itself. */
struct store *store_limited_new(struct store *inner, uint64_t bytes_per_s);
