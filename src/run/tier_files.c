#include "run/tier_files.h"

#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "plan/home.h"
#include "run/destination.h"
#include "run/marker.h"

static void add_once(struct strlist *list, const char *text)
{
    if (!strlist_contains(list, text))
        strlist_add(list, text);
}

/* --- agents' homes --- */

/* All there may be: what is found on this machine, the plan's, and paths that look like one. Resolved, each once. */
static int find_homes(const struct plan *p, const struct plan_tier *t, struct strlist *out, struct err *err)
{
    struct agent_home found = {0};
    if (agent_home_find(&found, err) != 0)
        return -1;
    strlist_copy(out, &found.roots);
    agent_home_release(&found);
    char *real = p->home != NULL ? realpath(p->home, NULL) : NULL;
    if (real != NULL)
        add_once(out, real);
    free(real);
    for (size_t i = 0; i < t->files.count; i++) {
        real = agent_home_is(t->files.items[i]) ? realpath(t->files.items[i], NULL) : NULL;
        if (real != NULL)
            add_once(out, real);
        free(real);
    }
    return 0;
}

static void add_unread(const struct agent_home *h, struct tier_files *out)
{
    for (size_t i = 0; i < h->unread.count; i++) {
        if (strlist_contains(&out->unread, h->unread.items[i]))
            continue;
        strlist_add(&out->unread, h->unread.items[i]);
        strlist_add(&out->unread_why, h->unread_why.items[i]);
    }
}

/* One home and one path of the tier: where the path holds the home, the home brings what belongs to it elsewhere. */
static int add_home(const char *home, const char *path, bool with_excludes, struct tier_files *out, struct err *err)
{
    if (!os_path_is_below(home, path) && !os_path_is_below(path, home))
        return 0;
    struct agent_home h = {0};
    if (agent_home_at(home, &h, err) != 0)
        return -1;
    if (os_path_is_below(home, path)) {
        for (size_t i = 0; i < h.roots.count; i++)
            if (!os_path_is_below(h.roots.items[i], path))
                add_once(&out->paths, h.roots.items[i]);
        for (size_t i = 0; i < h.outside.count; i++)
            if (!os_path_is_below(h.outside.items[i], path))
                add_once(&out->paths, h.outside.items[i]);
        add_unread(&h, out);
    }
    if (out->fine_cut == NULL)
        out->fine_cut = filter_new();
    agent_home_growing(&h, out->fine_cut);
    if (with_excludes)
        agent_home_excludes(&h, &out->excludes);
    else
        agent_home_secrets(&h, &out->excludes);
    agent_home_release(&h);
    return 0;
}

static int add_homes(const struct plan *p, const struct plan_tier *t, struct tier_files *out, struct err *err)
{
    struct strlist homes = {0};
    int rc = find_homes(p, t, &homes, err);
    for (size_t i = 0; rc == 0 && i < homes.count; i++)
        for (size_t k = 0; rc == 0 && k < t->files.count; k++) {
            char *real = realpath(t->files.items[k], NULL);
            rc = add_home(homes.items[i], real != NULL ? real : t->files.items[k], !t->no_agent_excludes, out, err);
            /* A path that is a symlink to the home stores the link; the home itself must come too. */
            if (rc == 0 && real != NULL && strcmp(real, t->files.items[k]) != 0 && strcmp(real, homes.items[i]) == 0)
                add_once(&out->paths, real);
            free(real);
        }
    strlist_release(&homes);
    return rc;
}

/* --- what is ours --- */

static void add_both_names(struct strlist *out, const char *path)
{
    char *real = realpath(path, NULL);
    add_once(out, path);
    if (real != NULL)
        add_once(out, real);
    free(real);
}

static bool holds_a_source(const char *dir, const struct strlist *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (os_path_is_below(paths->items[i], dir))
            return true;
    return false;
}

/* A destination's directory as a whole; but only our parts of it where what is backed up lies in it. */
static void add_destination(const struct plan_destination *d, const struct strlist *paths, struct strlist *out)
{
    static const char *const PARTS[] = {"config", "data", "index", "keys", "locks", "snapshots", "archives"};
    char *path = destination_path(d) != NULL ? os_path_absolute(destination_path(d)) : NULL;
    if (path == NULL)
        return;
    char *marker = marker_path(path);
    if (!holds_a_source(path, paths)) {
        add_both_names(out, path);
    } else {
        for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++) {
            char *part = os_path_join(path, PARTS[i]);
            if (!holds_a_source(part, paths))
                add_both_names(out, part);
            free(part);
        }
        add_both_names(out, marker);
    }
    free(marker);
    free(path);
}

static int build_filter(struct tier_files *f, struct err *err)
{
    f->filter = filter_new();
    for (size_t i = 0; i < f->excludes.count; i++)
        if (filter_add(f->filter, f->excludes.items[i], false, err) != 0)
            return -1;
    for (size_t i = 0; i < f->own.count; i++)
        if (filter_add_path(f->filter, f->own.items[i], err) != 0)
            return -1;
    return 0;
}

int tier_files_gather(const struct plan *p, const struct plan_tier *t, const char *cache_dir, struct tier_files *out,
                      struct err *err)
{
    *out = (struct tier_files){0};
    for (size_t i = 0; i < t->files.count; i++)
        add_once(&out->paths, t->files.items[i]);
    if (add_homes(p, t, out, err) != 0)
        return -1;
    strlist_copy(&out->excludes, &t->exclude);
    for (size_t i = 0; i < p->destination_count; i++)
        add_destination(&p->destinations[i], &out->paths, &out->own);
    if (cache_dir != NULL)
        add_both_names(&out->own, cache_dir);
    return build_filter(out, err);
}

void tier_files_release(struct tier_files *f)
{
    strlist_release(&f->paths);
    strlist_release(&f->excludes);
    strlist_release(&f->own);
    strlist_release(&f->unread);
    strlist_release(&f->unread_why);
    filter_free(f->filter);
    filter_free(f->fine_cut);
    *f = (struct tier_files){0};
}
