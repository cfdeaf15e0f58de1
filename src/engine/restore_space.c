#include "base/bytes.h"
#include "engine/restore_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "os/file.h"

/* Each entry costs about this much besides its content: its directory entry and inode, and the rest of its last
 * block. */
enum { ENTRY_BYTES = 4096 };

/* File systems that compress: how much they will need cannot be known. */
enum { MAGIC_BTRFS = 0x9123683e, MAGIC_ZFS = 0x2fc12fc1, MAGIC_BCACHEFS = (int)0xca451a4e };

struct space {
    struct restore *run;
    struct links *links;                   /* an inode is counted once */
    uint64_t files, bytes;                 /* all that is selected */
    uint64_t missing_bytes, missing_files; /* of that, what is not there yet */
    bool look;                             /* into the target: how much is there already */
};

uint64_t restore_bytes_of(struct restore *r, struct links *links, const struct node *n)
{
    struct stat st = {.st_ino = 1};
    struct restore_link *link;
    if (n->type != NODE_FILE)
        return 0;
    if (n->links <= 1 || n->inode == 0)
        return n->size;
    if (links_join(links, r->target, n, &link) != LINK_LEAD) {
        links_followed(links, link);
        return 0;
    }
    links_done(links, link, r->target, n->name, &st);
    return n->size;
}

static int dir_fd_of(const struct walk_dir *dir)
{
    return (int)(intptr_t)dir->user;
}

