/*
 * A backup, from top to bottom: scan, open, lock, find the parent, walk and store, write index then snapshot.
 */
#include "engine/backup.h"

#include <pthread.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/interrupt.h"
#include "sink/repo_sink.h"

enum { FREE_MIN_BYTES = 64 << 10 }; /* with less no backup is begun */

struct run {
    const struct backup_options *options;
    const struct sink_reporter *reporter; /* the caller's */
    struct sink_reporter counting;        /* in front of it */
    pthread_mutex_t mutex;                /* guards first_unreadable */
    struct err first_unreadable;
    struct backup_progress *progress;
    struct repo *repo;
    struct lock *lock;
    struct writer *writer;
    struct repo_sink *sink;
    struct snapshot parent;
    struct snapshot made;
    struct timespec started;
    uint64_t started_ns;
};

/*
 * Reports pass through here to be counted.
 */

static void count_unreadable(void *ctx, const char *path, const struct err *err)
{
    struct run *r = ctx;
    atomic_fetch_add(&r->progress->errors, 1);
    pthread_mutex_lock(&r->mutex);
    if (r->first_unreadable.code == ERR_NONE)
        r->first_unreadable = *err;
    pthread_mutex_unlock(&r->mutex);
    if (!r->options->source->strict)
        r->reporter->unreadable(r->reporter->ctx, path, err);
}

static void pass_warning(void *ctx, const char *path, const char *what)
{
    struct run *r = ctx;
    r->reporter->warning(r->reporter->ctx, path, what);
}

static void pass_excluded(void *ctx, const char *path, const char *why)
{
    struct run *r = ctx;
    r->reporter->excluded(r->reporter->ctx, path, why);
}

static void set_up_reports(struct run *r)
{
    pthread_mutex_init(&r->mutex, NULL);
    r->counting = (struct sink_reporter){
        .ctx = r,
        .unreadable = count_unreadable,
        .warning = pass_warning,
        .excluded = r->reporter->excluded != NULL ? pass_excluded : NULL,
    };
}

/*
 * Before storing.
 */

static int take_lock(struct run *r, struct err *err)
{
    uint64_t free_bytes;
    if (r->options->no_lock || r->options->dry_run)
        return 0;
    /* A lock that does not fit would take the reserve, which is for those who make room. */
    if ((r->repo->store->features & STORE_FREE_SPACE) && store_free_space(r->repo->store, &free_bytes, NULL) == 0 &&
        free_bytes < FREE_MIN_BYTES)
        return err_set(err, ERR_NO_SPACE, "repository '%s' is full", r->repo->store->location);
    return lock_begin(&r->lock, r->repo, false, r->options->retry_lock_ms, err);
}

static bool same_paths(const struct snapshot *a, const struct strlist *paths)
{
    if (a->paths.count != paths->count)
        return false;
    for (size_t i = 0; i < paths->count; i++)
        if (!strlist_contains(&a->paths, paths->items[i]))
            return false;
    return true;
}

static bool shares_a_path(const struct snapshot *a, const struct strlist *paths)
{
    for (size_t i = 0; i < paths->count; i++)
        if (strlist_contains(&a->paths, paths->items[i]))
            return true;
    return false;
}

/* The newest snapshot of this host and these paths, not newer than the one that is being made; where there is none, the
 * newest that shares a path: an agent's home that gained a workspace is still mostly what it was. */
static const struct snapshot *find_latest(const struct run *r, const struct snapshot_list *all)
{
    const struct snapshot *best = NULL, *similar = NULL;
    for (size_t i = 0; i < all->count; i++) {
        const struct snapshot *s = &all->items[i];
        bool later = s->time.tv_sec > r->made.time.tv_sec ||
                     (s->time.tv_sec == r->made.time.tv_sec && s->time.tv_nsec > r->made.time.tv_nsec);
        if (later || s->hostname == NULL || strcmp(s->hostname, r->options->hostname) != 0)
            continue;
        if (same_paths(s, &r->made.paths))
            best = s;
        else if (shares_a_path(s, &r->made.paths))
            similar = s;
    }
    return best != NULL ? best : similar;
}

