/*
 * Trying again by the plan: which tiers are to be run once more, and when. Knows no locks and no records: run.c does.
 * One thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "plan/plan.h"

enum { RETRY_WAIT_MAX_MS = 60 * 60 * 1000 };

/* A tier of a run, and how often it was tried. */
struct retry {
    const struct plan_retry *settings;
    unsigned tries;  /* attempts that were made */
    bool waiting;    /* for another one */
    uint64_t due_ns; /* when, by os_monotonic_ns() */
};

/* How long to wait after the so many-th attempt (from 1): `after`, then twice that, …, at most an hour. */
uint64_t retry_delay_ms(const struct plan_retry *settings, unsigned tries);
/* An attempt has ended. `worth`: it failed, and trying again may help. */
void retry_note(struct retry *r, bool worth, uint64_t now_ns);
/* When is the next one due? False: none waits. */
bool retry_next(const struct retry *all, size_t count, uint64_t *due_ns_out);
/* Sleeps until then; false: somebody interrupted us. */
bool retry_sleep_until(uint64_t due_ns);
