/*
 * Runs a command and lets something happen at its N-th system call that changes files, for tests. Calls are numbered
 * from 1 in the order in which they are made by any of its threads and children:
 *
 *     syscall_fault LOG ACTION N COMMAND [ARGUMENT…]
 *
 *     none        nothing happens
 *     kill        the process is killed before the call is carried out
 *     tear        the same, but of a write half is carried out
 *     error-NAME  the call fails with this error (EIO, ENOSPC, EDQUOT, EROFS, EACCES, EMFILE), once
 *     lasting-NAME  it and every later one that needs space or a working disk fails; removing works on
 *     interrupt   SIGINT is sent before the call is carried out
 *
 * LOG receives the calls, a line each: the name and, separated by tabs, the path of its descriptor or the paths that it
 * was given, where they are absolute. Writes to descriptors 0 to 2 do not count, nor does opening for reading. The exit
 * status is the command's, or 128 and the signal's number. 125: this machine cannot do it (no seccomp notification).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_CANNOT = 125, FILTER_MAX = 512, TEAR_MAX_BYTES = 16 << 20, PAGE_BYTES = 4096 };

/* What decides whether a call counts. */
enum when { ALWAYS, IF_FD_ABOVE_2, IF_OPENED_TO_WRITE };

struct call {
    int number;
    const char *name;
    enum when when;
    int flags_argument; /* IF_OPENED_TO_WRITE: which one has them */
    bool removes;       /* works on a full disk */
};

#define CALL(name)                  \
    {                               \
        .number = SYS_##name, #name \
    }
static const struct call CALLS[] = {
    {SYS_write, "write", IF_FD_ABOVE_2, 0, false},
    {SYS_writev, "writev", IF_FD_ABOVE_2, 0, false},
    CALL(pwrite64),
    CALL(pwritev),
    CALL(pwritev2),
    {SYS_openat, "openat", IF_OPENED_TO_WRITE, 2, false},
#ifdef SYS_open /* architectures that have no older calls have these only */
    {SYS_open, "open", IF_OPENED_TO_WRITE, 1, false},
    CALL(creat),
    CALL(mkdir),
    CALL(rename),
    CALL(link),
    CALL(symlink),
    CALL(mknod),
    CALL(chmod),
    CALL(chown),
    CALL(lchown),
    {SYS_unlink, "unlink", ALWAYS, 0, true},
    {SYS_rmdir, "rmdir", ALWAYS, 0, true},
#endif
#ifdef SYS_renameat
    CALL(renameat),
#endif
    {SYS_unlinkat, "unlinkat", ALWAYS, 0, true},
    CALL(renameat2),
    CALL(linkat),
    CALL(symlinkat),
    CALL(mkdirat),
    CALL(mknodat),
    CALL(truncate),
    CALL(ftruncate),
    CALL(fallocate),
    CALL(fsync),
    CALL(fdatasync),
    CALL(syncfs),
    CALL(sync_file_range),
    CALL(copy_file_range),
    CALL(sendfile),
    CALL(fchmod),
    CALL(fchmodat),
    CALL(fchown),
    CALL(fchownat),
    CALL(utimensat),
    CALL(setxattr),
    CALL(lsetxattr),
    CALL(fsetxattr),
    CALL(removexattr),
    CALL(lremovexattr),
    CALL(fremovexattr),
};
enum { CALL_COUNT = sizeof CALLS / sizeof CALLS[0] };

static const struct {
    const char *name;
    int number;
} ERRORS[] = {{"EIO", EIO},     {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT},
              {"EROFS", EROFS}, {"EACCES", EACCES}, {"EMFILE", EMFILE}};

enum action { NOTHING, KILL, TEAR, FAIL_ONCE, FAIL_ON, INTERRUPT };

struct fault {
    enum action action;
    int error;
    unsigned long at, calls;
    FILE *log;
    pid_t child;
};

static void cannot(const char *what)
{
    fprintf(stderr, "syscall_fault: cannot %s: %s\n", what, strerror(errno));
    exit(EXIT_CANNOT);
}

/* ------------------------------------------------------------------------------------------- in the command's process
 */

struct program {
    struct sock_filter code[FILTER_MAX];
    size_t count;
};

static void add(struct program *p, struct sock_filter step)
{
    p->code[p->count++] = step;
}

