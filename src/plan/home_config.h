/*
 * What an agent's configuration file says about where things are. Knows OpenClaw's configuration, JSON5 with $include,
 * but not where such files lie.
 */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "base/strlist.h"

enum { HOME_CONFIG_MAX_BYTES = 8 << 20, HOME_INCLUDE_NESTING_MAX = 10 };

/* Absolute, clean paths; whether anything is there was not looked at. */
struct home_config {
    struct strlist workspaces, agent_dirs;
    struct strlist includes; /* files named by $include, also those that could not be read */
    /* Files that can be read, but not understood, and which of the notes is about each: nobody knows what they name. */
    struct strlist unread, unread_why;
};
/* Reads the file at `path` (absolute) and what it includes: agents.defaults.workspace, and workspace and agentDir of
 * agents.list[] and agents.entries{}; of the oldest form agent.workspace and routing.agents{}. Relative paths count
 * from the directory of `path`, those of $include from the including file's. Appends to `out` (zeroed before its first
 * use), and to `notes` what could not be read or understood. */
void home_config_read(const char *path, const char *user_home, struct home_config *out, struct strlist *notes);
void home_config_release(struct home_config *c);

/* "~" and "~/x" with user_home for "~"; a relative path counts from `base`; the result is absolute and clean, without
 * the blanks around it. `base` must be absolute. The caller frees it. */
char *home_path_resolve(const char *text, const char *user_home, const char *base);
