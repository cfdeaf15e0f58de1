/* What is backed up: the home, repositories, databases; and who else is at work. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "plan/home.h"
#include "run/doctor_checks.h"
#include "run/processes.h"
#include "run/server_look.h"
#include "run/tier_files.h"
#include "run/tier_sources.h"
#include "source/container.h"
#include "source/git.h"

enum { GIT_TIMEOUT_MS = 15000, FSCK_TIMEOUT_MS = 60000, PUSH_TIMEOUT_MS = 20000, SERVER_MS = 10000 };

/* --- the home and the files --- */

static void agent_homes(struct doctor *d)
{
    struct agent_home home = {0};
    struct err err = {0};
    int rc = d->plan->home != NULL ? agent_home_at(d->plan->home, &home, &err) : agent_home_find(&home, &err);
    if (rc < 0)
        doctor_say(d, DOCTOR_RED, "correct 'home' in the configuration", "%s", err.message);
    else if (home.roots.count == 0)
        doctor_say(d, DOCTOR_YELLOW, "if there should be one, correct 'home' in the configuration",
                   "no agent's home was found%s%s", d->plan->home != NULL ? " at " : "",
                   d->plan->home != NULL ? d->plan->home : "");
    for (size_t i = 0; i < home.roots.count; i++)
        doctor_say(d, DOCTOR_GREEN, NULL, "the agent's home is '%s'", home.roots.items[i]);
    for (size_t i = 0; i < home.notes.count; i++)
        doctor_say(d, DOCTOR_YELLOW, "see whether something is missing from the backup for it", "%s",
                   home.notes.items[i]);
    agent_home_release(&home);
}

static void tier_paths(struct doctor *d, const struct plan_tier *t)
{
    struct tier_files files = {0};
    struct err err = {0};
    if (tier_files_gather(d->plan, t, d->options->cache_dir, &files, &err) < 0)
        doctor_say(d, DOCTOR_RED, "correct the tier in the configuration", "tier '%s': %s", t->name, err.message);
    for (size_t i = 0; i < files.paths.count; i++)
        if (access(files.paths.items[i], F_OK) != 0)
            doctor_say(d, DOCTOR_RED, "correct the path, or take it out of the tier", "tier '%s': '%s' is not there",
                       t->name, files.paths.items[i]);
        else if (access(files.paths.items[i], R_OK) != 0)
            doctor_say(d, DOCTOR_RED, "run clawback as a user who may read it", "tier '%s': '%s' cannot be read",
                       t->name, files.paths.items[i]);
    tier_files_release(&files);
}

void doctor_home(struct doctor *d)
{
    agent_homes(d);
    for (size_t i = 0; i < d->plan->tier_count; i++)
        if (!d->plan->tiers[i].disabled && d->plan->tiers[i].files.count > 0)
            tier_paths(d, &d->plan->tiers[i]);
}

/* --- git --- */

static void try_push(struct doctor *d, const char *path, const char *remote)
{
    const struct git_push_options options = {
        .repository = path, .remote = remote, .timeout_ms = PUSH_TIMEOUT_MS, .dry_run = true};
    struct git_push_result result = {0};
    struct err err = {0};
    if (git_push(&options, &result, &err) < 0)
        doctor_say(d, DOCTOR_YELLOW,
                   "try it by hand: git push --dry-run --all; the backup itself does not depend on it", "%s",
                   err.message);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "'%s' can be pushed to '%s'", path, remote);
    git_push_result_release(&result);
}

static void one_repository(struct doctor *d, const char *path, const char *remote, bool may_lack_remote)
{
    struct git_health h = {0};
    struct err err = {0};
    if (git_health(path, GIT_TIMEOUT_MS, &h, &err) < 0 || git_fsck(path, FSCK_TIMEOUT_MS, &err) < 0) {
        doctor_say(d, DOCTOR_RED, "see git fsck in it; what is broken cannot be backed up whole", "%s", err.message);
        git_health_release(&h);
        return;
    }
    if (h.conflicts > 0)
        doctor_say(d, DOCTOR_YELLOW, "resolve them, so that the work is committed",
                   "'%s' has %zu unresolved conflict%s", path, h.conflicts, h.conflicts == 1 ? "" : "s");
    else if (h.in_progress != NULL)
        doctor_say(d, DOCTOR_YELLOW, "finish or abort it", "'%s' is in the middle of a %s", path, h.in_progress);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "'%s' is healthy, %s%s", path,
                   h.bare       ? "bare"
                   : h.empty    ? "without commits"
                   : h.detached ? "on no branch"
                                : "on branch ",
                   h.bare || h.empty || h.detached ? "" : h.branch);
    bool lacks = remote != NULL && !strlist_contains(&h.remotes, remote);
    if (lacks && may_lack_remote)
        doctor_say(d, DOCTOR_GREEN, NULL, "'%s' has no remote '%s', and is not pushed: it was only found", path,
                   remote);
    else if (lacks)
        doctor_say(d, DOCTOR_YELLOW, "add it with git remote add, or take 'push' out of the configuration",
                   "'%s' has no remote '%s' to push to", path, remote);
    else if (remote != NULL && !d->options->offline && !h.empty)
        try_push(d, path, remote);
    git_health_release(&h);
}