static void load(struct program *p, size_t offset)
{
    add(p, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offset));
}

static void load_argument(struct program *p, int argument) /* its low half, on little-endian machines */
{
    load(p, offsetof(struct seccomp_data, args) + 8 * (size_t)argument);
}

/* With the call's number loaded: asks us when it is this call. */
static void add_call(struct program *p, const struct call *c)
{
    size_t jump = p->count;
    add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)c->number, 0, 0));
    if (c->when == IF_FD_ABOVE_2) {
        load_argument(p, 0);
        add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 2, 1, 0));
        add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    } else if (c->when == IF_OPENED_TO_WRITE) {
        load_argument(p, c->flags_argument);
        add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | O_TRUNC, 1, 0));
        add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    }
    add(p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
    p->code[jump].jf = (unsigned char)(p->count - jump - 1);
}

/* From here on calls wait for us. Returns the descriptor to listen on. */
static int install_filter(void)
{
    static struct program p;
    load(&p, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALL_COUNT; i++)
        add_call(&p, &CALLS[i]);
    add(&p, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
    struct sock_fprog program = {.len = (unsigned short)p.count, .filter = p.code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        cannot("set no_new_privs");
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
    if (fd < 0)
        cannot("install a seccomp filter");
    return (int)fd;
}

static void send_descriptor(int to, int fd)
{
    char byte = 0;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(to, &m, 0) != 1)
        cannot("hand a descriptor over");
}

static void run_command(int to, char **argv)
{
    int listener = install_filter();
    send_descriptor(to, listener);
    close(listener);
    close(to);
    execvp(argv[0], argv);
    cannot("run the command");
}

/* -------------------------------------------------------------------------------------------------------------- ours
 */

static int receive_descriptor(int from)
{
    char byte;
    int fd;
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr m = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    if (recvmsg(from, &m, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&m) == NULL)
        return -1;
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
    return fd;
}

static const struct call *call_of(int number)
{
    for (size_t i = 0; i < CALL_COUNT; i++)
        if (CALLS[i].number == number)
            return &CALLS[i];
    return NULL;
}

/* Carries half of a write out in the command's stead. */
static void write_half(pid_t child, const struct seccomp_data *d)
{
    bool at_offset = d->nr == SYS_pwrite64;
    if (d->nr != SYS_write && !at_offset)
        return;
    size_t len = (size_t)d->args[2] / 2;
    len = len < TEAR_MAX_BYTES ? len : TEAR_MAX_BYTES;
    char *bytes = malloc(len + 1);
    int process = (int)syscall(SYS_pidfd_open, child, 0);
    int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, (int)d->args[0], 0);
    struct iovec ours = {.iov_base = bytes, .iov_len = len};
    struct iovec theirs = {.iov_base = (void *)(size_t)d->args[1], .iov_len = len};
    if (fd < 0 || process_vm_readv(child, &ours, 1, &theirs, 1, 0) != (ssize_t)len)
        cannot("read what is written");
    ssize_t n = at_offset ? pwrite(fd, bytes, len, (off_t)d->args[3]) : write(fd, bytes, len);
    if (n != (ssize_t)len)
        cannot("write a half");
    close(fd);
    close(process);
    free(bytes);
}

/* The path that one of its descriptors is open for. */
static void log_descriptor(const struct fault *f, int fd)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/%d/fd/%d", (int)f->child, fd);
    ssize_t n = readlink(link, path, sizeof path);
    if (n > 0)
        fprintf(f->log, "\t%.*s", (int)n, path);
}

static size_t read_memory(const struct fault *f, uint64_t address, char *out, size_t len)
{
    struct iovec ours = {.iov_base = out, .iov_len = len};
    struct iovec theirs = {.iov_base = (void *)(size_t)address, .iov_len = len};
    ssize_t n = process_vm_readv(f->child, &ours, 1, &theirs, 1, 0);
    return n > 0 ? (size_t)n : 0;
}

/* A path among its arguments. The page after the one that it begins in may not be there. */
static void log_path(const struct fault *f, uint64_t address)
{
    char path[2 * PAGE_BYTES + 1] = "";
    size_t first = PAGE_BYTES - address % PAGE_BYTES;
    size_t n = read_memory(f, address, path, first);
    if (n == first && memchr(path, 0, n) == NULL)
        read_memory(f, address + first, path + first, PAGE_BYTES);
    if (path[0] == '/')
        fprintf(f->log, "\t%s", path);
}

