#include "engine/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PRIVATE_MODE = 0600 };

/* --- a file that is not there --- */

/* A new file gets its final mode at once where nobody could see in it, meanwhile, what he may not see in the end. */
static mode_t creation_mode(const struct restore *r, const struct rdir *dir, const struct node *n)
{
    mode_t mode = node_mode_to_permissions(n->mode);
    bool simple = dir->plain && restore_owner_is_ours(r, n) && n->xattr_count == 0 && (mode & 07000) == 0 &&
                  n->content_count <= 1;
    return simple ? mode : PRIVATE_MODE;
}

static struct restore_state new_state(const struct restore *r, const struct rdir *dir, mode_t mode)
{
    return (struct restore_state){
        .known = dir->plain, .fresh = dir->plain, .mode = mode, .uid = r->euid, .gid = r->egid};
}

static enum restore_outcome finish_file(struct restore_worker *w, struct restore_content *c,
                                        const struct restore_state *have, enum restore_outcome outcome,
                                        struct stat *st_out)
{
    struct err err = {0};
    struct restore_object object = {.fd = c->fd};
    if (restore_meta_apply(w->run, &object, c->node, have, &err) < 0)
        restore_report(w->run, c->dir, c->node->name, &err);
    if (st_out != NULL && fstat(c->fd, st_out) < 0)
        outcome = OUTCOME_FAILED;
    close(c->fd);
    return outcome;
}

/* What was restored of a damaged file stays, private and without its times; what never had any content goes. */
static enum restore_outcome leave_incomplete(struct restore_content *c, bool is_new)
{
    if (is_new)
        (void)fchmod(c->fd, PRIVATE_MODE);
    close(c->fd);
    if (is_new && c->node->content_count <= 1)
        (void)unlinkat(c->dir->fd, c->node->name, 0);
    return OUTCOME_FAILED;
}

