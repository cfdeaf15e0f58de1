#include "store/reserve.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "os/file.h"

static const char NAME[] = "reserve";
enum { SPARE_FACTOR = 10 };

static bool has_space(const char *base)
{
    struct statvfs vfs;
    return statvfs(base, &vfs) == 0 && vfs.f_bavail * vfs.f_frsize >= (uint64_t)SPARE_FACTOR * STORE_RESERVE_BYTES;
}

void reserve_keep(const char *base, bool retake)
{
    char *path = os_path_join(base, NAME);
    if (access(path, F_OK) != 0 && (retake || has_space(base))) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        bool kept = fd >= 0 && posix_fallocate(fd, 0, STORE_RESERVE_BYTES) == 0;
        if (fd >= 0)
            close(fd);
        if (fd >= 0 && !kept)
            unlink(path);
    }
    free(path);
}

bool reserve_give_up(const char *base)
{
    char *path = os_path_join(base, NAME);
    bool given = unlink(path) == 0;
    free(path);
    return given;
}
