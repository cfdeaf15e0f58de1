#include "cli/commands.h"

#include <stddef.h>

/* In the order of the help: groups in the order of their first command. */
const struct command *const COMMANDS[] = {
    /* Backing up */
    &cmd_backup,
    /* Restoring */
    /* Looking */
    &cmd_snapshots,
    /* Tidying */
    &cmd_tag,
    &cmd_unlock,
    /* Repository */
    &cmd_init,
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
