/*
 * Invariants:
 * - the child is reaped in one place, reap(), after which pid is not signalled any more: until then neither it nor its
 * group's number can belong to somebody else;
 * - out_fd and err_fd are -1 once they are at their end; nothing is read from them but by pump().
 *
 * posix_spawn is used since it does between fork and exec only what is safe there, and reports a failing exec itself.
 */
#include "os/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/strlist.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/interrupt.h"

enum {
    TICK_MS = 200,      /* how often a wait looks at os_interrupted() */
    BLIND_TICK_MS = 10, /* how often it looks for the child's end where the kernel cannot announce it */
    DEFAULT_GRACE_MS = 2000,
    OUT_PIPE_BYTES = 1 << 20, /* dumps are large: fewer turns between the two processes */
};

struct process {
    char *name;
    pid_t pid;
    bool own_group, reaped;
    int pid_fd; /* readable once the child has ended; -1 where the kernel has no such thing */
    int out_fd, err_fd;
    int status; /* wait status, once reaped */
    uint64_t deadline_ns, grace_ms, timeout_ms;
    struct err stopped; /* why we stopped it; ERR_NONE: we did not */
    struct buf words;   /* the end of its standard error */
};

/* ------------------------------------------------------------------------------------------------------------ starting
 */

/* A pipe with both ends close-on-exec and above the standard descriptors, so that these can be set up in any order. */
static int make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    for (int i = 0; i < 2; i++) {
        if (ends[i] > STDERR_FILENO)
            continue;
        int high = fcntl(ends[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        int errnum = errno;
        close(ends[i]);
        ends[i] = high;
        if (high < 0) {
            close(ends[1 - i]);
            errno = errnum;
            return -1;
        }
    }
    return 0;
}

static void close_pipe(int ends[2])
{
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

static bool same_variable(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return strncmp(a, b, len) == 0 && b[len] == '=';
}

static bool is_replaced(const char *entry, const char *const *additions)
{
    for (; *additions != NULL; additions++)
        if (same_variable(*additions, entry))
            return true;
    return false;
}

static struct strlist withheld;

void process_withhold(const char *name)
{
    if (!strlist_contains(&withheld, name))
        strlist_add(&withheld, name);
}

static bool is_withheld(const char *entry)
{
    for (size_t i = 0; i < withheld.count; i++) {
        size_t len = strlen(withheld.items[i]);
        if (strncmp(entry, withheld.items[i], len) == 0 && entry[len] == '=')
            return true;
    }
    return false;
}

/* Our environment with the additions. The array is the caller's, the strings are not. */
static char **make_environment(const struct process_options *o)
{
    static const char *const none[] = {NULL};
    const char *const *additions = o->environment;
    if (additions == NULL)
        additions = none;
    size_t count = 0;
    for (char **e = environ; e != NULL && *e != NULL; e++)
        count++;
    for (const char *const *a = additions; *a != NULL; a++)
        count++;
    char **env = mem_array(NULL, count + 1, sizeof *env), **to = env;
    for (char **e = environ; e != NULL && *e != NULL; e++)
        if (!is_replaced(*e, additions) && (o->with_withheld || !is_withheld(*e)))
            *to++ = *e;
    for (const char *const *a = additions; *a != NULL; a++)
        if (strchr(*a, '=') != NULL)
            *to++ = (char *)(uintptr_t)*a; /* as in environ, nobody writes to it */
    *to = NULL;
    return env;
}

/* Where the child's standard descriptors lead to. err_fd: -1 for ours. */
static int set_files(posix_spawn_file_actions_t *files, const struct process_options *o, int out_fd, int err_fd)
{
    int rc = !o->with_stdin ? posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
                            : posix_spawn_file_actions_adddup2(files, o->stdin_fd, STDIN_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(files, out_fd, STDOUT_FILENO);
    if (rc == 0 && err_fd >= 0)
        rc = posix_spawn_file_actions_adddup2(files, err_fd, STDERR_FILENO);
    if (rc == 0 && o->directory != NULL)
        rc = posix_spawn_file_actions_addchdir_np(files, o->directory);
    return rc;
}

static int set_attributes(posix_spawnattr_t *attributes, const struct process_options *o)
{
    sigset_t none, defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults,
              SIGPIPE); /* we ignore it, which exec would pass on; handled signals become default by themselves */
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    int rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &defaults);
    if (o->no_terminal) {
        flags |= POSIX_SPAWN_SETSID; /* which makes a group of its own, too */
    } else if (rc == 0 && !o->share_terminal) {
        flags |= POSIX_SPAWN_SETPGROUP;
        rc = posix_spawnattr_setpgroup(attributes, 0);
    }
    return rc == 0 ? posix_spawnattr_setflags(attributes, flags) : rc;
}

/* In the forked child: becomes what the options say, and then the program. Only what is safe between fork and exec.
 * Returns, with errno, when it fails. */
static void become(const struct process_options *o, char **env, int out_fd, int err_fd)
{
    const struct os_user *user = o->run_as;
    sigset_t none;
    sigemptyset(&none);
    int in_fd = o->with_stdin ? o->stdin_fd : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (in_fd < 0 || dup2(in_fd, STDIN_FILENO) < 0 || dup2(out_fd, STDOUT_FILENO) < 0 ||
        (err_fd >= 0 && dup2(err_fd, STDERR_FILENO) < 0))
        return;
    if (in_fd == STDIN_FILENO && fcntl(in_fd, F_SETFD, 0) != 0) /* dup2 onto itself keeps close-on-exec */
        return;
    if (o->no_terminal ? setsid() < 0 : !o->share_terminal && setpgid(0, 0) != 0)
        return;
    if (setgroups(user->group_count, user->groups) != 0 || setresgid(user->gid, user->gid, user->gid) != 0 ||
        setresuid(user->uid, user->uid, user->uid) != 0)
        return;
    if (o->directory != NULL && chdir(o->directory) != 0)
        return;
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(o->argv[0], o->argv, env);
}

/* As another user, which posix_spawn cannot do. 0 or an errno: the child sends its own through a pipe that a successful
 * exec closes. */
static int spawn_as(struct process *p, const struct process_options *o, int out_fd, int err_fd)
{
    int report[2], errnum = 0;
    if (make_pipe(report) != 0)
        return errno;
    char **env = make_environment(o);
    p->pid = fork();
    if (p->pid == 0) {
        become(o, env, out_fd, err_fd);
        errnum = errno;
        (void)!write(report[1], &errnum, sizeof errnum);
        _exit(127);
    }
    if (p->pid < 0)
        errnum = errno;
    free(env);
    close(report[1]);
    if (p->pid > 0 && os_read_full(report[0], &errnum, sizeof errnum) > 0)
        (void)waitpid(p->pid, NULL, 0);
    close(report[0]);
    return errnum;
}

/* 0 or an errno. */
static int spawn(struct process *p, const struct process_options *o, int out_fd, int err_fd)
{
    if (o->run_as != NULL)
        return spawn_as(p, o, out_fd, err_fd);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = set_files(&files, o, out_fd, err_fd);
        if (rc == 0)
            rc = set_attributes(&attributes, o);
        char **env = make_environment(o);
        if (rc == 0)
            rc = posix_spawnp(&p->pid, o->argv[0], &files, &attributes, o->argv, env);
        free(env);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

static struct process *new_process(const struct process_options *o)
{
    struct process *p = mem_zalloc(sizeof *p);
    p->name = mem_strdup(o->argv[0]);
    p->pid_fd = p->out_fd = p->err_fd = -1;
    p->own_group = !o->share_terminal || o->no_terminal;
    p->timeout_ms = o->timeout_ms;
    p->deadline_ns = o->timeout_ms == 0 ? UINT64_MAX : os_monotonic_ns() + o->timeout_ms * UINT64_C(1000000);
    p->grace_ms = o->grace_ms == 0 ? DEFAULT_GRACE_MS : o->grace_ms;
    buf_init(&p->words, (size_t)2 * PROCESS_STDERR_BYTES);
    return p;
}

static void delete_process(struct process *p)
{
    int fds[] = {p->pid_fd, p->out_fd, p->err_fd};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    buf_release(&p->words);
    free(p->name);
    free(p);
}

/* SYS_pidfd_open by number where the C library has no function for it. It is close-on-exec by itself. */
static int open_pid(pid_t pid)
{
#ifdef SYS_pidfd_open
    return (int)syscall(SYS_pidfd_open, pid, 0);
#else
    (void)pid;
    return -1;
#endif
}

/* Whoever started us may have left SIGCHLD ignored: then the kernel would throw exit statuses away. */
static void want_statuses(void)
{
    struct sigaction action;
    if (sigaction(SIGCHLD, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
        signal(SIGCHLD, SIG_DFL);
}

int process_start(struct process **out, const struct process_options *options, struct err *err)
{
    assert(options->argv != NULL && options->argv[0] != NULL);
    *out = NULL;
    int out_pipe[2], err_pipe[2] = {-1, -1};
    if (make_pipe(out_pipe) != 0)
        return err_errno(err, errno, "cannot start '%s'", options->argv[0]);
    if (!options->inherit_stderr && make_pipe(err_pipe) != 0) {
        err_errno(err, errno, "cannot start '%s'", options->argv[0]);
        close_pipe(out_pipe);
        return -1;
    }
    want_statuses();
    struct process *p = new_process(options);
    int errnum = spawn(p, options, out_pipe[1], err_pipe[1]);
    if (errnum != 0) {
        err_errno(err, errnum, "cannot start '%s'", p->name);
        close_pipe(out_pipe);
        close_pipe(err_pipe);
        delete_process(p);
        return -1;
    }
    close(out_pipe[1]);
    if (err_pipe[1] >= 0)
        close(err_pipe[1]);
    p->out_fd = out_pipe[0];
    p->err_fd = err_pipe[0];
    (void)fcntl(p->out_fd, F_SETPIPE_SZ, OUT_PIPE_BYTES);
    if (p->err_fd >= 0) /* it is read only when there is something, but then to the end of that */
        (void)fcntl(p->err_fd, F_SETFL, O_NONBLOCK);
    p->pid_fd = open_pid(p->pid);
    *out = p;
    return 0;
}

/* ------------------------------------------------------------------------------------------------------- reading,
 * waiting */

/* Keeps what standard error has to say just now; only the end of it all. */
static void take_words(struct process *p)
{
    char text[4096];
    while (p->err_fd >= 0) {
        ssize_t n = read(p->err_fd, text, sizeof text);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            close(p->err_fd);
            p->err_fd = -1;
            return;
        }
        buf_append(&p->words, text, (size_t)n);
        if (p->words.len > PROCESS_STDERR_BYTES) {
            memmove(p->words.data, p->words.data + p->words.len - PROCESS_STDERR_BYTES, PROCESS_STDERR_BYTES);
            p->words.len = PROCESS_STDERR_BYTES;
        }
    }
}

static bool has_ended(const struct process *p)
{
    siginfo_t info = {0};
    if (p->reaped)
        return true;
    if (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
        return info.si_pid == p->pid;
    return errno == ECHILD; /* somebody waits for all children of ours: its status is lost, but it is gone */
}

/* Takes the child's status. It must have ended, or be about to. */
static void reap(struct process *p)
{
    while (!p->reaped) {
        if (waitpid(p->pid, &p->status, 0) < 0) {
            if (errno == EINTR)
                continue;
            p->status = 1 << 8; /* lost: no success */
        }
        p->reaped = true;
    }
}

static int stop_because(struct process *p, const struct err *why, struct err *err)
{
    process_stop(p);
    p->stopped = *why;
    if (err != NULL)
        *err = *why;
    return -1;
}

/* -1, with the process stopped, when it was stopped before, when its time is over or when we are to end. */
static int check_time(struct process *p, struct err *err)
{
    struct err why = {0};
    if (p->stopped.code != ERR_NONE) {
        if (err != NULL)
            *err = p->stopped;
        return -1;
    }
    if (os_check_interrupt(&why) != 0)
        return stop_because(p, &why, err);
    if (os_monotonic_ns() < p->deadline_ns)
        return 0;
    err_set(&why, ERR_TIMEOUT, "command '%s' took too long (more than %g s) and was stopped", p->name,
            (double)p->timeout_ms / 1000);
    return stop_because(p, &why, err);
}

static int wait_ms(const struct process *p, uint64_t until_ns, int most)
{
    uint64_t now = os_monotonic_ns(), until = until_ns < p->deadline_ns ? until_ns : p->deadline_ns;
    uint64_t left_ms = until > now ? (until - now) / 1000000 + 1 : 0;
    return left_ms < (uint64_t)most ? (int)left_ms : most;
}

/* Waits a moment for output (if wanted), words or, with want_end, the child's end. True when there may be output. */
static bool pump(struct process *p, bool want_output, bool want_end, uint64_t until_ns)
{
    struct pollfd fds[] = {
        {.fd = want_output ? p->out_fd : -1, .events = POLLIN},
        {.fd = p->err_fd, .events = POLLIN},
        {.fd = want_end ? p->pid_fd : -1, .events = POLLIN},
    };
    bool blind = want_end && p->pid_fd < 0;
    (void)poll(fds, 3, wait_ms(p, until_ns, blind ? BLIND_TICK_MS : TICK_MS));
    if (fds[1].revents != 0)
        take_words(p);
    return fds[0].revents != 0;
}

/* Reads what is there. The count, 0 at the end (or when interrupted), -1 with errno. */
static ssize_t read_output(struct process *p, void *out, size_t cap)
{
    ssize_t n = read(p->out_fd, out, cap);
    if (n == 0) {
        close(p->out_fd);
        p->out_fd = -1;
    }
    return n < 0 && errno == EINTR ? 0 : n;
}

int64_t process_read(struct process *p, void *out, size_t cap, struct err *err)
{
    size_t done = 0;
    while (done < cap) {
        if (check_time(p, err) != 0)
            return -1;
        if (p->out_fd < 0)
            break;
        if (!pump(p, true, false, UINT64_MAX))
            continue;
        ssize_t n = read_output(p, (char *)out + done, cap - done);
        if (n < 0)
            return err_errno(err, errno, "cannot read the output of '%s'", p->name);
        done += (size_t)n;
    }
    return (int64_t)done;
}

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f;
}

/* Its last line that is not empty, without control characters, appended to the message. */
static void add_last_words(struct process *p, struct err *err)
{
    const char *text = buf_cstr(&p->words), *end = text + p->words.len;
    while (end > text && is_blank(end[-1]))
        end--;
    const char *line = end;
    while (line > text && line[-1] != '\n' && line[-1] != '\r')
        line--;
    if (line == end || err == NULL)
        return;
    char words[300];
    size_t len = (size_t)(end - line) < sizeof words - 1 ? (size_t)(end - line) : sizeof words - 1;
    for (size_t i = 0; i < len; i++)
        words[i] = is_blank(line[i]) ? ' ' : line[i];
    words[len] = '\0';
    struct err was = *err;
    err_set(err, was.code, "%s: %s", was.message, words);
}

static int judge(struct process *p, struct err *err)
{
    if (WIFEXITED(p->status) && WEXITSTATUS(p->status) == 0)
        return 0;
    if (WIFSIGNALED(p->status))
        err_set(err, ERR_FAILED, "command '%s' was killed by signal %d (%s)", p->name, WTERMSIG(p->status),
                strsignal(WTERMSIG(p->status)));
    else
        err_set(err, ERR_FAILED, "command '%s' exited with status %d", p->name, WEXITSTATUS(p->status));
    add_last_words(p, err);
    return -1;
}

int process_wait(struct process *p, struct err *err)
{
    if (p->out_fd >= 0) {
        close(p->out_fd);
        p->out_fd = -1;
    }
    while (!has_ended(p)) {
        if (check_time(p, err) != 0)
            return -1;
        pump(p, false, true, UINT64_MAX);
    }
    if (p->stopped.code != ERR_NONE)
        return check_time(p, err);
    reap(p);
    take_words(p);
    return judge(p, err);
}

const char *process_stderr(struct process *p)
{
    take_words(p);
    return buf_cstr(&p->words);
}

/* -------------------------------------------------------------------------------------------------------------
 * stopping */

static void send_signal(const struct process *p, int number)
{
    (void)kill(p->own_group ? -p->pid : p->pid, number);
}

void process_stop(struct process *p)
{
    if (p->reaped)
        return;
    send_signal(p, SIGTERM);
    send_signal(p, SIGCONT); /* a stopped process hears nothing else */
    uint64_t until = os_monotonic_ns() + p->grace_ms * UINT64_C(1000000);
    p->deadline_ns = UINT64_MAX;
    while (!has_ended(p) && os_monotonic_ns() < until)
        pump(p, false, true, until);
    send_signal(p, SIGKILL); /* what is left of the group, too; not reaped yet, so the number is still its own */
    reap(p);
    take_words(p);
}

void process_free(struct process *p)
{
    if (p == NULL)
        return;
    process_stop(p);
    delete_process(p);
}

static int collect(struct process *p, struct buf *out, struct err *err)
{
    unsigned char room[4096];
    int64_t n;
    while ((n = process_read(p, room, sizeof room, err)) > 0) {
        if (out == NULL)
            continue;
        buf_append(out, room, (size_t)n);
        if (out->overflow) {
            n = err_set(err, ERR_FAILED, "the output of '%s' is larger than %zu bytes", p->name, out->max);
            break;
        }
    }
    mem_wipe(room, sizeof room); /* it may be a passphrase */
    return (int)n;
}

int process_run(const struct process_options *options, struct buf *out, struct err *err)
{
    struct process *p;
    if (process_start(&p, options, err) != 0)
        return -1;
    int rc = collect(p, out, err);
    if (rc == 0)
        rc = process_wait(p, err);
    process_free(p);
    return rc;
}
