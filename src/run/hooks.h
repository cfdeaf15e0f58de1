/*
 * The owner's programs around a run or a tier: before, after, and on failure. They hear what it is about through the
 * environment:
 *
 *     CLAWBACK_HOOK    before, after, failure
 *     CLAWBACK_RUN_ID  16 hex digits
 *     CLAWBACK_TIER    its name; unset for the hooks of the whole run
 *     CLAWBACK_STATUS  after and failure: completed, failed, skipped
 *     CLAWBACK_ERROR   failure: the message
 *     CLAWBACK_SNAPSHOTS, CLAWBACK_BYTES_PROCESSED, CLAWBACK_BYTES_ADDED, CLAWBACK_EXIT_CODE   after and failure; of
 *                      the whole run: of all its tiers together
 *
 * None runs after an interrupt. Each is bounded in time; with it ends what it started. No secret is in its environment
 * but what ours has: it is the owner's program, and may want to start clawback itself.
 */
#pragma once
#include "base/err.h"
#include "monitor/record.h"
#include "plan/plan.h"

enum hook_kind { HOOK_BEFORE, HOOK_AFTER, HOOK_FAILURE };

/* No such hook: 0. tier: NULL for the whole run; record: what became of it, NULL before. Errors name the hook and have
 * its last words. */
int hook_run(const struct plan_hooks *hooks, enum hook_kind kind, const char *run_id, const char *tier,
             const struct record *record, struct err *err);
