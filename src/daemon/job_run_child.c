#include "daemon/job_run_child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/mem.h"
#include "os/file.h"
#include "os/priority.h"

enum { STEP_SET_UP, STEP_DIRECTORY, STEP_EXEC };
enum { CANNOT_RUN = 126, NOT_FOUND = 127, GATE_CLOSED = 125 };

/* --- before --- */

/* Between the service manager and us alone. */
static const char *const OURS[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",  "JOURNAL_STREAM",
                                   "LISTEN_FDS",    "LISTEN_PID",    "LISTEN_FDNAMES"};

static bool has_name(const char *entry, const char *name, size_t len)
{
    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool is_passed_on(const char *entry, const char *const *additions)
{
    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++)
        if (has_name(entry, OURS[i], strlen(OURS[i])))
            return false;
    for (; additions != NULL && *additions != NULL; additions++)
        if (has_name(entry, *additions, strcspn(*additions, "=")))
            return false;
    return true;
}

/* The array is the caller's, the strings are not. Of two additions with one name the last one counts. */
static char **make_environment(const char *const *additions)
{
    size_t count = 0;
    for (char **e = environ; e != NULL && *e != NULL; e++)
        count++;
    for (const char *const *a = additions; a != NULL && *a != NULL; a++)
        count++;
    char **env = mem_array(NULL, count + 1, sizeof *env), **to = env;
    for (char **e = environ; e != NULL && *e != NULL; e++)
        if (is_passed_on(*e, additions))
            *to++ = *e;
    for (const char *const *a = additions; a != NULL && *a != NULL; a++)
        if (is_passed_on(*a, a + 1))
            *to++ = (char *)(uintptr_t)*a; /* as in environ, nobody writes to it */
    *to = NULL;
    return env;
}

/* Both ends close-on-exec and above the standard descriptors, so that these can be set up in any order. */
static int make_pipe(int ends[2], struct err *err)
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return err_errno(err, errno, "no pipe");
    for (int i = 0; i < 2; i++) {
        if (ends[i] > STDERR_FILENO)
            continue;
        int high = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1), errnum = errno;
        close(ends[i]);
        ends[i] = high;
        if (high < 0) {
            close(ends[1 - i]);
            ends[0] = ends[1] = -1;
            return err_errno(err, errnum, "no pipe");
        }
    }
    return 0;
}

/* A file without a name that holds the text. */
static int make_input(const char *text, struct err *err)
{
    int fd = text == NULL ? open("/dev/null", O_RDONLY | O_CLOEXEC) : memfd_create("clawback-input", MFD_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "no standard input");
    if (text != NULL && (os_write_full(fd, text, strlen(text)) != 0 || lseek(fd, 0, SEEK_SET) != 0)) {
        int errnum = errno;
        close(fd);
        return err_errno(err, errnum, "no standard input");
    }
    if (fd > STDERR_FILENO)
        return fd;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), errnum = errno;
    close(fd);
    return high >= 0 ? high : err_errno(err, errnum, "no standard input");
}

/* --- in the child: system calls only --- */

struct ends {
    int in, out[2], err[2], gate[2], report[2];
};

static void default_signals(void)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGPIPE, SIGTERM, SIGCHLD, SIGUSR1, SIGUSR2, SIGALRM};
    sigset_t none;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_from_to(unsigned from, unsigned to)
{
#ifdef SYS_close_range
    if (from <= to)
        (void)syscall(SYS_close_range, from, to, 0U);
#else
    (void)from, (void)to;
#endif
}

/* All that the child does not need, at once: the daemon's lock must not stay held by a child that waits at the gate of
 * a dead daemon, and whoever started us may have left descriptors open that are no business of a job's. */
