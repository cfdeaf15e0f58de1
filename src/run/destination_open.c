/* A destination's passphrase, repository and space. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include "base/mem.h"
#include "os/file.h"
#include "run/destination.h"
#include "run/marker.h"
#include "run/reserved_store.h"
#include "store/limited.h"

int destination_passphrase(const struct plan *p, const struct plan_destination *d, char **out, struct err *err)
{
    const struct secret *s = d->passphrase.kind != SECRET_NONE ? &d->passphrase : &p->passphrase;
    if (s->kind == SECRET_NONE)
        return err_set(err, ERR_USAGE,
                       "destination '%s': no passphrase is configured; add 'passphrase: {file: …}' to '%s'", d->name,
                       p->file != NULL ? p->file : "the plan");
    if (secret_fetch(s, out, err) != 0)
        return err_wrap(err, "destination '%s': cannot get the passphrase", d->name);
    return 0;
}

const struct plan_destination *destination_of_archive_key(const struct plan *p, const struct plan_tier *t)
{
    return plan_destination_find(p, t->to.items[0]);
}

static enum repo_compression compression(const char *name)
{
    static const char *const NAMES[] = {[REPO_COMPRESSION_AUTO] = "auto",
                                        [REPO_COMPRESSION_OFF] = "off",
                                        [REPO_COMPRESSION_FASTEST] = "fastest",
                                        [REPO_COMPRESSION_BETTER] = "better",
                                        [REPO_COMPRESSION_MAX] = "max"};
    for (size_t i = 0; name != NULL && i < sizeof NAMES / sizeof *NAMES; i++)
        if (strcmp(NAMES[i], name) == 0)
            return (enum repo_compression)i;
    return REPO_COMPRESSION_AUTO;
}

static int open_store(const struct plan_destination *d, struct store **out, struct err *err)
{
    if (store_open(out, d->location, err) != 0)
        return -1;
    *out = store_limited_new(*out, d->limit_write_bytes_per_s);
    *out = reserved_store_new(*out, d->reserve_bytes);
    return 0;
}

/* Makes the repository when there is none. */
static int ensure(struct store *store, const char *passphrase, struct err *err)
{
    uint64_t bytes;
    struct err why = {0};
    if (store_size(store, STORE_CONFIG, "config", &bytes, &why) == 0)
        return 0;
    if (why.code != ERR_NOT_FOUND && why.code != ERR_NO_REPOSITORY) {
        *err = why;
        return -1;
    }
    if (repo_init(store, passphrase, 2, 0, err) != 0)
        return err_wrap(err, "cannot make a repository at '%s'", store->location);
    return 0;
}

static struct repo_options repository_options(const struct plan *p, const struct plan_destination *d,
                                              const char *cache_dir)
{
    return (struct repo_options){
        .cache_dir = cache_dir, .compression = compression(d->compression), .threads = p->cpus};
}

int destination_open(const struct plan *p, const struct plan_destination *d, const char *cache_dir, bool create,
                     struct repo **out, struct err *err)
{
    const struct repo_options options = repository_options(p, d, cache_dir);
    struct store *store;
    char *passphrase;
    if (destination_passphrase(p, d, &passphrase, err) != 0)
        return -1;
    int rc = open_store(d, &store, err);
    if (rc == 0 && create && ensure(store, passphrase, err) != 0) {
        store_free(store);
        rc = -1;
    } else if (rc == 0) {
        rc = repo_open(out, store, passphrase, &options, err);
    }
    mem_wipe_string(passphrase);
    if (rc != 0)
        err_wrap(err, "destination '%s'", d->name);
    return rc;
}

void destination_kept_release(struct destination_kept *k)
{
    repo_key_wipe(&k->key);
    snapshot_memo_release(&k->snapshots);
}

/* By the kept key. Whatever has changed since: the way by the passphrase is the one that decides, and that knows what
 * to say. */
static bool open_by_key(const struct plan *p, const struct plan_destination *d, const struct repo_key *key,
                        const char *cache_dir, struct repo **out)
{
    const struct repo_options options = repository_options(p, d, cache_dir);
    struct store *store;
    return repo_key_is_kept(key) && open_store(d, &store, NULL) == 0 &&
           repo_open_again(out, store, key, &options, NULL) == 0;
}

int destination_open_again(const struct plan *p, const struct plan_destination *d, struct destination_kept *kept,
                           const char *cache_dir, bool create, struct repo **out, struct err *err)
{
    if (!open_by_key(p, d, &kept->key, cache_dir, out)) {
        repo_key_wipe(&kept->key);
        if (destination_open(p, d, cache_dir, create, out, err) != 0)
            return -1;
        repo_keep_key(*out, &kept->key);
    }
    (*out)->memo = &kept->snapshots;
    return 0;
}

/* Notes the ID where one of the two documents lacks it. A marker that cannot be written is no reason to fail: the state
 * knows. */
static int note(const struct plan_destination *d, const char *path, struct marker *m, const struct id *repository,
                struct err *err)
{
    if (id_equal(&m->repository, repository))
        return 0;
    m->repository = *repository;
    return marker_write(path, m, d->name, err);
}

int destination_remember(const struct plan_destination *d, const char *state_dir, const struct id *repository,
                         struct err *err)
{
    const char *path = destination_path(d);
    struct marker remembered, here;
    char *state_file = marker_state_path(state_dir, d->name), *marker_file = path != NULL ? marker_path(path) : NULL;
    int rc = 0;
    if (marker_read(state_file, &remembered, NULL) == 0) {
        if (!id_is_zero(&remembered.repository) && !id_equal(&remembered.repository, repository))
            rc =
                err_set(err, ERR_FAILED,
                        "destination '%s': another repository is at '%s' than before; if it is the right one: clawback "
                        "run --adopt-destination %s",
                        d->name, d->location, d->name);
        else
            rc = note(d, state_file, &remembered, repository, err);
    }
    if (rc == 0 && marker_file != NULL && marker_read(marker_file, &here, NULL) == 0)
        note(d, marker_file, &here, repository, NULL);
    free(state_file);
    free(marker_file);
    return rc;
}

bool destination_space(const struct plan_destination *d, uint64_t *free_out, uint64_t *total_out)
{
    const char *path = destination_path(d);
    struct statvfs s;
    if (path == NULL || statvfs(path, &s) != 0)
        return false;
    *free_out = (uint64_t)s.f_bavail * s.f_frsize;
    *total_out = (uint64_t)s.f_blocks * s.f_frsize;
    return true;
}
