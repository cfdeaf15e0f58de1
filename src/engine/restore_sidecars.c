/*
 * What a database left beside itself. A snapshot holds a SQLite database as one whole file; a -wal or -journal that
 * lies in the target belongs to the database that was there before. SQLite would apply it to the restored one, and so
 * undo the restore or destroy it. Hence such files go, whenever what stands in their database's place is what the
 * snapshot says.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "engine/restore_internal.h"
#include "os/file.h"
#include "source/sqlite.h"

static const char *const SUFFIXES[] = {"-wal", "-shm", "-journal"};
enum { SUFFIX_COUNT = sizeof SUFFIXES / sizeof SUFFIXES[0], NAME_BYTES = 512, HEAD_BYTES = 100 };

static bool is_in_snapshot(const struct rdir *dir, const char *name)
{
    return dir->tree != NULL && tree_find(&dir->tree->tree, name, strlen(name)) != NULL;
}

static bool holds_database(const struct rdir *dir, const char *name)
{
    unsigned char head[HEAD_BYTES];
    int fd = openat(dir->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd >= 0 ? os_read_full(fd, head, sizeof head) : -1;
    if (fd >= 0)
        close(fd);
    return n > 0 && sqlite_is_database(head, (size_t)n);
}

/* Did the overwrite rule keep a file of somebody else's there? */
static bool is_protected(struct restore *r, const struct rdir *dir, const struct node *n)
{
    struct stat st;
    return fstatat(dir->fd, n->name, &st, AT_SYMLINK_NOFOLLOW) != 0 || restore_protects(r, n, &st);
}

static void remove_sidecar(struct restore *r, struct rdir *dir, const char *name, const struct stat *st)
{
    struct err err;
    if (unlinkat(dir->fd, name, 0) == 0) {
        restore_note(r, RESTORE_DELETED, dir, name, (uint64_t)st->st_size);
        atomic_fetch_add_explicit(&r->progress->files_deleted, 1, memory_order_relaxed);
    } else if (errno != ENOENT) {
        err_errno(&err, errno, "cannot remove it, although it would spoil the restored database");
        restore_report(r, dir, name, &err);
    }
}

void restore_sidecars(struct restore *r, struct rdir *dir, const struct node *n, enum restore_outcome outcome)
{
    bool database = false;
    if (dir->created || outcome == OUTCOME_FAILED)
        return;
    for (size_t i = 0; i < SUFFIX_COUNT; i++) {
        char name[NAME_BYTES];
        struct stat st;
        int len = snprintf(name, sizeof name, "%s%s", n->name, SUFFIXES[i]);
        if (len < 0 || (size_t)len >= sizeof name || fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode) || is_in_snapshot(dir, name))
            continue;
        if (!database && (!holds_database(dir, n->name) || (outcome == OUTCOME_UNCHANGED && is_protected(r, dir, n))))
            return;
        database = true;
        remove_sidecar(r, dir, name, &st);
    }
}
