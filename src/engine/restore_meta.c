#include "engine/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/open.h"

enum { XATTR_LIST_MAX_BYTES = 1 << 20, PROC_PATH_BYTES = 320 };

struct restore_state restore_state_of(const struct stat *st)
{
    return (struct restore_state){
        .known = true, .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid, .mtime = st->st_mtim};
}

bool restore_owner_is_ours(const struct restore *r, const struct node *node)
{
    return node->uid == r->euid && node->gid == r->egid;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

bool restore_meta_equal(const struct restore *r, const struct node *node, const struct stat *st)
{
    bool owner = (st->st_uid == node->uid && st->st_gid == node->gid) || r->euid != 0;
    bool mode = node->type == NODE_SYMLINK || (st->st_mode & 07777) == node_mode_to_permissions(node->mode);
    return owner && mode && same_time(&st->st_mtim, &node->mtime);
}

/* Keeps the first error of several. */
static void first_error(struct err *err, int errnum, const char *what)
{
    if (err->code == ERR_NONE)
        err_errno(err, errnum, "cannot set its %s", what);
}

/* Only root may give files away; for others the owner stays theirs, and the result says how often. */
static bool set_owner(struct restore *r, const struct restore_object *o, const struct node *n,
                      const struct restore_state *have, struct err *err)
{
    if (have->known && have->uid == n->uid && have->gid == n->gid)
        return false;
    int result =
        o->fd >= 0 ? fchown(o->fd, n->uid, n->gid) : fchownat(o->dir_fd, o->name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW);
    if (result == 0)
        return true;
    if (r->euid != 0)
        atomic_fetch_add(&r->owners_kept, 1);
    else
        first_error(err, errno, "owner");
    return false;
}

/* A path to the entry for calls that take no directory descriptor: its last component is not followed, and all before
 * it is the descriptor itself. False when the name is too long. */
static bool path_of(const struct restore_object *o, char out[PROC_PATH_BYTES])
{
    char dir[OS_FD_PATH_BYTES];
    int n = snprintf(out, PROC_PATH_BYTES, "%s/%s", os_fd_path(o->dir_fd, dir), o->name);
    return n > 0 && n < PROC_PATH_BYTES;
}

static int xattr_set(const struct restore_object *o, const char *path, const struct node_xattr *x)
{
    const void *value = x->value != NULL ? x->value : "";
    return o->fd >= 0 ? fsetxattr(o->fd, x->name, value, x->size, 0) : lsetxattr(path, x->name, value, x->size, 0);
}

static ssize_t xattr_get(const struct restore_object *o, const char *path, const char *name, void *p, size_t cap)
{
    return o->fd >= 0 ? fgetxattr(o->fd, name, p, cap) : lgetxattr(path, name, p, cap);
}

static ssize_t xattr_list(const struct restore_object *o, const char *path, char *p, size_t cap)
{
    return o->fd >= 0 ? flistxattr(o->fd, p, cap) : llistxattr(path, p, cap);
}

static void xattr_remove(const struct restore_object *o, const char *path, const char *name)
{
    /* What may not be removed (a security module's label) stays. */
    if (o->fd >= 0)
        (void)fremovexattr(o->fd, name);
    else
        (void)lremovexattr(path, name);
}

static bool is_acl(const char *name)
{
    return strncmp(name, "system.posix_acl_", 17) == 0;
}

/* Access lists are set after the mode: chmod would change their mask. All else before: a read-only mode may forbid
 * it. */
static void set_xattrs(struct restore *r, const struct restore_object *o, const char *path, const struct node *n,
                       bool acls, bool fresh, struct err *err)
{
    for (size_t i = 0; i < n->xattr_count; i++) {
        const struct node_xattr *x = &n->xattrs[i];
        if (is_acl(x->name) != acls)
            continue;
        unsigned char old[1024];
        if (!fresh && x->size <= sizeof old && xattr_get(o, path, x->name, old, sizeof old) == (ssize_t)x->size &&
            (x->size == 0 || memcmp(old, x->value, x->size) == 0))
            continue;
        if (xattr_set(o, path, x) == 0)
            continue;
        if (errno == ENOTSUP || (errno == EPERM && r->euid != 0 && strncmp(x->name, "user.", 5) != 0))
            atomic_fetch_add(&r->xattrs_unsupported, 1);
        else if (err->code == ERR_NONE)
            err_errno(err, errno, "cannot set its extended attribute '%s'", x->name);
    }
}

static bool has_xattr(const struct node *n, const char *name)
{
    for (size_t i = 0; i < n->xattr_count; i++)
        if (strcmp(n->xattrs[i].name, name) == 0)
            return true;
    return false;
}

/* An entry that was there before may have attributes that the snapshot's has not. */
static void remove_other_xattrs(const struct restore_object *o, const char *path, const struct node *n)
{
    char small[512], *names = small;
    ssize_t len = xattr_list(o, path, small, sizeof small);
    if (len < 0 && errno == ERANGE) {
        names = mem_alloc(XATTR_LIST_MAX_BYTES);
        len = xattr_list(o, path, names, XATTR_LIST_MAX_BYTES);
    }
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1)
        if (!has_xattr(n, names + at) && strcmp(names + at, "security.selinux") != 0)
            xattr_remove(o, path, names + at);
    if (names != small)
        free(names);
}

