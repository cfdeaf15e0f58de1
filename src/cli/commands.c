#include "cli/commands.h"

#include <stddef.h>

/* In the order of the help: groups in the order of their first command. */
const struct command *const COMMANDS[] = {
    /* Backing up */
    &cmd_run,
    &cmd_backup,
    &cmd_setup,
    &cmd_doctor,
    &cmd_plan,
    &cmd_recovery_kit,
    &cmd_schedule_install,
    &cmd_schedule_remove,
    &cmd_schedule_enable,
    &cmd_schedule_disable,
    &cmd_schedule_run_now,
    &cmd_daemon,
    &cmd_config_check,
    &cmd_config_show,
    /* Restoring */
    &cmd_restore,
    &cmd_dump,
    /* Looking */
    &cmd_status,
    &cmd_runs,
    &cmd_health,
    &cmd_alerts,
    &cmd_schedule_status,
    &cmd_snapshots,
    &cmd_ls,
    &cmd_find,
    &cmd_diff,
    &cmd_stats,
    /* Tidying */
    &cmd_forget,
    &cmd_prune,
    &cmd_check,
    &cmd_repair_index,
    &cmd_repair_snapshots,
    &cmd_tag,
    &cmd_unlock,
    /* Repository */
    &cmd_init,
    &cmd_copy,
    &cmd_key_list,
    &cmd_key_add,
    &cmd_key_passwd,
    &cmd_key_remove,
    &cmd_list,
    &cmd_cat,
    /* Help */
    &cmd_help,
    &cmd_version,
    &cmd_completion,
    &cmd_manual,
    NULL,
};
