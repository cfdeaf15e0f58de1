#include "daemon/jobs_replace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "daemon/jobs_document.h"
#include "daemon/jobs_file.h"
#include "os/clock.h"
#include "os/file.h"

enum { ATTEMPTS = 8, ATTEMPT_PAUSE_MS = 20, LOCK_WAIT_MS = 2000, RANDOM_DIGITS = 16, LEFTOVER_S = 3600 };
static const char TEMPORARY_MARK[] = ".tmp-";

/* 1: somebody else was faster. */
enum { DONE = 0, AGAIN = 1 };

static jobs_replace_hook *test_hook;

void jobs_replace_set_hook(jobs_replace_hook *hook)
{
    test_hook = hook;
}

/* --- the file as it is --- */

struct original {
    int fd; /* held locked; -1: there is no file */
    struct stat st;
    struct buf bytes;
};

static void release_original(struct original *o)
{
    if (o->fd >= 0)
        close(o->fd);
    buf_release(&o->bytes);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int lock(int fd, const char *path, struct err *err)
{
    for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += ATTEMPT_PAUSE_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return 0; /* a file system without locks: the comparisons have to do */
        if (waited >= LOCK_WAIT_MS)
            return err_set(err, ERR_CHANGED, "cannot change job file '%s': another program holds it locked", path);
        os_sleep_ms(ATTEMPT_PAUSE_MS);
    }
    return 0;
}

/* Locks and reads it. */
static int take_original(const char *path, bool create, struct original *o, struct err *err)
{
    struct stat there;
    o->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    buf_init(&o->bytes, 2 * JOBS_FILE_MAX_BYTES);
    if (o->fd < 0 && errno == ENOENT && create)
        return DONE;
    if (o->fd < 0)
        return err_errno(err, errno, "cannot open job file '%s'", path);
    if (lock(o->fd, path, err) != 0)
        return -1;
    if (fstat(o->fd, &o->st) != 0 || stat(path, &there) != 0 || !same_file(&o->st, &there))
        return AGAIN;
    return jobs_document_read(path, &o->bytes, err);
}

/* Is it still what we read? */
static bool unchanged(const struct original *o, const char *path)
{
    struct stat there;
    struct buf now;
    if (o->fd < 0)
        return lstat(path, &there) != 0;
    buf_init(&now, 2 * JOBS_FILE_MAX_BYTES);
    bool same = stat(path, &there) == 0 && same_file(&o->st, &there) && jobs_document_read(path, &now, NULL) == 0 &&
                now.len == o->bytes.len && (now.len == 0 || memcmp(now.data, o->bytes.data, now.len) == 0);
    buf_release(&now);
    return same;
}

/* --- the new one --- */

static char *directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

static char *temporary_name(const char *path)
{
    unsigned long long random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        random = os_monotonic_ns();
    return mem_printf("%s%s%0*llx", path, TEMPORARY_MARK, RANDOM_DIGITS, random);
}

/* Is it a temporary name of that file's? */
static bool is_leftover(const char *name, const char *file)
{
    size_t len = strlen(file), mark = strlen(TEMPORARY_MARK);
    return strncmp(name, file, len) == 0 && strncmp(name + len, TEMPORARY_MARK, mark) == 0 &&
           strlen(name + len + mark) == RANDOM_DIGITS && strspn(name + len + mark, "0123456789abcdef") == RANDOM_DIGITS;
}

/* What a process left that was killed on the way: it has not been renamed for an hour. */
static void remove_leftovers(const char *path)
{
    const char *slash = strrchr(path, '/'), *file = slash != NULL ? slash + 1 : path;
    char *dir = directory_of(path);
    struct dirent *e;
    struct stat st;
    DIR *d = opendir(dir);
    while (d != NULL && (e = readdir(d)) != NULL)
        if (is_leftover(e->d_name, file) && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && os_now().tv_sec - st.st_ctim.tv_sec > LEFTOVER_S)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    free(dir);
}

