#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"

/* Where a descriptor stands, instead of an offset. */
static const off_t HERE = -1;

static ssize_t read_full(int fd, void *p, size_t len, off_t offset)
{
    size_t done = 0;
    while (done < len) {
        char *to = (char *)p + done;
        ssize_t n = offset == HERE ? read(fd, to, len - done) : pread(fd, to, len - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

ssize_t os_read_full(int fd, void *p, size_t len)
{
    return read_full(fd, p, len, HERE);
}

ssize_t os_pread_full(int fd, void *p, size_t len, off_t offset)
{
    return read_full(fd, p, len, offset);
}

static int write_full(int fd, const void *p, size_t len, off_t offset)
{
    size_t done = 0;
    while (done < len) {
        const char *from = (const char *)p + done;
        ssize_t n = offset == HERE ? write(fd, from, len - done) : pwrite(fd, from, len - done, offset + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = ENOSPC;
            return -1;
        }
        done += (size_t)n;
    }
    return 0;
}

int os_write_full(int fd, const void *p, size_t len)
{
    return write_full(fd, p, len, HERE);
}

int os_pwrite_full(int fd, const void *p, size_t len, off_t offset)
{
    return write_full(fd, p, len, offset);
}

/* Reads to the end of the file, in steps that start at its size. */
static int read_to_end(int fd, const char *path, struct buf *out, struct err *err)
{
    struct stat st;
    size_t step =
        fstat(fd, &st) == 0 && st.st_size > 0 && (size_t)st.st_size < out->max ? (size_t)st.st_size + 1 : 4096;
    for (;;) {
        unsigned char *to = buf_reserve(out, step);
        if (to == NULL)
            return err_set(err, ERR_UNSUPPORTED, "cannot read '%s': it is larger than %zu bytes", path, out->max);
        ssize_t n = os_read_full(fd, to, step);
        if (n < 0)
            return err_errno(err, errno, "cannot read '%s'", path);
        out->len += (size_t)n;
        if ((size_t)n < step)
            return 0;
    }
}

int os_read_file(const char *path, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot open '%s'", path);
    int rc = read_to_end(fd, path, out, err);
    close(fd);
    return rc;
}

/* The directory part of a path, "." when there is none. The caller frees it. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

static int write_and_sync(int fd, const void *p, size_t len, mode_t mode)
{
    return os_write_full(fd, p, len) == 0 && fchmod(fd, mode) == 0 && fsync(fd) == 0 ? 0 : -1;
}

int os_write_file_atomic(const char *path, const void *p, size_t len, mode_t mode, struct err *err)
{
    int rc = -1;
    unsigned char r[8] = {0};
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
        return err_errno(err, errno, "cannot get random bytes");
    char *temporary =
        mem_printf("%s.tmp-%02x%02x%02x%02x%02x%02x%02x%02x", path, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]);
    char *dir = parent_of(path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(err, errno, "cannot create '%s'", path);
        goto out;
    }
    int failed = write_and_sync(fd, p, len, mode);
    int saved = errno;
    if (close(fd) != 0 && failed == 0) {
        failed = -1;
        saved = errno;
    }
    if (failed == 0 && rename(temporary, path) != 0) {
        failed = -1;
        saved = errno;
    }
    if (failed != 0) {
        unlink(temporary);
        err_errno(err, saved, "cannot write '%s'", path);
        goto out;
    }
    rc = os_fsync_dir(dir, err);
out:
    free(dir);
    free(temporary);
    return rc;
}

int os_make_dirs(const char *path, mode_t mode, struct err *err)
{
    char *work = mem_strdup(path);
    int rc = 0;
    for (char *p = work + 1; rc == 0; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        struct stat st;
        if (mkdir(work, mode) != 0 && (errno != EEXIST || stat(work, &st) != 0 || !S_ISDIR(st.st_mode)))
            rc = err_errno(err, errno, "cannot make directory '%s'", work);
        *p = was;
        if (was == '\0')
            break;
    }
    free(work);
    return rc;
}

int os_fsync_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "cannot open directory '%s'", path);
    int rc = 0;
    /* Some file systems (FUSE, network shares) cannot sync a directory: they say EINVAL, and there is nothing to do. */
    if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
        rc = err_errno(err, errno, "cannot sync directory '%s'", path);
    close(fd);
    return rc;
}

char *os_path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    bool slash = len > 0 && dir[len - 1] == '/';
    return mem_printf("%s%s%s", dir, slash || len == 0 ? "" : "/", name);
}

/* Resolves ".", ".." and empty components of an absolute path, in place. */
static void clean(char *path)
{
    char *to = path;
    const char *p = path;
    while (*p != '\0') {
        while (*p == '/')
            p++;
        size_t len = strcspn(p, "/");
        if (len == 0)
            break;
        bool up = len == 2 && p[0] == '.' && p[1] == '.', here = len == 1 && p[0] == '.';
        if (up) {
            while (to > path && *--to != '/')
                ;
        } else if (!here) {
            *to++ = '/';
            memmove(to, p, len);
            to += len;
        }
        p += len;
    }
    if (to == path)
        *to++ = '/';
    *to = '\0';
}

char *os_path_absolute(const char *path)
{
    char *full;
    if (path[0] == '/') {
        full = mem_strdup(path);
    } else {
        char *cwd = getcwd(NULL, 0);
        if (cwd == NULL)
            return NULL;
        full = os_path_join(cwd, path);
        free(cwd);
    }
    clean(full);
    return full;
}

bool os_path_is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    while (len > 0 && dir[len - 1] == '/')
        len--;
    return strncmp(path, dir, len) == 0 && (len == 0 || path[len] == '/' || path[len] == '\0');
}

char *os_path_expand_home(const char *path)
{
    if (path[0] != '~' || (path[1] != '/' && path[1] != '\0'))
        return mem_strdup(path);
    const char *home = getenv("HOME");
    if (home == NULL || home[0] == '\0') {
        const struct passwd *pw = getpwuid(getuid());
        home = pw != NULL ? pw->pw_dir : "/";
    }
    return path[1] == '\0' ? mem_strdup(home) : os_path_join(home, path + 2);
}
