/*
 * Running the stock git on a repository: as its owner, undisturbed by our environment, and without anything that the
 * repository's configuration may name being run. Private to source/git*.c.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/strlist.h"
#include "os/process.h"
#include "os/user.h"

/* A repository, as it lies there. */
struct git_place {
    char *path;       /* as given */
    char *common_dir; /* the git directory that all working trees share */
    char *work_tree;  /* the main one; NULL: bare */
    bool as_owner;    /* we are root, and the repository is somebody else's */
    struct os_user owner;
};

/* ERR_NOT_FOUND: no repository at this very path. */
int git_place_open(struct git_place *out, const char *path, struct err *err);
void git_place_release(struct git_place *p); /* a zeroed one is nothing */

/* The directory is a git directory by its looks. */
bool git_is_git_dir(const char *dir);
/* Where the `.git` in a working tree leads to: the caller frees it. NULL: there is none, or it leads nowhere. */
char *git_dir_of(const char *work_tree);
/* The directory that a git directory shares with its main repository, itself unless it is a linked working tree's. The
 * caller frees it; NULL: it leads nowhere. */
char *git_common_dir_of(const char *git_dir);

struct git_call {
    const struct git_place *place;
    const char *git_dir;               /* NULL: the common one */
    const char *work_tree;             /* NULL: none */
    const char *directory;             /* where git runs: relative URLs are relative to it; NULL: "/" */
    const char *index_file;            /* NULL: its own */
    const char *object_dir;            /* new objects go there, old ones come from the repository; NULL: its own */
    const struct strlist *settings;    /* "name", "value", "name", "value" …, above all configuration; NULL: none */
    bool for_push;                     /* with the owner's environment, hooks and all, but without a way to prompt */
    const struct strlist *environment; /* "NAME=value", in addition; NULL: none */
    bool with_stdin;
    int stdin_fd;
    uint64_t timeout_ms;
};

/* args: NULL-terminated, what follows "git". ERR_UNSUPPORTED: there is no git here. */
int git_start(struct process **out, const struct git_call *call, const char *const *args, struct err *err);
/* Runs it and appends its output. The message on failure says what git said of it. */
int git_output(const struct git_call *call, const char *const *args, struct buf *out, struct err *err);
/* process_read, but when time is over the message names the subcommand. */
int64_t git_read(struct process *p, const char *subcommand, void *out, size_t cap, struct err *err);
/* Waits for a process of git_start; on failure the message names the subcommand and what git said. */
int git_wait(struct process *p, const char *subcommand, struct err *err);
/* The line of git's words that says most, without control characters and passwords in URLs; "" when it said nothing.
 * The caller frees it. */
char *git_words(const char *text);

/* Writes all of it to a pipe (non-blocking) that a process reads. ERR_FAILED: nobody reads it any more. ERR_TIMEOUT,
 * ERR_INTERRUPTED. */
int git_feed(int fd, const void *p, size_t len, uint64_t deadline_ns, struct err *err);
/* Makes such a pipe: ends[0] for the process, ends[1] for us. */
int git_feed_pipe(int ends[2], struct err *err);
