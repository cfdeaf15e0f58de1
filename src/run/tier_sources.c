#include "run/tier_sources.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "run/server_look.h"
#include "source/command_source.h"
#include "source/git.h"
#include "source/postgres.h"
#include "source/redis.h"
#include "source/sqlite_source.h"

enum { PUSH_TIMEOUT_MS = 5 * 60 * 1000 };

/* --- finding them --- */

/* Takes the label over. */
static struct tier_source *add(struct tier_sources *all, enum tier_source_kind kind, size_t index, char *label)
{
    all->items = mem_array(all->items, all->count + 1, sizeof *all->items);
    struct tier_source *s = &all->items[all->count++];
    *s = (struct tier_source){.kind = kind, .index = index, .label = label};
    return s;
}

static bool has_repository(const struct tier_sources *all, const char *path)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->items[i].repository != NULL && strcmp(all->items[i].repository, path) == 0)
            return true;
    return false;
}

static void add_repository(struct tier_sources *all, size_t index, const char *path)
{
    if (!has_repository(all, path))
        add(all, TIER_GIT, index, mem_printf("/git%s", path))->repository = mem_strdup(path);
}

/* Those that are named themselves come first: what a directory above them finds again has then their `push`. */
static int find_repositories(struct tier_sources *all, struct err *err)
{
    const struct plan_tier *t = all->tier;
    for (size_t i = 0; i < t->git_count; i++)
        if (git_is_repository(t->git[i].path))
            add_repository(all, i, t->git[i].path);
    for (size_t i = 0; i < t->git_count; i++) {
        struct strlist one = {0}, found = {0};
        struct err why = {0};
        strlist_add(&one, t->git[i].path);
        int rc = git_find(&one, &found, &all->notes, &why);
        for (size_t k = 0; k < found.count; k++)
            add_repository(all, i, found.items[k]);
        if (rc == 0 && found.count == 0)
            rc = err_set(&why, ERR_NOT_FOUND, "there is no git repository at or below '%s'", t->git[i].path);
        strlist_release(&one);
        strlist_release(&found);
        if (rc != 0 && why.code == ERR_INTERRUPTED) {
            *err = why;
            return -1;
        }
        if (rc != 0)
            add(all, TIER_GIT, i, mem_printf("/git%s", t->git[i].path))->problem = why;
    }
    return 0;
}

static void add_servers(struct tier_sources *all)
{
    const struct plan_tier *t = all->tier;
    for (size_t i = 0; i < t->postgres_count; i++) {
        const struct plan_postgres *p = &t->postgres[i];
        add(all, TIER_POSTGRES, i,
            p->container != NULL ? mem_printf("postgres in container '%s'", p->container)
                                 : mem_printf("postgres%s%s", p->database != NULL ? " database " : "",
                                              p->database != NULL ? p->database : ""));
    }
    for (size_t i = 0; i < t->redis_count; i++) {
        const struct plan_redis *r = &t->redis[i];
        add(all, TIER_REDIS, i,
            r->container != NULL ? mem_printf("redis in container '%s'", r->container) : server_name_redis(r))
            ->name = redis_source_path(&(struct redis_options){.container = r->container, .url = r->url});
    }
}

static int gather_files(struct tier_sources *all, const char *cache_dir, struct err *err)
{
    const struct plan_tier *t = all->tier;
    if (tier_files_gather(all->plan, t, cache_dir, &all->files, err) != 0)
        return -1;
    all->files_options = (struct files_options){
        .paths = &all->files.paths,
        .exclude = all->files.filter,
        .fine_cut = all->files.fine_cut,
        .unread = &all->files.unread,
        .unread_why = &all->files.unread_why,
        .exclude_if_present = t->exclude_if_present.count > 0 ? &t->exclude_if_present : NULL,
        .exclude_caches = t->exclude_caches,
        .exclude_larger_than = t->exclude_larger_than,
        .one_file_system = t->one_file_system,
        .limit_read_bytes_per_s = all->plan->limit_read_bytes_per_s,
        .threads = all->plan->cpus,
    };
    add(all, TIER_FILES, 0, mem_strdup(t->files.items[0]));
    return 0;
}

int tier_sources_repositories(const struct plan_tier *t, struct tier_sources *out, struct err *err)
{
    *out = (struct tier_sources){.tier = t};
    return find_repositories(out, err);
}

int tier_sources_gather(const struct plan *p, const struct plan_tier *t, const char *cache_dir,
                        struct tier_sources *out, struct err *err)
{
    *out = (struct tier_sources){.plan = p, .tier = t};
    if ((t->git_count > 0 && find_repositories(out, err) != 0) ||
        (t->files.count > 0 && gather_files(out, cache_dir, err) != 0))
        return -1;
    add_servers(out);
    if (t->sqlite.count > 0)
        add(out, TIER_SQLITE, 0, mem_strdup(t->sqlite.items[0]));
    for (size_t i = 0; i < t->command_count; i++)
        add(out, TIER_COMMAND, i, mem_printf("/command/%s", t->commands[i].name));
    return 0;
}

