/*
 * What the restore command shows: a live line, problems as they come, a summary. Nothing of it is for other commands.
 */
#pragma once
#include "cli/cli.h"
#include "engine/restore.h"

struct restore_view {
    struct cli *cli;
    bool dry_run;
    uint64_t started_ns;
    struct restore_progress progress;
    struct restore_reporter reporter; /* for restore_run() */
    /* the progress thread's own */
    struct cli_rate rate; /* bytes a second */
};

/* list: every entry that is restored is named. */
void restore_view_init(struct restore_view *v, struct cli *cli, bool dry_run, bool list);
/* For cli_progress_start_json(); ctx is the view. */
void restore_view_draw(void *ctx, char *out, size_t cap, unsigned columns);
json_t *restore_view_status(void *ctx);
/* After the run. */
void restore_view_summary(struct restore_view *v, const char *target, const struct restore_result *result);
