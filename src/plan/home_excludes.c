/*
 * What is left out of an agent home's backup, and what in it grows.
 *
 * The rule for everything here: nothing is left out that somebody may have made. So names that only OpenClaw gives a
 * meaning (cache/, tools/, *.lock) count in a state directory alone, and never for a workspace: there, Cargo.lock and
 * yarn.lock are sources, and "tools" is somebody's work. Patterns for any depth are names that only programs give.
 */
#include "plan/home.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "plan/home_config.h"
#include "source/filter.h"

static const char SSH[] = ".ssh";

static const struct agent_exclude {
    const char *pattern, *why;
} AGENT_EXCLUDES[] = {
    {SSH, "private keys to other machines: they never leave this one"},
    {"node_modules", "packages that the package manager fetches again"},
    {"__pycache__", "compiled Python, made again when it is run"},
    {"*.pyc", "compiled Python, made again when it is run"},
    {".cache", "a cache by its name"},
    {".npm", "npm's download cache"},
    {".vscode-server", "an editor's server, fetched again when it connects"},
    {".vscode-server-insiders", "an editor's server, fetched again when it connects"},
    {".cursor-server", "an editor's server, fetched again when it connects"},
    {".windsurf-server", "an editor's server, fetched again when it connects"},
    {"*.swp", "an editor's swap file"},
    {"*.swo", "an editor's swap file"},
    {"?*~", "an editor's copy of the file before the last save"},
    {".#*", "an editor's lock"},
    {"#*#", "an editor's unsaved copy"},
    {NULL, NULL},
};

/* Directly in a state directory. */
static const char *const REBUILDABLE[] = {"cache", "npm", "npm-runtime", "plugin-skills", "tools", "tmp"};
/* The same, but made by newer versions only, those with state/openclaw.sqlite. In an older home such a directory is
 * somebody's. */
static const char *const REBUILDABLE_NEW[] = {"git", "dev"};

/* Where in a state directory, besides its top, OpenClaw locks files. */
static const char *const LOCK_AREAS[] = {"agents",   "credentials", "cron",   "devices", "gateway",
                                         "identity", "logs",        "memory", "state",   "telegram"};
static const char *const LOCKS[] = {"*.lock", "*.lock.sqlite", "*.reindex-lock.sqlite", "*.generation-*.sqlite",
                                    "*.memory-reindex-*"};

/* Git's, which it holds for a moment; a restored one would stop it. No branch can have such a name. */
static const char *const GIT_LOCKS[] = {".git/*.lock", ".git/refs/**/*.lock"};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Appends prefix + path + suffix, the path's characters taken literally. */
static void add(struct strlist *out, const char *prefix, const char *path, const char *suffix)
{
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    buf_append_str(&text, prefix);
    filter_escape(path, &text);
    buf_append_str(&text, suffix);
    strlist_add(out, buf_cstr(&text));
    buf_release(&text);
}

static bool any_is_below(const struct strlist *paths, const char *dir)
{
    for (size_t i = 0; i < paths->count; i++)
        if (os_path_is_below(paths->items[i], dir))
            return true;
    return false;
}

static bool has_agents_in(const char *dir, const struct agent_home *h)
{
    return any_is_below(&h->roots, dir) || any_is_below(&h->agent_dirs, dir);
}

/* Left out, unless something that must not be is in it. */
static void add_rebuildable(const struct agent_home *h, const char *root, const char *name, struct strlist *out)
{
    char *path = os_path_join(root, name);
    if (!has_agents_in(path, h) && !any_is_below(&h->workspaces, path) && !any_is_below(&h->outside, path))
        add(out, "", path, "");
    free(path);
}

static bool has_new_layout(const char *root)
{
    char *path = os_path_join(root, "state/openclaw.sqlite");
    bool yes = access(path, F_OK) == 0;
    free(path);
    return yes;
}

/* Takes the lock patterns back for a workspace that lies where they hold. */
static void keep_locks_of(const struct agent_home *h, const char *workspace, struct strlist *out)
{
    bool concerned = false;
    for (size_t i = 0; i < h->roots.count; i++)
        concerned = concerned || os_path_is_below(workspace, h->roots.items[i]);
    for (size_t i = 0; i < h->agent_dirs.count; i++)
        concerned = concerned || os_path_is_below(workspace, h->agent_dirs.items[i]);
    if (!concerned || has_agents_in(workspace, h))
        return;
    for (size_t i = 0; i < COUNT(LOCKS); i++) {
        char *below = mem_printf("/**/%s", LOCKS[i]);
        add(out, "!", workspace, below);
        free(below);
    }
}

