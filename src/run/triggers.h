/*
 * What has to be started when, so that the plan is carried out: one trigger for each different schedule of its tiers,
 * all running `clawback run` (which takes what is due), and the hourly `clawback health`. The same list goes into
 * OpenClaw's cron, jobs.json, systemd timers or a crontab. Pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/strlist.h"
#include "plan/plan.h"

struct trigger {
    char *id;   /* "clawback" for the first, "clawback-run-full" (after a tier) for others, "clawback-health" */
    char *name; /* "clawback: git, config, databases" */
    struct schedule schedule; /* borrowed from the plan, but for health's */
    struct strlist argv;      /* PROGRAM run --wait …; with -c FILE where the plan is not at its default place */
    uint64_t timeout_ms;
};
struct trigger_list {
    struct trigger *items;
    size_t count;
};
/* program: absolute path of the binary. with_health: else without it. */
void triggers_make(const struct plan *p, const char *program, bool with_health, struct trigger_list *out);
void triggers_release(struct trigger_list *l);