static int enter(void *ctx, struct walk_dir *dir, const char *path, struct err *err)
{
    struct space *s = ctx;
    (void)path;
    (void)err;
    int fd = -1;
    if (dir->parent == NULL && s->look && s->run->target->fd >= 0)
        fd = dup(s->run->target->fd);
    else if (dir->parent != NULL && dir_fd_of(dir->parent) >= 0)
        fd = openat(dir_fd_of(dir->parent), dir->node->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    dir->user = (void *)(intptr_t)fd;
    return 0;
}

static int leave(void *ctx, struct walk_dir *dir, const char *path, bool failed, struct err *err)
{
    (void)ctx;
    (void)path;
    (void)failed;
    (void)err;
    if (dir_fd_of(dir) >= 0)
        close(dir_fd_of(dir));
    return 0;
}

static int entry(void *ctx, struct walk_dir *dir, const struct node *n, const char *path, struct err *err)
{
    struct space *s = ctx;
    (void)err;
    if (dir->depth == 0 && s->run->only != NULL && strcmp(n->name, s->run->only) != 0)
        return WALK_PRUNE;
    if (!restore_selects(s->run, path))
        return n->type == NODE_DIR && restore_may_select_below(s->run, path) ? WALK_GO : WALK_PRUNE;
    s->files++;
    uint64_t bytes = restore_bytes_of(s->run, s->links, n);
    s->bytes += bytes;
    struct stat st;
    int fd = dir_fd_of(dir);
    bool there = fd >= 0 && fstatat(fd, n->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    uint64_t has = there && S_ISREG(st.st_mode) ? (uint64_t)st.st_blocks * 512 : 0;
    s->missing_bytes += bytes > has ? bytes - has : 0;
    s->missing_files += !there;
    return WALK_GO;
}

static int broken(void *ctx, const char *path, const struct id *tree, const struct err *why, struct err *err)
{
    (void)ctx;
    (void)path;
    (void)tree;
    (void)why;
    (void)err;
    return 0; /* restoring reports it */
}

static int measure(struct restore *r, bool look, struct space *out, struct err *err)
{
    *out = (struct space){.run = r, .look = look, .links = links_new()};
    struct walk_visitor visitor = {.ctx = out, .entry = entry, .enter = enter, .leave = leave, .broken = broken};
    int result = walk_run(r->repo, &r->root, walk_prefetch_threads(r->repo), &visitor, err);
    links_free(out->links);
    return result;
}

struct free_space {
    uint64_t bytes, files; /* UINT64_MAX files: no limit */
    bool sure;
};

/* What can be written below the target; where that does not exist yet, below the nearest parent that does. */
static int free_space(struct restore *r, struct free_space *out, struct err *err)
{
    char *path = os_path_absolute(r->options->target);
    *out = (struct free_space){.sure = false};
    if (path == NULL)
        return err_errno(err, errno, "cannot find the working directory");
    struct statvfs vfs = {0};
    struct statfs fs = {0};
    int result = -1;
    while ((result = statvfs(path, &vfs)) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
        char *slash = strrchr(path, '/');
        if (slash == NULL || slash[1] == '\0')
            break;
        slash[slash == path] = '\0';
    }
    if (result == 0)
        result = statfs(path, &fs);
    if (result < 0) {
        err_errno(err, errno, "cannot look at the free space of '%s'", path);
    } else {
        out->bytes = (uint64_t)(r->euid == 0 ? vfs.f_bfree : vfs.f_bavail) * vfs.f_frsize;
        out->files = vfs.f_files == 0 ? UINT64_MAX : r->euid == 0 ? vfs.f_ffree : vfs.f_favail;
        unsigned magic = (unsigned)fs.f_type;
        out->sure = magic != (unsigned)MAGIC_BTRFS && magic != (unsigned)MAGIC_ZFS && magic != (unsigned)MAGIC_BCACHEFS;
    }
    free(path);
    return result;
}

static bool fits(const struct free_space *have, uint64_t bytes, uint64_t files)
{
    return bytes + files * ENTRY_BYTES <= have->bytes && files <= have->files;
}

static int judge(struct restore *r, const struct space *s, const struct free_space *have, struct err *err)
{
    uint64_t needed = s->missing_bytes + s->missing_files * ENTRY_BYTES;
    r->result->needed_bytes = needed;
    r->result->free_bytes = have->bytes;
    if (fits(have, s->missing_bytes, s->missing_files))
        return 0;
    const char *target = r->options->target;
    char free_text[BYTES_TEXT_BYTES], needed_text[BYTES_TEXT_BYTES];
    if (!have->sure || r->options->sparse || r->options->delete_extra) {
        restore_warn(r, r->target, NULL, "there may be too little space in the target");
        return 0;
    }
    if (s->missing_files > have->files)
        return err_set(err, ERR_NO_SPACE,
                       "'%s' has room for %llu more files, but %llu are to be restored; nothing was changed", target,
                       (unsigned long long)have->files, (unsigned long long)s->missing_files);
    return err_set(err, ERR_NO_SPACE, "'%s' has %s free, but up to %s are needed; nothing was changed", target,
                   bytes_text(have->bytes, free_text), bytes_text(needed, needed_text));
}

int restore_space_check(struct restore *r, const struct snapshot *snapshot, struct err *err)
{
    struct free_space have;
    struct space s = {0};
    bool whole = r->options->include == NULL && r->options->exclude == NULL && r->only == NULL &&
                 id_equal(&r->root, &snapshot->tree);
    if (free_space(r, &have, err) < 0)
        return -1;
    if (snapshot->has_summary) {
        const struct snapshot_summary *sum = &snapshot->summary;
        uint64_t dirs = sum->dirs_new + sum->dirs_changed + sum->dirs_unmodified;
        if (whole) {
            atomic_store(&r->progress->total_files, sum->total_files_processed + dirs);
            atomic_store(&r->progress->total_bytes, sum->total_bytes_processed);
        }
        if (fits(&have, sum->total_bytes_processed, sum->total_files_processed + dirs))
            return 0;
    }
    if (measure(r, false, &s, err) < 0)
        return -1;
    atomic_store(&r->progress->total_files, s.files);
    atomic_store(&r->progress->total_bytes, s.bytes);
    if (!fits(&have, s.bytes, s.files) && measure(r, true, &s, err) < 0)
        return -1;
    return judge(r, &s, &have, err);
}
