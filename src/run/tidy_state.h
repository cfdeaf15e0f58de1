/* What is left to be tidied up in a destination's repository: how much was removed from it since it was last pruned,
 * and when that was. Kept in the state directory; lost, it is as if nothing had been pruned yet. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct tidy_state {
    uint64_t removed;      /* snapshots, since the last prune */
    int64_t last_prune_ms; /* Unix time; 0: never */
};
void tidy_state_read(const char *state_dir, const char *destination, struct tidy_state *out);
void tidy_state_write(const char *state_dir, const char *destination, const struct tidy_state *s);

/* Is it worth it? Pruning rewrites what is partly used: once a day is enough, more often when space is short (less than
 * a tenth of total_bytes, or twice the reserve). */
bool tidy_worth_it(const struct tidy_state *s, int64_t now_ms, uint64_t free_bytes, uint64_t total_bytes,
                   uint64_t reserve_bytes);
