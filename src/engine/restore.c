#include "engine/restore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/mem.h"
#include "engine/restore_internal.h"
#include "os/clock.h"
#include "os/interrupt.h"

enum { REMOTE_BATCH_BYTES = 4 << 20, FD_LIMIT = 65536 };

/* --- what the other files ask for --- */

bool restore_stopped(struct restore *r)
{
    return atomic_load_explicit(&r->stopped, memory_order_relaxed) || os_interrupted();
}

static void stop(struct restore *r, const struct err *err)
{
    pthread_mutex_lock(&r->fatal_mutex);
    if (!atomic_load(&r->stopped))
        r->fatal = *err;
    atomic_store(&r->stopped, true);
    pthread_mutex_unlock(&r->fatal_mutex);
}

static void report_path(struct restore *r, const char *path, const struct err *err)
{
    atomic_fetch_add(&r->progress->errors, 1);
    if (r->reporter->error != NULL)
        r->reporter->error(r->reporter->ctx, path, err);
}

void restore_report(struct restore *r, const struct rdir *dir, const char *name, const struct err *err)
{
    char *path = rdir_path(dir, name);
    report_path(r, path, err);
    if (err->code == ERR_NO_SPACE) {
        struct err full = *err;
        err_wrap(&full, "'%s'", path);
        stop(r, &full);
    }
    free(path);
}

void restore_warn(struct restore *r, const struct rdir *dir, const char *name, const char *what)
{
    if (r->reporter->warning == NULL)
        return;
    char *path = rdir_path(dir, name);
    r->reporter->warning(r->reporter->ctx, path, what);
    free(path);
}

void restore_note(struct restore *r, enum restore_action action, const struct rdir *dir, const char *name,
                  uint64_t bytes)
{
    if (r->reporter->item == NULL)
        return;
    char *path = rdir_path(dir, name);
    r->reporter->item(r->reporter->ctx, action, path, bytes);
    free(path);
}

bool restore_selects(const struct restore *r, const char *path)
{
    const struct restore_options *o = r->options;
    return (o->include == NULL || filter_match(o->include, path)) &&
           (o->exclude == NULL || !filter_match(o->exclude, path));
}

bool restore_may_select_below(const struct restore *r, const char *path)
{
    const struct restore_options *o = r->options;
    return (o->include == NULL || filter_may_match_below(o->include, path)) &&
           (o->exclude == NULL || !filter_match(o->exclude, path));
}

bool restore_protects(const struct restore *r, const struct node *node, const struct stat *st)
{
    switch (r->options->overwrite) {
    case RESTORE_NEVER:
        return true;
    case RESTORE_IF_NEWER:
        return st->st_mtim.tv_sec > node->mtime.tv_sec ||
               (st->st_mtim.tv_sec == node->mtime.tv_sec && st->st_mtim.tv_nsec >= node->mtime.tv_nsec);
    default:
        return false;
    }
}

/* --- the walk --- */

static void flush_batch(struct restore *r)
{
    if (r->batch != NULL)
        pool_submit(r->pool, restore_batch_run, r->batch);
    r->batch = NULL;
}

static void add_entry(struct restore *r, struct rdir *dir, const struct node *n)
{
    if (!rdir_open(r, dir) && !dir->missing)
        return;
    bool large = restore_is_large(n);
    if (large)
        flush_batch(r);
    if (r->batch == NULL) {
        r->batch = mem_alloc(sizeof *r->batch);
        r->batch->run = r;
        r->batch->count = 0;
        r->batch->bytes = 0;
    }
    rdir_hold(dir);
    r->batch->items[r->batch->count++] = (struct restore_item){.dir = dir, .node = n};
    r->batch->bytes += n->type == NODE_FILE ? n->size : 0;
    if (large || r->batch->count == RESTORE_BATCH_ITEMS || r->batch->bytes >= r->batch_bytes)
        flush_batch(r);
}

static int stop_error(struct restore *r, struct err *err)
{
    if (os_check_interrupt(err) < 0)
        return -1;
    pthread_mutex_lock(&r->fatal_mutex);
    if (err != NULL)
        *err = r->fatal;
    pthread_mutex_unlock(&r->fatal_mutex);
    return -1;
}

