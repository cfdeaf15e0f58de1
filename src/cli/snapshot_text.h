/* Snapshots as --json shows them. */
#pragma once
#include "cli/cli.h"

/* The snapshot as it is stored, and its id and short_id. */
json_t *snapshot_json(const struct snapshot *s);
/* "a,b" into its parts, appended; empty ones are left out. */
void snapshot_split_tags(const char *text, struct strlist *out);
