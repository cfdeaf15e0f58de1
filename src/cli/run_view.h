/* What `run` shows: a few lines a tier, one live line on a terminal, JSON documents for programs. */
#pragma once
#include <stdbool.h>
#include "cli/cli.h"
#include "run/run.h"

struct run_view {
    struct cli *cli;
    bool dry_run;
    struct run_reporter reporter; /* for run_plan() */
    struct run_progress progress;
    struct cli_rate rate;
    uint64_t started_ns;
};
void run_view_init(struct run_view *v, struct cli *cli, bool dry_run);
void run_view_release(struct run_view *v);
/* For cli_progress_start_json(); ctx is the view. */
void run_view_draw(void *ctx, char *out, size_t cap, unsigned columns);
json_t *run_view_status(void *ctx);
/* After the run. */
void run_view_summary(struct run_view *v, const struct run_result *result);
