/*
 * Invariants:
 * - a name that is an ID is only ever given by rename(2) to a file that was written, and (but for locks) synced,
 * before;
 * - an fd in the cache of packs is of a file that has, or had, that name: packs never change, so it never reads wrong
 * bytes. There is no other state: modes are looked up when they are needed, since the owner may change them at any
 * time.
 */
#include "store/local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "store/fd_cache.h"
#include "store/layout.h"
#include "store/reserve.h"

enum {
    FLUSH_BYTES = 4 << 20, /* how much of a pack may wait in memory before the disk is told to begin */
    CLEAN_AGE_S = 60 * 60, /* where others may be writing at this moment, younger files are left alone */
};

struct local {
    struct store store;
    struct fd_cache *packs;
};

/* A file that has no name yet. */
struct store_spool {
    char *dir, *path;
    int fd; /* -1 once closed */
    uint64_t written, flushed;
};

static struct local *local_of(struct store *s)
{
    return (struct local *)s;
}

static int local_create(struct store *s, struct err *err)
{
    char *config = layout_path(s->location, STORE_CONFIG, NULL);
    bool exists = access(config, F_OK) == 0;
    free(config);
    if (exists)
        return err_set(err, ERR_EXISTS, "a repository exists already at '%s'", s->location);
    if (layout_create(s->location, err) != 0)
        return err_wrap(err, "cannot make a repository at '%s'", s->location);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------------ listing
 */

struct listing {
    enum store_type type;
    store_list_fn *fn;
    void *ctx;
};

static int list_entry(void *ctx, int dir_fd, const char *dir, const struct dirent *entry)
{
    const struct listing *listing = ctx;
    const char *name = entry->d_name, *slash = strchr(dir, '/');
    struct id id;
    if (id_from_hex(name, strlen(name), &id) != 0)
        return 0;
    /* A pack outside its own directory could not be read either. */
    if (listing->type == STORE_PACK && (slash == NULL || memcmp(slash + 1, name, 2) != 0))
        return 0;
    struct stat st;
    if (fstatat(dir_fd, name, &st, 0) != 0 || !S_ISREG(st.st_mode)) /* removed since, or no file */
        return 0;
    return listing->fn(listing->ctx, name, (uint64_t)st.st_size);
}

static int local_list(struct store *s, enum store_type type, store_list_fn *fn, void *ctx, struct err *err)
{
    struct listing listing = {.type = type, .fn = fn, .ctx = ctx};
    return layout_visit(s->location, type, list_entry, &listing, err);
}

/* ------------------------------------------------------------------------------------------------------------ reading
 */

static int cannot(const struct store *s, const char *what, enum store_type type, const char *name, int errnum,
                  struct err *err)
{
    char label[STORE_LABEL_BYTES];
    return err_errno(err, errnum, "cannot %s %s in '%s'", what, store_label(type, name, label), s->location);
}

static int local_size(struct store *s, enum store_type type, const char *name, uint64_t *bytes_out, struct err *err)
{
    char *path = layout_path(s->location, type, name);
    struct stat st;
    int rc = stat(path, &st);
    int errnum = errno;
    free(path);
    if (rc != 0)
        return cannot(s, "find", type, name, errnum, err);
    *bytes_out = (uint64_t)st.st_size;
    return 0;
}

static int open_file(const struct local *l, enum store_type type, const char *name)
{
    char *path = layout_path(l->store.location, type, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int errnum = errno;
    free(path);
    errno = errnum;
    return fd;
}

static int open_pack(void *ctx, const char *name)
{
    return open_file(ctx, STORE_PACK, name);
}

static int local_read(struct store *s, enum store_type type, const char *name, uint64_t offset, void *out, size_t len,
                      struct err *err)
{
    struct local *l = local_of(s);
    bool cached = type == STORE_PACK;
    int fd = cached ? fd_cache_acquire(l->packs, name, open_pack, l) : open_file(l, type, name);
    if (fd < 0)
        return cannot(s, "open", type, name, errno, err);
    ssize_t n = os_pread_full(fd, out, len, (off_t)offset);
    int errnum = errno;
    if (cached)
        fd_cache_release(l->packs, fd);
    else
        close(fd);
    if (n < 0)
        return cannot(s, "read", type, name, errnum, err);
    if ((size_t)n == len)
        return 0;
    char label[STORE_LABEL_BYTES];
    return err_set(err, ERR_CORRUPT, "%s in '%s' is too short: %zu of %zu bytes are missing at offset %llu",
                   store_label(type, name, label), s->location, len - (size_t)n, len, (unsigned long long)offset);
}

/* ------------------------------------------------------------------------------------------------------------ writing
 */

static int write_failed(const struct local *l, enum store_type type, const char *name, int errnum, struct err *err)
{
    char label[STORE_LABEL_BYTES] = "a pack";
    if (name != NULL)
        store_label(type, name, label);
    bool full = errnum == ENOSPC || errnum == EDQUOT;
    return err_errno(err, errnum,
                     full ? "repository '%s' is full: cannot write %s" : "repository '%s': cannot write %s",
                     l->store.location, label);
}

/* Opens a new file of a random name that listings skip. -1 with errno. */
static int spool_open(struct store_spool *sp)
{
    do {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
            return -1;
        free(sp->path);
        sp->path = mem_printf("%s/tmp-%016llx", sp->dir, (unsigned long long)random);
        sp->fd = open(sp->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    } while (sp->fd < 0 && errno == EEXIST);
    return sp->fd < 0 ? -1 : 0;
}

/* Starts a file in the directory that files of this type and name belong in. Of a pack's name two digits are enough. */
static int spool_start(struct local *l, enum store_type type, const char *name, struct store_spool *sp, struct err *err)
{
    *sp = (struct store_spool){.fd = -1, .dir = layout_dir(l->store.location, type, name)};
    if (spool_open(sp) == 0)
        return 0;
    if (errno == ENOENT && type == STORE_PACK) { /* but never data/ itself: the disk may not be mounted */
        struct err reason = {0};
        if (layout_make_pack_dir(l->store.location, name, &reason) == 0 && spool_open(sp) == 0)
            return 0;
        if (reason.code != ERR_NONE)
            errno = reason.sys_errno;
    }
    if (errno == ENOENT || errno == ENOTDIR)
        return layout_no_repository(l->store.location, store_type_name(type), err);
    return write_failed(l, type, strlen(name) == ID_HEX_CHARS || type == STORE_CONFIG ? name : NULL, errno, err);
}

/* Closes, removes the file where it still has its temporary name, and releases what sp holds. */
static void spool_end(struct store_spool *sp, bool has_its_name)
{
    if (sp->fd >= 0)
        close(sp->fd);
    if (sp->path != NULL && !has_its_name)
        unlink(sp->path);
    free(sp->path);
    free(sp->dir);
}

/* Makes the contents final: read-only, on the disk, closed. 0, or -1 with errno. */
static int spool_seal(const struct local *l, struct store_spool *sp, bool durable)
{
    /* File systems that know no modes refuse this, and keep the file as safe without. */
    (void)fchmod(sp->fd, layout_group_readable(l->store.location) ? 0440 : 0400);
    if (durable && fsync(sp->fd) != 0)
        return -1;
    int fd = sp->fd;
    sp->fd = -1;
    return close(fd);
}

/* A pack of this name and size is there: its bytes are ours. One of another size is damaged and better replaced. */
static bool pack_is_there(const char *path, uint64_t bytes)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size == bytes;
}

/* rename(2) that fails with EEXIST instead of replacing, as nearly as the file system can. */
static int rename_new(const char *from, const char *to)
{
    int rc = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE);
    if (rc == 0 || (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP))
        return rc;
    if (access(to, F_OK) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

/* Gives the sealed file its name. 1: it has it now; 0: a file of that name is kept instead; -1 with errno. */
static int spool_name(struct local *l, const struct store_spool *sp, enum store_type type, const char *name,
                      const char *path)
{
    if (type == STORE_CONFIG)
        return rename_new(sp->path, path) == 0 ? 1 : -1;
    if (type != STORE_PACK)
        return rename(sp->path, path) == 0 ? 1 : -1;
    if (pack_is_there(path, sp->written))
        return 0;
    if (rename(sp->path, path) != 0)
        return -1;
    fd_cache_drop(l->packs, name); /* of a damaged file that was replaced */
    return 1;
}

/* Puts the file under its name, durably, and ends sp whatever happens. */
static int spool_finish(struct local *l, struct store_spool *sp, enum store_type type, const char *name,
                        struct err *err)
{
    /* A lock says that a process is alive. When the power fails it is not, so locks are spared the wait for the disk.
     */
    bool durable = type != STORE_LOCK;
    char *dir = layout_dir(l->store.location, type, name), *path = layout_path(l->store.location, type, name);
    int named = -1, rc = -1;
    if (spool_seal(l, sp, durable) != 0) {
        write_failed(l, type, name, errno, err);
        goto out;
    }
    named = spool_name(l, sp, type, name, path);
    if (named < 0 && errno == ENOENT && type == STORE_PACK && layout_make_pack_dir(l->store.location, name, NULL) == 0)
        named = spool_name(l, sp, type, name, path);
    if (named < 0 && errno == EEXIST) {
        err_set(err, ERR_EXISTS, "a repository exists already at '%s'", l->store.location);
        goto out;
    }
    if (named < 0) {
        write_failed(l, type, name, errno, err);
        goto out;
    }
    rc = durable ? os_fsync_dir(dir, err) : 0;
    /* Where the file left its directory for another, that one too: some file systems would else show it in both. */
    if (rc == 0 && durable && strcmp(dir, sp->dir) != 0)
        rc = os_fsync_dir(sp->dir, err);
out:
    spool_end(sp, named == 1);
    free(dir);
    free(path);
    return rc;
}

static int local_save(struct store *s, enum store_type type, const char *name, const void *p, size_t len,
                      struct err *err)
{
    struct local *l = local_of(s);
    struct store_spool sp;
    int rc = spool_start(l, type, name, &sp, err);
    if (rc == 0 && os_write_full(sp.fd, p, len) != 0)
        rc = write_failed(l, type, name, errno, err);
    if (rc != 0) {
        spool_end(&sp, false);
        return -1;
    }
    sp.written = len;
    return spool_finish(l, &sp, type, name, err);
}

static int local_spool_new(struct store *s, struct store_spool **out, struct err *err)
{
    /* The pack's own directory is not known yet: any of them hides it from listings. */
    unsigned char random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return err_errno(err, errno, "cannot get random bytes");
    char dir[3];
    snprintf(dir, sizeof dir, "%02x", random);
    struct store_spool *sp = mem_alloc(sizeof *sp);
    if (spool_start(local_of(s), STORE_PACK, dir, sp, err) != 0) {
        spool_end(sp, false);
        free(sp);
        return -1;
    }
    *out = sp;
    return 0;
}

static int local_spool_write(struct store *s, struct store_spool *sp, const void *p, size_t len, struct err *err)
{
    if (os_write_full(sp->fd, p, len) != 0)
        return write_failed(local_of(s), STORE_PACK, NULL, errno, err);
    sp->written += len;
    /* Let the disk begin now, so that little is left to wait for at the end. Only a hint: a failure shows at fsync. */
    if (sp->written - sp->flushed >= FLUSH_BYTES) {
        (void)sync_file_range(sp->fd, (off_t)sp->flushed, (off_t)(sp->written - sp->flushed), SYNC_FILE_RANGE_WRITE);
        sp->flushed = sp->written;
    }
    return 0;
}

static int local_spool_commit(struct store *s, struct store_spool *sp, enum store_type type, const char *name,
                              struct err *err)
{
    int rc = spool_finish(local_of(s), sp, type, name, err);
    free(sp);
    return rc;
}

static void local_spool_discard(struct store *s, struct store_spool *sp)
{
    (void)s;
    spool_end(sp, false);
    free(sp);
}

/* ----------------------------------------------------------------------------------------------------------- removing
 */

static int local_remove(struct store *s, enum store_type type, const char *name, struct err *err)
{
    struct local *l = local_of(s);
    char *path = layout_path(s->location, type, name), *dir = layout_dir(s->location, type, name);
    int rc = 0;
    if (unlink(path) != 0)
        rc = cannot(s, "remove", type, name, errno, err);
    else if (type != STORE_LOCK && type != STORE_PACK) /* should a power cut bring these back, they do no harm */
        rc = os_fsync_dir(dir, err);
    if (type == STORE_PACK)
        fd_cache_drop(l->packs, name);
    free(path);
    free(dir);
    return rc;
}

/* Our temporary files, and those that restic leaves ("ID-tmp-NUMBER"). */
static bool is_leftover(const char *name)
{
    struct id id;
    if (strncmp(name, "tmp-", 4) == 0)
        return true;
    return strlen(name) > ID_HEX_CHARS && id_from_hex(name, ID_HEX_CHARS, &id) == 0 &&
           strncmp(name + ID_HEX_CHARS, "-tmp-", 5) == 0;
}

struct cleaning {
    const struct local *l;
    time_t before; /* only what was last written before */
    bool all;      /* or everything */
    struct err *err;
};

static int clean_entry(void *ctx, int dir_fd, const char *dir, const struct dirent *entry)
{
    const struct cleaning *c = ctx;
    struct stat st;
    if (!is_leftover(entry->d_name) || fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (!S_ISREG(st.st_mode) || (!c->all && st.st_mtime >= c->before))
        return 0;
    if (unlinkat(dir_fd, entry->d_name, 0) != 0 && errno != ENOENT)
        return err_errno(c->err, errno, "cannot remove '%s/%s/%s'", c->l->store.location, dir, entry->d_name);
    return 0;
}

static int local_clean(struct store *s, struct err *err)
{
    struct local *l = local_of(s);
    struct cleaning all = {.l = l, .all = true, .err = err};
    /* Locks are written without any lock, by others and by our own refresher; keys under a shared one at most. */
    struct cleaning old = {.l = l, .before = os_now().tv_sec - CLEAN_AGE_S, .err = err};
    for (enum store_type type = STORE_CONFIG; type < STORE_TYPE_COUNT; type++) {
        bool quiet = type == STORE_SNAPSHOT || type == STORE_INDEX || type == STORE_PACK;
        if (layout_visit(s->location, type, clean_entry, quiet ? &all : &old, err) != 0)
            return -1;
    }
    return 0;
}

/* ---------------------------------------------------------------------------------------------------------- the whole
 */

static int local_free_space(struct store *s, uint64_t *bytes_out, struct err *err)
{
    struct statvfs vfs;
    if (statvfs(s->location, &vfs) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return layout_no_repository(s->location, "", err);
        return err_errno(err, errno, "cannot find out how much space is left in '%s'", s->location);
    }
    *bytes_out = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return 0;
}

static void local_reserve_keep(struct store *s)
{
    reserve_keep(s->location, false);
}

static void local_reserve_retake(struct store *s)
{
    reserve_keep(s->location, true);
}

static bool local_reserve_give_up(struct store *s)
{
    return reserve_give_up(s->location);
}

static void local_free(struct store *s)
{
    struct local *l = local_of(s);
    fd_cache_free(l->packs);
    free(s->location);
    free(l);
}

static const struct store_ops LOCAL_OPS = {
    .create = local_create,
    .list = local_list,
    .size = local_size,
    .read = local_read,
    .save = local_save,
    .remove = local_remove,
    .spool_new = local_spool_new,
    .spool_write = local_spool_write,
    .spool_commit = local_spool_commit,
    .spool_discard = local_spool_discard,
    .free_space = local_free_space,
    .clean = local_clean,
    .reserve_keep = local_reserve_keep,
    .reserve_retake = local_reserve_retake,
    .reserve_give_up = local_reserve_give_up,
    .free = local_free,
};

/* Every process sees the same directory at the same time where the file system is this machine's own. Network and FUSE
 * file systems keep listings for a while. */
static bool is_consistent(const char *path)
{
    static const unsigned long own[] = {0xEF53 /* ext */,
                                        0x58465342 /* xfs */,
                                        0x9123683E /* btrfs */,
                                        0x01021994 /* tmpfs */,
                                        0xF2F52010 /* f2fs */,
                                        0x794c7630 /* overlay */,
                                        0x2fc12fc1 /* zfs */};
    struct statfs fs;
    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if ((unsigned long)fs.f_type == own[i])
            return true;
    return false;
}

int store_local_new(struct store **out, const char *path, struct err *err)
{
    *out = NULL;
    char *absolute = os_path_absolute(path);
    if (absolute == NULL)
        return err_errno(err, errno, "cannot find the working directory for '%s'", path);
    struct local *l = mem_zalloc(sizeof *l);
    l->store.ops = &LOCAL_OPS;
    l->store.location = absolute;
    l->store.features = STORE_CHEAP_READS | STORE_FREE_SPACE | (is_consistent(absolute) ? STORE_CONSISTENT : 0);
    l->packs = fd_cache_new();
    *out = &l->store;
    return 0;
}
