#include "engine/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

static enum restore_outcome failed(struct restore *r, struct rdir *dir, const char *name, const struct err *err)
{
    restore_report(r, dir, name, err);
    return OUTCOME_FAILED;
}

/* --- symlinks, devices, fifos --- */

static mode_t file_type(const struct node *n)
{
    switch (n->type) {
    case NODE_SYMLINK:
        return S_IFLNK;
    case NODE_DEV:
        return S_IFBLK;
    case NODE_CHARDEV:
        return S_IFCHR;
    case NODE_FIFO:
        return S_IFIFO;
    default:
        return S_IFREG;
    }
}

static bool same_target(const struct rdir *dir, const struct node *n)
{
    char target[PATH_MAX + 1];
    ssize_t len = readlinkat(dir->fd, n->name, target, sizeof target);
    return len >= 0 && (size_t)len == n->link_target_len && memcmp(target, n->link_target, (size_t)len) == 0;
}

/* Is what is there the same but for its times and attributes? */
static bool is_same_special(const struct restore *r, const struct rdir *dir, const struct node *n,
                            const struct stat *st)
{
    if ((st->st_mode & S_IFMT) != file_type(n))
        return false;
    if (r->euid == 0 && (st->st_uid != n->uid || st->st_gid != n->gid))
        return false;
    if (n->type == NODE_SYMLINK)
        return same_target(dir, n);
    bool device = n->type == NODE_DEV || n->type == NODE_CHARDEV;
    return (st->st_mode & 07777) == node_mode_to_permissions(n->mode) && (!device || st->st_rdev == n->device);
}

static int make_special(const struct rdir *dir, const struct node *n)
{
    if (n->type == NODE_SYMLINK)
        return symlinkat(n->link_target, dir->fd, n->name);
    return mknodat(dir->fd, n->name, file_type(n) | node_mode_to_permissions(n->mode), (dev_t)n->device);
}

static enum restore_outcome create_special(struct restore *r, struct rdir *dir, const struct node *n,
                                           enum restore_outcome outcome, struct stat *st_out)
{
    struct err err = {0};
    if (make_special(dir, n) < 0) {
        err_errno(&err, errno, "cannot create the %s", node_type_name(n->type));
        return failed(r, dir, n->name, &err);
    }
    struct restore_object object = {.fd = -1, .dir_fd = dir->fd, .name = n->name};
    struct restore_state have = {.known = dir->plain,
                                 .fresh = dir->plain,
                                 .mode = node_mode_to_permissions(n->mode),
                                 .uid = r->euid,
                                 .gid = r->egid};
    if (restore_meta_apply(r, &object, n, &have, &err) < 0)
        restore_report(r, dir, n->name, &err);
    if (st_out != NULL && fstatat(dir->fd, n->name, st_out, AT_SYMLINK_NOFOLLOW) < 0)
        return OUTCOME_FAILED;
    return outcome;
}