static int visit_entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct restore *r = ctx;
    struct rdir *d = dir->user;
    if (restore_stopped(r))
        return stop_error(r, err);
    if (d->failed || (dir->depth == 0 && r->only != NULL && strcmp(n->name, r->only) != 0))
        return WALK_PRUNE;
    bool selected = restore_selects(r, path);
    if (selected)
        r->seen_files++;
    if (selected && r->counted != NULL)
        r->seen_bytes += restore_bytes_of(r, r->counted, n);
    if (n->type == NODE_DIR) {
        r->entry_selected = selected;
        return selected || restore_may_select_below(r, path) ? WALK_GO : WALK_PRUNE;
    }
    if (selected)
        add_entry(r, d, n);
    return WALK_GO;
}

static void delete_extra(struct restore *r, struct rdir *d, const char *path)
{
    if (r->options->delete_extra && r->mode != MODE_VERIFY && r->only == NULL)
        restore_delete_extra(r, d, path);
}

static int visit_enter(void *ctx, struct walk_dir *dir, const char *path, struct err *err)
{
    struct restore *r = ctx;
    struct rdir *d;
    (void)err;
    if (dir->parent == NULL) {
        d = r->target;
        d->tree = walk_tree_ref(dir->tree);
        rdir_hold(d);
    } else {
        d = rdir_new(dir->parent->user, dir->node, dir->tree);
        d->selected = r->entry_selected;
        if (d->selected)
            rdir_open(r, d);
    }
    dir->user = d;
    if (d->opened)
        delete_extra(r, d, path);
    return 0;
}

static int visit_leave(void *ctx, struct walk_dir *dir, const char *path, bool failed, struct err *err)
{
    struct restore *r = ctx;
    struct rdir *d = dir->user;
    (void)err;
    /* One that was opened for something in it, not for itself. */
    if (d->opened && !d->selected && dir->parent != NULL && !failed)
        delete_extra(r, d, path);
    rdir_release(r, d);
    return 0;
}

static int visit_broken(void *ctx, const char *path, const struct id *tree, const struct err *why, struct err *err)
{
    struct restore *r = ctx;
    struct err all = *why;
    (void)tree;
    (void)err;
    err_wrap(&all, "the directory cannot be restored");
    report_path(r, path, &all);
    return 0;
}

/* --- phases --- */

static void free_workers(struct restore *r)
{
    for (unsigned i = 0; i < r->threads; i++) {
        struct restore_worker *w = &r->workers[i];
        if (w->link_dir != NULL) {
            link_dir_release(w->link_dir);
            close(w->link_fd);
        }
        fetch_free(w->fetch);
        sha256_free(w->sha);
        free(w->compare);
    }
    free(r->workers);
    r->workers = NULL;
}

static int make_workers(struct restore *r, struct err *err)
{
    r->workers = mem_zalloc(r->threads * sizeof *r->workers);
    for (unsigned i = 0; i < r->threads; i++) {
        r->workers[i].run = r;
        r->workers[i].sha = sha256_new();
        r->workers[i].fetch = fetch_new(r->repo, err);
        if (r->workers[i].fetch == NULL)
            return -1;
    }
    return 0;
}

/* The walk is over: now it is known how much there is to do. A snapshot's summary, which serves until then, does not
 * count symlinks and other special entries. */
static void set_totals(struct restore *r)
{
    atomic_store(&r->progress->total_files, r->seen_files);
    if (r->counted != NULL)
        atomic_store(&r->progress->total_bytes, r->seen_bytes);
}

/* One walk over everything that is selected: restoring it, or only looking at what is there. */
static int run_phase(struct restore *r, enum restore_mode mode, const char *stage, struct err *err)
{
    r->mode = mode;
    atomic_store(&r->progress->stage, stage);
    r->target = rdir_target(r, err);
    if (r->target == NULL)
        return -1;
    int result = make_workers(r, err);
    if (mode == MODE_VERIFY)
        (void)syncfs(r->target->fd); /* so that reading can be made to come from the disk */
    if (result == 0) {
        r->links = links_new();
        r->counted = mode != MODE_VERIFY && atomic_load(&r->progress->total_files) == 0 ? links_new() : NULL;
        r->pool = pool_new(r->threads, (size_t)r->threads * 2);
        struct walk_visitor visitor = {
            .ctx = r, .entry = visit_entry, .enter = visit_enter, .leave = visit_leave, .broken = visit_broken};
        result = walk_run(r->repo, &r->root, walk_prefetch_threads(r->repo), &visitor, err);
        if (result < 0)
            atomic_store(&r->stopped, true);
        else if (mode != MODE_VERIFY)
            set_totals(r);
        flush_batch(r);
        pool_free(r->pool);
        if (result == 0 && restore_stopped(r))
            result = stop_error(r, err);
    }
    rdir_release(r, r->target);
    if (r->counted != NULL)
        links_free(r->counted);
    links_free(r->links);
    free_workers(r);
    r->links = r->counted = NULL;
    r->target = NULL;
    return result;
}

