/* What of a tier is no tree of files: repositories, databases, commands. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "run/manifest.h"
#include "run/server_look.h"
#include "run/tier_sources.h"
#include "source/git.h"

enum { GIT_TIMEOUT_MS = 10000 };

static struct manifest_item *add(struct manifest *m, const char *kind, const char *name)
{
    m->items = mem_array(m->items, m->item_count + 1, sizeof *m->items);
    m->items[m->item_count] = (struct manifest_item){.kind = kind, .name = mem_strdup(name)};
    return &m->items[m->item_count++];
}

static void problem(struct manifest_item *i, const char *what)
{
    free(i->detail);
    i->detail = mem_strdup(what);
    i->problem = true;
}

/* --- git --- */

/* What git keeps, not the working tree: the bundle is made from that. A linked .git file leads elsewhere, and its size
 * is not known. */
static void measure_repository(struct manifest_item *item, const char *path, bool bare)
{
    struct stat st;
    char *dir = bare ? mem_strdup(path) : mem_printf("%s/.git", path);
    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
        uint64_t files;
        manifest_measure(dir, &files, &item->bytes);
        item->bytes_known = true;
    }
    free(dir);
}

static void add_repository(struct manifest *m, const char *path, const char *push, bool may_lack_remote)
{
    struct manifest_item *item = add(m, "git", path);
    struct git_health health = {0};
    struct err err = {0};
    if (git_health(path, GIT_TIMEOUT_MS, &health, &err) < 0) {
        problem(item, err.message);
    } else {
        bool known = push == NULL || strlist_contains(&health.remotes, push);
        size_t uncommitted = health.staged + health.modified + health.untracked;
        measure_repository(item, path, health.bare);
        const char *pushed = push == NULL ? "" : known ? ", pushed to " : ", not pushed, since it has no remote ";
        item->detail = mem_printf("%s%s%s, %zu uncommitted file%s%s%s",
                                  health.bare    ? "bare"
                                  : health.empty ? "no commit yet"
                                                 : "on branch ",
                                  health.bare || health.empty ? ""
                                  : health.detached           ? "none"
                                                              : health.branch,
                                  health.in_progress != NULL ? ", in the middle of a merge or the like" : "",
                                  uncommitted, uncommitted == 1 ? "" : "s", pushed, push != NULL ? push : "");
        if (!known && !may_lack_remote) {
            char *text = mem_printf("there is no remote '%s' to push to", push);
            problem(item, text);
            free(text);
        }
    }
    git_health_release(&health);
}

/* The same ones that a run takes: each once, by whatever paths it is found. */
static void add_git(struct manifest *m, const struct plan_tier *t)
{
    struct tier_sources all;
    struct err err = {0};
    (void)tier_sources_repositories(t, &all, &err); /* -1: interrupted, which is seen elsewhere */
    for (size_t i = 0; i < all.count; i++) {
        const struct tier_source *s = &all.items[i];
        if (s->repository != NULL)
            add_repository(m, s->repository, t->git[s->index].push, tier_source_may_lack_remote(&all, s));
        else
            problem(add(m, "git", t->git[s->index].path), s->problem.message);
    }
    tier_sources_release(&all);
}

/* --- databases --- */

static void tell_server(struct manifest_item *item, const struct server_look *l)
{
    item->bytes = l->bytes;
    item->bytes_known = l->bytes_known && l->state == SERVER_UP;
    item->absent = l->state == SERVER_DOWN;
    if (l->state == SERVER_UP)
        item->detail = mem_printf("%s%s%s", l->what != NULL ? l->what : "", l->version != NULL ? "; " : "",
                                  l->version != NULL ? l->version : "");
    else
        problem(item, l->why.message);
}

static void add_servers(struct manifest *m, const struct plan_tier *t, const struct manifest_options *options)
{
    for (size_t i = 0; i < t->postgres_count; i++) {
        struct server_look look = {0};
        if (options->servers)
            server_look_postgres(&t->postgres[i], options->server_timeout_ms, &look);
        else
            look.name = server_name_postgres(&t->postgres[i]);
        struct manifest_item *item = add(m, "postgres", look.name);
        if (options->servers)
            tell_server(item, &look);
        server_look_release(&look);
    }
    for (size_t i = 0; i < t->redis_count; i++) {
        struct server_look look = {0};
        if (options->servers)
            server_look_redis(&t->redis[i], options->server_timeout_ms, &look);
        else
            look.name = server_name_redis(&t->redis[i]);
        struct manifest_item *item = add(m, "redis", look.name);
        if (options->servers)
            tell_server(item, &look);
        server_look_release(&look);
    }
}

static void add_sqlite(struct manifest *m, const char *path)
{
    struct manifest_item *item = add(m, "sqlite", path);
    struct stat st, wal;
    char *beside = mem_printf("%s-wal", path);
    if (stat(path, &st) == 0) {
        item->bytes = (uint64_t)st.st_size;
        item->bytes_known = true;
        if (stat(beside, &wal) == 0 && wal.st_size > 0)
            item->detail = mem_strdup("in use; what is in its -wal file comes along");
    } else {
        problem(item, "it is not there");
    }
    free(beside);
}

void manifest_add_items(const struct plan_tier *t, const struct manifest_options *options, struct manifest *out)
{
    add_git(out, t);
    add_servers(out, t, options);
    for (size_t i = 0; i < t->sqlite.count; i++)
        add_sqlite(out, t->sqlite.items[i]);
    for (size_t i = 0; i < t->command_count; i++) {
        struct manifest_item *item = add(out, "command", t->commands[i].name);
        item->detail = mem_strdup("its output");
    }
}
