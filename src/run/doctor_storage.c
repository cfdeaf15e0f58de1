/* Where backups go: destinations, their repositories and archives, room. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/bytes.h"
#include "base/mem.h"
#include "engine/check.h"
#include "monitor/record.h"
#include "repo/lock.h"
#include "run/destination.h"
#include "run/doctor_checks.h"
#include "run/manifest.h"
#include "run/mounts.h"
#include "sink/archive_file.h"

enum { RECORDS_READ = 100, SERVER_MS = 10000 };

static bool goes_to(const struct plan_tier *t, const struct plan_destination *d)
{
    return !t->disabled && strlist_contains(&t->to, d->name);
}

static void sources_of(const struct plan *p, const struct plan_destination *d, struct strlist *out)
{
    for (size_t i = 0; i < p->tier_count; i++) {
        const struct plan_tier *t = &p->tiers[i];
        if (goes_to(t, d))
            destination_sources(t, out);
    }
}

static void look_at(const struct doctor *d, const struct plan_destination *dest, struct destination_check *out)
{
    struct strlist sources = {0};
    sources_of(d->plan, dest, &sources);
    const struct destination_options options = {
        .state_dir = d->options->state_dir, .sources = &sources, .look_only = true};
    destination_check(dest, &options, out);
    strlist_release(&sources);
}

/* --- destinations --- */

static const char *advice_for(const struct destination_check *c)
{
    switch (c->problem) {
    case DESTINATION_MISSING:
        return "plug the drive in and mount it; or make the directory, or correct its path";
    case DESTINATION_NOT_MOUNTED:
        return "plug the drive in and mount it; nothing is written until then";
    case DESTINATION_WRONG_DRIVE:
        return "plug the right drive in; if this is to be the one: clawback run --adopt-destination NAME";
    case DESTINATION_NOT_WRITABLE:
        return "give this user the right to write there";
    case DESTINATION_NO_SPACE:
        return "make room, or keep less (clawback plan shows what a tier takes)";
    case DESTINATION_UNUSABLE:
    case DESTINATION_OK:
        break;
    }
    return "see the message";
}

static void one_destination(struct doctor *d, const struct plan_destination *dest)
{
    struct destination_check c;
    look_at(d, dest, &c);
    if (c.problem != DESTINATION_OK) {
        doctor_say(d, DOCTOR_RED, advice_for(&c), "%s", c.err.message);
    } else {
        doctor_say(d, DOCTOR_GREEN, NULL, "'%s' is there and writable%s%s%s", dest->name, c.local ? " (" : "",
                   c.local ? c.path : "", c.local ? ")" : "");
    }
    for (size_t i = 0; i < c.warnings.count; i++)
        doctor_say(d, DOCTOR_YELLOW, "add a destination on another disk, a NAS or another machine", "%s",
                   c.warnings.items[i]);
    destination_check_release(&c);
}

void doctor_destinations(struct doctor *d)
{
    for (size_t i = 0; i < d->plan->destination_count; i++)
        one_destination(d, &d->plan->destinations[i]);
}

/* --- repositories --- */

struct finding {
    uint64_t count;
    char first[512];
};

static void keep_first(void *ctx, const struct check_problem *p)
{
    struct finding *f = ctx;
    if (check_kind_is_error(p->kind) && f->count++ == 0)
        snprintf(f->first, sizeof f->first, "%s", p->message);
}

static void pass_damage(void *ctx, const struct damage *damage)
{
    (void)ctx, (void)damage; /* `clawback check` names the files */
}

static void check_structure(struct doctor *d, const struct plan_destination *dest, struct repo *repo)
{
    struct finding finding = {0};
    const struct check_reporter reporter = {.ctx = &finding, .problem = keep_first, .damage = pass_damage};
    const struct check_options options = {0};
    struct check_result result;
    struct err err = {0};
    char advice[1024];
    snprintf(advice, sizeof advice, "see what is touched: clawback -r '%s' check", dest->location);
    if (check_run(repo, NULL, &options, &reporter, NULL, &result, &err) < 0)
        doctor_say(d, DOCTOR_RED, advice, "the repository at '%s' cannot be checked: %s", dest->name, err.message);
    else if (result.errors > 0)
        doctor_say(d, DOCTOR_RED, advice, "the repository at '%s' is damaged: %s%s", dest->name, finding.first,
                   result.errors > 1 ? ", and more" : "");
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "the repository at '%s' opens and is complete: %llu snapshots in %llu packs",
                   dest->name, (unsigned long long)result.snapshots, (unsigned long long)result.packs);
}