static const struct snapshot *find_by_id(const struct snapshot_list *all, const struct id *id)
{
    for (size_t i = 0; i < all->count; i++)
        if (id_equal(&all->items[i].id, id))
            return &all->items[i];
    return NULL;
}

/* Fills r->made's parent, and r->parent. A broken snapshot elsewhere must not stop a backup. */
static int find_parent(struct run *r, struct err *err)
{
    struct snapshot_list all;
    struct strlist broken = {0};
    struct id id;
    const struct snapshot *found = NULL;
    const char *wish = r->options->parent;
    if (wish == NULL && r->options->force)
        return 0;
    if (repo_load_snapshots(r->repo, &all, &broken, err) != 0)
        return -1;
    int rc = 0;
    if (wish == NULL || strcmp(wish, "latest") == 0)
        found = find_latest(r, &all);
    else if ((rc = repo_find_id(r->repo, STORE_SNAPSHOT, wish, &id, err)) == 0)
        found = find_by_id(&all, &id);
    if (found != NULL) {
        r->made.has_parent = true;
        r->made.parent = found->id;
        r->parent.tree = found->tree;
        r->parent.has_summary = found->has_summary;
        r->parent.summary = found->summary;
    }
    strlist_release(&broken);
    snapshot_list_release(&all);
    return rc;
}

static void expect_totals(struct run *r)
{
    if (r->parent.has_summary) {
        atomic_store(&r->progress->total_files, r->parent.summary.total_files_processed);
        atomic_store(&r->progress->total_bytes, r->parent.summary.total_bytes_processed);
    }
}

static int confirm_lock(void *ctx, struct err *err)
{
    struct run *r = ctx;
    return r->lock != NULL ? lock_confirm(r->lock, err) : 0;
}

static int open_sink(struct run *r, struct err *err)
{
    struct repo_sink_options options = {
        .parent_tree = r->made.has_parent ? &r->parent.tree : NULL,
        .force = r->options->force,
        .ignore_ctime = r->options->ignore_ctime,
        .ignore_inode = r->options->ignore_inode,
    };
    r->writer = writer_new(r->repo, r->options->dry_run, err);
    if (r->writer == NULL)
        return -1;
    writer_set_gate(r->writer, confirm_lock, r);
    writer_set_lock(r->writer, r->lock);
    r->sink = repo_sink_new(r->repo, r->writer, &options, &r->counting, r->progress, err);
    return r->sink != NULL ? 0 : -1;
}

/*
 * Storing.
 */

static int walk_and_store(struct run *r, struct err *err)
{
    atomic_store(&r->progress->stage, "reading");
    int rc = open_sink(r, err);
    if (rc == 0)
        rc = source_push(r->options->source, repo_sink_base(r->sink), &r->counting, err);
    if (rc == 0)
        rc = repo_sink_finish(r->sink, &r->made.tree, err);
    /* A dump that failed must not leave a snapshot that looks complete: what is counted for files is an error here. */
    if (rc == 0 && r->options->source->strict && r->first_unreadable.code != ERR_NONE) {
        if (err != NULL)
            *err = r->first_unreadable;
        return -1;
    }
    return rc;
}

/*
 * Afterwards.
 */

static void fill_summary(struct run *r)
{
    struct writer_stats stats;
    struct snapshot_summary *s = &r->made.summary;
    repo_sink_summary(r->sink, s);
    writer_stats(r->writer, &stats);
    s->backup_start = r->started;
    s->backup_end = os_now();
    s->data_blobs = stats.data_blobs;
    s->tree_blobs = stats.tree_blobs;
    s->data_added = stats.data_bytes + stats.tree_bytes;
    s->data_added_packed = stats.data_stored + stats.tree_stored;
    r->made.has_summary = true;
}

