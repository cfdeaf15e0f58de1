/*
 * Damaged paths for people: collected while they are found, snapshot by snapshot, and then told path by path.
 */
#pragma once
#include "cli/cli.h"
#include "engine/damage.h"

struct damage_report;
struct damage_report *damage_report_new(void);
void damage_report_free(struct damage_report *r);
/* Takes copies. Only so many are kept; the rest is counted. */
void damage_report_add(struct damage_report *r, const struct damage *d);
/* A path a line, with the snapshots that it is damaged in. Nothing when there is none. */
void damage_report_print(struct cli *cli, struct damage_report *r);