static int dress(int fd, const struct original *o)
{
    if (o->fd < 0)
        return fchmod(fd, 0600);
    struct stat st;
    if (fstat(fd, &st) != 0)
        return -1;
    if ((st.st_uid != o->st.st_uid || st.st_gid != o->st.st_gid) && fchown(fd, o->st.st_uid, o->st.st_gid) != 0)
        return -1;
    return fchmod(fd, o->st.st_mode & 07777);
}

static int write_temporary(const char *name, const struct original *o, const struct buf *text, const char *path,
                           struct err *err)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cannot replace job file '%s'", path);
    bool good = os_write_full(fd, text->data, text->len) == 0 && dress(fd, o) == 0 && fsync(fd) == 0;
    int errnum = errno;
    close(fd);
    return good ? 0 : err_errno(err, errnum, "cannot replace job file '%s'", path);
}

/* Somebody may have changed or replaced it in the last moment: what the exchange brought out then is theirs, and goes
 * back. */
static int exchange(const char *temporary, const struct original *o, const char *path, struct err *err)
{
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE) != 0) {
        if (errno == ENOENT)
            return AGAIN;
        if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
            return err_errno(err, errno, "cannot replace job file '%s'", path);
        /* A file system that cannot exchange. */
        return rename(temporary, path) == 0 ? DONE : err_errno(err, errno, "cannot replace job file '%s'", path);
    }
    if (unchanged(o, temporary))
        return DONE;
    if (renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_EXCHANGE) != 0)
        return err_errno(err, errno, "cannot put '%s' back", path);
    return AGAIN;
}

/* The last step of making one: it must not be there. */
static int publish_new(const char *temporary, const char *path, struct err *err)
{
    if (link(temporary, path) == 0)
        return DONE;
    return errno == EEXIST ? AGAIN : err_errno(err, errno, "cannot create job file '%s'", path);
}

static int put_in_place(const char *path, const struct original *o, const struct buf *text, struct err *err)
{
    char *temporary = temporary_name(path);
    int rc = write_temporary(temporary, o, text, path, err);
    if (rc == 0 && test_hook != NULL)
        test_hook(path, JOBS_BEFORE_COMPARING);
    if (rc == 0 && !unchanged(o, path))
        rc = AGAIN;
    if (rc == 0 && test_hook != NULL)
        test_hook(path, JOBS_BEFORE_REPLACING);
    if (rc == 0)
        rc = o->fd < 0 ? publish_new(temporary, path, err) : exchange(temporary, o, path, err);
    unlink(temporary);
    free(temporary);
    return rc;
}

static int settle(const char *path, struct err *err)
{
    char *dir = directory_of(path);
    int rc = os_fsync_dir(dir, err);
    free(dir);
    remove_leftovers(path);
    return rc;
}

/* --- together --- */

static int attempt(const char *path, bool create, jobs_make_text *make, void *ctx, struct err *err)
{
    struct original o;
    struct buf text;
    int rc = take_original(path, create, &o, err);
    buf_init(&text, JOBS_FILE_MAX_BYTES);
    if (rc == DONE && make(ctx, o.fd >= 0 ? &o.bytes : NULL, &text, err) != 0)
        rc = err_wrap(err, "job file '%s'", path);
    bool same =
        o.fd >= 0 && text.len == o.bytes.len && (text.len == 0 || memcmp(text.data, o.bytes.data, text.len) == 0);
    if (rc == DONE && !same) {
        rc = put_in_place(path, &o, &text, err);
        if (rc == DONE)
            rc = settle(path, err);
    }
    buf_release(&text);
    release_original(&o);
    return rc;
}

int jobs_replace(const char *path, bool create, jobs_make_text *make, void *ctx, struct err *err)
{
    int rc = AGAIN;
    for (int i = 0; rc == AGAIN && i < ATTEMPTS; i++) {
        if (i > 0)
            os_sleep_ms(ATTEMPT_PAUSE_MS);
        char *target = realpath(path, NULL); /* what a symbolic link leads to is replaced, not the link */
        rc = attempt(target != NULL ? target : path, create, make, ctx, err);
        free(target);
    }
    if (rc == AGAIN)
        return err_set(err, ERR_CHANGED, "cannot change job file '%s': another program changes it all the time", path);
    return rc;
}
