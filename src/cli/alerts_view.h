/* Alerts for people and programs. */
#pragma once
#include "cli/cli.h"
#include "monitor/alerts.h"

/* state: for who is silenced; NULL: there is none, and then nothing is open. */
void alerts_view_open(struct cli *cli, struct state *state, const struct alert_list *open, int64_t now_ms);
/* The newest first, as alerts_history() gives them. */
void alerts_view_history(struct cli *cli, const struct alert_list *changes);
