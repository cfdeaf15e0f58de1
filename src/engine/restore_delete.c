#include "engine/restore_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/strlist.h"
#include "os/file.h"

enum { DEPTH_MAX = 512 };

/* One removal. With `filtered`, only what the filters select goes, and directories that something is left in stay. */
struct removal {
    struct restore *run;
    const struct rdir *dir; /* for reports */
    dev_t device;           /* other file systems mounted below are not entered */
    bool filtered, dry_run;
    struct err err; /* the first problem */
};

static int removal_failed(struct removal *m, int errnum, const char *path)
{
    if (m->err.code == ERR_NONE)
        err_errno(&m->err, errnum, "cannot remove '%s'", path);
    return -1;
}

static void note_removed(struct removal *m, const char *path)
{
    struct restore *r = m->run;
    atomic_fetch_add_explicit(&r->progress->files_deleted, 1, memory_order_relaxed);
    if (r->reporter->item != NULL)
        r->reporter->item(r->reporter->ctx, RESTORE_DELETED, path, 0);
}

static bool may_remove(const struct removal *m, const char *path)
{
    return !m->filtered || restore_selects(m->run, path);
}

/* The names in a directory: read to the end before anything is removed, as removing may disturb reading. */
static int list_names(int fd, struct strlist *names)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (d == NULL) {
        if (copy >= 0)
            close(copy);
        return -1;
    }
    struct dirent *e;
    errno = 0;
    while ((e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            strlist_add(names, e->d_name);
    int failed = errno;
    closedir(d);
    errno = failed;
    return failed == 0 ? 0 : -1;
}

/* 0: it is gone (or would be); 1: something in it stays; -1: an error. */
static int remove_entry(struct removal *m, int dir_fd, const char *name, const char *path, unsigned depth);

static int remove_below(struct removal *m, int fd, const char *path, unsigned depth)
{
    struct strlist names = {0};
    int result = list_names(fd, &names) < 0 ? removal_failed(m, errno, path) : 0;
    for (size_t i = 0; i < names.count; i++) {
        char *child = os_path_join(path, names.items[i]);
        int one = remove_entry(m, fd, names.items[i], child, depth + 1);
        free(child);
        if (one != 0 && result >= 0)
            result = one;
    }
    strlist_release(&names);
    return result;
}

static int remove_directory(struct removal *m, int dir_fd, const char *name, const char *path, unsigned depth)
{
    struct stat st;
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int failed = errno;
        if (fd >= 0)
            close(fd);
        return removal_failed(m, failed, path);
    }
    int result;
    if (st.st_dev != m->device)
        result = removal_failed(m, EBUSY, path); /* a file system is mounted here */
    else if (depth > DEPTH_MAX)
        result = removal_failed(m, ELOOP, path);
    else
        result = remove_below(m, fd, path, depth);
    close(fd);
    if (result != 0 || !may_remove(m, path))
        return result != 0 ? result : 1;
    if (!m->dry_run && unlinkat(dir_fd, name, AT_REMOVEDIR) < 0)
        return removal_failed(m, errno, path);
    note_removed(m, path);
    return 0;
}

static int remove_entry(struct removal *m, int dir_fd, const char *name, const char *path, unsigned depth)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : removal_failed(m, errno, path);
    if (S_ISDIR(st.st_mode)) {
        if (m->filtered && !may_remove(m, path) && !restore_may_select_below(m->run, path))
            return 1;
        return remove_directory(m, dir_fd, name, path, depth);
    }
    if (!may_remove(m, path))
        return 1;
    if (!m->dry_run && unlinkat(dir_fd, name, 0) < 0)
        return removal_failed(m, errno, path);
    note_removed(m, path);
    return 0;
}

int restore_remove(struct restore *r, struct rdir *dir, const char *name, const struct stat *st, struct err *err)
{
    if (!S_ISDIR(st->st_mode)) {
        if (unlinkat(dir->fd, name, 0) < 0 && errno != ENOENT)
            return err_errno(err, errno, "cannot remove what is in its place");
        return 0;
    }
    if (!r->options->delete_extra) {
        if (unlinkat(dir->fd, name, AT_REMOVEDIR) == 0)
            return 0;
        return err_errno(err, errno, "a directory is in its place, and --delete was not given");
    }
    struct removal m = {.run = r, .dir = dir, .device = st->st_dev};
    char *path = rdir_path(dir, name);
    int result = remove_entry(&m, dir->fd, name, path, 0);
    free(path);
    if (result < 0) {
        if (err != NULL)
            *err = m.err;
        return err_wrap(err, "a directory is in its place");
    }
    return 0;
}

void restore_delete_extra(struct restore *r, struct rdir *dir, const char *path)
{
    struct stat st;
    if (dir->fd < 0 || dir->created || dir->tree == NULL || !restore_cover_has(&r->cover, path))
        return;
    struct removal m = {.run = r, .dir = dir, .filtered = true, .dry_run = r->mode == MODE_DRY_RUN};
    struct strlist names = {0};
    if (fstat(dir->fd, &st) < 0 || list_names(dir->fd, &names) < 0)
        removal_failed(&m, errno, path);
    m.device = st.st_dev;
    for (size_t i = 0; i < names.count && !restore_stopped(r); i++) {
        const char *name = names.items[i];
        if (tree_find(&dir->tree->tree, name, strlen(name)) != NULL)
            continue;
        char *child = os_path_join(path, name);
        remove_entry(&m, dir->fd, name, child, 0);
        free(child);
    }
    strlist_release(&names);
    if (m.err.code != ERR_NONE)
        restore_report(r, dir, NULL, &m.err);
}