void tier_sources_release(struct tier_sources *s)
{
    for (size_t i = 0; i < s->count; i++) {
        free(s->items[i].name);
        free(s->items[i].label);
        free(s->items[i].repository);
    }
    free(s->items);
    tier_files_release(&s->files);
    strlist_release(&s->notes);
    *s = (struct tier_sources){0};
}

/* --- opening them --- */

static int fetch_password(const struct secret *s, char **out, struct err *err)
{
    *out = NULL;
    return s->kind == SECRET_NONE ? 0 : secret_fetch(s, out, err);
}

static int open_postgres(const struct plan_tier *t, size_t index, struct source **out, struct err *err)
{
    const struct plan_postgres *p = &t->postgres[index];
    char *password;
    if (fetch_password(&p->password, &password, err) != 0)
        return err_wrap(err, "cannot get the password");
    const struct postgres_options options = {.container = p->container,
                                             .url = p->url,
                                             .socket = p->socket,
                                             .user = p->user,
                                             .database = p->database,
                                             .password = password,
                                             .timeout_ms = t->timeout_ms};
    int rc = postgres_source_new(out, &options, err);
    mem_wipe_string(password);
    return rc;
}

static int open_redis(const struct plan_tier *t, size_t index, struct source **out, struct err *err)
{
    const struct plan_redis *r = &t->redis[index];
    char *password;
    if (fetch_password(&r->password, &password, err) != 0)
        return err_wrap(err, "cannot get the password");
    const struct redis_options options = {
        .container = r->container, .url = r->url, .user = r->user, .password = password, .timeout_ms = t->timeout_ms};
    int rc = redis_source_new(out, &options, err);
    mem_wipe_string(password);
    return rc;
}

static int open_git(const struct tier_sources *all, const struct tier_source *s, struct source **out, struct err *err)
{
    return git_source_new(out, &(struct git_options){.path = s->repository, .timeout_ms = all->tier->timeout_ms}, err);
}

const char *tier_source_kind_name(enum tier_source_kind kind)
{
    static const char *const NAMES[] = {[TIER_FILES] = "files", [TIER_GIT] = "git",       [TIER_POSTGRES] = "postgres",
                                        [TIER_REDIS] = "redis", [TIER_SQLITE] = "sqlite", [TIER_COMMAND] = "command"};
    return NAMES[kind];
}

int tier_source_open(const struct tier_sources *all, const struct tier_source *s, struct source **out, struct err *err)
{
    const struct plan_tier *t = all->tier;
    if (s->problem.code != ERR_NONE) {
        *err = s->problem;
        return -1;
    }
    switch (s->kind) {
    case TIER_GIT:
        return open_git(all, s, out, err);
    case TIER_POSTGRES:
        return open_postgres(t, s->index, out, err);
    case TIER_REDIS:
        return open_redis(t, s->index, out, err);
    case TIER_SQLITE:
        return sqlite_source_new(out, &t->sqlite, all->plan->limit_read_bytes_per_s, err);
    case TIER_COMMAND:
        return command_source_new(out, t->commands[s->index].name, &t->commands[s->index].command, t->timeout_ms, err);
    default:
        *out = files_source_new(&all->files_options);
        return 0;
    }
}

bool tier_source_is_absent(const struct tier_sources *all, const struct tier_source *s, const struct err *why)
{
    return all->tier->when == PLAN_RUNNING && why->code == ERR_NOT_FOUND &&
           (s->kind == TIER_POSTGRES || s->kind == TIER_REDIS);
}

const char *tier_source_remote(const struct tier_sources *all, const struct tier_source *s, uint64_t *timeout_ms_out)
{
    if (s->kind != TIER_GIT || s->repository == NULL)
        return NULL;
    const struct plan_git *g = &all->tier->git[s->index];
    *timeout_ms_out = g->timeout_ms > 0 ? g->timeout_ms : PUSH_TIMEOUT_MS;
    return g->push;
}

bool tier_source_may_lack_remote(const struct tier_sources *all, const struct tier_source *s)
{
    const char *named = all->tier->git[s->index].path;
    char *real = realpath(named, NULL);
    bool is_named = strcmp(named, s->repository) == 0 || (real != NULL && strcmp(real, s->repository) == 0);
    free(real);
    return !is_named;
}

bool tier_source_is_dump(const struct tier_source *s)
{
    return s->kind != TIER_FILES && s->kind != TIER_GIT;
}
