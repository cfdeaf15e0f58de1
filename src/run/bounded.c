/*
 * The child's bytes come through a pipe and are followed by one byte that says "complete": what a killed child wrote
 * is never taken for its answer.
 */
#include "run/bounded.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"

enum { POLL_MS = 100, GRACE_MS = 1500, COMPLETE = 0x06 };

struct bounded {
    pid_t pid;
    int fd;
    uint64_t end_ns;
};

static void child(bounded_fn *fn, void *ctx, int fd) __attribute__((noreturn));
static void child(bounded_fn *fn, void *ctx, int fd)
{
    const unsigned char complete = COMPLETE;
    struct buf out;
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    buf_init(&out, BOUNDED_OUTPUT_MAX_BYTES);
    fn(ctx, &out);
    if (!out.overflow && os_write_full(fd, out.data, out.len) == 0)
        os_write_full(fd, &complete, 1);
    _exit(0);
}

int bounded_start(struct bounded **out, bounded_fn *fn, void *ctx, uint64_t timeout_ms, struct err *err)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid < 0) {
        err_errno(err, errno, "cannot start a process");
        close(fds[0]);
        close(fds[1]);
        return -1;
    }
    if (pid == 0) {
        close(fds[0]);
        child(fn, ctx, fds[1]);
    }
    close(fds[1]);
    *out = mem_zalloc(sizeof **out);
    **out = (struct bounded){.pid = pid, .fd = fds[0], .end_ns = os_monotonic_ns() + timeout_ms * 1000000};
    return 0;
}

/* SIGTERM lets it stop what it has started itself; SIGKILL cannot be ignored, but may have to wait for the kernel,
 * which we do not. */
static void stop(pid_t pid)
{
    kill(pid, SIGTERM);
    for (int waited = 0; waited < GRACE_MS; waited += POLL_MS / 4) {
        if (waitpid(pid, NULL, WNOHANG) != 0)
            return;
        os_sleep_ms(POLL_MS / 4);
    }
    kill(pid, SIGKILL);
    os_sleep_ms(POLL_MS / 4);
    waitpid(pid, NULL, WNOHANG);
}

/* Reads to the end. ERR_TIMEOUT, ERR_INTERRUPTED. */
static int receive(const struct bounded *b, struct buf *bytes, struct err *err)
{
    for (;;) {
        if (os_check_interrupt(err) < 0)
            return -1;
        /* What came in time counts, also when we look late: several are waited for one after the other. */
        uint64_t now = os_monotonic_ns(), left_ms = now < b->end_ns ? (b->end_ns - now) / 1000000 + 1 : 0;
        struct pollfd ready = {.fd = b->fd, .events = POLLIN};
        int n = poll(&ready, 1, left_ms < POLL_MS ? (int)left_ms : POLL_MS);
        if (n <= 0 && left_ms == 0)
            return err_set(err, ERR_TIMEOUT, "no answer in time");
        if (n <= 0)
            continue;
        unsigned char piece[4096];
        ssize_t got = read(b->fd, piece, sizeof piece);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return 0;
        buf_append(bytes, piece, (size_t)got);
    }
}

int bounded_finish(struct bounded *b, struct buf *out, struct err *err)
{
    struct buf bytes;
    buf_init(&bytes, BOUNDED_OUTPUT_MAX_BYTES + 1);
    int rc = receive(b, &bytes, err);
    if (rc < 0)
        stop(b->pid);
    else
        while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    if (rc == 0 && (bytes.len == 0 || bytes.data[bytes.len - 1] != COMPLETE))
        rc = err_set(err, ERR_FAILED, "it ended without an answer");
    if (rc == 0)
        buf_append(out, bytes.data, bytes.len - 1);
    buf_release(&bytes);
    close(b->fd);
    free(b);
    return rc;
}

int bounded_run(bounded_fn *fn, void *ctx, uint64_t timeout_ms, struct buf *out, struct err *err)
{
    struct bounded *b = NULL;
    if (bounded_start(&b, fn, ctx, timeout_ms, err) < 0)
        return -1;
    return bounded_finish(b, out, err);
}
