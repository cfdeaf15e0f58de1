#include "run/recovery_kit.h"
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "repo/repo.h"
#include "run/destination.h"
#include "run/mounts.h"
#include "source/redis.h"

/* --- how to mount it --- */

/* "UUID=…" for a device, where /dev/disk tells; names such as /dev/sdb1 differ from machine to machine. */
static char *device_name(const char *device)
{
    static const char DIR_NAME[] = "/dev/disk/by-uuid";
    char wanted[PATH_MAX], real[PATH_MAX], *found = NULL;
    DIR *dir = realpath(device, wanted) != NULL ? opendir(DIR_NAME) : NULL;
    for (struct dirent *e; dir != NULL && found == NULL && (e = readdir(dir)) != NULL;) {
        char *link = mem_printf("%s/%s", DIR_NAME, e->d_name);
        if (e->d_name[0] != '.' && realpath(link, real) != NULL && strcmp(real, wanted) == 0)
            found = mem_printf("UUID=%s", e->d_name);
        free(link);
    }
    if (dir != NULL)
        closedir(dir);
    return found != NULL ? found : mem_strdup(device);
}

static char *mount_command(const char *path)
{
    struct mounts mounts = {0};
    char *there = mounts_existing(path), *real = realpath(there, NULL), *out = NULL;
    if (real != NULL && mounts_read(&mounts, NULL) == 0) {
        const struct mount_point *m = mounts_of(&mounts, real), *root = mounts_of(&mounts, "/");
        if (m != NULL && m != root && !m->memory && !mounts_same_disk(m, root)) {
            char *device = m->block ? device_name(m->source) : mem_strdup(m->source);
            out = mem_printf("mkdir -p %s && mount -t %s %s %s", m->path, m->type, device, m->path);
            free(device);
        }
    }
    mounts_release(&mounts);
    free(there);
    free(real);
    return out;
}

/* --- what there is --- */

static enum kit_kind kind_of_path(const char *path)
{
    static const struct {
        const char *prefix;
        enum kit_kind kind;
    } KINDS[] = {{"/git/", KIT_GIT}, {"/postgres/", KIT_POSTGRES}, {"/redis/", KIT_REDIS}, {"/command/", KIT_COMMAND}};
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (strncmp(path, KINDS[i].prefix, strlen(KINDS[i].prefix)) == 0)
            return KINDS[i].kind;
    return KIT_FILES;
}

/* `place`: a destination that has it; NULL: none is known to. */
static void add_source(struct kit *k, enum kit_kind kind, const char *tier, const char *path, const char *place)
{
    size_t i = 0;
    while (i < k->source_count && (strcmp(k->sources[i].tier, tier) != 0 || strcmp(k->sources[i].path, path) != 0))
        i++;
    if (i < k->source_count) {
        if (place != NULL && !strlist_contains(&k->sources[i].places, place))
            strlist_add(&k->sources[i].places, place);
        return;
    }
    k->sources = mem_array(k->sources, k->source_count + 1, sizeof *k->sources);
    k->sources[k->source_count] = (struct kit_source){.kind = kind, .tier = mem_strdup(tier), .path = mem_strdup(path)};
    if (place != NULL)
        strlist_add(&k->sources[k->source_count].places, place);
    k->source_count++;
}

static const char *tier_of(const struct snapshot *s)
{
    static const char TAG[] = "tier=";
    for (size_t i = 0; i < s->tags.count; i++)
        if (strncmp(s->tags.items[i], TAG, sizeof TAG - 1) == 0)
            return s->tags.items[i] + sizeof TAG - 1;
    return NULL;
}

/* Of tiers that the plan still has: what others left there is not what would be restored. */
static void take_snapshots(struct kit *k, struct repo *repo, const char *place)
{
    struct snapshot_list list = {0};
    struct strlist broken = {0};
    if (repo_load_snapshots(repo, &list, &broken, NULL) == 0)
        for (size_t i = list.count; i-- > 0;) {
            const struct snapshot *s = &list.items[i];
            const char *tier = tier_of(s);
            if (tier == NULL || s->paths.count == 0 || plan_tier_find(k->plan, tier) == NULL || s->hostname == NULL ||
                strcmp(s->hostname, k->host) != 0)
                continue;
            enum kit_kind kind = kind_of_path(s->paths.items[0]);
            bool sqlite =
                kind == KIT_FILES && strlist_contains(&plan_tier_find(k->plan, tier)->sqlite, s->paths.items[0]);
            add_source(k, sqlite ? KIT_SQLITE : kind, tier, s->paths.items[0], place);
            k->from_repository = true;
        }
    strlist_release(&broken);
    snapshot_list_release(&list);
}