void doctor_git(struct doctor *d)
{
    size_t count = 0;
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        const struct plan_tier *t = &d->plan->tiers[i];
        struct tier_sources all;
        struct err err = {0};
        if (t->disabled || t->git_count == 0)
            continue;
        (void)tier_sources_repositories(t, &all, &err); /* -1: interrupted, which is seen elsewhere */
        count += t->git_count;
        for (size_t k = 0; k < all.count; k++) {
            const struct tier_source *s = &all.items[k];
            if (s->repository != NULL)
                one_repository(d, s->repository, t->git[s->index].push, tier_source_may_lack_remote(&all, s));
            else
                doctor_say(d, DOCTOR_RED, "correct the path", "%s", s->problem.message);
        }
        tier_sources_release(&all);
    }
    if (count == 0)
        doctor_say(d, DOCTOR_GREEN, NULL, "no tier backs up git repositories");
}

/* --- databases --- */

static void tell_server(struct doctor *d, const struct plan_tier *t, const struct server_look *l)
{
    if (l->state == SERVER_UP)
        doctor_say(d, DOCTOR_GREEN, NULL, "%s answers: %s%s%s", l->name, l->version != NULL ? l->version : "",
                   l->what != NULL ? ", " : "", l->what != NULL ? l->what : "");
    else if (l->state == SERVER_DOWN && t->when == PLAN_RUNNING)
        doctor_say(d, DOCTOR_GREEN, NULL, "%s does not run now and will be skipped (when: running)", l->name);
    else if (l->state == SERVER_DOWN)
        doctor_say(d, DOCTOR_RED, "start it, or say 'when: running' in its tier", "%s does not run: %s", l->name,
                   l->why.message);
    else if (l->state == SERVER_DENIED)
        doctor_say(d, DOCTOR_RED, "give the tier a user and a password that may dump it", "%s does not let us in: %s",
                   l->name, l->why.message);
    else
        doctor_say(d, DOCTOR_RED,
                   l->state == SERVER_UNREADABLE ? "give its user the right to dump it: docs/databases.md"
                                                 : "see the message",
                   "%s: %s", l->name, l->why.message);
}

/* The engine's own trouble is worth a line of its own: a user who is not in its group cannot see any container. */
static void look_at_engine(struct doctor *d, const char *container)
{
    struct container c = {0};
    struct err err = {0};
    if (container == NULL)
        return;
    if (container_find(&c, container, &err) < 0)
        doctor_say(d, DOCTOR_RED, "let this user use the container engine (group docker), or run clawback as root",
                   "%s", err.message);
    container_release(&c);
}

void doctor_databases(struct doctor *d)
{
    size_t count = 0;
    for (size_t i = 0; i < d->plan->tier_count; i++) {
        const struct plan_tier *t = &d->plan->tiers[i];
        for (size_t k = 0; !t->disabled && k < t->postgres_count; k++, count++) {
            struct server_look look;
            look_at_engine(d, t->postgres[k].container);
            server_look_postgres(&t->postgres[k], SERVER_MS, &look);
            tell_server(d, t, &look);
            server_look_release(&look);
        }
        for (size_t k = 0; !t->disabled && k < t->redis_count; k++, count++) {
            struct server_look look;
            look_at_engine(d, t->redis[k].container);
            server_look_redis(&t->redis[k], SERVER_MS, &look);
            tell_server(d, t, &look);
            server_look_release(&look);
        }
        for (size_t k = 0; !t->disabled && k < t->sqlite.count; k++, count++)
            if (access(t->sqlite.items[k], R_OK) != 0)
                doctor_say(d, DOCTOR_RED, "correct the path", "database '%s' cannot be read", t->sqlite.items[k]);
    }
    if (count == 0)
        doctor_say(d, DOCTOR_GREEN, NULL, "no tier dumps databases");
}

/* --- who else is at work --- */

struct editors {
    size_t count;
    int64_t since; /* of the oldest */
    struct strlist names;
};

static bool look_for_editor(void *ctx, const struct process_seen *p)
{
    static const struct {
        const char *part, *name;
    } EDITORS[] = {{".vscode-server", "VS Code server"},
                   {".cursor-server", "Cursor server"},
                   {".windsurf-server", "Windsurf server"},
                   {"code-server", "code-server"},
                   {"/claude", "Claude Code"},
                   {"codex", "Codex"},
                   {"jetbrains", "JetBrains gateway"}};
    struct editors *e = ctx;
    for (size_t i = 0; i < sizeof EDITORS / sizeof *EDITORS; i++) {
        bool by_name = strcmp(EDITORS[i].part, "/claude") == 0 && strcmp(p->name, "claude") == 0;
        size_t first = strlen(p->command); /* the program alone: an argument may be anything */
        if (!by_name && memmem(p->command, first, EDITORS[i].part, strlen(EDITORS[i].part)) == NULL)
            continue;
        e->count++;
        if (p->started > 0 && (e->since == 0 || p->started < e->since))
            e->since = p->started;
        if (!strlist_contains(&e->names, EDITORS[i].name))
            strlist_add(&e->names, EDITORS[i].name);
        break;
    }
    return true;
}

void doctor_editor(struct doctor *d)
{
    struct editors e = {0};
    processes_each(look_for_editor, &e);
    if (e.count == 0) {
        doctor_say(d, DOCTOR_GREEN, NULL, "no editor's session is running");
    } else {
        char *names = strlist_join(&e.names, ", "), when[64] = "";
        time_t since = (time_t)e.since;
        struct tm tm;
        if (e.since > 0 && localtime_r(&since, &tm) != NULL)
            strftime(when, sizeof when, ", since %Y-%m-%d %H:%M", &tm);
        doctor_say(d, DOCTOR_GREEN, NULL,
                   "%s: %zu process%s%s, seen and left alone (backups read only, at low priority, and lock nothing)",
                   names, e.count, e.count == 1 ? "" : "es", when);
        free(names);
    }
    strlist_release(&e.names);
}