static void close_others(const struct ends *e)
{
    int kept[] = {e->in, e->out[1], e->err[1], e->gate[0], e->report[1]};
    size_t count = sizeof kept / sizeof *kept;
    for (size_t i = 1; i < count; i++) /* sorted by insertion: they are five */
        for (size_t k = i; k > 0 && kept[k - 1] > kept[k]; k--) {
            int higher = kept[k - 1];
            kept[k - 1] = kept[k];
            kept[k] = higher;
        }
    unsigned from = STDERR_FILENO + 1;
    for (size_t i = 0; i < count; i++) {
        close_from_to(from, (unsigned)kept[i] - 1);
        from = (unsigned)kept[i] + 1;
    }
    close_from_to(from, ~0U);
}

_Noreturn static void give_up(int report_fd, int step)
{
    struct job_child_report report = {.step = step, .errnum = errno};
    (void)!write(report_fd, &report, sizeof report);
    _exit(report.errnum == ENOENT ? NOT_FOUND : CANNOT_RUN);
}

_Noreturn static void become(const struct ends *e, const struct job_run_options *o, char **env)
{
    char byte;
    ssize_t n;
    /* Our copy of the gate's other end would keep it open after the daemon is gone. */
    close(e->gate[1]);
    close_others(e);
    (void)setpgid(0, 0);
    do
        n = read(e->gate[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        _exit(GATE_CLOSED);
    os_priority_lower();
    if (dup2(e->in, STDIN_FILENO) < 0 || dup2(e->out[1], STDOUT_FILENO) < 0 || dup2(e->err[1], STDERR_FILENO) < 0)
        give_up(e->report[1], STEP_SET_UP);
    if (chdir(o->directory != NULL ? o->directory : "/") != 0)
        give_up(e->report[1], STEP_DIRECTORY);
    default_signals();
    execvpe(o->argv[0], o->argv, env);
    give_up(e->report[1], STEP_EXEC);
}

/* --- the fork --- */

static void close_ends(struct ends *e)
{
    int *fds[] = {&e->in,      &e->out[0],  &e->out[1],    &e->err[0],   &e->err[1],
                  &e->gate[0], &e->gate[1], &e->report[0], &e->report[1]};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (*fds[i] >= 0)
            close(*fds[i]);
}

static int take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

/* The child must not run the daemon's signal handlers, nor take its signals: all stay blocked until it is somebody
 * else. */
static pid_t fork_quietly(const struct ends *e, const struct job_run_options *o, char **env)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        become(e, o, env);
    int errnum = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = errnum;
    return pid;
}

int job_child_fork(struct job_child *out, const struct job_run_options *o, struct err *err)
{
    struct ends e = {.in = -1, .out = {-1, -1}, .err = {-1, -1}, .gate = {-1, -1}, .report = {-1, -1}};
    int rc = -1;
    e.in = make_input(o->input, err);
    if (e.in < 0 || make_pipe(e.out, err) != 0 || make_pipe(e.err, err) != 0 || make_pipe(e.gate, err) != 0 ||
        make_pipe(e.report, err) != 0)
        goto out;
    char **env = make_environment(o->environment);
    out->pid = fork_quietly(&e, o, env);
    int errnum = errno;
    free(env);
    if (out->pid < 0) {
        err_errno(err, errnum, "no process");
        goto out;
    }
    (void)setpgid(out->pid, out->pid); /* both sides do it: whoever comes first */
    (void)fcntl(e.out[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(e.err[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(e.report[0], F_SETFL, O_NONBLOCK);
    out->gate_fd = take(&e.gate[1]);
    out->out_fd = take(&e.out[0]);
    out->err_fd = take(&e.err[0]);
    out->report_fd = take(&e.report[0]);
    rc = 0;
out:
    close_ends(&e);
    return rc;
}

void job_child_explain(const struct job_child_report *report, const char *name, struct err *err)
{
    if (report->step == STEP_DIRECTORY)
        err_errno(err, report->errnum, "cannot start '%s': its working directory cannot be entered", name);
    else
        err_errno(err, report->errnum, "cannot start '%s'", name);
}