static void look_at_locks(struct doctor *d, const struct plan_destination *dest, struct repo *repo)
{
    struct codec *codec = codec_new(repo, NULL);
    struct id *ids = NULL;
    size_t count = 0, stale = 0;
    struct lock_info info;
    char advice[1024];
    if (codec != NULL && repo_list_ids(repo, STORE_LOCK, &ids, &count, NULL) == 0)
        for (size_t i = 0; i < count; i++)
            stale += lock_read(repo, codec, &ids[i], &info, NULL) == 0 && lock_is_stale(&info);
    snprintf(advice, sizeof advice, "remove them: clawback -r '%s' unlock", dest->location);
    if (stale > 0)
        doctor_say(d, DOCTOR_YELLOW, advice, "'%s' holds %zu stale lock%s of runs that died", dest->name, stale,
                   stale == 1 ? "" : "s");
    free(ids);
    codec_free(codec);
}

static void one_repository(struct doctor *d, const struct plan_destination *dest)
{
    struct repo *repo;
    struct err err = {0};
    if (destination_open(d->plan, dest, NULL, false, &repo, &err) < 0) {
        if (err.code == ERR_NO_REPOSITORY)
            doctor_say(d, DOCTOR_YELLOW, "the first run makes it: clawback run --all",
                       "there is no repository at '%s' yet", dest->name);
        else
            doctor_say(d, DOCTOR_RED,
                       err.code == ERR_WRONG_PASSPHRASE
                           ? "nothing there can be read without the passphrase it was made with: look for that one"
                           : "see the message",
                       "%s", err.message);
        return;
    }
    look_at_locks(d, dest, repo);
    if (d->options->quick)
        doctor_say(d, DOCTOR_GREEN, NULL, "the repository at '%s' opens with the passphrase", dest->name);
    else
        check_structure(d, dest, repo);
    repo_free(repo);
}

/* One whose dump failed is not the one to rely on. */
static void say_archives(struct doctor *d, const struct plan_destination *dest, const struct archive_list *l)
{
    const struct archive_file *newest = &l->items[l->count - 1];
    bool failed = newest->lacks == ARCHIVE_LACKS_FAILED;
    char size[BYTES_TEXT_BYTES];
    doctor_say(d, failed ? DOCTOR_YELLOW : DOCTOR_GREEN,
               failed ? "'clawback runs' tells why; 'latest' leads to one that has all, where there is one" : NULL,
               "'%s' holds %zu archive%s (%s), the newest '%s'%s", dest->name, l->count, l->count == 1 ? "" : "s",
               bytes_text(l->total_bytes, size), newest->name, failed ? ", which lacks what failed in its run" : "");
}

static void one_archive_dir(struct doctor *d, const struct plan_destination *dest)
{
    char *dir = destination_archive_dir(d->plan, dest);
    struct archive_list list = {0};
    if (dir != NULL && access(dir, F_OK) == 0 && archive_list_load(&list, dir, NULL, NULL) == 0 && list.count > 0)
        say_archives(d, dest, &list);
    else
        doctor_say(d, DOCTOR_YELLOW, "its first run makes one: clawback run --all", "there is no archive at '%s' yet",
                   dest->name);
    archive_list_release(&list);
    free(dir);
}

void doctor_repositories(struct doctor *d)
{
    for (size_t i = 0; i < d->plan->destination_count; i++) {
        const struct plan_destination *dest = &d->plan->destinations[i];
        bool repository = false, archive = false;
        for (size_t k = 0; k < d->plan->tier_count; k++)
            if (goes_to(&d->plan->tiers[k], dest)) {
                repository = repository || d->plan->tiers[k].format == PLAN_REPOSITORY;
                archive = archive || d->plan->tiers[k].format == PLAN_ARCHIVE;
            }
        struct destination_check c;
        look_at(d, dest, &c);
        bool there =
            c.problem == DESTINATION_OK || c.problem == DESTINATION_NO_SPACE || c.problem == DESTINATION_NOT_WRITABLE;
        destination_check_release(&c);
        if (!there)
            continue; /* said under "destinations" */
        if (repository)
            one_repository(d, dest);
        if (archive)
            one_archive_dir(d, dest);
    }
}