static void set_mode(const struct restore_object *o, const struct node *n, const struct restore_state *have,
                     bool chowned, struct err *err)
{
    mode_t mode = node_mode_to_permissions(n->mode);
    if (n->type == NODE_SYMLINK) /* has none of its own */
        return;
    /* Changing the owner takes the set-id bits away. */
    if (have->known && have->mode == mode && !(chowned && (mode & 06000)))
        return;
    int result;
    if (o->fd >= 0) {
        result = fchmod(o->fd, mode);
    } else {
        /* A device or fifo: through a descriptor that opens nothing, as chmod by name would follow a symlink. */
        int fd = openat(o->dir_fd, o->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        char self[OS_FD_PATH_BYTES];
        struct stat st;
        result = fd >= 0 ? fstat(fd, &st) : -1;
        if (result == 0 && !S_ISLNK(st.st_mode))
            result = chmod(os_fd_path(fd, self), mode);
        if (fd >= 0)
            close(fd);
    }
    if (result < 0)
        first_error(err, errno, "mode");
}

static void set_times(const struct restore_object *o, const struct node *n, const struct restore_state *have,
                      struct err *err)
{
    if (have->known && !have->fresh && same_time(&have->mtime, &n->mtime))
        return;
    const struct timespec times[2] = {n->atime, n->mtime};
    int result = o->fd >= 0 ? futimens(o->fd, times) : utimensat(o->dir_fd, o->name, times, AT_SYMLINK_NOFOLLOW);
    if (result < 0)
        first_error(err, errno, "times");
}

int restore_meta_apply(struct restore *r, const struct restore_object *o, const struct node *node,
                       const struct restore_state *have, struct err *err)
{
    struct err first = {0};
    char path[PROC_PATH_BYTES] = "";
    bool xattrs = node->xattr_count > 0 || !have->fresh;
    if (xattrs && o->fd < 0 && !path_of(o, path))
        xattrs = false;
    bool chowned = set_owner(r, o, node, have, &first);
    if (xattrs && !have->fresh)
        remove_other_xattrs(o, path, node);
    if (xattrs)
        set_xattrs(r, o, path, node, false, have->fresh, &first);
    set_mode(o, node, have, chowned, &first);
    if (xattrs)
        set_xattrs(r, o, path, node, true, have->fresh, &first);
    set_times(o, node, have, &first);
    if (first.code == ERR_NONE)
        return 0;
    if (err != NULL)
        *err = first;
    return -1;
}
