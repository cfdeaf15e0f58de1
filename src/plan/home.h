/*
 * Finding an agent's home (OpenClaw and its older names) and what belongs to it.
 *
 * Looked at, in this order: OPENCLAW_STATE_DIR, OPENCLAW_CONFIG_PATH (and their older CLAWDBOT_ names), OPENCLAW_HOME,
 * OPENCLAW_PROFILE, then ~/.openclaw, ~/.clawdbot, ~/.moltbot, and each of them with -PROFILE behind it. All that is
 * there is taken, since what one setting hides may still hold the only copy of something. The configuration
 * (openclaw.json, clawdbot.json, moltbot.json) is JSON5; workspaces, agent directories and $include files that lie
 * outside the state directory are added. Symlinks are resolved, and what several names lead to is taken once. Reads
 * files; writes nothing.
 */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "base/strlist.h"
#include "source/filter.h"

struct agent_home {
    /* State directories, absolute, without symlinks. Where there is only a configuration file: that file. */
    struct strlist roots;
    /* Workspaces, agent directories, configuration and included files that are not below a root, and the symlinks that
     * led to something. */
    struct strlist outside;
    /* All that the configurations name and that exist, below a root or not. */
    struct strlist workspaces, agent_dirs;
    /* For people: a configuration that could not be parsed, a workspace that is missing … */
    struct strlist notes;
    /* Configurations that are there and cannot be understood: what they name is not in the lists above. Which of the
     * notes is about each. */
    struct strlist unread, unread_why;
};
/* 0 also when there is none (roots is then empty). What is missing or cannot be parsed becomes a note. ERR_IO when the
 * working directory cannot be found and a variable holds a relative path. */
int agent_home_find(struct agent_home *out, struct err *err);
/* The one at this path and nothing else: a state directory, which becomes the only root, and what belongs to it. A path
 * that is not there is no root. */
int agent_home_at(const char *path, struct agent_home *out, struct err *err);
/* Does a configuration of an agent lie in this directory? */
bool agent_home_is(const char *path);
void agent_home_release(struct agent_home *h);

/* Appends the patterns (source/filter.h) of what is left out of a home's backup, each once: rebuildable caches, locks,
 * editor temporaries and .ssh at any depth; behind them, anchored, what counts in a state directory alone (cache/,
 * npm/, tools/, lock files …), and with '!' roots and workspaces that themselves lie in a directory of such a name.
 * Never matches a workspace, an agent directory or what is in it, lock files of packages (yarn.lock …) included.
 * (Sockets are never backed up anyway.) */
void agent_home_excludes(const struct agent_home *h, struct strlist *out);
/* Of these only what is secret (.ssh), and stays out when somebody wants a home with its caches and all; anchored to
 * what belongs to the home. */
void agent_home_secrets(const struct agent_home *h, struct strlist *out);
/* Why this pattern of those for any depth is left out; NULL: it is none of them. */
const char *agent_exclude_why(const char *pattern);
/* What in a state directory grows at its end with every turn of the agent (sessions, run logs), added to the filter:
 * for files_options.fine_cut. */
void agent_home_growing(const struct agent_home *h, struct filter *out);
