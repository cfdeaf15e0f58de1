#include "engine/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"

enum { DIR_OPEN_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, PRIVATE_DIR_MODE = 0700 };

void rdir_hold(struct rdir *d)
{
    atomic_fetch_add_explicit(&d->pending, 1, memory_order_relaxed);
}

struct rdir *rdir_new(struct rdir *parent, const struct node *node, struct walk_tree *tree)
{
    struct rdir *d = mem_zalloc(sizeof *d);
    d->parent = parent;
    d->node = node;
    d->tree = tree != NULL ? walk_tree_ref(tree) : NULL;
    d->fd = -1;
    atomic_init(&d->pending, 1);
    if (parent != NULL) {
        rdir_hold(parent);
        d->failed = parent->failed;
    }
    return d;
}

char *rdir_path(const struct rdir *d, const char *name)
{
    size_t name_bytes = name != NULL ? strlen(name) + 1 : 0;
    size_t len = name_bytes;
    for (const struct rdir *up = d; up->parent != NULL; up = up->parent)
        len += up->node->name_len + 1;
    if (len == 0)
        return mem_strdup("/");
    char *path = mem_alloc(len + 1);
    path[len] = '\0';
    size_t at = len;
    if (name != NULL) {
        memcpy(path + at - (name_bytes - 1), name, name_bytes - 1);
        at -= name_bytes;
        path[at] = '/';
    }
    for (const struct rdir *up = d; up->parent != NULL; up = up->parent) {
        at -= up->node->name_len;
        memcpy(path + at, up->node->name, up->node->name_len);
        path[--at] = '/';
    }
    return path;
}

/* Is what is made in it free of inherited owners and access lists? */
static bool is_plain(const struct restore *r, int fd, const struct stat *st)
{
    if (st->st_mode & S_ISGID || st->st_gid != r->egid)
        return false;
    return fgetxattr(fd, "system.posix_acl_default", NULL, 0) < 0;
}

/* Looks at a directory that was there before. Its owner may always write into it, once allowed by himself. */
static int adopt(struct restore *r, struct rdir *d, struct err *err)
{
    struct stat st;
    if (fstat(d->fd, &st) < 0)
        return err_errno(err, errno, "cannot read the directory");
    d->plain = is_plain(r, d->fd, &st);
    if (r->mode != MODE_RESTORE || d->node == NULL)
        return 0;
    d->protected = restore_protects(r, d->node, &st);
    if (r->euid != 0 && st.st_uid == r->euid && (st.st_mode & 0700) != 0700)
        (void)fchmod(d->fd, (st.st_mode & 07777) | 0700);
    return 0;
}

/* On a target that is being made, so that a restore that goes on after an interruption knows it for its own. Goes with
 * whatever other attributes the snapshot's directory has not. */
static const char UNFINISHED[] = "user.clawback.unfinished";

/* A directory of the user's own is a place to put things into, and stays as it is. One that is made here, or restored
 * to where it was, becomes what it was in the snapshot. */
static bool stands_for_root(const struct restore *r)
{
    const char *path = r->options->target;
    if (r->mode != MODE_RESTORE || r->root_node == NULL)
        return false;
    if (access(path, F_OK) != 0 || getxattr(path, UNFINISHED, NULL, 0) >= 0)
        return true;
    char *target = os_path_absolute(path), *was = os_path_absolute(r->options->subpath);
    bool same = target != NULL && was != NULL && strcmp(target, was) == 0;
    free(target);
    free(was);
    return same;
}

struct rdir *rdir_target(struct restore *r, struct err *err)
{
    const char *path = r->options->target;
    bool ours = stands_for_root(r), made = access(path, F_OK) != 0;
    if (r->mode == MODE_RESTORE && os_make_dirs(path, PRIVATE_DIR_MODE, err) < 0)
        return NULL;
    if (ours && made)
        (void)setxattr(path, UNFINISHED, "", 0, 0); /* not every file system can */
    struct rdir *d = rdir_new(NULL, ours ? r->root_node : NULL, NULL);
    d->opened = true;
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* the user's own path may go through symlinks */
    if (d->fd < 0 && errno == ENOENT && r->mode == MODE_DRY_RUN) {
        d->missing = true;
        return d;
    }
    if (d->fd < 0) {
        err_errno(err, errno, "cannot open the target '%s'", path);
    } else if (adopt(r, d, err) == 0) {
        return d;
    }
    rdir_release(r, d);
    return NULL;
}

static int make(struct rdir *d)
{
    if (mkdirat(d->parent->fd, d->node->name, PRIVATE_DIR_MODE) < 0)
        return -1;
    d->created = true;
    d->plain = d->parent->plain;
    return 0;
}

