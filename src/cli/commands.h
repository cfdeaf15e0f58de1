/*
 * Every command there is. A file cmd_NAME.c defines `const struct command cmd_NAME` (spaces become underscores) and
 * commands.c puts it into COMMANDS, in the order in which the help shows them.
 */
#pragma once
#include "cli/command.h"

extern const struct command cmd_alerts;
extern const struct command cmd_backup;
extern const struct command cmd_cat;
extern const struct command cmd_check;
extern const struct command cmd_completion;
extern const struct command cmd_config_check;
extern const struct command cmd_config_show;
extern const struct command cmd_copy;
extern const struct command cmd_daemon;
extern const struct command cmd_diff;
extern const struct command cmd_doctor;
extern const struct command cmd_dump;
extern const struct command cmd_find;
extern const struct command cmd_forget;
extern const struct command cmd_health;
extern const struct command cmd_help;
extern const struct command cmd_init;
extern const struct command cmd_key_add;
extern const struct command cmd_key_list;
extern const struct command cmd_key_passwd;
extern const struct command cmd_key_remove;
extern const struct command cmd_list;
extern const struct command cmd_ls;
extern const struct command cmd_manual;
extern const struct command cmd_plan;
extern const struct command cmd_prune;
extern const struct command cmd_recovery_kit;
extern const struct command cmd_repair_index;
extern const struct command cmd_repair_snapshots;
extern const struct command cmd_restore;
extern const struct command cmd_setup;
extern const struct command cmd_run;
extern const struct command cmd_runs;
extern const struct command cmd_schedule_disable;
extern const struct command cmd_schedule_enable;
extern const struct command cmd_schedule_install;
extern const struct command cmd_schedule_remove;
extern const struct command cmd_schedule_run_now;
extern const struct command cmd_schedule_status;
extern const struct command cmd_snapshots;
extern const struct command cmd_stats;
extern const struct command cmd_status;
extern const struct command cmd_tag;
extern const struct command cmd_unlock;
extern const struct command cmd_version;
