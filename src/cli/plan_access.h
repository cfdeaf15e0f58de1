/* The plan, for commands that work by it. */
#pragma once
#include "cli/cli.h"
#include "plan/plan.h"

/* Reads and checks it: `file`, or where config_default_path() finds it. Warnings are shown; of mistakes the error tells
 * the first, and the others are shown before it. The caller frees the plan. */
int cli_load_plan(struct cli *cli, const char *file, struct plan **out, struct err *err);
/* For backing up and for telling of it: mistakes in `alerts:` and `health:` are shown, and keep from neither
 * (config_load_to_run()). */
int cli_load_plan_to_run(struct cli *cli, const char *file, struct plan **out, struct err *err);