/* *exists: nothing was done, as something has the name. */
static enum restore_outcome restore_new(struct restore_worker *w, struct rdir *dir, const struct node *n, size_t plan,
                                        bool may_share, bool *exists, struct stat *st_out)
{
    struct err err = {0};
    const unsigned char *data;
    size_t len;
    bool large = restore_is_large(n);
    *exists = false;
    /* The first blob comes before the file: one that is damaged leaves no empty file behind. */
    if (!large && n->content_count > 0 && fetch_blob(w->fetch, plan, &data, &len, &err) < 0) {
        restore_report(w->run, dir, n->name, &err);
        return OUTCOME_FAILED;
    }
    mode_t mode = creation_mode(w->run, dir, n);
    bool sparse = w->run->options->sparse;
    struct restore_content c = {.dir = dir, .node = n, .write = true, .sparse_new = sparse, .made_private = true};
    c.fd = openat(dir->fd, n->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    *exists = c.fd < 0 && errno == EEXIST;
    if (*exists)
        return OUTCOME_FAILED;
    if (c.fd < 0) {
        err_errno(&err, errno, "cannot create the file");
        restore_report(w->run, dir, n->name, &err);
        return OUTCOME_FAILED;
    }
    if ((large || sparse) && ftruncate(c.fd, (off_t)n->size) < 0) {
        err_errno(&err, errno, "cannot set its size to %llu bytes", (unsigned long long)n->size);
        restore_report(w->run, dir, n->name, &err);
        return leave_incomplete(&c, true);
    }
    restore_content_run(w, &c, plan, may_share);
    if (atomic_load(&c.failed) || restore_stopped(w->run))
        return leave_incomplete(&c, true);
    struct restore_state have = new_state(w->run, dir, mode);
    return finish_file(w, &c, &have, OUTCOME_CREATED, st_out);
}

/* --- a file that is there --- */

static int open_at(struct restore *r, struct rdir *dir, const struct node *n, const struct stat *st, int access)
{
    int flags = access | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    bool own = r->euid == 0 || st->st_uid == r->euid;
    int fd = openat(dir->fd, n->name, flags | (own ? O_NOATIME : 0));
    if (fd < 0)
        return -1;
    struct stat opened;
    if (fstat(fd, &opened) == 0 && S_ISREG(opened.st_mode) && opened.st_ino == st->st_ino &&
        opened.st_dev == st->st_dev)
        return fd;
    close(fd); /* another one has taken its name meanwhile */
    errno = EAGAIN;
    return -1;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool taken_for_same(const struct restore *r, const struct node *n, const struct stat *st)
{
    return r->options->overwrite == RESTORE_IF_CHANGED && (uint64_t)st->st_size == n->size &&
           same_time(&st->st_mtim, &n->mtime);
}

/* May the file be written where it lies? Not if it has other names (what they show would change), and not if it is
 * another user's (who could keep it open and read what is written). */
static bool may_write_in_place(const struct restore *r, const struct node *n, const struct stat *st)
{
    return st->st_nlink == 1 && st->st_uid == (r->euid == 0 ? n->uid : r->euid);
}

static void count_skipped(struct restore *r, uint64_t bytes)
{
    atomic_fetch_add_explicit(&r->progress->bytes_skipped, bytes, memory_order_relaxed);
}

/* Cuts what is too long, and says what the file's metadata is after its content was written. */
static int settle(struct restore_content *c, const struct stat *st, bool differs, struct restore_state *have,
                  struct err *err)
{
    *have = restore_state_of(st);
    if (!differs)
        return 0;
    if ((uint64_t)st->st_size != c->node->size && ftruncate(c->fd, (off_t)c->node->size) < 0)
        return err_errno(err, errno, "cannot set its size to %llu bytes", (unsigned long long)c->node->size);
    if (atomic_load(&c->made_private) && (st->st_mode & 077) != 0)
        have->mode = PRIVATE_MODE;
    have->mode &= (mode_t)~06000; /* writing takes the set-id bits away */
    have->mtime.tv_nsec = -1;
    return 0;
}

/* *replace: it must be removed and made anew. */
static enum restore_outcome update(struct restore_worker *w, struct rdir *dir, const struct node *n, size_t plan,
                                   bool may_share, const struct stat *st, bool *replace, struct stat *st_out)
{
    struct restore *r = w->run;
    struct restore_content c = {.dir = dir, .node = n, .old_size = (uint64_t)st->st_size, .old_mode = st->st_mode};
    bool same = taken_for_same(r, n, st);
    c.fd = -1;
    if (may_write_in_place(r, n, st) && !same)
        c.fd = open_at(r, dir, n, st, O_RDWR);
    c.write = c.fd >= 0;
    if (c.fd < 0)
        c.fd = open_at(r, dir, n, st, O_RDONLY);
    *replace = c.fd < 0;
    if (*replace)
        return OUTCOME_FAILED;
    if (!same)
        restore_content_run(w, &c, plan, may_share);
    bool differs = atomic_load(&c.differs) || (!same && (uint64_t)st->st_size != n->size);
    *replace = (differs && !c.write) || (st->st_nlink > 1 && !restore_meta_equal(r, n, st));
    if (*replace) {
        close(c.fd);
        return OUTCOME_FAILED;
    }
    struct restore_state have;
    struct err err = {0};
    if (atomic_load(&c.failed) || restore_stopped(r))
        return leave_incomplete(&c, false);
    if (settle(&c, st, differs, &have, &err) < 0) {
        restore_report(r, dir, n->name, &err);
        return leave_incomplete(&c, false);
    }
    if (!c.write)
        count_skipped(r, n->size);
    return finish_file(w, &c, &have, differs ? OUTCOME_UPDATED : OUTCOME_UNCHANGED, st_out);
}

static enum restore_outcome restore_over(struct restore_worker *w, struct rdir *dir, const struct node *n, size_t plan,
                                         bool may_share, const struct stat *st, struct stat *st_out)
{
    struct restore *r = w->run;
    if (restore_protects(r, n, st)) {
        count_skipped(r, n->size);
        return OUTCOME_UNCHANGED;
    }
    bool replace = true;
    if (S_ISREG(st->st_mode)) {
        enum restore_outcome outcome = update(w, dir, n, plan, may_share, st, &replace, st_out);
        if (!replace)
            return outcome;
    }
    struct err err = {0};
    if (restore_remove(r, dir, n->name, st, &err) < 0) {
        restore_report(r, dir, n->name, &err);
        return OUTCOME_FAILED;
    }
    bool exists;
    enum restore_outcome outcome = restore_new(w, dir, n, plan, may_share, &exists, st_out);
    if (exists) {
        err_set(&err, ERR_CHANGED, "something is made here again and again by another program");
        restore_report(r, dir, n->name, &err);
    }
    return outcome == OUTCOME_CREATED ? OUTCOME_UPDATED : outcome;
}

enum restore_outcome restore_file(struct restore_worker *w, struct rdir *dir, const struct node *node, size_t plan,
                                  bool may_share, struct stat *st_out)
{
    struct stat st;
    bool exists = false;
    if (!dir->created)
        exists = fstatat(dir->fd, node->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!exists) {
        enum restore_outcome outcome = restore_new(w, dir, node, plan, may_share, &exists, st_out);
        if (!exists)
            return outcome;
        if (fstatat(dir->fd, node->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            struct err err;
            err_errno(&err, errno, "cannot look at what is there");
            restore_report(w->run, dir, node->name, &err);
            return OUTCOME_FAILED;
        }
    }
    return restore_over(w, dir, node, plan, may_share, &st, st_out);
}

/* --- only looking --- */

/* The content of the file there; -1 with an error when it cannot be opened or is no file, 1 when what is wrong was
 * reported already. */
static int compare(struct restore_worker *w, struct rdir *dir, const struct node *n, size_t plan, const struct stat *st,
                   bool *differs, struct err *err)
{
    struct restore_content c = {.dir = dir, .node = n, .old_size = (uint64_t)st->st_size};
    c.fd = open_at(w->run, dir, n, st, O_RDONLY);
    if (c.fd < 0)
        return err_errno(err, errno, "cannot open the file");
    if (w->run->mode == MODE_VERIFY)
        (void)posix_fadvise(c.fd, 0, 0, POSIX_FADV_DONTNEED); /* what the disk has, as far as it is there already */
    *differs = (uint64_t)st->st_size != n->size;
    if (!*differs)
        restore_content_run(w, &c, plan, true);
    close(c.fd);
    *differs |= atomic_load(&c.differs);
    return atomic_load(&c.failed) ? 1 : 0;
}

static enum restore_outcome verify(struct restore_worker *w, struct rdir *dir, const struct node *n, size_t plan)
{
    struct restore *r = w->run;
    struct stat st;
    struct err err = {0};
    bool differs = false, existed_before = r->options->overwrite >= RESTORE_IF_NEWER;
    int reported = 0;
    if (fstatat(dir->fd, n->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        err_errno(&err, errno, "cannot be verified");
    else if (existed_before && !same_time(&st.st_mtim, &n->mtime))
        return OUTCOME_UNCHANGED; /* protected: not what the snapshot holds, and not meant to be */
    else if (!S_ISREG(st.st_mode))
        err_set(&err, ERR_CORRUPT, "it is no regular file any more");
    else if ((reported = compare(w, dir, n, plan, &st, &differs, &err)) == 0 && differs)
        err_set(&err, ERR_CORRUPT, "its content is not what the snapshot holds");
    if (err.code != ERR_NONE) {
        restore_report(r, dir, n->name, &err);
        return OUTCOME_FAILED;
    }
    if (reported == 1)
        return OUTCOME_FAILED;
    atomic_fetch_add_explicit(&r->progress->files_verified, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->progress->bytes_verified, n->size, memory_order_relaxed);
    return OUTCOME_UNCHANGED;
}

enum restore_outcome restore_file_compare(struct restore_worker *w, struct rdir *dir, const struct node *node,
                                          size_t plan)
{
    struct restore *r = w->run;
    if (r->mode == MODE_VERIFY)
        return verify(w, dir, node, plan);
    struct stat st;
    bool differs = false;
    enum restore_outcome outcome = OUTCOME_UPDATED;
    if (dir->fd < 0 || fstatat(dir->fd, node->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        outcome = OUTCOME_CREATED;
    else if (restore_protects(r, node, &st) || (S_ISREG(st.st_mode) && taken_for_same(r, node, &st)))
        outcome = OUTCOME_UNCHANGED;
    else if (S_ISREG(st.st_mode) && compare(w, dir, node, plan, &st, &differs, NULL) == 0 && !differs)
        outcome = OUTCOME_UNCHANGED;
    if (outcome == OUTCOME_UNCHANGED)
        count_skipped(r, node->size);
    else
        atomic_fetch_add_explicit(&r->progress->bytes_done, node->size, memory_order_relaxed);
    return outcome;
}