/* Something that is no directory has the name. */
static int replace(struct restore *r, struct rdir *d, struct err *err)
{
    const char *name = d->node->name;
    struct stat st;
    if (fstatat(d->parent->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_errno(err, errno, "cannot look at what is there");
    const char *what = S_ISLNK(st.st_mode) ? "a symlink" : "no directory";
    if (restore_protects(r, d->node, &st))
        return err_set(err, ERR_EXISTS, "what is there is %s, and --overwrite protects it", what);
    char *path = rdir_path(d, NULL);
    bool whole = restore_cover_has(&r->cover, path);
    free(path);
    if (!whole)
        return err_set(err, ERR_EXISTS,
                       "it is a directory in the snapshot, but %s here: remove it, or restore to another target", what);
    if (unlinkat(d->parent->fd, name, 0) < 0)
        return err_errno(err, errno, "cannot remove what is in its place (%s)", what);
    if (make(d) < 0)
        return err_errno(err, errno, "cannot make the directory");
    return 0;
}

/* Makes the directory unless it is there, and opens it. */
static int make_and_open(struct restore *r, struct rdir *d, struct err *err)
{
    const char *name = d->node->name;
    if (make(d) < 0 && errno != EEXIST)
        return err_errno(err, errno, "cannot make the directory");
    d->fd = openat(d->parent->fd, name, DIR_OPEN_FLAGS);
    if (d->fd < 0 && (errno == ENOTDIR || errno == ELOOP) && !d->created) {
        if (replace(r, d, err) < 0)
            return -1;
        d->fd = openat(d->parent->fd, name, DIR_OPEN_FLAGS);
    }
    if (d->fd < 0)
        return err_errno(err, errno, "cannot open the directory");
    return d->created ? 0 : adopt(r, d, err);
}

/* Opens without changing anything. */
static int open_only(struct restore *r, struct rdir *d, struct err *err)
{
    d->fd = openat(d->parent->fd, d->node->name, DIR_OPEN_FLAGS);
    if (d->fd < 0 && r->mode == MODE_DRY_RUN && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
        d->missing = true;
        return 0;
    }
    if (d->fd < 0)
        return err_errno(err, errno, "cannot open the directory");
    return adopt(r, d, err);
}

static void note_opened(struct restore *r, struct rdir *d)
{
    bool made = d->created || d->missing;
    if (r->mode == MODE_VERIFY)
        return;
    r->seen_files += !d->selected; /* entered for something in it */
    atomic_fetch_add_explicit(made ? &r->progress->files_done : &r->progress->files_skipped, 1, memory_order_relaxed);
    restore_note(r, made ? RESTORE_CREATED : RESTORE_UNCHANGED, d, NULL, 0);
}

bool rdir_open(struct restore *r, struct rdir *d)
{
    if (d->opened || d->failed)
        return d->fd >= 0;
    d->opened = true;
    if (!rdir_open(r, d->parent) && !d->parent->missing) {
        d->failed = true;
        return false;
    }
    struct err err = {0};
    int result = 0;
    if (d->parent->missing)
        d->missing = true;
    else
        result = r->mode == MODE_RESTORE ? make_and_open(r, d, &err) : open_only(r, d, &err);
    if (result < 0) {
        d->failed = true;
        if (d->fd >= 0)
            close(d->fd);
        d->fd = -1;
        restore_report(r, d, NULL, &err);
        return false;
    }
    note_opened(r, d);
    return d->fd >= 0;
}

/* Everything in it is done: its own metadata, last, as each entry made in it changed its times. */
static void finish(struct restore *r, struct rdir *d)
{
    if (d->fd < 0)
        return;
    if (r->mode == MODE_RESTORE && d->node != NULL && !d->protected && !restore_stopped(r)) {
        struct stat st;
        struct restore_state have = {.fresh = d->created && d->plain};
        if (have.fresh)
            have = (struct restore_state){
                .known = true, .fresh = true, .mode = PRIVATE_DIR_MODE, .uid = r->euid, .gid = r->egid};
        else if (fstat(d->fd, &st) == 0)
            have = restore_state_of(&st);
        struct err err = {0};
        if (restore_meta_apply(r, &(struct restore_object){.fd = d->fd}, d->node, &have, &err) < 0)
            restore_report(r, d, NULL, &err);
    }
    close(d->fd);
}

void rdir_release(struct restore *r, struct rdir *d)
{
    while (d != NULL && atomic_fetch_sub_explicit(&d->pending, 1, memory_order_acq_rel) == 1) {
        finish(r, d);
        struct rdir *parent = d->parent;
        link_dir_release(d->link_dir);
        walk_tree_unref(d->tree);
        free(d);
        d = parent;
    }
}