/* "db.example:5433" of a URL, without the usual port; "local" when it names no host. The caller frees it. */
static char *host_of_url(const char *url)
{
    static const char USUAL[] = ":5432";
    const char *start = strstr(url, "://");
    start = start != NULL ? start + 3 : url;
    size_t len = strcspn(start, "/?");
    const char *at = memrchr(start, '@', len);
    if (at != NULL) {
        len -= (size_t)(at + 1 - start);
        start = at + 1;
    }
    if (len > sizeof USUAL - 1 && strncmp(start + len - (sizeof USUAL - 1), USUAL, sizeof USUAL - 1) == 0)
        len -= sizeof USUAL - 1;
    return len > 0 ? mem_strndup(start, len) : mem_strdup("local");
}

static char *postgres_path(const struct plan_postgres *p)
{
    char *name = p->container != NULL ? mem_strdup(p->container)
                 : p->url != NULL     ? host_of_url(p->url)
                                      : mem_strdup("local");
    char *path =
        mem_printf("/postgres/%s%s%s", name, p->database != NULL ? "/" : "", p->database != NULL ? p->database : "");
    free(name);
    return path;
}

/* By the names that the sources will give themselves. */
static void take_servers(struct kit *k, const struct plan_tier *t)
{
    for (size_t i = 0; i < t->postgres_count; i++) {
        char *path = postgres_path(&t->postgres[i]);
        add_source(k, KIT_POSTGRES, t->name, path, NULL);
        free(path);
    }
    for (size_t i = 0; i < t->redis_count; i++) {
        const struct plan_redis *r = &t->redis[i];
        char *path = redis_source_path(&(struct redis_options){.container = r->container, .url = r->url});
        if (path != NULL)
            add_source(k, KIT_REDIS, t->name, path, NULL);
        free(path);
    }
}

/* Before the first run. */
static void take_plan(struct kit *k)
{
    for (size_t i = 0; i < k->plan->tier_count; i++) {
        const struct plan_tier *t = &k->plan->tiers[i];
        if (t->disabled || t->format != PLAN_REPOSITORY)
            continue;
        if (t->files.count > 0)
            add_source(k, KIT_FILES, t->name, t->files.items[0], NULL);
        for (size_t g = 0; g < t->git_count; g++) {
            char *path = mem_printf("/git%s", t->git[g].path);
            add_source(k, KIT_GIT, t->name, path, NULL);
            free(path);
        }
        take_servers(k, t);
        for (size_t s = 0; s < t->sqlite.count; s++)
            add_source(k, KIT_SQLITE, t->name, t->sqlite.items[s], NULL);
    }
}

/* Destinations that could not be asked are believed to hold what the plan sends there. */
static void add_places_by_plan(struct kit *k)
{
    for (size_t i = 0; i < k->source_count; i++)
        for (size_t n = 0; n < k->destination_count; n++) {
            const struct kit_destination *d = &k->destinations[n];
            struct kit_source *s = &k->sources[i];
            if ((!d->asked || !k->from_repository) && !strlist_contains(&s->places, d->plan->name) &&
                strlist_contains(&plan_tier_find(k->plan, s->tier)->to, d->plan->name))
                strlist_add(&s->places, d->plan->name);
        }
}

static int by_tier_and_kind(const void *a, const void *b)
{
    const struct kit_source *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int tiers = strcmp(x->tier, y->tier);
    return tiers != 0 ? tiers : strcmp(x->path, y->path);
}

/* --- destinations --- */

static void note(struct kit_destination *out, const char *text)
{
    free(out->note);
    out->note = mem_strdup(text);
}

static void look_into(struct kit *k, struct kit_destination *out)
{
    struct repo *repo;
    struct err err = {0};
    if (destination_open(k->plan, out->plan, NULL, false, &repo, &err) < 0) {
        note(out, err.code == ERR_NO_REPOSITORY
                      ? "no repository there yet: print this page again after the first backup"
                      : err.message);
        return;
    }
    char hex[ID_HEX_BYTES];
    out->repository = mem_strdup(id_to_hex(&repo->config.id, hex));
    out->asked = true;
    take_snapshots(k, repo, out->plan->name);
    repo_free(repo);
}

static size_t passphrase_of(const struct kit *k, const struct plan_destination *d)
{
    size_t i = 0;
    while (i + 1 < k->passphrase_count && !strlist_contains(&k->passphrases[i].opens, d->name))
        i++;
    return i;
}

