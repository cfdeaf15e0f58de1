/*
 * A program in a container, started and ended there. What it takes is told in container.h.
 *
 * Invariants:
 * - pid is the program's number in the container's own counting, 0 where it is not known (no sh);
 * - ended says that the program is known to have ended, so that nothing needs to be ended any more.
 */
#include "source/container.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/clock.h"

enum {
    MARK_BYTES = 17,        /* 16 hexadecimal digits and a NUL */
    HELLO_BYTES_MAX = 4096, /* of the first line, or of what stands there in its place */
    ENDING_MS = 15000,      /* for the engine to end a program */
    ENDING_TICK_MS = 10,
    ENVIRON_BYTES_MAX = 1 << 20,
};

#define MARK_NAME "CLAWBACK_EXEC"

/* Says who it is, then becomes the program. */
static const char LAUNCH[] =
    "command -v \"$1\" >/dev/null 2>&1 || { echo \"clawback-$" MARK_NAME " absent\"; exit 127; }; "
    "echo \"clawback-$" MARK_NAME " $$\"; exec \"$@\"";
/* $1: the number, $2: the mark. Whoever does not carry the mark is somebody else. */
static const char FINISH[] =
    "is_it() { case $(cat \"/proc/$1/environ\" 2>/dev/null) in *" MARK_NAME "=$2*) ;; *) false ;; "
    "esac; }; is_it \"$@\" || exit 0; kill -TERM \"$1\"; for i in 1 2 3 4 5 6 7 8 9 10; "
    "do sleep 0.2 2>/dev/null || sleep 1; is_it \"$@\" || exit 0; done; kill -KILL \"$1\"";

struct container_process {
    const struct container *container;
    struct process *process; /* the engine's */
    char *program;           /* in the container */
    char *user, *docker_host;
    char mark[MARK_BYTES];
    long pid;
    bool ended;
};

/* ------------------------------------------------------------------------------------------------ the command line */

/* "NAME=value" → "NAME". */
static void add_name(struct strlist *args, const char *entry)
{
    strlist_add(args, "-e");
    strlist_add_len(args, entry, strcspn(entry, "="));
}

static void add_engine_part(struct strlist *args, const struct container_process *p, const struct container_exec *o)
{
    strlist_add(args, p->container->program);
    strlist_add(args, "exec");
    if (o->with_stdin)
        strlist_add(args, "-i");
    for (const char *const *e = o->environment; e != NULL && *e != NULL; e++)
        add_name(args, *e);
    if (p->user != NULL) {
        strlist_add(args, "-u");
        strlist_add(args, p->user);
    }
}

static void add_mark(struct strlist *args, const struct container_process *p)
{
    char *mark = mem_printf(MARK_NAME "=%s", p->mark);
    strlist_add(args, "-e");
    strlist_add(args, mark);
    free(mark);
}

static void add_program(struct strlist *args, char *const *argv, bool with_shell)
{
    if (with_shell) {
        strlist_add(args, "sh");
        strlist_add(args, "-c");
        strlist_add(args, LAUNCH);
        strlist_add(args, "sh");
    }
    for (; *argv != NULL; argv++)
        strlist_add(args, *argv);
}

/* The list's strings as an argument vector, which the caller frees. */
static char **vector_of(const struct strlist *args)
{
    char **argv = mem_array(NULL, args->count + 1, sizeof *argv);
    memcpy(argv, args->items, args->count * sizeof *argv);
    argv[args->count] = NULL;
    return argv;
}

static int launch(struct container_process *p, const struct container_exec *o, bool with_shell, struct err *err)
{
    struct strlist args = {0};
    add_engine_part(&args, p, o);
    add_mark(&args, p);
    strlist_add(&args, p->container->id);
    add_program(&args, o->argv, with_shell);
    size_t count = 0;
    while (o->environment != NULL && o->environment[count] != NULL)
        count++;
    const char **environment = mem_array(NULL, count + 2, sizeof *environment);
    for (size_t i = 0; i < count; i++)
        environment[i] = o->environment[i];
    environment[count] = p->docker_host; /* or NULL, the end */
    environment[count + 1] = NULL;
    char **argv = vector_of(&args);
    struct process_options options = {.argv = argv,
                                      .environment = environment,
                                      .with_stdin = o->with_stdin,
                                      .stdin_fd = o->stdin_fd,
                                      .timeout_ms = o->timeout_ms};
    int rc = process_start(&p->process, &options, err);
    free(argv);
    free(environment);
    strlist_release(&args);
    return rc;
}

/* --------------------------------------------------------------------------------------------- ending what is inside
 */

