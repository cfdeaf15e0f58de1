#include "daemon/heartbeat.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <jansson.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"

enum { TEXT_MAX_BYTES = 256, DEAD_HOLDER_MS = 5000, LOOK_MS = 20 };

struct daemon_lock {
    int fd;
};

/* --- the heartbeat --- */

/* Not os_write_file_atomic(): a sync each minute would wake a sleeping disk for a file that is worth nothing after a
 * crash. */
static int replace(const char *path, const char *text, size_t len, struct err *err)
{
    char *temporary = mem_printf("%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd >= 0 ? os_write_full(fd, text, len) : -1, errnum = errno;
    if (fd >= 0 && close(fd) != 0 && rc == 0) {
        errnum = errno;
        rc = -1;
    }
    if (rc == 0 && rename(temporary, path) != 0) {
        errnum = errno;
        rc = -1;
    }
    if (rc != 0) {
        err_errno(err, errnum, "cannot write '%s'", path);
        if (fd >= 0)
            unlink(temporary);
    }
    free(temporary);
    return rc;
}

int heartbeat_write(const char *state_dir, const struct heartbeat *h, struct err *err)
{
    json_t *o =
        json_pack("{s:I, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "pid", (json_int_t)h->pid, "version",
                  CLAWBACK_VERSION, "startedMs", (json_int_t)h->started_ms, "tickMs", (json_int_t)h->tick_ms,
                  "stoppedMs", (json_int_t)h->stopped_ms, "jobs", (json_int_t)h->jobs, "running",
                  (json_int_t)h->running, "nextMs", (json_int_t)h->next_ms, "mistakes", (json_int_t)h->mistakes);
    json_t *file = json_string(h->jobs_file); /* NULL where the path is no UTF-8 */
    if (file != NULL)
        json_object_set_new(o, "jobsFile", file);
    char *text = json_dumps(o, JSON_COMPACT), *path = os_path_join(state_dir, "daemon.json");
    int rc = replace(path, text, strlen(text), err);
    json_decref(o);
    free(text);
    free(path);
    return rc;
}

/* --- the lock --- */

static void describe_holder(int fd, char *who, size_t cap)
{
    ssize_t n = os_pread_full(fd, who, cap - 1, 0);
    who[n > 0 ? n : 0] = '\0';
    for (char *p = who; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = '\0';
}

/* A daemon that was killed this moment: a child that it was about to start still has its descriptors, until it sees
 * that nobody will open its gate. */
static bool is_dead(const char *who)
{
    long pid = strncmp(who, "process ", 8) == 0 ? strtol(who + 8, NULL, 10) : 0;
    return pid > 0 && pid <= INT_MAX && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static int take(int fd, struct err *err)
{
    char text[TEXT_MAX_BYTES], when[OS_TIME_BYTES];
    uint64_t end_ns = os_monotonic_ns() + DEAD_HOLDER_MS * UINT64_C(1000000);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return err_errno(err, errno, "cannot take the daemon's lock");
        describe_holder(fd, text, sizeof text);
        if (is_dead(text) && os_monotonic_ns() < end_ns) {
            os_sleep_ms(LOOK_MS);
            continue;
        }
        err_set(err, ERR_LOCKED, "another daemon is running: %s", text[0] != '\0' ? text : "just begun");
        return err_advise(err, "one daemon runs all jobs of a state directory; 'clawback schedule status' shows it");
    }
    struct timespec now = os_now();
    int len = snprintf(text, sizeof text, "process %ld since %s\n", (long)getpid(), os_time_format_human(&now, when));
    /* What cannot be written is missed in a message only. */
    if (ftruncate(fd, 0) == 0)
        (void)!pwrite(fd, text, (size_t)len, 0);
    return 0;
}

/* The descriptor of the locked file; -1. */
static int lock_file(const char *state_dir, struct err *err)
{
    if (os_make_dirs(state_dir, 0700, err) != 0)
        return err_wrap(err, "cannot make the state directory");
    char *path = os_path_join(state_dir, "daemon.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd >= 0 ? take(fd, err) : err_errno(err, errno, "cannot open lock file '%s'", path);
    free(path);
    if (rc == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

int daemon_lock_acquire(struct daemon_lock **out, const char *state_dir, struct err *err)
{
    int fd = lock_file(state_dir, err);
    *out = NULL;
    if (fd < 0)
        return -1;
    *out = mem_zalloc(sizeof **out);
    (*out)->fd = fd;
    return 0;
}

int daemon_lock_keep(struct daemon_lock *l, const char *state_dir, struct err *err)
{
    struct stat ours, there;
    char *path = os_path_join(state_dir, "daemon.lock");
    bool same = fstat(l->fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_dev == there.st_dev &&
                ours.st_ino == there.st_ino;
    free(path);
    if (same)
        return 0;
    int fd = lock_file(state_dir, err);
    if (fd < 0)
        return -1;
    close(l->fd);
    l->fd = fd;
    return 0;
}

void daemon_lock_release(struct daemon_lock *l)
{
    if (l == NULL)
        return;
    (void)!ftruncate(l->fd, 0);
    (void)flock(l->fd, LOCK_UN);
    close(l->fd);
    free(l);
}