/* --- room --- */

/* What the next run of the tier will add there: what the last ones did at most; before there were any, all of it. */
static uint64_t expected_bytes(struct doctor *d, const struct plan_tier *t, const struct plan_destination *dest)
{
    struct record_list l = {0};
    uint64_t most = 0;
    bool known = false;
    record_list_read(d->options->state_dir, t->name, RECORDS_READ, &l, NULL);
    for (size_t i = 0; i < l.count; i++)
        for (size_t k = 0; k < l.items[i].destination_count; k++) {
            const struct record_destination *r = &l.items[i].destinations[k];
            if (r->name == NULL || strcmp(r->name, dest->name) != 0 || r->status != RECORD_COMPLETED)
                continue;
            known = true;
            most = r->bytes_added > most ? r->bytes_added : most;
        }
    record_list_release(&l);
    if (known)
        return most;
    const struct manifest_options options = {
        .cache_dir = d->options->cache_dir, .servers = true, .server_timeout_ms = SERVER_MS};
    struct manifest m;
    if (manifest_make(d->plan, t, &options, NULL, &m, NULL) == 0) {
        most = m.bytes;
        for (size_t i = 0; i < m.item_count; i++)
            most += m.items[i].bytes;
    }
    manifest_release(&m);
    return most;
}

static void room_at(struct doctor *d, const struct plan_destination *dest)
{
    char free_text[32], need_text[32];
    struct destination_check c;
    uint64_t need = 0;
    look_at(d, dest, &c);
    uint64_t usable = c.free_bytes > dest->reserve_bytes ? c.free_bytes - dest->reserve_bytes : 0;
    bool known = c.local && c.total_bytes > 0 && (c.problem == DESTINATION_OK || c.problem == DESTINATION_NO_SPACE);
    destination_check_release(&c);
    if (!known)
        return;
    for (size_t i = 0; i < d->plan->tier_count; i++)
        if (goes_to(&d->plan->tiers[i], dest))
            need += expected_bytes(d, &d->plan->tiers[i], dest);
    bytes_text(usable, free_text);
    bytes_text(need, need_text);
    if (usable < need)
        doctor_say(d, DOCTOR_RED, "make room there, or take another destination",
                   "'%s' has %s free besides its reserve; the next runs may need %s", dest->name, free_text, need_text);
    else if (usable / 3 < need)
        doctor_say(d, DOCTOR_YELLOW, "make room there soon",
                   "'%s' has %s free besides its reserve; the next runs may need %s each time", dest->name, free_text,
                   need_text);
    else
        doctor_say(d, DOCTOR_GREEN, NULL, "'%s' has %s free besides its reserve; the next runs need %s at most",
                   dest->name, free_text, need_text);
}

/* clawback's own state and cache must be writable too. */
static void state_room(struct doctor *d)
{
    struct mount_space space;
    struct err err = {0};
    char *there = mounts_existing(d->options->state_dir), text[32];
    if (mounts_space(there, &space, &err) < 0)
        doctor_say(d, DOCTOR_RED, "see the message", "%s", err.message);
    else if (!space.writable)
        doctor_say(d, DOCTOR_RED, "give this user the right to write there, or set CLAWBACK_STATE_DIR",
                   "clawback's state cannot be kept in '%s'", d->options->state_dir);
    else if (space.free_bytes < (uint64_t)50 << 20 || space.free_inodes < 1000)
        doctor_say(d, DOCTOR_YELLOW, "make room on this machine's own disk",
                   "the disk with clawback's state is nearly full (%s free)", bytes_text(space.free_bytes, text));
    free(there);
}

void doctor_space(struct doctor *d)
{
    for (size_t i = 0; i < d->plan->destination_count; i++)
        room_at(d, &d->plan->destinations[i]);
    state_room(d);
}
