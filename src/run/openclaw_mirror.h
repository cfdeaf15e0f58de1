/*
 * Showing our runs in an OpenClaw that cannot run us itself (before 2026.6.5): `clawback schedule install` put a
 * disabled placeholder job there, which schedule.json names; after a run it gets one line in its run log, and its
 * state.
 */
#pragma once
#include <stdint.h>

struct mirrored_run {
    int64_t started_ms; /* Unix time */
    uint64_t duration_ms;
    int exit_code;
    const char *summary; /* one line for people: what was stored, or what went wrong */
};
/* Best effort: does nothing at once where no placeholder was installed, else takes as long as the `openclaw` command
 * does, a minute at most. Says nothing, fails never. Called by `clawback run` after everything else. */
void openclaw_mirror_run(const char *state_dir, const struct mirrored_run *run);