static void add_destination(struct kit *k, const struct plan_destination *d, const char *state_dir)
{
    struct kit_destination out = {.plan = d, .passphrase = passphrase_of(k, d)};
    for (size_t i = 0; i < k->plan->tier_count; i++) {
        const struct plan_tier *t = &k->plan->tiers[i];
        if (!t->disabled && strlist_contains(&t->to, d->name))
            *(t->format == PLAN_ARCHIVE ? &out.has_archives : &out.has_repository) = true;
    }
    const struct destination_options options = {.state_dir = state_dir, .look_only = true};
    struct destination_check c;
    destination_check(d, &options, &c);
    out.path = c.path != NULL ? mem_strdup(c.path) : NULL;
    bool there =
        c.problem == DESTINATION_OK || c.problem == DESTINATION_NO_SPACE || c.problem == DESTINATION_NOT_WRITABLE;
    if (!there)
        note(&out, c.err.message);
    else if (out.has_repository)
        look_into(k, &out);
    if (there && out.path != NULL)
        out.mount = mount_command(out.path);
    if (out.has_archives)
        out.archives = destination_archive_dir(k->plan, d);
    destination_check_release(&c);
    k->destinations = mem_array(k->destinations, k->destination_count + 1, sizeof *k->destinations);
    k->destinations[k->destination_count++] = out;
}

/* --- all of it --- */

static struct kit_passphrase *add_passphrase(struct kit *k, const struct secret *s, const char *name)
{
    char whereabouts[512];
    secret_describe(s, whereabouts, sizeof whereabouts);
    k->passphrases = mem_array(k->passphrases, k->passphrase_count + 1, sizeof *k->passphrases);
    struct kit_passphrase *p = &k->passphrases[k->passphrase_count];
    *p = (struct kit_passphrase){.whereabouts = mem_strdup(whereabouts)};
    /* The first one's name is what somebody types who has only one. */
    p->file = k->passphrase_count++ == 0 ? mem_strdup("passphrase.txt") : mem_printf("passphrase-%s.txt", name);
    return p;
}

/* Everything that opens anything: the plan's, where a destination goes by it, and each that a destination has of its
 * own. */
static int take_passphrases(struct kit *k, bool with_text, struct err *err)
{
    const struct plan *p = k->plan;
    struct strlist without = {0};
    int rc = 0;
    k->with_passphrase = with_text;
    for (size_t i = 0; i < p->destination_count; i++)
        if (p->destinations[i].passphrase.kind == SECRET_NONE)
            strlist_add(&without, p->destinations[i].name);
    if (without.count > 0 && p->passphrase.kind != SECRET_NONE) {
        struct kit_passphrase *out = add_passphrase(k, &p->passphrase, NULL);
        strlist_copy(&out->opens, &without);
        if (with_text && secret_fetch(&p->passphrase, &out->text, err) < 0)
            rc = err_wrap(err, "the passphrase for the page");
    }
    for (size_t i = 0; rc == 0 && i < p->destination_count; i++) {
        const struct plan_destination *d = &p->destinations[i];
        if (d->passphrase.kind == SECRET_NONE)
            continue;
        struct kit_passphrase *out = add_passphrase(k, &d->passphrase, d->name);
        strlist_add(&out->opens, d->name);
        if (with_text && secret_fetch(&d->passphrase, &out->text, err) < 0)
            rc = err_wrap(err, "the passphrase of destination '%s' for the page", d->name);
    }
    strlist_release(&without);
    return rc;
}

int recovery_kit_make(const struct plan *p, const char *state_dir, const char *version, bool with_passphrase,
                      struct kit *out, struct err *err)
{
    *out = (struct kit){.plan = p, .version = version};
    char host[256] = "localhost", when[OS_TIME_BYTES];
    struct timespec now = os_now();
    gethostname(host, sizeof host - 1);
    out->host = mem_strdup(p->host != NULL ? p->host : host);
    os_time_format_human(&now, when);
    when[16] = '\0'; /* seconds mean nothing here */
    out->made = mem_strdup(when);
    if (take_passphrases(out, with_passphrase, err) < 0)
        return -1;
    for (size_t i = 0; i < p->destination_count; i++)
        add_destination(out, &p->destinations[i], state_dir);
    if (!out->from_repository)
        take_plan(out);
    add_places_by_plan(out);
    if (out->source_count > 0)
        qsort(out->sources, out->source_count, sizeof *out->sources, by_tier_and_kind);
    return 0;
}

void recovery_kit_release(struct kit *k)
{
    for (size_t i = 0; i < k->destination_count; i++) {
        struct kit_destination *d = &k->destinations[i];
        free(d->path);
        free(d->mount);
        free(d->repository);
        free(d->archives);
        free(d->note);
    }
    for (size_t i = 0; i < k->source_count; i++) {
        free(k->sources[i].tier);
        free(k->sources[i].path);
        strlist_release(&k->sources[i].places);
    }
    for (size_t i = 0; i < k->passphrase_count; i++) {
        free(k->passphrases[i].file);
        free(k->passphrases[i].whereabouts);
        mem_wipe_string(k->passphrases[i].text);
        strlist_release(&k->passphrases[i].opens);
    }
    free(k->passphrases);
    free(k->destinations);
    free(k->sources);
    free(k->host);
    free(k->made);
    *k = (struct kit){0};
}
