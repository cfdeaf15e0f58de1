#include "os/open.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Opens directory after directory, each piece as long as the kernel takes, and in the last one the rest. */
static int open_in_pieces(const char *path, int flags)
{
    char piece[PATH_MAX];
    int dir = AT_FDCWD;
    size_t left = strlen(path);
    while (left >= PATH_MAX) {
        size_t len = PATH_MAX - 1;
        while (len > 0 && path[len] != '/')
            len--;
        if (len == 0) {
            errno = ENAMETOOLONG;
            left = 0;
            break;
        }
        memcpy(piece, path, len);
        piece[len] = '\0';
        int next = openat(dir, piece, O_PATH | O_DIRECTORY | O_CLOEXEC);
        int saved = errno;
        if (dir != AT_FDCWD)
            close(dir);
        if (next < 0) {
            errno = saved;
            return -1;
        }
        dir = next;
        path += len + 1;
        left -= len + 1;
    }
    int fd = left > 0 ? openat(dir, path, flags) : -1;
    int saved = errno;
    if (dir != AT_FDCWD)
        close(dir);
    errno = saved;
    return fd;
}

int os_open(const char *path, int flags)
{
    flags |= O_CLOEXEC;
    int fd = open(path, flags);
    return fd < 0 && errno == ENAMETOOLONG ? open_in_pieces(path, flags) : fd;
}

int os_open_noatime(const char *path, int flags)
{
    int fd = os_open(path, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? os_open(path, flags) : fd;
}

int os_openat_noatime(int dir_fd, const char *name, int flags)
{
    flags |= O_CLOEXEC;
    int fd = openat(dir_fd, name, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(dir_fd, name, flags) : fd;
}

char *os_fd_path(int fd, char out[OS_FD_PATH_BYTES])
{
    snprintf(out, OS_FD_PATH_BYTES, "/proc/self/fd/%d", fd);
    return out;
}
