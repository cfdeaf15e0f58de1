/*
 * Running another program: its standard output comes as a stream, its standard error is kept for the message, its exit
 * status becomes an error. No shell is involved; the arguments are not printed anywhere (they may hold secrets), only
 * the program's name is.
 *
 * A process belongs to one thread at a time; several may run at once. While process_read and process_wait wait they
 * look at os_interrupted(). Nothing of ours is inherited but the environment, the working directory, priorities and
 * limits: all our descriptors are close-on-exec, signals are unblocked, SIGPIPE does what it does by default.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "os/user.h"

/* What is kept of standard error: the end. */
enum { PROCESS_STDERR_BYTES = 8192 };

struct process_options {
    char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH unless it has a slash */
    /* "NAME=value": added to ours or instead of it; "NAME": ours is not passed on. NULL-terminated; NULL: none. */
    const char *const *environment;
    const char *directory;        /* its working directory; NULL: ours */
    const struct os_user *run_as; /* NULL: our user. Else we must be root; groups too; the environment stays ours */
    bool with_stdin;              /* its standard input is stdin_fd, which stays the caller's; else /dev/null */
    int stdin_fd;
    bool with_withheld;  /* gets all of our environment, also what process_withhold() keeps from others */
    bool inherit_stderr; /* shown as it comes, instead of being kept for the message */
    /* Stays in our process group, so that it may ask on the terminal; what it starts itself is then not stopped with
     * it. Else it leads a group of its own, which is stopped as a whole. */
    bool share_terminal;
    bool no_terminal;    /* a session of its own: nothing it starts can ask on our terminal */
    uint64_t timeout_ms; /* for all of it, from the start; 0: none */
    uint64_t grace_ms;   /* between SIGTERM and SIGKILL when it has to be stopped; 0: 2000 */
};

struct process;

/* From now on no process gets this variable of our environment (a passphrase) unless it is named in its options, or has
 * with_withheld. Before any thread is started. */
void process_withhold(const char *name);

/* Starts it. ERR_NOT_FOUND, ERR_PERMISSION …: "cannot start 'x': No such file or directory". */
int process_start(struct process **out, const struct process_options *options, struct err *err);

/* Up to cap bytes of its standard output, as many as it can get before the end: count, 0 at the end (when nobody holds
 * it open any more), -1 on error. ERR_TIMEOUT, ERR_INTERRUPTED: the process was stopped. */
int64_t process_read(struct process *p, void *out, size_t cap, struct err *err);

/* Waits for its end. Output that was not read is thrown away (the process may notice, and fail). 0 when it exited with
 * 0; else ERR_FAILED, "command 'x' exited with status 3" or "was killed by signal 9 (Killed)", followed by its last
 * words; or ERR_TIMEOUT, ERR_INTERRUPTED. Every further call returns the same. */
int process_wait(struct process *p, struct err *err);

/* The end of what it wrote to standard error so far. Borrowed; changes with the next call. */
const char *process_stderr(struct process *p);

/* Stops it if it still runs: SIGTERM, and after the grace SIGKILL, to its whole group. Returns when it is gone. */
void process_stop(struct process *p);
/* Stops it, too. NULL is nothing. */
void process_free(struct process *p);

/* All in one: starts, appends all output to out (NULL: thrown away), waits. ERR_FAILED when the output is larger than
 * out's maximum. After an error out holds what had come. */
int process_run(const struct process_options *options, struct buf *out, struct err *err);
