/*
 * Since when this machine is awake. What fell due while it slept is made up for when it wakes, and who looks in that
 * moment shall not cry. The system tells when it was started and how long it has slept since, but not when it woke: so
 * each look leaves a note of how long that was, and a look that finds it to be more is the first after a sleep.
 */
#include "run/health_facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "os/clock.h"

static const char NOTE[] = "health.asleep";
enum { SLEEP_MIN_MS = 60000 };

/* Since it was started. CLOCK_MONOTONIC stands still meanwhile. */
static int64_t asleep_ms(void)
{
    struct timespec all, awake;
    if (clock_gettime(CLOCK_MONOTONIC, &awake) != 0 || clock_gettime(CLOCK_BOOTTIME, &all) != 0)
        return 0;
    return (int64_t)(all.tv_sec - awake.tv_sec) * 1000 + (all.tv_nsec - awake.tv_nsec) / 1000000;
}

int64_t health_woke_ms(const char *note, int64_t slept_ms, int64_t now_ms, char out[HEALTH_NOTE_BYTES])
{
    long long before_ms = 0, woke_ms = 0;
    bool known = note != NULL && sscanf(note, "%lld %lld", &before_ms, &woke_ms) == 2;
    if (!known || slept_ms < before_ms || woke_ms > now_ms) /* started anew since; or the clock went back */
        woke_ms = 0;
    if (known && slept_ms >= before_ms + SLEEP_MIN_MS)
        woke_ms = now_ms;
    else if (known && slept_ms >= before_ms)
        slept_ms = before_ms; /* the two clocks are never read at once */
    snprintf(out, HEALTH_NOTE_BYTES, "%lld %lld", (long long)slept_ms, woke_ms);
    return woke_ms;
}

int health_note_sleep(struct state *s, bool look_only, struct facts *f, struct err *err)
{
    char text[HEALTH_NOTE_BYTES], *note = NULL;
    int rc = state_note_get(s, NOTE, &note, err);
    if (rc == 0) {
        int64_t woke_ms = health_woke_ms(note, asleep_ms(), f->now_ms, text);
        f->awake_since_ms = woke_ms > f->awake_since_ms ? woke_ms : f->awake_since_ms;
        if (!look_only && (note == NULL || strcmp(note, text) != 0))
            rc = state_note_set(s, NOTE, text, err);
    }
    free(note);
    return rc;
}