static enum restore_outcome restore_special(struct restore *r, struct rdir *dir, const struct node *n,
                                            struct stat *st_out)
{
    struct stat st;
    struct err err = {0};
    if (dir->created || fstatat(dir->fd, n->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return create_special(r, dir, n, OUTCOME_CREATED, st_out);
    if (restore_protects(r, n, &st))
        return OUTCOME_UNCHANGED;
    bool same = is_same_special(r, dir, n, &st);
    if (same && (st.st_nlink == 1 || restore_meta_equal(r, n, &st))) {
        struct restore_object object = {.fd = -1, .dir_fd = dir->fd, .name = n->name};
        struct restore_state have = restore_state_of(&st);
        if (restore_meta_apply(r, &object, n, &have, &err) < 0)
            restore_report(r, dir, n->name, &err);
        if (st_out != NULL)
            *st_out = st;
        return OUTCOME_UNCHANGED;
    }
    if (restore_remove(r, dir, n->name, &st, &err) < 0)
        return failed(r, dir, n->name, &err);
    return create_special(r, dir, n, OUTCOME_UPDATED, st_out);
}

/* --- any entry --- */

static enum restore_outcome restore_any(struct restore_worker *w, const struct restore_item *item, bool may_share,
                                        struct stat *st_out)
{
    const struct node *n = item->node;
    enum restore_outcome outcome;
    switch (n->type) {
    case NODE_FILE:
        outcome = restore_file(w, item->dir, n, item->plan, may_share, st_out);
        restore_sidecars(w->run, item->dir, n, outcome);
        return outcome;
    case NODE_SYMLINK:
    case NODE_DEV:
    case NODE_CHARDEV:
    case NODE_FIFO:
        return restore_special(w->run, item->dir, n, st_out);
    default:
        restore_warn(w->run, item->dir, n->name, "sockets and irregular files are not restored");
        return OUTCOME_FAILED;
    }
}

static void account(struct restore *r, const struct restore_item *item, enum restore_outcome outcome)
{
    static const enum restore_action ACTIONS[] = {RESTORE_CREATED, RESTORE_UPDATED, RESTORE_UNCHANGED};
    if (outcome == OUTCOME_FAILED)
        return;
    bool done = outcome != OUTCOME_UNCHANGED;
    atomic_fetch_add_explicit(done ? &r->progress->files_done : &r->progress->files_skipped, 1, memory_order_relaxed);
    restore_note(r, ACTIONS[outcome], item->dir, item->node->name, item->node->size);
}

/* --- hard links --- */

/* A descriptor of a directory below the target, reached without following a symlink. */
static int open_below(struct restore *r, const char *path)
{
    int fd = dup(r->target->fd);
    while (fd >= 0 && *path != '\0') {
        size_t len = strcspn(path, "/");
        char *name = mem_strndup(path, len);
        int next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        free(name);
        close(fd);
        fd = next;
        path += len + (path[len] == '/');
    }
    return fd;
}

/* The directory of an inode's first name; each worker keeps the last one open. */
static int leader_dir(struct restore_worker *w, const struct restore_link *link, const struct rdir *dir)
{
    if (links_same_dir(w->run->links, link, dir))
        return dir->fd;
    if (w->link_dir != link_dir_of(link)) {
        if (w->link_dir != NULL) {
            link_dir_release(w->link_dir);
            close(w->link_fd);
        }
        w->link_dir = NULL;
        w->link_fd = open_below(w->run, link_dir_path(link_dir_of(link)));
        if (w->link_fd < 0)
            return -1;
        w->link_dir = link_dir_hold(link_dir_of(link));
    }
    return w->link_fd;
}

enum follow { FOLLOW_DONE, FOLLOW_THERE, FOLLOW_FAILED, FOLLOW_COPY };

/* Makes the link, and looks whether it really is one to what we restored: another user's process may have put something
 * else under the first name meanwhile. */
static enum follow make_link(struct restore_worker *w, const struct restore_link *link, struct rdir *dir,
                             const char *name, struct err *err)
{
    struct stat st;
    int from = leader_dir(w, link, dir);
    if (from < 0 || linkat(from, link_name(link), dir->fd, name, 0) < 0) {
        if (errno == EMLINK || errno == EXDEV || errno == EPERM)
            return FOLLOW_COPY; /* this file system cannot: a file of its own has the same content */
        err_errno(err, errno, "cannot make a hard link to '%s/%s'", link_dir_path(link_dir_of(link)), link_name(link));
        return FOLLOW_FAILED;
    }
    if (fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && link_is(link, &st))
        return FOLLOW_DONE;
    (void)unlinkat(dir->fd, name, 0);
    err_set(err, ERR_CHANGED, "the file it should be linked to was replaced by another program");
    return FOLLOW_FAILED;
}

static enum follow follow(struct restore_worker *w, const struct restore_link *link, const struct restore_item *item,
                          bool *existed, struct err *err)
{
    struct stat st;
    const char *name = item->node->name;
    *existed = !item->dir->created && fstatat(item->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (*existed) {
        if (link_is(link, &st) || restore_protects(w->run, item->node, &st))
            return FOLLOW_THERE;
        if (restore_remove(w->run, item->dir, name, &st, err) < 0)
            return FOLLOW_FAILED;
    }
    return make_link(w, link, item->dir, name, err);
}

static void run_follower(struct restore_worker *w, struct restore_link *link, struct restore_item *item)
{
    struct err err = {0};
    bool existed;
    enum restore_outcome outcome = OUTCOME_UNCHANGED;
    switch (follow(w, link, item, &existed, &err)) {
    case FOLLOW_DONE:
        outcome = existed ? OUTCOME_UPDATED : OUTCOME_CREATED;
        break;
    case FOLLOW_THERE:
        break;
    case FOLLOW_COPY:
        item->plan = restore_content_plan(w, item->node);
        outcome = restore_any(w, item, false, NULL);
        break;
    case FOLLOW_FAILED:
        outcome = failed(w->run, item->dir, item->node->name, &err);
        break;
    }
    links_followed(w->run->links, link);
    account(w->run, item, outcome);
}

/* Restores the first name of an inode, and then what waited for it. When it cannot be restored (or the overwrite rule
 * keeps another file there), the next name takes its place. Waiting entries hold their directory. */
static void run_leader(struct restore_worker *w, struct restore_link *link, struct restore_item *item, bool may_share)
{
    struct restore *r = w->run;
    struct restore_item leader = *item;
    bool waited = false;
    for (;;) {
        struct stat st = {0};
        enum restore_outcome outcome = restore_any(w, &leader, may_share && !waited, &st);
        account(r, &leader, outcome);
        bool restored = outcome != OUTCOME_FAILED && st.st_ino != 0;
        struct link_waiter *next = links_done(r->links, link, leader.dir, leader.node->name, restored ? &st : NULL);
        if (waited)
            rdir_release(r, leader.dir);
        if (next == NULL)
            return;
        if (!restored) {
            leader = (struct restore_item){next->dir, next->node, restore_content_plan(w, next->node)};
            waited = true;
            free(next);
            continue;
        }
        while (next != NULL) {
            struct link_waiter *this = next;
            next = this->next;
            struct restore_item waiter = {this->dir, this->node, restore_content_plan(w, this->node)};
            run_follower(w, link, &waiter);
            rdir_release(r, this->dir);
            free(this);
        }
        return;
    }
}

/* True when the item's hold on its directory was passed on. */
static bool run_linked(struct restore_worker *w, struct restore_item *item, bool may_share)
{
    struct restore_link *link;
    switch (links_join(w->run->links, item->dir, item->node, &link)) {
    case LINK_WAIT:
        return true;
    case LINK_LEAD:
        run_leader(w, link, item, may_share);
        break;
    case LINK_FOLLOW:
        run_follower(w, link, item);
        break;
    }
    return false;
}

/* --- dry runs and checks --- */

static enum restore_outcome look_at_special(struct restore *r, struct rdir *dir, const struct node *n)
{
    struct stat st;
    bool there = dir->fd >= 0 && fstatat(dir->fd, n->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && (is_same_special(r, dir, n, &st) || restore_protects(r, n, &st)))
        return OUTCOME_UNCHANGED;
    if (r->mode == MODE_DRY_RUN)
        return there ? OUTCOME_UPDATED : OUTCOME_CREATED;
    struct err err;
    err_set(&err, ERR_CORRUPT, there ? "it is not the %s that the snapshot holds" : "this %s is not there",
            node_type_name(n->type));
    return failed(r, dir, n->name, &err);
}

static void look_at(struct restore_worker *w, const struct restore_item *item)
{
    struct restore *r = w->run;
    const struct node *n = item->node;
    if (n->type == NODE_SOCKET || n->type == NODE_IRREGULAR)
        return;
    enum restore_outcome outcome =
        n->type == NODE_FILE ? restore_file_compare(w, item->dir, n, item->plan) : look_at_special(r, item->dir, n);
    if (r->mode == MODE_DRY_RUN)
        account(r, item, outcome);
}

/* --- batches --- */

static bool run_item(struct restore_worker *w, struct restore_item *item, bool may_share)
{
    struct restore *r = w->run;
    if (restore_stopped(r))
        return false;
    if (r->mode != MODE_RESTORE) {
        look_at(w, item);
        return false;
    }
    if (item->node->links > 1 && item->node->inode != 0)
        return run_linked(w, item, may_share);
    account(r, item, restore_any(w, item, may_share, NULL));
    return false;
}

void restore_batch_run(void *arg, unsigned worker)
{
    struct restore_batch *b = arg;
    struct restore_worker *w = &b->run->workers[worker];
    fetch_plan_clear(w->fetch);
    /* A large file is alone in its batch and makes its plans as it goes. */
    bool large = b->count == 1 && restore_is_large(b->items[0].node);
    for (size_t i = 0; i < b->count && !large; i++)
        b->items[i].plan = restore_content_plan(w, b->items[i].node);
    for (size_t i = 0; i < b->count; i++)
        if (!run_item(w, &b->items[i], large))
            rdir_release(b->run, b->items[i].dir);
    free(b);
}
