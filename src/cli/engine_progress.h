/* The engine's progress counters as a live line and as JSON status lines: what most long commands show. */
#pragma once
#include "cli/cli.h"
#include "engine/progress.h"

/* "repacking  12 / 40  30 %  1.2 GB". NULL where nothing is shown; cli_progress_stop() ends it. */
struct cli_progress *cli_engine_progress_start(struct cli *cli, struct engine_progress *progress);