static void log_call(const struct fault *f, const struct call *c, const struct seccomp_data *d)
{
    fputs(c != NULL ? c->name : "?", f->log);
    switch (d->nr) {
    case SYS_write:
    case SYS_pwrite64:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_ftruncate:
    case SYS_fchmod:
        log_descriptor(f, (int)d->args[0]);
        break;
    case SYS_unlinkat:
    case SYS_openat:
    case SYS_mkdirat:
        log_path(f, d->args[1]);
        break;
    case SYS_renameat2:
        log_path(f, d->args[1]);
        log_path(f, d->args[3]);
        break;
#ifdef SYS_rename
    case SYS_rename:
        log_path(f, d->args[0]);
        log_path(f, d->args[1]);
        break;
    case SYS_unlink:
    case SYS_mkdir:
        log_path(f, d->args[0]);
        break;
#endif
    default:
        break;
    }
    fputc('\n', f->log);
}

/* The error that the call is to fail with, or 0. */
static int decide(struct fault *f, const struct seccomp_data *d)
{
    const struct call *c = call_of(d->nr);
    unsigned long call = ++f->calls;
    log_call(f, c, d);
    if (f->action == FAIL_ON && call >= f->at)
        return c != NULL && c->removes ? 0 : f->error;
    if (call != f->at)
        return 0;
    switch (f->action) {
    case TEAR:
        write_half(f->child, d);
        kill(f->child, SIGKILL);
        return 0;
    case KILL:
        kill(f->child, SIGKILL);
        return 0;
    case INTERRUPT:
        kill(f->child, SIGINT);
        return 0;
    case FAIL_ONCE:
        return f->error;
    default:
        return 0;
    }
}

/* Answers until nobody is left who could ask. Not answering one who was killed is right: he never comes back. */
static void answer_all(struct fault *f, int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    while (poll(&p, 1, -1) > 0 && (p.revents & POLLIN) != 0) {
        struct seccomp_notif ask = {0};
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &ask) != 0) {
            if (errno == EINTR || errno == ENOENT)
                continue;
            cannot("receive a notification");
        }
        struct seccomp_notif_resp answer = {.id = ask.id};
        int error = decide(f, &ask.data);
        answer.error = -error;
        answer.flags = error == 0 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0;
        bool dies = f->calls == f->at && (f->action == KILL || f->action == TEAR);
        if (!dies && ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno != ENOENT)
            cannot("answer a notification");
    }
}

static bool parse_action(const char *text, struct fault *f)
{
    static const struct {
        const char *name;
        enum action action;
    } PLAIN[] = {{"none", NOTHING}, {"kill", KILL}, {"tear", TEAR}, {"interrupt", INTERRUPT}};
    for (size_t i = 0; i < sizeof PLAIN / sizeof PLAIN[0]; i++)
        if (strcmp(text, PLAIN[i].name) == 0) {
            f->action = PLAIN[i].action;
            return true;
        }
    bool lasting = strncmp(text, "lasting-", 8) == 0;
    if (!lasting && strncmp(text, "error-", 6) != 0)
        return false;
    f->action = lasting ? FAIL_ON : FAIL_ONCE;
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++)
        if (strcmp(strchr(text, '-') + 1, ERRORS[i].name) == 0) {
            f->error = ERRORS[i].number;
            return true;
        }
    return false;
}

int main(int argc, char **argv)
{
    struct fault f = {0};
    int pair[2], status;
    if (argc < 5 || !parse_action(argv[2], &f)) {
        fprintf(stderr, "usage: syscall_fault LOG ACTION N COMMAND [ARGUMENT…]\n");
        return EXIT_CANNOT;
    }
    f.at = strtoul(argv[3], NULL, 10);
    f.log = fopen(argv[1], "we");
    if (f.log == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        cannot("prepare");
    f.child = fork();
    if (f.child == 0)
        run_command(pair[1], argv + 4);
    close(pair[1]);
    int listener = f.child < 0 ? -1 : receive_descriptor(pair[0]);
    if (listener >= 0)
        answer_all(&f, listener);
    if (f.child < 0 || waitpid(f.child, &status, 0) != f.child)
        cannot("start the command");
    fclose(f.log);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
