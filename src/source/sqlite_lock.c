/*
 * The WAL pin. Only a checkpoint writes into the database file of a WAL database, and it does so
 *   - holding lock byte WAL_READ_LOCK(0) of the -shm exclusively, or
 *   - when the last connection is closed, holding the database's EXCLUSIVE lock (and no -shm lock at all).
 * With both held shared, as any reader of a fully checkpointed database holds them, the file stands still, while
 * writers go on appending to the WAL. They may restart the WAL, but only when all of it was in the database file before
 * we came.
 *
 * A process that finds nobody holding the "dead man's switch" byte takes the -shm for a leftover of a crash and resets
 * it. We hold that byte too, as every reader does, but never as the only one: then we would vouch for contents that we
 * did not look at.
 */
#include "source/sqlite_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"

enum {
    PENDING_BYTE = 0x40000000, /* in the database file */
    RESERVED_BYTE = PENDING_BYTE + 1,
    SHARED_FIRST = PENDING_BYTE + 2,
    SHARED_BYTES = 510,
    SHM_READ_LOCK_0 = 123, /* in the -shm file */
    SHM_DEAD_MANS_SWITCH = 128,
    POLL_MS = 1,
    HOT_LOOKS = 5,
    HOT_LOOK_PAUSE_MS = 40
};

static struct flock range(short type, off_t start, off_t len)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock); /* OFD locks want l_pid to be 0 */
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = len;
    return lock;
}

/* Would this lock meet another's? Works for write locks on read-only descriptors too: nothing is taken. */
static bool is_held_against(int fd, short type, off_t start, off_t len)
{
    struct flock lock = range(type, start, len);
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool sqlite_lock_is_exclusive(int fd)
{
    return is_held_against(fd, F_RDLCK, SHARED_FIRST, SHARED_BYTES);
}

/* 1 taken, 0 held by somebody else, -1. */
static int try_read_lock(int fd, off_t start, off_t len, struct err *err)
{
    struct flock lock = range(F_RDLCK, start, len);
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return 1;
    if (errno == EAGAIN || errno == EACCES || errno == EINTR)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "cannot lock: %s", strerror(errno));
}

static void unlock(int fd, off_t start, off_t len)
{
    struct flock lock = range(F_UNLCK, start, len);
    (void)fcntl(fd, F_OFD_SETLK, &lock);
}

/* A writer that waits for readers to leave holds PENDING: newcomers have to get past it first, and so do we. */
static int try_shared(int fd, struct err *err)
{
    int got = try_read_lock(fd, PENDING_BYTE, 1, err);
    if (got != 1)
        return got;
    got = try_read_lock(fd, SHARED_FIRST, SHARED_BYTES, err);
    unlock(fd, PENDING_BYTE, 1);
    return got;
}

/* One pause of a wait for a lock. */
static int wait_a_little(uint64_t deadline_ns, const char *what, struct err *err)
{
    if (os_check_interrupt(err) != 0)
        return -1;
    if (os_monotonic_ns() >= deadline_ns)
        return err_set(err, ERR_TIMEOUT, "%s", what);
    os_sleep_ms(POLL_MS);
    return 0;
}

int sqlite_lock_shared(int fd, uint64_t deadline_ns, struct err *err)
{
    for (;;) {
        int got = try_shared(fd, err);
        if (got != 0)
            return got == 1 ? 0 : -1;
        if (wait_a_little(deadline_ns, "the database stayed locked by its writer", err) != 0)
            return -1;
    }
}

void sqlite_unlock_shared(int fd)
{
    unlock(fd, SHARED_FIRST, SHARED_BYTES);
}

/* Does the journal start with anything but a zero byte? That is SQLite's own test. */
static int journal_is_filled(const char *path, struct err *err)
{
    unsigned char first = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "cannot open '%s'", path);
    ssize_t n = os_pread_full(fd, &first, 1, 0);
    if (n < 0)
        err_errno(err, errno, "cannot read '%s'", path);
    close(fd);
    return n < 0 ? -1 : n == 1 && first != 0;
}

/* A writer holds RESERVED from before it makes its journal until after it has finished it. So a filled journal with
 * nobody behind it is hot, unless a writer came or left between the two looks: then another look tells. */
int sqlite_journal_look(const char *database_path, int fd, enum sqlite_journal *out, struct err *err)
{
    char *path = mem_printf("%s-journal", database_path);
    *out = SQLITE_JOURNAL_HOT;
    int filled = 1;
    for (int look = 0; look < HOT_LOOKS && *out == SQLITE_JOURNAL_HOT; look++) {
        if (look > 0)
            os_sleep_ms(HOT_LOOK_PAUSE_MS);
        bool reserved = is_held_against(fd, F_WRLCK, RESERVED_BYTE, 1);
        filled = journal_is_filled(path, err);
        if (filled < 0)
            break;
        reserved = reserved || is_held_against(fd, F_WRLCK, RESERVED_BYTE, 1);
        if (filled == 0)
            *out = SQLITE_JOURNAL_NONE;
        else if (reserved)
            *out = SQLITE_JOURNAL_LIVE;
    }
    free(path);
    return filled < 0 ? -1 : 0;
}

static int lock_shm(int fd, uint64_t deadline_ns, struct err *err)
{
    if (!is_held_against(fd, F_WRLCK, SHM_DEAD_MANS_SWITCH, 1))
        return 0;
    static const off_t bytes[] = {SHM_DEAD_MANS_SWITCH, SHM_READ_LOCK_0};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        int got;
        while ((got = try_read_lock(fd, bytes[i], 1, err)) == 0)
            if (wait_a_little(deadline_ns, "a checkpoint of the database did not end", err) != 0)
                return -1;
        if (got < 0)
            return -1;
    }
    return 1;
}

int sqlite_lock_checkpoints(const char *database_path, uint64_t deadline_ns, int *shm_fd_out, struct err *err)
{
    char *path = mem_printf("%s-shm", database_path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    free(path);
    if (fd < 0)
        return 0;
    int got = lock_shm(fd, deadline_ns, err);
    if (got == 1)
        *shm_fd_out = fd;
    else
        close(fd);
    return got;
}