/* Everything that the snapshot names must be durable before it. */
static int save_snapshot(struct run *r, struct err *err)
{
    atomic_store(&r->progress->stage, "finishing");
    if (writer_flush(r->writer, err) != 0 || confirm_lock(r, err) != 0 || lock_prove(r->lock, err) != 0 ||
        os_check_interrupt(err) != 0)
        return -1;
    struct codec *codec = codec_new(r->repo, err);
    if (codec == NULL)
        return -1;
    int rc = repo_save_snapshot(r->repo, codec, &r->made, err);
    codec_free(codec);
    if (rc == 0)
        store_reserve_keep(r->repo->store);
    return rc;
}

static bool nothing_changed(const struct run *r)
{
    return r->made.has_parent && id_equal(&r->parent.tree, &r->made.tree);
}

static void describe_snapshot(struct run *r)
{
    const struct backup_options *o = r->options;
    const struct passwd *pw = getpwuid(getuid());
    snapshot_init(&r->made);
    r->made.time = o->time != NULL ? *o->time : r->started;
    strlist_copy(&r->made.paths, &o->source->paths);
    if (o->exclude_list != NULL)
        strlist_copy(&r->made.excludes, o->exclude_list);
    if (o->tags != NULL)
        strlist_copy(&r->made.tags, o->tags);
    r->made.hostname = mem_strdup(o->hostname);
    r->made.username = pw != NULL ? mem_strdup(pw->pw_name) : NULL;
    r->made.has_uid = true;
    r->made.uid = getuid();
    r->made.gid = getgid();
    r->made.program_version = mem_strdup(o->program_version);
}

static void fill_result(const struct run *r, bool saved, struct backup_result *out)
{
    *out = (struct backup_result){
        .snapshot_id = r->made.id,
        .tree_id = r->made.tree,
        .parent_id = r->made.parent,
        .has_parent = r->made.has_parent,
        .saved = saved,
        .summary = r->made.summary,
        .unreadable = atomic_load(&r->progress->errors),
        .duration_ns = os_monotonic_ns() - r->started_ns,
    };
}

static void release(struct run *r, bool failed)
{
    repo_sink_free(r->sink);
    if (failed && r->writer != NULL && lock_check(r->lock, NULL) == 0)
        writer_salvage(r->writer);
    writer_free(r->writer);
    lock_release(r->lock);
    repo_free(r->repo);
    snapshot_release(&r->made);
    pthread_mutex_destroy(&r->mutex);
}

int backup_run(backup_open_fn *open, void *open_ctx, const struct backup_options *options,
               const struct sink_reporter *reporter, struct backup_progress *progress, struct backup_result *out,
               struct err *err)
{
    struct run r = {.options = options,
                    .reporter = reporter,
                    .progress = progress,
                    .started = os_now(),
                    .started_ns = os_monotonic_ns()};
    bool save = !options->dry_run;
    set_up_reports(&r);
    describe_snapshot(&r);
    /* Scanning starts first: it needs no key, and deriving the key takes a tenth of a second. */
    int rc = source_start(options->source, &r.counting, err);
    if (rc == 0)
        rc = open(open_ctx, &r.repo, err);
    if (rc == 0)
        rc = repo_check_writable(r.repo, err);
    if (rc == 0)
        rc = take_lock(&r, err);
    if (rc == 0)
        rc = repo_load_index(r.repo, NULL, err);
    if (rc == 0)
        rc = find_parent(&r, err);
    if (rc == 0) {
        expect_totals(&r);
        rc = walk_and_store(&r, err);
    }
    if (rc == 0) {
        fill_summary(&r);
        if (options->skip_if_unchanged && nothing_changed(&r))
            save = false;
        if (save)
            rc = save_snapshot(&r, err);
    }
    if (rc == 0)
        fill_result(&r, save, out);
    release(&r, rc != 0);
    return rc;
}
