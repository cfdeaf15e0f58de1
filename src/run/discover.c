#include "run/discover.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"

enum { PORTS_MAX = 256 };

struct discovered_server *discovered_server_add(struct discovered_servers *l)
{
    l->items = mem_array(l->items, l->count + 1, sizeof *l->items);
    l->items[l->count] = (struct discovered_server){0};
    return &l->items[l->count++];
}

static int find_home(const struct discover_options *options, struct discovery *out, struct err *err)
{
    if (options->home == NULL)
        return agent_home_find(&out->home, err);
    char *home = os_path_absolute(options->home), *real = realpath(options->home, NULL);
    int rc = 0;
    if (home == NULL)
        rc = err_errno(err, errno, "cannot find the working directory");
    else if (access(home, R_OK | X_OK) != 0)
        rc = err_errno(err, errno, "cannot read the home '%s'", home);
    else
        rc = agent_home_at(home, &out->home, err);
    if (rc == 0 && real != NULL && !strlist_contains(&out->home.roots, real))
        strlist_add(&out->home.roots, real); /* also a directory without any agent's configuration */
    free(home);
    free(real);
    return rc;
}

static int by_free(const void *a, const void *b)
{
    const struct discovered_place *x = a, *y = b;
    if (x->writable != y->writable)
        return x->writable ? -1 : 1;
    return x->free_bytes < y->free_bytes ? 1 : x->free_bytes > y->free_bytes ? -1 : strcmp(x->path, y->path);
}

static bool place_known(const struct discovery *d, const struct mount_point *m)
{
    for (size_t i = 0; i < d->place_count; i++) {
        const struct mount_point *other = mounts_of(&d->mounts, d->places[i].path);
        if (strcmp(d->places[i].path, m->path) == 0 || (other != NULL && mounts_same_disk(other, m) && !m->network))
            return true; /* one disk mounted twice is one place */
    }
    return false;
}

static void find_places(struct discovery *d)
{
    char *user_home = os_path_expand_home("~");
    const char *system[] = {"/", user_home, d->source_path};
    for (size_t i = 0; i < d->mounts.count; i++) {
        const struct mount_point *m = &d->mounts.items[i];
        if (!mounts_is_external(&d->mounts, m, system, 3) || place_known(d, m))
            continue;
        struct mount_space space = {0};
        struct err err;
        if (mounts_space(m->path, &space, &err) < 0) {
            char *note = mem_printf("drive '%s' was passed over: %s", m->path, err.message);
            strlist_add(&d->notes, note);
            free(note);
            continue;
        }
        if (!space.is_dir) /* a single file, as containers mount them */
            continue;
        d->places = mem_array(d->places, d->place_count + 1, sizeof *d->places);
        d->places[d->place_count++] = (struct discovered_place){.path = mem_strdup(m->path),
                                                                .type = mem_strdup(m->type),
                                                                .network = m->network,
                                                                .free_bytes = space.free_bytes,
                                                                .total_bytes = space.total_bytes,
                                                                .writable = space.writable};
    }
    if (d->place_count > 0)
        qsort(d->places, d->place_count, sizeof *d->places, by_free);
    free(user_home);
}

static void find_disks(struct discovery *d)
{
    struct mount_space space;
    d->source_path = d->home.roots.count > 0 ? mem_strdup(d->home.roots.items[0])
                     : d->extra.count > 0    ? mem_strdup(d->extra.items[0])
                                             : os_path_expand_home("~");
    if (mounts_space(d->source_path, &space, NULL) == 0) {
        d->free_bytes = space.free_bytes;
        d->total_bytes = space.total_bytes;
    }
    struct err err;
    if (mounts_read(&d->mounts, &err) < 0)
        strlist_add(&d->notes, err.message);
    find_places(d);
}

/* Everything that the tiers of files hold: searched for repositories and databases. */
static void search(struct discovery *d)
{
    const struct strlist *lists[] = {&d->home.roots, &d->home.outside, &d->home.workspaces, &d->extra};
    struct strlist done = {0};
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            const char *path = lists[l]->items[i];
            bool covered = false;
            for (size_t k = 0; !covered && k < done.count; k++)
                covered = os_path_is_below(path, done.items[k]);
            if (!covered) {
                discover_databases(d, path);
                strlist_add(&done, path);
            }
        }
    discover_git(d, &done);
    strlist_release(&done);
}

int discover(const struct discover_options *options, struct discovery *out, struct err *err)
{
    *out = (struct discovery){0};
    if (find_home(options, out, err) < 0)
        return -1;
    if (options->paths != NULL)
        strlist_copy(&out->extra, options->paths);
    strlist_copy(&out->notes, &out->home.notes);
    find_disks(out);
    search(out);
    if (options->servers) {
        uint16_t ports[PORTS_MAX];
        size_t count = 0;
        discover_containers(out, ports, &count, PORTS_MAX);
        discover_servers(out, ports, count);
    }
    return 0;
}

static void servers_release(struct discovered_servers *l)
{
    for (size_t i = 0; i < l->count; i++) {
        struct discovered_server *s = &l->items[i];
        free(s->container);
        free(s->socket);
        free(s->url);
        free(s->user);
        free(s->database);
        free(s->why);
    }
    free(l->items);
}

void discovery_release(struct discovery *d)
{
    agent_home_release(&d->home);
    strlist_release(&d->extra);
    for (size_t i = 0; i < d->repository_count; i++) {
        free(d->repositories[i].path);
        strlist_release(&d->repositories[i].remotes);
    }
    free(d->repositories);
    strlist_release(&d->sqlite);
    servers_release(&d->postgres);
    servers_release(&d->redis);
    for (size_t i = 0; i < d->place_count; i++) {
        free(d->places[i].path);
        free(d->places[i].type);
    }
    free(d->places);
    mounts_release(&d->mounts);
    free(d->source_path);
    strlist_release(&d->notes);
    *d = (struct discovery){0};
}
