#include "run/host_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"

enum { POLL_MS = 200, TEXT_MAX_BYTES = 512 };

struct host_lock {
    int fd;
};

/* The host's name is part of the file's: a home directory may be shared between hosts. */
static char *lock_path(const char *state_dir)
{
    char host[256] = "";
    bool known = gethostname(host, sizeof host - 1) == 0 && host[0] != '\0' && strchr(host, '/') == NULL;
    return mem_printf("%s/run-%s.lock", state_dir, known ? host : "localhost");
}

/* Who holds it says so in the file. */
static void describe_holder(int fd, char *who, size_t cap)
{
    ssize_t n = os_pread_full(fd, who, cap - 1, 0);
    who[n > 0 ? n : 0] = '\0';
    who[strcspn(who, "\n")] = '\0';
}

static void sign(int fd, const char *what)
{
    char when[OS_TIME_BYTES], text[TEXT_MAX_BYTES];
    struct timespec now = os_now();
    int len = snprintf(text, sizeof text, "process %ld since %s (%s)\n", (long)getpid(),
                       os_time_format_human(&now, when), what);
    /* What cannot be written is missed in a message only. */
    if (ftruncate(fd, 0) == 0 && len > 0)
        (void)!pwrite(fd, text, (size_t)len < sizeof text ? (size_t)len : sizeof text - 1, 0);
}

static int take(int fd, bool wait, struct err *err)
{
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char who[TEXT_MAX_BYTES];
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return err_errno(err, errno, "cannot take the run lock");
        if (!wait) {
            describe_holder(fd, who, sizeof who);
            err_set(err, ERR_LOCKED, "another run is under way: %s", who[0] != '\0' ? who : "just begun");
            return err_advise(err, "try again when it is over, or wait for that with --wait");
        }
        if (os_check_interrupt(err) != 0)
            return -1;
        os_sleep_ms(POLL_MS);
    }
    return 0;
}

int host_lock_acquire(struct host_lock **out, const char *state_dir, bool wait, struct err *err)
{
    if (os_make_dirs(state_dir, 0700, err) != 0)
        return err_wrap(err, "cannot make the state directory");
    char *path = lock_path(state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd >= 0 ? take(fd, wait, err) : err_errno(err, errno, "cannot open lock file '%s'", path);
    free(path);
    if (rc != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    sign(fd, "run");
    *out = mem_zalloc(sizeof **out);
    (*out)->fd = fd;
    return 0;
}

void host_lock_describe(struct host_lock *l, const char *what)
{
    sign(l->fd, what);
}

void host_lock_release(struct host_lock *l)
{
    if (l == NULL)
        return;
    (void)!ftruncate(l->fd, 0);
    /* Unlocked by name: a forked child that hangs in a dead network drive has our descriptor, and would keep the lock.
     */
    (void)flock(l->fd, LOCK_UN);
    close(l->fd);
    free(l);
}

bool host_lock_held(const char *state_dir, char *who, size_t cap)
{
    char *path = lock_path(state_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    who[0] = '\0';
    if (fd < 0)
        return false;
    bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (held)
        describe_holder(fd, who, cap);
    close(fd);
    return held;
}