/* Runs it to its end, also while we are being interrupted, when os/process.h would stop it at once. */
static void run_to_end(char *const *argv, char *docker_host)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **env = mem_array(NULL, count + 2, sizeof *env);
    memcpy(env, environ, count * sizeof *env);
    env[count] = docker_host;
    env[count + 1] = NULL;
    pid_t pid = 0;
    if (posix_spawn_file_actions_init(&files) == 0) {
        if (posix_spawnattr_init(&attributes) == 0) {
            for (int fd = 0; fd <= STDERR_FILENO; fd++)
                (void)posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
            (void)posix_spawnattr_setpgroup(&attributes, 0);
            (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
            if (posix_spawnp(&pid, argv[0], &files, &attributes, argv, env) != 0)
                pid = 0;
            posix_spawnattr_destroy(&attributes);
        }
        posix_spawn_file_actions_destroy(&files);
    }
    free(env);
    uint64_t until = os_monotonic_ns() + ENDING_MS * UINT64_C(1000000);
    while (pid > 0 && waitpid(pid, NULL, WNOHANG) == 0) {
        if (os_monotonic_ns() >= until) {
            (void)kill(-pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
            return;
        }
        os_sleep_ms(ENDING_TICK_MS);
    }
}

static void end_from_inside(const struct container_process *p)
{
    struct strlist args = {0};
    struct container_exec nothing = {0};
    char pid[24];
    snprintf(pid, sizeof pid, "%ld", p->pid);
    add_engine_part(&args, p, &nothing);
    strlist_add(&args, p->container->id);
    const char *const rest[] = {"sh", "-c", FINISH, "sh", pid, p->mark};
    for (size_t i = 0; i < sizeof rest / sizeof rest[0]; i++)
        strlist_add(&args, rest[i]);
    char **argv = vector_of(&args);
    run_to_end(argv, p->docker_host);
    free(argv);
    strlist_release(&args);
}

/* Does the process of this number carry the mark? */
static bool carries_mark(const char *pid, const char *mark)
{
    char path[64], entry[sizeof MARK_NAME + MARK_BYTES + 1];
    snprintf(path, sizeof path, "/proc/%.20s/environ", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct buf text;
    buf_init(&text, ENVIRON_BYTES_MAX);
    unsigned char *room;
    ssize_t n = 0;
    while ((room = buf_reserve(&text, 4096)) != NULL && (n = read(fd, room, 4096)) > 0)
        text.len += (size_t)n;
    close(fd);
    int len = snprintf(entry, sizeof entry, MARK_NAME "=%s", mark);
    bool found = text.data != NULL && memmem(text.data, text.len, entry, (size_t)len + 1) != NULL;
    buf_release(&text);
    return found;
}

/* Sends the signal to all on this machine that carry the mark; says whether there was one. Needs to be root. */
static bool signal_marked(const char *mark, int number)
{
    bool any = false;
    DIR *dir = opendir("/proc");
    for (struct dirent *d = dir != NULL ? readdir(dir) : NULL; d != NULL; d = readdir(dir)) {
        if (d->d_name[0] < '1' || d->d_name[0] > '9' || !carries_mark(d->d_name, mark))
            continue;
        any = kill((pid_t)strtol(d->d_name, NULL, 10), number) == 0 || any;
    }
    if (dir != NULL)
        closedir(dir);
    return any;
}

static void end_from_outside(const struct container_process *p)
{
    uint64_t until = os_monotonic_ns() + 3000 * UINT64_C(1000000);
    while (signal_marked(p->mark, SIGTERM) && os_monotonic_ns() < until)
        os_sleep_ms(100);
    (void)signal_marked(p->mark, SIGKILL);
}

static void end_program(struct container_process *p)
{
    if (p->ended)
        return;
    p->ended = true;
    process_stop(p->process);
    if (p->pid > 0)
        end_from_inside(p);
    else
        end_from_outside(p);
}

/* ---------------------------------------------------------------------------------------------------------- starting
 */

/* The first line, without its end; HELLO_BYTES_MAX at most. */
static int read_hello(struct container_process *p, struct buf *line, struct err *err)
{
    unsigned char byte;
    int64_t n;
    while ((n = process_read(p->process, &byte, 1, err)) == 1 && byte != '\n') {
        buf_append_byte(line, byte);
        if (line->overflow)
            break;
    }
    return n < 0 ? -1 : 0;
}

enum hello { HELLO_RUNS, HELLO_ABSENT, HELLO_OTHER };

static enum hello parse_hello(struct container_process *p, struct buf *line)
{
    char expected[MARK_BYTES + 16];
    int len = snprintf(expected, sizeof expected, "clawback-%s ", p->mark);
    const char *text = buf_cstr(line);
    if (strncmp(text, expected, (size_t)len) != 0)
        return HELLO_OTHER;
    if (strcmp(text + len, "absent") == 0)
        return HELLO_ABSENT;
    char *end;
    p->pid = strtol(text + len, &end, 10);
    return *end == '\0' && p->pid > 0 ? HELLO_RUNS : HELLO_OTHER;
}

static bool says(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

/* The engine could not start it: what it says comes on either of both streams. */
static int explain_start(struct container_process *p, const char *text, struct err *err)
{
    static const char *const gone[] = {"is not running", "is paused", "no such container",
                                       "no container with name or id", "container state improper"};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        if (says(text, gone[i]))
            return err_set(err, ERR_NOT_FOUND, "the container '%s' is not running any more", p->container->name);
    size_t len = strcspn(text, "\r\n");
    return err_set(err, ERR_FAILED, "cannot start '%s' in the container '%s': %.*s", p->program, p->container->name,
                   len < 400 ? (int)len : 400, text);
}

/* After a start that failed: is it for want of a shell? Else err says why. */
static bool wants_shell(struct container_process *p, struct buf *line, struct err *err)
{
    struct err reason = {0};
    unsigned char rest[HELLO_BYTES_MAX];
    int64_t n = line->overflow ? 0 : process_read(p->process, rest, sizeof rest, &reason);
    if (n > 0)
        buf_append(line, rest, (size_t)n);
    (void)process_wait(p->process, &reason);
    if (reason.code == ERR_TIMEOUT || reason.code == ERR_INTERRUPTED) {
        if (err != NULL)
            *err = reason;
        return false;
    }
    buf_append_byte(line, ' ');
    buf_append_str(line, process_stderr(p->process));
    const char *text = buf_cstr(line);
    if (text[0] == ' ')
        text++;
    bool no_shell = says(text, "exec") && (says(text, "\"sh\"") || says(text, "`sh`") || says(text, "'sh'")) &&
                    (says(text, "not found") || says(text, "no such file"));
    if (!no_shell)
        explain_start(p, text, err);
    return no_shell;
}

static int greet(struct container_process *p, const struct container_exec *o, struct err *err)
{
    struct buf line;
    buf_init(&line, (size_t)2 * HELLO_BYTES_MAX);
    int rc = read_hello(p, &line, err);
    if (rc == 0) {
        enum hello hello = parse_hello(p, &line);
        if (hello == HELLO_ABSENT) {
            p->ended = true;
            rc =
                err_set(err, ERR_UNSUPPORTED, "the container '%s' has no program '%s'", p->container->name, p->program);
        } else if (hello == HELLO_OTHER) {
            p->ended = true;
            rc = -1;
            if (wants_shell(p, &line, err)) {
                process_free(p->process);
                p->process = NULL;
                rc = launch(p, o, false, err);
                p->ended = rc != 0;
            }
        }
    }
    buf_release(&line);
    return rc;
}

static int make_mark(char mark[MARK_BYTES], struct err *err)
{
    unsigned long long number;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return err_errno(err, errno, "cannot get random bytes");
    snprintf(mark, MARK_BYTES, "%016llx", number);
    return 0;
}

int container_start(struct container_process **out, const struct container *c, const struct container_exec *options,
                    struct err *err)
{
    *out = NULL;
    if (container_require_running(c, err) != 0)
        return -1;
    struct container_process *p = mem_zalloc(sizeof *p);
    p->container = c;
    p->program = mem_strdup(options->argv[0]);
    p->user = options->user != NULL ? mem_strdup(options->user) : NULL;
    p->docker_host = c->host != NULL ? mem_printf("DOCKER_HOST=%s", c->host) : NULL;
    p->ended = true;
    if (make_mark(p->mark, err) == 0 && launch(p, options, true, err) == 0) {
        p->ended = false;
        if (greet(p, options, err) == 0) {
            *out = p;
            return 0;
        }
    }
    container_process_free(p);
    return -1;
}

/* -------------------------------------------------------------------------------------------------- reading, waiting
 */

/* The engine's program is not what people know: name the one in the container. */
static void name_program(const struct container_process *p, struct err *err)
{
    char was[64];
    int len = snprintf(was, sizeof was, "command '%s' ", p->container->program);
    if (err == NULL || strncmp(err->message, was, (size_t)len) != 0)
        return;
    struct err old = *err;
    err_set(err, old.code, "'%s' in the container '%s' %s", p->program, p->container->name, old.message + len);
    err->sys_errno = old.sys_errno;
}

int64_t container_read(struct container_process *p, void *out, size_t cap, struct err *err)
{
    int64_t n = process_read(p->process, out, cap, err);
    if (n < 0) {
        end_program(p);
        name_program(p, err);
    }
    return n;
}

int container_wait(struct container_process *p, struct err *err)
{
    int rc = process_wait(p->process, err);
    if (rc != 0) {
        end_program(p);
        name_program(p, err);
    }
    p->ended = true;
    return rc;
}

const char *container_stderr(struct container_process *p)
{
    return process_stderr(p->process);
}

void container_process_free(struct container_process *p)
{
    if (p == NULL)
        return;
    end_program(p);
    process_free(p->process);
    free(p->program);
    free(p->user);
    free(p->docker_host);
    free(p);
}

int container_run(const struct container *c, const struct container_exec *options, struct buf *out, struct err *err)
{
    struct container_process *p;
    unsigned char room[4096];
    int64_t n;
    if (container_start(&p, c, options, err) != 0)
        return -1;
    while ((n = container_read(p, room, sizeof room, err)) > 0) {
        if (out == NULL)
            continue;
        buf_append(out, room, (size_t)n);
        if (out->overflow) {
            n = err_set(err, ERR_FAILED, "the output of '%s' in the container '%s' is larger than %zu bytes",
                        p->program, c->name, out->max);
            break;
        }
    }
    mem_wipe(room, sizeof room); /* it may be a password */
    int rc = n == 0 ? container_wait(p, err) : -1;
    container_process_free(p);
    return rc;
}