/* Looks at the space without making so much as the target. */
static int check_space(struct restore *r, const struct snapshot *snapshot, struct err *err)
{
    r->mode = MODE_DRY_RUN;
    atomic_store(&r->progress->stage, "looking");
    r->target = rdir_target(r, err);
    if (r->target == NULL)
        return -1;
    int result = restore_space_check(r, snapshot, err);
    rdir_release(r, r->target);
    r->target = NULL;
    return result;
}

/* What the subpath names: a directory, whose content is restored, or another entry, which is restored alone. */
static int find_root(struct restore *r, const struct snapshot *snapshot, char **only_out, struct err *err)
{
    const char *subpath = r->options->subpath;
    r->root = snapshot->tree;
    if (subpath == NULL)
        return 0;
    struct walk_tree *tree;
    const struct node *node;
    if (walk_find(r->repo, &snapshot->tree, subpath, &tree, &node, err) < 0)
        return -1;
    int result = 0;
    if (node != NULL && node->type == NODE_DIR && node->has_subtree) {
        r->root = node->subtree;
        r->root_parent = walk_tree_ref(tree);
        r->root_node = node;
    } else if (node != NULL) {
        *only_out = mem_strdup(node->name);
        r->only = *only_out;
        char *parent =
            mem_strndup(subpath, (size_t)(strrchr(subpath, '/') != NULL ? strrchr(subpath, '/') - subpath : 0));
        result = walk_find_dir(r->repo, &snapshot->tree, parent, &r->root, err);
        free(parent);
    }
    walk_tree_unref(tree);
    return result;
}

static int run_all(struct restore *r, const struct snapshot *snapshot, struct err *err)
{
    const struct restore_options *o = r->options;
    char *only = NULL;
    int result = find_root(r, snapshot, &only, err);
    if (result == 0)
        result = restore_cover_init(&r->cover, r->repo, snapshot, o->subpath, err);
    if (result == 0)
        result = check_space(r, snapshot, err);
    if (result == 0)
        result = run_phase(r, o->dry_run ? MODE_DRY_RUN : MODE_RESTORE, "restoring", err);
    if (result == 0 && o->verify && !o->dry_run)
        result = run_phase(r, MODE_VERIFY, "verifying", err);
    restore_cover_release(&r->cover);
    walk_tree_unref(r->root_parent);
    free(only);
    if (result < 0 && err != NULL && err->code == ERR_NO_SPACE)
        err_advise(err,
                   "make room there, restore to another place, or only a part of it (--include); then run it again");
    return result;
}

/* Directories stay open until all in them is done. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FD_LIMIT)
        return;
    limit.rlim_cur = limit.rlim_max < FD_LIMIT ? limit.rlim_max : FD_LIMIT;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int restore_run(struct repo *repo, const struct snapshot *snapshot, const struct restore_options *options,
                const struct restore_reporter *reporter, struct restore_progress *progress,
                struct restore_result *result, struct err *err)
{
    uint64_t start = os_monotonic_ns();
    struct restore r = {.repo = repo,
                        .options = options,
                        .reporter = reporter,
                        .progress = progress,
                        .result = result,
                        .euid = geteuid(),
                        .egid = getegid()};
    unsigned cpus = os_cpu_count();
    r.threads = options->threads > 0 ? options->threads : cpus < RESTORE_THREADS_MAX ? cpus : RESTORE_THREADS_MAX;
    r.batch_bytes = repo->store->features & STORE_CHEAP_READS ? RESTORE_BATCH_BYTES : REMOTE_BATCH_BYTES;
    *result = (struct restore_result){0};
    pthread_mutex_init(&r.fatal_mutex, NULL);
    raise_fd_limit();
    mode_t mask = umask(0);
    int status = run_all(&r, snapshot, err);
    umask(mask);
    pthread_mutex_destroy(&r.fatal_mutex);
    result->xattrs_unsupported = atomic_load(&r.xattrs_unsupported);
    result->owners_kept = atomic_load(&r.owners_kept);
    result->duration_ns = os_monotonic_ns() - start;
    return status;
}