static void add_lock(const struct agent_home *h, const char *lock, struct strlist *out)
{
    char *here = mem_printf("/%s", lock), *below = mem_printf("/**/%s", lock);
    char *default_workspaces = mem_printf("/agents/*/workspace*/**/%s", lock);
    for (size_t i = 0; i < h->roots.count; i++) {
        add(out, "", h->roots.items[i], here);
        for (size_t area = 0; area < COUNT(LOCK_AREAS); area++) {
            char *path = os_path_join(h->roots.items[i], LOCK_AREAS[area]);
            add(out, "", path, below);
            free(path);
        }
        add(out, "!", h->roots.items[i], default_workspaces);
    }
    for (size_t i = 0; i < h->agent_dirs.count; i++)
        add(out, "", h->agent_dirs.items[i], below);
    free(here);
    free(below);
    free(default_workspaces);
}

static void add_locks(const struct agent_home *h, struct strlist *out)
{
    for (size_t i = 0; i < COUNT(LOCKS); i++)
        add_lock(h, LOCKS[i], out);
    for (size_t i = 0; i < h->workspaces.count; i++)
        keep_locks_of(h, h->workspaces.items[i], out);
    for (size_t i = 0; i < COUNT(GIT_LOCKS); i++) /* last: they hold in workspaces too */
        strlist_add(out, GIT_LOCKS[i]);
}

static struct filter *filter_of_agent_excludes(void)
{
    struct filter *f = filter_new();
    for (const struct agent_exclude *e = AGENT_EXCLUDES; e->pattern != NULL; e++)
        filter_add(f, e->pattern, false, NULL);
    return f;
}

/* Takes back what leaves the directory out, and has the patterns begin anew below it. */
static void keep_directory(const char *path, struct strlist *out)
{
    add(out, "!", path, "");
    for (const struct agent_exclude *e = AGENT_EXCLUDES; e->pattern != NULL; e++) {
        char *below = mem_printf("/**/%s", e->pattern);
        add(out, "", path, below);
        free(below);
    }
}

/* For a path that is to be backed up although it, or a directory on the way to it, has a name that is left out
 * elsewhere. */
static void keep_path(const struct filter *excluded, const char *path, struct strlist *done, struct strlist *out)
{
    for (size_t at = 0; path[at] == '/';) {
        size_t len = strcspn(path + at + 1, "/");
        char *name = mem_strndup(path + at + 1, len), *prefix = mem_strndup(path, at + 1 + len);
        at += 1 + len;
        if (strcmp(name, SSH) != 0 && filter_match(excluded, name) && !strlist_contains(done, prefix)) {
            strlist_add(done, prefix);
            keep_directory(prefix, out);
        }
        free(name);
        free(prefix);
    }
}

static void keep_paths(const struct agent_home *h, struct strlist *out)
{
    const struct strlist *wanted[] = {&h->roots, &h->outside, &h->workspaces, &h->agent_dirs};
    struct filter *excluded = filter_of_agent_excludes();
    struct strlist done = {0};
    for (size_t w = 0; w < COUNT(wanted); w++)
        for (size_t i = 0; i < wanted[w]->count; i++)
            keep_path(excluded, wanted[w]->items[i], &done, out);
    strlist_release(&done);
    filter_free(excluded);
}

const char *agent_exclude_why(const char *pattern)
{
    for (const struct agent_exclude *e = AGENT_EXCLUDES; e->pattern != NULL; e++)
        if (strcmp(e->pattern, pattern) == 0)
            return e->why;
    return NULL;
}

void agent_home_secrets(const struct agent_home *h, struct strlist *out)
{
    for (size_t i = 0; i < h->roots.count; i++)
        add(out, "", h->roots.items[i], "/**/.ssh");
    for (size_t i = 0; i < h->outside.count; i++)
        add(out, "", h->outside.items[i], "/**/.ssh");
}

void agent_home_excludes(const struct agent_home *h, struct strlist *out)
{
    for (const struct agent_exclude *e = AGENT_EXCLUDES; e->pattern != NULL; e++)
        if (!strlist_contains(out, e->pattern))
            strlist_add(out, e->pattern);
    keep_paths(h, out);
    for (size_t i = 0; i < h->roots.count; i++) {
        const char *root = h->roots.items[i];
        for (size_t n = 0; n < COUNT(REBUILDABLE); n++)
            add_rebuildable(h, root, REBUILDABLE[n], out);
        for (size_t n = 0; n < COUNT(REBUILDABLE_NEW) && has_new_layout(root); n++)
            add_rebuildable(h, root, REBUILDABLE_NEW[n], out);
    }
    add_locks(h, out);
}

/* ---- what grows */

static const char *const GROWING[] = {"/agents/*/sessions/*.jsonl", "/sessions/*.jsonl", "/cron/runs/*.jsonl",
                                      "/subagents/**/*.jsonl",      "/logs/**/*.jsonl",  "/logs/**/*.log"};

void agent_home_growing(const struct agent_home *h, struct filter *out)
{
    struct strlist patterns = {0};
    for (size_t i = 0; i < h->roots.count; i++)
        for (size_t k = 0; k < COUNT(GROWING); k++)
            add(&patterns, "", h->roots.items[i], GROWING[k]);
    for (size_t i = 0; i < patterns.count; i++)
        filter_add(out, patterns.items[i], false, NULL); /* only malformed patterns fail */
    strlist_release(&patterns);
}
